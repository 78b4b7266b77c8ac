package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// commands returns every command that can be run, by its words.
func commands(t *testing.T) map[string]*kong.Node {
	t.Helper()
	k, err := kong.New(&cli{}, kong.Name("imagify"))
	require.NoError(t, err)
	out := map[string]*kong.Node{}
	for _, leaf := range k.Model.Leaves(true) {
		out[strings.TrimPrefix(leaf.Path(), "imagify ")] = leaf
	}
	require.Greater(t, len(out), 20)
	return out
}

// program runs the real program on the site.
func (s site) program(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(s.t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "IMAGIFY_TEST_MAIN=1", "IMAGIFY_DATA="+s.data)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.t.TempDir(), &out, &errs
	cmd.WaitDelay = time.Second
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// A flag of one value that is given twice is refused by its name, whatever the command: which of
// the two counts nobody could tell. All values of a list flag are kept, repeated or separated by commas.
func TestEveryFlagGivenTwice(t *testing.T) {
	s := newSite(t)
	values := map[reflect.Type][]string{ // two values that differ
		reflect.TypeFor[string](): {"1", "2"}, reflect.TypeFor[*string](): {"1", "2"}, reflect.TypeFor[int](): {"1", "2"},
		reflect.TypeFor[span](): {"1h", "2d"}, reflect.TypeFor[*span](): {"1h", "2d"}, reflect.TypeFor[[]string](): {"7", "8"},
		reflect.TypeFor[bool](): {"", ""}, reflect.TypeFor[*bool](): {"", ""},
	}
	lists := 0
	for name, command := range commands(t) {
		for _, flag := range command.Flags {
			if flag.Name == "help" {
				continue
			}
			two, known := values[flag.Target.Type()]
			require.True(t, known, "%s --%s: a flag of type %s needs two values here", name, flag.Name, flag.Target.Type())
			args := strings.Fields(name)
			for _, positional := range command.Positional {
				args = append(args, positional.Name)
			}
			for _, other := range command.Flags {
				if other.Required && other != flag {
					args = append(args, "--"+other.Name+"=1")
				}
			}
			repeated, commas := slices.Clone(args), slices.Clone(args)
			for _, value := range two {
				word := "--" + flag.Name
				if value != "" {
					word += "=" + value
				}
				repeated = append(repeated, word)
			}
			if !flag.IsSlice() {
				code, out, errs := s.program(repeated...)
				assert.Equal(t, 2, code, "%v: %s%s", repeated, out, errs)
				assert.Contains(t, errs, "--"+flag.Name+" is given more than once", "%v", repeated)
				continue
			}
			lists++
			commas = append(commas, "--"+flag.Name+"="+strings.Join(two, ","))
			for _, line := range [][]string{repeated, commas} {
				k, err := kong.New(&cli{}, kong.Name("imagify"))
				require.NoError(t, err)
				parsed, err := k.Parse(line)
				require.NoError(t, err, "%v", line)
				var got *kong.Flag
				for _, f := range parsed.Flags() {
					if f.Name == flag.Name {
						got = f
					}
				}
				assert.Equal(t, two, got.Target.Interface(), "%v", line)
			}
		}
	}
	assert.GreaterOrEqual(t, lists, 7)
	code, _, errs := s.program("user", "set", "anna", "--admin", "--no-admin")
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "--admin is given more than once")
}

// What several values of each list flag do, seen in what is stored.
func TestListFlagsKeepEveryValue(t *testing.T) {
	s := newSite(t)
	record := func(args ...string) (v struct {
		Tiers, Permissions []string
		Limits             map[string]*int64
	},
	) {
		t.Helper()
		code, out, errs := s.program(append(args, "--json")...)
		require.Equal(t, 0, code, "%v: %s%s", args, out, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &v))
		return v
	}
	for style, several := range map[string]func(flag string, values ...string) []string{
		"repeated": func(flag string, values ...string) (out []string) {
			for _, v := range values {
				out = append(out, flag, v)
			}
			return out
		},
		"comma-separated": func(flag string, values ...string) []string { return []string{flag, strings.Join(values, ",")} },
	} {
		t.Run(style, func(t *testing.T) {
			with := func(args []string, more ...[]string) []string { return append(args, slices.Concat(more...)...) }
			tier, user := "T-"+style, "u-"+style
			limits := several("--limit", "max_images=5", "max_frames=none")
			v := record(with([]string{"tier", "create", tier}, several("--permission", "thumbnail:100", "thumbnail:300"), limits)...)
			assert.Equal(t, []string{"thumbnail:100", "thumbnail:300"}, v.Permissions)
			require.NotNil(t, v.Limits["max_images"])
			assert.EqualValues(t, 5, *v.Limits["max_images"])
			assert.Nil(t, v.Limits["max_frames"])
			v = record(with([]string{"tier", "set", tier}, several("--permission", "thumbnail:400", "thumbnail:500"), several("--limit", "max_images=6", "max_frames=7"))...)
			assert.Equal(t, []string{"thumbnail:400", "thumbnail:500"}, v.Permissions)
			assert.EqualValues(t, 6, *v.Limits["max_images"])
			assert.EqualValues(t, 7, *v.Limits["max_frames"])
			v = record(with([]string{"user", "create", user}, several("--tier", "BasicTierUsers", tier), several("--permission", "thumbnail:11", "thumbnail:12"))...)
			assert.ElementsMatch(t, []string{"BasicTierUsers", tier}, v.Tiers)
			assert.Equal(t, []string{"thumbnail:11", "thumbnail:12"}, v.Permissions)
			v = record(with([]string{"user", "set", user}, several("--tier", "PremiumTierUsers", tier), several("--permission", "thumbnail:21", "thumbnail:22"))...)
			assert.ElementsMatch(t, []string{"PremiumTierUsers", tier}, v.Tiers)
			assert.Equal(t, []string{"thumbnail:21", "thumbnail:22"}, v.Permissions)
		})
	}
}

// thumbnail never writes over a source, over another result of the same run, or, without --force, over anything.
func TestThumbnailWritesOverNothing(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
		lost []string // files that may change
	}{
		"the source as OUT":                    {[]string{"-o", "p.jpg", "p.jpg"}, 1, "p.jpg is one of the sources", nil},
		"the source as OUT, forced":            {[]string{"--force", "-o", "p.jpg", "p.jpg"}, 1, "p.jpg is one of the sources", nil},
		"the source by another name":           {[]string{"--force", "-o", "./a/../p.jpg", "p.jpg"}, 1, "is one of the sources", nil},
		"the source through a symlink":         {[]string{"--force", "-o", "alias.jpg", "p.jpg"}, 1, "is one of the sources", nil},
		"a source that is another's result":    {[]string{"--force", "p.jpg", "p-200.jpg"}, 1, "p-200.jpg is one of the sources", []string{"p-200-200.jpg"}},
		"two results of one name, in a folder": {[]string{"-o", "coll", "a/x.jpg", "b/x.png"}, 2, "would both become coll/x-", nil},
		"two results of one name, beside":      {[]string{"a/x.jpg", "a/x.jpeg"}, 2, "would both become a/x-", nil},
		"a file that exists":                   {[]string{"-o", "old.jpg", "p.jpg"}, 1, "old.jpg exists", nil},
		"a result that exists":                 {[]string{"a/x.jpg"}, 1, "a/x-200.jpg exists", nil},
		"a file that exists, forced":           {[]string{"--force", "-o", "old.jpg", "p.jpg"}, 0, "", []string{"old.jpg"}},
		"a folder that is missing":             {[]string{"-o", "none/p.jpg", "p.jpg"}, 2, "the folder none does not exist", nil},
		"standard input twice":                 {[]string{"-o", "-", "--height", "1,2", "-"}, 2, "takes one result", nil},
		"a file twice":                         {[]string{"-o", "new/", "p.jpg", "./p.jpg"}, 0, "", []string{"new/p-200.jpg"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			for i, file := range []string{"p.jpg", "p-200.jpg", "a/x.jpg", "a/x.jpeg", "b/x.png", "old.jpg", "a/x-200.jpg"} {
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, photo(i, 300, 300), 0o600))
			}
			require.NoError(t, os.Symlink("p.jpg", "alias.jpg"))
			before := contents(t)
			code, out, errs := emptySite(t).run("", append([]string{"thumbnail"}, c.args...)...)
			assert.Equal(t, c.code, code, "%s%s", out, errs)
			assert.Contains(t, errs, c.says)
			after := contents(t)
			for _, file := range c.lost {
				assert.NotEqual(t, before[file], after[file], file)
				delete(before, file)
				delete(after, file)
			}
			assert.Equal(t, before, after)
		})
	}
}

func contents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}))
	return out
}

// No command but serve and demo, and restore of a backup, makes an installation: in the wrong folder it says so, and leaves nothing there.
func TestCommandsMakeNoInstallation(t *testing.T) {
	lines := map[string][]string{
		"migrate up": nil, "migrate down": nil, "migrate status": nil, "user create": {"anna"}, "user list": nil, "user show": {"anna"},
		"user set": {"anna", "--admin"}, "user passwd": {"anna"}, "user delete": {"anna"}, "tier create": {"T"}, "tier list": nil,
		"tier show": {"T"}, "tier set": {"T", "--title", "t"}, "tier delete": {"T"}, "token create": {"--user", "anna"},
		"token list": {"--user", "anna"}, "token revoke": {"--user", "anna", "0190c7a2-0000-7000-8000-000000000000"},
		"explain": {"--user", "anna", "--image", "0190c7a2-0000-7000-8000-000000000000", "link"}, "sweep": nil, "doctor": nil,
		"backup": {"a-backup"}, "verify": nil,
	}
	for name, command := range commands(t) {
		opens := slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return f.Name == "data" })
		if !opens || name == "serve" || strings.HasPrefix(name, "restore") {
			continue
		}
		name, _, _ = strings.Cut(name, " <")
		rest, listed := lines[name]
		require.True(t, listed, "%s takes --data: give it a line here", name)
		delete(lines, name)
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			for _, data := range []string{"data", "elsewhere/data"} {
				args := append(strings.Fields(name), rest...)
				if data != "data" {
					args = append(args, "--data", data)
				}
				code, out, errs := site{t, ""}.run("", args...)
				assert.Equal(t, 1, code, "%s%s", out, errs)
				assert.Contains(t, out+errs, "no imagify installation here")
				assert.Contains(t, out+errs, filepath.Join(dir, data))
			}
			assert.Empty(t, contents(t))
			assert.NoDirExists(t, "data")
			assert.NoDirExists(t, "a-backup")
		})
	}
	assert.Empty(t, lines, "commands that have no --data")
}

// --data names the installation whatever the folder, and the environment, say.
func TestDataFlag(t *testing.T) {
	s, other := newSite(t), newSite(t)
	s.must("user", "create", "anna", "--data", other.data)
	assert.Equal(t, "[]", s.must("user", "list", "--json"))
	assert.Contains(t, s.must("user", "list", "--data", other.data), "anna")
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute, "0d": 0,
	} {
		var s span
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, time.Duration(s), text)
	}
	for _, text := range []string{"", "d", "-1h", "1d-1h", "1.5d", "3", "12h1d", "99999999d", "-3d", "1d106751d", "h", "3 d"} {
		var s span
		assert.Error(t, s.UnmarshalText([]byte(text)), text)
	}
	s := newSite(t)
	s.must("user", "create", "anna")
	code, _, errs := s.run("", "token", "create", "--user", "anna", "--expires-in", "0s")
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "at least 1s")
	s.must("token", "create", "--user", "anna", "--expires-in", "3d")
	assert.Regexp(t, `\d{4}-\d\d-\d\dT`, strings.Fields(s.must("token", "list", "--user", "anna"))[len(strings.Fields(s.must("token", "list", "--user", "anna")))-1])
}

// A misspelled setting is told by its name; a byte order mark is no part of one.
func TestSettingsThatAreNone(t *testing.T) {
	assert.Equal(t, []string{
		"IMAGIFY_ADDRR is not a setting and has no effect; the nearest is IMAGIFY_ADDR",
		"IMAGIFY_REDIS is not a setting and has no effect; the nearest is IMAGIFY_REDIS_URL",
	}, unknownSettings([]string{"IMAGIFY_REDIS=x", "IMAGIFY_ADDRR", "IMAGIFY_ADDR=1", "IMAGIFY_TOKEN=t", "PATH=/", "IMAGIFY_ADDRR=2"}))

	s := newSite(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile(".env", []byte("\ufeffIMAGIFY_DATA="+s.data+"\nIMAGIFY_DATTA=x\n"), 0o600))
	bare := func(string) string { return "" }
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"doctor"}, stdio{strings.NewReader(""), &out, &errs}, bare)
	assert.Equal(t, 0, code, out.String()+errs.String())
	assert.Contains(t, out.String(), s.data)
	assert.Contains(t, out.String(), "IMAGIFY_DATTA is not a setting and has no effect; the nearest is IMAGIFY_DATA")

	for value, says := range map[string]string{",": "holds no key", " , ,": "holds no key", "short": "16 characters"} {
		errs.Reset()
		code := run(t.Context(), []string{"doctor"}, stdio{strings.NewReader(""), &out, &errs}, func(name string) string {
			return map[string]string{"IMAGIFY_SECRET_KEY": value, "IMAGIFY_DATA": s.data}[name]
		})
		assert.Equal(t, 2, code, "%q", value)
		assert.Contains(t, errs.String(), says, "%q", value)
	}
	errs.Reset()
	out.Reset()
	code = run(t.Context(), []string{"doctor"}, stdio{strings.NewReader(""), &out, &errs}, func(name string) string {
		return map[string]string{"IMAGIFY_DATABASE_URL": "postgres://x/y", "IMAGIFY_DATA": s.data}[name]
	})
	assert.NotEqual(t, 0, code)
	assert.Contains(t, out.String()+errs.String(), "mysql://, sqlite: or mem:", "what is wrong is the scheme, not the key")
}

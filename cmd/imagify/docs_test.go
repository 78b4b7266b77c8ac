package main

import (
	"bytes"
	"cmp"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/cmd/internal/settings"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// root is the repository's folder.
const root = "../.."

// documents returns every Markdown file of the repository, by its path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && d.Name() != ".github") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" || strings.Contains(path, "testdata") {
			return nil
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		docs[rel] = string(b)
		return err
	}))
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "app/GUARANTEES.md"} {
		require.Contains(t, docs, name)
	}
	return docs
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	notID   = regexp.MustCompile(`[^\pL\pN\- ]`)
)

// anchors are the fragments that a document's headings have.
func anchors(doc string) (out []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(doc, ""), -1) {
		out = append(out, strings.ReplaceAll(notID.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

// Every link within the repository leads somewhere.
func TestDocumentsLinks(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	for name, doc := range docs {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(doc, ""), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				u, err := url.Parse(target) // not fetched: a test does not depend on others' hosts
				if assert.NoError(t, err, name) {
					assert.Equal(t, "https", u.Scheme, "%s links to %s", name, m[1])
					assert.Contains(t, u.Host, ".", "%s links to %s", name, m[1])
				}
				continue
			}
			path := name
			if target != "" {
				path = filepath.Join(filepath.Dir(name), target)
				_, err := os.Stat(filepath.Join(root, path))
				assert.NoError(t, err, "%s links to %s", name, m[1])
			}
			if fragment != "" {
				assert.Contains(t, anchors(docs[path]), fragment, "%s links to %s", name, m[1])
			}
		}
	}
	assert.LessOrEqual(t, len(docs["README.md"]), 10<<10, "the README's details belong beside what they are about")
}

// Every command line of imagify that a document shows is one, every make target and every setting exists.
func TestDocumentsCommands(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	var known []string
	for _, s := range settings.All() {
		known = append(known, s.Name)
	}
	known = append(known, clientSettings...)
	var (
		command   = regexp.MustCompile(`(?m)^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\./bin/|docker compose exec \w+ /)?imagify ((?:user|tier|token|serve|demo|migrate|upload|thumbnail|explain|backup|restore|verify|sweep|doctor|ready|version)\b[^#\n|<>]*)`)
		inline    = regexp.MustCompile("`(?:\\./bin/)?imagify ((?:user|tier|token|serve|demo|migrate|upload|thumbnail|explain|backup|restore|verify|sweep|doctor|ready|version)\\b[^`]*)`")
		target    = regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)")
		setting   = regexp.MustCompile(`\bIMAGIFY_[A-Z_]+[A-Z]\b`)
		commands  = 0
		testsOnly = []string{"IMAGIFY_CORPUS", "IMAGIFY_FULL", "IMAGIFY_SCREENSHOTS", "IMAGIFY_BENCH_ROWS"}
	)
	for name, doc := range documents(t) {
		if name == "CHANGELOG.md" {
			continue // it tells of what is gone, too
		}
		lines := inline.FindAllStringSubmatch(doc, -1)
		for _, block := range fence.FindAllString(doc, -1) {
			lines = append(lines, command.FindAllStringSubmatch(block, -1)...)
		}
		for _, m := range lines {
			args := strings.Fields(strings.NewReplacer("…", "", "'", "", `"`, "").Replace(m[1]))
			if last := args[len(args)-1]; last == "list" || len(args) == 1 {
				args = append(args, "--help") // a command that is only named
			}
			k, err := kong.New(&cli{}, kong.Name("imagify"), kong.Exit(func(int) {}), kong.Writers(&bytes.Buffer{}, &bytes.Buffer{}))
			require.NoError(t, err)
			_, err = k.Parse(args)
			if err != nil && (strings.Contains(err.Error(), "expected ") || strings.Contains(err.Error(), "missing flags")) {
				err = nil // named without what it takes
			}
			assert.NoError(t, err, "%s: imagify %s", name, m[1])
			commands++
		}
		for _, m := range target.FindAllStringSubmatch(doc, -1) {
			assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(m[1])+`:`, string(makefile), "%s: make %s", name, m[1])
		}
		for _, s := range setting.FindAllString(doc, -1) {
			assert.True(t, slices.Contains(known, s) || slices.Contains(testsOnly, s), "%s: %s is not a setting", name, s)
		}
	}
	assert.Greater(t, commands, 10)
}

// The command lines of other programs in the documents name files and packages that exist.
func TestDocumentsOtherCommands(t *testing.T) {
	t.Parallel()
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	module := regexp.MustCompile(`(?m)^module (\S+)$`).FindStringSubmatch(string(gomod))[1]
	var (
		goInstall = regexp.MustCompile(`\bgo (?:install|run) ` + regexp.QuoteMeta(module) + `(\S*)@\S+`)
		goPackage = regexp.MustCompile(`\bgo (?:build|run|test|vet|install) (?:-\S+ )*(?:\S+ )*?(\./[\w./-]+)`)
		compose   = regexp.MustCompile(`\bdocker compose (?:\S+ )*?-f (\S+)`)
		docker    = regexp.MustCompile(`\bdocker build (?:-\S+ )*(?:\S+ )*?(\.)(?:\s|$)`)
		template  = regexp.MustCompile(`--template (\S+)`)
		script    = regexp.MustCompile(`(?m)^(?:bash|sh) (\S+\.sh)`)
		tried     = 0
	)
	exists := func(name, line, path string) {
		_, err := os.Stat(filepath.Join(root, strings.TrimSuffix(path, "...")))
		assert.NoError(t, err, "%s: %s", name, line)
		tried++
	}
	for name, doc := range documents(t) {
		if name == "CHANGELOG.md" {
			continue
		}
		for _, e := range []struct {
			re *regexp.Regexp
			in string // relative to the root
		}{{goInstall, ""}, {goPackage, ""}, {compose, ""}, {docker, "Dockerfile"}, {template, ""}, {script, ""}} {
			for _, m := range e.re.FindAllStringSubmatch(doc, -1) {
				exists(name, m[0], cmp.Or(e.in, m[1]))
			}
		}
	}
	assert.GreaterOrEqual(t, tried, 4, "go install, docker build, go test, sam deploy")
}

// The README's lines of library are those of an Example that runs.
func TestReadmeLibrary(t *testing.T) {
	t.Parallel()
	_, rest, found := strings.Cut(documents(t)["README.md"], "```go\n")
	require.True(t, found)
	block, _, _ := strings.Cut(rest, "```")
	example, err := os.ReadFile(filepath.Join(root, "adapters/backends/example_test.go"))
	require.NoError(t, err)
	left := strings.Split(string(example), "\n")
	for line := range strings.Lines(block) {
		line = strings.TrimSuffix(line, "\n")
		i := slices.Index(left, line)
		require.GreaterOrEqual(t, i, 0, "not in the example, or not in this order: %s", line)
		left = left[i+1:]
	}
}

// The README's tour is run as it stands against the demo.
func TestReadmeTour(t *testing.T) {
	readme := documents(t)["README.md"]
	_, rest, found := strings.Cut(readme, "```sh tour\n")
	require.True(t, found)
	script, _, _ := strings.Cut(rest, "```")
	for _, needs := range []string{"bash", "curl", "grep", "cut", "cmp"} {
		realserver.Find(t, needs)
	}
	srv := start(t, []string{"demo", "--addr", "127.0.0.1:0"}, "TMPDIR="+t.TempDir())
	_, after, found := strings.Cut(srv.first, "enterprise  ")
	require.True(t, found, srv.first)
	password, _, _ := strings.Cut(after, " ")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "photo.jpg"), photo(1, 800, 600), 0o600))
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-u", "-o", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "IMAGIFY="+srv.url, "PASSWORD="+password)
	b, err := cmd.CombinedOutput()
	out := string(b)
	require.NoError(t, err, out)
	for _, says := range []string{
		`"thumbnails":{"200":`, `"original":"http`, "your tier does not include thumbnail:400", `"smallest_tier":"PremiumTierUsers"`,
		"Link has expired", `"tiers":[]`, "your tier does not include thumbnail:200",
	} {
		assert.Contains(t, out, says)
	}
	thumbnail, err := os.ReadFile(filepath.Join(dir, "thumbnail.jpg"))
	require.NoError(t, err)
	assert.Equal(t, "\xff\xd8", string(thumbnail[:2]))
}

// The commands of the section on backup and restore are run as they stand.
func TestBackupSection(t *testing.T) {
	_, rest, found := strings.Cut(documents(t)["examples/compose/README.md"], "```sh backup\n")
	require.True(t, found)
	script, _, _ := strings.Cut(rest, "```")
	for _, needs := range []string{"bash", "gzip", "sha256sum"} {
		realserver.Find(t, needs)
	}
	s, bin, dir := newSite(t), t.TempDir(), t.TempDir()
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	status, img := s.serve().upload(anna, photo(1, 100, 100))
	require.Equal(t, 201, status)
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "imagify")))
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-u", "-o", "pipefail", "-c", script)
	cmd.Env = append(os.Environ(), "IMAGIFY_TEST_MAIN=1", "PATH="+bin+":"+os.Getenv("PATH"), "DATA="+s.data, "BACKUP="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, name := range []string{"restored", "elsewhere"} {
		assert.Equal(t, []string{img.ID}, site{t, filepath.Join(dir, name)}.originals())
	}
}

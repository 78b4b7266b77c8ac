package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/cmd/internal/settings"
)

// The test binary is imagify itself when told so: what is started and killed below is the real program.
func TestMain(m *testing.M) {
	if os.Getenv("IMAGIFY_TEST_MAIN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

const (
	adminPassword = "the admin's password"
	userPassword  = "the user's password"
)

// site is a data folder, and the programs that run on it.
type site struct {
	t    *testing.T
	data string
}

// emptySite is one whose server was never started.
func emptySite(t *testing.T) site {
	t.Helper()
	return site{t, filepath.Join(t.TempDir(), "data")}
}

// newSite is one with an installation, whose admin the first 'serve' makes.
func newSite(t *testing.T) site {
	t.Helper()
	s := emptySite(t)
	c, err := settings.Load(s.env)
	require.NoError(t, err)
	b, err := c.Open(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, b.Migrate(t.Context()))
	require.NoError(t, b.Close())
	return s
}

func (s site) env(name string) string {
	return map[string]string{"IMAGIFY_DATA": s.data, "IMAGIFY_ADMIN_PASSWORD": adminPassword}[name]
}

// run runs a command in this process.
func (s site) run(stdin string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	var out, err bytes.Buffer
	code = run(s.t.Context(), args, stdio{strings.NewReader(stdin), &out, &err}, s.env)
	return code, out.String(), err.String()
}

// must runs a command that works and returns what it prints.
func (s site) must(args ...string) string {
	s.t.Helper()
	code, out, errs := s.run("", args...)
	require.Equal(s.t, 0, code, "imagify %s: %s%s", strings.Join(args, " "), out, errs)
	return strings.TrimSpace(out)
}

// user makes a user and returns a token.
func (s site) user(name string, args ...string) string {
	s.t.Helper()
	s.must(append([]string{"user", "create", name}, args...)...)
	return s.must("token", "create", "--user", name)
}

// server is a running imagify.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	first string // what it printed before it listened
}

func (s site) serve(env ...string) *server {
	s.t.Helper()
	return start(s.t, []string{"serve", "--addr", "127.0.0.1:0"}, append([]string{"IMAGIFY_DATA=" + s.data, "IMAGIFY_ADMIN_PASSWORD=" + adminPassword}, env...)...)
}

// start starts the real program and waits until it listens.
func start(t *testing.T, args []string, env ...string) *server {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), append([]string{"IMAGIFY_TEST_MAIN=1"}, env...)...)
	var logs bytes.Buffer
	cmd.Stderr = &logs
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	srv := &server{t: t, cmd: cmd}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the server's log:\n%s", tail(logs.String(), 4000))
		}
	})
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if _, url, ok := strings.Cut(sc.Text(), "listening on "); ok {
			srv.url = url
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return srv
		}
		srv.first += sc.Text() + "\n"
	}
	t.Fatalf("the server did not start: %s", logs.String())
	return nil
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (srv *server) kill() {
	srv.t.Helper()
	require.NoError(srv.t, srv.cmd.Process.Kill())
	_ = srv.cmd.Wait()
}

// stop sends SIGTERM and returns the exit code and how long it took.
func (srv *server) stop() (int, time.Duration) {
	srv.t.Helper()
	began := time.Now()
	require.NoError(srv.t, srv.cmd.Process.Signal(syscall.SIGTERM))
	_ = srv.cmd.Wait()
	return srv.cmd.ProcessState.ExitCode(), time.Since(began)
}

// call makes a request; it fails the test only where the caller looks at its answer.
func call(ctx context.Context, method, url, token string, body []byte, contentType string) (status int, answer []byte, header http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, res.Header, err
}

func (srv *server) json(method, path, token string, body any, into any) int {
	srv.t.Helper()
	var b []byte
	contentType := ""
	if body != nil {
		var err error
		b, err = json.Marshal(body)
		require.NoError(srv.t, err)
		contentType = "application/json"
	}
	status, answer, _, err := call(srv.t.Context(), method, srv.url+path, token, b, contentType)
	require.NoError(srv.t, err)
	if into != nil {
		require.NoError(srv.t, json.Unmarshal(answer, into), "%s", answer)
	}
	return status
}

// imageView is what the tests read of an Image.
type imageView struct {
	ID         string
	Original   string
	Thumbnails map[string]struct {
		URL           string
		Width, Height int
	}
}

func (srv *server) upload(token string, data []byte) (status int, img imageView) {
	srv.t.Helper()
	status, answer, _, err := call(srv.t.Context(), http.MethodPost, srv.url+"/v1/images", token, data, "image/jpeg")
	require.NoError(srv.t, err)
	if status == http.StatusCreated {
		require.NoError(srv.t, json.Unmarshal(answer, &img))
	}
	return status, img
}

// photo draws a JPEG that differs by seed.
func photo(seed, width, height int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(x + seed), uint8(y * 2), uint8(x ^ y + seed*7), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err) // into memory: cannot fail
	}
	return append(b.Bytes(), fmt.Sprint(seed)...) // bytes after the end are kept
}

func TestServe(t *testing.T) {
	s := emptySite(t)
	srv := s.serve("IMAGIFY_ADMIN_PASSWORD=")
	require.Contains(t, srv.first, "password")
	_, after, _ := strings.Cut(srv.first, "with password ")
	password, _, _ := strings.Cut(after, " ")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.url+"/v1/me", nil)
	require.NoError(t, err)
	req.SetBasicAuth("admin", password)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, 200, res.StatusCode)
	info, err := os.Stat(filepath.Join(s.data, "secret.key"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	status, img := srv.upload(anna, photo(1, 640, 480))
	require.Equal(t, 201, status)
	assert.Len(t, img.Thumbnails, 2)
	status, _, _, err = call(t.Context(), http.MethodGet, img.Thumbnails["200"].URL, "", nil, "")
	require.NoError(t, err)
	assert.Equal(t, 200, status)

	// What the command line changes, the running server knows within 2 s (threefold slack).
	s.must("user", "set", "anna", "--tier", "BasicTierUsers")
	require.Eventually(t, func() bool {
		status, _, _, err := call(t.Context(), http.MethodGet, img.Original, "", nil, "")
		return err == nil && status == 403
	}, 6*time.Second, 50*time.Millisecond)
	code, took := srv.stop()
	assert.Equal(t, 0, code)
	assert.Less(t, took, 30*time.Second)

	again := s.serve()
	assert.Empty(t, again.first, "a second start makes nothing and prints no password")
	status, _, _, err = call(t.Context(), http.MethodGet, again.url+"/v1/images/"+img.ID+"/thumbnails/200", anna, nil, "")
	require.NoError(t, err)
	assert.Equal(t, 200, status)
}

func TestServeRefusals(t *testing.T) {
	s := newSite(t)
	srv := s.serve()
	_, port, _ := strings.Cut(strings.TrimPrefix(srv.url, "http://"), ":")
	file := filepath.Join(t.TempDir(), "a-file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"port in use":      {[]string{"serve", "--addr", "127.0.0.1:" + port, "--data", t.TempDir()}, 1, "cannot listen on"},
		"data is a file":   {[]string{"serve", "--addr", "127.0.0.1:0", "--data", file}, 1, file},
		"unknown flag":     {[]string{"serve", "--bogus"}, 2, "unknown flag --bogus"},
		"unknown command":  {[]string{"frobnicate"}, 2, "frobnicate\nrun 'imagify --help'"},
		"no subcommand":    {[]string{"user"}, 2, "run 'imagify user --help'"},
		"argument missing": {[]string{"user", "create"}, 2, "<name>"},
		"bad address":      {[]string{"serve", "--addr", "1.2.3:xx", "--data", t.TempDir()}, 2, "1.2.3:xx"},
		"bad height":       {[]string{"thumbnail", "--height", "0200", "x.jpg"}, 2, "--height 0200"},
		"no such tier":     {[]string{"user", "create", "x", "--tier", "Nope"}, 2, "Nope"},
		"bad permission":   {[]string{"tier", "create", "x", "--permission", "thumbnail:0"}, 2, "permissions[0]"},
		"bad limit":        {[]string{"tier", "create", "x", "--limit", "max_images=many"}, 2, "max_images=many"},
		"no such user":     {[]string{"user", "show", "nobody"}, 1, "no such user"},
		"name taken":       {[]string{"tier", "create", "BasicTierUsers"}, 1, "already"},
		"predefined":       {[]string{"tier", "delete", "BasicTierUsers"}, 1, "predefined"},
		"last admin":       {[]string{"user", "set", "admin", "--no-admin"}, 1, "last active admin"},
		"nothing to set":   {[]string{"user", "set", "admin"}, 2, "nothing to change"},
		"upload, no token": {[]string{"upload", "x.jpg"}, 2, "token"},
		"upload, bad URL":  {[]string{"upload", "--token", "t", "--server", "ftp://x", "x.jpg"}, 2, "--server"},
		"bad action":       {[]string{"explain", "--user", "admin", "--image", "x", "dance"}, 2, "action"},
		"bad image id":     {[]string{"explain", "--user", "admin", "--image", "x", "link"}, 2, "image"},
		"negative age":     {[]string{"sweep", "--min-age=-5m"}, 2, "min-age"},
		"missing file":     {[]string{"thumbnail", "no-such-file.jpg"}, 1, "no-such-file.jpg"},
	} {
		t.Run(name, func(t *testing.T) {
			s := site{t, s.data}
			code, out, errs := s.run("", c.args...)
			assert.Equal(t, c.code, code, "%s%s", out, errs)
			assert.Contains(t, errs, c.says)
			assert.Empty(t, out)
			assert.LessOrEqual(t, strings.Count(errs, "\n"), 2, errs)
		})
	}
	for variable, value := range map[string]string{
		"IMAGIFY_DATABASE_URL": "oracle://x", "IMAGIFY_STORAGE_URL": "no-scheme", "IMAGIFY_REDIS_URL": "redis://localhost", "IMAGIFY_RESIZER_URL": "lambda:x",
		"IMAGIFY_PUBLIC_URL": "img.example.org", "IMAGIFY_CDN_MAX_AGE": "soon", "IMAGIFY_TRUSTED_PROXIES": "everyone", "IMAGIFY_SECRET_KEY": "short",
	} {
		t.Run(variable, func(t *testing.T) {
			var errs bytes.Buffer
			code := run(t.Context(), []string{"doctor"}, stdio{strings.NewReader(""), io.Discard, &errs}, func(name string) string {
				if name == variable {
					return value
				}
				return s.env(name)
			})
			if variable == "IMAGIFY_DATABASE_URL" || variable == "IMAGIFY_REDIS_URL" || variable == "IMAGIFY_RESIZER_URL" {
				assert.NotEqual(t, 0, code)
				return
			}
			assert.Equal(t, 2, code)
			assert.Contains(t, errs.String(), variable)
		})
	}
}

func TestCommands(t *testing.T) {
	s := newSite(t)
	help := []string{"serve", "demo", "migrate up", "user create", "user set", "tier create", "token create", "upload", "thumbnail", "explain", "sweep", "doctor", "version"}
	for _, c := range help {
		assert.Contains(t, s.must(append(strings.Fields(c), "--help")...), "Usage: imagify "+strings.Fields(c)[0])
	}
	assert.Contains(t, s.must(), "Commands:")
	assert.Equal(t, "imagify dev", s.must("version"))
	assert.Contains(t, s.must("tier", "create", "Gold", "--title", "Gold", "--permission", "thumbnail:600", "--limit", "max_images=5", "--limit", "max_pixels=none"), "thumbnail:600")
	assert.Contains(t, s.must("tier", "set", "Gold", "--permission", "thumbnail:640"), "thumbnail:640")
	var tiers []struct{ Name string }
	require.NoError(t, json.Unmarshal([]byte(s.must("tier", "list", "--json")), &tiers))
	assert.Len(t, tiers, 4)
	assert.Contains(t, s.must("tier", "show", "Gold"), "max_pixels")

	code, out, _ := s.run(userPassword+"\n", "user", "create", "anna", "--tier", "Gold", "--password-stdin")
	assert.Equal(t, 0, code)
	assert.Equal(t, "created anna\n", out)
	assert.Contains(t, s.must("user", "create", "ben"), "shown only once")
	var users []struct{ Username string }
	require.NoError(t, json.Unmarshal([]byte(s.must("user", "list", "--json")), &users))
	assert.Len(t, users, 2)
	assert.Contains(t, s.must("user", "list", "--tier", "Gold"), "anna")
	assert.Contains(t, s.must("user", "set", "anna", "--email", "anna@example.org", "--permission", "thumbnail:33"), "thumbnail:33")
	assert.Contains(t, s.must("user", "show", "anna"), "anna@example.org")
	assert.Contains(t, s.must("user", "passwd", "anna"), "shown only once")
	token := s.must("token", "create", "--user", "anna", "--name", "laptop", "--expires-in", "720h")
	assert.Regexp(t, `^imgf_[A-Za-z0-9_-]{32}$`, token)
	var tokens []struct{ ID, Name string }
	require.NoError(t, json.Unmarshal([]byte(s.must("token", "list", "--user", "anna", "--json")), &tokens))
	require.Len(t, tokens, 1)

	srv := s.serve()
	dir := t.TempDir()
	for i := range 3 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("photo%d.jpg", i)), photo(i, 300, 200), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "fake.jpg"), []byte("%PDF-1.7 no picture, but long enough"), 0o600))
	out = s.must("upload", "--server", srv.url, "--token", token, filepath.Join(dir, "photo0.jpg"), filepath.Join(dir, "photo1.jpg"))
	assert.Len(t, strings.Split(out, "\n"), 2)
	code, out, errs := s.run("", "upload", "--json", "--server", srv.url, "--token", token, filepath.Join(dir, "photo2.jpg"), filepath.Join(dir, "fake.jpg"))
	assert.Equal(t, 1, code)
	var up uploaded
	require.NoError(t, json.Unmarshal([]byte(out), &up))
	assert.Contains(t, errs, "the file is PDF, which is not accepted")
	assert.Contains(t, errs, "1 of 2 files were not uploaded")

	assert.Contains(t, s.must("explain", "--user", "anna", "--image", up.ID, "thumbnail:640"), "allowed by tier Gold")
	assert.Contains(t, s.must("explain", "--user", "anna", "--image", up.ID, "original"), "EnterpriseTierUsers")
	assert.Contains(t, s.must("explain", "--user", "ben", "--image", up.ID, "link"), "somebody else's")
	assert.Contains(t, s.must("sweep", "--dry-run"), "would remove: 0 images")
	assert.Contains(t, s.must("sweep", "--json"), `"images_checked": 3`)
	assert.Contains(t, s.must("doctor"), "ok    database")
	assert.Contains(t, s.must("migrate", "status"), "VERSION")
	assert.Contains(t, s.must("migrate", "up"), "up to date")
	assert.Contains(t, s.must("token", "revoke", "--user", "anna", tokens[0].ID), "revoked")
	// The running server knows it within 2 s (threefold slack).
	require.Eventually(t, func() bool {
		code, _, errs := s.run("", "upload", "--server", srv.url, "--token", token, filepath.Join(dir, "photo0.jpg"))
		return code == 1 && strings.Contains(errs, "token")
	}, 6*time.Second, 50*time.Millisecond)
	assert.Contains(t, s.must("tier", "delete", "Gold"), "deleted")
	assert.Contains(t, s.must("user", "delete", "anna"), "deleted")
}

func TestThumbnailCommand(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	in := filepath.Join(dir, "cat.jpg")
	require.NoError(t, os.WriteFile(in, photo(1, 640, 480), 0o600))
	size := func(path string) (int, int) {
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		c, err := jpeg.DecodeConfig(f)
		require.NoError(t, err)
		return c.Width, c.Height
	}
	s.must("thumbnail", "--height", "200", "--height", "100", "-o", filepath.Join(dir, "out"), in)
	w, h := size(filepath.Join(dir, "out", "cat-200.jpg"))
	assert.Equal(t, []int{267, 200}, []int{w, h})
	_, h = size(filepath.Join(dir, "out", "cat-100.jpg"))
	assert.Equal(t, 100, h)
	s.must("thumbnail", "-o", filepath.Join(dir, "small.jpg"), in)
	_, h = size(filepath.Join(dir, "small.jpg"))
	assert.Equal(t, 200, h)
	code, out, errs := s.run(string(photo(2, 640, 480)), "thumbnail", "-o", "-", "-")
	require.Equal(t, 0, code, errs)
	c, err := jpeg.DecodeConfig(strings.NewReader(out))
	require.NoError(t, err)
	assert.Equal(t, 200, c.Height)
	code, _, _ = s.run("", "thumbnail", "-o", "-", in, filepath.Join(dir, "small.jpg"))
	assert.Equal(t, 2, code)
	code, _, errs = s.run("no picture at all", "thumbnail", "-o", filepath.Join(dir, "none.jpg"), "-")
	assert.Equal(t, 1, code)
	assert.NotEmpty(t, errs)
	assert.NoFileExists(t, filepath.Join(dir, "none.jpg"))
}

func TestDemoPictures(t *testing.T) {
	pictures, err := drawPictures(8)
	require.NoError(t, err)
	again, err := drawPictures(8)
	require.NoError(t, err)
	assert.Equal(t, pictures, again, "the same every time")
	for _, p := range pictures {
		_, format, err := image.DecodeConfig(bytes.NewReader(p.data))
		require.NoError(t, err, p.name)
		assert.Contains(t, p.name, map[string]string{"jpeg": ".jpg", "png": ".png"}[format])
	}
}

// .env.example lists exactly the settings that the program reads, with their defaults.
func TestEnvExample(t *testing.T) {
	b, err := os.ReadFile("../../.env.example")
	require.NoError(t, err)
	var got []settings.Setting
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.HasPrefix(name, "IMAGIFY_") {
			got = append(got, settings.Setting{Name: name, Default: value})
		}
	}
	assert.Equal(t, settings.All(), got)
}

package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/imagify-api/imagify/cmd/internal/settings"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// Each backend that is wrong has a line that says what to do, whatever the others are.
func TestDoctorNamesEveryFault(t *testing.T) {
	nobody := realserver.FreeAddr(t)
	env := map[string]string{
		"IMAGIFY_DATA":         t.TempDir(),
		"IMAGIFY_DATABASE_URL": "mysql://me:SECRET@" + nobody + "/imagify",
		"IMAGIFY_STORAGE_URL":  "s3://pictures?region=us-east-1&timeout=500ms&path_style=true&endpoint=http://" + nobody,
		"IMAGIFY_REDIS_URL":    "redis://:SECRET@" + nobody,
		"IMAGIFY_RESIZER_URL":  "local:",
		"IMAGIFY_SECRET_KEY":   "sixteen characters and more",
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "me")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"doctor"}, stdio{strings.NewReader(""), &out, &errs}, func(name string) string { return env[name] })
	assert.Equal(t, 1, code)
	assert.Contains(t, errs.String(), "3 checks failed")
	assert.NotContains(t, out.String()+errs.String(), "SECRET")
	found := map[string]string{}
	for line := range strings.Lines(out.String()) {
		found[strings.TrimSpace(line[6:20])] = line[:4] + line[20:]
	}
	for what, says := range map[string]string{
		"configuration": "ok", "resizer": "ok", "secret key": "ok",
		"database": "check the host", "storage": "check the endpoint", "Redis": "check the host",
	} {
		assert.Contains(t, found[what], says, out.String())
		assert.Equal(t, says != "ok", strings.HasPrefix(found[what], "FAIL"), what)
	}
}

// Without a database there is nothing to keep a key in that all nodes share.
func TestSecretKeyIsRequiredWithASharedDatabase(t *testing.T) {
	for _, command := range []string{"serve", "doctor", "sweep"} {
		var errs bytes.Buffer
		code := run(t.Context(), []string{command}, stdio{strings.NewReader(""), io.Discard, &errs}, func(name string) string {
			return map[string]string{"IMAGIFY_DATABASE_URL": "mysql://me@127.0.0.1/imagify", "IMAGIFY_DATA": t.TempDir()}[name]
		})
		assert.Equal(t, 2, code, command)
		assert.Contains(t, errs.String(), "IMAGIFY_SECRET_KEY", command)
	}
}

func TestReady(t *testing.T) {
	s := newSite(t)
	srv := s.serve()
	assert.Equal(t, "ready", s.must("ready", "--server", srv.url))
	// Where no address is given it is this configuration's own.
	_, port, _ := strings.Cut(strings.TrimPrefix(srv.url, "http://"), ":")
	var out bytes.Buffer
	code := run(t.Context(), []string{"ready"}, stdio{strings.NewReader(""), &out, io.Discard}, func(name string) string {
		if name == "IMAGIFY_ADDR" {
			return "0.0.0.0:" + port
		}
		return s.env(name)
	})
	assert.Equal(t, 0, code)
	assert.Equal(t, "ready\n", out.String())
	srv.kill()
	code, _, errs := s.run("", "ready", "--server", srv.url)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "does not answer")
}

// Of several processes one sweeps at a time: a second waits until the first lets go.
func TestSweepByOneProcess(t *testing.T) {
	s := newSite(t)
	s.must("user", "create", "anna")
	c, err := settings.Load(s.env)
	require.NoError(t, err)
	b, err := c.Open(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer b.Close()
	now := time.Now()
	got, err := b.Records.Leases.Acquire(t.Context(), "sweep", "this process", now, now.Add(time.Minute))
	require.NoError(t, err)
	require.True(t, got)

	other := exec.CommandContext(t.Context(), os.Args[0], "sweep", "--json")
	other.Env = append(os.Environ(), "IMAGIFY_TEST_MAIN=1", "IMAGIFY_DATA="+s.data)
	var out bytes.Buffer
	other.Stdout = &out
	require.NoError(t, other.Start())
	ended := make(chan error, 1)
	go func() { ended <- other.Wait() }()
	select {
	case <-ended:
		t.Fatalf("it swept beside another: %s", out.String())
	case <-time.After(1500 * time.Millisecond):
	}
	require.NoError(t, b.Records.Leases.Release(t.Context(), "sweep", "this process"))
	require.NoError(t, <-ended)
	var report struct{ Busy bool }
	require.NoError(t, json.Unmarshal(out.Bytes(), &report))
	assert.False(t, report.Busy)
}

// While nodes are replaced, those of the version before go on with the newer one's
// schema, and start again on it, unless it says that they cannot.
func TestServeOnANewerSchema(t *testing.T) {
	s := newSite(t)
	token := s.user("anna", "--tier", "EnterpriseTierUsers")
	db, err := sql.Open("sqlite", filepath.Join(s.data, "imagify.db"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, 1)")
	require.NoError(t, err)
	assert.Contains(t, s.must("migrate", "status"), "90000    (newer than this program)")
	assert.Contains(t, s.must("doctor"), "made by a newer program")
	srv := s.serve()
	status, _ := srv.upload(token, photo(1, 64, 64))
	assert.Equal(t, 201, status)
	srv.kill()
	code, _, errs := s.run("", "migrate", "down")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "the program that made them")

	_, err = db.ExecContext(t.Context(), "UPDATE schema_support SET oldest = 90000")
	require.NoError(t, err)
	code, out, errs := s.run("", "serve", "--addr", "127.0.0.1:0")
	assert.Equal(t, 1, code)
	assert.Empty(t, out)
	assert.Contains(t, errs, "a newer one")
	assert.Equal(t, 1, strings.Count(errs, "\n"), errs)
}

package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func environment(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	return map[string]string{
		"IMAGIFY_DATABASE_URL": "sqlite:" + filepath.Join(dir, "imagify.db"), "IMAGIFY_STORAGE_URL": "file:" + filepath.Join(dir, "blobs"),
		"IMAGIFY_SECRET_KEY": "a secret key of the tests", "IMAGIFY_ADMIN_PASSWORD": "admin password", "IMAGIFY_PUBLIC_URL": "https://img.example.org",
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	env := environment(t)
	h, stop, err := New(context.Background(), func(name string) string { return env[name] })
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, stop()) })
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	upload := func(body []byte) (*http.Response, []byte) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/images", bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "image/png")
		r.SetBasicAuth("admin", "admin password")
		res, err := server.Client().Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, got
	}
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 30))))
	res, body := upload(picture.Bytes())
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", body)
	res, body = upload(make([]byte, maxUpload+1))
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode, "%s", body)

	for name, value := range map[string]string{
		"IMAGIFY_DATABASE_URL": "", "IMAGIFY_STORAGE_URL": "", "IMAGIFY_SECRET_KEY": "short", "IMAGIFY_PUBLIC_URL": "x",
		"IMAGIFY_REDIS_URL": "http://x", "IMAGIFY_RESIZER_URL": "lambda:",
	} {
		env := environment(t)
		env[name] = value
		_, _, err := New(context.Background(), func(name string) string { return env[name] })
		assert.Error(t, err, name)
	}
}

// One that cannot start says so, and starts when it can.
func TestHandler(t *testing.T) {
	env := environment(t)
	for name := range env {
		t.Setenv(name, "")
	}
	w := httptest.NewRecorder()
	Handler(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, "5", w.Header().Get("Retry-After"))
	for name, value := range env {
		t.Setenv(name, value)
	}
	for range 2 {
		w = httptest.NewRecorder()
		Handler(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		assert.Equal(t, http.StatusOK, w.Code, w.Body.String())
	}
}

// vercel.json sends every path to the function that is there.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../vercel.json")
	require.NoError(t, err)
	var c struct {
		Schema    string `json:"$schema"`
		Build     struct{ Env map[string]string }
		Functions map[string]struct{ Memory, MaxDuration int }
		Rewrites  []struct{ Source, Destination string }
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&c))
	require.Len(t, c.Functions, 1)
	for path, f := range c.Functions {
		assert.FileExists(t, filepath.Join("..", path))
		assert.Positive(t, f.Memory)
		assert.Positive(t, f.MaxDuration)
	}
	require.Len(t, c.Rewrites, 1)
	assert.Equal(t, "/(.*)", c.Rewrites[0].Source)
	assert.Equal(t, "/api/index", c.Rewrites[0].Destination)
}

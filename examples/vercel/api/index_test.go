package handler

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"image"
	_ "image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// environment is what is set for the function, on servers of its own.
func environment(t *testing.T) map[string]string {
	t.Helper()
	mysql, s3, redis := realserver.StartMySQL(t), realserver.S3(t), realserver.Redis(t)
	db, err := sql.Open("mysql", "root@tcp("+mysql.Addr+")/")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE DATABASE imagify")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return map[string]string{
		"IMAGIFY_DATABASE_URL": mysql.URL("imagify"), "IMAGIFY_REDIS_URL": "redis://" + redis.Addr,
		"IMAGIFY_STORAGE_URL": "s3://" + s3.Bucket(t, "imagify") + "?region=us-east-1&path_style=true&file_keys=true&endpoint=" + s3.URL,
		"IMAGIFY_SECRET_KEY":  "a secret key of the tests", "IMAGIFY_ADMIN_PASSWORD": "admin password", "IMAGIFY_PUBLIC_URL": "https://img.example.org",
		"AWS_ACCESS_KEY_ID": s3.AccessKey, "AWS_SECRET_ACCESS_KEY": s3.SecretKey, "AWS_EC2_METADATA_DISABLED": "true",
	}
}

// The function as Vercel calls it: one that cannot start says so, and starts when it can.
func TestHandler(t *testing.T) {
	env := environment(t)
	for name := range env {
		t.Setenv(name, "")
	}
	w := httptest.NewRecorder()
	Handler(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, "5", w.Header().Get("Retry-After"))
	assert.Contains(t, w.Body.String(), `"code":"unavailable"`)

	for name, value := range env {
		t.Setenv(name, value)
	}
	server := httptest.NewServer(http.HandlerFunc(Handler))
	t.Cleanup(server.Close)
	t.Cleanup(func() { assert.NoError(t, instance.stop()) })
	do := func(who, method, path string, body []byte, header ...string) (*http.Response, []byte) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+strings.TrimPrefix(path, env["IMAGIFY_PUBLIC_URL"]), bytes.NewReader(body))
		require.NoError(t, err)
		if who != "" {
			r.SetBasicAuth(who, who+" password")
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := server.Client().Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, got
	}
	res, body := do("", "GET", "/readyz", nil)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	res, body = do("admin", "POST", "/v1/admin/users", []byte(`{"username":"anna","password":"anna password","tiers":["EnterpriseTierUsers"]}`), "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", body)

	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 400, 300))))
	res, body = do("anna", "POST", "/v1/images", picture.Bytes(), "Content-Type", "image/png")
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", body)
	var img struct {
		ID, Original string
		Thumbnails   map[string]struct{ URL string }
	}
	require.NoError(t, json.Unmarshal(body, &img))
	res, body = do("", "GET", img.Original, nil)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, picture.Bytes(), body)
	res, body = do("", "GET", img.Thumbnails["200"].URL, nil)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	m, _, err := image.Decode(bytes.NewReader(body))
	require.NoError(t, err)
	assert.Equal(t, 200, m.Bounds().Dy())
	res, _ = do("", "GET", "/v1/images/"+img.ID, nil)
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
	res, body = do("anna", "POST", "/v1/images", make([]byte, maxUpload+1), "Content-Type", "image/png")
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	assert.Contains(t, string(body), `"limit":4400000`)

	for name, value := range map[string]string{
		"IMAGIFY_DATABASE_URL": "sqlite:", "IMAGIFY_STORAGE_URL": "file:", "IMAGIFY_SECRET_KEY": "short", "IMAGIFY_PUBLIC_URL": "x",
		"IMAGIFY_REDIS_URL": "http://x", "IMAGIFY_RESIZER_URL": "lambda:",
	} {
		_, _, err := New(context.Background(), func(asked string) string {
			if asked == name {
				return value
			}
			return env[asked]
		})
		assert.Error(t, err, name)
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

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// build builds imagify.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imagify")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "nomsgpack", "-o", path, "github.com/imagify-api/imagify/cmd/imagify")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// request makes a request as a user, or as nobody, and returns the status and the body.
func request(t *testing.T, method, url string, u *user, contentType string, body []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	if u != nil {
		req.SetBasicAuth(u.name, u.password)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, answer
}

// The nodes are one service: what one took the others give, what one forbids the others
// do, and users do not notice that one dies.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := start(t, build(t), "")
	admin, enterprise := &c.users[0], &c.users[len(c.users)-1]

	// More than nginx takes by default; bytes after a picture's end are kept.
	var photo bytes.Buffer
	require.NoError(t, jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 640, 480)), nil))
	photo.Write(make([]byte, 3<<20))
	status, answer := request(t, http.MethodPost, c.nodes[0].url+"/v1/images", enterprise, "image/jpeg", photo.Bytes())
	require.Equal(t, http.StatusCreated, status, "%s", answer)
	status, answer = request(t, http.MethodPost, c.url+"/v1/images", enterprise, "image/jpeg", photo.Bytes())
	require.Equal(t, http.StatusCreated, status, "%s", answer)
	var img struct {
		Original   string
		Thumbnails map[string]struct{ URL string }
	}
	require.NoError(t, json.Unmarshal(answer, &img))
	require.True(t, strings.HasPrefix(img.Original, c.url), "the public URL: %s", img.Original)
	on := func(url string, n *node) string { return n.url + strings.TrimPrefix(url, c.url) }
	for _, n := range c.nodes {
		status, answer = request(t, http.MethodGet, on(img.Original, n), nil, "", nil)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, photo.Bytes(), answer)
	}
	status, _ = request(t, http.MethodGet, img.Thumbnails["400"].URL, nil, "", nil)
	require.Equal(t, http.StatusOK, status)
	status, _ = request(t, http.MethodGet, c.url+"/metrics", nil, "", nil)
	assert.Equal(t, http.StatusNotFound, status, "metrics are not for the outside")

	status, answer = request(t, http.MethodGet, c.nodes[0].url+"/metrics", nil, "", nil)
	require.Equal(t, http.StatusOK, status)
	for _, series := range []string{
		`imagify_backend_call_duration_seconds_count{backend="database",call="select"}`,
		`imagify_backend_call_duration_seconds_count{backend="storage",call="put"}`,
		`imagify_backend_call_duration_seconds_count{backend="redis",call="rate_peek"}`,
		`imagify_database_connections{state="idle"}`,
	} {
		assert.Contains(t, string(answer), series)
	}
	assert.NotContains(t, string(answer), "imagify_backend_failures_total{")

	// A downgrade acts at once where it was made, and within 2 s elsewhere (threefold slack).
	status, _ = request(t, http.MethodPatch, c.nodes[0].url+"/v1/admin/users/"+enterprise.name, admin, "application/json", []byte(`{"tiers":["BasicTierUsers"]}`))
	require.Equal(t, http.StatusOK, status)
	status, _ = request(t, http.MethodGet, on(img.Original, c.nodes[0]), nil, "", nil)
	require.Equal(t, http.StatusForbidden, status)
	for _, n := range c.nodes[1:] {
		require.Eventually(t, func() bool {
			status, _ := request(t, http.MethodGet, on(img.Original, n), nil, "", nil)
			return status == http.StatusForbidden
		}, 6*time.Second, 20*time.Millisecond)
	}

	c.nodes[1].Kill()
	for range 20 {
		status, _ = request(t, http.MethodGet, img.Thumbnails["200"].URL, nil, "", nil)
		require.Equal(t, http.StatusOK, status)
	}
	status, answer = request(t, http.MethodPost, c.url+"/v1/images", enterprise, "image/jpeg", photo.Bytes())
	require.Equal(t, http.StatusCreated, status, "%s", answer)
	c.nodes[1].Restart(t)
	var out bytes.Buffer
	show(&out, c)
	assert.Contains(t, out.String(), c.url)
	assert.Contains(t, out.String(), enterprise.token)
}

// What a host started it stops, whatever ends it.
func TestHosted(t *testing.T) {
	t.Parallel()
	own := errors.New("own")
	for name, c := range map[string]struct {
		fn   func(t testing.TB) error
		want string
	}{
		"its end":    {func(testing.TB) error { return own }, "own"},
		"a failure":  {func(t testing.TB) error { t.Fatalf("no %s", "port"); return nil }, "no port"},
		"a skip":     {func(t testing.TB) error { t.Skipf("%s is missing", "nginx"); return nil }, "nginx is missing"},
		"an error":   {func(t testing.TB) error { t.Fatal(own); return nil }, "own"},
		"its folder": {func(t testing.TB) error { return fmt.Errorf("%d", len(t.TempDir())) }, ""},
	} {
		var stopped []string
		err := hosted(context.Background(), func(t testing.TB) error {
			t.Cleanup(func() { stopped = append(stopped, "first") })
			t.Cleanup(func() { stopped = append(stopped, "second") })
			return c.fn(t)
		})
		require.ErrorContains(t, err, c.want, name)
		assert.Equal(t, []string{"second", "first"}, stopped, name)
	}
}

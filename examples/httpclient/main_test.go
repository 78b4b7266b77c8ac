package main

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	imagify "github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func TestRun(t *testing.T) {
	ctx := context.Background()
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	require.NoError(t, err)
	service, err := imagify.New(imagify.Config{
		Records: memory.NewRecords(memory.Options{}), Blobs: memory.NewBlobs(memory.Options{}), Resizer: resizer,
		RateLimits: memory.NewRateLimits(memory.Options{}), SecretKeys: [][]byte{[]byte("a key for a test")},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, service.Close()) }()
	require.NoError(t, service.BootstrapTiers(ctx))
	api, err := ginapi.New(service, ginapi.Options{})
	require.NoError(t, err)
	server := httptest.NewServer(api)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "cat.jpg")
	var picture bytes.Buffer
	require.NoError(t, jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 640, 480)), nil))
	require.NoError(t, os.WriteFile(file, picture.Bytes(), 0o600))

	root := domain.SystemActor("test")
	for tier, says := range map[string]string{domain.BasicTier: "no link: ", domain.EnterpriseTier: "anybody may see the original until "} {
		_, err := service.CreateUser(ctx, root, tier, imagify.UserChange{Tiers: &[]string{tier}})
		require.NoError(t, err)
		_, token, err := service.CreateTokenFor(ctx, root, tier, "test", 0)
		require.NoError(t, err)
		c := client{server: server.URL, token: token, http: server.Client()}
		var out bytes.Buffer
		require.NoError(t, run(ctx, c, file, &out))
		assert.Contains(t, out.String(), "uploaded cat.jpg as ")
		assert.Contains(t, out.String(), "640 × 480 pixels")
		assert.Contains(t, out.String(), "thumbnail-200.jpg: 267 × 200 pixels")
		assert.Contains(t, out.String(), says)
		thumb, err := os.Open(filepath.Join(filepath.Dir(file), "thumbnail-200.jpg"))
		require.NoError(t, err)
		config, err := jpeg.DecodeConfig(thumb)
		require.NoError(t, err)
		require.NoError(t, thumb.Close())
		assert.Equal(t, 200, config.Height)
		if _, url, ok := strings.Cut(out.String(), "Z: "); ok {
			res, err := http.Get(strings.TrimSpace(url))
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, picture.Bytes(), body)
		}
		// The same file again is the same image.
		require.NoError(t, run(ctx, c, file, io.Discard))
		newest, err := c.list(ctx, 100)
		require.NoError(t, err)
		assert.Len(t, newest, 1)
	}
	err = run(ctx, client{server: server.URL, token: "imgf_wrong", http: server.Client()}, file, io.Discard)
	var p problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, "unauthenticated", p.Code)
	assert.NotEmpty(t, p.RequestID)
}

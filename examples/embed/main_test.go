package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the program prints at its first start is enough to sign in, beside its own routes; and it ends when it is told to.
func TestEmbed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	ended, folder := make(chan error, 1), t.TempDir()
	go func() { ended <- serve(ctx, l, folder, &out) }()
	url := "http://" + l.Addr().String()
	get := func(path, password string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		require.NoError(t, err)
		if password != "" {
			req.SetBasicAuth("admin", password)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	for path, want := range map[string]int{"/hello": 200, "/healthz": 200, "/v1/me": 401} {
		assert.Equal(t, want, get(path, ""), path)
	}
	password := regexp.MustCompile(`password (\S+)`).FindStringSubmatch(out.String()) // it was written before the first answer
	require.NotNil(t, password)
	assert.Equal(t, 200, get("/v1/me", password[1]))
	http.DefaultClient.CloseIdleConnections()
	stop()
	assert.NoError(t, <-ended)
}

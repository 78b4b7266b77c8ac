package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEmbed(t *testing.T) {
	h, err := newHandler(t.Context(), t.TempDir())
	require.NoError(t, err)
	s := httptest.NewServer(h)
	defer s.Close()
	for path, want := range map[string]int{"/hello": 200, "/healthz": 200, "/v1/me": 401} {
		res, err := http.Get(s.URL + path)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, want, res.StatusCode, path)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/me", nil)
	require.NoError(t, err)
	req.SetBasicAuth("admin", "change me, please")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, 200, res.StatusCode)
}

package ginapi_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/ginapi"
)

// A public URL is one that browsers write as an origin, or it is refused.
func TestParsePublicURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://img.example.org":      "https://img.example.org",
		"HTTPS://Img.Example.ORG:443/": "https://img.example.org",
		"http://img.example.org:80":    "http://img.example.org",
		"https://img.example.org:80":   "https://img.example.org:80",
		"http://[2001:DB8::1]:8080":    "http://[2001:db8::1]:8080",
		"https://[2001:db8::443]":      "https://[2001:db8::443]",
	} {
		got, err := ginapi.ParsePublicURL(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{
		"", "img.example.org", "ftp://img.example.org", "https://", "https://:443", "https://img.example.org/path", "https://img.example.org?x", "https://img.example.org#x",
		"https://me@img.example.org", "https://img example.org", "https:img.example.org", "https://a/../b",
	} {
		_, err := ginapi.ParsePublicURL(text)
		assert.ErrorContains(t, err, "https://host", text)
	}
}

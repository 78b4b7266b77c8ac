package web_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/ginapi/pages/web"
)

func TestWordsForNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1024: "1 KiB", 1536: "1.5 KiB", 52428800: "50 MiB", 1 << 30: "1 GiB", 5 << 50: "5 PiB"} {
		assert.Equal(t, want, web.Bytes(n))
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u202f000", -1234567: "-1\u202f234\u202f567"} {
		assert.Equal(t, want, web.Number(n))
	}
	for n, want := range map[int64]string{0: "0 seconds", 1: "1 second", 90: "1 minute 30 seconds", 3600: "1 hour", 30000: "8 hours 20 minutes", 86400: "1 day"} {
		assert.Equal(t, want, web.Duration(n))
	}
}

func TestUnknownPage(t *testing.T) {
	t.Parallel()
	s, err := web.Load()
	require.NoError(t, err)
	require.Error(t, s.Render(io.Discard, "none", "layout", nil))
	assert.Nil(t, s.Asset("style.css"))
}

package settings

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

func TestSizesOfSettings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "100M": 100_000_000, "100 M": 100_000_000, "256MiB": 256 << 20, "256mib": 256 << 20, "2GB": 2_000_000_000, "1k": 1000, "7B": 7,
	} {
		got, err := parseSize("IMAGIFY_X", text, "256MiB")
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"0", "-1", "MiB", "1.5G", "1TiB", "1 0", "M1", "9223372036854775807K", "1MiBB"} {
		_, err := parseSize("IMAGIFY_X", text, "256MiB")
		require.ErrorIs(t, err, domain.Invalid, text)
		assert.Contains(t, err.Error(), "IMAGIFY_X")
	}
}

// The caps come from the settings, and what they are by default is what everybody has had.
func TestCapsAreSettings(t *testing.T) {
	t.Parallel()
	load := func(set map[string]string) (Config, error) {
		return Load(func(name string) string { return set[name] })
	}
	c, err := load(nil)
	require.NoError(t, err)
	assert.Equal(t, []int64{256 << 20, 100_000_000, 512 << 20, 256 << 20}, []int64{c.MaxUpload, c.MaxPixels, c.Memory, c.MinFree})
	c, err = load(map[string]string{"IMAGIFY_MAX_UPLOAD": "1GiB", "IMAGIFY_MAX_PIXELS": "200M", "IMAGIFY_MEMORY": "2GiB", "IMAGIFY_MIN_FREE": "1", "IMAGIFY_SPOOL": "/var/spool"})
	require.NoError(t, err)
	c.Database, c.Storage = "mem:", "mem:"
	b, err := c.Open(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer b.Close()
	assert.EqualValues(t, 1<<30, b.Caps.UploadBytes)
	assert.EqualValues(t, 200_000_000, b.Caps.Pixels)
	assert.EqualValues(t, 1, b.Caps.MinFree)
	assert.Equal(t, "/var/spool", b.SpoolDir)
	for _, name := range []string{"IMAGIFY_MAX_UPLOAD", "IMAGIFY_MAX_PIXELS", "IMAGIFY_MEMORY", "IMAGIFY_MIN_FREE"} {
		_, err := load(map[string]string{name: "much"})
		require.ErrorIs(t, err, domain.Invalid)
		assert.Contains(t, err.Error(), name)
	}
	_, err = load(map[string]string{"IMAGIFY_MEMORY": "1MiB"})
	assert.ErrorIs(t, err, domain.Invalid)
}

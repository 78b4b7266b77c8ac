package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/cmd/internal/settings"
	"github.com/imagify-api/imagify/ports"
)

// TestTrashFlags lists, puts back and empties the trash by the command's flags.
func TestTrashFlags(t *testing.T) {
	s := newSite(t)
	s.must("user", "create", "anna")
	s.must("sweep", "--min-age", "0") // the first one makes the installation's id
	c, err := settings.Load(s.env)
	require.NoError(t, err)
	b, err := c.Open(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	const orphan = "images/0190c7a2-0000-7000-8000-000000000000/0190c7a2-0000-7000-8000-000000000001/original"
	require.NoError(t, b.Blobs.Put(t.Context(), orphan, strings.NewReader("bytes"), ports.PutOptions{Size: 5}))
	require.NoError(t, b.Close())

	assert.Contains(t, s.must("sweep", "--list-trash"), "0 blobs in the trash, 0 bytes")
	assert.Contains(t, s.must("sweep", "--min-age", "0"), "moved to the trash: 1 blobs")
	assert.Contains(t, s.must("sweep", "--list-trash"), orphan)
	assert.Contains(t, s.must("sweep", "--list-trash", "--json"), `"size": 5`)
	assert.Contains(t, s.must("sweep", "--restore", orphan), "restored 1 blobs")
	assert.Contains(t, s.must("sweep", "--list-trash"), "1 blobs in the trash", "it was copied back: its place in the trash ends by time")
	assert.Contains(t, s.must("sweep", "--min-age", "0"), "moved to the trash: 1 blobs")
	code, _, errs := s.run("", "sweep", "--empty-trash")
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "--yes")
	assert.Contains(t, s.must("sweep", "--list-trash"), "1 blobs in the trash, 5 bytes", "nothing is emptied unasked")
	assert.Contains(t, s.must("sweep", "--empty-trash", "--yes"), "permanently deleted 1 blobs")
	assert.Contains(t, s.must("sweep", "--list-trash"), "0 blobs in the trash")
	code, _, errs = s.run("", "sweep", "--list-trash", "--restore", "all")
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "cannot be combined")
}

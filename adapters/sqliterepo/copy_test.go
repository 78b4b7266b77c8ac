package sqliterepo

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A copy is whole and of one moment while others write; only its owner can read it, and one
// that fails or is given up leaves no file.
func TestCopyTo(t *testing.T) {
	db := fresh(t)
	ctx, stop := context.WithCancel(t.Context())
	owner := newID()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_, _ = upload(ctx, db, owner) // the last is cut short
		}
	})
	defer wg.Wait()
	defer stop()
	dir := t.TempDir()
	last := int64(0)
	for range 10 {
		path := filepath.Join(dir, "copy.db")
		require.NoError(t, db.CopyTo(t.Context(), path))
		assert.ErrorIs(t, db.CopyTo(t.Context(), path), fs.ErrExist)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
		c, err := Open(t.Context(), path, Options{Rollback: true})
		require.NoError(t, err)
		require.NoError(t, c.QuickCheck(t.Context()))
		var images int64
		require.NoError(t, c.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM images").Scan(&images))
		u, err := c.Records().Images.Usage(t.Context(), owner)
		require.NoError(t, err)
		assert.Equal(t, images, u.Images, "both are written in one transaction")
		assert.GreaterOrEqual(t, images, last)
		last = images
		require.NoError(t, c.Close())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, entries, 1, "no log beside it")
		require.NoError(t, os.Remove(path))
	}
	ended, end := context.WithCancel(t.Context())
	end()
	assert.Error(t, db.CopyTo(ended, filepath.Join(dir, "copy.db")))
	assert.Error(t, db.CopyTo(t.Context(), filepath.Join(dir, "none", "copy.db")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)

	// What SQLite finds wrong is told.
	path := filepath.Join(dir, "damaged.db")
	require.NoError(t, db.CopyTo(t.Context(), path))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := 8 * 4096; at < 12*4096; at += 4096 {
		copy(b[at:], make([]byte, 2048))
	}
	require.NoError(t, os.WriteFile(path, b, 0o600))
	c, err := Open(t.Context(), path, Options{Rollback: true})
	require.NoError(t, err)
	assert.ErrorContains(t, c.QuickCheck(t.Context()), "damaged")
	require.NoError(t, c.Close())
}

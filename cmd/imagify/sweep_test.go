package main

import (
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/cmd/internal/settings"
	"github.com/imagify-api/imagify/domain"
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

// An upload that began while its owner was being deleted, and whose node died then, leaves nothing: its key neither.
func TestSweepTakesKeysOfUsersThatAreGone(t *testing.T) {
	s := newSite(t)
	s.must("user", "create", "anna")
	c, err := settings.Load(s.env)
	require.NoError(t, err)
	b, err := c.Open(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	anna, err := b.Records.Accounts.UserByName(t.Context(), "anna")
	require.NoError(t, err)
	then := time.Now().Add(-time.Hour)
	for i, owner := range []domain.ID{anna.ID, domain.FirstIDAt(then)} {
		u := ports.Upload{
			ImageID: domain.FirstIDAt(then.Add(time.Duration(i) * time.Second)), OwnerID: owner, UploadedAt: then,
			LeaseUntil: then.Add(time.Second), Key: domain.SecretHash{1},
		}
		_, err := b.Records.Images.BeginUpload(t.Context(), u, then)
		require.NoError(t, err)
	}
	require.NoError(t, b.Close())
	s.must("sweep", "--min-age", "0")
	db, err := sql.Open("sqlite", filepath.Join(s.data, "imagify.db"))
	require.NoError(t, err)
	defer db.Close()
	count := func(query string, args ...any) (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
		return n
	}
	assert.Zero(t, count("SELECT COUNT(*) FROM unfinished"))
	assert.Equal(t, 1, count("SELECT COUNT(*) FROM idempotency"), "a user who is there may repeat the upload")
	assert.Equal(t, 1, count("SELECT COUNT(*) FROM idempotency WHERE owner_id = ?", anna.ID[:]))
}

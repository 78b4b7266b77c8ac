package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Of each image that the copy of the database names, a backup has the original: one that was
// deleted meanwhile is not in the copy any more, one in the trash is found there, and one that
// the store has lost or damaged is named.
func TestBackup(t *testing.T) {
	db, err := sqliterepo.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), sqliterepo.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.MigrateUp(t.Context())
	require.NoError(t, err)
	w := newWorld(t, func(c *app.Config) { c.Records = db.Records() })
	anna := w.user("anna", domain.EnterpriseTier)
	key := func(img domain.Image) string {
		return "images/" + img.OwnerID.String() + "/" + img.ID.String() + "/original"
	}
	stays, had, goes, trashed, lost, damaged := w.upload(anna), w.upload(anna), w.upload(anna), w.upload(anna), w.upload(anna), w.upload(anna)
	require.NoError(t, w.blobs.Move(t.Context(), key(trashed), "trash/"+key(trashed)))
	require.NoError(t, w.blobs.Delete(t.Context(), key(lost)))
	other := make([]byte, damaged.Size)
	require.NoError(t, w.blobs.Put(t.Context(), key(damaged), bytes.NewReader(other), ports.PutOptions{Size: damaged.Size}))

	var copied *sqliterepo.DB
	put := map[string][32]byte{}
	committed := 0
	target := app.BackupTarget{
		Copy: func(ctx context.Context) (ports.Records, error) {
			path := filepath.Join(t.TempDir(), "copy.db")
			if err := db.CopyTo(ctx, path); err != nil {
				return ports.Records{}, err
			}
			assert.Error(t, db.CopyTo(ctx, path), "nothing is written over")
			if copied != nil {
				require.NoError(t, copied.Close())
			}
			if copied, err = sqliterepo.Open(ctx, path, sqliterepo.Options{Rollback: true}); err != nil {
				return ports.Records{}, err
			}
			if err := w.svc.DeleteImage(ctx, anna, goes.ID); err != nil && !errors.Is(err, domain.NotFound) {
				return ports.Records{}, err
			}
			r, err := w.svc.Backup(ctx, w.root, app.BackupTarget{})
			assert.True(t, r.Busy, "one at a time")
			return copied.Records(), err
		},
		Has: func(k string, size int64, sum [32]byte) (bool, error) {
			return k == key(had) && size == had.Size && sum == had.SHA256, nil
		},
		Put: func(k string, size int64, sum [32]byte, body io.ReadSeeker) error {
			n, err := io.Copy(io.Discard, body)
			if err == nil {
				assert.Equal(t, size, n)
				put[k] = sum
			}
			return err
		},
		Commit: func(_ context.Context, r app.BackupReport) error {
			committed++
			assert.False(t, r.Installation.IsZero())
			return copied.QuickCheck(t.Context())
		},
	}
	r, err := w.svc.Backup(t.Context(), w.root, target)
	require.NoError(t, err)
	assert.Equal(t, 1, committed)
	assert.Contains(t, put, ports.InstallationKey)
	delete(put, ports.InstallationKey)
	assert.Equal(t, map[string][32]byte{key(stays): stays.SHA256, key(trashed): trashed.SHA256}, put)
	assert.Equal(t, []int{6, 3, 2, 1}, []int{r.Of, r.Images, r.New, r.Deleted})
	assert.Equal(t, stays.Size+had.Size+trashed.Size, r.Bytes)
	assert.ElementsMatch(t, []domain.ID{lost.ID, damaged.ID}, r.Missing)
	_, err = copied.Records().Images.State(t.Context(), goes.OwnerID, goes.ID)
	assert.ErrorIs(t, err, domain.NotFound)
	usage, err := copied.Records().Images.Usage(t.Context(), anna.User.ID)
	require.NoError(t, err)
	assert.Equal(t, domain.Usage{Images: 5, Bytes: r.Bytes + lost.Size + damaged.Size}, usage)

	// Where the target fails there is no backup, and the next one is not kept out.
	full := errors.New("no space")
	put, target.Put = nil, func(string, int64, [32]byte, io.ReadSeeker) error { return full }
	_, err = w.svc.Backup(t.Context(), w.root, target)
	assert.ErrorIs(t, err, full)
	assert.Equal(t, 1, committed)
	_, err = w.svc.Backup(t.Context(), anna, target)
	assert.ErrorIs(t, err, domain.Denied)
	require.NoError(t, copied.Close())
}

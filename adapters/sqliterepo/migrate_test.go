package sqliterepo

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

func schemaOf(t *testing.T, db *DB) []string {
	t.Helper()
	rows, err := db.read.DB.QueryContext(t.Context(), "SELECT name || ': ' || COALESCE(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%' ORDER BY name")
	require.NoError(t, err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		require.NoError(t, rows.Scan(&s))
		out = append(out, s)
	}
	require.NoError(t, rows.Err())
	return out
}

func TestMigrateUpDownUp(t *testing.T) {
	t.Parallel()
	db := openAt(t, filepath.Join(t.TempDir(), "a.db"), Options{})
	status, err := db.MigrationStatus(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, status)
	for _, m := range status {
		assert.True(t, m.AppliedAt.IsZero(), m.Name)
	}
	up, err := db.MigrateUp(t.Context())
	require.NoError(t, err)
	require.Len(t, up, len(status))
	full := schemaOf(t, db)
	_, err = upload(t.Context(), db, domain.ID{1})
	require.NoError(t, err)

	_, err = db.write.ExecContext(t.Context(), "DELETE FROM change_versions WHERE shard = 5")
	require.NoError(t, err)
	again, err := db.MigrateUp(t.Context())
	require.NoError(t, err)
	assert.Empty(t, again)
	var rows int
	require.NoError(t, db.read.NewRaw("SELECT COUNT(*) FROM change_versions").Scan(t.Context(), &rows))
	assert.Equal(t, 16, rows, "a start puts right what is missing of the feed")
	status, err = db.MigrationStatus(t.Context())
	require.NoError(t, err)
	for i, m := range status {
		assert.False(t, m.AppliedAt.IsZero(), m.Name)
		assert.WithinDuration(t, time.Now(), m.AppliedAt, time.Hour)
		assert.Equal(t, up[i].Version, m.Version)
		assert.Equal(t, up[i].Name, m.Name)
	}

	last := status[len(status)-1]
	down, err := db.MigrateDown(t.Context(), last.Version-1)
	require.NoError(t, err)
	require.Len(t, down, 1)
	assert.Equal(t, last.Name, down[0].Name)
	down, err = db.MigrateDown(t.Context(), 0)
	require.NoError(t, err)
	assert.Len(t, down, len(status)-1)
	assert.Empty(t, schemaOf(t, db), "every step is taken back whole")

	_, err = db.MigrateUp(t.Context())
	require.NoError(t, err)
	assert.Equal(t, full, schemaOf(t, db))
	usage, err := db.Records().Images.Usage(t.Context(), domain.ID{1})
	require.NoError(t, err)
	assert.Zero(t, usage)
}

// Several handles and processes start at once on an empty folder.
func TestMigrateConcurrently(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	one, _ := startChild(t, "migrate", path)
	two, _ := startChild(t, "migrate", path)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := Open(t.Context(), path, Options{BusyTimeout: time.Minute})
			if assert.NoError(t, err) {
				_, err = db.MigrateUp(t.Context())
				assert.NoError(t, err)
				assert.NoError(t, db.Close())
			}
		})
	}
	wg.Wait()
	require.NoError(t, one.Wait())
	require.NoError(t, two.Wait())
	db := openAt(t, path, Options{})
	status, err := db.MigrationStatus(t.Context())
	require.NoError(t, err)
	for _, m := range status {
		assert.False(t, m.AppliedAt.IsZero(), m.Name)
	}
	require.NoError(t, countUp(t.Context(), db, 1))
}

// A newer program's schema is lived with unless it says that it needs a newer one.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := freshPath(t)
	db := openAt(t, path, Options{})
	_, err := db.write.DB.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, 1)")
	require.NoError(t, err)
	beside := openAt(t, path, Options{})
	done, err := beside.MigrateUp(t.Context())
	require.NoError(t, err)
	assert.Empty(t, done)
	status, err := beside.MigrationStatus(t.Context())
	require.NoError(t, err)
	newest := status[len(status)-1]
	assert.EqualValues(t, 90000, newest.Version)
	assert.True(t, newest.Newer)
	assert.False(t, newest.AppliedAt.IsZero())
	_, err = upload(t.Context(), beside, domain.ID{1})
	require.NoError(t, err)
	_, err = beside.MigrateDown(t.Context(), 0)
	require.ErrorContains(t, err, "a newer one")

	_, err = db.write.DB.ExecContext(t.Context(), "UPDATE schema_support SET oldest = 90000")
	require.NoError(t, err)
	_, err = Open(t.Context(), path, Options{})
	require.ErrorContains(t, err, "schema version 90000")
	_, err = db.MigrateUp(t.Context())
	require.ErrorContains(t, err, "a newer one")
}

// A migration waits for another process's, and stops waiting with its context.
func TestMigrateWaits(t *testing.T) {
	t.Parallel()
	path := freshPath(t)
	one, two := openAt(t, path, Options{}), openAt(t, path, Options{})
	err := one.migrating(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := two.MigrateUp(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		return nil
	})
	require.NoError(t, err)
	_, err = two.MigrateUp(t.Context())
	require.NoError(t, err)
}

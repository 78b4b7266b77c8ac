package mysqlrepo

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMigrateUpDownUp(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		db := s.open(t, s.empty(t), Options{})
		status, err := db.MigrationStatus(ctx)
		require.NoError(t, err)
		require.NotEmpty(t, status)
		for _, m := range status {
			assert.True(t, m.AppliedAt.IsZero(), m.Name)
		}
		up, err := db.MigrateUp(ctx)
		require.NoError(t, err)
		require.Len(t, up, len(status))
		again, err := db.MigrateUp(ctx)
		require.NoError(t, err)
		assert.Empty(t, again)
		status, err = db.MigrationStatus(ctx)
		require.NoError(t, err)
		for i, m := range status {
			assert.WithinDuration(t, time.Now(), m.AppliedAt, time.Hour, m.Name)
			assert.Equal(t, up[i].Version, m.Version)
			assert.Equal(t, up[i].Name, m.Name)
		}
		down, err := db.MigrateDown(ctx, 0)
		require.NoError(t, err)
		assert.Len(t, down, len(status))
		var tables int
		require.NoError(t, db.db.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"+
			" AND table_name NOT LIKE 'goose%' AND table_name <> 'migration_lease'").Scan(&tables))
		assert.Zero(t, tables, "every step is taken back whole")

		// A node that died after a step and before it noted so: the step is run again.
		all, err := steps()
		require.NoError(t, err)
		for _, st := range all[:7] {
			_, err := db.db.DB.ExecContext(ctx, st.up)
			require.NoError(t, err)
		}
		up, err = db.MigrateUp(ctx)
		require.NoError(t, err)
		assert.Len(t, up, len(all))
		_, err = upload(ctx, db, newID())
		require.NoError(t, err)
		feed, err := db.Records().Changes.Since(ctx, 0)
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), feed.Now, time.Minute)

		_, err = db.db.DB.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, 1)")
		require.NoError(t, err)
		_, err = db.MigrateUp(ctx)
		require.ErrorContains(t, err, "a newer one")
	})
}

// Several nodes start at once on an empty database.
func TestMigrateConcurrently(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		address := s.empty(t)
		var mu sync.Mutex
		total := 0
		var wg sync.WaitGroup
		for range 3 {
			db := s.open(t, address, Options{MaxConns: 4})
			wg.Go(func() {
				done, err := db.MigrateUp(t.Context())
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				total += len(done)
			})
		}
		wg.Wait()
		all, err := steps()
		require.NoError(t, err)
		assert.Equal(t, len(all), total, "each step was applied once")
	})
}

// A migration waits for another node's, stops waiting with its context, and goes
// on once the lease of a node that died has lapsed.
func TestMigrateWaits(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		address := s.empty(t)
		one, two := s.open(t, address, Options{}), s.open(t, address, Options{})
		require.NoError(t, one.migrating(t.Context(), func(context.Context, *goose.Provider) error {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := two.MigrateUp(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			return nil
		}))
		// In place of the row that the one that gave up may have left: its last statement can outlive it.
		_, err := one.db.DB.ExecContext(t.Context(), "REPLACE INTO migration_lease (id, holder, lease_until) VALUES (1, 'dead', "+clock+" - 1)")
		require.NoError(t, err)
		_, err = two.MigrateUp(t.Context())
		require.NoError(t, err)
	})
}

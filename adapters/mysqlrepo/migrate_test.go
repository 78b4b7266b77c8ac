package mysqlrepo

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

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
		for _, m := range status[:7] {
			up, _ := statementsOf(t, m.Name)
			_, err := db.db.DB.ExecContext(ctx, up)
			require.NoError(t, err)
		}
		up, err = db.MigrateUp(ctx)
		require.NoError(t, err)
		assert.Len(t, up, len(status))
		_, err = upload(ctx, db, newID())
		require.NoError(t, err)
		feed, err := db.Records().Changes.Since(ctx, "")
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), feed.Now, time.Minute)
	})
}

// statementsOf are a step's two statements.
func statementsOf(t testing.TB, name string) (up, down string) {
	t.Helper()
	text, err := migrations.ReadFile("migrations/" + name)
	require.NoError(t, err)
	up, down, found := strings.Cut(string(text), "-- +goose Down\n")
	require.True(t, found, name)
	return up, down
}

// Two versions of the program run on one schema while nodes are replaced: a newer
// one's schema is lived with unless it says that it needs a newer program.
func TestNewerSchema(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		address := s.empty(t)
		newer := s.open(t, address, Options{})
		_, err := newer.MigrateUp(ctx)
		require.NoError(t, err)
		for _, expand := range []string{
			"ALTER TABLE images ADD COLUMN caption VARBINARY(255) NOT NULL DEFAULT ''",
			"CREATE TABLE albums (owner_id BINARY(16) NOT NULL, id BINARY(16) NOT NULL, PRIMARY KEY (owner_id, id))",
			"INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, 1)",
		} {
			_, err := newer.db.DB.ExecContext(ctx, expand)
			require.NoError(t, err)
		}
		db := s.open(t, address, Options{})
		done, err := db.MigrateUp(ctx)
		require.NoError(t, err)
		assert.Empty(t, done)
		status, err := db.MigrationStatus(ctx)
		require.NoError(t, err)
		newest := status[len(status)-1]
		assert.EqualValues(t, 90000, newest.Version)
		assert.True(t, newest.Newer)
		img, err := upload(ctx, db, newID())
		require.NoError(t, err)
		_, err = newer.Records().Images.Get(ctx, img.OwnerID, img.ID)
		require.NoError(t, err)
		_, err = db.MigrateDown(ctx, 0)
		require.ErrorContains(t, err, "a newer one")

		_, err = newer.db.DB.ExecContext(ctx, "UPDATE schema_support SET oldest = 90000")
		require.NoError(t, err)
		_, err = Open(ctx, address, Options{})
		require.ErrorContains(t, err, "schema version 90000")
		_, err = db.MigrateUp(ctx)
		require.ErrorContains(t, err, "a newer one")
	})
}

// A process that is killed in the middle of a migration leaves what the next start
// goes on with.
func TestMigrateAfterKill(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		address := s.empty(t)
		db := s.open(t, address, Options{})
		status, err := db.MigrationStatus(t.Context())
		require.NoError(t, err)
		noted := func() (n int) {
			// No such table at first.
			_ = db.db.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM goose_db_version WHERE version_id > 0").Scan(&n)
			return n
		}
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), migrateEnv+"="+address)
		require.NoError(t, child.Start())
		for noted() < 3 {
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, child.Process.Kill())
		_ = child.Wait()
		done, err := db.MigrateUp(t.Context())
		require.NoError(t, err)
		assert.NotEmpty(t, done)
		assert.LessOrEqual(t, len(done), len(status)-3, "what was done is not done again")
		assert.Equal(t, len(status), noted())
		_, err = upload(t.Context(), db, newID())
		require.NoError(t, err)
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
		all, err := migrations.ReadDir("migrations")
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
		require.NoError(t, one.migrating(t.Context(), func(context.Context) error {
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

package mysqlrepo

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// migrateEnv has the test's program migrate the database at its value, and do nothing else.
const migrateEnv = "IMAGIFY_TEST_MIGRATE"

func TestMain(m *testing.M) {
	if address := os.Getenv(migrateEnv); address != "" {
		db, err := Open(context.Background(), address, Options{})
		if err == nil {
			_, err = db.MigrateUp(context.Background())
		}
		if err != nil {
			panic(err)
		}
		return
	}
	if address := os.Getenv(busyEnv); address != "" {
		if err := busy(address); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// server is a real server and its databases.
type server struct {
	*realserver.MySQL
	admin *sql.DB

	mu   sync.Mutex
	free []string // addresses of databases that no test uses now
}

var starters = map[string]func(testing.TB) *realserver.MySQL{
	"MySQL": realserver.StartMySQL, "MariaDB": realserver.StartMariaDB,
}

// servers runs a test on MySQL and on MariaDB.
func servers(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for name, start := range starters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newServer(t, start(t)))
		})
	}
}

func newServer(t testing.TB, running *realserver.MySQL) *server {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "tcp", running.Addr
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	s := &server{MySQL: running, admin: sql.OpenDB(connector)}
	t.Cleanup(func() { assert.NoError(t, s.admin.Close()) })
	return s
}

var databases atomic.Int64

// empty is the address of a new database without tables.
func (s *server) empty(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	_, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return s.URL(name)
}

func (s *server) open(t testing.TB, address string, o Options) *DB {
	t.Helper()
	db, err := Open(context.Background(), address, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// fresh is a database with the whole schema and no records. Databases are used
// again, because making one takes the servers half a second.
func (s *server) fresh(t testing.TB, hooks ...bun.QueryHook) *DB {
	t.Helper()
	s.mu.Lock()
	var address string
	if n := len(s.free); n > 0 {
		address, s.free = s.free[n-1], s.free[:n-1]
	}
	s.mu.Unlock()
	if address == "" {
		address = s.empty(t)
	}
	t.Cleanup(func() { // after the handle is closed
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free = append(s.free, address)
	})
	db := s.open(t, address, Options{Hooks: hooks, MaxConns: 12})
	_, err := db.MigrateUp(context.Background())
	require.NoError(t, err)
	wipe(t, db)
	return db
}

func wipe(t testing.TB, db *DB) {
	t.Helper()
	tx, err := db.db.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for _, table := range []string{
		"tiers", "users", "user_tiers", "changes", "audit", "images", "image_owners", "unfinished", "usages", "idempotency",
		"links", "owner_links", "link_owners", "sessions", "tokens", "leases", "change_entries", "receipts", "installation",
	} {
		_, err := tx.ExecContext(t.Context(), "DELETE FROM "+table)
		require.NoError(t, err)
	}
	_, err = tx.ExecContext(t.Context(), "UPDATE change_versions SET version = 0, prev = NULL, stamp = FLOOR(1 + RAND() * 4611686018427387904)")
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE feed_state SET mark = 0")
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE change_version SET version = 0")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
}

func newID() domain.ID { return domain.ID(uuid.Must(uuid.NewV7())) }

// ownerOf makes an active user of an id, unless there is one.
func ownerOf(ctx context.Context, db *DB, id domain.ID) error {
	_, err := db.Records().Accounts.User(ctx, id)
	if domain.CodeOf(err) != domain.NotFound {
		return err
	}
	return db.Records().Accounts.Change(ctx, func(tx ports.AccountsTx) error {
		return tx.SaveUser(ctx, domain.User{ID: id, Username: id.String(), IsActive: true})
	})
}

func upload(ctx context.Context, db *DB, owner domain.ID) (domain.Image, error) {
	if err := ownerOf(ctx, db, owner); err != nil {
		return domain.Image{}, err
	}
	now := time.Now()
	u := ports.Upload{ImageID: newID(), OwnerID: owner, UploadedAt: now, LeaseUntil: now.Add(time.Minute)}
	if _, err := db.Records().Images.BeginUpload(ctx, u, now); err != nil {
		return domain.Image{}, err
	}
	img := domain.Image{ID: u.ImageID, OwnerID: owner, Size: 10, ImageInfo: domain.ImageInfo{Format: domain.PNG, Width: 1, Height: 1, Frames: 1}}
	return img, db.Records().Images.CommitUpload(ctx, u, img, ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit})
}

func TestRecords(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		porttest.Records(t, func(t *testing.T) ports.Records { return s.fresh(t).Records() })
	})
}

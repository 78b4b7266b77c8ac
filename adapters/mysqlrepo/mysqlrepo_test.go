package mysqlrepo

import (
	"context"
	"database/sql"
	"fmt"
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

// server is a real server with a database that has the schema already.
type server struct {
	*realserver.MySQL
	admin *sql.DB
}

// servers runs a test on MySQL and on MariaDB.
func servers(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *realserver.MySQL{
		"MySQL": realserver.StartMySQL, "MariaDB": realserver.StartMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newServer(t, start(t)))
		})
	}
}

func newServer(t testing.TB, real *realserver.MySQL) *server {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "tcp", real.Addr
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	require.NoError(t, err)
	s := &server{MySQL: real, admin: sql.OpenDB(connector)}
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

// fresh is a new database with the whole schema.
func (s *server) fresh(t testing.TB, hooks ...bun.QueryHook) *DB {
	t.Helper()
	db := s.open(t, s.empty(t), Options{Hooks: hooks, MaxConns: 12})
	_, err := db.MigrateUp(context.Background())
	require.NoError(t, err)
	return db
}

func newID() domain.ID { return domain.ID(uuid.Must(uuid.NewV7())) }

func upload(ctx context.Context, db *DB, owner domain.ID) (domain.Image, error) {
	now := time.Now()
	u := ports.Upload{ImageID: newID(), OwnerID: owner, UploadedAt: now, LeaseUntil: now.Add(time.Minute)}
	if _, err := db.Records().Uploads.Begin(ctx, u, now); err != nil {
		return domain.Image{}, err
	}
	img := domain.Image{ID: u.ImageID, OwnerID: owner, Size: 10, ImageInfo: domain.ImageInfo{Format: domain.PNG, Width: 1, Height: 1, Frames: 1}}
	return img, db.Records().Uploads.Commit(ctx, u, img, ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit})
}

func TestRecords(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		porttest.Records(t, func(t *testing.T) ports.Records { return s.fresh(t).Records() })
	})
}

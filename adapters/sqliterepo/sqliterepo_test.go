package sqliterepo

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"modernc.org/sqlite"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// childRole makes this test program the other process of a test.
const childRole = "IMAGIFY_SQLITEREPO_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := child(role, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(role, path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path, Options{BusyTimeout: time.Minute})
	if err != nil {
		return err
	}
	defer db.Close()
	switch role {
	case "count":
		return countUp(ctx, db, 25)
	case "migrate":
		_, err := db.MigrateUp(ctx)
		return err
	case "upload":
		for {
			img, err := upload(ctx, db, domain.ID{1})
			if err != nil {
				return err
			}
			fmt.Println(img.ID)
		}
	}
	return errors.New("no such role: " + role)
}

func startChild(t *testing.T, role, path string) (*exec.Cmd, io.Reader) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, path)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, out
}

// emptySchema is a migrated database without records, made once.
var emptySchema = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "imagify-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "imagify.db")
	db, err := Open(context.Background(), path, Options{})
	if err != nil {
		return nil, err
	}
	_, err = db.MigrateUp(context.Background())
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// freshPath is the path of a fresh migrated database.
func freshPath(t testing.TB) string {
	t.Helper()
	content, err := emptySchema()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "imagify.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func openAt(t testing.TB, path string, o Options) *DB {
	t.Helper()
	db, err := Open(context.Background(), path, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func fresh(t testing.TB, hooks ...bun.QueryHook) *DB {
	t.Helper()
	return openAt(t, freshPath(t), Options{Hooks: hooks})
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

// countUp reads and writes a number in each of n changes: exact only if changes are serial.
func countUp(ctx context.Context, db *DB, n int) error {
	for range n {
		err := db.Records().Accounts.Change(ctx, func(tx ports.AccountsTx) error {
			t, err := tx.Tier(ctx, "counter")
			if errors.Is(err, domain.NotFound) {
				t, err = domain.Tier{Name: "counter", Title: "0"}, nil
			}
			if err != nil {
				return err
			}
			was, err := strconv.Atoi(t.Title)
			if err != nil {
				return err
			}
			t.Title = strconv.Itoa(was + 1)
			return tx.SaveTier(ctx, t)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Two processes and two handles of one process write at once; nothing is lost and nobody is turned away.
func TestChangesAreSerialAcrossProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	path := freshPath(t)
	one, two := openAt(t, path, Options{BusyTimeout: time.Minute}), openAt(t, path, Options{BusyTimeout: time.Minute})
	before, err := one.Records().Changes.Since(t.Context(), "")
	require.NoError(t, err)
	var children []*exec.Cmd
	for range 2 {
		c, _ := startChild(t, "count", path)
		children = append(children, c)
	}
	var wg sync.WaitGroup
	for _, db := range []*DB{one, two, one, two} {
		wg.Go(func() { assert.NoError(t, countUp(t.Context(), db, 10)) })
	}
	wg.Wait()
	for _, c := range children {
		require.NoError(t, c.Wait())
	}
	tier, err := one.Records().Accounts.Tier(t.Context(), "counter")
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(4*10+2*25), tier.Title)
	feed, err := two.Records().Changes.Since(t.Context(), before.Cursor)
	require.NoError(t, err)
	assert.False(t, feed.Lost)
	assert.Len(t, feed.Entries, 4*10+2*25, "no version is missing")
}

func TestPromise(t *testing.T) {
	t.Parallel()
	t.Run("D1", promiseD1)
}

// What was acknowledged before a SIGKILL is there after it, whole.
func promiseD1(t *testing.T) {
	t.Parallel()
	rounds := 3
	if os.Getenv("IMAGIFY_FULL") != "" {
		rounds = 50
	}
	path := freshPath(t)
	var acknowledged []domain.ID
	for range rounds {
		cmd, out := startChild(t, "upload", path)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			id, err := domain.ParseID(lines.Text())
			require.NoError(t, err)
			acknowledged = append(acknowledged, id)
			if n == 20 {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")
	}
	db := openAt(t, path, Options{})
	for _, id := range acknowledged {
		_, err := db.Records().Images.Get(t.Context(), domain.ID{1}, id)
		require.NoError(t, err)
	}
	usage, err := db.Records().Images.Usage(t.Context(), domain.ID{1})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, usage.Images, int64(len(acknowledged)))
	assert.Equal(t, usage.Images*10, usage.Bytes)
	var rows int64
	require.NoError(t, db.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM images").Scan(&rows))
	assert.Equal(t, rows, usage.Images)
	var intact string
	require.NoError(t, db.read.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&intact))
	assert.Equal(t, "ok", intact)
}

// Every connection of both pools keeps the promise of durability, not only the first.
func TestPragmasOnEveryConnection(t *testing.T) {
	t.Parallel()
	db := openAt(t, freshPath(t), Options{Readers: 3, BusyTimeout: 1234 * time.Millisecond})
	want := map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "0", "busy_timeout": "1234", "trusted_schema": "0",
		"fullfsync": "1", "checkpoint_fullfsync": "1", "temp_store": "2", "cache_size": "-8192",
	}
	for _, pool := range []struct {
		name      string
		db        *sql.DB
		conns     int
		queryOnly string
	}{
		{"writer", db.write.DB, 1, "0"},
		{"readers", db.read.DB, 3, "1"},
	} {
		want["query_only"] = pool.queryOnly
		for i := range pool.conns { // held until the end, so that each is another one
			conn, err := pool.db.Conn(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			for pragma, value := range want {
				var got string
				require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
				assert.Equalf(t, value, got, "%s %d: %s", pool.name, i, pragma)
			}
		}
		assert.Equal(t, pool.conns, pool.db.Stats().MaxOpenConnections)
	}
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits there")
	}
	path := filepath.Join(t.TempDir(), "data", "deeper", "a b%3f#?.db")
	db := openAt(t, path, Options{})
	_, err := db.MigrateUp(t.Context())
	require.NoError(t, err)
	require.NoError(t, db.Ping(t.Context()))
	for name, mode := range map[string]os.FileMode{
		path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o700,
	} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), name)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, e := range entries {
		assert.True(t, strings.HasPrefix(e.Name(), filepath.Base(path)), "left behind: %s", e.Name())
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, []byte("x"), 0o600))
	garbage := filepath.Join(dir, "garbage.db")
	require.NoError(t, os.WriteFile(garbage, []byte(strings.Repeat("not a database", 100)), 0o600))
	for name, c := range map[string]struct {
		path string
		o    Options
		says string
	}{
		"no path":          {"", Options{}, "not the path of a file"},
		"memory":           {":memory:", Options{}, "not the path of a file"},
		"negative timeout": {filepath.Join(dir, "a.db"), Options{BusyTimeout: -1}, "negative"},
		"negative readers": {filepath.Join(dir, "a.db"), Options{Readers: -1}, "negative"},
		"folder is a file": {filepath.Join(plain, "a.db"), Options{}, "choose a folder that can be written"},
		"not a database":   {garbage, Options{}, garbage},
		"a folder":         {dir, Options{}, dir},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), c.path, c.o)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("every folder can be written here")
	}
	dir := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(dir, 0o500))
	_, err := Open(t.Context(), filepath.Join(dir, "a.db"), Options{})
	require.ErrorContains(t, err, "choose a folder that can be written")
	require.ErrorIs(t, err, os.ErrPermission)
}

// A writer that cannot get the lock in time is told to try again, and reads go on meanwhile.
func TestBusyIsUnavailable(t *testing.T) {
	t.Parallel()
	path := freshPath(t)
	holder, db := openAt(t, path, Options{}), openAt(t, path, Options{BusyTimeout: 20 * time.Millisecond})
	tx, err := holder.write.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	calls := map[string]func() error{
		"one statement": func() error {
			return db.Records().Accounts.CreateSession(t.Context(), domain.Session{Hash: domain.SecretHash{1}}, 0)
		},
		"a transaction": func() error { return countUp(t.Context(), db, 1) },
	}
	for name, call := range calls {
		err := call()
		require.Error(t, err, name)
		assert.Equal(t, domain.Unavailable, domain.CodeOf(err), name)
		assert.Positive(t, domain.AsError(err).RetryAfter, name)
		assert.NotContains(t, domain.AsError(err).Msg, "SQL")
		assert.True(t, isBusy(err), name)
	}
	_, err = db.Records().Accounts.Tiers(t.Context())
	assert.NoError(t, err)
	require.NoError(t, tx.Rollback())
	assert.NoError(t, calls["a transaction"]())
}

func TestClosedIsNoAnswer(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), freshPath(t), Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.Error(t, db.Ping(t.Context()))
	_, err = db.Records().Images.Get(t.Context(), domain.ID{1}, domain.ID{2})
	require.Error(t, err)
	assert.NotErrorIs(t, err, domain.NotFound)
	_, err = db.MigrateUp(t.Context())
	require.Error(t, err)
}

// Before the schema is there, nothing answers as if it were empty.
func TestWithoutSchema(t *testing.T) {
	t.Parallel()
	db := openAt(t, filepath.Join(t.TempDir(), "a.db"), Options{})
	_, err := db.Records().Images.Usage(t.Context(), domain.ID{1})
	require.ErrorContains(t, err, "no such table")
	assert.Equal(t, domain.Internal, domain.CodeOf(err))
	require.NoError(t, db.Ping(t.Context()))
}

func TestNowIsTheClockOfTheFeed(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.FixedZone("", 3600))
	db := openAt(t, freshPath(t), Options{Now: func() time.Time { return at }})
	feed, err := db.Records().Changes.Since(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, at.UTC().Truncate(time.Microsecond), feed.Now)
}

// The driver gives no public way to make its errors, so each is provoked.
func TestClassify(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	assert.Equal(t, bunrepo.Other, classify(errors.New("another")))
	for query, want := range map[string]bunrepo.Class{
		"INSERT INTO change_version (id, version) VALUES (1, 5)":    bunrepo.Duplicate,
		"INSERT INTO change_version (id, version) VALUES (2, NULL)": bunrepo.Other,
		"SELECT nonsense": bunrepo.Other,
	} {
		_, err := db.write.DB.ExecContext(t.Context(), query)
		require.Error(t, err)
		assert.Equal(t, want, classify(fmt.Errorf("wrapped: %w", err)), query)
	}
	_, err := db.read.DB.ExecContext(t.Context(), "DELETE FROM tiers")
	var e *sqlite.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, bunrepo.Unavailable, classify(err), "a file that cannot be written")
}

func TestDataSource(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(dataSource("/a b/?#%.db", "_pragma=x(1)"))
	require.NoError(t, err)
	assert.Equal(t, "/a b/?#%.db", u.Path)
	assert.Equal(t, "_pragma=x(1)", u.RawQuery)
	assert.Equal(t, "file:///C:/data/a.db", dataSource("C:/data/a.db"))
}

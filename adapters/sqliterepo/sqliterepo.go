// Package sqliterepo keeps imagify's records in one SQLite file: the embedded
// default, for one machine. Several processes (a server and the command line) may
// use the file at once.
package sqliterepo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
	"github.com/imagify-api/imagify/ports"
)

// Options is how to open a database. The zero value is right for most.
type Options struct {
	// Now is the clock by which every node judges expiry; nil: time.Now.
	Now func() time.Time
	// BusyTimeout is how long a statement waits for another process's write; 0: 5 s.
	BusyTimeout time.Duration
	// Readers is how many connections read at once; 0: twice the processors, at least 4.
	Readers int
	// Hooks see every statement, for metrics and traces.
	Hooks []bun.QueryHook
	// Rollback keeps a rollback journal in place of a write-ahead log: for a file that one
	// process works on, such as a copy, also where the file system shares no memory (a network's).
	Rollback bool
}

// DB is an open database. Writes go through one connection, one after the
// other; reads run beside them on others.
type DB struct {
	path    string
	options Options
	write   *bun.DB
	read    *bun.DB
	schema  *bunrepo.Schema
	records ports.Records
}

// Open opens the database file at path, making it (mode 0600) and its folder
// (mode 0700) if they are missing. The schema is MigrateUp's business; a file whose
// schema is newer than this program is refused where it says that it needs a newer one.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	switch {
	case path == "" || strings.HasPrefix(path, ":"):
		return nil, fmt.Errorf("sqlite: %q is not the path of a file", path)
	case o.BusyTimeout < 0:
		return nil, fmt.Errorf("sqlite: a busy timeout of %v is negative", o.BusyTimeout)
	case o.Readers < 0:
		return nil, fmt.Errorf("sqlite: %d readers: the number must not be negative", o.Readers)
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Readers == 0 {
		o.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if err := makeFile(path); err != nil {
		return nil, fmt.Errorf("sqlite: cannot make the database %s: %w; choose a folder that can be written, or change its permissions", path, err)
	}
	db := &DB{path: path, options: o}
	// The writer begins its transactions with the write lock, so that none fails
	// half-way because another process wrote in between.
	if db.write, err = open(path, o, 1, "_txlock=immediate"); err != nil {
		return nil, err
	}
	if db.read, err = open(path, o, o.Readers, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	if db.schema, err = newSchema(db.write.DB); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), db.Close())
	}
	if err := db.check(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.records = bunrepo.New(db.write, bunrepo.Options{Read: db.read, Classify: classify, Now: o.Now})
	return db, nil
}

// makeFile makes an empty file that only its owner can read, as SQLite itself
// would not. It never opens a file that exists: closing it would drop the locks
// that SQLite holds on it in this process.
func makeFile(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*.db") // mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(f.Sync(), f.Close())
	if err == nil {
		// A link shows the file under its name once it is closed, and never replaces one.
		if err = os.Link(f.Name(), path); errors.Is(err, os.ErrExist) {
			err = nil
		}
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// dataSource names a file to the driver.
func dataSource(path string, params ...string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // file:///C:/…
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: strings.Join(params, "&")}).String()
}

func open(path string, o Options, conns int, extra string) (*bun.DB, error) {
	journal := "WAL"
	if o.Rollback {
		journal = "DELETE"
	}
	connector, err := sqlite.NewConnector(dataSource(path,
		"_pragma=busy_timeout("+strconv.FormatInt(o.BusyTimeout.Milliseconds(), 10)+")",
		"_pragma=journal_mode("+journal+")",
		// FULL: what was committed outlives the loss of power, not only of the process.
		"_pragma=synchronous(FULL)",
		"_pragma=fullfsync(1)", // the same on macOS, where fsync alone does not reach the disk
		"_pragma=checkpoint_fullfsync(1)",
		"_pragma=foreign_keys(0)",
		"_pragma=trusted_schema(0)",
		"_pragma=temp_store(MEMORY)",
		"_pragma=cache_size(-8192)",    // KiB, a connection
		"_pragma=mmap_size(268435456)", // bytes
		"_pragma=journal_size_limit(67108864)",
		extra,
	))
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db := bun.NewDB(pool, sqlitedialect.New())
	return db.WithQueryHook(bunrepo.Hooks(o.Hooks)), nil
}

// Records returns the record ports.
func (db *DB) Records() ports.Records { return db.records }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.read.QueryRowContext(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1").Scan(&one); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("sqlite: %s: %w", db.path, err)
	}
	return nil
}

// PoolStats tells what the connections that read do.
func (db *DB) PoolStats() sql.DBStats { return db.read.Stats() }

// Close closes the database once its running statements are done.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }

// isBusy reports whether another connection or process has the lock.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// IsUnavailable reports whether an error of a statement, as Options.Hooks see it, means that
// the database did not answer.
func IsUnavailable(err error) bool { return bunrepo.IsUnavailable(classify, err) }

// classify tells what an error of SQLite means (https://sqlite.org/rescode.html).
func classify(err error) bunrepo.Class {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return bunrepo.Other
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return bunrepo.Duplicate
	}
	switch e.Code() & 0xff { // the primary code of an extended one
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL:
		// Busy has waited its time already: the caller may try again, not this package.
		return bunrepo.Unavailable
	}
	return bunrepo.Other
}

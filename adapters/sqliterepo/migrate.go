package sqliterepo

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration = bunrepo.Migration

// MigrateUp brings the schema to this program's version and returns the steps
// that it applied. Of several processes one at a time migrates, the others wait;
// one that dies leaves a whole number of steps and no lock.
func (db *DB) MigrateUp(ctx context.Context) (done []Migration, err error) {
	err = db.migrating(ctx, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		done = migrated(results)
		return err
	})
	return done, err
}

// MigrateDown takes back the steps above the given version, newest first; 0
// takes back all, and with them every record. It returns the steps taken back.
func (db *DB) MigrateDown(ctx context.Context, version int64) (done []Migration, err error) {
	err = db.migrating(ctx, func(p *goose.Provider) error {
		results, err := p.DownTo(ctx, version)
		done = migrated(results)
		return err
	})
	return done, err
}

// MigrationStatus returns every step of the schema, oldest first.
func (db *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	p, err := db.provider()
	if err != nil {
		return nil, err
	}
	found, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlite: migrations of %s: %w", db.path, err)
	}
	out := make([]Migration, len(found))
	for i, s := range found {
		out[i] = Migration{Version: s.Source.Version, Name: path.Base(s.Source.Path), AppliedAt: s.AppliedAt.UTC()}
	}
	return out, nil
}

func migrated(results []*goose.MigrationResult) []Migration {
	out := make([]Migration, len(results))
	for i, r := range results {
		out[i] = Migration{Version: r.Source.Version, Name: path.Base(r.Source.Path)}
	}
	return out
}

func (db *DB) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.write.DB, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return p, nil
}

// migrating runs fn while no other process migrates. The lock is SQLite's own
// on an empty database beside the file, so it ends with the process that holds it.
func (db *DB) migrating(ctx context.Context, fn func(*goose.Provider) error) (err error) {
	failed := func(err error) error { return fmt.Errorf("sqlite: migrate %s: %w", db.path, err) }
	lockPath := db.path + ".migrating"
	if err := makeFile(lockPath); err != nil {
		return failed(err)
	}
	connector, err := sqlite.NewConnector(dataSource(lockPath, "_pragma=busy_timeout(100)", "_txlock=exclusive"))
	if err != nil {
		return failed(err)
	}
	locks := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, locks.Close()) }()
	tx, err := locks.BeginTx(ctx, nil)
	for isBusy(err) && ctx.Err() == nil {
		tx, err = locks.BeginTx(ctx, nil)
	}
	if ctx.Err() != nil {
		err = ctx.Err() // rather than that another process had the lock
	}
	if err != nil {
		return failed(err)
	}
	defer tx.Rollback() //nolint:errcheck // it wrote nothing, and closing ends it too
	if err := db.check(ctx); err != nil {
		return err
	}
	p, err := db.provider()
	if err != nil {
		return err
	}
	if err := fn(p); err != nil {
		return failed(err)
	}
	return nil
}

// check refuses a schema that is newer than this program.
func (db *DB) check(ctx context.Context) error {
	var tables int
	err := db.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", goose.DefaultTablename).Scan(&tables)
	if err != nil {
		return fmt.Errorf("sqlite: cannot read %s: %w; check that it is a database of imagify's, and that this user may write it and its folder", db.path, err)
	}
	if tables == 0 {
		return nil
	}
	var have sql.NullInt64
	if err := db.read.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+goose.DefaultTablename+" WHERE is_applied").Scan(&have); err != nil {
		return fmt.Errorf("sqlite: cannot read the schema's version in %s: %w", db.path, err)
	}
	p, err := db.provider()
	if err != nil {
		return err
	}
	sources := p.ListSources()
	if known := sources[len(sources)-1].Version; have.Int64 > known {
		return fmt.Errorf("sqlite: %s has schema version %d and this program knows versions up to %d only: use the program that made it, or a newer one", db.path, have.Int64, known)
	}
	return nil
}

package sqliterepo

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration = bunrepo.Migration

func newSchema(write *sql.DB) (*bunrepo.Schema, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return bunrepo.NewSchema(write, bunrepo.SchemaOptions{
		Dialect: goose.DialectSQLite3, Files: files,
		HasTable: "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?",
	})
}

// MigrateUp brings the schema to this program's version and returns the steps
// that it applied. Of several processes one at a time migrates, the others wait;
// one that dies leaves a whole number of steps and no lock.
func (db *DB) MigrateUp(ctx context.Context) (done []Migration, err error) {
	err = db.migrating(ctx, func() error {
		if done, err = db.schema.Up(ctx); err != nil {
			return err
		}
		return bunrepo.MendFeed(ctx, db.records)
	})
	return done, err
}

// MigrateDown takes back the steps above the given version, newest first; 0
// takes back all, and with them every record. It returns the steps taken back.
func (db *DB) MigrateDown(ctx context.Context, version int64) (done []Migration, err error) {
	err = db.migrating(ctx, func() error {
		done, err = db.schema.Down(ctx, version)
		return err
	})
	return done, err
}

// MigrationStatus returns every step of the schema, oldest first, and at its end those
// of a newer program.
func (db *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	out, err := db.schema.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlite: migrations of %s: %w", db.path, err)
	}
	return out, nil
}

// migrating runs fn while no other process migrates. The lock is SQLite's own
// on an empty database beside the file, so it ends with the process that holds it.
func (db *DB) migrating(ctx context.Context, fn func() error) (err error) {
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
	if err := fn(); err != nil {
		return failed(err)
	}
	return nil
}

// check refuses a schema that this program cannot live with.
func (db *DB) check(ctx context.Context) error {
	err := db.schema.Check(ctx)
	var unreadable *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unreadable):
		return fmt.Errorf("sqlite: cannot read %s: %w; check that it is a database of imagify's, and that this user may write it and its folder", db.path, err)
	}
	return fmt.Errorf("sqlite: %s: %w", db.path, err)
}

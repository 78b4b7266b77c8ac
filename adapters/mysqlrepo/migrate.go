package mysqlrepo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
)

// A file holds one statement a direction, because MySQL commits after each DDL
// statement: a node that dies leaves a whole number of steps, or one that was
// done and is not noted yet, which is harmless to run again (apply). A change is made
// in steps that the nodes of the version before can live with: expand first,
// contract a release later.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration = bunrepo.Migration

// MigrateUp brings the schema to this program's version and returns the steps
// that it applied. Of several nodes one at a time migrates, the others wait; after
// one that died they go on within migrationLease. Nodes may run meanwhile.
func (db *DB) MigrateUp(ctx context.Context) (done []Migration, err error) {
	err = db.migrating(ctx, func(ctx context.Context, p *goose.Provider) error {
		results, err := p.Up(ctx)
		done = migrated(results)
		return err
	})
	return done, err
}

// MigrateDown takes back the steps above the given version, newest first; 0
// takes back all, and with them every record. It returns the steps taken back.
func (db *DB) MigrateDown(ctx context.Context, version int64) (done []Migration, err error) {
	err = db.migrating(ctx, func(ctx context.Context, p *goose.Provider) error {
		results, err := p.DownTo(ctx, version)
		done = migrated(results)
		return err
	})
	return done, err
}

// MigrationStatus returns every step of the schema, oldest first.
func (db *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	out, err := steps()
	if err != nil {
		return nil, err
	}
	rows, err := db.patient.QueryContext(ctx, "SELECT version_id, tstamp FROM "+goose.DefaultTablename+" WHERE is_applied")
	if is(err, errNoTable) {
		return migrationsOf(out), nil
	}
	if err != nil {
		return nil, fmt.Errorf("mysql: migrations of %s: %w", db.name, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err has told
	applied := make(map[int64]time.Time)
	for rows.Next() {
		var version int64
		var at time.Time
		if err := rows.Scan(&version, &at); err != nil {
			return nil, fmt.Errorf("mysql: migrations of %s: %w", db.name, err)
		}
		applied[version] = at.UTC()
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("mysql: migrations of %s: %w", db.name, err)
	}
	for i := range out {
		out[i].AppliedAt = applied[out[i].Version]
	}
	return migrationsOf(out), nil
}

// step is a migration with its statements.
type step struct {
	Migration
	up, down string
}

func migrationsOf(all []step) []Migration {
	out := make([]Migration, len(all))
	for i, s := range all {
		out[i] = s.Migration
	}
	return out
}

// steps reads the files, in their order.
func steps() ([]step, error) {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	out := make([]step, len(files))
	for i, f := range files {
		text, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("mysql: %w", err)
		}
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		up, down, found := strings.Cut(strings.TrimPrefix(string(text), "-- +goose Up\n"), "\n-- +goose Down\n")
		if err != nil || !found {
			return nil, fmt.Errorf("mysql: migration %s has no number or no way down", f.Name())
		}
		out[i] = step{Migration: Migration{Version: version, Name: f.Name()}, up: up, down: down}
	}
	return out, nil
}

func migrated(results []*goose.MigrationResult) []Migration {
	names := make(map[int64]string)
	all, _ := steps() // read before without an error
	for _, s := range all {
		names[s.Version] = s.Name
	}
	out := make([]Migration, len(results))
	for i, r := range results {
		out[i] = Migration{Version: r.Source.Version, Name: names[r.Source.Version]}
	}
	return out
}

// apply runs a step's statement. That it was done already is no error: its node
// died before it could note so.
func apply(statement string) *goose.GoFunc {
	return &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, statement)
		if is(err, errDuplicateColumn, errDuplicateKeyName, errCannotDrop) {
			return nil
		}
		return err
	}}
}

func is(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}

func (db *DB) provider() (*goose.Provider, error) {
	all, err := steps()
	if err != nil {
		return nil, err
	}
	gos := make([]*goose.Migration, len(all))
	for i, s := range all {
		gos[i] = goose.NewGoMigration(s.Version, apply(s.up), apply(s.down))
	}
	p, err := goose.NewProvider(goose.DialectMySQL, db.patient, nil, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(gos...))
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	return p, nil
}

const (
	// migrationLease is for how long a node that migrates keeps the others out
	// without a sign of life.
	migrationLease = 15 * time.Second
	migrationRenew = migrationLease / 5
	migrationPoll  = 50 * time.Millisecond
)

// migrating runs fn while no other node migrates. The lock is a row with a lease:
// GET_LOCK is a connection's own, and Vitess may change the connection.
func (db *DB) migrating(ctx context.Context, fn func(context.Context, *goose.Provider) error) (err error) {
	failed := func(err error) error { return fmt.Errorf("mysql: migrate %s: %w", db.name, err) }
	const table = "CREATE TABLE IF NOT EXISTS migration_lease (id INT NOT NULL, holder VARBINARY(64) NOT NULL," +
		" lease_until BIGINT NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB"
	if _, err := db.patient.ExecContext(ctx, table); err != nil {
		return failed(err)
	}
	holder := rand.Text()
	for {
		got, err := db.lease(ctx, holder)
		if err != nil {
			return failed(err)
		}
		if got {
			break
		}
		select {
		case <-ctx.Done():
			return failed(fmt.Errorf("another node migrates: %w", ctx.Err()))
		case <-time.After(migrationPoll):
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		db.keepLease(ctx, cancel, holder)
	}()
	defer func() {
		cancel(nil)
		<-kept
		free, stop := context.WithTimeout(context.WithoutCancel(ctx), migrationRenew)
		defer stop()
		// Where this fails the lease ends by itself.
		_, _ = db.patient.ExecContext(free, "DELETE FROM migration_lease WHERE id = 1 AND holder = ?", holder)
	}()
	if err := db.check(ctx); err != nil {
		return err
	}
	p, err := db.provider()
	if err != nil {
		return err
	}
	if err := fn(ctx, p); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = errors.Join(err, cause)
		}
		return failed(err)
	}
	return nil
}

// lease takes or renews the right to migrate and reports whether this holder has it.
func (db *DB) lease(ctx context.Context, holder string) (bool, error) {
	const until = clock + " + ?"
	res, err := db.patient.ExecContext(ctx, "UPDATE migration_lease SET holder = ?, lease_until = "+until+
		" WHERE id = 1 AND (holder = ? OR lease_until < "+clock+")", holder, migrationLease.Microseconds(), holder)
	if is(err, errDeadlock, errLockWait) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err == nil, err
	}
	_, err = db.patient.ExecContext(ctx, "INSERT INTO migration_lease (id, holder, lease_until) VALUES (1, ?, "+until+")",
		holder, migrationLease.Microseconds())
	if is(err, errDuplicate, errDeadlock, errLockWait) {
		return false, nil
	}
	return err == nil, err
}

// keepLease renews the lease until ctx ends, and ends ctx if the lease is lost.
func (db *DB) keepLease(ctx context.Context, cancel context.CancelCauseFunc, holder string) {
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(migrationRenew):
		}
		began := time.Now()
		res, err := db.patient.ExecContext(ctx, "UPDATE migration_lease SET lease_until = "+clock+" + ? WHERE id = 1 AND holder = ?",
			migrationLease.Microseconds(), holder)
		var n int64
		if err == nil {
			n, err = res.RowsAffected()
		}
		switch {
		case err == nil && n == 0, time.Since(last) > migrationLease-migrationRenew:
			cancel(errors.New("the migration took so long to answer that another node may have begun: run it again"))
			return
		case err == nil:
			last = began
		}
	}
}

// check refuses a schema that is newer than this program.
func (db *DB) check(ctx context.Context) error {
	var have sql.NullInt64
	err := db.patient.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+goose.DefaultTablename+" WHERE is_applied").Scan(&have)
	if is(err, errNoTable) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mysql: cannot read the schema's version of %s: %w", db.name, err)
	}
	all, err := steps()
	if err != nil {
		return err
	}
	if known := all[len(all)-1].Version; have.Int64 > known {
		return fmt.Errorf("mysql: %s has schema version %d and this program knows versions up to %d only: use the program that made it, or a newer one", db.name, have.Int64, known)
	}
	return nil
}

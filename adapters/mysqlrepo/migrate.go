package mysqlrepo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
)

// A file holds one statement a direction, because MySQL commits after each DDL
// statement: a node that dies leaves a whole number of steps, or one that was
// done and is not noted yet, which is harmless to run again.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration = bunrepo.Migration

func newSchema(pool *sql.DB) (*bunrepo.Schema, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return bunrepo.NewSchema(pool, bunrepo.SchemaOptions{
		Dialect: goose.DialectMySQL, Files: files,
		HasTable: "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
		Done:     func(err error) bool { return is(err, errDuplicateColumn, errDuplicateKeyName, errCannotDrop) },
	})
}

// MigrateUp brings the schema to this program's version and returns the steps
// that it applied. Of several nodes one at a time migrates, the others wait; after
// one that died they go on within migrationLease. Nodes may run meanwhile.
func (db *DB) MigrateUp(ctx context.Context) (done []Migration, err error) {
	err = db.migrating(ctx, func(ctx context.Context) error {
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
	err = db.migrating(ctx, func(ctx context.Context) error {
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
		return nil, fmt.Errorf("mysql: migrations of %s: %w", db.name, err)
	}
	return out, nil
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

const (
	// migrationLease is for how long a node that migrates keeps the others out
	// without a sign of life.
	migrationLease = 15 * time.Second
	migrationRenew = migrationLease / 5
	migrationPoll  = 50 * time.Millisecond
)

// migrating runs fn while no other node migrates. The lock is a row with a lease:
// GET_LOCK is a connection's own, and Vitess may change the connection.
func (db *DB) migrating(ctx context.Context, fn func(context.Context) error) (err error) {
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
		defer func() {
			if p := recover(); p != nil {
				cancel(fmt.Errorf("renewing the right to migrate panicked: %v", p))
			}
		}()
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
	if err := fn(ctx); err != nil {
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

// check refuses a schema that this program cannot live with.
func (db *DB) check(ctx context.Context) error {
	if err := db.schema.Check(ctx); err != nil {
		return fmt.Errorf("mysql: %s: %w", db.name, err)
	}
	return nil
}

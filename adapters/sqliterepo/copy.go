package sqliterepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// CopyTo writes the database as it is at one moment to a new file (mode 0600), while
// other connections and processes go on reading and writing. The copy is compact, durable
// and whole when CopyTo returns; after an error there is none. A path that exists is an
// error that is fs.ErrExist.
func (db *DB) CopyTo(ctx context.Context, path string) (err error) {
	failed := func(err error) error { return fmt.Errorf("sqlite: copy %s to %s: %w", db.path, path, err) }
	if path, err = filepath.Abs(path); err != nil {
		return failed(err)
	}
	// VACUUM INTO fills an empty file, and would make one that others can read.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return failed(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := f.Close(); err != nil {
		return failed(err)
	}
	// A connection of its own: the writer's would keep others from writing, and the
	// readers' may write nothing.
	source, err := open(db.path, db.options, 1, "")
	if err != nil {
		return failed(err)
	}
	_, err = source.DB.ExecContext(ctx, "VACUUM INTO ?", path)
	if err = errors.Join(err, source.Close()); err != nil {
		return failed(err)
	}
	if err := syncFile(path); err != nil {
		return failed(err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return failed(err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// QuickCheck has SQLite look through the whole file, and returns what it says is wrong.
func (db *DB) QuickCheck(ctx context.Context) error {
	var says string
	if err := db.read.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&says); err != nil {
		return fmt.Errorf("sqlite: check %s: %w", db.path, err)
	}
	if says != "ok" {
		return fmt.Errorf("sqlite: %s is damaged: %s", db.path, says)
	}
	return nil
}

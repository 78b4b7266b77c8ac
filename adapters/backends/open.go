package backends

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/mysqlrepo"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Database is a database with a schema.
type Database interface {
	Records() ports.Records
	MigrateUp(ctx context.Context) ([]sqliterepo.Migration, error)
	MigrateDown(ctx context.Context, version int64) ([]sqliterepo.Migration, error)
	MigrationStatus(ctx context.Context) ([]sqliterepo.Migration, error)
	PoolStats() sql.DBStats
	Close() error
}

// Backends are the opened adapters, as the app.Config that app.New takes.
type Backends struct {
	app.Config
	Database Database          // nil for mem:
	State    *redisstate.State // nil without Redis
	close    []func() error
	in       *instruments // nil: nothing is instrumented
}

// Close closes what was opened, the last first. Close the Service before.
func (b *Backends) Close() error {
	var err error
	for i := len(b.close) - 1; i >= 0; i-- {
		err = errors.Join(err, b.close[i]())
	}
	b.close = nil
	return err
}

// Migrate brings the database's schema up to date, if it has one. Open has done so unless
// Config.Existing is set.
func (b *Backends) Migrate(ctx context.Context) error {
	if b.Database == nil {
		return nil
	}
	_, err := b.Database.MigrateUp(ctx)
	return err
}

// Installed reports domain.NotFound where the database was never migrated: an empty one is no
// installation yet.
func (b *Backends) Installed(ctx context.Context) error {
	if b.Database == nil {
		return nil
	}
	all, err := b.Database.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(m sqliterepo.Migration) bool { return !m.AppliedAt.IsZero() }) {
		return &Error{"Database", domain.Errorf(domain.NotFound, "there is no imagify installation in this database: it has no schema")}
	}
	return nil
}

// Part is one of the things that a configuration names.
type Part struct {
	Name string
	// Open opens it into b, as Open does for all of them.
	Open func(ctx context.Context, b *Backends) error
}

// The parts' names.
const (
	PartRedis     = "Redis"
	PartResizer   = "resizer"
	PartDatabase  = "database"
	PartStorage   = "storage"
	PartSecretKey = "secret key"
	PartSpool     = "uploads"
)

// Parts returns what there is to open, in the order in which it is opened: what says
// at once that it cannot be comes first. It is for a check of each one by itself.
func (c Config) Parts() []Part {
	c = c.withDefaults()
	return []Part{
		{PartRedis, c.openState},
		{PartResizer, c.openResizer},
		{PartDatabase, c.openDatabase},
		{PartStorage, c.openStorage},
		{PartSecretKey, c.openKeys},
		{PartSpool, c.openSpool},
	}
}

// Open opens what the configuration names, and brings the database's schema up to date unless
// c.Existing is set. What is wrong with a field is an *Error; domain.Invalid means that its
// value cannot be, such as an unknown scheme. A server that does not answer yet is found by its
// first use: the migration for the database, else the service, which says so and tries again.
// The caller closes the Backends.
func Open(ctx context.Context, c Config) (_ *Backends, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	b := &Backends{Config: app.Config{Logger: c.Logger, TrashFor: c.TrashFor, Accept: c.Accept}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.in, err = newInstruments(c.Metrics, c.Traces); err != nil {
		return nil, &Error{"Metrics", err}
	}
	for _, part := range c.Parts() {
		if err := part.Open(ctx, b); err != nil {
			return nil, err
		}
	}
	if b.Database != nil && c.Metrics != nil {
		if err := watchPool(c.Metrics, b.Database.PoolStats); err != nil {
			return nil, &Error{"Metrics", err}
		}
	}
	if !c.Existing {
		if err := b.Migrate(ctx); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// OpenStored opens the storage and this process's Resizer alone, for a process that has nothing
// to do with the database and its secrets, such as the function behind a lambda: resizer.
func OpenStored(ctx context.Context, c Config) (*Backends, error) {
	c = c.withDefaults()
	b := &Backends{}
	var err error
	if b.Resizer, err = c.NewResizer(); err != nil {
		return nil, err
	}
	return b, c.openStorage(ctx, b)
}

// NewResizer returns the Resizer of this process, whatever resizes for the server.
func (c Config) NewResizer() (ports.Resizer, error) {
	return nativeresizer.New(nativeresizer.Options{Memory: c.Memory, MaxPixels: c.MaxPixels})
}

func (c Config) openKeys(_ context.Context, b *Backends) (err error) {
	if b.SecretKeys = c.SecretKeys; len(b.SecretKeys) == 0 {
		b.SecretKeys, err = c.storedKey()
	}
	return err
}

// openResizer opens the Resizer, which reads what is uploaded wherever thumbnails are made.
func (c Config) openResizer(ctx context.Context, b *Backends) (err error) {
	if b.Resizer, err = c.NewResizer(); err != nil {
		return err
	}
	switch Scheme(c.Resizer) {
	case "local":
		return nil
	case "lambda":
		there, err := lambdaresizer.Open(ctx, c.Resizer)
		if err != nil {
			return named("Resizer", err)
		}
		b.RemoteResizer = there
		return nil
	}
	return noAdapter("Resizer", c.Resizer, "local: or lambda:function-name")
}

func (c Config) openState(_ context.Context, b *Backends) error {
	if c.Redis == "" {
		b.RateLimits, b.LinkCache = memory.NewRateLimits(memory.Options{}), memory.NewLinkCache(memory.Options{})
		return nil
	}
	state, err := redisstate.Open(c.Redis, redisstate.Options{})
	if err != nil {
		return named("Redis", err)
	}
	b.close = append(b.close, state.Close)
	b.State = state
	var shared interface {
		ports.LinkCache
		ports.Notices
		ports.RateLimits
	} = state
	if b.in != nil {
		shared = instrumentedState{state, b.in}
	}
	b.LinkCache, b.Notices = shared, shared
	b.RateLimits = sharedRates{shared, memory.NewRateLimits(memory.Options{})}
	return nil
}

func (c Config) openDatabase(ctx context.Context, b *Backends) error {
	switch Scheme(c.Database) {
	case "mem":
		b.Records = memory.NewRecords(memory.Options{})
		return nil
	case "sqlite":
		if _, err := os.Lstat(c.Restoring()); err == nil {
			return &Error{"Data", domain.Errorf(domain.Conflict, "'imagify restore' has not finished in %s: run it again, with the same backup or another", c.Data)}
		}
		if err := c.present("Database", c.DatabaseFile()); err != nil {
			return err
		}
		db, err := sqliterepo.Open(ctx, c.DatabaseFile(), sqliterepo.Options{Hooks: b.hooks(sqliterepo.IsUnavailable)})
		if err != nil {
			return &Error{"Database", err}
		}
		b.Database = db
	case "mysql":
		db, err := mysqlrepo.Open(ctx, c.Database, mysqlrepo.Options{MaxConns: c.MaxConns, Hooks: b.hooks(mysqlrepo.IsUnavailable)})
		if err != nil {
			return &Error{"Database", err}
		}
		b.Database = db
	default:
		return noAdapter("Database", c.Database, "mysql://, sqlite: or mem:")
	}
	b.close = append(b.close, b.Database.Close)
	b.Records = b.Database.Records()
	return nil
}

// hooks see every statement, if it is instrumented. unavailable tells which errors are the
// database's own.
func (b *Backends) hooks(unavailable func(error) bool) []bun.QueryHook {
	if b.in == nil {
		return nil
	}
	return []bun.QueryHook{statements{b.in, unavailable}}
}

func (c Config) openStorage(ctx context.Context, b *Backends) error {
	switch Scheme(c.Storage) {
	case "mem":
		b.Blobs = memory.NewBlobs(memory.Options{})
	case "file":
		if err := c.present("Storage", c.BlobsFolder()); err != nil {
			return err
		}
		store, err := fileblob.New(c.BlobsFolder())
		if err != nil {
			return &Error{"Storage", err}
		}
		b.close = append(b.close, store.Close)
		b.Blobs = store
	case "s3":
		store, err := s3blob.Open(ctx, c.Storage)
		if err != nil {
			return named("Storage", err)
		}
		b.Blobs = store
	default:
		return noAdapter("Storage", c.Storage, "file:, s3://bucket or mem:")
	}
	if b.in != nil {
		b.Blobs = instrumentedBlobs{b.Blobs, b.in}
	}
	return nil
}

// present refuses, where only an existing installation may be opened, a part of one that is missing.
func (c Config) present(field, path string) error {
	if !c.Existing {
		return nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{field, domain.Errorf(domain.NotFound, "there is no imagify installation here: %s does not exist", path)}
	}
	return nil // whatever else is wrong, opening it says it better
}

// openSpool says where uploads wait and what they leave free. It opens nothing: a folder that
// cannot be written refuses uploads, and nothing else.
func (c Config) openSpool(_ context.Context, b *Backends) error {
	b.Caps = app.Caps{UploadBytes: c.MaxUpload, Pixels: c.MaxPixels, MinFree: c.MinFree}
	if Scheme(c.Database) == "sqlite" {
		b.Disks = append(b.Disks, filepath.Dir(c.DatabaseFile()))
	}
	if Scheme(c.Storage) == "file" {
		b.Disks = append(b.Disks, c.BlobsFolder())
	}
	if b.SpoolDir = c.Spool; b.SpoolDir == "" && len(b.Disks) > 0 {
		b.SpoolDir = c.inData(spoolFolder) // on the store's own disk, mostly: an upload is then renamed into it
	}
	return nil
}

// named says of which field an error is: a value that cannot be.
func named(field string, err error) error {
	return &Error{field, domain.Wrap(domain.Invalid, err, "")}
}

func noAdapter(field, rawURL, instead string) error {
	return invalid(field, "there is no adapter for %s: URLs; use %s", Scheme(rawURL), instead)
}

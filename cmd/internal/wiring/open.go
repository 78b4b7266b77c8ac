package wiring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
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

// Backends are the opened adapters.
type Backends struct {
	app.Config
	Database Database          // nil for mem:
	State    *redisstate.State // nil where what it keeps is kept in process
	close    []func() error
	measures *measures // nil: nothing is measured
}

// Close closes what was opened, the last first.
func (b *Backends) Close() error {
	var err error
	for i := len(b.close) - 1; i >= 0; i-- {
		err = errors.Join(err, b.close[i]())
	}
	return err
}

// Migrate brings the database's schema up to date, if it has one.
func (b *Backends) Migrate(ctx context.Context) error {
	if b.Database == nil {
		return nil
	}
	_, err := b.Database.MigrateUp(ctx)
	return err
}

// NewResizer returns the Resizer of this process, whatever resizes for the server.
func (c Config) NewResizer() (ports.Resizer, error) {
	return nativeresizer.New(nativeresizer.Options{Memory: c.Memory, MaxPixels: c.MaxPixels})
}

// Part is one of the things that a configuration names.
type Part struct {
	Name string
	// Open opens it into b.
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
// at once that it cannot be comes first.
func (c Config) Parts() []Part {
	return []Part{
		{PartRedis, c.openState},
		{PartResizer, c.openResizer},
		{PartDatabase, c.openDatabase},
		{PartStorage, c.openStorage},
		{PartSecretKey, c.openKeys},
		{PartSpool, c.openSpool},
	}
}

// Open opens what the configuration names. What cannot be, such as an unknown
// scheme, is domain.Invalid; what does not answer is found by its first use.
func (c Config) Open(ctx context.Context, log *slog.Logger) (*Backends, error) {
	b := &Backends{Config: app.Config{Logger: log, TrashFor: c.TrashFor, Accept: c.Accept}}
	if c.Metrics != nil {
		var err error
		if b.measures, err = newMeasures(c.Metrics); err != nil {
			return nil, err
		}
	}
	for _, part := range c.Parts() {
		if err := part.Open(ctx, b); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	if b.measures == nil {
		return b, nil
	}
	if err := c.measure(b); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// measure puts the measuring wrappers around what was opened.
func (c Config) measure(b *Backends) error {
	b.Blobs = measuredBlobs{b.Blobs, b.measures}
	if b.State != nil {
		state := measuredState{b.State, b.measures}
		b.LinkLife, b.Notices = state, state
		b.RateLimits = sharedRates{state, memory.NewRateLimits(memory.Options{})}
	}
	if b.Database == nil {
		return nil
	}
	return watchPool(c.Metrics, b.Database.PoolStats)
}

func (c Config) openKeys(_ context.Context, b *Backends) (err error) {
	if b.SecretKeys = c.SecretKeys; len(b.SecretKeys) == 0 {
		b.SecretKeys, err = c.keptKey()
	}
	return err
}

// OpenStored opens the store and this process's Resizer alone: what a process needs
// that has nothing to do with the database and its secrets.
func (c Config) OpenStored(ctx context.Context) (*Backends, error) {
	b := &Backends{}
	var err error
	if b.Resizer, err = c.NewResizer(); err != nil {
		return nil, err
	}
	return b, c.openStorage(ctx, b)
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
			return domain.Wrap(domain.Invalid, err, "IMAGIFY_RESIZER_URL")
		}
		b.StoredResizer = there
		return nil
	}
	return noAdapter("IMAGIFY_RESIZER_URL", c.Resizer, "local: or lambda:function-name")
}

func (c Config) openState(_ context.Context, b *Backends) error {
	if c.Redis == "" {
		b.RateLimits, b.LinkLife = memory.NewRateLimits(memory.Options{}), memory.NewLinkLife(memory.Options{})
		return nil
	}
	redis.SetLogger(redisLog{b.Logger})
	state, err := redisstate.Open(c.Redis, redisstate.Options{})
	if err != nil {
		return domain.Wrap(domain.Invalid, err, "IMAGIFY_REDIS_URL")
	}
	b.close = append(b.close, state.Close)
	b.State, b.LinkLife, b.Notices = state, state, state
	b.RateLimits = sharedRates{state, memory.NewRateLimits(memory.Options{})}
	return nil
}

// redisLog takes what go-redis says of its connections, which has no level.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis: "+fmt.Sprintf(format, v...))
}

func (c Config) openDatabase(ctx context.Context, b *Backends) error {
	switch Scheme(c.Database) {
	case "mem":
		b.Records = memory.NewRecords(memory.Options{})
		return nil
	case "sqlite":
		if _, err := os.Lstat(c.Restoring()); err == nil {
			return domain.Errorf(domain.Conflict, "'imagify restore' has not come to its end in %s: run it again, with the same backup or another", c.Data)
		}
		if err := c.present(c.DatabaseFile()); err != nil {
			return err
		}
		db, err := sqliterepo.Open(ctx, c.DatabaseFile(), sqliterepo.Options{Hooks: b.hooks(sqliterepo.Away)})
		if err != nil {
			return err
		}
		b.Database = db
	case "mysql":
		db, err := mysqlrepo.Open(ctx, c.Database, mysqlrepo.Options{Hooks: b.hooks(mysqlrepo.Away)})
		if err != nil {
			return err
		}
		b.Database = db
	default:
		return noAdapter("IMAGIFY_DATABASE_URL", c.Database, "mysql://, sqlite: or mem:")
	}
	b.close = append(b.close, b.Database.Close)
	b.Records = b.Database.Records()
	return nil
}

// hooks see every statement, if it is measured.
func (b *Backends) hooks(away func(error) bool) []bun.QueryHook {
	if b.measures == nil {
		return nil
	}
	return []bun.QueryHook{statements{b.measures, away}}
}

func (c Config) openStorage(ctx context.Context, b *Backends) error {
	switch Scheme(c.Storage) {
	case "mem":
		b.Blobs = memory.NewBlobs(memory.Options{})
	case "file":
		if err := c.present(c.BlobsFolder()); err != nil {
			return err
		}
		store, err := fileblob.New(c.BlobsFolder())
		if err != nil {
			return err
		}
		b.close = append(b.close, store.Close)
		b.Blobs = store
	case "s3":
		store, err := s3blob.Open(ctx, c.Storage)
		if err != nil {
			return domain.Wrap(domain.Invalid, err, "IMAGIFY_STORAGE_URL")
		}
		b.Blobs = store
	default:
		return noAdapter("IMAGIFY_STORAGE_URL", c.Storage, "file:, s3://bucket or mem:")
	}
	return nil
}

// present refuses, where only an existing installation may be opened, a part of one that is missing.
func (c Config) present(path string) error {
	if !c.Existing {
		return nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return domain.Errorf(domain.NotFound, "there is no imagify installation here: %s does not exist; name its folder by --data or IMAGIFY_DATA, or make a new one by 'imagify serve'", path)
	}
	return nil // whatever else is wrong, opening it says it better
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
		return domain.Errorf(domain.NotFound, "there is no imagify installation in this database: it has no schema; check IMAGIFY_DATABASE_URL, or make a new installation by 'imagify serve'")
	}
	return nil
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
		b.SpoolDir = filepath.Join(c.Data, "spool") // on the store's own disk, mostly: an upload is then renamed into it
	}
	return nil
}

// DatabaseFile is the file of a sqlite: database.
func (c Config) DatabaseFile() string { return c.pathOr(c.Database, databaseFile) }

// BlobsFolder is the folder of a file: storage.
func (c Config) BlobsFolder() string { return c.pathOr(c.Storage, blobsFolder) }

// SecretFile is where the secret key is kept, if none is configured.
func (c Config) SecretFile() string { return filepath.Join(c.Data, secretFile) }

// Restoring is a folder that is in the data folder from the beginning of 'imagify restore' to
// its end: while it is there, no database is opened.
func (c Config) Restoring() string { return filepath.Join(c.Data, ".restoring") }

// The embedded default's names in the data folder.
const (
	databaseFile = "imagify.db"
	blobsFolder  = "blobs"
	secretFile   = "secret.key"
)

// Embedded is the settings of the embedded default in the same data folder, whatever
// database, storage and keys these settings name.
func (c Config) Embedded() Config {
	c.Database, c.Storage, c.SecretKeys = "sqlite:", "file:", nil
	return c
}

// pathOr is what follows the scheme of sqlite:path, sqlite:/path or sqlite:///path;
// nothing there means name in the data folder.
func (c Config) pathOr(rawURL, name string) string {
	_, rest, _ := strings.Cut(rawURL, ":")
	if rest = strings.TrimPrefix(rest, "//"); rest != "" {
		return rest
	}
	return filepath.Join(c.Data, name)
}

func noAdapter(variable, rawURL, instead string) error {
	return domain.Errorf(domain.Invalid, "%s: there is no adapter for %s: URLs; use %s", variable, Scheme(rawURL), instead)
}

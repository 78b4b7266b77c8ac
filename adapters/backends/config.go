package backends

import (
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/imagify-api/imagify/domain"
)

// Config names the backends. The zero value is complete: SQLite and a folder.
type Config struct {
	// Data is the folder of the embedded default: database, pictures, secret key. Empty: ./data.
	Data string
	// Database is a URL: "sqlite:" (a file in Data, the default), "sqlite:PATH", "mem:", or
	// "mysql://user:password@host:3306/name?tls=true" (see package mysqlrepo).
	Database string
	// Storage is a URL: "file:" (a folder in Data, the default), "file:PATH", "mem:", or
	// "s3://bucket?region=eu-central-1" (see package s3blob).
	Storage string
	// Redis is the URL of what several nodes share: "redis://…", "rediss://…" or
	// "redis+cluster://a:1,b:2" (see package redisstate). Empty: one node, in this process.
	Redis string
	// Resizer is a URL: "local:" (in this process, the default) or "lambda:function-name"
	// (see package lambdaresizer).
	Resizer string

	// SecretKeys sign URLs; the first signs, all of them verify. Each has at
	// least 16 bytes. Empty: one key, made once and stored in Data. Required with mysql:,
	// because all nodes must sign with the same key.
	SecretKeys [][]byte

	// Existing refuses with domain.NotFound what would make a new installation: a missing
	// file or folder is not made, and the database's schema is left as it is.
	Existing bool
	// MaxConns is how many connections to MySQL this process may have; 0: 32. At least 4.
	MaxConns int

	MaxUpload int64 // bytes of an original; 0: 256 MiB
	MaxPixels int64 // of a picture; 0: 100 million
	Memory    int64 // bytes, for all work on pictures at a time; 0: 512 MiB, at least 32 MiB
	MinFree   int64 // bytes of disk space that uploads leave; 0: 256 MiB, negative: none
	// Spool is the folder where uploads wait until they are whole. Empty: one in Data if
	// the database or the storage is on disk, else the system's temporary folder.
	Spool string
	// Accept is the formats taken at upload; nil: all.
	Accept []domain.Format
	// TrashFor is how long a blob without a record stays in the trash; 0: 7 days.
	TrashFor time.Duration

	// Logger gets what an operator should know; nil: slog.Default().
	Logger *slog.Logger
	// Metrics gets the series of the backends' calls; nil: none are counted.
	Metrics prometheus.Registerer
	// Traces makes a span of each call of a backend; nil: none are made.
	Traces trace.TracerProvider
}

// Error is what is wrong with a field of a Config, or with the backend that it names.
type Error struct {
	Field string // the field's name in Config
	Err   error
}

// Error names the field.
func (e *Error) Error() string {
	text := e.Err.Error()
	if d, ok := e.Err.(*domain.Error); ok { //nolint:errorlint // a code in front of the text says nothing to a programmer
		text = strings.TrimPrefix(text, string(d.Code)+": ")
	}
	return "backends: Config." + e.Field + ": " + text
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// invalid is a field's value that cannot be.
func invalid(field, format string, args ...any) error {
	return &Error{field, domain.Errorf(domain.Invalid, format, args...)}
}

const (
	minMemory = 32 << 20 // bytes
	minKey    = 16       // bytes
)

// Check reports the first field whose value cannot be, as an *Error with domain.Invalid. It
// opens nothing. Open begins with it.
func (c Config) Check() error {
	for _, u := range []struct{ field, text, example string }{
		{"Database", c.Database, "sqlite:"},
		{"Storage", c.Storage, "file:"},
		{"Redis", c.Redis, "redis://localhost:6379"},
		{"Resizer", c.Resizer, "local:"},
	} {
		if u.text != "" && Scheme(u.text) == "" { // the text may hold a password
			return invalid(u.field, "not a URL with a scheme, such as %q", u.example)
		}
	}
	for _, key := range c.SecretKeys {
		if len(key) < minKey {
			return invalid("SecretKeys", "a key needs at least %d characters", minKey)
		}
	}
	if len(c.SecretKeys) == 0 && Scheme(c.Database) == "mysql" {
		return invalid("SecretKeys", "required with a mysql: database, because all nodes must sign with the same key")
	}
	if c.Memory != 0 && c.Memory < minMemory {
		return invalid("Memory", "must be at least %d bytes (32 MiB): less is not enough for an ordinary photograph", minMemory)
	}
	for field, n := range map[string]int64{"MaxUpload": c.MaxUpload, "MaxPixels": c.MaxPixels, "MaxConns": int64(c.MaxConns), "TrashFor": int64(c.TrashFor)} {
		if n < 0 {
			return invalid(field, "must not be negative")
		}
	}
	return nil
}

// withDefaults fills in what the zero value stands for.
func (c Config) withDefaults() Config {
	for _, f := range []struct {
		value  *string
		preset string
	}{{&c.Data, "data"}, {&c.Database, "sqlite:"}, {&c.Storage, "file:"}, {&c.Resizer, "local:"}} {
		if *f.value == "" {
			*f.value = f.preset
		}
	}
	return c
}

// Scheme is a URL's scheme in lower case; empty where it has none.
func Scheme(rawURL string) string {
	scheme, _, found := strings.Cut(rawURL, ":")
	if !found || strings.ContainsAny(scheme, "/?#@ ") {
		return ""
	}
	return strings.ToLower(scheme)
}

// The embedded default's names in the data folder.
const (
	databaseFile = "imagify.db"
	blobsFolder  = "blobs"
	secretFile   = "secret.key"
	spoolFolder  = "spool"
)

// DatabaseFile is the file of a sqlite: database.
func (c Config) DatabaseFile() string { return c.pathOr(c.Database, databaseFile) }

// BlobsFolder is the folder of a file: storage.
func (c Config) BlobsFolder() string { return c.pathOr(c.Storage, blobsFolder) }

// SecretFile is where the secret key is stored, if none is configured.
func (c Config) SecretFile() string { return c.inData(secretFile) }

// Restoring is a folder that is in the data folder from the beginning of 'imagify restore' to
// its end: while it is there, no database is opened.
func (c Config) Restoring() string { return c.inData(".restoring") }

// Embedded is the configuration of the embedded default in the same data folder, whatever
// database, storage and keys this one names.
func (c Config) Embedded() Config {
	c.Database, c.Storage, c.SecretKeys = "sqlite:", "file:", nil
	return c
}

func (c Config) inData(name string) string { return filepath.Join(c.withDefaults().Data, name) }

// pathOr is what follows the scheme of sqlite:path, sqlite:/path or sqlite:///path;
// nothing there means name in the data folder.
func (c Config) pathOr(rawURL, name string) string {
	_, rest, _ := strings.Cut(rawURL, ":")
	if rest = strings.TrimPrefix(rest, "//"); rest != "" {
		return rest
	}
	return c.inData(name)
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// operator is who acts on the command line.
var operator = domain.SystemActor("command line")

// backends are the opened adapters; the one composition root makes them of the configuration.
type backends struct {
	app.Config
	sqlite *sqliterepo.DB // nil unless the database is SQLite
	close  []func() error
}

func (b *backends) Close() error {
	var err error
	for i := len(b.close) - 1; i >= 0; i-- {
		err = errors.Join(err, b.close[i]())
	}
	return err
}

// newResizer is the Resizer of the server and of `imagify thumbnail`.
func newResizer() (ports.Resizer, error) { return bildresizer.New(bildresizer.Options{}) }

// open opens what the configuration names. An unknown scheme is wrong usage.
func (c config) open(ctx context.Context, log *slog.Logger) (_ *backends, err error) {
	b := &backends{Config: app.Config{
		RateLimits: memory.NewRateLimits(memory.Options{}), LinkLife: memory.NewLinkLife(memory.Options{}), Logger: log,
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if c.redis != nil {
		return nil, noAdapter("IMAGIFY_REDIS_URL", c.redis.Scheme, "leave it empty: one node keeps link life and rate limits in process")
	}
	if c.resizer.Scheme != "local" {
		return nil, noAdapter("IMAGIFY_RESIZER_URL", c.resizer.Scheme, "use local:")
	}
	if b.Resizer, err = newResizer(); err != nil {
		return nil, err
	}
	switch c.database.Scheme {
	case "sqlite":
		path := filepath.Join(c.data, "imagify.db")
		if rest := pathOf(c.database.String()); rest != "" {
			path = rest
		}
		if b.sqlite, err = sqliterepo.Open(ctx, path, sqliterepo.Options{}); err != nil {
			return nil, err
		}
		b.close = append(b.close, b.sqlite.Close)
		b.Records = b.sqlite.Records()
	case "mem":
		b.Records = memory.NewRecords(memory.Options{})
	default:
		return nil, noAdapter("IMAGIFY_DATABASE_URL", c.database.Scheme, "use sqlite: or mem:")
	}
	switch c.storage.Scheme {
	case "file":
		dir := filepath.Join(c.data, "blobs")
		if rest := pathOf(c.storage.String()); rest != "" {
			dir = rest
		}
		store, err := fileblob.New(dir)
		if err != nil {
			return nil, err
		}
		b.close = append(b.close, store.Close)
		b.Blobs = store
	case "mem":
		b.Blobs = memory.NewBlobs(memory.Options{})
	default:
		return nil, noAdapter("IMAGIFY_STORAGE_URL", c.storage.Scheme, "use file: or mem:")
	}
	b.SecretKeys = c.secretKeys
	if len(b.SecretKeys) == 0 {
		if b.SecretKeys, err = c.keptKey(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// pathOf is what follows the scheme of sqlite:path, sqlite:/path or sqlite:///path.
func pathOf(u string) string {
	_, rest, _ := strings.Cut(u, ":")
	return strings.TrimPrefix(rest, "//")
}

func noAdapter(variable, scheme, instead string) error {
	return usagef("%s: this build has no adapter for %s: URLs; %s", variable, scheme, instead)
}

// keptKey returns the secret key of the data folder, made at the first start. Of
// two processes that start at once one makes it.
func (c config) keptKey() ([][]byte, error) {
	if c.database.Scheme == "mem" && c.storage.Scheme == "mem" {
		return [][]byte{[]byte(rand.Text())}, nil // nothing outlives the process
	}
	path := filepath.Join(c.data, "secret.key")
	for {
		b, err := os.ReadFile(path)
		if err == nil {
			key := strings.TrimSpace(string(b))
			if len(key) < 16 {
				return nil, fmt.Errorf("%s holds no secret key: restore it, or remove it to have a new one made (which ends the URLs handed out)", path)
			}
			return [][]byte{[]byte(key)}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the secret key cannot be read: %w", err)
		}
		if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("the secret key cannot be kept: %w; make the folder writable, or set IMAGIFY_SECRET_KEY", err)
		}
	}
}

// makeKey writes a new key whole, readable by its owner only, unless one is there.
func makeKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var key [32]byte
	rand.Read(key[:])
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(key[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

// migrate brings an embedded database's schema up to date.
func (b *backends) migrate(ctx context.Context) error {
	if b.sqlite == nil {
		return nil
	}
	_, err := b.sqlite.MigrateUp(ctx)
	return err
}

// service runs fn with a Service on the configured backends, beside a server that may be running.
func (p *program) service(fn func(*app.Service) error) (err error) {
	c, err := p.loadConfig(nil)
	if err != nil {
		return err
	}
	b, err := c.open(p.ctx, slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.migrate(p.ctx); err != nil {
		return err
	}
	svc, err := app.New(b.Config)
	if err != nil {
		return err
	}
	// Tiers must be there before a user can be put into one; the admin is the server's to make.
	if err := svc.BootstrapTiers(p.ctx); err != nil {
		return err
	}
	return errors.Join(fn(svc), svc.Close())
}

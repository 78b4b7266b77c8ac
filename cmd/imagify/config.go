package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/joho/godotenv"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/cmd/internal/settings"
	"github.com/imagify-api/imagify/domain"
)

// operator is who acts on the command line.
var operator = domain.SystemActor("command line")

// loadConfig reads the environment and, for what it does not set, the .env file
// of the working folder. Flags given on the command line win over both.
func (p *program) loadConfig(flags map[string]string) (settings.Config, error) {
	file, err := readDotEnv(".env")
	if err != nil {
		return settings.Config{}, usagef("the .env file cannot be read: %w", err)
	}
	p.unknown = unknownSettings(slices.Concat(p.environ(), slices.Collect(maps.Keys(file))))
	return settings.Load(func(name string) string {
		for _, v := range []string{flags[name], p.getenv(name), file[name]} {
			if v != "" {
				return v
			}
		}
		return ""
	})
}

// readDotEnv reads a file of settings; one that does not exist has none. Editors on Windows
// begin it with a byte order mark, which is not part of the first name.
func readDotEnv(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return godotenv.UnmarshalBytes(bytes.TrimPrefix(b, []byte("\ufeff")))
}

// installation is the flags of the commands that work on an installation that is there.
type installation struct {
	Data string `help:"Data folder: SQLite database, pictures, secret key." placeholder:"./data" type:"path"`
}

// config returns the settings; what they name is opened only where it exists.
func (i installation) config(p *program) (settings.Config, error) {
	c, err := p.loadConfig(map[string]string{"IMAGIFY_DATA": i.Data})
	c.Existing = true
	return c, err
}

// service runs fn with a Service on the configured backends, beside a server that may be running.
func (i installation) service(p *program, fn func(*app.Service) error) error {
	return i.opened(p, func(_ settings.Config, b *backends.Backends) error {
		if err := b.Migrate(p.ctx); err != nil {
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
	})
}

// opened runs fn with the configured backends of an installation that is there.
func (i installation) opened(p *program, fn func(settings.Config, *backends.Backends) error) (err error) {
	c, err := i.config(p)
	if err != nil {
		return err
	}
	b, err := c.Open(p.ctx, slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return absent(err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.Installed(p.ctx); err != nil {
		return absent(err)
	}
	return fn(c, b)
}

// absent says what to do where there is no installation.
func absent(err error) error {
	err = settings.Named(err)
	if domain.CodeOf(err) != domain.NotFound {
		return err
	}
	return domain.Errorf(domain.NotFound, "%s; name its folder with --data or IMAGIFY_DATA, check IMAGIFY_DATABASE_URL and IMAGIFY_STORAGE_URL if they are set, or make a new one with 'imagify serve'", message(err))
}

package main

import (
	"errors"
	"io/fs"
	"log/slog"

	"github.com/joho/godotenv"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/cmd/internal/wiring"
	"github.com/imagify-api/imagify/domain"
)

// operator is who acts on the command line.
var operator = domain.SystemActor("command line")

// loadConfig reads the environment and, for what it does not set, the .env file
// of the working folder. Flags given on the command line win over both.
func (p *program) loadConfig(flags map[string]string) (wiring.Config, error) {
	file, err := godotenv.Read(".env")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wiring.Config{}, usagef("the .env file cannot be read: %w", err)
	}
	return wiring.Load(func(name string) string {
		for _, v := range []string{flags[name], p.getenv(name), file[name]} {
			if v != "" {
				return v
			}
		}
		return ""
	})
}

// service runs fn with a Service on the configured backends, beside a server that may be running.
func (p *program) service(fn func(*app.Service) error) (err error) {
	c, err := p.loadConfig(nil)
	if err != nil {
		return err
	}
	b, err := c.Open(p.ctx, slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
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
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/cmd/internal/settings"
)

// stopTime is how long what is under way may take after a signal to stop; then it is cut.
const stopTime = 25 * time.Second

// drainDelay is how long connections that were made before a signal to stop may still
// bring a request: net/http drops what it reads once its shutdown has begun.
const drainDelay = 250 * time.Millisecond

type serveCmd struct {
	Addr string `help:"Listen address; port 0 picks one." placeholder:"127.0.0.1:8080"`
	Data string `help:"Data folder: SQLite database, pictures, secret key." placeholder:"./data" type:"path"`

	AdoptStorage bool `help:"Pair this database with this storage, whatever each belonged to before."`
}

func (serveCmd) Help() string {
	return `With nothing configured, everything is in the data folder. The first start creates the
predefined tiers and an "admin" user; its generated password is printed once (or taken
from IMAGIFY_ADMIN_PASSWORD). SIGTERM lets requests in progress finish, then exits 0.

The database and the storage carry the same installation id. If the ids differ, the
server does not start; --adopt-storage gives both a new id. A database that used the
storage before is refused from then on.

Example:
  imagify serve --addr 0.0.0.0:8080 --data /var/lib/imagify`
}

func (c serveCmd) Run(p *program) error {
	cfg, err := p.loadConfig(map[string]string{"IMAGIFY_ADDR": c.Addr, "IMAGIFY_DATA": c.Data})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(p.err, nil))
	for _, u := range p.unknown {
		log.Warn(u)
	}
	return p.serve(cfg, log, func(svc *app.Service, _ string) error {
		if c.AdoptStorage {
			if adopted, err := svc.AdoptStorage(p.ctx, operator); err != nil {
				return err
			} else if adopted {
				log.Warn("the database and the storage belong together from now on; a database that used this storage before will be refused")
			}
		}
		generated, err := svc.Bootstrap(p.ctx, cfg.AdminPassword)
		if err == nil && generated != "" {
			fmt.Fprintf(p.out, "first start: sign in as admin with password %s (shown only once)\n", generated)
		}
		return err
	})
}

// serve runs the server until p.ctx ends. prepare is called once it listens, and before it accepts.
func (p *program) serve(cfg settings.Config, log *slog.Logger, prepare func(svc *app.Service, url string) error) (err error) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cfg.Memory + memoryBeside)
	}
	registry := prometheus.NewRegistry()
	cfg.Metrics = registry
	b, err := cfg.Open(p.ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	svc, err := app.New(b.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, svc.Close()) }()
	if err := app.CheckSpool(b.Config); err != nil {
		log.Error("uploads are refused until this is fixed", "error", err)
	}
	api, err := ginapi.New(svc, ginapi.Options{
		PublicURL: cfg.PublicURL, TrustedProxies: cfg.TrustedProxies, CDNMaxAge: cfg.CDNMaxAge, Logger: log, Version: version,
		Registry: registry,
	})
	if err != nil {
		return usageError{err}
	}
	l, err := (&net.ListenConfig{}).Listen(p.ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another address with --addr", cfg.Addr, err)
	}
	url := "http://" + l.Addr().String()
	if err := prepare(svc, url); err != nil {
		l.Close()
		return err
	}

	go svc.Run(context.WithoutCancel(p.ctx)) // until svc is closed

	var stopping atomic.Bool
	server := ginapi.NewHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		api.ServeHTTP(w, r)
	}), log, cfg.TrustedProxies...)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Fprintf(p.out, "listening on %s\n", url)
	select {
	case err := <-failed:
		return err
	case <-p.ctx.Done():
	}
	log.Info("stopping: finishing the requests in progress")
	stopping.Store(true)
	l.Close()
	p.drain(server, log)
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// drain finishes the requests in progress, and cuts off those that take too long.
func (p *program) drain(server *http.Server, log *slog.Logger) {
	time.Sleep(drainDelay)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), stopTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("some requests took too long and were cut off", "error", err)
		_ = server.Close()
	}
}

// Package handler is imagify's HTTP API as one Go function of Vercel, and an example
// of imagify composed by hand. vercel.json sends it every path.
//
// Vercel takes requests and gives answers of at most 4.5 MB: uploads are bounded below
// that, and originals come in one piece only where they are no larger (a Range of them
// always does). Between requests nothing runs, so let a cron job elsewhere run
// `imagify sweep` on the same configuration.
package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/mysqlrepo"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	imagify "github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/ports"
)

// maxUpload is what Vercel's 4.5 MB leave for a picture, in bytes.
const maxUpload = 4_400_000

var instance struct {
	sync.Mutex
	handler http.Handler
}

// Handler serves one request. What it needs is opened with the first one; where that
// fails, the next one tries again.
func Handler(w http.ResponseWriter, r *http.Request) {
	h, err := handlerOf(context.WithoutCancel(r.Context()))
	if err != nil {
		slog.Error("imagify does not start", "error", err)
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, `{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable"}`)
		return
	}
	h.ServeHTTP(w, r)
}

func handlerOf(ctx context.Context) (http.Handler, error) {
	instance.Lock()
	defer instance.Unlock()
	if instance.handler != nil {
		return instance.handler, nil
	}
	h, _, err := New(ctx, os.Getenv)
	if err != nil {
		return nil, err
	}
	instance.handler = h
	return h, nil
}

// New composes imagify by the variables that the server uses too. stop ends what
// goes on in the background and closes what is open; Vercel needs no such call.
func New(ctx context.Context, getenv func(string) string) (h http.Handler, stop func() error, err error) {
	var opened []io.Closer
	closeAll := func() error {
		var err error
		for i := len(opened) - 1; i >= 0; i-- {
			err = errors.Join(err, opened[i].Close())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
	}()
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	if err != nil {
		return nil, nil, err
	}
	c := imagify.Config{
		Resizer: resizer, RateLimits: memory.NewRateLimits(memory.Options{}),
		SecretKeys: [][]byte{[]byte(getenv("IMAGIFY_SECRET_KEY"))},
		Caps:       imagify.Caps{UploadBytes: maxUpload},
		SweepEvery: -1,
	}
	db, err := database(ctx, getenv("IMAGIFY_DATABASE_URL"))
	if err != nil {
		return nil, nil, err
	}
	opened = append(opened, db)
	c.Records = db.Records()
	switch storage := getenv("IMAGIFY_STORAGE_URL"); scheme(storage) {
	case "s3":
		c.Blobs, err = s3blob.Open(ctx, storage)
	case "file": // for development
		var files *fileblob.Store
		if files, err = fileblob.New(strings.TrimPrefix(storage, "file:")); err == nil {
			c.Blobs, opened = files, append(opened, files)
		}
	default:
		err = errors.New("IMAGIFY_STORAGE_URL must be like s3://bucket?region=eu-central-1")
	}
	if err != nil {
		return nil, nil, err
	}
	if u := getenv("IMAGIFY_RESIZER_URL"); scheme(u) == "lambda" {
		if c.StoredResizer, err = lambdaresizer.Open(ctx, u); err != nil {
			return nil, nil, err
		}
	}
	if u := getenv("IMAGIFY_REDIS_URL"); u != "" {
		state, err := redisstate.Open(u, redisstate.Options{})
		if err != nil {
			return nil, nil, err
		}
		opened = append(opened, state)
		c.RateLimits, c.LinkLife, c.Notices = state, state, state
	}
	svc, err := imagify.New(c)
	if err != nil {
		return nil, nil, err
	}
	opened = append(opened, svc)
	if password := getenv("IMAGIFY_ADMIN_PASSWORD"); password != "" {
		_, err = svc.Bootstrap(ctx, password)
	} else {
		err = svc.BootstrapTiers(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	api, err := ginapi.New(svc, ginapi.Options{
		PublicURL: getenv("IMAGIFY_PUBLIC_URL"),
		// Vercel's own proxy hands requests over on this machine, and writes X-Forwarded-For itself.
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	})
	if err != nil {
		return nil, nil, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); svc.Run(life) }()
	return api, func() error { end(); <-done; return closeAll() }, nil
}

func scheme(rawURL string) string {
	name, _, _ := strings.Cut(rawURL, ":")
	return name
}

// records is a database that holds them.
type records interface {
	Records() ports.Records
	MigrateUp(ctx context.Context) ([]sqliterepo.Migration, error)
	io.Closer
}

// database opens the records and brings their schema up to date. SQLite is for
// development: a function of Vercel keeps no file.
func database(ctx context.Context, rawURL string) (db records, err error) {
	switch scheme(rawURL) {
	case "mysql":
		db, err = mysqlrepo.Open(ctx, rawURL, mysqlrepo.Options{MaxConns: 4}) // each environment has its own
	case "sqlite":
		db, err = sqliterepo.Open(ctx, strings.TrimPrefix(rawURL, "sqlite:"), sqliterepo.Options{})
	default:
		err = errors.New("IMAGIFY_DATABASE_URL must be like mysql://user:password@host/name?tls=true")
	}
	if err != nil {
		return nil, err
	}
	if _, err := db.MigrateUp(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Package handler is imagify's HTTP API as one Go function of Vercel, and an example
// of imagify composed by hand. Copy this folder's parent into a project of your own,
// make it a Go module that requires github.com/imagify-api/imagify, and set
//
//	IMAGIFY_DATABASE_URL=mysql://user:password@host:3306/name?tls=true
//	IMAGIFY_STORAGE_URL=s3://bucket?region=eu-central-1 (and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)
//	IMAGIFY_SECRET_KEY, IMAGIFY_PUBLIC_URL, and for the first start IMAGIFY_ADMIN_PASSWORD
//
// and, if you like, IMAGIFY_REDIS_URL and IMAGIFY_RESIZER_URL. vercel.json sends the
// function every path.
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
	"sync"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/mysqlrepo"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/adapters/s3blob"
	imagify "github.com/imagify-api/imagify/app"
)

// maxUpload is what Vercel's 4.5 MB leave for a picture, in bytes.
const maxUpload = 4_400_000

// maxConns bounds an instance's connections to the database: there are many instances.
const maxConns = 4

var instance struct {
	sync.Mutex
	handler http.Handler
	stop    func() error // for tests: Vercel needs no such call
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
	h, stop, err := New(ctx, os.Getenv)
	if err != nil {
		return nil, err
	}
	instance.handler, instance.stop = h, stop
	return h, nil
}

// New composes imagify by the variables that the server uses too. stop ends what
// goes on in the background and closes what is open.
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
	db, err := mysqlrepo.Open(ctx, getenv("IMAGIFY_DATABASE_URL"), mysqlrepo.Options{MaxConns: maxConns})
	if err != nil {
		return nil, nil, fmt.Errorf("IMAGIFY_DATABASE_URL: %w", err)
	}
	opened = append(opened, db)
	if _, err := db.MigrateUp(ctx); err != nil {
		return nil, nil, err
	}
	blobs, err := s3blob.Open(ctx, getenv("IMAGIFY_STORAGE_URL"))
	if err != nil {
		return nil, nil, fmt.Errorf("IMAGIFY_STORAGE_URL: %w", err)
	}
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	if err != nil {
		return nil, nil, err
	}
	c := imagify.Config{
		Records: db.Records(), Blobs: blobs, Resizer: resizer, RateLimits: memory.NewRateLimits(memory.Options{}),
		SecretKeys: [][]byte{[]byte(getenv("IMAGIFY_SECRET_KEY"))},
		Caps:       imagify.Caps{UploadBytes: maxUpload},
		SweepEvery: -1,
	}
	if u := getenv("IMAGIFY_RESIZER_URL"); u != "" {
		if c.StoredResizer, err = lambdaresizer.Open(ctx, u); err != nil {
			return nil, nil, fmt.Errorf("IMAGIFY_RESIZER_URL: %w", err)
		}
	}
	if u := getenv("IMAGIFY_REDIS_URL"); u != "" {
		state, err := redisstate.Open(u, redisstate.Options{})
		if err != nil {
			return nil, nil, fmt.Errorf("IMAGIFY_REDIS_URL: %w", err)
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

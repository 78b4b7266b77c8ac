// Package handler is imagify's HTTP API as one Go function of Vercel, and an example
// of imagify behind a handler of one's own. Copy this folder's parent into a project of your own,
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
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/ginapi"
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

// New composes imagify from the variables that the server uses too. stop ends what
// runs in the background and closes what is open.
func New(ctx context.Context, getenv func(string) string) (h http.Handler, stop func() error, err error) {
	c := backends.Config{
		Database: getenv("IMAGIFY_DATABASE_URL"), Storage: getenv("IMAGIFY_STORAGE_URL"),
		Redis: getenv("IMAGIFY_REDIS_URL"), Resizer: getenv("IMAGIFY_RESIZER_URL"),
		SecretKeys: [][]byte{[]byte(getenv("IMAGIFY_SECRET_KEY"))},
		MaxConns:   maxConns, MaxUpload: maxUpload,
	}
	if backends.Scheme(c.Database) != "mysql" || backends.Scheme(c.Storage) != "s3" {
		return nil, nil, errors.New("IMAGIFY_DATABASE_URL must be a mysql: URL and IMAGIFY_STORAGE_URL an s3: URL: a function has no disk of its own")
	}
	b, err := backends.Open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	b.SweepEvery = -1 // a cron job's
	svc, err := imagify.New(b.Config)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	stop = func() error { return errors.Join(svc.Close(), b.Close()) }
	api, err := newAPI(ctx, svc, getenv)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	go svc.Run(context.WithoutCancel(ctx))
	return api, stop, nil
}

func newAPI(ctx context.Context, svc *imagify.Service, getenv func(string) string) (http.Handler, error) {
	var err error
	if password := getenv("IMAGIFY_ADMIN_PASSWORD"); password != "" {
		_, err = svc.Bootstrap(ctx, password)
	} else {
		err = svc.BootstrapTiers(ctx)
	}
	if err != nil {
		return nil, err
	}
	return ginapi.New(svc, ginapi.Options{
		PublicURL: getenv("IMAGIFY_PUBLIC_URL"),
		// Vercel's own proxy hands requests over on this machine, and writes X-Forwarded-For itself.
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	})
}

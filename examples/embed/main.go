// Command embed serves imagify inside a server of one's own, beside its own routes.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	imagify "github.com/imagify-api/imagify/app"
)

func main() {
	handler, err := newHandler(context.Background(), filepath.Join(os.TempDir(), "imagify-embed"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(ginapi.NewHTTPServer(handler, nil).ListenAndServe()) // on :80, or wherever yours listens
}

func newHandler(ctx context.Context, dir string) (http.Handler, error) {
	db, err1 := sqliterepo.Open(ctx, filepath.Join(dir, "imagify.db"), sqliterepo.Options{})
	blobs, err2 := fileblob.New(filepath.Join(dir, "blobs"))
	resizer, err3 := nativeresizer.New(nativeresizer.Options{})
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if _, err := db.MigrateUp(ctx); err != nil {
		return nil, err
	}
	service, err := imagify.New(imagify.Config{
		Records: db.Records(), Blobs: blobs, Resizer: resizer, RateLimits: memory.NewRateLimits(memory.Options{}),
		SecretKeys: [][]byte{[]byte(rand.Text())}, // keep yours: a new one ends the URLs that were handed out
	})
	if err != nil {
		return nil, err
	}
	if _, err := service.Bootstrap(ctx, "change me, please"); err != nil {
		return nil, err
	}
	go service.Run(ctx)
	api, err := ginapi.New(service, ginapi.Options{})
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "a route of my own") })
	return mux, err
}

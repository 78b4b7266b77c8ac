// Command embed serves imagify inside a server of one's own, beside its own routes.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
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
	blobs, err := fileblob.New(dir)
	if err != nil {
		return nil, err
	}
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	if err != nil {
		return nil, err
	}
	service, err := imagify.New(imagify.Config{
		Records: memory.NewRecords(memory.Options{}), Blobs: blobs, Resizer: resizer,
		RateLimits: memory.NewRateLimits(memory.Options{}), SecretKeys: [][]byte{[]byte(rand.Text())},
	})
	if err != nil {
		return nil, err
	}
	if _, err := service.Bootstrap(ctx, "change me, please"); err != nil {
		return nil, err
	}
	go service.Run(ctx)
	api, err := ginapi.New(service, ginapi.Options{})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "a route of my own") })
	return mux, nil
}

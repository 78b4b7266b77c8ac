// Command embed serves imagify inside a server of one's own, beside its own routes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/ginapi"
	imagify "github.com/imagify-api/imagify/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(ctx, l, filepath.Join(os.TempDir(), "imagify-embed"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// serve serves until ctx ends, and closes what it has opened. It writes the admin's password to out
// at the first start.
func serve(ctx context.Context, l net.Listener, folder string, out io.Writer) (err error) {
	b, err := backends.Open(ctx, backends.Config{Data: folder}) // SQLite and a folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	service, err := imagify.New(b.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close()) }()
	password, err := service.Bootstrap(ctx, "")
	if err != nil {
		return err
	}
	if password != "" { // the first start
		fmt.Fprintf(out, "http://%s: sign in as admin with the password %s\n", l.Addr(), password)
	}
	api, err := ginapi.New(service, ginapi.Options{})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "a route of my own") })

	go service.Run(ctx)
	server := ginapi.NewHTTPServer(mux, nil)
	var stopping sync.WaitGroup
	stopping.Go(func() {
		<-ctx.Done()
		_ = server.Shutdown(context.WithoutCancel(ctx)) // waits for what is under way
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	stopping.Wait()
	return nil
}

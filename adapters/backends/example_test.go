package backends_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/ginapi"
	imagify "github.com/imagify-api/imagify/app"
)

// serve is imagify on SQLite and a folder, with a user "admin", beside whatever else a server
// has. The README shows it.
func serve(ctx context.Context, l net.Listener, folder, password string) error {
	b, err := backends.Open(ctx, backends.Config{Data: folder}) // SQLite and files; or Database: "mysql://…", Storage: "s3://…"
	if err != nil {
		return err
	}
	defer b.Close()
	service, err := imagify.New(b.Config)
	if err != nil {
		return err
	}
	defer service.Close()
	if _, err := service.Bootstrap(ctx, password); err != nil { // the tiers, and at the first start the user "admin"
		return err
	}
	go service.Run(ctx)
	api, err := ginapi.New(service, ginapi.Options{})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api) // and your own routes
	return ginapi.NewHTTPServer(mux, nil).Serve(l)
}

func Example() {
	folder, err := os.MkdirTemp("", "imagify-example-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- serve(ctx, l, folder, "a password of the example") }()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/v1/me", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	request.SetBasicAuth("admin", "a password of the example")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	response.Body.Close()
	fmt.Println("signed in:", response.Status)
	l.Close()
	<-ended
	// Output:
	// signed in: 200 OK
}

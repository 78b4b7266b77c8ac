package ginapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	imagify "github.com/imagify-api/imagify/app"
)

// The API is an http.Handler, here on adapters that keep everything in memory, as a test may have it.
func Example() {
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	quiet := slog.New(slog.DiscardHandler)
	service, err := imagify.New(imagify.Config{
		Records: memory.NewRecords(memory.Options{}), Blobs: memory.NewBlobs(memory.Options{}),
		RateLimits: memory.NewRateLimits(memory.Options{}), Resizer: resizer,
		SecretKeys: [][]byte{[]byte("at least sixteen bytes")}, Logger: quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Close()
	if _, err := service.Bootstrap(context.Background(), "a password of the example"); err != nil {
		fmt.Println(err)
		return
	}
	api, err := ginapi.New(service, ginapi.Options{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, password := range []string{"", "a password of the example"} {
		request := httptest.NewRequest(http.MethodGet, "/v1/images", nil)
		if password != "" {
			request.SetBasicAuth("admin", password)
		}
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, request)
		fmt.Println(answer.Code, answer.Header().Get("Content-Type"))
	}
	// Output:
	// 401 application/problem+json
	// 200 application/json
}

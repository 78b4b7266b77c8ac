package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/lambdaresizer/objectlambda"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/ports"
)

// newFunction returns a function of the configuration; it opens nothing yet.
func newFunction(getenv func(string) string) *function {
	shared := &shared{getenv: getenv}
	f := &function{}
	f.resize.open = func(ctx context.Context) (serve, error) {
		blobs, resizer, err := shared.get(ctx)
		if err != nil {
			return nil, err
		}
		fn, err := lambdaresizer.NewFunction(blobs, resizer)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, payload []byte) (any, error) { return fn.Handle(ctx, payload) }, nil
	}
	f.objectLambda.open = func(ctx context.Context) (serve, error) {
		blobs, resizer, err := shared.get(ctx)
		if err != nil {
			return nil, err
		}
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("AWS's configuration: %w", err)
		}
		h, err := objectlambda.New(blobs, resizer, s3.NewFromConfig(cfg))
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, payload []byte) (any, error) { return nil, h.Handle(ctx, payload) }, nil
	}
	return f
}

// shared is what resizing and Object Lambda both use.
type shared struct {
	getenv  func(string) string
	mu      sync.Mutex
	blobs   ports.Blobs
	resizer ports.Resizer
}

func (s *shared) get(ctx context.Context) (ports.Blobs, ports.Resizer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs != nil {
		return s.blobs, s.resizer, nil
	}
	resizer, err := bildresizer.New(bildresizer.Options{})
	if err != nil {
		return nil, nil, err
	}
	blobs, err := openBlobs(ctx, s.getenv("IMAGIFY_STORAGE_URL"))
	if err != nil {
		return nil, nil, err
	}
	s.blobs, s.resizer = blobs, resizer
	return blobs, resizer, nil
}

// openBlobs opens the store, which has to be one that the server uses too.
func openBlobs(ctx context.Context, rawURL string) (ports.Blobs, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("IMAGIFY_STORAGE_URL is no URL")
	}
	switch u.Scheme {
	case "s3":
		return s3blob.Open(ctx, rawURL)
	case "file":
		return fileblob.New(u.Path)
	}
	return nil, errors.New("IMAGIFY_STORAGE_URL must name the store that the server uses too, such as s3://bucket?region=eu-central-1")
}

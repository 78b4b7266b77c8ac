package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

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
	stored := once(func(ctx context.Context) (stored, error) { return openStored(ctx, getenv) })
	api := once(func(ctx context.Context) (*api, error) { return openAPI(ctx, getenv) })
	return &function{
		resize: once(func(ctx context.Context) (serve, error) {
			s, err := stored(ctx)
			if err != nil {
				return nil, err
			}
			f, err := lambdaresizer.NewFunction(s.blobs, s.resizer)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, payload []byte) (any, error) { return f.Handle(ctx, payload) }, nil
		}),
		objectLambda: once(func(ctx context.Context) (serve, error) {
			s, err := stored(ctx)
			if err != nil {
				return nil, err
			}
			cfg, err := config.LoadDefaultConfig(ctx)
			if err != nil {
				return nil, fmt.Errorf("AWS's configuration: %w", err)
			}
			h, err := objectlambda.New(s.blobs, s.resizer, s3.NewFromConfig(cfg))
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, payload []byte) (any, error) { return nil, h.Handle(ctx, payload) }, nil
		}),
		http: func(ctx context.Context) (serve, error) {
			a, err := api(ctx)
			if err != nil {
				return nil, err
			}
			return a.web.serve, nil
		},
		sweep: func(ctx context.Context) (serve, error) {
			a, err := api(ctx)
			if err != nil {
				return nil, err
			}
			return a.sweep, nil
		},
	}
}

// stored is all that is needed where no database is.
type stored struct {
	blobs   ports.Blobs
	resizer ports.Resizer
}

func openStored(ctx context.Context, getenv func(string) string) (stored, error) {
	resizer, err := bildresizer.New(bildresizer.Options{})
	if err != nil {
		return stored{}, err
	}
	blobs, err := openBlobs(ctx, getenv("IMAGIFY_STORAGE_URL"))
	return stored{blobs, resizer}, err
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

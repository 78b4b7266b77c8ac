package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/lambdaresizer/objectlambda"
	"github.com/imagify-api/imagify/cmd/internal/wiring"
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

// openStored opens the store, which has to be one that the server uses too.
func openStored(ctx context.Context, getenv func(string) string) (stored, error) {
	if getenv("IMAGIFY_STORAGE_URL") == "" {
		return stored{}, errors.New("IMAGIFY_STORAGE_URL must name the store that the server uses too, such as s3://bucket?region=eu-central-1")
	}
	// Of the settings the store's alone counts here: a database's secrets are not the function's to have.
	c, err := wiring.Load(func(name string) string {
		switch name {
		case "IMAGIFY_STORAGE_URL":
			return getenv(name)
		case "IMAGIFY_DATABASE_URL":
			return "mem:"
		case "IMAGIFY_SECRET_KEY":
			return rand.Text() // signs nothing
		}
		return ""
	})
	if err != nil {
		return stored{}, err
	}
	b, err := c.Open(ctx, slog.Default())
	if err != nil {
		return stored{}, err
	}
	return stored{b.Blobs, b.Resizer}, nil
}

// openAPI opens what the settings name and makes the API on it.
func openAPI(ctx context.Context, getenv func(string) string) (*api, error) {
	c, err := wiring.Load(getenv)
	if err != nil {
		return nil, err
	}
	b, err := c.Open(ctx, slog.Default())
	if err != nil {
		return nil, err
	}
	if err := b.Migrate(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	a, err := newAPI(ctx, b.Config, ginapi.Options{
		PublicURL: c.PublicURL, TrustedProxies: c.TrustedProxies, CDNMaxAge: c.CDNMaxAge, Version: version,
	}, c.AdminPassword)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return a, nil
}

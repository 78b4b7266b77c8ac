package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/lambdaresizer/objectlambda"
	"github.com/imagify-api/imagify/cmd/internal/settings"
)

// newFunction returns a function of the configuration; it opens nothing yet.
func newFunction(getenv func(string) string) *function {
	stored := once(func(ctx context.Context) (*backends.Backends, error) {
		storage := getenv("IMAGIFY_STORAGE_URL")
		if storage == "" {
			return nil, errors.New("IMAGIFY_STORAGE_URL must name the store that the server uses too, such as s3://bucket?region=eu-central-1")
		}
		return backends.OpenStored(ctx, backends.Config{Storage: storage})
	})
	api := once(func(ctx context.Context) (*api, error) { return openAPI(ctx, getenv) })
	return &function{
		resize: once(func(ctx context.Context) (serve, error) {
			s, err := stored(ctx)
			if err != nil {
				return nil, err
			}
			f, err := lambdaresizer.NewFunction(s.Blobs, s.Resizer)
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
			h, err := objectlambda.New(s.Blobs, s.Resizer, s3.NewFromConfig(cfg))
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

// openAPI opens what the settings name and makes the API on it.
func openAPI(ctx context.Context, getenv func(string) string) (*api, error) {
	c, err := settings.Load(getenv)
	if err != nil {
		return nil, err
	}
	b, err := c.Open(ctx, slog.Default())
	if err != nil {
		return nil, err
	}
	a, err := newAPI(ctx, b.Config, ginapi.Options{
		PublicURL: c.PublicURL, TrustedProxies: c.TrustedProxies, CDNMaxAge: c.CDNMaxAge, Version: version,
	}, c.AdminPassword)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return a, nil
}

package main

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
)

// openAPI opens the backends of the configuration and makes the API on them.
func openAPI(ctx context.Context, getenv func(string) string) (*api, error) {
	s, err := openStored(ctx, getenv)
	if err != nil {
		return nil, err
	}
	c := app.Config{
		Blobs: s.blobs, Resizer: s.resizer,
		RateLimits: memory.NewRateLimits(memory.Options{}), LinkLife: memory.NewLinkLife(memory.Options{}),
		SecretKeys: [][]byte{[]byte(getenv("IMAGIFY_SECRET_KEY"))},
	}
	database, err := url.Parse(getenv("IMAGIFY_DATABASE_URL"))
	if err != nil {
		return nil, errors.New("IMAGIFY_DATABASE_URL is no URL")
	}
	switch database.Scheme {
	case "sqlite":
		db, err := sqliterepo.Open(ctx, strings.TrimPrefix(database.String(), "sqlite:"), sqliterepo.Options{})
		if err != nil {
			return nil, err
		}
		if _, err := db.MigrateUp(ctx); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		c.Records = db.Records()
	default:
		return nil, errors.New("IMAGIFY_DATABASE_URL must name a database")
	}
	if r := getenv("IMAGIFY_RESIZER_URL"); strings.HasPrefix(r, "lambda:") {
		if c.StoredResizer, err = lambdaresizer.Open(ctx, r); err != nil {
			return nil, err
		}
	}
	return newAPI(ctx, c, ginapi.Options{PublicURL: getenv("IMAGIFY_PUBLIC_URL"), Version: version}, getenv("IMAGIFY_ADMIN_PASSWORD"))
}

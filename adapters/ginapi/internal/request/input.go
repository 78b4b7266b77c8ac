package request

import (
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// maxTokenSeconds keeps a token's life within a time.Duration; the app's own bound is lower.
const maxTokenSeconds = int64(1<<63-1) / int64(time.Second)

// ReadToken reads what a token shall be, from a JSON body or from a form.
func ReadToken(o *strictjson.Object) (name string, ttl time.Duration, err error) {
	o.Require("name")
	given, expires := o.String("name"), o.Integer("expires_in")
	if expires != nil {
		if *expires < 1 || *expires > maxTokenSeconds {
			o.Wrong("expires_in", "range", "must be a positive number of seconds; leave it out for a token that does not expire")
		}
		ttl = time.Duration(*expires) * time.Second
	}
	if err := o.Done(); err != nil {
		return "", 0, err
	}
	return *given, ttl, nil
}

// ReadLink reads what a link shall be, from a JSON body or from a form.
func ReadLink(o *strictjson.Object) (app.LinkInput, error) {
	var in app.LinkInput
	o.Require("expires_in")
	expires, maxViews, variant := o.Integer("expires_in"), o.Integer("max_views"), o.String("variant")
	if maxViews != nil {
		if in.MaxViews = *maxViews; in.MaxViews < 1 {
			o.Wrong("max_views", "range", "must be at least 1; leave it out for no bound")
		}
	}
	if variant != nil {
		v, err := domain.ParseVariant(*variant)
		if err != nil {
			o.Wrong("variant", "format", domain.AsError(err).Msg)
		}
		in.Variant = &v
	}
	if err := o.Done(); err != nil {
		return in, err
	}
	in.ExpiresIn = *expires
	return in, nil
}

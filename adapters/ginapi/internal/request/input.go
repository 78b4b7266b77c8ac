package request

import (
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// The bodies of requests. They are filled by strictjson and documented by package openapi, both by
// their tags: a field without omitempty is required.

// NewLink is what a link shall be.
type NewLink struct {
	ExpiresIn int64   `json:"expires_in" minimum:"30" maximum:"30000" description:"Seconds; a tier may allow less"`
	MaxViews  *int64  `json:"max_views,omitempty" minimum:"1"`
	Variant   *string `json:"variant,omitempty" pattern:"^(original|thumbnail:[1-9][0-9]{0,3})$"`
}

// ReadLink reads what a link shall be, from a JSON body or from a form.
func ReadLink(o *strictjson.Object) (app.LinkInput, error) {
	var body NewLink
	var in app.LinkInput
	o.Fill(&body)
	if body.MaxViews != nil {
		if in.MaxViews = *body.MaxViews; in.MaxViews < 1 {
			o.Wrong("max_views", "range", "must be at least 1; omit it for no limit")
		}
	}
	if body.Variant != nil {
		v, err := domain.ParseVariant(*body.Variant)
		if err != nil {
			o.Wrong("variant", "format", domain.AsError(err).Msg)
		}
		in.Variant = &v
	}
	in.ExpiresIn = body.ExpiresIn
	return in, o.Done()
}

// NewToken is what a token shall be.
type NewToken struct {
	Name      string `json:"name"`
	ExpiresIn *int64 `json:"expires_in,omitempty" minimum:"1" description:"Seconds; omitted: the token does not expire"`
}

// maxTokenSeconds keeps a token's life within a time.Duration; the app's own bound is lower.
const maxTokenSeconds = int64(1<<63-1) / int64(time.Second)

// ReadToken reads what a token shall be, from a JSON body or from a form. A life of 0 has no end.
func ReadToken(o *strictjson.Object) (name string, life time.Duration, err error) {
	var body NewToken
	o.Fill(&body)
	if s := body.ExpiresIn; s != nil {
		if *s < 1 || *s > maxTokenSeconds {
			o.Wrong("expires_in", "range", "must be a positive number of seconds; omit it for a token that does not expire")
		}
		life = time.Duration(*s) * time.Second
	}
	return body.Name, life, o.Done()
}

// TierChange is what a tier's POST and PATCH share.
type TierChange struct {
	Title       *string           `json:"title,omitempty"`
	Permissions *[]string         `json:"permissions,omitempty"`
	Limits      map[string]*int64 `json:"limits,omitempty"`
}

// NewTier is what a tier shall be.
type NewTier struct {
	Name string `json:"name"`
	TierChange
}

// UserChange is what a user's POST and PATCH share.
type UserChange struct {
	Email       *string   `json:"email,omitempty"`
	Password    *string   `json:"password,omitempty" writeOnly:"true"`
	Tiers       *[]string `json:"tiers,omitempty"`
	Permissions *[]string `json:"permissions,omitempty"`
	IsAdmin     *bool     `json:"is_admin,omitempty"`
	IsActive    *bool     `json:"is_active,omitempty"`
}

// NewUser is what a user shall be.
type NewUser struct {
	Username string `json:"username"`
	UserChange
}

// SignIn is the form of a sign-in.
type SignIn struct {
	Username string `json:"username"`
	Password string `json:"password" writeOnly:"true"`
	Next     string `json:"next,omitempty"`
}

// Body reads the request's JSON into one of the bodies above.
func (q *Request) Body(into any) error {
	o, err := q.Object()
	if err != nil {
		return err
	}
	o.Fill(into)
	return o.Done()
}

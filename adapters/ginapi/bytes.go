package ginapi

import (
	"net/url"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func getThumbnail(q *request.Request) error {
	height, err := domain.ParseHeight(q.Param("height"))
	if err != nil {
		err = domain.InvalidField("height", "format", "%s", domain.AsError(err).Msg)
	}
	v, _ := domain.Thumbnail(height)
	return sendVariant(q, v, err)
}

func getOriginal(q *request.Request) error { return sendVariant(q, domain.Original, nil) }

// sendVariant serves a variant of an image by its signed URL or by credentials. A
// good signature serves without a look at the credentials; beside a bad one valid
// credentials still count. invalid is what is wrong with the variant itself; only
// a caller with valid credentials is told.
func sendVariant(q *request.Request, v domain.Variant, invalid error) error {
	release, err := q.Admit()
	if err != nil {
		return err
	}
	defer release()
	id, idErr := q.ImageID()
	sig := signature(q.HTTP.URL.RawQuery)
	var refused error
	if sig.Present() {
		switch {
		case invalid != nil:
			refused = invalid
		case idErr != nil:
			refused = idErr
		default:
			c, err := q.Service.OpenSigned(q.Context(), sig, id, v)
			if err == nil {
				return q.SendContent(c)
			}
			refused = err
			if code := domain.CodeOf(err); code != domain.Denied && code != domain.NotFound {
				return err // not the signature's fault
			}
		}
	}
	if refused == nil || q.HasCredentials() {
		err := q.Authenticate()
		if err != nil {
			if refused != nil && domain.CodeOf(err) == domain.Unauthenticated {
				return refused
			}
			return err
		}
		if invalid != nil {
			return invalid
		}
		if idErr != nil {
			return idErr
		}
		c, err := q.Service.Open(q.Context(), q.Actor, id, v)
		if err != nil {
			return err
		}
		return q.SendContent(c)
	}
	return refused
}

func getLink(q *request.Request) error {
	release, err := q.Admit()
	if err != nil {
		return err
	}
	defer release()
	c, err := q.Service.OpenLink(q.Context(), q.Param("token"))
	if err != nil {
		return err
	}
	return q.SendContent(c)
}

// signature reads the query of a signed URL without building a map. Of a
// parameter that is there more than once, the first counts: the signature covers
// all that it decides.
func signature(raw string) (sig app.SignatureText) {
	for raw != "" {
		var item string
		item, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(item, "=")
		var into *string
		switch name {
		case "expires":
			into = &sig.Expires
		case "owner":
			into = &sig.Owner
		case "signature":
			into = &sig.Signature
		default:
			continue
		}
		if *into == "" {
			if *into = value; strings.IndexByte(value, '%') >= 0 {
				*into, _ = url.QueryUnescape(value) // what is malformed is no signature
			}
		}
	}
	return sig
}

func noRoute(*request.Request) error {
	return domain.Errorf(domain.NotFound, "there is nothing at this path")
}

// noMethod answers for paths that exist. A dead link is dead for every method.
func noMethod(q *request.Request) error {
	if token, ok := strings.CutPrefix(q.HTTP.URL.Path, "/l/"); ok {
		release, err := q.Admit() // opening costs the store what it costs a GET
		if err != nil {
			return err
		}
		defer release()
		c, err := q.Service.OpenLink(q.Context(), token)
		if err != nil {
			return err
		}
		c.Body.Close()
	}
	return domain.Errorf(domain.MethodNotAllowed, "this path does not answer to %s", q.HTTP.Method)
}

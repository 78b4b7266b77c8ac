package request

import (
	"encoding/base64"
	"net/url"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// How many items a page of a list has.
const (
	DefaultPage = 30
	MaxPage     = 100
)

// cursors are the ids to go on before, opaque to clients. Strict: of each id exactly one text is accepted.
var cursors = base64.RawURLEncoding.Strict()

// Cursor is the id to go on before as clients get it.
func Cursor(id domain.ID) string { return cursors.EncodeToString(id[:]) }

func decodeCursor(s string) (domain.ID, error) {
	b, err := cursors.DecodeString(s)
	// The length of the text too: the decoder skips line breaks.
	if err != nil || len(b) != len(domain.ID{}) || len(s) != cursors.EncodedLen(len(b)) || domain.ID(b).IsZero() {
		return domain.ID{}, domain.InvalidField("cursor", "format", "must be the next_cursor of an earlier answer")
	}
	return domain.ID(b), nil
}

// maxQuery bounds the part of a URL behind the question mark, in bytes: the address of the
// next page repeats it.
const maxQuery = 4 << 10

// Query returns the URL's parameters; one that is malformed is an error, not passed over.
func (q *Request) Query() (url.Values, error) {
	if len(q.HTTP.URL.RawQuery) > maxQuery {
		return nil, domain.Errorf(domain.Invalid, "the query is longer than %d bytes", maxQuery)
	}
	v, err := url.ParseQuery(q.HTTP.URL.RawQuery)
	if err != nil {
		return nil, domain.Wrap(domain.Invalid, err, "the query is malformed")
	}
	return v, nil
}

// Pagination returns the URL's parameters, and the page that they ask for.
func (q *Request) Pagination() (url.Values, ports.Page, error) {
	v, err := q.Query()
	if err != nil {
		return nil, ports.Page{}, err
	}
	p, err := pagination(v)
	return v, p, err
}

// pagination reads limit and cursor.
func pagination(v url.Values) (ports.Page, error) {
	p := ports.Page{Limit: DefaultPage}
	if v.Has("limit") {
		n, ok := strictjson.Digits(v.Get("limit"))
		if !ok || n < 1 || n > MaxPage {
			return p, domain.InvalidField("limit", "range", "a whole number from 1 to %d", MaxPage)
		}
		p.Limit = int(n)
	}
	if v.Has("cursor") {
		var err error
		if p.Before, err = decodeCursor(v.Get("cursor")); err != nil {
			return p, err
		}
	}
	return p, nil
}

// Filter reads the parameters of an admin's listing: user, from, to, limit and cursor.
func (q *Request) Filter() (v url.Values, f app.Filter, p ports.Page, err error) {
	if v, p, err = q.Pagination(); err != nil {
		return
	}
	f.Username = v.Get("user")
	if f.From, err = timeParam(v, "from"); err != nil {
		return
	}
	f.To, err = timeParam(v, "to")
	return
}

func timeParam(v url.Values, name string) (time.Time, error) {
	if !v.Has(name) {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, v.Get(name))
	if err != nil {
		return t, domain.InvalidField(name, "format", "a time such as 2026-01-02T03:04:05Z (RFC 3339)")
	}
	return t.UTC(), nil
}

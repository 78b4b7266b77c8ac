package ginapi

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"time"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	defaultPage = 30
	maxPage     = 100
)

// cursors are the ids to go on before, opaque to clients. Strict: of each id exactly one text is accepted.
var cursors = base64.RawURLEncoding.Strict()

func encodeCursor(id domain.ID) string { return cursors.EncodeToString(id[:]) }

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

// query returns the URL's parameters; one that is malformed is an error, not passed over.
func (q *request) query() (url.Values, error) {
	if len(q.r.URL.RawQuery) > maxQuery {
		return nil, domain.Errorf(domain.Invalid, "the query is longer than %d bytes", maxQuery)
	}
	v, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return nil, domain.Wrap(domain.Invalid, err, "the query is malformed")
	}
	return v, nil
}

// paged returns the URL's parameters, and the page that they ask for.
func (q *request) paged() (url.Values, ports.Page, error) {
	v, err := q.query()
	if err != nil {
		return nil, ports.Page{}, err
	}
	p, err := page(v)
	return v, p, err
}

// page reads limit and cursor.
func page(v url.Values) (ports.Page, error) {
	p := ports.Page{Limit: defaultPage}
	if v.Has("limit") {
		n, ok := digits(v.Get("limit"))
		if !ok || n < 1 || n > maxPage {
			return p, domain.InvalidField("limit", "range", "a whole number from 1 to %d", maxPage)
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

// browse reads the parameters of an admin's listing: user, from, to, limit and cursor.
func (q *request) browse() (v url.Values, f app.Filter, p ports.Page, err error) {
	if v, p, err = q.paged(); err != nil {
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

// listView is a page of a list.
type listView[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// list answers with a page, and with a link to the next one.
func list[M, V any](q *request, v url.Values, items []M, next domain.ID, view func(M) V) error {
	out := listView[V]{Items: make([]V, len(items)), NextCursor: q.next(v, next)}
	for i, it := range items {
		out.Items[i] = view(it)
	}
	return q.json(200, out)
}

// next sets the Link header (RFC 8288) and returns the cursor; nil at the end.
func (q *request) next(v url.Values, next domain.ID) *string {
	if next.IsZero() {
		return nil
	}
	c := encodeCursor(next)
	v.Set("cursor", c)
	if !v.Has("limit") {
		v.Set("limit", strconv.Itoa(defaultPage))
	}
	q.set("Link", "<"+q.base()+q.r.URL.EscapedPath()+"?"+v.Encode()+`>; rel="next"`)
	return &c
}

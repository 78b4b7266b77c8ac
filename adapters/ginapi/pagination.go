package ginapi

import (
	"net/url"
	"strconv"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/domain"
)

// list answers with a page, and with a link to the next one.
func list[M, V any](q *request.Request, v url.Values, items []M, next domain.ID, of func(M) V) error {
	out := response.List[V]{Items: make([]V, len(items)), NextCursor: nextCursor(q, v, next)}
	for i, it := range items {
		out.Items[i] = of(it)
	}
	return q.JSON(200, out)
}

// nextCursor sets the Link header (RFC 8288) and returns the cursor; nil at the end.
func nextCursor(q *request.Request, v url.Values, next domain.ID) *string {
	if next.IsZero() {
		return nil
	}
	c := request.Cursor(next)
	v.Set("cursor", c)
	if !v.Has("limit") {
		v.Set("limit", strconv.Itoa(request.DefaultPage))
	}
	q.Set("Link", "<"+q.BaseURL()+q.HTTP.URL.EscapedPath()+"?"+v.Encode()+`>; rel="next"`)
	return &c
}

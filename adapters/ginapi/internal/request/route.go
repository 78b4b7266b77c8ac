package request

import (
	"net/http"
	"strings"
)

// Access says what a route asks of its caller before its handler runs.
type Access int

const (
	// Open routes ask nothing.
	Open Access = iota
	// SignedIn routes need credentials and count against the caller's allowance.
	SignedIn
	// Admins routes need an admin's credentials.
	Admins
)

// Route is one line of a table of routes.
type Route struct {
	Method, Path string // the path with {parameters}
	Access       Access
	// Long requests set their own deadlines instead of the request timeout.
	Long bool
	// Page says that a browser gets pages from it, failures included.
	Page   bool
	Handle func(*Request) error
	Doc    Operation
}

// Operation is what the OpenAPI document says of a route.
type Operation struct {
	Tag, Summary, Description string
	// Params are names of the document's parameters, besides the path's own.
	Params []string
	// Body is a value of the struct that the request's JSON is read into, or Upload; nil: no body.
	Body any
	// Status and Answer are the success: a value of the struct that is answered with, or one of
	// the media; nil: no body.
	Status int
	Answer any
	// Location: the success has a Location header. Page: a failure may be a page.
	Location, Page bool
	Errors         []int
}

// Media is a body that is not described by a struct.
type Media string

// The media.
const (
	Upload  Media = "upload" // an image
	Bytes   Media = "bytes"  // a variant of an image
	HTML    Media = "page"
	Text    Media = "text"
	AnyJSON Media = "any"
)

// Nowhere is the path of the routes that answer where the router knows no other.
const Nowhere = "none"

// Browsable reports whether a browser gets the route's JSON within a page.
func (rt *Route) Browsable() bool {
	get := rt.Method == http.MethodGet || rt.Method == http.MethodHead
	return get && strings.HasPrefix(rt.Path, "/v1/") && rt.Doc.Answer != Bytes
}

// wantsErrorPage reports whether a failure is better told by a page: to a browser, of what it shows as pages.
func (q *Request) wantsErrorPage() bool {
	if q.status != 0 || !q.WantsHTML() {
		return false
	}
	get := q.HTTP.Method == http.MethodGet || q.HTTP.Method == http.MethodHead
	return q.Route.Page || get && (q.Route.Path == Nowhere || q.Route.Path == "/l/{token}")
}

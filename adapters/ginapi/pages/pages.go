// Package pages answers people: the gallery, an image's page, the account, the administration, the
// sign-in, the API's documentation, and the page that a browser gets around the JSON of the API
// (the browsable API). It asks the same app.Service as the JSON API does and decides nothing about
// who may do what; templates and assets are in package web.
package pages

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/pages/web"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/domain"
)

// Handlers answer with pages. They are never changed and may be shared.
type Handlers struct {
	site *web.Site
	// api are the routes of the API, which the browsable API makes its forms of.
	api []request.Route
}

// New returns the pages of a server.
func New() (*Handlers, error) {
	site, err := web.Load()
	if err != nil {
		return nil, err
	}
	return &Handlers{site: site}, nil
}

// Browse gives the browsable API the routes of the API.
func (h *Handlers) Browse(api []request.Route) { h.api = api }

// Routes are the pages that are no part of the API, and not in its document.
func (h *Handlers) Routes() []request.Route {
	const get, post = http.MethodGet, http.MethodPost
	return append([]request.Route{
		{Method: get, Path: "/", Access: request.SignedIn, Page: true, Handle: h.getGallery},
		{Method: post, Path: "/", Access: request.SignedIn, Page: true, Long: true, Handle: h.postGallery},
		{Method: get, Path: "/images/{id}", Access: request.SignedIn, Page: true, Handle: h.getImagePage},
		{Method: post, Path: "/images/{id}", Access: request.SignedIn, Page: true, Handle: h.postImagePage},
		{Method: get, Path: "/account", Access: request.SignedIn, Page: true, Handle: h.getAccount},
		{Method: post, Path: "/account", Access: request.SignedIn, Page: true, Handle: h.postAccount},
		{Method: get, Path: web.AssetPath + "{file}", Handle: h.getAsset},
	}, h.adminRoutes()...)
}

// DocumentedRoutes are those that stand in the API's document, too.
func (h *Handlers) DocumentedRoutes() []request.Route {
	const get, post = http.MethodGet, http.MethodPost
	return []request.Route{
		{Method: get, Path: "/api-auth/login", Page: true, Handle: h.getSignIn, Doc: request.Operation{
			Tag: "sign-in", Summary: "The sign-in page", Params: []string{"next"}, Status: 200, Answer: request.HTML, Errors: []int{400},
		}},
		{Method: post, Path: "/api-auth/login", Page: true, Handle: h.postSignIn, Doc: request.Operation{
			Tag: "sign-in", Summary: "Sign in", Description: "Sets the session cookie and leads to `next`.", Body: request.SignIn{},
			Status: 303, Page: true, Errors: []int{400, 401, 403, 408, 413, 429},
		}},
		{Method: get, Path: "/api-auth/logout", Page: true, Handle: h.getSignOut, Doc: request.Operation{
			Tag: "sign-in", Summary: "The sign-out page", Description: "It holds a form; a GET signs nobody out.", Status: 200, Answer: request.HTML,
		}},
		{Method: post, Path: "/api-auth/logout", Page: true, Handle: h.postSignOut, Doc: request.Operation{
			Tag: "sign-in", Summary: "Sign out", Description: "Ends the session. A browser is led to the sign-in page.", Status: 204, Errors: []int{403},
		}},
		{Method: get, Path: "/docs", Page: true, Handle: h.getDocs, Doc: request.Operation{
			Tag: "service", Summary: "This document as an interactive page", Status: 200, Answer: request.HTML,
		}},
	}
}

// pageData is what every page's template gets.
type pageData struct {
	Title, Nav string
	User       string // empty: nobody is signed in
	Admin      bool
	Width      string // "narrow", or as most pages are
	Here       string // for coming back after the sign-in
	// Problem and Notice say what came of the form that was sent.
	Problem, Notice string
	Data            any
	policy          string // empty: pagePolicy
}

var (
	// pagePolicy lets a page load what this server has, and run no script that stands in it.
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	// docsPolicy lets the viewer's style sheet have the pictures that stand in it.
	docsPolicy = strings.Replace(pagePolicy, "img-src 'self'", "img-src 'self' data:", 1)
)

func (h *Handlers) newPage(q *request.Request, title, nav string, data any) *pageData {
	d := &pageData{Title: title, Nav: nav, User: q.Actor.User.Username, Admin: q.Actor.Admin(), Data: data}
	if q.HTTP.Method == http.MethodGet {
		d.Here = request.LocalPath(q.HTTP.URL.RequestURI())
	}
	return d
}

func (h *Handlers) html(q *request.Request, status int, page string, d *pageData) error {
	return h.htmlPart(q, status, page, "layout", d)
}

// htmlPart answers with a part of a page: the one place where pages are written.
func (h *Handlers) htmlPart(q *request.Request, status int, page, part string, d *pageData) error {
	var b bytes.Buffer
	if err := h.site.Render(&b, page, part, d); err != nil {
		return err
	}
	q.Set("Content-Type", "text/html; charset=utf-8")
	q.Set("Content-Security-Policy", pagePolicy)
	if d.policy != "" {
		q.Set("Content-Security-Policy", d.policy)
	}
	q.Set("Cache-Control", request.NoStore) // so that Vary need not speak of the encoding: no cache has the page
	q.Set("Vary", request.VaryOnCaller)
	q.Set("Referrer-Policy", "same-origin")
	q.Set("X-Frame-Options", "DENY")
	body := b.Bytes()
	if q.AcceptsGzip() {
		body = compress(body)
		q.Set("Content-Encoding", "gzip")
	}
	q.Write(status, body)
	return nil
}

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// compress returns a body in gzip's format.
func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(&b)
	_, _ = z.Write(body) // a Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// refused answers a form's error in words, on the page that show makes of them;
// what a form has nothing to say about is returned.
func (h *Handlers) refused(q *request.Request, err error, show func(status int, words string) error) error {
	words, status, ok := request.FormError(err)
	if !ok {
		return err
	}
	q.LogError(err)
	return show(status, words)
}

// Error answers a browser's failed GET in words.
func (h *Handlers) Error(q *request.Request, p response.Problem) error {
	title := map[int]string{
		http.StatusNotFound: "There is nothing here", http.StatusGone: "This link has expired", http.StatusForbidden: "This is not for you",
		http.StatusTooManyRequests: "A little too fast", http.StatusServiceUnavailable: "Back in a moment", http.StatusBadRequest: "This address is not right",
	}[p.Status]
	if title == "" {
		title = p.Title
	}
	if q.Actor.Via == "" && q.HTTP.Header["Authorization"] == nil {
		q.Identify() // the bar on top shows who is signed in, where a page asked nobody
	}
	p.Title, p.Detail = title, request.Sentence(p.Detail)
	return h.html(q, p.Status, "error", h.newPage(q, title, "", p))
}

func (h *Handlers) getAsset(q *request.Request) error {
	a := h.site.Asset(q.Param("file"))
	if a == nil {
		return domain.Errorf(domain.NotFound, "there is nothing at this path")
	}
	q.Set("Content-Type", a.ContentType)
	q.Set("Cache-Control", "public, max-age=31536000, immutable")
	q.Set("Vary", "Accept-Encoding")
	if a.Gzip != nil && q.AcceptsGzip() {
		q.Set("Content-Encoding", "gzip")
		q.Write(http.StatusOK, a.Gzip)
		return nil
	}
	b, err := a.Plain()
	if err != nil {
		return err
	}
	q.Write(http.StatusOK, b)
	return nil
}

func noSuchAction() error {
	return domain.Errorf(domain.Invalid, "the form has no such action")
}

func itoa(n int) string { return strconv.Itoa(n) }

package pages

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"sync"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
)

// pageData is what every page's template gets.
type pageData struct {
	Title, Nav string
	User       string // empty: nobody is signed in
	Admin      bool
	Width      string // "narrow", or as most pages are
	Here       string // for coming back after the sign-in
	// Problem and Notice say what came of the form that was sent.
	Problem, Notice string
	// ProblemTitle is what failed; empty: saving.
	ProblemTitle string
	Data         any
	policy       string // empty: pagePolicy
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
		http.StatusNotFound: "Page not found", http.StatusGone: "This link has expired", http.StatusForbidden: "You do not have access",
		http.StatusTooManyRequests: "Too many requests", http.StatusServiceUnavailable: "Temporarily unavailable", http.StatusBadRequest: "Invalid address",
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

package ginapi

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/imagify-api/imagify/adapters/ginapi/web"
	"github.com/imagify-api/imagify/domain"
)

// pageRoutes are the pages: no part of the API, and not in its document.
func pageRoutes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{method: get, path: "/", access: signedIn, page: true, handle: getGallery},
		{method: post, path: "/", access: signedIn, page: true, long: true, handle: postGallery},
		{method: get, path: "/images/{id}", access: signedIn, page: true, handle: getImagePage},
		{method: post, path: "/images/{id}", access: signedIn, page: true, handle: postImagePage},
		{method: get, path: "/account", access: signedIn, page: true, handle: getAccount},
		{method: post, path: "/account", access: signedIn, page: true, handle: postAccount},
		{method: get, path: web.AssetPath + "{file}", handle: getAsset},
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
	policy          []string // nil: pagePolicy
}

var (
	// pagePolicy lets a page load what this server has, and run no script that stands in it.
	pagePolicy = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"}
	// docsPolicy lets the viewer's style sheet have the pictures that stand in it.
	docsPolicy = []string{strings.Replace(pagePolicy[0], "img-src 'self'", "img-src 'self' data:", 1)}
	immutable  = []string{"public, max-age=31536000, immutable"}
	gzipped    = []string{"gzip"}
	varyOnGzip = []string{"Accept-Encoding"}
)

func (q *request) newPage(title, nav string, data any) *pageData {
	d := &pageData{Title: title, Nav: nav, User: q.actor.User.Username, Admin: q.actor.Admin(), Data: data}
	if q.r.Method == http.MethodGet {
		d.Here = localPath(q.r.URL.RequestURI())
	}
	return d
}

func (q *request) html(status int, page string, d *pageData) error {
	return q.htmlPart(status, page, "layout", d)
}

// htmlPart answers with a part of a page: the one place where pages are written.
func (q *request) htmlPart(status int, page, part string, d *pageData) error {
	var b bytes.Buffer
	if err := q.s.site.Render(&b, page, part, d); err != nil {
		return err
	}
	h := q.w.Header()
	h["Content-Type"] = htmlType
	h["Content-Security-Policy"] = pagePolicy
	if d.policy != nil {
		h["Content-Security-Policy"] = d.policy
	}
	h["Cache-Control"] = noStore // so that Vary need not speak of the encoding: no cache has the page
	h["Vary"] = varyOnCaller
	h["Referrer-Policy"] = sameOrigin
	h["X-Frame-Options"] = frameDeny
	body := b.Bytes()
	if acceptsGzip(q.r.Header.Get("Accept-Encoding")) {
		body = compress(body)
		h["Content-Encoding"] = gzipped
	}
	q.write(status, body)
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
func (q *request) refused(err error, show func(status int, words string) error) error {
	words, status, ok := say(err)
	if !ok {
		return err
	}
	q.err = err
	return show(status, words)
}

// say turns an error into words for a form; false where a form has nothing to say about it.
func say(err error) (string, int, bool) {
	e := domain.AsError(err)
	switch e.Code {
	case domain.Internal, domain.Unauthenticated, domain.Unavailable, domain.CrossOrigin:
		return "", 0, false
	}
	msg := e.Msg
	if len(e.Fields) > 1 {
		all := make([]string, min(len(e.Fields), maxErrors))
		for i := range all {
			all[i] = clip(e.Fields[i].Field, maxFieldName) + ": " + clip(e.Fields[i].Message, maxDetail)
		}
		msg = strings.Join(all, "; ")
	}
	if msg == "" {
		msg = plainDetails[e.Code]
	}
	return upperFirst(clip(msg, maxErrors*(maxDetail+maxFieldName))) + ".", statusOf(e.Code), true
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimRight(s[1:], ".")
}

// errorPage answers a browser's failed GET in words.
func (q *request) errorPage(p problem) error {
	title := map[int]string{
		http.StatusNotFound: "There is nothing here", http.StatusGone: "This link has expired", http.StatusForbidden: "This is not for you",
		http.StatusTooManyRequests: "A little too fast", http.StatusServiceUnavailable: "Back in a moment", http.StatusBadRequest: "This address is not right",
	}[p.Status]
	if title == "" {
		title = p.Title
	}
	if q.actor.Via == "" && q.r.Header["Authorization"] == nil {
		// The bar on top shows who is signed in, where a page asked nobody.
		if a, err := q.whoAsks(); err == nil {
			q.actor = a
		}
	}
	p.Title, p.Detail = title, upperFirst(p.Detail)+"."
	return q.html(p.Status, "error", q.newPage(title, "", p))
}

// wantsErrorPage reports whether a failure is better told by a page: to a browser, of what it shows as pages.
func (q *request) wantsErrorPage() bool {
	if q.status != 0 || !q.wantsHTML() {
		return false
	}
	get := q.r.Method == http.MethodGet || q.r.Method == http.MethodHead
	return q.route.page || get && (q.route.path == "none" || q.route.path == "/l/{token}")
}

func getAsset(q *request) error {
	a := q.s.site.Asset(q.c.Param("file"))
	if a == nil {
		return domain.Errorf(domain.NotFound, "there is nothing at this path")
	}
	h := q.w.Header()
	h["Content-Type"] = []string{a.ContentType}
	h["Cache-Control"] = immutable
	h["Vary"] = varyOnGzip
	if a.Gzip != nil && acceptsGzip(q.r.Header.Get("Accept-Encoding")) {
		h["Content-Encoding"] = gzipped
		q.write(http.StatusOK, a.Gzip)
		return nil
	}
	b, err := a.Plain()
	if err != nil {
		return err
	}
	q.write(http.StatusOK, b)
	return nil
}

// acceptsGzip reports whether an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3).
func acceptsGzip(accept string) bool {
	for _, item := range strings.Split(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "gzip" && name != "*" {
			continue
		}
		if _, weight, ok := strings.Cut(params, "="); ok && parseWeight(strings.TrimSpace(weight)) == 0 {
			return false
		}
		return true
	}
	return false
}

func getSignOut(q *request) error {
	if q.hasCredentials() {
		// Whoever cannot be told is not signed in; the page says so.
		if a, err := q.whoAsks(); err == nil {
			q.actor = a
		}
	}
	d := q.newPage("Sign out", "", nil)
	d.Width = "narrow"
	return q.html(http.StatusOK, "logout", d)
}

func noSuchAction() error {
	return domain.Errorf(domain.Invalid, "the form has no such action")
}

func itoa(n int) string { return strconv.Itoa(n) }

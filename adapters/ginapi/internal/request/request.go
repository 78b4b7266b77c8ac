// Package request is one HTTP request on its way through the front end, the same for the JSON
// API and for the pages: who asks (caller.go, address.go), what was sent (body.go, upload.go,
// pagination.go), and the answer. Every answer leaves through this package: JSON, pages and
// redirects by answer.go, errors by problem.go, and image bytes by Request.SendContent alone,
// which asks whether they may go out before the first of them and again on the way.
//
// A handler gets a Request, asks the app.Service, and calls one of the methods that answer.
package request

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/metrics"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// Server is what the requests of one server share. Its exported fields are set before Init and never
// changed after it.
type Server struct {
	Service *app.Service
	Log     *slog.Logger
	Metrics *metrics.Metrics

	PublicURL       string // without a trailing slash; empty: from the request
	TrustedProxies  []netip.Prefix
	CDNMaxAge       time.Duration
	RequestTimeout  time.Duration
	IdleTimeout     time.Duration
	UploadTimeout   time.Duration
	MaxByteRequests int64

	// BrowsablePage answers with a page around a JSON body, ErrorPage with a page about a
	// problem. One that fails has answered nothing.
	BrowsablePage func(q *Request, status int, body []byte, contentType string) error
	ErrorPage     func(q *Request, p response.Problem) error

	publicSecure bool // PublicURL is https
	origins      *http.CrossOriginProtection
	downloads    *downloads
	drains       drains
}

// Init prepares a Server for its first request.
func (s *Server) Init() error {
	s.publicSecure = strings.HasPrefix(s.PublicURL, "https:")
	s.downloads = newDownloads(s.MaxByteRequests)
	s.origins = http.NewCrossOriginProtection()
	if s.PublicURL == "" {
		return nil
	}
	return s.origins.AddTrustedOrigin(s.PublicURL)
}

// Request is one request on its way through.
type Request struct {
	// Service answers the questions of the request's handler.
	Service *app.Service
	// HTTP is the request as it came.
	HTTP *http.Request
	// Actor is who asks; the zero Actor where nobody was asked.
	Actor domain.Actor
	// Route is the line of the table that the request is handled by.
	Route *Route

	server *Server
	gin    *gin.Context
	w      http.ResponseWriter // the server's own, which can send files
	id     string
	begun  time.Time

	address string
	secure  bool // https, as the client sees it

	status int
	sent   int64
	err    error // what failed, for the log
	out    contentWriter
	// bodyEnded says that the request's body was read to its end, drain that the rest of
	// it is to be read and dropped after the answer.
	bodyEnded, drain bool
}

// Param is the value of a parameter of the route's path.
func (q *Request) Param(name string) string { return q.gin.Param(name) }

// Address is the client's address, without a port.
func (q *Request) Address() string { return q.address }

// ID reads the path's parameter that is an id. What cannot be one names nothing.
func (q *Request) ID(notFound string) (domain.ID, error) {
	id, err := domain.ParseID(q.Param("id"))
	if err != nil {
		return id, domain.Errorf(domain.NotFound, "%s", notFound)
	}
	return id, nil
}

// ImageID is ID where the id is an image's.
func (q *Request) ImageID() (domain.ID, error) { return q.ID(domain.NoSuchImage().Msg) }

// Header is the answer's header.
func (q *Request) Header() http.Header { return q.w.Header() }

// LogError notes what failed where the answer is not a problem, for the log.
func (q *Request) LogError(err error) { q.err = err }

// Handler makes a gin handler of a route: the one layer around every handler.
func (s *Server) Handler(rt *Route) gin.HandlerFunc {
	m := s.Metrics.Of(rt.Method, rt.Path)
	return func(c *gin.Context) {
		q := &Request{Service: s.Service, HTTP: c.Request, Route: rt, server: s, gin: c, begun: time.Now()}
		q.w = unwrap(c.Writer)
		q.id = newRequestID()
		q.address, q.secure = s.client(c.Request)
		q.Set("X-Request-Id", q.id)
		q.Set("X-Content-Type-Options", "nosniff")
		q.Set("Content-Security-Policy", sandbox)
		q.Set("Cross-Origin-Resource-Policy", "same-origin")
		if q.secure {
			q.Set("Strict-Transport-Security", "max-age=31536000")
		}
		s.Metrics.Begin()
		defer q.drainBody()
		defer q.finish(m)
		if err := q.run(); err != nil {
			q.fail(err)
		}
	}
}

// run asks what the route asks of its callers, then lets its handler work.
func (q *Request) run() error {
	rt := q.Route
	if !rt.Long {
		ctx, cancel := context.WithTimeout(q.HTTP.Context(), q.server.RequestTimeout)
		defer cancel()
		q.HTTP = q.HTTP.WithContext(ctx)
		if q.HTTP.ContentLength != 0 {
			q.readDeadline(q.begun.Add(q.server.RequestTimeout))
		}
	} else if q.HTTP.Method == http.MethodGet || q.HTTP.Method == http.MethodHead {
		if err := q.dropBody(); err != nil {
			return err
		}
	}
	if rt.Access == Open {
		return rt.Handle(q)
	}
	if q.server.PublicURL == "" && !ValidHost(q.HTTP.Host) {
		return domain.Errorf(domain.Invalid, "the Host header is not a host")
	}
	if err := q.SameOrigin(); err != nil {
		return err
	}
	if err := q.Authenticate(); err != nil {
		return err
	}
	if err := q.limit(); err != nil {
		return err
	}
	if rt.Access == Admins && !q.Actor.Admin() {
		return domain.Errorf(domain.Denied, "only admins may do this")
	}
	return rt.Handle(q)
}

// limit takes one request off the caller's allowance and tells what is left.
func (q *Request) limit() error {
	limit, st, err := q.Service.Limit(q.Context(), q.Actor)
	if limit != domain.NoLimit {
		q.Set("Ratelimit-Limit", strconv.FormatInt(int64(limit), 10))
		q.Set("Ratelimit-Remaining", strconv.FormatInt(max(st.Remaining, 0), 10))
		q.Set("Ratelimit-Reset", seconds(st.Reset))
	}
	return err
}

// seconds rounds up, as Retry-After wants it.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// Context is that of the HTTP request: it ends with the connection.
func (q *Request) Context() context.Context { return q.HTTP.Context() }

// finish counts and logs the request, and turns a panic into an answer.
func (q *Request) finish(m *metrics.Route) {
	p := recover()
	var stack []byte
	switch p {
	case nil:
	case http.ErrAbortHandler:
		if q.err == nil {
			q.err = http.ErrAbortHandler
		}
	default:
		stack = debug.Stack()
		q.err = fmt.Errorf("panic: %v", p)
		if q.status == 0 {
			q.answerProblem(domain.AsError(q.err), http.StatusInternalServerError)
			p = nil
		} else {
			p = http.ErrAbortHandler // the answer had begun: cut it off
		}
	}
	took := time.Since(q.begun)
	m.Observe(q.status, took)
	q.server.Metrics.End()
	q.logLine(took, stack)
	if p != nil {
		panic(p)
	}
}

// newRequestID returns 128 random bits in hexadecimal.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the process instead
	var text [32]byte
	hex.Encode(text[:], b[:])
	return string(text[:])
}

// unwrap returns the writer beneath gin's, which hides what the server's can do.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return w
}

package ginapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/imagify-api/imagify/domain"
)

// access says what a route asks of a caller before its handler runs.
type access int

const (
	// open routes ask nothing.
	open access = iota
	// signedIn routes need credentials and count against the caller's allowance.
	signedIn
	// admins routes need an admin's.
	admins
)

// route is one line of the API.
type route struct {
	method, path string // the path with {parameters}
	access       access
	// long requests set their own deadlines instead of the request timeout.
	long bool
	// page says that a browser gets pages from it, failures included.
	page   bool
	handle func(*request) error
	doc    operation
}

// request is one request on its way through. It lives as long as the answer's
// header, whose values it holds.
type request struct {
	s     *Server
	c     *gin.Context
	r     *http.Request
	w     http.ResponseWriter // the server's own, which can send files
	route *route
	id    string
	begun time.Time

	actor   domain.Actor
	address string
	secure  bool // https, as the client sees it

	status int
	sent   int64
	err    error // what failed, for the log
	out    contentWriter
	// bodyEnded says that the request's body was read to its end, drain that the rest of
	// it is to be read and dropped after the answer.
	bodyEnded, drain bool

	values [8]string // memory of header values
	used   int
}

// The header values that every answer may share.
var (
	nosniff       = []string{"nosniff"}
	sandbox       = []string{"default-src 'none'; sandbox"}
	sameOrigin    = []string{"same-origin"}
	crossOrigin   = []string{"cross-origin"}
	noStore       = []string{"no-store"}
	jsonType      = []string{"application/json"}
	problemType   = []string{"application/problem+json"}
	varyOnCaller  = []string{"Accept, Cookie, Authorization"}
	transport     = []string{"max-age=31536000"}
	closeConn     = []string{"close"}
	challenges    = []string{`Bearer realm="imagify"`, `Basic realm="imagify", charset="UTF-8"`}
	bearerAlone   = challenges[:1:1]
	noRanges      = []string{"none"}
	htmlType      = []string{"text/html; charset=utf-8"}
	frameDeny     = []string{"DENY"}
	privateVerify = []string{"private, no-cache"}
)

// set sets a header, by its canonical name, without allocating for the value's slice.
func (q *request) set(name, value string) {
	h := q.w.Header()
	if q.used == len(q.values) {
		h[name] = []string{value}
		return
	}
	i := q.used
	q.used++
	q.values[i] = value
	h[name] = q.values[i : i+1 : i+1]
}

// wrap makes a gin handler of a route: the one layer around every handler.
func (s *Server) wrap(rt *route) gin.HandlerFunc {
	m := s.metrics.of(rt)
	return func(c *gin.Context) {
		q := &request{s: s, c: c, r: c.Request, route: rt, begun: time.Now()}
		q.w = unwrap(c.Writer)
		q.id = newRequestID()
		q.address, q.secure = s.client(c.Request)
		h := q.w.Header()
		q.set("X-Request-Id", q.id)
		h["X-Content-Type-Options"] = nosniff
		h["Content-Security-Policy"] = sandbox
		h["Cross-Origin-Resource-Policy"] = sameOrigin
		if q.secure {
			h["Strict-Transport-Security"] = transport
		}
		s.metrics.inFlight.Inc()
		defer q.drainBody()
		defer q.finish(m)
		if err := q.run(); err != nil {
			q.fail(err)
		}
	}
}

// run asks what the route asks of its callers, then lets its handler work.
func (q *request) run() error {
	rt := q.route
	if !rt.long {
		ctx, cancel := context.WithTimeout(q.r.Context(), q.s.o.RequestTimeout)
		defer cancel()
		q.r = q.r.WithContext(ctx)
		if q.r.ContentLength != 0 {
			q.readDeadline(q.begun.Add(q.s.o.RequestTimeout))
		}
	} else if q.r.Method == http.MethodGet || q.r.Method == http.MethodHead {
		if err := q.dropBody(); err != nil {
			return err
		}
	}
	if rt.access == open {
		return rt.handle(q)
	}
	if q.s.publicURL == "" && !validHost(q.r.Host) {
		return domain.Errorf(domain.Invalid, "the Host header is not a host")
	}
	if err := q.sameOrigin(); err != nil {
		return err
	}
	if err := q.authenticate(); err != nil {
		return err
	}
	if err := q.limit(); err != nil {
		return err
	}
	if rt.access == admins && !q.actor.Admin() {
		return domain.Errorf(domain.Denied, "only admins may do this")
	}
	return rt.handle(q)
}

// limit takes one request off the caller's allowance and tells what is left.
func (q *request) limit() error {
	limit, st, err := q.s.svc.Limit(q.ctx(), q.actor)
	if limit != domain.NoLimit {
		q.set("Ratelimit-Limit", strconv.FormatInt(int64(limit), 10))
		q.set("Ratelimit-Remaining", strconv.FormatInt(max(st.Remaining, 0), 10))
		q.set("Ratelimit-Reset", seconds(st.Reset))
	}
	return err
}

// seconds rounds up, as Retry-After wants it.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

func (q *request) ctx() context.Context { return q.r.Context() }

// finish counts and logs the request, and turns a panic into an answer.
func (q *request) finish(m *routeMetrics) {
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
	m.observe(q.status, took)
	q.s.metrics.inFlight.Dec()
	q.logLine(took, stack)
	if p != nil {
		panic(p)
	}
}

// What a client can write into the log with a request, in bytes: its path, its method, and an
// error's words, in which what was sent may stand.
const (
	maxLoggedPath   = 256
	maxLoggedMethod = 32
	maxLoggedError  = 2 << 10
)

func (q *request) logLine(took time.Duration, stack []byte) {
	level := slog.LevelInfo
	if q.status >= http.StatusInternalServerError || stack != nil {
		level = slog.LevelError
		if q.status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
	}
	// The log line outlives the request's deadline.
	ctx := context.Background()
	if !q.s.log.Enabled(ctx, level) {
		return
	}
	path := q.r.URL.Path
	if strings.HasPrefix(path, "/l/") {
		path = "/l/…" // the token is the secret
	}
	attrs := [12]slog.Attr{
		slog.String("request_id", q.id), slog.String("method", clip(q.r.Method, maxLoggedMethod)), slog.String("route", q.route.path),
		slog.String("path", clip(path, maxLoggedPath)), slog.Int("status", q.status), slog.Int64("bytes", q.sent),
		slog.Duration("duration", took), slog.String("address", q.address),
	}
	n := 8
	if q.actor.Via != "" {
		attrs[n] = slog.String("user", q.actor.User.Username)
		n++
	}
	if q.err != nil {
		attrs[n] = slog.String("error", clip(q.err.Error(), maxLoggedError))
		n++
	}
	if stack != nil {
		attrs[n] = slog.String("stack", string(stack))
		n++
	}
	q.s.log.LogAttrs(ctx, level, "request", attrs[:n]...)
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

// writeHeader begins the answer. gin must know of it, or it would begin another.
func (q *request) writeHeader(status int) {
	q.abandonBody()
	q.status = status
	q.c.Writer.WriteHeader(status)
	q.c.Writer.WriteHeaderNow()
}

// write sends a whole body of a known length.
func (q *request) write(status int, body []byte) {
	q.writeDeadline()
	q.set("Content-Length", strconv.Itoa(len(body)))
	q.writeHeader(status)
	if q.r.Method == http.MethodHead {
		return
	}
	n, err := q.w.Write(body)
	q.sent += int64(n)
	if err != nil && q.err == nil {
		q.err = err
	}
}

// readDeadline bounds the next reads of the body; the zero time takes the bound
// away. A writer that knows no deadlines (a test's recorder) has none.
func (q *request) readDeadline(t time.Time) {
	if w, ok := q.w.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = w.SetReadDeadline(t)
	} else {
		_ = http.NewResponseController(q.w).SetReadDeadline(t)
	}
}

// writeDeadline bounds the next writes.
func (q *request) writeDeadline() {
	t := time.Now().Add(q.s.o.IdleTimeout)
	if w, ok := q.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = w.SetWriteDeadline(t)
	} else {
		_ = http.NewResponseController(q.w).SetWriteDeadline(t)
	}
}

// deadlineNow ends a write that is under way. It may be called beside it.
func (q *request) deadlineNow() {
	if w, ok := q.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = w.SetWriteDeadline(time.Unix(1, 0))
	} else {
		_ = http.NewResponseController(q.w).SetWriteDeadline(time.Unix(1, 0))
	}
}

// reset ends the connection without sending what is still buffered. Where the server does
// not hand its connections out (HTTP/2, a function) the caller's panic ends the answer.
func (q *request) reset() {
	conn, _, err := http.NewResponseController(q.w).Hijack()
	if err != nil {
		return
	}
	tcp := conn
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		tcp = secured.NetConn()
	}
	if t, ok := tcp.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = tcp.Close() // not the TLS connection, which would wait to say good-bye
}

// appender is a view that writes its own JSON.
type appender interface{ appendJSON(b []byte) []byte }

// json answers with a view: the one place where a JSON answer is written, and so
// where a browser's page is chosen instead.
func (q *request) json(status int, view any) error {
	buf := jsonBuffers.Get().(*[]byte)
	body, err := encode((*buf)[:0], view)
	if err != nil {
		return err
	}
	// The writers below copy: once this returns, nobody reads the body any more.
	if *buf = body; cap(body) <= maxKeptBuffer {
		defer jsonBuffers.Put(buf)
	}
	if q.route.browsable() && q.wantsHTML() {
		return q.browsePage(status, body, jsonType[0])
	}
	h := q.w.Header()
	h["Content-Type"] = jsonType
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = noStore
	}
	h["Vary"] = varyOnCaller
	q.write(status, body)
	return nil
}

// jsonBuffers hold answers on their way out; one that grew beyond maxKeptBuffer bytes is let go.
var jsonBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

const maxKeptBuffer = 256 << 10

// encode appends a view's JSON and a newline.
func encode(b []byte, view any) ([]byte, error) {
	if a, ok := view.(appender); ok {
		return append(a.appendJSON(b), '\n'), nil
	}
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false) // the answer is never HTML, and URLs stay readable
	if err := e.Encode(view); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// noContent answers 204.
func (q *request) noContent() error {
	q.w.Header()["Cache-Control"] = noStore
	q.writeDeadline()
	q.writeHeader(http.StatusNoContent)
	return nil
}

// redirect answers 303 See Other.
func (q *request) redirect(to string) error {
	h := q.w.Header()
	h["Cache-Control"] = noStore
	h["Vary"] = varyOnCaller
	q.set("Location", to)
	q.write(http.StatusSeeOther, nil)
	return nil
}

// fail answers with a problem, or sends a browser that is not signed in to the sign-in page.
func (q *request) fail(err error) {
	q.err = err
	e := domain.AsError(err)
	if e.Code == domain.Internal && errors.Is(q.ctx().Err(), context.DeadlineExceeded) {
		e = domain.Wrap(domain.Unavailable, err, "the request took too long, try again")
	}
	if q.status != 0 {
		panic(http.ErrAbortHandler) // the answer had begun: all that is left is to cut it off
	}
	if e.Code == domain.Unauthenticated && q.wantsHTML() {
		_ = q.redirect(q.signInPath()) // never fails
		return
	}
	q.answerProblem(e, statusOf(e.Code))
}

func noRoute(*request) error { return domain.Errorf(domain.NotFound, "there is nothing at this path") }

// noMethod answers for paths that exist. A dead link is dead for every method.
func noMethod(q *request) error {
	if token, ok := strings.CutPrefix(q.r.URL.Path, "/l/"); ok {
		release, err := q.admit() // opening costs the store what it costs a GET
		if err != nil {
			return err
		}
		defer release()
		c, err := q.s.svc.OpenLink(q.ctx(), token)
		if err != nil {
			return err
		}
		c.Body.Close()
	}
	return domain.Errorf(domain.MethodNotAllowed, "this path does not answer to %s", q.r.Method)
}

// bodyRead says that the request's body was read to its end. Its deadline goes:
// it would end the request while the answer is being made.
func (q *request) bodyRead() {
	q.bodyEnded = true
	q.readDeadline(time.Time{})
}

// dropBody reads a body that means nothing, as that of a GET, before anything is taken for the request.
// net/http would otherwise wait for it when the answer begins, for as long as the client likes.
func (q *request) dropBody() error {
	if q.r.ContentLength == 0 {
		return nil
	}
	q.readDeadline(q.begun.Add(drainTimeout))
	_, err := q.readAll(maxJSON)
	return err
}

// bodyLeft reports whether more of a body may come than net/http reads away after an answer.
func (q *request) bodyLeft() bool {
	const worthDraining = 64 << 10
	return !q.bodyEnded && (q.r.ContentLength < 0 || q.r.ContentLength > worthDraining)
}

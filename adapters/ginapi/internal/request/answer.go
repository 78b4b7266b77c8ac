package request

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// The header values that several answers share.
const (
	NoStore      = "no-store"
	JSONType     = "application/json"
	VaryOnCaller = "Accept, Cookie, Authorization"
	problemType  = "application/problem+json"
	sandbox      = "default-src 'none'; sandbox"
)

// challenges are the schemes of a 401.
var challenges = []string{`Bearer realm="imagify"`, `Basic realm="imagify", charset="UTF-8"`}

// Set sets a header of the answer.
func (q *Request) Set(name, value string) { q.w.Header().Set(name, value) }

// writeHeader begins the answer. gin must know of it, or it would begin another.
func (q *Request) writeHeader(status int) {
	q.abandonBody()
	q.status = status
	q.gin.Writer.WriteHeader(status)
	q.gin.Writer.WriteHeaderNow()
}

// Write sends a whole body of a known length.
func (q *Request) Write(status int, body []byte) {
	q.writeDeadline()
	q.Set("Content-Length", strconv.Itoa(len(body)))
	q.writeHeader(status)
	if q.HTTP.Method == http.MethodHead {
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
func (q *Request) readDeadline(t time.Time) {
	if w, ok := q.w.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = w.SetReadDeadline(t)
	} else {
		_ = http.NewResponseController(q.w).SetReadDeadline(t)
	}
}

// writeDeadline bounds the next writes.
func (q *Request) writeDeadline() {
	t := time.Now().Add(q.server.IdleTimeout)
	if w, ok := q.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = w.SetWriteDeadline(t)
	} else {
		_ = http.NewResponseController(q.w).SetWriteDeadline(t)
	}
}

// deadlineNow ends a write that is under way. It may be called beside it.
func (q *Request) deadlineNow() {
	if w, ok := q.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = w.SetWriteDeadline(time.Unix(1, 0))
	} else {
		_ = http.NewResponseController(q.w).SetWriteDeadline(time.Unix(1, 0))
	}
}

// reset ends the connection without sending what is still buffered. Where the server does
// not hand its connections out (HTTP/2, a function) the caller's panic ends the answer.
func (q *Request) reset() {
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

// appender is a response that writes its own JSON.
type appender interface{ AppendJSON(b []byte) []byte }

// JSON answers with a response: the one place where a JSON answer is written, and so
// where a browser's page is chosen instead.
func (q *Request) JSON(status int, v any) error {
	buf := jsonBuffers.Get().(*[]byte)
	body, err := encode((*buf)[:0], v)
	if err != nil {
		return err
	}
	// The writers below copy: once this returns, nobody reads the body any more.
	if *buf = body; cap(body) <= maxKeptBuffer {
		defer jsonBuffers.Put(buf)
	}
	if q.Route.Browsable() && q.WantsHTML() {
		return q.server.BrowsablePage(q, status, body, JSONType)
	}
	h := q.w.Header()
	q.Set("Content-Type", JSONType)
	if h["Cache-Control"] == nil {
		q.Set("Cache-Control", NoStore)
	}
	q.Set("Vary", VaryOnCaller)
	q.Write(status, body)
	return nil
}

// jsonBuffers hold answers on their way out; one that grew beyond maxKeptBuffer bytes is let go.
var jsonBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

const maxKeptBuffer = 256 << 10

// encode appends a response's JSON and a newline.
func encode(b []byte, v any) ([]byte, error) {
	if a, ok := v.(appender); ok {
		return append(a.AppendJSON(b), '\n'), nil
	}
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false) // the answer is never HTML, and URLs stay readable
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Serve lets another handler write the answer, once, within the time for one write.
func (q *Request) Serve(h http.Handler) error {
	q.writeDeadline()
	q.abandonBody()
	h.ServeHTTP(q.gin.Writer, q.HTTP)
	q.gin.Writer.WriteHeaderNow()
	q.status, q.sent = q.gin.Writer.Status(), int64(max(q.gin.Writer.Size(), 0))
	return nil
}

// NoContent answers 204.
func (q *Request) NoContent() error {
	q.Set("Cache-Control", NoStore)
	q.writeDeadline()
	q.writeHeader(http.StatusNoContent)
	return nil
}

// Redirect answers 303 See Other.
func (q *Request) Redirect(to string) error {
	q.Set("Cache-Control", NoStore)
	q.Set("Vary", VaryOnCaller)
	q.Set("Location", to)
	q.Write(http.StatusSeeOther, nil)
	return nil
}

// fail answers with a problem, or sends a browser that is not signed in to the sign-in page.
func (q *Request) fail(err error) {
	q.err = err
	e := domain.AsError(err)
	if e.Code == domain.Internal && errors.Is(q.Context().Err(), context.DeadlineExceeded) {
		e = domain.Wrap(domain.Unavailable, err, "the request took too long, try again")
	}
	if q.status != 0 {
		panic(http.ErrAbortHandler) // the answer had begun: all that is left is to cut it off
	}
	if e.Code == domain.Unauthenticated && q.WantsHTML() {
		_ = q.Redirect(q.signInPath()) // never fails
		return
	}
	q.answerProblem(e, StatusOf(e.Code))
}

package request

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

const (
	// pieceSize is what of a body goes out between two looks at whether it still may, and
	// within one write deadline, in bytes. With sendBuffer it bounds what follows a revocation.
	pieceSize = 64 << 10
	// recheckEvery is how long a body goes on before somebody looks, however few bytes go out.
	recheckEvery = time.Second
	// maxRanges is how many parts of a file one request may ask for; a header that asks for
	// more is ignored, as RFC 9110, section 14.2, suggests.
	maxRanges = 8
)

// SendContent sends a variant's bytes: the one way out for thumbnails,
// originals and links, whole, in part or not at all (HEAD, 304).
func (q *Request) SendContent(c *app.Content) error {
	defer c.Body.Close()
	q.Set("Content-Type", c.ContentType)
	q.Set("Etag", c.ETag)
	q.Set("Content-Disposition", disposition(c))
	switch {
	case c.Link:
		q.Set("Cache-Control", NoStore)
	case c.Public:
		q.Set("Cache-Control", q.server.signedCaching(c, time.Now()))
	default:
		q.Set("Cache-Control", "private, no-cache")
		q.Set("Vary", VaryOnCaller)
	}
	if c.Public {
		q.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if c.ViewsBound || strings.Count(q.HTTP.Header.Get("Range"), ",") >= maxRanges {
		delete(q.HTTP.Header, "Range")
	}
	q.out = contentWriter{q: q, c: c}
	http.ServeContent(&q.out, q.HTTP, "", c.ModTime, c.Body)
	if q.out.err == errPrecondition { //nolint:errorlint // the value itself
		q.err = errPrecondition
		q.answerProblem(errPrecondition, http.StatusPreconditionFailed)
		return nil
	}
	return q.out.err
}

// signedCaching is Cache-Control for a signed URL: no longer than its life, and
// in shared caches only as long as the operator allows.
func (s *Server) signedCaching(c *app.Content, now time.Time) string {
	left := max(c.Expires.Sub(now), 0)
	if s.CDNMaxAge > 0 && !c.Variant.IsOriginal() {
		return "public, max-age=" + strconv.FormatInt(int64(min(left, s.CDNMaxAge)/time.Second), 10)
	}
	return "private, max-age=" + strconv.FormatInt(int64(left/time.Second), 10)
}

// contentWriter stands between http.ServeContent, which knows ranges and
// conditions, and the connection: it counts a view before a body begins, sends
// the body piece by piece, and holds back the errors that ServeContent would
// write as plain text.
type contentWriter struct {
	q   *Request
	c   *app.Content
	err error
}

func (w *contentWriter) Header() http.Header { return w.q.w.Header() }

func (w *contentWriter) WriteHeader(status int) {
	q := w.q
	switch {
	case status == http.StatusRequestedRangeNotSatisfiable:
		w.err = domain.Errorf(domain.RangeNotSatisfiable, "the file has %d bytes", w.c.Size)
	case status == http.StatusPreconditionFailed:
		w.err = errPrecondition
	case status >= http.StatusBadRequest:
		w.err = domain.Errorf(domain.Internal, "http.ServeContent answered %d", status)
	case status < http.StatusMultipleChoices && q.HTTP.Method != http.MethodHead:
		if !w.severalParts() {
			w.err = w.c.Ready()
		}
		if w.err == nil && w.c.CountView != nil {
			w.err = w.c.CountView(q.Context())
		}
	}
	if w.err != nil {
		return
	}
	if w.c.ViewsBound {
		q.Set("Accept-Ranges", "none")
	}
	q.writeDeadline()
	q.writeHeader(status)
}

// severalParts reports whether the answer has several ranges: of these ServeContent reads
// already when the answer begins, on a goroutine of its own.
func (w *contentWriter) severalParts() bool {
	return strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/")
}

func (w *contentWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.q.w.Write(p)
	w.q.sent += int64(n)
	return n, err
}

// ReadFrom sends the body. Between its pieces, and while it waits for a slow client or a
// slow store, it asks whether the rest may still go out; if not, the connection is cut, so
// that nobody takes a part for the whole.
func (w *contentWriter) ReadFrom(src io.Reader) (sent int64, err error) {
	if w.err != nil {
		return 0, w.err
	}
	q := w.q
	defer func() {
		q.sent += sent
		q.server.Metrics.Sent(w.c.Variant.IsOriginal(), sent)
	}()
	body, limited := src.(*io.LimitedReader)
	if !limited {
		body = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	if whole, ok := body.R.(io.WriterTo); ok && body.N == w.c.Size && body.N <= pieceSize {
		sent, err = whole.WriteTo(q.w)
		w.cutAfter(err)
		return sent, nil
	}
	watch := q.watch(w.c.Recheck)
	defer watch.stop()
	for first := true; body.N > 0; first = false {
		piece := body.R
		if !first {
			w.mayGoOn(watch)
		} else if w.severalParts() {
			// Nobody has waited for the first bytes, which may be long in coming, and decided then.
			if piece, err = prefetch(body.R, body.N); err != nil {
				w.cutAfter(err)
			}
			w.mayGoOn(watch)
		}
		n, err := io.CopyN(q.w, piece, min(body.N, pieceSize))
		sent += n
		body.N -= n
		if errors.Is(err, io.EOF) && !limited {
			return sent, nil
		}
		if refused := watch.refused(); refused != nil {
			err = refused // that is why the write failed
		}
		w.cutAfter(err)
	}
	return sent, nil
}

// prefetch waits for the first bytes of a body and returns it, whole.
func prefetch(r io.Reader, size int64) (io.Reader, error) {
	buf := make([]byte, min(size, 4<<10))
	n, err := io.ReadAtLeast(r, buf, 1)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return io.MultiReader(bytes.NewReader(buf[:n]), r), err
}

// mayGoOn cuts the body off unless it may go on now.
func (w *contentWriter) mayGoOn(watch *watch) {
	w.cutAfter(w.c.Recheck(w.q.Context()))
	w.q.writeDeadline()
	w.cutAfter(watch.refused()) // it may have been told just before the deadline was moved
}

// cutAfter cuts off a body that failed on its way, or must not go on: its length was
// announced, and the client must not take what came for the whole. The connection is reset,
// so that what waits in the kernel's buffer goes nowhere.
func (w *contentWriter) cutAfter(err error) {
	if err != nil {
		w.q.err = err
		w.q.reset()
		panic(http.ErrAbortHandler)
	}
}

// disposition is the Content-Disposition of a variant (RFC 6266): shown in
// place, with the file name it has when saved. A thumbnail's extension is that of
// what it is.
func disposition(c *app.Content) string {
	const begin = `inline; filename="`
	name, end := c.Image.Filename, ""
	var buf [len(begin) + domain.MaxFilename + 16]byte
	b := append(buf[:0], begin...)
	if !c.Variant.IsOriginal() {
		if i := strings.LastIndexByte(name, '.'); i > 0 {
			name = name[:i]
		}
		end = c.Image.ThumbnailFormat().Extension()
	}
	b = append(b, name...)
	if end != "" {
		b = append(b, '-')
		b = strconv.AppendInt(b, int64(c.Variant.Height()), 10)
		b = append(b, end...)
	}
	for _, ch := range b[len(begin):] {
		if ch < ' ' || ch > '~' || ch == '"' || ch == '\\' {
			if !utf8.ValidString(name) {
				return "inline"
			}
			return mime.FormatMediaType("inline", map[string]string{"filename": string(b[len(begin):])})
		}
	}
	return string(append(b, '"'))
}

// errPrecondition is the one problem whose status, 412, no code has.
var errPrecondition = domain.Errorf(domain.Invalid, "the file does not match If-Match or If-Unmodified-Since")

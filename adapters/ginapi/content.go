package ginapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func getThumbnail(q *request) error {
	height, err := domain.ParseHeight(q.c.Param("height"))
	if err != nil {
		err = domain.InvalidField("height", "format", "%s", domain.AsError(err).Msg)
	}
	v, _ := domain.Thumbnail(height)
	return q.variant(v, err)
}

func getOriginal(q *request) error { return q.variant(domain.Original, nil) }

// variant serves a variant of an image by its signed URL or by credentials. A
// good signature serves without a look at the credentials; beside a bad one valid
// credentials still count. invalid is what is wrong with the variant itself, told
// to whoever is known.
func (q *request) variant(v domain.Variant, invalid error) error {
	release, err := q.admit()
	if err != nil {
		return err
	}
	defer release()
	id, idErr := q.imageID()
	sig := signature(q.r.URL.RawQuery)
	var refused error
	if sig.Present() {
		switch {
		case invalid != nil:
			refused = invalid
		case idErr != nil:
			refused = idErr
		default:
			c, err := q.s.svc.OpenSigned(q.ctx(), sig, id, v)
			if err == nil {
				return q.sendContent(c)
			}
			refused = err
			if code := domain.CodeOf(err); code != domain.Denied && code != domain.NotFound {
				return err // not the signature's fault
			}
		}
	}
	if refused == nil || q.hasCredentials() {
		err := q.authenticate()
		if err != nil {
			if refused != nil && domain.CodeOf(err) == domain.Unauthenticated {
				return refused
			}
			return err
		}
		if invalid != nil {
			return invalid
		}
		if idErr != nil {
			return idErr
		}
		c, err := q.s.svc.Open(q.ctx(), q.actor, id, v)
		if err != nil {
			return err
		}
		return q.sendContent(c)
	}
	return refused
}

func getLink(q *request) error {
	release, err := q.admit()
	if err != nil {
		return err
	}
	defer release()
	c, err := q.s.svc.OpenLink(q.ctx(), q.c.Param("token"))
	if err != nil {
		return err
	}
	return q.sendContent(c)
}

// signature reads the query of a signed URL without building a map. Of a
// parameter that is there more than once, the first counts: the signature covers
// all that it decides.
func signature(raw string) (sig app.SignatureText) {
	for raw != "" {
		var item string
		item, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(item, "=")
		var into *string
		switch name {
		case "expires":
			into = &sig.Expires
		case "owner":
			into = &sig.Owner
		case "signature":
			into = &sig.Signature
		default:
			continue
		}
		if *into == "" {
			if *into = value; strings.IndexByte(value, '%') >= 0 {
				*into, _ = url.QueryUnescape(value) // what is malformed is no signature
			}
		}
	}
	return sig
}

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

// sendContent sends a variant's bytes: the one way out for thumbnails,
// originals and links, whole, in part or not at all (HEAD, 304).
func (q *request) sendContent(c *app.Content) error {
	defer c.Body.Close()
	h := q.w.Header()
	q.set("Content-Type", c.ContentType)
	q.set("Etag", c.ETag)
	q.set("Content-Disposition", disposition(c))
	switch {
	case c.Link:
		h["Cache-Control"] = noStore
	case c.Public:
		q.set("Cache-Control", q.s.signedCaching(c, time.Now()))
	default:
		h["Cache-Control"] = privateVerify
		h["Vary"] = varyOnCaller
	}
	if c.Public {
		h["Cross-Origin-Resource-Policy"] = crossOrigin
	}
	if c.ViewsBound || strings.Count(q.r.Header.Get("Range"), ",") >= maxRanges {
		delete(q.r.Header, "Range")
	}
	q.out = contentWriter{q: q, c: c}
	http.ServeContent(&q.out, q.r, "", c.ModTime, c.Body)
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
	if s.o.CDNMaxAge > 0 && !c.Variant.IsOriginal() {
		return "public, max-age=" + strconv.FormatInt(int64(min(left, s.o.CDNMaxAge)/time.Second), 10)
	}
	return "private, max-age=" + strconv.FormatInt(int64(left/time.Second), 10)
}

// contentWriter stands between http.ServeContent, which knows ranges and
// conditions, and the connection: it counts a view before a body begins, sends
// the body piece by piece, and holds back the errors that ServeContent would
// write as plain text.
type contentWriter struct {
	q   *request
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
	case status < http.StatusMultipleChoices && q.r.Method != http.MethodHead:
		if !w.severalParts() {
			w.err = w.c.Ready()
		}
		if w.err == nil && w.c.View != nil {
			w.err = w.c.View(q.ctx())
		}
	}
	if w.err != nil {
		return
	}
	if w.c.ViewsBound {
		w.Header()["Accept-Ranges"] = noRanges
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
		q.s.metrics.sent(w.c, sent)
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
	w.cutAfter(w.c.Recheck(w.q.ctx()))
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

// watch looks at a body that is on its way every recheckEvery, also while a write waits for
// its reader. What it refuses, it stops by the write's deadline.
type watch struct {
	q     *request
	check func(context.Context) error

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	err     error
	looking sync.WaitGroup
}

func (q *request) watch(check func(context.Context) error) *watch {
	w := &watch{q: q, check: check}
	w.timer = time.AfterFunc(recheckEvery, w.look)
	return w
}

func (w *watch) look() {
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	w.looking.Add(1)
	w.mu.Unlock()
	defer w.looking.Done()
	err := w.recheck()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
	case err != nil:
		w.err = err
		w.q.deadlineNow()
	default:
		w.timer.Reset(recheckEvery)
	}
}

// recheck runs on a goroutine of its own, and through code of adapters.
func (w *watch) recheck() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	// A backend that does not answer in time is not a permission.
	ctx, cancel := context.WithTimeout(w.q.ctx(), recheckEvery)
	defer cancel()
	return w.check(ctx)
}

// refused is why the body must end, or nil.
func (w *watch) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// stop ends the looks and waits for one that is under way.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopped = true
	w.timer.Stop()
	w.mu.Unlock()
	w.looking.Wait()
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
var errPrecondition = domain.Errorf(domain.Invalid, "the file is not what If-Match or If-Unmodified-Since asks for")

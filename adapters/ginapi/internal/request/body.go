package request

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// maxBody bounds a JSON request, in bytes.
const maxBody = 64 << 10

// readAll reads a body of at most limit bytes.
func (q *Request) readAll(limit int64) ([]byte, error) {
	if q.HTTP.ContentLength > limit {
		return nil, domain.LimitError(domain.TooLarge, limit, "the request is larger than %d bytes", limit)
	}
	b, err := io.ReadAll(io.LimitReader(q.HTTP.Body, limit+1))
	if err != nil {
		return nil, readError(err)
	}
	if int64(len(b)) > limit {
		return nil, domain.LimitError(domain.TooLarge, limit, "the request is larger than %d bytes", limit)
	}
	q.bodyRead()
	return b, nil
}

// readError is what a failed read of a request's body means.
func readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return domain.Wrap(domain.Timeout, err, "the request's body came too slowly")
	}
	return domain.Wrap(domain.Invalid, err, "the request's body was cut short")
}

// Object reads the body as one JSON object, strictly.
func (q *Request) Object() (*strictjson.Object, error) {
	typ, params, err := mime.ParseMediaType(q.HTTP.Header.Get("Content-Type"))
	if err != nil || typ != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, domain.Errorf(domain.Invalid, "send JSON, with the header Content-Type: application/json")
	}
	b, err := q.readAll(maxBody)
	if err != nil {
		return nil, err
	}
	return strictjson.Parse(b)
}

// maxForm bounds the sign-in form, in bytes; the longest password has 1024.
const maxForm = 16 << 10

// Form reads an HTML form from the body alone: parameters of the URL end up in logs and histories.
func (q *Request) Form() (url.Values, error) {
	if typ, _, err := mime.ParseMediaType(q.HTTP.Header.Get("Content-Type")); err != nil || typ != "application/x-www-form-urlencoded" {
		return nil, domain.Errorf(domain.Invalid, "send the form as application/x-www-form-urlencoded, with username and password")
	}
	b, err := q.readAll(maxForm)
	if err != nil {
		return nil, err
	}
	v, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, domain.Wrap(domain.Invalid, err, "the form is malformed")
	}
	return v, nil
}

// bodyRead says that the request's body was read to its end. Its deadline goes:
// it would end the request while the answer is being made.
func (q *Request) bodyRead() {
	q.bodyEnded = true
	q.readDeadline(time.Time{})
}

// dropBody reads a body that means nothing, as that of a GET, before anything is taken for the request.
// net/http would otherwise wait for it when the answer begins, for as long as the client likes.
func (q *Request) dropBody() error {
	if q.HTTP.ContentLength == 0 {
		return nil
	}
	q.readDeadline(q.begun.Add(drainTimeout))
	_, err := q.readAll(maxBody)
	return err
}

// bodyLeft reports whether more of a body may come than net/http reads away after an answer.
func (q *Request) bodyLeft() bool {
	const worthDraining = 64 << 10
	return !q.bodyEnded && (q.HTTP.ContentLength < 0 || q.HTTP.ContentLength > worthDraining)
}

// abandonBody prepares for an answer, of any kind, before the request's body was read to its end. Of a short
// rest net/http reads on by itself. A long one is read on and dropped after the answer, by drainBody:
// most clients look at the answer only when they have sent everything, and a connection that is
// closed with bytes under way takes the answer with it.
func (q *Request) abandonBody() {
	if q.bodyEnded || q.HTTP.ContentLength == 0 {
		return
	}
	q.readDeadline(time.Now().Add(drainTimeout))
	if q.bodyLeft() {
		q.Set("Connection", "close")
		q.drain = http.NewResponseController(q.w).EnableFullDuplex() == nil
	}
}

// drainTimeout and drainBytes bound what is read of a body after a refusal.
const (
	drainTimeout = 5 * time.Second
	drainBytes   = 32 << 20
)

// drainBody reads on after an answer that came before the body's end. Nothing but the connection is held meanwhile.
func (q *Request) drainBody() {
	if !q.drain || http.NewResponseController(q.w).Flush() != nil {
		return
	}
	who := app.ClientPrefix(q.address)
	if !q.Actor.User.ID.IsZero() {
		who = q.Actor.User.ID.String()
	}
	if !q.server.drains.begin(who) {
		return
	}
	defer q.server.drains.end(who)
	_, _ = io.CopyN(io.Discard, q.HTTP.Body, drainBytes) // a client that is gone has no use for the answer
}

// maxDrains is how many bodies are read on for at a time, maxDrainsEach how many of one user, or of
// one client (app.ClientPrefix) that is not signed in: reading costs the processor, and a client that
// sends hundreds of refused requests looks at no answer.
const (
	maxDrains     = 128
	maxDrainsEach = 8
)

// drains counts the bodies that are read on for, by who sends them.
type drains struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

func (d *drains) begin(who string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= maxDrains || d.each[who] >= maxDrainsEach {
		return false
	}
	if d.each == nil {
		d.each = map[string]int{}
	}
	d.all++
	d.each[who]++
	return true
}

func (d *drains) end(who string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.each[who]--; d.each[who] == 0 {
		delete(d.each, who)
	}
}

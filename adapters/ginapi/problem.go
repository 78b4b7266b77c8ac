package ginapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// statuses are the codes' HTTP statuses. A test walks domain.Codes.
var statuses = map[domain.Code]int{
	domain.Internal:            http.StatusInternalServerError,
	domain.Invalid:             http.StatusBadRequest,
	domain.Unauthenticated:     http.StatusUnauthorized,
	domain.Denied:              http.StatusForbidden,
	domain.CrossOrigin:         http.StatusForbidden,
	domain.QuotaExceeded:       http.StatusForbidden,
	domain.NotFound:            http.StatusNotFound,
	domain.MethodNotAllowed:    http.StatusMethodNotAllowed,
	domain.Timeout:             http.StatusRequestTimeout,
	domain.Conflict:            http.StatusConflict,
	domain.LinkExpired:         http.StatusGone,
	domain.Gone:                http.StatusGone,
	domain.TooLarge:            http.StatusRequestEntityTooLarge,
	domain.UnsupportedImage:    http.StatusUnsupportedMediaType,
	domain.RangeNotSatisfiable: http.StatusRequestedRangeNotSatisfiable,
	domain.CorruptImage:        http.StatusUnprocessableEntity,
	domain.IdempotencyMismatch: http.StatusUnprocessableEntity,
	domain.RateLimited:         http.StatusTooManyRequests,
	domain.Unavailable:         http.StatusServiceUnavailable,
}

func statusOf(c domain.Code) int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// problem is RFC 9457's object. Its type is always about:blank, so title is the
// status's phrase, as section 4.2.1 wants it; code tells problems apart.
type problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Code      domain.Code    `json:"code"`
	RequestID string         `json:"request_id"`
	Errors    []problemField `json:"errors,omitempty"`
	Limit     *int64         `json:"limit,omitempty"`
	Used      *int64         `json:"used,omitempty"`
}

type problemField struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

const (
	// The hints of Retry-After where nobody knew better.
	retryUnavailable = 2 * time.Second
	retryRateLimited = time.Second
	// drainTimeout and drainBytes bound what is read of a body after a refusal.
	drainTimeout = 5 * time.Second
	drainBytes   = 32 << 20
)

// The bounds on a problem's texts, in bytes.
const (
	maxDetail    = 512
	maxFieldName = 128
)

// clip shortens a text that is longer than a bound, at a character.
func clip(text string, bound int) string {
	if len(text) <= bound {
		return text
	}
	return strings.ToValidUTF8(text[:bound], "") + "…"
}

// answerProblem writes a problem: the one place where errors become answers.
func (q *request) answerProblem(e *domain.Error, status int) {
	p := problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: e.Msg, Code: e.Code,
		RequestID: q.id, Limit: e.Limit, Used: e.Used,
	}
	if e.Code == domain.Internal || p.Detail == "" {
		// Whatever an unclassified error says is for the log.
		p.Detail = plainDetails[e.Code]
	}
	// What was sent may stand in an error's words: they are cut here, where errors become answers.
	p.Detail = clip(p.Detail, maxDetail)
	for _, f := range e.Fields[:min(len(e.Fields), maxErrors)] {
		p.Errors = append(p.Errors, problemField{clip(f.Field, maxFieldName), f.Code, clip(f.Message, maxDetail)})
	}
	h := q.w.Header()
	// What a handler had set for an answer of its own.
	for _, name := range []string{"Etag", "Last-Modified", "Content-Disposition", "Accept-Ranges", "Content-Length", "Location", "Link"} {
		delete(h, name)
	}
	if status != http.StatusRequestedRangeNotSatisfiable {
		delete(h, "Content-Range")
	}
	h["Content-Type"] = problemType
	h["Content-Security-Policy"] = sandbox
	h["Cache-Control"] = noStore
	h["Vary"] = varyOnCaller
	switch {
	case e.Code == domain.Unauthenticated:
		h["Www-Authenticate"] = challenges
	case e.Code == domain.MethodNotAllowed:
		q.allow()
	case e.RetryAfter > 0:
		q.set("Retry-After", seconds(e.RetryAfter))
	case e.Code == domain.Unavailable:
		q.set("Retry-After", seconds(retryUnavailable))
	case e.Code == domain.RateLimited:
		q.set("Retry-After", seconds(retryRateLimited))
	}
	if e.Code == domain.RateLimited && e.Limit != nil && h["Ratelimit-Limit"] == nil {
		q.set("Ratelimit-Limit", strconv.FormatInt(*e.Limit, 10))
		q.set("Ratelimit-Remaining", "0")
		q.set("Ratelimit-Reset", seconds(max(e.RetryAfter, retryRateLimited)))
	}
	if q.wantsErrorPage() && q.errorPage(p) == nil {
		return
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers: cannot happen
		body = []byte(`{}`)
	}
	if q.route.browsable() && q.wantsHTML() && q.browsePage(status, body, problemType[0]) == nil {
		return
	}
	q.write(status, append(body, '\n'))
}

// abandonBody prepares for an answer, of any kind, before the request's body was read to its end. Of a short
// rest net/http reads on by itself. A long one is read on and dropped after the answer, by drainBody:
// most clients look at the answer only when they have sent everything, and a connection that is
// closed with bytes under way takes the answer with it.
func (q *request) abandonBody() {
	if q.bodyEnded || q.r.ContentLength == 0 {
		return
	}
	q.readDeadline(time.Now().Add(drainTimeout))
	if q.bodyLeft() {
		q.w.Header()["Connection"] = closeConn
		q.drain = http.NewResponseController(q.w).EnableFullDuplex() == nil
	}
}

// drainBody reads on after an answer that came before the body's end. Nothing but the connection is held meanwhile.
func (q *request) drainBody() {
	if !q.drain || http.NewResponseController(q.w).Flush() != nil {
		return
	}
	who := app.ClientPrefix(q.address)
	if !q.actor.User.ID.IsZero() {
		who = q.actor.User.ID.String()
	}
	if !q.s.drains.begin(who) {
		return
	}
	defer q.s.drains.end(who)
	_, _ = io.CopyN(io.Discard, q.r.Body, drainBytes) // a client that is gone has no use for the answer
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

// allow makes gin's Allow header one of the path's own methods, in a fixed order.
func (q *request) allow() {
	var methods []string
	have := q.w.Header().Get("Allow")
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		if strings.Contains(have, m) {
			methods = append(methods, m)
		}
	}
	q.set("Allow", strings.Join(methods, ", "))
}

// plainDetails are what is said where an error has no words of its own, or none for outside.
var plainDetails = map[domain.Code]string{
	domain.Internal:            "Something went wrong here. The server's log has it under this request id.",
	domain.Invalid:             "The request is malformed.",
	domain.Unauthenticated:     "Sign in first.",
	domain.Denied:              "You may not do this.",
	domain.CrossOrigin:         "The request comes from another site.",
	domain.QuotaExceeded:       "Your quota is used up.",
	domain.NotFound:            "There is no such thing.",
	domain.MethodNotAllowed:    "This path does not answer to this method.",
	domain.Timeout:             "The request took too long.",
	domain.Conflict:            "This is in conflict with what is there already.",
	domain.LinkExpired:         "Link has expired",
	domain.Gone:                "It is gone.",
	domain.TooLarge:            "It is too large.",
	domain.UnsupportedImage:    "The file is not a picture of an accepted format.",
	domain.RangeNotSatisfiable: "The range is outside of the file.",
	domain.CorruptImage:        "The picture cannot be decoded.",
	domain.IdempotencyMismatch: "This Idempotency-Key was used for another request.",
	domain.RateLimited:         "Too many requests.",
	domain.Unavailable:         "The service is not available for a moment, try again.",
}

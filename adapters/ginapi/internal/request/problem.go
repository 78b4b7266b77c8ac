package request

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
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

// StatusOf is the HTTP status of a code.
func StatusOf(c domain.Code) int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// The hints of Retry-After where nobody knew better.
const (
	retryUnavailable = 2 * time.Second
	retryRateLimited = time.Second
)

// The bounds on a problem's texts, in bytes.
const (
	maxDetail    = 512
	maxFieldName = 128
)

// Clip shortens a text that is longer than a bound, at a character.
func Clip(text string, bound int) string {
	if len(text) <= bound {
		return text
	}
	return strings.ToValidUTF8(text[:bound], "") + "…"
}

// answerProblem writes a problem: the one place where errors become answers.
func (q *Request) answerProblem(e *domain.Error, status int) {
	p := response.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: e.Msg, Code: e.Code,
		RequestID: q.id, Limit: e.Limit, Used: e.Used,
	}
	if e.Code == domain.Internal || p.Detail == "" {
		// Whatever an unclassified error says is for the log.
		p.Detail = plainDetails[e.Code]
	}
	// What was sent may stand in an error's words: they are cut here, where errors become answers.
	p.Detail = Clip(p.Detail, maxDetail)
	for _, f := range e.Fields[:min(len(e.Fields), strictjson.MaxErrors)] {
		p.Errors = append(p.Errors, response.FieldError{Field: Clip(f.Field, maxFieldName), Code: f.Code, Message: Clip(f.Message, maxDetail)})
	}
	h := q.w.Header()
	// What a handler had set for an answer of its own.
	for _, name := range []string{"Etag", "Last-Modified", "Content-Disposition", "Accept-Ranges", "Content-Length", "Location", "Link"} {
		delete(h, name)
	}
	if status != http.StatusRequestedRangeNotSatisfiable {
		delete(h, "Content-Range")
	}
	q.Set("Content-Type", problemType)
	q.Set("Content-Security-Policy", sandbox)
	q.Set("Cache-Control", NoStore)
	q.Set("Vary", VaryOnCaller)
	switch {
	case e.Code == domain.Unauthenticated:
		h["Www-Authenticate"] = challenges
	case e.Code == domain.MethodNotAllowed:
		q.allow()
	case e.RetryAfter > 0:
		q.Set("Retry-After", seconds(e.RetryAfter))
	case e.Code == domain.Unavailable:
		q.Set("Retry-After", seconds(retryUnavailable))
	case e.Code == domain.RateLimited:
		q.Set("Retry-After", seconds(retryRateLimited))
	}
	if e.Code == domain.RateLimited && e.Limit != nil && h["Ratelimit-Limit"] == nil {
		q.Set("Ratelimit-Limit", strconv.FormatInt(*e.Limit, 10))
		q.Set("Ratelimit-Remaining", "0")
		q.Set("Ratelimit-Reset", seconds(max(e.RetryAfter, retryRateLimited)))
	}
	if q.wantsErrorPage() && q.server.ErrorPage(q, p) == nil {
		return
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers: cannot happen
		body = []byte(`{}`)
	}
	if q.Route.Browsable() && q.WantsHTML() && q.server.BrowsablePage(q, status, body, problemType) == nil {
		return
	}
	q.Write(status, append(body, '\n'))
}

// FormError is an error in words for a form, with its status; false where a form has nothing to say about it.
func FormError(err error) (string, int, bool) {
	e := domain.AsError(err)
	switch e.Code {
	case domain.Internal, domain.Unauthenticated, domain.Unavailable, domain.CrossOrigin:
		return "", 0, false
	}
	msg := e.Msg
	if len(e.Fields) > 1 {
		all := make([]string, min(len(e.Fields), strictjson.MaxErrors))
		for i := range all {
			all[i] = Clip(e.Fields[i].Field, maxFieldName) + ": " + Clip(e.Fields[i].Message, maxDetail)
		}
		msg = strings.Join(all, "; ")
	}
	if msg == "" {
		msg = plainDetails[e.Code]
	}
	return upperFirst(Clip(msg, strictjson.MaxErrors*(maxDetail+maxFieldName))) + ".", StatusOf(e.Code), true
}

// SetRetryAfter tells the client how long to wait.
func (q *Request) SetRetryAfter(d time.Duration) { q.Set("Retry-After", seconds(d)) }

// Words are what an error says to people: its own message, or where it has none that may be told, what its code means.
func Words(e *domain.Error) string {
	msg := e.Msg
	if e.Code == domain.Internal || msg == "" {
		msg = plainDetails[e.Code]
	}
	return Sentence(msg)
}

// Sentence makes a sentence of a message: a capital at its beginning, one full stop at its end.
func Sentence(msg string) string { return upperFirst(msg) + "." }

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimRight(s[1:], ".")
}

// allow makes gin's Allow header one of the path's own methods, in a fixed order.
func (q *Request) allow() {
	var methods []string
	have := q.w.Header().Get("Allow")
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		if strings.Contains(have, m) {
			methods = append(methods, m)
		}
	}
	q.Set("Allow", strings.Join(methods, ", "))
}

// plainDetails are what is said where an error has no words of its own, or none for outside.
var plainDetails = map[domain.Code]string{
	domain.Internal:            "Something went wrong on the server. Its log has the details under this request ID.",
	domain.Invalid:             "The request is malformed.",
	domain.Unauthenticated:     "Sign in first.",
	domain.Denied:              "You may not do this.",
	domain.CrossOrigin:         "The request comes from another site.",
	domain.QuotaExceeded:       "Your quota is used up.",
	domain.NotFound:            "Not found.",
	domain.MethodNotAllowed:    "This path does not answer to this method.",
	domain.Timeout:             "The request took too long.",
	domain.Conflict:            "This conflicts with what already exists.",
	domain.LinkExpired:         "Link has expired",
	domain.Gone:                "It no longer exists.",
	domain.TooLarge:            "It is too large.",
	domain.UnsupportedImage:    "The file is not a picture of an accepted format.",
	domain.RangeNotSatisfiable: "The range is outside the file.",
	domain.CorruptImage:        "The picture cannot be decoded.",
	domain.IdempotencyMismatch: "This Idempotency-Key was used for another request.",
	domain.RateLimited:         "Too many requests.",
	domain.Unavailable:         "The service is temporarily unavailable; try again.",
}

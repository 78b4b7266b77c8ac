package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/imagify-api/imagify/domain"
)

const (
	// maxUpload bounds an upload, in bytes: what Lambda's 6 MiB for an event leaves when
	// the body is in base64 and the headers are beside it. A bigger request never
	// arrives: the platform answers it with a 413 of its own.
	maxUpload = 4_500_000
	// maxBuffered bounds a body that is not streamed, for the same reason.
	maxBuffered = 4_500_000
)

// answerTime is kept of the function's own time for its answer: one that is cut off by
// Lambda's time-out ends the environment with it.
const answerTime = 500 * time.Millisecond

// web serves HTTP requests that arrive as events: of payload format 2.0 from a
// function URL, whose invoke mode has to be RESPONSE_STREAM, or from an HTTP API of
// API Gateway, and of format 1.0 from a REST API. API Gateway gets answers in one piece.
//
// aws-lambda-go's own adapter (package lambdaurl) is not used because it drops
// cookies, which come apart from the headers, and ends a body that was cut off as if
// it were whole.
type web struct{ handler http.Handler }

// unavailable answers while what the API works with cannot be opened.
var unavailable = web{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	a := problem(r.Context(), http.StatusServiceUnavailable, domain.Unavailable, "The service is unavailable, try again.")
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(a.status)
	_, _ = io.Copy(w, a.body)
})}

// webEvent is what is used of an HTTP event
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html).
type webEvent struct {
	Body            string `json:"body"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`
	RequestContext  struct {
		DomainName string `json:"domainName"`
		Stage      string `json:"stage"`
		HTTP       *struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"` // format 2.0 alone has it
		Identity struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
	} `json:"requestContext"`

	// Format 2.0.
	RawPath        string            `json:"rawPath"`
	RawQueryString string            `json:"rawQueryString"`
	Headers        map[string]string `json:"headers"`
	Cookies        []string          `json:"cookies"`

	// Format 1.0.
	HTTPMethod        string              `json:"httpMethod"`
	Path              string              `json:"path"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	MultiValueQuery   url.Values          `json:"multiValueQueryStringParameters"` // decoded
}

func (w web) serve(ctx context.Context, payload []byte) (any, error) {
	var e webEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("the event is not an HTTP request: %w", err)
	}
	var a answer
	if r, err := newRequest(ctx, &e); err != nil {
		a = problem(ctx, http.StatusBadRequest, domain.Invalid, "The request cannot be read.")
	} else {
		a = w.start(r)
	}
	if strings.Contains(e.RequestContext.DomainName, ".lambda-url.") {
		headers, cookies := a.format2()
		return &events.LambdaFunctionURLStreamingResponse{StatusCode: a.status, Headers: headers, Cookies: cookies, Body: a.body}, nil
	}
	body, err := io.ReadAll(io.LimitReader(a.body, maxBuffered+1))
	if err = errors.Join(err, a.body.Close()); err != nil {
		return nil, err
	}
	if len(body) > maxBuffered {
		a = problem(ctx, http.StatusInternalServerError, domain.Internal,
			fmt.Sprintf("API Gateway carries answers of at most %d bytes: ask for a Range of this one, or use the function's URL.", maxBuffered))
		if body, err = io.ReadAll(a.body); err != nil {
			return nil, err
		}
	}
	text := base64.StdEncoding.EncodeToString(body)
	if e.RequestContext.HTTP == nil {
		return events.APIGatewayProxyResponse{StatusCode: a.status, MultiValueHeaders: a.header, Body: text, IsBase64Encoded: true}, nil
	}
	headers, cookies := a.format2()
	return events.APIGatewayV2HTTPResponse{StatusCode: a.status, Headers: headers, Cookies: cookies, Body: text, IsBase64Encoded: true}, nil
}

// newRequest is the request that an event tells of.
func newRequest(ctx context.Context, e *webEvent) (*http.Request, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, err
		}
	}
	method, path, query, source := e.HTTPMethod, e.Path, e.MultiValueQuery.Encode(), e.RequestContext.Identity.SourceIP
	header := http.Header{}
	if e.RequestContext.HTTP != nil {
		method, path, query, source = e.RequestContext.HTTP.Method, e.RawPath, e.RawQueryString, e.RequestContext.HTTP.SourceIP
		for name, value := range e.Headers {
			header.Set(name, value)
		}
		if len(e.Cookies) > 0 {
			header.Set("Cookie", strings.Join(e.Cookies, "; "))
		}
	} else {
		for name, values := range e.MultiValueHeaders {
			for _, value := range values {
				header.Add(name, value)
			}
		}
	}
	// A stage that has a name is the first element of a path of format 2.0.
	if rest, ok := strings.CutPrefix(path, "/"+e.RequestContext.Stage+"/"); ok && e.RequestContext.HTTP != nil {
		path = "/" + rest
	}
	u := url.URL{Scheme: "https", Host: e.RequestContext.DomainName, RawPath: path, RawQuery: query}
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	header.Del("Host")
	r.Header = header
	r.RequestURI = u.RequestURI()
	r.RemoteAddr = net.JoinHostPort(source, "0") // the front says so, not the client
	r.TLS = &tls.ConnectionState{}               // all fronts speak https only
	return r, nil
}

// answer is a response whose head is known.
type answer struct {
	status int
	header http.Header
	body   io.ReadCloser
}

// format2 are an answer's headers as payload format 2.0 has them.
func (a answer) format2() (headers map[string]string, cookies []string) {
	headers = map[string]string{}
	for name, values := range a.header {
		if name == "Set-Cookie" {
			cookies = values
		} else {
			headers[name] = strings.Join(values, ", ")
		}
	}
	return headers, cookies
}

// start lets the handler serve the request, and returns when it begins its answer.
func (w web) start(r *http.Request) answer {
	cancel := func() {}
	if deadline, ok := r.Context().Deadline(); ok {
		var ctx context.Context
		ctx, cancel = context.WithDeadline(r.Context(), deadline.Add(-answerTime))
		r = r.WithContext(ctx)
	}
	from, to := io.Pipe()
	a := &writer{header: http.Header{}, to: to, begun: make(chan struct{}), bodyless: r.Method == http.MethodHead}
	go func() {
		var failed error
		defer func() {
			if p := recover(); p != nil {
				failed = errors.New("the answer was cut off")
				if p != http.ErrAbortHandler { //nolint:errorlint // the value itself, as net/http has it
					slog.Error("a request panicked", "request_id", requestID(r.Context()), "panic", fmt.Sprint(p))
				}
				if !a.hasBegun() {
					internal := problem(r.Context(), http.StatusInternalServerError, domain.Internal, "")
					a.header = internal.header
					a.WriteHeader(internal.status)
					_, failed = io.Copy(a, internal.body)
				}
			}
			a.WriteHeader(http.StatusOK)
			_ = to.CloseWithError(failed) // nil ends it as whole
			cancel()
		}()
		w.handler.ServeHTTP(a, r)
	}()
	<-a.begun
	return answer{status: a.status, header: a.sent, body: from}
}

// writer is the http.ResponseWriter of a request.
type writer struct {
	header   http.Header
	to       *io.PipeWriter
	bodyless bool

	once   sync.Once
	begun  chan struct{}
	status int
	sent   http.Header
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if status < 200 {
		return // an interim answer, which the platform does not carry
	}
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		w.bodyless = w.bodyless || status == http.StatusNoContent || status == http.StatusNotModified
		close(w.begun)
	})
}

func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.bodyless {
		return len(b), nil
	}
	return w.to.Write(b)
}

// Flush has nothing to do: nothing is held back.
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }

func (w *writer) hasBegun() bool {
	select {
	case <-w.begun:
		return true
	default:
		return false
	}
}

// problem is an error answer of RFC 9457, as the API's own are.
func problem(ctx context.Context, status int, code domain.Code, detail string) answer {
	id := requestID(ctx)
	body, _ := json.Marshal(struct {
		Type      string      `json:"type"`
		Title     string      `json:"title"`
		Status    int         `json:"status"`
		Detail    string      `json:"detail,omitempty"`
		Code      domain.Code `json:"code"`
		RequestID string      `json:"request_id"`
	}{"about:blank", http.StatusText(status), status, detail, code, id}) // strings and numbers: cannot fail
	return answer{
		status: status, body: io.NopCloser(bytes.NewReader(body)),
		header: http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "X-Request-Id": {id}},
	}
}

// requestID is Lambda's own id of the invocation, which its log lines carry too.
func requestID(ctx context.Context) string {
	if c, ok := lambdacontext.FromContext(ctx); ok {
		return c.AwsRequestID
	}
	return ""
}

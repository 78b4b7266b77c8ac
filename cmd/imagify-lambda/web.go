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
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/events"

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

// web serves HTTP requests that arrive as events of payload format 2.0: from a
// function URL, whose invoke mode has to be RESPONSE_STREAM, or from an HTTP API of
// API Gateway, which takes answers in one piece.
//
// aws-lambda-go's own adapter (package lambdaurl) is not used because it drops
// cookies, which come apart from the headers, and ends a body that was cut off as if
// it were whole.
type web struct{ handler http.Handler }

func (w web) serve(ctx context.Context, payload []byte) (any, error) {
	var e events.LambdaFunctionURLRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("the event is no HTTP request of payload format 2.0: %w", err)
	}
	var answer *events.LambdaFunctionURLStreamingResponse
	if r, err := newRequest(ctx, &e, payload); err != nil {
		answer = problem(http.StatusBadRequest, domain.Invalid, "The request cannot be read.")
	} else {
		answer = w.start(r)
	}
	if strings.Contains(e.RequestContext.DomainName, ".lambda-url.") {
		return answer, nil
	}
	defer func() { _ = answer.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBuffered+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBuffered {
		answer = problem(http.StatusInternalServerError, domain.Internal,
			fmt.Sprintf("API Gateway carries answers of at most %d bytes: ask for a Range of this one, or use the function's URL.", maxBuffered))
		if body, err = io.ReadAll(answer.Body); err != nil {
			return nil, err
		}
	}
	return events.LambdaFunctionURLResponse{
		StatusCode: answer.StatusCode, Headers: answer.Headers, Cookies: answer.Cookies,
		Body: base64.StdEncoding.EncodeToString(body), IsBase64Encoded: true,
	}, nil
}

// newRequest is the request that an event tells of.
func newRequest(ctx context.Context, e *events.LambdaFunctionURLRequest, payload []byte) (*http.Request, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, err
		}
	}
	path := e.RawPath
	var stage struct {
		RequestContext struct {
			Stage string `json:"stage"`
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(payload, &stage); err == nil && stage.RequestContext.Stage != "" {
		// A stage that has a name is the first element of the path.
		if rest, ok := strings.CutPrefix(path, "/"+stage.RequestContext.Stage+"/"); ok {
			path = "/" + rest
		}
	}
	u := url.URL{Scheme: "https", Host: e.RequestContext.DomainName, RawQuery: e.RawQueryString}
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	u.RawPath = path
	r, err := http.NewRequestWithContext(ctx, e.RequestContext.HTTP.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range e.Headers {
		r.Header.Add(name, value)
	}
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	r.RequestURI = u.RequestURI()
	r.RemoteAddr = net.JoinHostPort(e.RequestContext.HTTP.SourceIP, "0")
	r.TLS = &tls.ConnectionState{} // both fronts speak https only
	return r, nil
}

// start lets the handler serve the request, and returns when it begins its answer.
func (w web) start(r *http.Request) *events.LambdaFunctionURLStreamingResponse {
	from, to := io.Pipe()
	a := &writer{header: http.Header{}, to: to, begun: make(chan struct{}), bodyless: r.Method == http.MethodHead}
	go func() {
		var failed error
		defer func() {
			if p := recover(); p != nil {
				failed = errors.New("the answer was cut off")
				if p != http.ErrAbortHandler { //nolint:errorlint // the value itself, as net/http has it
					slog.Error("a request panicked", "panic", fmt.Sprint(p))
				}
				if !a.hasBegun() {
					internal := problem(http.StatusInternalServerError, domain.Internal, "")
					a.header = http.Header{}
					for name, value := range internal.Headers {
						a.header.Set(name, value)
					}
					a.WriteHeader(internal.StatusCode)
					_, failed = io.Copy(a, internal.Body)
				}
			}
			a.WriteHeader(http.StatusOK)
			_ = to.CloseWithError(failed) // nil ends it as whole
		}()
		w.handler.ServeHTTP(a, r)
	}()
	<-a.begun
	answer := &events.LambdaFunctionURLStreamingResponse{StatusCode: a.status, Body: from, Headers: map[string]string{}}
	for name, values := range a.sent {
		if name == "Set-Cookie" {
			answer.Cookies = values
		} else {
			answer.Headers[name] = strings.Join(values, ", ")
		}
	}
	return answer
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
func problem(status int, code domain.Code, detail string) *events.LambdaFunctionURLStreamingResponse {
	body, _ := json.Marshal(struct {
		Type   string      `json:"type"`
		Title  string      `json:"title"`
		Status int         `json:"status"`
		Detail string      `json:"detail,omitempty"`
		Code   domain.Code `json:"code"`
	}{"about:blank", http.StatusText(status), status, detail, code}) // strings and numbers: cannot fail
	return &events.LambdaFunctionURLStreamingResponse{
		StatusCode: status, Body: bytes.NewReader(body),
		Headers: map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
	}
}

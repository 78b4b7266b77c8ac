package lambdatest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Front is what stands before the function on the web.
type Front string

// The fronts: a function URL whose invoke mode is RESPONSE_STREAM, and an HTTP API of API Gateway.
const (
	FunctionURL Front = "abc123.lambda-url.eu-central-1.on.aws"
	APIGateway  Front = "abc123.execute-api.eu-central-1.amazonaws.com"
)

// Handler turns requests into events of payload format 2.0, as the front does, and
// answers into responses. 502 stands for an answer that the front cannot read.
func (l *Lambda) Handler(front Front) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.calls.Add(1)
		body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
		if err != nil {
			return
		}
		payload, err := json.Marshal(newEvent(front, r, body))
		if err != nil || len(payload) > MaxPayload {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`)
			return
		}
		a, err := l.call(r.Context(), payload)
		switch {
		case err != nil:
			w.WriteHeader(http.StatusTooManyRequests)
		case front == FunctionURL:
			stream(w, a)
		default:
			buffered(w, a)
		}
	})
}

func newEvent(front Front, r *http.Request, body []byte) map[string]any {
	headers := map[string]string{"host": r.Host, "x-forwarded-proto": "https", "x-forwarded-port": "443"}
	var cookies []string
	for name, values := range r.Header {
		if name == "Cookie" { // format 2.0 has them apart
			for _, v := range values {
				cookies = append(cookies, strings.Split(v, "; ")...)
			}
			continue
		}
		headers[strings.ToLower(name)] = headerValue(values)
	}
	source := r.RemoteAddr
	if i := strings.LastIndexByte(source, ':'); i >= 0 {
		source = strings.Trim(source[:i], "[]")
	}
	event := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": r.URL.EscapedPath(), "rawQueryString": r.URL.RawQuery, "headers": headers,
		"requestContext": map[string]any{
			"accountId": "anonymous", "apiId": "abc123", "domainName": string(front), "requestId": "id", "stage": "$default",
			"timeEpoch": time.Now().UnixMilli(),
			"http":      map[string]string{"method": r.Method, "path": r.URL.Path, "protocol": r.Proto, "sourceIp": source, "userAgent": r.UserAgent()},
		},
		"isBase64Encoded": false,
	}
	if len(cookies) > 0 {
		event["cookies"] = cookies
	}
	if len(body) > 0 {
		if utf8.Valid(body) && strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			event["body"] = string(body)
		} else {
			event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
		}
	}
	return event
}

// response is the head of a streamed answer, and all of a buffered one.
type response struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

func (a response) write(w http.ResponseWriter, body []byte) {
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	for _, c := range a.Cookies {
		w.Header().Add("Set-Cookie", c)
	}
	if a.StatusCode == 0 {
		a.StatusCode = http.StatusOK
	}
	w.WriteHeader(a.StatusCode)
	_, _ = w.Write(body)
}

// stream takes an answer apart: the head as JSON, eight zero bytes, the body.
func stream(w http.ResponseWriter, a reply) {
	head, body, ok := bytes.Cut(a.body, make([]byte, 8))
	var res response
	if a.contentType != "application/vnd.awslambda.http-integration-response" || !ok || json.Unmarshal(head, &res) != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	res.write(w, body)
	if a.failed {
		panic(http.ErrAbortHandler) // the stream broke off, so does the response
	}
}

func buffered(w http.ResponseWriter, a reply) {
	var res response
	if a.failed || len(a.body) > MaxPayload || json.Unmarshal(a.body, &res) != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	body := []byte(res.Body)
	if res.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(res.Body); err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	res.write(w, body)
}

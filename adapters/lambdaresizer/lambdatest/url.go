package lambdatest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Front is what stands before the function on the web.
type Front string

// The fronts: a function URL whose invoke mode is RESPONSE_STREAM, and API Gateway's two kinds of API.
const (
	FunctionURL Front = "function URL" // payload format 2.0, answers are streamed
	HTTPAPI     Front = "HTTP API"     // payload format 2.0
	RESTAPI     Front = "REST API"     // payload format 1.0, behind the stage "prod"
)

// Handler turns requests into events, as the front does, and answers into responses.
// 502 stands for an answer that the front cannot read.
func (l *Lambda) Handler(front Front) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.calls.Add(1)
		body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
		if err != nil {
			return
		}
		event := format2
		if front == RESTAPI {
			event = format1
		}
		payload, err := json.Marshal(event(front, r, body))
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

// domain is the name that the function is told it was called by.
func (f Front) domain() string {
	if f == FunctionURL {
		return "abc123.lambda-url.eu-central-1.on.aws"
	}
	return "abc123.execute-api.eu-central-1.amazonaws.com"
}

// headers are the request's, with what every front adds; names are in lower case.
func headers(r *http.Request) map[string][]string {
	h := map[string][]string{"host": {r.Host}, "x-forwarded-proto": {"https"}, "x-forwarded-port": {"443"}}
	for name, values := range r.Header {
		h[strings.ToLower(name)] = values
	}
	// The address is appended to what the client says.
	h["x-forwarded-for"] = []string{strings.Join(append(r.Header.Values("X-Forwarded-For"), source(r)), ", ")}
	return h
}

func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// setBody puts the body into an event: as text where it is, else in base64.
func setBody(event map[string]any, r *http.Request, body []byte) {
	event["isBase64Encoded"] = false
	switch {
	case len(body) == 0:
	case utf8.Valid(body) && strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		event["body"] = string(body)
	default:
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
}

// format2 is an event of payload format 2.0
// (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html).
func format2(front Front, r *http.Request, body []byte) map[string]any {
	joined := map[string]string{}
	for name, values := range headers(r) {
		if name != "cookie" { // this format has them apart
			joined[name] = strings.Join(values, ",")
		}
	}
	event := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": r.URL.EscapedPath(), "rawQueryString": r.URL.RawQuery, "headers": joined,
		"requestContext": map[string]any{
			"accountId": "anonymous", "apiId": "abc123", "domainName": front.domain(), "requestId": "id", "stage": "$default",
			"timeEpoch": time.Now().UnixMilli(),
			"http":      map[string]string{"method": r.Method, "path": r.URL.Path, "protocol": r.Proto, "sourceIp": source(r), "userAgent": r.UserAgent()},
		},
	}
	var cookies []string
	for _, v := range r.Header.Values("Cookie") {
		cookies = append(cookies, strings.Split(v, "; ")...)
	}
	if len(cookies) > 0 {
		event["cookies"] = cookies
	}
	setBody(event, r, body)
	return event
}

// format1 is an event of payload format 1.0
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html).
func format1(front Front, r *http.Request, body []byte) map[string]any {
	last, all := map[string]string{}, headers(r)
	for name, values := range all {
		last[name] = values[len(values)-1]
	}
	query, lastQuery := map[string][]string(r.URL.Query()), map[string]string{}
	for name, values := range query {
		lastQuery[name] = values[len(values)-1]
	}
	event := map[string]any{
		"resource": "/{proxy+}", "path": r.URL.EscapedPath(), "httpMethod": r.Method, "headers": last, "multiValueHeaders": all,
		"queryStringParameters": lastQuery, "multiValueQueryStringParameters": query,
		"requestContext": map[string]any{
			"apiId": "abc123", "domainName": front.domain(), "stage": "prod", "path": "/prod" + r.URL.EscapedPath(), "httpMethod": r.Method,
			"protocol": r.Proto, "requestId": "id", "identity": map[string]string{"sourceIp": source(r), "userAgent": r.UserAgent()},
		},
	}
	setBody(event, r, body)
	return event
}

// response is the head of a streamed answer, and all of a buffered one.
type response struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"` // format 1.0
	Cookies           []string            `json:"cookies"`           // format 2.0
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

func (a response) write(w http.ResponseWriter, body []byte) {
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	for name, values := range a.MultiValueHeaders {
		for _, v := range values {
			w.Header().Add(name, v)
		}
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

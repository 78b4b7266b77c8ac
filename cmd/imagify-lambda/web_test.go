package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/lambdaresizer/lambdatest"
)

// webEnv makes this test's binary a function that serves echo.
const webEnv = "IMAGIFY_LAMBDATEST_WEB"

func TestMain(m *testing.M) {
	if os.Getenv(webEnv) != "" {
		f := &function{}
		f.http = func(context.Context) (serve, error) { return web{http.HandlerFunc(echo)}.serve, nil }
		lambda.Start(f.handle)
		return
	}
	os.Exit(run(m))
}

// seen is what a handler was given.
type seen struct {
	Method, Host, Path, RawPath, Query, RequestURI, Remote, Cookie, Accept string
	TLS                                                                    bool
	Length                                                                 int64
	Body                                                                   string
}

// echo tells what it was given, or does what the path says.
func echo(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/bytes":
		w.Header().Set("Content-Type", "image/jpeg")
		_, _ = w.Write([]byte{0xff, 0xd8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff})
	case "/cookies":
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		w.Header().Add("Vary", "Accept")
		w.Header().Add("Vary", "Cookie")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "not sent")
	case "/unchanged":
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(http.StatusNotModified)
		_, _ = io.WriteString(w, "no body goes with 304")
	case "/nothing":
	case "/panic":
		panic("secret")
	case "/late-panic":
		_, _ = io.WriteString(w, "begun")
		panic(http.ErrAbortHandler)
	case "/slow":
		<-r.Context().Done()
		w.WriteHeader(http.StatusServiceUnavailable)
	case "/big":
		_, _ = w.Write(bytes.Repeat([]byte("x"), maxBuffered+1))
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(seen{
			r.Method, r.Host, r.URL.Path, r.URL.EscapedPath(), r.URL.RawQuery, r.RequestURI, r.RemoteAddr,
			r.Header.Get("Cookie"), r.Header.Get("Accept"), r.TLS != nil, r.ContentLength, string(body),
		})
	}
}

func TestWeb(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, front := range []lambdatest.Front{lambdatest.FunctionURL, lambdatest.HTTPAPI, lambdatest.RESTAPI} {
		t.Run(string(front), func(t *testing.T) {
			t.Parallel()
			l := lambdatest.New(lambdatest.Function{Path: self, Env: []string{webEnv + "=1"}})
			t.Cleanup(l.Close)
			server := httptest.NewServer(l.Handler(front))
			t.Cleanup(server.Close)
			do := func(method, path string, body io.Reader, header ...string) (*http.Response, string) {
				r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
				require.NoError(t, err)
				for i := 0; i < len(header); i += 2 {
					r.Header.Add(header[i], header[i+1])
				}
				res, err := server.Client().Do(r)
				require.NoError(t, err)
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if path != "/late-panic" {
					require.NoError(t, err)
				}
				return res, string(got)
			}

			for _, c := range []struct {
				method, path, body string
				want               seen
			}{
				{"GET", "/v1/images?cursor=a%2Fb&limit=30", "", seen{Path: "/v1/images", RawPath: "/v1/images", Query: "cursor=a%2Fb&limit=30"}},
				{"POST", "/a%2Fb/%C3%A4%20", "\x00\xff", seen{Path: "/a/b/ä ", RawPath: "/a%2Fb/%C3%A4%20", Length: 2, Body: "\x00\xff"}},
				{"DELETE", "/x", "", seen{Path: "/x", RawPath: "/x"}},
			} {
				res, body := do(c.method, c.path, strings.NewReader(c.body), "Cookie", "a=1; b=2", "Accept", "text/html")
				require.Equal(t, http.StatusOK, res.StatusCode, body)
				var got seen
				require.NoError(t, json.Unmarshal([]byte(body), &got), body)
				c.want.Method, c.want.Host, c.want.TLS = c.method, strings.TrimPrefix(server.URL, "http://"), true
				c.want.RequestURI, c.want.Remote, c.want.Cookie, c.want.Accept = c.path, "127.0.0.1:0", "a=1; b=2", "text/html"
				if c.want.Body != "" {
					c.want.Body = strings.ToValidUTF8(c.want.Body, "\ufffd")
				}
				assert.Equal(t, c.want, got)
			}

			res, body := do("GET", "/bytes", nil)
			assert.Equal(t, "image/jpeg", res.Header.Get("Content-Type"))
			assert.Equal(t, "\xff\xd8\x00\x00\x00\x00\x00\x00\x00\x00\xff", body, "bytes that look like the end of the head too")
			res, body = do("HEAD", "/bytes", nil)
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.Empty(t, body)
			res, _ = do("GET", "/cookies", nil)
			assert.Equal(t, http.StatusTeapot, res.StatusCode)
			assert.Equal(t, []string{"a=1", "b=2"}, res.Header.Values("Set-Cookie"))
			assert.Equal(t, "Accept, Cookie", strings.Join(res.Header.Values("Vary"), ", "))
			assert.Empty(t, res.Header.Get("X-Late"))
			res, body = do("GET", "/unchanged", nil)
			assert.Equal(t, http.StatusNotModified, res.StatusCode)
			assert.Equal(t, `"x"`, res.Header.Get("ETag"))
			assert.Empty(t, body)
			res, body = do("GET", "/nothing", nil)
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.Empty(t, body)

			res, body = do("GET", "/panic", nil)
			assert.Equal(t, http.StatusInternalServerError, res.StatusCode)
			assert.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
			id := res.Header.Get("X-Request-Id")
			assert.NotEmpty(t, id)
			assert.JSONEq(t, `{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal","request_id":"`+id+`"}`, body)
			assert.Eventually(t, func() bool { return strings.Contains(l.Output(), "secret") }, 10*time.Second, 10*time.Millisecond, "the log has it")

			res, body = do("GET", "/big", nil)
			if front == lambdatest.FunctionURL {
				assert.Len(t, body, maxBuffered+1, "streamed")
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/late-panic", nil)
				require.NoError(t, err)
				if cut, err := server.Client().Do(r); err == nil {
					_, err = io.ReadAll(cut.Body)
					cut.Body.Close()
					assert.Error(t, err, "a body that was cut off is not taken for whole")
				}
			} else {
				assert.Equal(t, http.StatusInternalServerError, res.StatusCode)
				assert.Contains(t, body, "ask for a Range")
				res, _ = do("GET", "/late-panic", nil)
				assert.Equal(t, http.StatusBadGateway, res.StatusCode)
			}
			res, body = do("POST", "/x", bytes.NewReader(make([]byte, 5<<20)))
			assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode, "the platform's own bound: %.100s", body)
			assert.EqualValues(t, 1, l.Starts(), "no panic ended the process")
		})
	}
}

// A request that takes too long is answered before Lambda ends the environment.
func TestOutOfTime(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	l := lambdatest.New(lambdatest.Function{Path: self, Env: []string{webEnv + "=1"}, Timeout: 2 * time.Second})
	t.Cleanup(l.Close)
	server := httptest.NewServer(l.Handler(lambdatest.FunctionURL))
	t.Cleanup(server.Close)
	for range 2 {
		res, err := server.Client().Get(server.URL + "/slow")
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	}
	assert.EqualValues(t, 1, l.Starts(), "the environment goes on")
}

// A stage of API Gateway that has a name begins every path.
func TestStage(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/prod/v1/me": "/v1/me", "/v1/me": "/v1/me", "/products": "/products"} {
		answer, err := web{http.HandlerFunc(echo)}.serve(t.Context(), fmt.Appendf(nil,
			`{"version":"2.0","rawPath":%q,"requestContext":{"stage":"prod","domainName":"x.execute-api.eu-central-1.amazonaws.com","http":{"method":"GET","sourceIp":"2001:db8::1"}}}`, path))
		require.NoError(t, err)
		body, err := json.Marshal(answer)
		require.NoError(t, err)
		var res struct{ Body []byte }
		require.NoError(t, json.Unmarshal(body, &res))
		var got seen
		require.NoError(t, json.Unmarshal(res.Body, &got), "%s", body)
		assert.Equal(t, want, got.Path)
		assert.Equal(t, "[2001:db8::1]:0", got.Remote)
	}
}

// A database that is away is the client's to try again, and the function does as soon as it is back.
func TestCannotOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "not a folder")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	l := lambdatest.New(lambdatest.Function{Path: bootstrap(t), Env: []string{
		"IMAGIFY_STORAGE_URL=mem:", "IMAGIFY_DATABASE_URL=sqlite:" + filepath.Join(file, "imagify.db"), "IMAGIFY_SECRET_KEY=a secret key of the tests",
	}})
	t.Cleanup(l.Close)
	server := httptest.NewServer(l.Handler(lambdatest.FunctionURL))
	t.Cleanup(server.Close)
	get := func() (*http.Response, string) {
		res, err := server.Client().Get(server.URL + "/readyz")
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, string(body)
	}
	res, body := get()
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	assert.Equal(t, "5", res.Header.Get("Retry-After"))
	assert.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	assert.Contains(t, body, `"code":"unavailable"`)
	assert.NotContains(t, body, dir)
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700))
	res, body = get()
	assert.Equal(t, http.StatusOK, res.StatusCode, body)
	assert.EqualValues(t, 1, l.Starts())
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for size, want := range map[string]int64{"1024": 858993456, "": 0, "x": 0, "0": 0} {
		got := memoryLimit(func(name string) string { return map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": size}[name] })
		assert.Equal(t, want, got, size)
	}
	assert.Zero(t, memoryLimit(func(name string) string {
		return map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024", "GOMEMLIMIT": "1GiB"}[name]
	}))
}

// Events that nobody sends.
func TestEvents(t *testing.T) {
	t.Parallel()
	f := newFunction(func(string) string { return "" })
	for _, event := range []string{``, `x`, `[]`, `{}`, `{"Records":[]}`, `{"requestContext":{}}`} {
		_, err := f.handle(t.Context(), []byte(event))
		assert.ErrorIs(t, err, errEvent, event)
	}
	for _, event := range []string{`{"resize":{}}`, `{"getObjectContext":{}}`} {
		_, err := f.handle(t.Context(), []byte(event))
		assert.ErrorContains(t, err, "IMAGIFY_STORAGE_URL", event)
	}
	for _, event := range []string{
		`{"version":"2.0","requestContext":{"http":{"method":"G T"},"domainName":"x.lambda-url.y"},"rawPath":"/"}`,
		`{"version":"2.0","requestContext":{"http":{"method":"GET"}},"rawPath":"/","isBase64Encoded":true,"body":"?"}`,
		`{"version":"2.0","requestContext":{"http":{"method":"GET"}},"rawPath":"/%zz"}`,
	} {
		answer, err := web{http.HandlerFunc(echo)}.serve(t.Context(), []byte(event))
		require.NoError(t, err)
		assert.Equal(t, 400, statusOf(t, answer), event)
	}
	_, err := web{}.serve(t.Context(), []byte(`[]`))
	assert.Error(t, err)
}

func statusOf(t *testing.T, answer any) int {
	t.Helper()
	switch a := answer.(type) {
	case interface{ ContentType() string }:
		head, err := io.ReadAll(answer.(io.Reader))
		require.NoError(t, err)
		head, _, _ = bytes.Cut(head, make([]byte, 8))
		var s struct{ StatusCode int }
		require.NoError(t, json.Unmarshal(head, &s))
		return s.StatusCode
	default:
		b, err := json.Marshal(a)
		require.NoError(t, err)
		var s struct{ StatusCode int }
		require.NoError(t, json.Unmarshal(b, &s))
		return s.StatusCode
	}
}

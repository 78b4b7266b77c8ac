package ginapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// Most clients look at the answer only when they have sent everything: a refusal that comes before
// the end of the body has to be there still when they do.
func TestARefusalOutlivesTheBody(t *testing.T) {
	w := newWorld(t)
	limit := int64(1 << 20)
	_, err := w.svc.CreateTier(ctx, w.root, "Small", app.TierChange{Limits: map[string]*int64{"max_upload_bytes": &limit}})
	require.NoError(t, err)
	w.user("anna", "Small")
	secret := "Bearer " + w.token("anna")
	const size = 8 << 20
	junk := bytes.Repeat([]byte("this is no picture. "), size/20)
	long := slices.Concat(photo(), make([]byte, size))
	for name, c := range map[string]struct {
		authorization, typ string
		body               []byte
		chunked            bool
		want               int
	}{
		"not signed in":         {"Bearer imgf_nothing", "image/jpeg", junk, false, http.StatusUnauthorized},
		"no picture":            {secret, "image/jpeg", junk[:limit], false, http.StatusUnsupportedMediaType},
		"no picture, in chunks": {secret, "image/jpeg", junk, true, http.StatusUnsupportedMediaType},
		"too large":             {secret, "image/jpeg", long, false, http.StatusRequestEntityTooLarge},
		"a wrong content type":  {secret, "text/plain", junk, false, http.StatusBadRequest},
		"a form without a file": {secret, "multipart/form-data; boundary=b", junk, true, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			head := fmt.Sprintf("POST /v1/images HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: %s\r\n", c.authorization, c.typ)
			half := len(c.body) / 2
			if c.chunked {
				_, err = fmt.Fprintf(conn, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", head, len(c.body), c.body[:half])
			} else {
				_, err = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", head, len(c.body), c.body[:half])
			}
			require.NoError(t, err)
			time.Sleep(time.Second) // longer than net/http by itself keeps a connection that it closes
			_, err = conn.Write(c.body[half:])
			require.NoError(t, err, "the client could not send its request to the end")
			if c.chunked {
				_, err = conn.Write([]byte("\r\n0\r\n\r\n"))
				require.NoError(t, err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err, "the answer was lost")
			defer res.Body.Close()
			assert.Equal(t, c.want, res.StatusCode)
			assert.True(t, res.Close, "the connection is not used again")
		})
	}
}

// Whatever the answer is, and on whatever route, it reaches a client that sends all of a body before it looks.
func TestAnAnswerOutlivesABodyNobodyReads(t *testing.T) {
	w := newWorld(t)
	limit := int64(1)
	_, err := w.svc.CreateTier(ctx, w.root, "Slow", app.TierChange{Limits: map[string]*int64{"requests_per_minute": &limit}})
	require.NoError(t, err)
	uploader, slowly := w.user("anna", domain.EnterpriseTier), w.user("slow", "Slow")
	anna, slow := w.token("anna"), w.token("slow")
	image, gone := w.upload(uploader).ID, w.upload(uploader).ID
	form := slices.Concat([]byte("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n"), photo(), []byte("\r\n--b--"))
	rest := bytes.Repeat([]byte("\r\nnothing. "), 20<<20/11)
	const multi = "multipart/form-data; boundary=b"
	for name, c := range map[string]struct {
		head  string // the request's line and its own headers
		token string
		body  []byte
		want  int
	}{
		"an epilogue of 20 MB":              {"POST /v1/images HTTP/1.1\r\nContent-Type: " + multi, anna, slices.Concat(form, rest), http.StatusCreated},
		"a form of a browser not signed in": {"POST / HTTP/1.1\r\nAccept: text/html\r\nContent-Type: " + multi, "", slices.Concat(form, rest), http.StatusSeeOther},
		"an upload of a browser, unknown":   {"POST /v1/images HTTP/1.1\r\nAccept: text/html\r\nContent-Type: " + multi, "", slices.Concat(form, rest), http.StatusSeeOther},
		"more requests than allowed":        {"POST /v1/images HTTP/1.1\r\nContent-Type: image/jpeg", slow, rest, http.StatusTooManyRequests},
		"a body of a DELETE":                {"DELETE /v1/images/" + gone + " HTTP/1.1\r\nContent-Type: text/plain", anna, rest, http.StatusNoContent},
		"a body of a GET of JSON":           {"GET /v1/me HTTP/1.1\r\nContent-Type: text/plain", anna, rest, http.StatusOK},
		"a body of a GET of bytes":          {"GET /v1/images/" + image + "/original HTTP/1.1\r\nContent-Type: text/plain", anna, rest, http.StatusRequestEntityTooLarge},
		"JSON that is too long":             {"POST /v1/tokens HTTP/1.1\r\nContent-Type: application/json", anna, rest, http.StatusRequestEntityTooLarge},
		"no such path":                      {"POST /nowhere HTTP/1.1\r\nContent-Type: text/plain", anna, rest, http.StatusNotFound},
		"a method that the path has not":    {"PUT /v1/images HTTP/1.1\r\nContent-Type: text/plain", anna, rest, http.StatusMethodNotAllowed},
		"alive, whatever comes with it":     {"GET /healthz HTTP/1.1\r\nContent-Type: text/plain", "", rest, http.StatusOK},
		"from another site":                 {"POST /v1/images HTTP/1.1\r\nOrigin: https://elsewhere.example\r\nSec-Fetch-Site: cross-site\r\nContent-Type: image/jpeg", "", rest, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			if c.token == slow {
				w.get(slowly, "/v1/me")
			}
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			authorization := ""
			if c.token != "" {
				authorization = "Authorization: Bearer " + c.token + "\r\n"
			}
			half := len(c.body) / 2
			_, err = fmt.Fprintf(conn, "%s\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", c.head, authorization, len(c.body), c.body[:half])
			require.NoError(t, err)
			time.Sleep(time.Second) // longer than net/http by itself keeps a connection that it closes
			_, err = conn.Write(c.body[half:])
			require.NoError(t, err, "the client could not send its request to the end")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err, "the answer was lost")
			defer res.Body.Close()
			assert.Equal(t, c.want, res.StatusCode)
		})
	}
}

// The end of a form's body is read, so that the connection serves the next request.
func TestAFormKeepsItsConnection(t *testing.T) {
	w := newWorld(t)
	w.user("anna", domain.BasicTier)
	for _, epilogue := range []string{"", "\r\n", "\r\n" + strings.Repeat("nothing ", 8<<10)} {
		body := slices.Concat([]byte("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n"), photo(),
			make([]byte, 100<<10), []byte("\r\n--b--"+epilogue))
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		answers := bufio.NewReader(conn)
		for range 2 {
			_, err = fmt.Fprintf(conn, "POST /v1/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s",
				w.token("anna"), len(body), body)
			require.NoError(t, err)
			res, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, res.StatusCode)
			require.False(t, res.Close)
		}
	}
}

// A client that sends a byte now and then is timed out like one that sends none.
func TestATrickleIsTimedOut(t *testing.T) {
	w := newWorld(t, func(s *setup) { s.api.IdleTimeout = 400 * time.Millisecond })
	w.user("anna", domain.BasicTier)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n", w.token("anna"))
	require.NoError(t, err)
	go func() {
		for _, b := range photo()[:3000] {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, http.StatusRequestTimeout, res.StatusCode)
}

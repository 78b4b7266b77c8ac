package ginapi_test

import (
	"bufio"
	"bytes"
	"fmt"
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

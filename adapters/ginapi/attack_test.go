package ginapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// heldBlobs is a store whose originals are opened, or pinged, only when it is let.
type heldBlobs struct {
	ports.Blobs
	mu    sync.Mutex
	held  chan struct{} // nil: nothing is held
	came  atomic.Int64
	pings atomic.Int64
}

func (b *heldBlobs) hold() (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan struct{})
	b.held = c
	b.came.Store(0)
	return func() {
		b.mu.Lock()
		b.held = nil
		b.mu.Unlock()
		close(c)
	}
}

func (b *heldBlobs) wait(ctx context.Context) {
	b.mu.Lock()
	held := b.held
	b.mu.Unlock()
	if held == nil {
		return
	}
	b.came.Add(1)
	select {
	case <-held:
	case <-ctx.Done():
	}
}

func (b *heldBlobs) Open(ctx context.Context, key string) (ports.Blob, error) {
	if strings.HasSuffix(key, "/original") {
		b.wait(ctx)
	}
	return b.Blobs.Open(ctx, key)
}

func (b *heldBlobs) Ping(ctx context.Context) error {
	b.pings.Add(1)
	b.wait(ctx)
	return ctx.Err()
}

// ending is a way to ask for bytes, and what takes it away.
type ending struct {
	name string
	who  caller
	path string
	end  func()
}

// endings are the ways in which an access to anna's image can end while its bytes are waited for.
func endings(t *testing.T, w *world, img imageJSON, variant string) []ending {
	t.Helper()
	path := "/v1/images/" + img.ID + "/" + variant
	signed := img.Original
	if height, ok := strings.CutPrefix(variant, "thumbnails/"); ok {
		signed = img.Thumbnails[height].URL
	}
	change := func(c app.UserChange) func() {
		return func() {
			_, err := w.svc.UpdateUser(ctx, w.root, "anna", c)
			require.NoError(t, err)
		}
	}
	secret, _, err := w.svc.SignIn(ctx, "anna", password, "127.0.0.1")
	require.NoError(t, err)
	session := cookie("imagify_session", secret)
	spare := w.token("anna")
	me := token(w.token("anna"))
	linked := variant
	if height, ok := strings.CutPrefix(variant, "thumbnails/"); ok {
		linked = "thumbnail:" + height
	}
	link := w.link(me, img.ID, `{"expires_in":300,"variant":"`+linked+`"}`)
	none, no, other := []string{}, false, "another password"
	return []ending{
		{"token revoked", token(spare), path, func() {
			a, err := w.svc.ByToken(ctx, spare)
			require.NoError(t, err)
			tokens, _, err := w.svc.Tokens(ctx, a, ports.Page{Limit: 100})
			require.NoError(t, err)
			for _, k := range tokens {
				if k.Hash == a.Credential {
					require.NoError(t, w.svc.RevokeToken(ctx, a, k.ID))
				}
			}
		}},
		{"signed out", session, path, func() { require.NoError(t, w.svc.SignOut(ctx, secret)) }},
		{"link revoked", nobody, link.URL, func() { w.send(me, "DELETE", "/v1/links/"+link.ID, "").want(204) }},
		{"password changed", basic("anna", password), path, change(app.UserChange{Password: &other})},
		{"downgraded", nobody, signed, change(app.UserChange{Tiers: &none})},
		{"deactivated", me, path, change(app.UserChange{IsActive: &no})},
		{"deleted", nobody, signed, func() {
			id, err := domain.ParseID(img.ID)
			require.NoError(t, err)
			require.NoError(t, w.svc.DeleteImage(ctx, w.root, id))
		}},
	}
}

// X5: who waited is decided again, and what is on its way is cut.
func promiseX5(t *testing.T) {
	for i, name := range []string{"token revoked", "signed out", "link revoked", "password changed", "downgraded", "deactivated", "deleted"} {
		t.Run("Cold/"+strings.ReplaceAll(name, " ", ""), func(t *testing.T) {
			t.Parallel()
			held := &heldBlobs{}
			w := newWorld(t, func(s *setup) {
				held.Blobs = s.app.Blobs
				s.app.Blobs = held
			})
			img := w.upload(w.user("anna", domain.EnterpriseTier))
			e := endings(t, w, img, "thumbnails/200")[i]
			require.Equal(t, name, e.name)
			release := held.hold()
			got := make(chan answer, 1)
			go func() { got <- w.get(e.who, e.path) }()
			require.Eventually(t, func() bool { return held.came.Load() > 0 }, 30*time.Second, time.Millisecond)
			e.end()
			release()
			a := <-got
			assert.Contains(t, []int{401, 403, 404, 410}, a.status, string(a.body))
			assert.NotContains(t, a.header.Get("Content-Type"), "image/")
		})
		t.Run("Long/"+strings.ReplaceAll(name, " ", ""), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var img imageJSON
			w.do(with(w.user("anna", domain.EnterpriseTier), "Content-Type: image/jpeg"), "POST", "/v1/images", padded(16<<20)).want(201).json(&img)
			e := endings(t, w, img, "original")[i]
			u, err := url.Parse(e.path)
			require.NoError(t, err)
			req, err := http.NewRequest(http.MethodGet, "http://"+strings.TrimPrefix(w.url, "http://")+u.RequestURI(), nil)
			require.NoError(t, err)
			e.who(req)
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(16<<10))
			require.NoError(t, req.Write(conn))
			res, err := http.ReadResponse(bufio.NewReader(conn), req)
			require.NoError(t, err)
			require.Equal(t, 200, res.StatusCode)
			_, err = io.CopyN(io.Discard, res.Body, 1<<20)
			require.NoError(t, err)
			e.end()
			time.Sleep(2 * time.Second) // a slow reader; what it finds afterwards had left before
			rest, err := io.Copy(io.Discard, res.Body)
			assert.Error(t, err, "the connection is reset: nobody takes a part for the whole")
			assert.LessOrEqual(t, rest, int64(256<<10))
		})
	}
}

// X6: no answer is large because the question was bad.
func promiseX6(t *testing.T) {
	w := newWorld(t)
	boss := w.admin("boss")
	img := w.upload(w.user("anna", domain.EnterpriseTier))
	random := rand.New(rand.NewPCG(1, 2))
	var many, wide, deep strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, `,"%c%d":0`, 'a'+i%26, i)
		wide.WriteString(`,"":0`)
		deep.WriteString(`,"limits":{"a":0}`)
	}
	long := strings.Repeat("<\u2028", 15<<10)
	junk := make([]byte, 60<<10)
	for i := range junk {
		junk[i] = byte(random.Uint32())
	}
	bodies := []string{
		"{" + many.String()[1:] + "}", "{" + wide.String()[1:] + "}", "{" + deep.String()[1:50_000] + "}",
		`{"` + long + `":1}`, `{"name":"` + long + `"}`, `{"expires_in":300,"variant":"` + long + `"}`, `{"username":"` + long + `","tiers":["` + long + `"]}`,
		`{"limits":{` + many.String()[1:40<<10] + `}`, strings.Repeat("[", 60<<10), string(junk), "",
		`{"ids":["` + strings.Repeat(`x","`, 12<<10) + `"]}`, strings.Repeat(" ", 70<<10),
	}
	for _, op := range w.operations() {
		method, path := op[0], op[1]
		if path == "/api-auth/logout" || path == "/metrics" {
			continue
		}
		path = strings.NewReplacer("{id}", img.ID, "{name}", domain.BasicTier, "{username}", "anna", "{height}", "200", "{token}", "x", "{file}", "x").Replace(path)
		for _, body := range bodies {
			if method == "GET" {
				body = ""
			}
			a := w.bad(boss, method, path, body)
			if a.status < 400 {
				continue // nothing was wrong with the question
			}
			assert.Less(t, a.status, 500, "%s %s", method, path)
			size := len(a.body)
			for k, values := range a.header {
				size += len(k) + len(strings.Join(values, ""))
			}
			assert.LessOrEqual(t, size, 64<<10, "%s %s", method, path)
			if a.status == 400 && strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
				var p struct{ Errors []json.RawMessage }
				require.NoError(t, json.Unmarshal(a.body, &p))
				assert.LessOrEqual(t, len(p.Errors), 20)
			}
		}
		for _, q := range []string{strings.Repeat("a", 25<<10), strings.Repeat("&x=%3c", 3<<10), "limit=1&" + strings.Repeat("%ff", 8<<10)} {
			a := w.bad(with(boss, "Accept: text/html"), "GET", path+"?"+q, "")
			if op[1] == "/openapi.json" || op[1] == "/docs" {
				continue // what it answers does not depend on the question
			}
			size := len(a.body)
			for k, values := range a.header {
				size += len(k) + len(strings.Join(values, ""))
			}
			assert.LessOrEqual(t, size, 64<<10, "GET %s?…", path)
		}
	}
	w.send(boss, "POST", "/v1/tokens", `{"name":"x"`+strings.Repeat(" ", 64<<10)+`}`).fail(413, domain.TooLarge)
	var hundred strings.Builder
	for i := range 101 {
		fmt.Fprintf(&hundred, `,"f%d":0`, i)
	}
	a := w.send(boss, "POST", "/v1/tokens", "{"+hundred.String()[1:]+"}").fail(400, domain.Invalid)
	assert.Contains(t, string(a.body), "100 fields")
}

// bad sends a request that the document need not have.
func (w *world) bad(who caller, method, path, body string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	with(who, "Content-Type: application/json")(req)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	a := answer{t: w.t, status: res.StatusCode, header: res.Header}
	a.body, a.err = io.ReadAll(res.Body)
	return a
}

// A Range header with more than eight ranges is ignored.
func TestManyRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	img := w.upload(w.user("anna", domain.EnterpriseTier))
	ranges := func(n int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf("%d-%d", 10*i, 10*i+1)
		}
		return "Range: bytes=" + strings.Join(parts, ",")
	}
	a := w.get(with(nobody, ranges(8)), img.Original).want(206)
	assert.True(t, strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges"))
	for _, n := range []int{9, 2000} {
		a = w.get(with(nobody, ranges(n)), img.Original).want(200)
		assert.Equal(t, photo(), a.body)
	}
}

// Slow readers of one address leave room for the others.
func TestShareOfDownloads(t *testing.T) {
	t.Parallel()
	held := &heldBlobs{}
	w := newWorld(t, func(s *setup) {
		held.Blobs = s.app.Blobs
		s.app.Blobs = held
		s.api.MaxByteRequests = 64
		s.api.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	img := w.upload(w.user("anna", domain.EnterpriseTier))
	release := held.hold()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			w.get(with(nobody, fmt.Sprintf("X-Forwarded-For: 2001:db8::%d", i+1)), img.Original).want(200)
		})
	}
	require.Eventually(t, func() bool { return held.came.Load() == 4 }, 30*time.Second, time.Millisecond)
	a := w.get(with(nobody, "X-Forwarded-For: 2001:db8::5"), img.Original).fail(429, domain.RateLimited)
	assert.NotEmpty(t, a.header.Get("Retry-After"))
	wg.Go(func() { w.get(with(nobody, "X-Forwarded-For: 2001:db8:0:1::5"), img.Original).want(200) })
	require.Eventually(t, func() bool { return held.came.Load() == 5 }, 30*time.Second, time.Millisecond, "another prefix has room")
	release()
	wg.Wait()
	w.get(with(nobody, "X-Forwarded-For: 2001:db8::5"), img.Original).want(200)
}

// However many ask /readyz while a backend is silent, it is asked once, and who comes later has the last answer.
func TestReadyDoesNotPileUp(t *testing.T) {
	t.Parallel()
	held := &heldBlobs{}
	w := newWorld(t, func(s *setup) {
		held.Blobs = s.app.Blobs
		s.app.Blobs = held
	})
	release := held.hold()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { w.get(nobody, "/readyz") })
	}
	require.Eventually(t, func() bool { return held.came.Load() > 0 }, 30*time.Second, time.Millisecond)
	release()
	wg.Wait()
	assert.LessOrEqual(t, held.pings.Load(), int64(2))
}

// A thumbnail and what belongs to it say nothing of the original's digest, and every node gives it the same tag.
func TestThumbnailTag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	one, two := w.upload(who), w.upload(who)
	original := strings.Trim(w.get(nobody, one.Original).want(200).header.Get("Etag"), `"`)
	require.NotEmpty(t, original)
	tags := map[string]bool{}
	for _, img := range []imageJSON{one, two} {
		for _, th := range img.Thumbnails {
			first := w.get(nobody, th.URL).want(200).header
			warm := w.get(nobody, th.URL).want(200).header
			assert.Equal(t, first.Get("Etag"), warm.Get("Etag"))
			assert.False(t, strings.HasPrefix(first.Get("Etag"), "W/"))
			for _, values := range first {
				assert.NotContains(t, strings.Join(values, ""), original[:8])
			}
			w.get(with(nobody, "If-None-Match: "+first.Get("Etag")), th.URL).want(304)
			tags[first.Get("Etag")] = true
		}
	}
	assert.Len(t, tags, 4, "the same bytes of two images cannot be recognised by their tags")
}

// A GET has no use for a body: it is read before the request takes a place among the
// downloads, and not waited for longer than a refused one.
func TestABodyOfAGetHoldsNoPlace(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	metrics := prometheus.NewRegistry()
	w := newWorld(t, func(s *setup) { s.api.MaxByteRequests, s.api.Registry = 1, metrics })
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	link := strings.TrimPrefix(w.link(anna, img.ID, `{"expires_in":300}`).URL, w.url)
	stalled := map[string]net.Conn{}
	for _, body := range []string{"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "Content-Length: 5\r\n\r\nab", "Content-Length: 500000\r\n\r\nab"} {
		for _, path := range []string{link, strings.TrimPrefix(img.Original, w.url)} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
				require.NoError(t, err)
				defer conn.Close()
				_, err = io.WriteString(conn, method+" "+path+" HTTP/1.1\r\nHost: x\r\n"+body)
				require.NoError(t, err)
				stalled[method+" "+path+" "+body] = conn
			}
		}
	}
	require.Eventually(t, func() bool { return inFlight(t, metrics) >= 8 }, 10*time.Second, time.Millisecond, "four are refused at once")
	w.get(nobody, link).want(200)
	for name, conn := range stalled {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, name)
		assert.Contains(t, []int{http.StatusRequestTimeout, http.StatusRequestEntityTooLarge}, res.StatusCode, name)
	}
	// One that comes whole does no harm, to a long body either.
	req, err := http.NewRequest(http.MethodGet, w.url+link, strings.NewReader("{}"))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, http.StatusOK, res.StatusCode)
}

// inFlight is how many requests are being answered.
func inFlight(t *testing.T, metrics *prometheus.Registry) float64 {
	t.Helper()
	all, err := metrics.Gather()
	require.NoError(t, err)
	for _, m := range all {
		if m.GetName() == "imagify_http_requests_in_flight" {
			return m.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no such metric")
	return 0
}

// A method that a link does not answer to opens it all the same, to tell a dead one: that
// takes a place too.
func TestOtherMethodsOfALinkTakeAPlace(t *testing.T) {
	held := &heldBlobs{}
	w := newWorld(t, func(s *setup) {
		held.Blobs = s.app.Blobs
		s.app.Blobs, s.api.MaxByteRequests = held, 1
	})
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	link := strings.TrimPrefix(w.link(anna, img.ID, `{"expires_in":300}`).URL, w.url)
	release := held.hold()
	done := make(chan answer)
	go func() { done <- w.do(nobody, http.MethodPost, link, nil) }()
	require.Eventually(t, func() bool { return held.came.Load() == 1 }, 10*time.Second, time.Millisecond)
	res, err := http.Post(w.url+link, "", nil)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	release()
	(<-done).fail(http.StatusMethodNotAllowed, domain.MethodNotAllowed)
}

// What a client writes into the log is bounded, whatever the error repeats of it.
func TestLogLinesAreBounded(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna")
	before := len(w.logs.String())
	long := strings.Repeat("x", 200<<10)
	w.do(with(anna, "Content-Type: multipart/form-data; boundary=B"), http.MethodPost, "/v1/images",
		strings.NewReader("--B\r\n"+long+"\r\n\r\nx\r\n--B--\r\n")).fail(http.StatusBadRequest, domain.Invalid)
	req, err := http.NewRequest(strings.Repeat("M", 20<<10), w.url+"/v1/images", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Eventually(t, func() bool { return strings.Count(w.logs.String()[before:], `"msg":"request"`) == 2 }, 10*time.Second, time.Millisecond)
	assert.Less(t, len(w.logs.String())-before, 8<<10)
}

package ginapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreTopFunction("github.com/imagify-api/imagify/ports/porttest/realserver.init.func1.1")) // starts servers, ends with the process
}

var ctx = context.Background()

const password = "correct horse"

// clock is a clock that tests move. A real one takes the time that it is moved by.
type clock struct {
	mu   sync.Mutex
	t    time.Time
	real bool
}

func (c *clock) now() time.Time {
	if c.real {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	if c.real {
		time.Sleep(d)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// logBuffer collects what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a server on a real listener over the memory adapters, or the embedded default.
type world struct {
	t     testing.TB
	svc   *app.Service
	srv   *ginapi.Server
	url   string
	clock *clock
	blobs ports.Blobs
	logs  *logBuffer
	root  domain.Actor
	redis *realserver.RedisServer // a function's
	http  *http.Client            // validates every answer against the OpenAPI document; follows no redirect
}

type setup struct {
	app app.Config
	api ginapi.Options
	// wrap stands around the server.
	wrap func(http.Handler) http.Handler
}

func newWorld(t testing.TB, change ...func(*setup)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{t: time.Now().UTC().Truncate(time.Microsecond)}, logs: &logBuffer{}, root: domain.SystemActor("test")}
	resizer, err := bildresizer.New(bildresizer.Options{})
	require.NoError(t, err)
	logger := slog.New(slog.NewJSONHandler(w.logs, nil))
	mem := memory.Options{Now: w.clock.now}
	s := setup{
		app: app.Config{
			Records: memory.NewRecords(mem), Blobs: memory.NewBlobs(mem), Resizer: resizer, RateLimits: memory.NewRateLimits(mem),
			LinkCache: memory.NewLinkCache(mem), SecretKeys: [][]byte{[]byte("a secret key of the tests")}, Now: w.clock.now,
			Logger: logger, Argon2: app.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, SweepEvery: -1,
		},
		api: ginapi.Options{Logger: logger, Version: "test"},
	}
	if strings.HasPrefix(t.Name(), "TestPromiseEmbedded/") {
		s.app.Records, s.app.Blobs = embedded(t, w.clock)
		s.app.Resizer, err = nativeresizer.New(nativeresizer.Options{})
		require.NoError(t, err)
	}
	for _, c := range change {
		c(&s)
	}
	if strings.HasPrefix(t.Name(), "TestPromiseFunctionURL/") {
		w.startFunction(t, s)
		return w
	}
	stop := w.startService(t, s.app)
	w.srv, err = ginapi.New(w.svc, s.api)
	require.NoError(t, err)

	var h http.Handler = w.srv
	if s.wrap != nil {
		h = s.wrap(h)
	}
	hs := ginapi.NewHTTPServer(h, logger)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.url = "http://" + l.Addr().String()
	served := make(chan struct{})
	go func() { defer close(served); _ = hs.Serve(l) }()
	transport := &http.Transport{DisableCompression: true}
	w.http = &http.Client{
		Transport:     newValidator(t, w, transport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		hs.Close()
		<-served
		stop()
	})
	return w
}

// startService starts the service in this process.
func (w *world) startService(t testing.TB, c app.Config) (stop func()) {
	t.Helper()
	w.blobs = c.Blobs
	var err error
	w.svc, err = app.New(c)
	require.NoError(t, err)
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); w.svc.Run(run) }()
	_, err = w.svc.Bootstrap(ctx, "admin password")
	require.NoError(t, err)
	return func() {
		cancel()
		<-done
		require.NoError(t, w.svc.Close())
	}
}

// embedded is SQLite and files, as the embedded default has them.
func embedded(t testing.TB, c *clock) (ports.Records, ports.Blobs) {
	t.Helper()
	dir := t.TempDir()
	db, err := sqliterepo.Open(ctx, filepath.Join(dir, "imagify.db"), sqliterepo.Options{Now: c.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.MigrateUp(ctx)
	require.NoError(t, err)
	files, err := fileblob.New(filepath.Join(dir, "blobs"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	return db.Records(), files
}

// validator checks each answer against the document that the server itself gives.
type validator struct {
	t      testing.TB
	next   http.RoundTripper
	router routers.Router
}

func newValidator(t testing.TB, w *world, next http.RoundTripper) *validator {
	t.Helper()
	rec, err := (&http.Client{Transport: next}).Get(w.url + "/openapi.json")
	require.NoError(t, err)
	defer rec.Body.Close()
	raw, err := io.ReadAll(rec.Body)
	require.NoError(t, err)
	// Most servers have the same document: it is loaded once.
	routersOf.mu.Lock()
	defer routersOf.mu.Unlock()
	router := routersOf.byDocument[string(raw)]
	if router == nil {
		doc, err := openapi3.NewLoader().LoadFromData(raw)
		require.NoError(t, err)
		require.NoError(t, doc.Validate(ctx, openapi3.IsOpenAPI31OrLater()))
		doc.Servers = nil // whatever the public URL, these tests go to the listener
		router, err = gorillamux.NewRouter(doc)
		require.NoError(t, err)
		routersOf.byDocument[string(raw)] = router
	}
	return &validator{t: t, next: next, router: router}
}

var routersOf = struct {
	mu         sync.Mutex
	byDocument map[string]routers.Router
}{byDocument: map[string]routers.Router{}}

func (v *validator) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := v.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	assert.Len(v.t, res.Header.Get("X-Request-Id"), 32)
	assert.Equal(v.t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	assert.NotEmpty(v.t, res.Header.Get("Content-Security-Policy"))
	assert.NotEmpty(v.t, res.Header.Get("Cross-Origin-Resource-Policy"))
	if req.Method != http.MethodHead && res.StatusCode >= 400 && !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		assert.Equal(v.t, "application/problem+json", res.Header.Get("Content-Type"), "%s %s", req.Method, req.URL)
	}
	if req.Method == http.MethodHead {
		return res, nil // the library does not validate these
	}
	route, params, err := v.router.FindRoute(req)
	if err != nil {
		assert.Contains(v.t, []int{404, 405, 410}, res.StatusCode, "%s %s is not in the document", req.Method, req.URL)
		return res, nil //nolint:nilerr // a path that is not there is answered all the same
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		return res, nil //nolint:nilerr // the reader of the body gets it
	}
	err = openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	assert.NoError(v.t, err, "%s %s: %d %s", req.Method, req.URL, res.StatusCode, body)
	if res.StatusCode == http.StatusNoContent {
		assert.Empty(v.t, body)
	}
	return res, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// answer is a response that was read.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (a answer) json(into any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal(a.body, into), "%d %s", a.status, a.body)
}

func (a answer) want(status int) answer {
	a.t.Helper()
	require.Equal(a.t, status, a.status, "%s", a.body)
	return a
}

// code is the problem's.
func (a answer) code() string {
	a.t.Helper()
	var p struct{ Code string }
	a.json(&p)
	return p.Code
}

func (a answer) fail(status int, code domain.Code) answer {
	a.t.Helper()
	a.want(status)
	assert.Equal(a.t, string(code), a.code())
	return a
}

// caller adds credentials to a request.
type caller func(*http.Request)

func nobody(*http.Request) {}

func token(secret string) caller {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }
}

func basic(name, password string) caller {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

func cookie(name, secret string) caller {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: secret}) }
}

// with adds headers, given as "Name: value".
func with(who caller, headers ...string) caller {
	return func(r *http.Request) {
		who(r)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			if name == "Host" {
				r.Host = value
				continue
			}
			r.Header.Add(name, value)
		}
	}
}

// do sends a request; path may be a whole URL.
func (w *world) do(who caller, method, path string, body io.Reader) answer {
	w.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = w.url + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	require.NoError(w.t, err)
	who(req)
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	a := answer{t: w.t, status: res.StatusCode, header: res.Header}
	a.body, a.err = io.ReadAll(res.Body)
	return a
}

func (w *world) get(who caller, path string) answer {
	w.t.Helper()
	return w.do(who, http.MethodGet, path, nil)
}

// send sends JSON.
func (w *world) send(who caller, method, path, body string) answer {
	w.t.Helper()
	return w.do(with(who, "Content-Type: application/json"), method, path, strings.NewReader(body))
}

// form sends a form.
func (w *world) form(who caller, path string, v url.Values) answer {
	w.t.Helper()
	return w.do(with(who, "Content-Type: application/x-www-form-urlencoded"), http.MethodPost, path, strings.NewReader(v.Encode()))
}

// user makes a user in the tiers and returns their token.
func (w *world) user(name string, tiers ...string) caller {
	w.t.Helper()
	p := password
	_, err := w.svc.CreateUser(ctx, w.root, name, app.UserChange{Password: &p, Tiers: &tiers})
	require.NoError(w.t, err)
	return token(w.token(name))
}

func (w *world) token(name string) string {
	w.t.Helper()
	_, secret, err := w.svc.CreateTokenFor(ctx, w.root, name, "test", time.Hour)
	require.NoError(w.t, err)
	return secret
}

func (w *world) admin(name string) caller {
	w.t.Helper()
	who := w.user(name)
	yes := true
	_, err := w.svc.UpdateUser(ctx, w.root, name, app.UserChange{IsAdmin: &yes})
	require.NoError(w.t, err)
	return who
}

type imageJSON struct {
	ID          string
	OwnerID     string `json:"owner_id"`
	Filename    string
	ContentType string `json:"content_type"`
	Width       int
	Height      int
	Size        int64
	UploadedAt  time.Time `json:"uploaded_at"`
	Placeholder []byte
	Thumbnails  map[string]struct {
		URL           string
		Width, Height int
	}
	Original string
}

type linkJSON struct {
	ID        string
	ImageID   string `json:"image_id"`
	Variant   string
	URL       string
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	ExpiresIn int64     `json:"expires_in"`
	MaxViews  *int64    `json:"max_views"`
	Views     int64
	State     string
}

type pageJSON[T any] struct {
	Items      []T
	NextCursor *string `json:"next_cursor"`
}

func (w *world) upload(who caller) imageJSON {
	w.t.Helper()
	var img imageJSON
	w.do(with(who, "Content-Type: image/jpeg", `Content-Disposition: attachment; filename="cat.jpg"`), http.MethodPost, "/v1/images", bytes.NewReader(photo())).want(201).json(&img)
	return img
}

func (w *world) link(who caller, imageID, body string) linkJSON {
	w.t.Helper()
	var l linkJSON
	w.send(who, http.MethodPost, "/v1/images/"+imageID+"/links", body).want(201).json(&l)
	return l
}

// keys counts the blobs of images.
func (w *world) keys() int {
	w.t.Helper()
	infos, err := w.blobs.List(ctx, "images/", "", 100000)
	require.NoError(w.t, err)
	return len(infos)
}

var photo = sync.OnceValue(func() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			m.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x ^ y), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
})

// part is a part of a form; a file if it has a name.
type part struct{ field, filename, body string }

func form(parts ...part) (contentType string, body []byte) {
	var b bytes.Buffer
	mw := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		d := `form-data; name="` + p.field + `"`
		if p.filename != "" {
			d += `; filename="` + p.filename + `"`
		}
		h.Set("Content-Disposition", d)
		pw, err := mw.CreatePart(h)
		if err != nil {
			panic(err)
		}
		io.WriteString(pw, p.body)
	}
	mw.Close()
	return mw.FormDataContentType(), b.Bytes()
}

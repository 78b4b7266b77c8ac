package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/cmd/internal/settings"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// slack is by how much a deadline that PROMISES names may be missed in a test.
const slack = 3

// cluster is imagify as it is meant to run: nodes, each a process, on one MySQL, one
// S3 service and one Redis, tried from outside.
type cluster struct {
	home  *testing.T // the test that it lives as long as
	db    *realserver.MySQL
	redis *realserver.RedisServer
	s3    *realserver.S3Server
	nodes [2]*node
	admin string // an admin's token

	// backends and desk stand on the servers themselves, without proxies: what no
	// client may do, the tests do there.
	backends *backends.Backends
	desk     *app.Service

	seed, users atomic.Int64
}

// node is one imagify. Toxiproxies stand between it and each backend.
type node struct {
	c             *cluster
	name          string
	db, redis, s3 *realserver.Proxy
	tap           *tap
	env           []string
	log           *lockedTail

	mu  sync.Mutex
	cmd *exec.Cmd
	url string
}

const bucket = "pictures"

func (c *cluster) settings(db, redis, s3 string) map[string]string {
	u, err := url.Parse(c.db.URL("imagify"))
	require.NoError(c.home, err)
	u.Host = db
	return map[string]string{
		"IMAGIFY_DATA": filepath.Join(c.home.TempDir(), "none"), "IMAGIFY_ADMIN_PASSWORD": adminPassword,
		"IMAGIFY_DATABASE_URL": u.String(), "IMAGIFY_REDIS_URL": "redis://" + redis,
		"IMAGIFY_STORAGE_URL": "s3://" + bucket + "?endpoint=http://" + s3 + "&path_style=true&file_keys=true",
		"IMAGIFY_SECRET_KEY":  "a key that all nodes share",
	}
}

// newCluster starts the servers and two nodes.
func newCluster(t *testing.T, db *realserver.MySQL) *cluster {
	t.Helper()
	c := &cluster{home: t, db: db, redis: realserver.Redis(t), s3: realserver.S3(t)}
	c.s3.Bucket(t, bucket)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": c.s3.AccessKey, "AWS_SECRET_ACCESS_KEY": c.s3.SecretKey, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	createDatabase(t, db)

	c.backends = c.open(t, nil)
	require.NoError(t, c.backends.Migrate(t.Context()))
	desk, err := app.New(c.backends.Config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, desk.Close()) })
	c.desk = desk
	for i := range c.nodes {
		c.nodes[i] = c.newNode(t, fmt.Sprint("node", i+1))
	}
	_, token, err := desk.CreateTokenFor(t.Context(), operator, "admin", "tests", 0)
	require.NoError(t, err)
	c.admin = token
	return c
}

func createDatabase(t *testing.T, server *realserver.MySQL) {
	t.Helper()
	db, err := sql.Open("mysql", "root@tcp("+server.Addr+")/")
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "CREATE DATABASE imagify CHARACTER SET utf8mb4")
	require.NoError(t, err)
}

// open opens the servers themselves, by another clock where one is given.
func (c *cluster) open(t *testing.T, now func() time.Time) *backends.Backends {
	t.Helper()
	variables := c.settings(c.db.Addr, c.redis.Addr, c.s3.Addr)
	cfg, err := settings.Load(func(name string) string { return variables[name] })
	require.NoError(t, err)
	b, err := cfg.Open(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	b.Now = now
	return b
}

// newNode starts a node on proxies of its own; env is added to its settings.
func (c *cluster) newNode(t *testing.T, name string, env ...string) *node {
	t.Helper()
	n := &node{c: c, name: name, log: &lockedTail{}}
	n.tap = newTap(c.home, c.s3.Addr)
	n.db, n.redis, n.s3 = realserver.ToxiProxy(c.home, c.db.Addr), realserver.ToxiProxy(c.home, c.redis.Addr), realserver.ToxiProxy(c.home, n.tap.addr)
	for name, value := range c.settings(n.db.Addr, n.redis.Addr, n.s3.Addr) {
		n.env = append(n.env, name+"="+value)
	}
	n.env = append(n.env, env...)
	c.home.Cleanup(func() {
		n.kill()
		if c.home.Failed() {
			c.home.Logf("%s's log:\n%s", n.name, n.log)
		}
	})
	n.start(t)
	return n
}

// start starts the node's process and waits until it listens.
func (n *node) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "serve", "--addr", "127.0.0.1:0")
	cmd.Env = append(append(os.Environ(), "IMAGIFY_TEST_MAIN=1"), n.env...)
	cmd.Stderr = n.log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	n.mu.Lock()
	n.cmd = cmd
	n.mu.Unlock()
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if _, address, ok := strings.Cut(sc.Text(), "listening on "); ok {
			n.mu.Lock()
			n.url = address
			n.mu.Unlock()
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	t.Fatalf("%s did not start: %s", n.name, n.log)
}

func (n *node) at() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.url
}

// kill is SIGKILL.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}

// stop sends SIGTERM and returns the exit code and how long it took.
func (n *node) stop(t *testing.T) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGTERM))
	_ = n.cmd.Wait()
	return n.cmd.ProcessState.ExitCode(), time.Since(began)
}

// heal makes every proxy of the node harmless.
func (n *node) heal(t *testing.T) {
	t.Helper()
	for _, p := range []*realserver.Proxy{n.db, n.redis, n.s3} {
		p.Heal(t)
	}
	n.ready(t)
}

// ready waits until the node says that every backend answers.
func (n *node) ready(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return n.get(t, "/readyz", "").status == 200 }, slack*5*time.Second, 20*time.Millisecond, "%s is not ready", n.name)
}

// notReady waits until the node says that a backend does not answer, and no other: an
// answer is kept for a second.
func (n *node) notReady(t *testing.T, backend string) {
	t.Helper()
	var a answer
	if !assert.Eventually(t, func() bool { a = n.get(t, "/readyz", ""); return a.status == 503 }, slack*5*time.Second, 50*time.Millisecond) {
		return
	}
	for _, name := range []string{"database", "storage", "link state"} {
		assert.Equal(t, name == backend, strings.Contains(string(a.body), name), "%s away: %s", backend, a)
	}
}

func (c *cluster) other(n *node) *node {
	if n == c.nodes[0] {
		return c.nodes[1]
	}
	return c.nodes[0]
}

// lockedTail keeps the end of a node's log.
type lockedTail struct {
	mu sync.Mutex
	b  []byte
}

func (l *lockedTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if over := len(l.b) - 8<<10; over > 8<<10 {
		l.b = bytes.Clone(l.b[over:])
	}
	return len(b), nil
}

func (l *lockedTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

// answer is what a node answered. With an error the body is not whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
	began  time.Time
	took   time.Duration
}

// served tells whether any byte of an image, or any 2xx, came.
func (a answer) served() bool { return a.status/100 == 2 }

// unavailable tells whether the answer is a 503 that says when to come again.
func (a answer) unavailable() bool { return a.status == 503 && a.header.Get("Retry-After") != "" }

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, a.err)
	require.NoError(t, json.Unmarshal(a.body, v), "%s", a.body)
}

func (a answer) String() string {
	return fmt.Sprintf("%d after %v, %v: %.300s", a.status, a.took, a.err, a.body)
}

var clusterClient = &http.Client{
	Timeout: 2 * time.Minute,
	// A connection a request would be dear; one that a killed node leaves behind is found out.
	Transport:     &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do makes a request. That no node ever answers 500 is part of every promise.
func (n *node) do(t *testing.T, method, path, token string, body []byte, header map[string]string) (a answer) {
	t.Helper()
	return n.doWith(t, clusterClient, method, path, token, body, header)
}

func (n *node) doWith(t *testing.T, client *http.Client, method, path, token string, body []byte, header map[string]string) (a answer) {
	t.Helper()
	a.began = time.Now()
	defer func() { a.took = time.Since(a.began) }()
	req, err := http.NewRequestWithContext(context.Background(), method, n.at()+pathOf(path), bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		a.err = err
		return a
	}
	defer res.Body.Close()
	a.status, a.header = res.StatusCode, res.Header
	a.body, a.err = io.ReadAll(res.Body)
	if a.status == 500 {
		t.Errorf("%s %s %s: %s", n.name, method, path, a)
	}
	return a
}

// pathOf takes the host off a URL that a node handed out.
func pathOf(address string) string {
	if _, after, ok := strings.Cut(address, "://"); ok {
		return after[strings.IndexByte(after, '/'):]
	}
	return address
}

func (n *node) get(t *testing.T, path, token string) answer {
	t.Helper()
	return n.do(t, http.MethodGet, path, token, nil, nil)
}

// send makes a request with a JSON body.
func (n *node) send(t *testing.T, method, path, token string, view any) answer {
	t.Helper()
	body, err := json.Marshal(view)
	require.NoError(t, err)
	return n.do(t, method, path, token, body, map[string]string{"Content-Type": "application/json"})
}

// upload sends a picture; key is the Idempotency-Key.
func (n *node) upload(t *testing.T, token, key string, data []byte) answer {
	t.Helper()
	header := map[string]string{"Content-Type": "image/jpeg"}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	return n.do(t, http.MethodPost, "/v1/images", token, data, header)
}

// patientUpload is upload by a client that comes again where too many of its own are under way.
func (n *node) patientUpload(t *testing.T, token, key string, data []byte) answer {
	t.Helper()
	for {
		if a := n.upload(t, token, key, data); a.status != http.StatusTooManyRequests {
			return a
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// picture uploads one picture of a few KB that must be kept.
func (n *node) picture(t *testing.T, token string) (imageView, []byte) {
	t.Helper()
	data := photo(int(n.c.seed.Add(1)), 640, 480)
	return n.kept(t, token, data), data
}

func (n *node) kept(t *testing.T, token string, data []byte) (img imageView) {
	t.Helper()
	a := n.upload(t, token, "", data)
	require.Equal(t, 201, a.status, a)
	a.into(t, &img)
	return img
}

// link makes a link and returns its path.
func (n *node) link(t *testing.T, token, image string, body map[string]any) (path, id string) {
	t.Helper()
	a := n.send(t, http.MethodPost, "/v1/images/"+image+"/links", token, body)
	require.Equal(t, 201, a.status, a)
	var l struct{ ID, URL string }
	a.into(t, &l)
	return pathOf(l.URL), l.ID
}

// user makes a user and returns their name and a token.
func (c *cluster) user(t *testing.T, tiers ...string) (name, token string) {
	t.Helper()
	name = fmt.Sprint("user", c.users.Add(1))
	_, err := c.desk.CreateUser(t.Context(), operator, name, app.UserChange{Tiers: &tiers})
	require.NoError(t, err)
	_, token, err = c.desk.CreateTokenFor(t.Context(), operator, name, "tests", 0)
	require.NoError(t, err)
	return name, token
}

const (
	basic      = "BasicTierUsers"
	enterprise = "EnterpriseTierUsers"
)

// keys counts the blobs below images/, or of one image.
func (c *cluster) keys(t *testing.T, image string) (n int) {
	t.Helper()
	blobs, err := c.backends.Blobs.List(t.Context(), "images/", "", 1_000_000)
	require.NoError(t, err)
	for _, b := range blobs {
		if strings.Contains(b.Key, image) {
			n++
		}
	}
	return n
}

// skewed is a node in this process whose machine's clock is wrong.
func (c *cluster) skewed(t *testing.T, by time.Duration) *node {
	t.Helper()
	b := c.open(t, func() time.Time { return time.Now().Add(by) })
	svc, err := app.New(b.Config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, svc.Close()) })
	_, err = svc.Bootstrap(t.Context(), adminPassword)
	require.NoError(t, err)
	api, err := ginapi.New(svc, ginapi.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); svc.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return &node{c: c, name: fmt.Sprint("node with its clock off by ", by), url: srv.URL, log: &lockedTail{}}
}

// tap stands next to the S3 service: it notes what a node asks of it, and can hold a request back.
type tap struct {
	addr string

	mu    sync.Mutex
	seen  map[string]int // "METHOD path"
	acls  int            // requests that carry an ACL
	hold  func(r *http.Request) bool
	held  chan struct{} // closed when a request is held
	until chan struct{} // closed when it may go on
}

func newTap(t *testing.T, upstream string) *tap {
	tp := &tap{seen: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		// The signature covers the Host header, which stays as it is.
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", upstream },
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 128},
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		// A service that is away is no answer.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tp.note(r)
		proxy.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = proxy.ErrorLog
	srv.Start()
	t.Cleanup(func() {
		tp.release()
		srv.CloseClientConnections()
		srv.Close()
	})
	tp.addr = strings.TrimPrefix(srv.URL, "http://")
	return tp
}

func (tp *tap) note(r *http.Request) {
	tp.mu.Lock()
	tp.seen[r.Method+" "+r.URL.Path]++
	for name := range r.Header {
		if lower := strings.ToLower(name); lower == "x-amz-acl" || strings.HasPrefix(lower, "x-amz-grant-") {
			tp.acls++
		}
	}
	if r.URL.Query().Has("acl") {
		tp.acls++
	}
	var until chan struct{}
	if tp.hold != nil && tp.hold(r) {
		tp.hold, until = nil, tp.until
		close(tp.held)
	}
	tp.mu.Unlock()
	if until != nil {
		<-until
	}
}

// holdNext holds back the next request that matches; held is closed once it is there.
func (tp *tap) holdNext(match func(r *http.Request) bool) (held <-chan struct{}) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.hold, tp.held, tp.until = match, make(chan struct{}), make(chan struct{})
	return tp.held
}

// release lets go on what is held.
func (tp *tap) release() {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.hold = nil; tp.until != nil {
		close(tp.until)
		tp.until = nil
	}
}

// count is how many requests of a method were made whose path contains both texts.
func (tp *tap) count(method, a, b string) (n int) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	for line, times := range maps.All(tp.seen) {
		if strings.HasPrefix(line, method+" ") && strings.Contains(line, a) && strings.Contains(line, b) {
			n += times
		}
	}
	return n
}

// atOnce runs n functions in parallel and waits for them.
func atOnce(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// inTurns is atOnce with at most width at a time.
func inTurns(n, width int, fn func(i int)) {
	var next atomic.Int64
	atOnce(min(n, width), func(int) {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			fn(i)
		}
	})
}

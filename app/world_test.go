package app_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is a service on the memory adapters, or on the embedded default.
type world struct {
	t     *testing.T
	svc   *app.Service
	cfg   app.Config
	clock *clock
	blobs ports.Blobs
	root  domain.Actor
	// logs is what the service logged.
	logs *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var cheapHash = app.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}

func newWorld(t *testing.T, change ...func(*app.Config)) *world {
	t.Helper()
	// UTC now, so that stored file times and the moved clock agree within the tests' slack.
	w := &world{t: t, clock: &clock{t: time.Now().UTC().Truncate(time.Microsecond)}, root: domain.SystemActor("test"), logs: &syncBuffer{}}
	resizer, err := bildresizer.New(bildresizer.Options{})
	require.NoError(t, err)
	w.cfg = app.Config{
		Records:    memory.NewRecords(memory.Options{Now: w.clock.now}),
		Blobs:      memory.NewBlobs(memory.Options{Now: w.clock.now}),
		Resizer:    resizer,
		RateLimits: memory.NewRateLimits(memory.Options{Now: w.clock.now}),
		LinkCache:  memory.NewLinkCache(memory.Options{Now: w.clock.now}),
		SecretKeys: [][]byte{[]byte("a secret key of the tests")},
		Now:        w.clock.now,
		Logger:     slog.New(slog.NewJSONHandler(w.logs, nil)),
		Argon2:     cheapHash,
		SweepEvery: -1,
	}
	if strings.HasPrefix(t.Name(), "TestPromiseEmbedded/") {
		w.embed()
	}
	for _, c := range change {
		c(&w.cfg)
	}
	w.blobs = w.cfg.Blobs
	w.svc = w.node()
	_, err = w.svc.Bootstrap(context.Background(), "admin password")
	require.NoError(t, err)
	return w
}

// embed puts the records into SQLite and the blobs into files, and resizes natively, as the embedded default does.
func (w *world) embed() {
	w.t.Helper()
	dir := w.t.TempDir()
	db, err := sqliterepo.Open(w.t.Context(), filepath.Join(dir, "imagify.db"), sqliterepo.Options{Now: w.clock.now})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, db.Close()) })
	_, err = db.MigrateUp(w.t.Context())
	require.NoError(w.t, err)
	files, err := fileblob.New(filepath.Join(dir, "blobs"))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, files.Close()) })
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	require.NoError(w.t, err)
	w.cfg.Records, w.cfg.Blobs, w.cfg.Resizer = db.Records(), files, resizer
}

// node makes another service on the same adapters, as another process would.
func (w *world) node() *app.Service {
	w.t.Helper()
	s, err := app.New(w.cfg)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-done
		require.NoError(w.t, s.Close())
	})
	return s
}

const password = "correct horse"

// user makes a user in the tiers and signs them in by password.
func (w *world) user(name string, tiers ...string) domain.Actor {
	w.t.Helper()
	p := password
	_, err := w.svc.CreateUser(context.Background(), w.root, name, app.UserChange{Password: &p, Tiers: &tiers})
	require.NoError(w.t, err)
	return w.actor(name)
}

// actor signs a user in.
func (w *world) actor(name string) domain.Actor {
	w.t.Helper()
	a, err := w.svc.ByPassword(context.Background(), name, password, "192.0.2.1")
	require.NoError(w.t, err)
	return a
}

func (w *world) setTiers(name string, tiers ...string) {
	w.t.Helper()
	_, err := w.svc.UpdateUser(context.Background(), w.root, name, app.UserChange{Tiers: &tiers})
	require.NoError(w.t, err)
}

func (w *world) upload(a domain.Actor) domain.Image {
	w.t.Helper()
	img, err := w.svc.Upload(context.Background(), a, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, Filename: "cat.jpg"})
	require.NoError(w.t, err)
	return img
}

// read opens and reads content to its end.
func read(c *app.Content, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer c.Body.Close()
	return io.ReadAll(c.Body)
}

// keys counts the blobs of images.
func (w *world) keys() int { return w.count("images/") }

// trashed counts the blobs in the trash.
func (w *world) trashed() int { return w.count("trash/") }

func (w *world) count(prefix string) int {
	w.t.Helper()
	infos, err := w.blobs.List(context.Background(), prefix, "", 100000)
	require.NoError(w.t, err)
	return len(infos)
}

func picture(width, height int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x ^ y), 255})
		}
	}
	return m
}

var photo = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture(640, 480), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
})

var drawing = sync.OnceValue(func() []byte {
	m := image.NewNRGBA(image.Rect(0, 0, 300, 150))
	for i := range m.Pix {
		m.Pix[i] = uint8(i)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
})

func thumbnail(h int) domain.Variant {
	v, ok := domain.Thumbnail(h)
	if !ok {
		panic("no such height")
	}
	return v
}

func ptr[T any](v T) *T { return &v }

package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// stalled is a client that sends some of a file, and the rest when it is let.
type stalled struct {
	io.Reader
	reached, leave chan struct{}
	said           bool
	rest           io.Reader
}

func newStalled(data []byte, n int) *stalled {
	return &stalled{Reader: bytes.NewReader(data[:n]), reached: make(chan struct{}), leave: make(chan struct{}), rest: bytes.NewReader(data[n:])}
}

func (s *stalled) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if !s.said {
		s.said = true
		close(s.reached)
		<-s.leave
		s.Reader, s.rest = s.rest, bytes.NewReader(nil)
		return s.Read(p)
	}
	return n, err
}

// begin uploads in the background, up to where the client stalls.
func begin(w *world, a domain.Actor, s *stalled) (done chan error) {
	done = make(chan error, 1)
	go func() {
		_, err := w.svc.Upload(ctx, a, app.UploadInput{Body: s, Size: -1})
		done <- err
	}()
	<-s.reached
	return done
}

// spooled sums up what is in the spool, in bytes.
func spooled(t *testing.T, dir string) (files int, size int64) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "upload-*"))
	require.NoError(t, err)
	for _, p := range paths {
		info, err := os.Stat(p)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		files, size = files+1, size+info.Size()
	}
	return files, size
}

// watched counts what is asked of the resizer and the store.
type watchedResizer struct {
	ports.Resizer
	inspected atomic.Int64
}

func (r *watchedResizer) Inspect(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
	r.inspected.Add(1)
	return r.Resizer.Inspect(ctx, src, q)
}

type watchedBlobs struct {
	ports.Blobs
	puts atomic.Int64
}

func (b *watchedBlobs) Put(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
	if key != ports.InstallationKey {
		b.puts.Add(1)
	}
	return b.Blobs.Put(ctx, key, body, o)
}

// While a client is waited for nothing is held but a file in the spool: no turn, no row, no lease, no
// use of the store. A file that is refused never reaches the store.
func TestNothingIsHeldForASilentClient(t *testing.T) {
	r, b := &watchedResizer{}, &watchedBlobs{}
	w := newWorld(t, func(c *app.Config) {
		r.Resizer, c.Resizer = c.Resizer, r
		b.Blobs, c.Blobs = c.Blobs, b
		c.SpoolDir = t.TempDir()
	})
	anna := w.user("anna", domain.BasicTier)
	s := newStalled(photo(), len(photo())-1)
	done := begin(w, anna, s)
	files, _ := spooled(t, w.cfg.SpoolDir)
	assert.Equal(t, 1, files)
	assert.Zero(t, r.inspected.Load())
	assert.Zero(t, b.puts.Load())
	due, err := w.cfg.Records.Images.DueDeletions(ctx, w.clock.now().Add(time.Hour), domain.ID{}, 10)
	require.NoError(t, err)
	assert.Empty(t, due, "a row was written for what is not here yet")
	close(s.leave)
	require.NoError(t, <-done)
	assert.EqualValues(t, 1, r.inspected.Load())
	assert.EqualValues(t, 1, b.puts.Load())

	_, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(drawing()[:30]), Size: -1})
	require.ErrorIs(t, err, domain.CorruptImage)
	assert.EqualValues(t, 1, r.inspected.Load(), "a structure that is cut short takes no turn")
	_, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()[:5000]), Size: -1})
	require.ErrorIs(t, err, domain.CorruptImage)
	assert.EqualValues(t, 1, b.puts.Load())
	due, err = w.cfg.Records.Images.DueDeletions(ctx, w.clock.now().Add(time.Hour), domain.ID{}, 10)
	require.NoError(t, err)
	assert.Empty(t, due)
	files, _ = spooled(t, w.cfg.SpoolDir)
	assert.Zero(t, files, "the spool is left empty")
}

// A user has eight uploads under way at the most; others are not affected.
func TestUploadsUnderWayAreBounded(t *testing.T) {
	w := newWorld(t)
	anna, bert := w.user("anna"), w.user("bert")
	var clients []*stalled
	var ends []chan error
	for range 8 {
		s := newStalled(photo(), 1000)
		clients, ends = append(clients, s), append(ends, begin(w, anna, s))
	}
	_, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
	require.ErrorIs(t, err, domain.RateLimited)
	e := domain.AsError(err)
	assert.Positive(t, e.RetryAfter)
	require.NotNil(t, e.Limit)
	assert.EqualValues(t, 8, *e.Limit)
	w.upload(bert)
	close(clients[0].leave)
	require.NoError(t, <-ends[0])
	w.upload(anna)
	for i := range clients[1:] {
		close(clients[i+1].leave)
		require.NoError(t, <-ends[i+1])
	}
}

// What is unfinished counts against the quota: chunked uploads never hold more than it leaves.
func TestQuotaCountsWhatIsUnderWay(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, func(c *app.Config) { c.SpoolDir = dir })
	size := int64(len(photo()))
	left := size + size/2
	_, err := w.svc.CreateTier(ctx, w.root, "Little", app.TierChange{Limits: map[string]*int64{"max_storage_bytes": &left}})
	require.NoError(t, err)
	anna := w.user("anna", "Little")
	first := newStalled(photo(), len(photo())-100)
	done := begin(w, anna, first)
	for range 5 {
		_, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
		require.ErrorIs(t, err, domain.QuotaExceeded)
		assert.NotNil(t, domain.AsError(err).Used)
		_, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: size})
		require.ErrorIs(t, err, domain.QuotaExceeded, "a size that is known is refused before anything is read")
		_, bytes := spooled(t, dir)
		assert.LessOrEqual(t, bytes, left)
	}
	close(first.leave)
	require.NoError(t, <-done, "what was refused took nothing away")
	usage, err := w.svc.Usage(ctx, anna)
	require.NoError(t, err)
	assert.Equal(t, domain.Usage{Images: 1, Bytes: size}, usage)
}

// Below the reserve of disk space, or with a folder that cannot be written, uploads are refused by their
// reason, everything else works, and readiness says so.
func promiseX8(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "a file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	for name, change := range map[string]func(*app.Config){
		"full":      func(c *app.Config) { c.Caps.MinFree = 1 << 62 },
		"read-only": func(c *app.Config) { c.SpoolDir = filepath.Join(blocked, "spool") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			anna := w.user("anna", domain.EnterpriseTier)
			img := w.upload(anna)
			link, _, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
			require.NoError(t, err)
			assert.Empty(t, w.svc.Ready(ctx))
			change(&w.cfg)
			svc := w.node()
			_, err = svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
			require.ErrorIs(t, err, domain.Unavailable)
			e := domain.AsError(err)
			assert.Contains(t, e.Msg, "uploads")
			assert.NotContains(t, e.Msg, os.TempDir(), "no path is told")
			assert.Positive(t, e.RetryAfter)
			assert.Contains(t, svc.Ready(ctx), "uploads")
			require.Error(t, app.CheckSpool(w.cfg))
			require.NoError(t, svc.RevokeLink(ctx, anna, link.ID))
			_, err = svc.UpdateUser(ctx, w.root, "anna", app.UserChange{Tiers: &[]string{}})
			require.NoError(t, err)
			require.NoError(t, svc.DeleteImage(ctx, anna, img.ID))
			assert.Zero(t, w.keys())
		})
	}
}

// A user who was deleted, deactivated or demoted while their upload came in gets no image, and
// nothing of it is left.
func promiseX9(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"deleted": func(w *world) { require.NoError(w.t, w.svc.DeleteUser(ctx, w.root, "anna")) },
		"deactivated": func(w *world) {
			_, err := w.svc.UpdateUser(ctx, w.root, "anna", app.UserChange{IsActive: ptr(false)})
			require.NoError(w.t, err)
		},
	} {
		t.Run(name+" while it is received", func(t *testing.T) {
			w := newWorld(t)
			s := newStalled(photo(), 1000)
			done := begin(w, w.user("anna", domain.EnterpriseTier), s)
			end(w)
			close(s.leave)
			require.ErrorIs(t, <-done, domain.Unauthenticated)
			assert.Zero(t, w.keys())
		})
		t.Run(name+" while it is stored", func(t *testing.T) {
			s := &stuck{entered: make(chan struct{}), leave: make(chan struct{})}
			w := newWorld(t, func(c *app.Config) { s.Blobs, c.Blobs = c.Blobs, s })
			anna := w.user("anna", domain.EnterpriseTier)
			done := make(chan error, 1)
			go func() {
				_, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "k"})
				done <- err
			}()
			<-s.entered
			end(w)
			close(s.leave)
			err := <-done
			assert.Contains(t, []domain.Code{domain.Unauthenticated, domain.Conflict}, domain.CodeOf(err), "%v", err)
			assert.Zero(t, w.keys())
			usage, err := w.cfg.Records.Images.Usage(ctx, anna.User.ID)
			require.NoError(t, err)
			assert.Zero(t, usage)
			due, err := w.cfg.Records.Images.DueDeletions(ctx, w.clock.now().Add(time.Hour), domain.ID{}, 10)
			require.NoError(t, err)
			assert.Empty(t, due)
		})
	}
}

// An upload whose bytes waited is decided by the limits of now.
func promiseX5OfUploads(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.CreateTier(ctx, w.root, "Small", app.TierChange{Limits: map[string]*int64{"max_pixels": ptr(int64(1000))}})
	require.NoError(t, err)
	s := newStalled(photo(), 1000)
	done := begin(w, w.user("anna", domain.BasicTier), s)
	w.setTiers("anna", "Small")
	close(s.leave)
	require.ErrorIs(t, <-done, domain.TooLarge)
	assert.Zero(t, w.keys())
}

// What a process that died has left in the spool goes with the next start; what a living one has stays.
func TestSpoolIsSweptAfterACrash(t *testing.T) {
	dir := t.TempDir()
	living := newWorld(t, func(c *app.Config) { c.SpoolDir = dir })
	s := newStalled(photo(), 1000)
	done := begin(living, living.user("anna"), s)
	dead := filepath.Join(dir, "imagify-spool-1234")
	require.NoError(t, os.Mkdir(dead, 0o700))
	for _, name := range []string{"lock", "upload-1", "upload-2"} {
		require.NoError(t, os.WriteFile(filepath.Join(dead, name), []byte("x"), 0o600))
	}
	fresh := filepath.Join(dir, "imagify-spool-5678") // a process is about to take it
	require.NoError(t, os.Mkdir(fresh, 0o700))

	next := newWorld(t, func(c *app.Config) { c.SpoolDir = dir })
	next.upload(next.user("bert"))
	assert.NoDirExists(t, dead)
	assert.DirExists(t, fresh)
	close(s.leave)
	require.NoError(t, <-done, "the living one's upload is whole")
}

// A tier promises no more than the process's caps; one that said more before stays as it was.
func TestTierLimitsStayWithinTheCaps(t *testing.T) {
	w := newWorld(t, func(c *app.Config) { c.Caps = app.Caps{UploadBytes: 60 << 20, Pixels: 120_000_000} })
	for name, c := range map[string]struct{ limit, cap int64 }{
		"max_upload_bytes": {limit: 60<<20 + 1, cap: 60 << 20}, "max_pixels": {120_000_001, 120_000_000},
	} {
		for _, try := range []func(limits map[string]*int64) error{
			func(l map[string]*int64) error {
				_, err := w.svc.CreateTier(ctx, w.root, "Big", app.TierChange{Limits: l})
				return err
			},
			func(l map[string]*int64) error {
				_, err := w.svc.UpdateTier(ctx, w.root, domain.BasicTier, app.TierChange{Limits: l})
				return err
			},
			func(l map[string]*int64) error {
				_, err := w.svc.PreviewTier(ctx, w.root, domain.BasicTier, app.TierChange{Limits: l})
				return err
			},
		} {
			err := try(map[string]*int64{name: ptr(c.limit)})
			require.ErrorIs(t, err, domain.Invalid)
			require.Len(t, domain.AsError(err).Fields, 1)
			assert.Equal(t, "limits."+name, domain.AsError(err).Fields[0].Field)
			assert.Contains(t, domain.AsError(err).Fields[0].Message, "IMAGIFY_MAX_")
		}
		_, err := w.svc.UpdateTier(ctx, w.root, domain.PremiumTier, app.TierChange{Limits: map[string]*int64{name: ptr(c.cap)}})
		require.NoError(t, err)
		_, err = w.svc.UpdateTier(ctx, w.root, domain.PremiumTier, app.TierChange{Limits: map[string]*int64{name: nil}})
		require.NoError(t, err, "none means the cap")
	}
}

package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

var ctx = context.Background()

func TestUpload(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: int64(len(photo())), Filename: "../Cat.jpg"})
	require.NoError(t, err)
	assert.Equal(t, "Cat.jpg", img.Filename)
	assert.Equal(t, domain.JPEG, img.Format)
	assert.Equal(t, []int{640, 480, 1}, []int{img.Width, img.Height, img.Frames})
	assert.Equal(t, sha256.Sum256(photo()), img.SHA256)
	assert.EqualValues(t, len(photo()), img.Size)
	assert.NotEmpty(t, img.Placeholder)
	got, err := read(w.svc.Open(ctx, anna, img.ID, domain.Original))
	require.NoError(t, err)
	assert.Equal(t, photo(), got)
	u, err := w.svc.Usage(ctx, anna)
	require.NoError(t, err)
	assert.Equal(t, domain.Usage{Images: 1, Bytes: int64(len(photo()))}, u)

	items, next, err := w.svc.Images(ctx, anna, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.True(t, next.IsZero())
	require.Len(t, items, 1)
	assert.Equal(t, img, items[0].Image)
	require.Len(t, items[0].Thumbnails, 2)
	assert.Equal(t, []int{200, 267, 200}, []int{items[0].Thumbnails[0].RequestedHeight, items[0].Thumbnails[0].Width, items[0].Thumbnails[0].Height})
	assert.NotNil(t, items[0].Original)
}

// Every refused upload leaves nothing: no row, no blob, no usage.
func TestUploadRefused(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	small := app.TierChange{Limits: map[string]*int64{"max_upload_bytes": ptr(int64(5000)), "max_pixels": ptr(int64(50_000))}}
	_, err := w.svc.CreateTier(ctx, w.root, "Small", small)
	require.NoError(t, err)
	tiny := w.user("tiny", "Small")
	wide := append(bytes.Clone(drawing()), make([]byte, 3000)...)
	copy(wide[16:24], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // claims 65536×65536

	for name, c := range map[string]struct {
		actor domain.Actor
		in    app.UploadInput
		want  domain.Code
	}{
		"nobody":              {domain.Actor{}, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1}, domain.Unauthenticated},
		"the system":          {w.root, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1}, domain.Denied},
		"empty":               {anna, app.UploadInput{Body: strings.NewReader(""), Size: 0}, domain.UnsupportedImage},
		"a PDF":               {anna, app.UploadInput{Body: strings.NewReader("%PDF-1.7 and so on, long enough"), Size: -1, Filename: "cat.jpg"}, domain.UnsupportedImage},
		"truncated JPEG":      {anna, app.UploadInput{Body: bytes.NewReader(photo()[:len(photo())/2]), Size: -1}, domain.CorruptImage},
		"only a magic":        {anna, app.UploadInput{Body: strings.NewReader("\xff\xd8\xff\xe0"), Size: -1}, domain.CorruptImage},
		"bomb":                {anna, app.UploadInput{Body: bytes.NewReader(wide), Size: -1}, domain.TooLarge},
		"too many bytes said": {tiny, app.UploadInput{Body: bytes.NewReader(photo()), Size: 5001}, domain.TooLarge},
		"too many bytes":      {tiny, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1}, domain.TooLarge},
		"too many pixels":     {tiny, app.UploadInput{Body: bytes.NewReader(photo()[:5000]), Size: -1}, domain.TooLarge},
		"shorter than said":   {anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: int64(len(photo()) + 1)}, domain.Invalid},
		"connection lost":     {anna, app.UploadInput{Body: io.MultiReader(bytes.NewReader(photo()[:5000]), iotest.ErrReader(errors.New("reset"))), Size: -1}, domain.Invalid},
		"lost at once":        {anna, app.UploadInput{Body: iotest.ErrReader(errors.New("reset")), Size: -1}, domain.Invalid},
		"bad key":             {anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "a\x00b"}, domain.Invalid},
		"long key":            {anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: strings.Repeat("k", 256)}, domain.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.svc.Upload(ctx, c.actor, c.in)
			assert.Equal(t, c.want, domain.CodeOf(err), "%v", err)
			if c.want == domain.TooLarge {
				assert.NotNil(t, domain.AsError(err).Limit)
			}
			assert.Zero(t, w.keys(), "a blob was left")
			if c.actor.User.ID.IsZero() {
				return
			}
			items, _, err := w.svc.Images(ctx, c.actor, ports.Page{Limit: 10})
			require.NoError(t, err)
			assert.Empty(t, items)
			due, err := w.cfg.Records.Images.DueDeletions(ctx, w.clock.now().Add(time.Hour), domain.ID{}, 10)
			require.NoError(t, err)
			assert.Empty(t, due, "a pending row was left")
		})
	}
	u, err := w.svc.Usage(ctx, anna)
	require.NoError(t, err)
	assert.Zero(t, u)
}

// panicky is a resizer that panics, as a decoder's bug would.
type panicky struct{ ports.Resizer }

func (panicky) Inspect(context.Context, io.ReadSeeker, ports.InspectRequest) (domain.ImageInfo, error) {
	panic("index out of range")
}

// failing is a store that cannot be written.
type failing struct{ ports.Blobs }

func (failing) Put(_ context.Context, _ string, r io.ReadSeeker, _ ports.PutOptions) error {
	io.CopyN(io.Discard, r, 100)
	return domain.Errorf(domain.Unavailable, "the store is unavailable")
}

func TestUploadBackends(t *testing.T) {
	w := newWorld(t, func(c *app.Config) { c.Resizer = panicky{c.Resizer} })
	_, err := w.svc.Upload(ctx, w.user("anna"), app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
	assert.ErrorIs(t, err, domain.CorruptImage)
	assert.Contains(t, w.logs.String(), "index out of range")
	assert.Zero(t, w.keys())

	w = newWorld(t, func(c *app.Config) { c.Blobs = failing{c.Blobs} })
	_, err = w.svc.Upload(ctx, w.user("anna"), app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
	assert.ErrorIs(t, err, domain.Unavailable)
}

// lossy loses the answer of a commit, which happened or not.
type lossy struct {
	ports.Images
	happens bool
}

func (l *lossy) CommitUpload(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
	if l.happens {
		if err := l.Images.CommitUpload(ctx, u, img, q); err != nil {
			return err
		}
	}
	return errors.New("connection reset")
}

func TestPromise(t *testing.T) { promises(t) }

// The same on the embedded default: newWorld sees the test's name.
func TestPromiseEmbedded(t *testing.T) { promises(t) }

func promises(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Run("A6", promiseA6)
	t.Run("A7", promiseA7)
	t.Run("A9", promiseA9)
	t.Run("D3", promiseD3)
	t.Run("D4", promiseD4)
	t.Run("L2", promiseL2)
	t.Run("L3", promiseL3)
	t.Run("L4", promiseL4)
	t.Run("L6", promiseL6)
	t.Run("L8", promiseL8)
	t.Run("R1", promiseR1)
	t.Run("R2", promiseR2)
	t.Run("R7", promiseR7)
	t.Run("R8", promiseR8)
	t.Run("R9", promiseR9)
	t.Run("R12", promiseR12)
	t.Run("T2", promiseT2)
	t.Run("T5", promiseT5)
	t.Run("X7", promiseX7)
	t.Run("T9", promiseT9)
	t.Run("X5", promiseX5OfUploads)
	t.Run("X8", promiseX8)
	t.Run("X9", promiseX9)
}

// A lost answer is safe to repeat: one image, whether the commit happened or not.
func promiseD4(t *testing.T) {
	for _, happens := range []bool{false, true} {
		t.Run(fmt.Sprint("committed=", happens), func(t *testing.T) {
			var l *lossy
			w := newWorld(t, func(c *app.Config) {
				l = &lossy{c.Records.Images, happens}
				c.Records.Images = l
			})
			anna := w.user("anna", domain.BasicTier)
			in := func() app.UploadInput {
				return app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "once"}
			}
			_, err := w.svc.Upload(ctx, anna, in())
			assert.Equal(t, happens, err == nil, "what is known to be there is acknowledged")
			w.cfg.Records.Images = l.Images
			retry := w.node()
			img, err := retry.Upload(ctx, anna, in())
			require.NoError(t, err)
			items, _, err := retry.Images(ctx, anna, ports.Page{Limit: 10})
			require.NoError(t, err)
			require.Len(t, items, 1)
			assert.Equal(t, img.ID, items[0].ID)
			assert.Equal(t, 1, w.keys())
		})
	}
}

// The image that fills the quota is answered again for its Idempotency-Key; another key is one too many.
func TestARepetitionNeedsNoPlaceInTheQuota(t *testing.T) {
	t.Parallel()
	size := int64(len(drawing()))
	for name, limits := range map[string]map[string]*int64{
		"Count": {"max_images": ptr(int64(1))},
		"Bytes": {"max_storage_bytes": ptr(size)},
	} {
		for _, announced := range []int64{-1, size} {
			t.Run(fmt.Sprint(name, announced), func(t *testing.T) {
				w := newWorld(t)
				_, err := w.svc.CreateTier(ctx, w.root, name, app.TierChange{Limits: limits})
				require.NoError(t, err)
				anna := w.user("anna", name)
				upload := func(key string) (domain.Image, error) {
					return w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(drawing()), Size: announced, IdempotencyKey: key})
				}
				img, err := upload("one")
				require.NoError(t, err)
				again, err := upload("one")
				require.NoError(t, err)
				assert.Equal(t, img.ID, again.ID)
				_, err = upload("two")
				assert.Equal(t, domain.QuotaExceeded, domain.CodeOf(err))
				require.NoError(t, w.svc.DeleteImage(ctx, anna, img.ID))
				_, err = upload("two")
				require.NoError(t, err, "the refusal left the key free")
				assert.Equal(t, 1, w.keys())
			})
		}
	}
}

// patiently uploads, and comes again where too many uploads are under way.
func patiently(svc *app.Service, a domain.Actor, in func() app.UploadInput) (domain.Image, error) {
	for {
		img, err := svc.Upload(ctx, a, in())
		if domain.CodeOf(err) != domain.RateLimited {
			return img, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Quotas hold under 50 parallel uploads, exactly.
func promiseR7(t *testing.T) {
	w := newWorld(t)
	size := int64(len(drawing()))
	for name, limits := range map[string]map[string]*int64{
		"Count": {"max_images": ptr(int64(7))},
		"Bytes": {"max_storage_bytes": ptr(7*size + size/2)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.svc.CreateTier(ctx, w.root, name, app.TierChange{Limits: limits})
			require.NoError(t, err)
			a := w.user("user-of-"+name, name)
			var (
				wg   sync.WaitGroup
				mu   sync.Mutex
				kept int
			)
			for range 50 {
				wg.Go(func() {
					_, err := patiently(w.svc, a, func() app.UploadInput {
						return app.UploadInput{Body: bytes.NewReader(drawing()), Size: -1}
					})
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						kept++
						return
					}
					e := domain.AsError(err)
					assert.Equal(t, domain.QuotaExceeded, e.Code, "%v", err)
					assert.NotNil(t, e.Limit)
					assert.NotNil(t, e.Used)
				})
			}
			wg.Wait()
			assert.Equal(t, 7, kept)
			u, err := w.svc.Usage(ctx, a)
			require.NoError(t, err)
			assert.Equal(t, domain.Usage{Images: 7, Bytes: 7 * size}, u)
		})
	}
	assert.Equal(t, 14, w.keys(), "what was refused left no blob")
}

// The same key 20 times in parallel: one image, 20 same answers; another user's key is another key.
func promiseR8(t *testing.T) {
	w := newWorld(t)
	other := w.node()
	anna, bob := w.user("anna", domain.BasicTier), w.user("bob", domain.BasicTier)
	var wg sync.WaitGroup
	ids := make([]domain.ID, 20)
	for i := range ids {
		wg.Go(func() {
			svc := []*app.Service{w.svc, other}[i%2]
			img, err := patiently(svc, anna, func() app.UploadInput {
				return app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "k"}
			})
			if assert.NoError(t, err) {
				ids[i] = img.ID
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		assert.Equal(t, ids[0], id)
	}
	theirs, err := w.svc.Upload(ctx, bob, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "k"})
	require.NoError(t, err)
	assert.NotEqual(t, ids[0], theirs.ID)
	assert.Equal(t, 2, w.keys())

	_, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(drawing()), Size: -1, IdempotencyKey: "k"})
	assert.ErrorIs(t, err, domain.IdempotencyMismatch)
	require.NoError(t, w.svc.DeleteImage(ctx, anna, ids[0]))
	_, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "k"})
	assert.ErrorIs(t, err, domain.Gone)
	w.clock.advance(ports.KeyRetention + time.Minute)
	again, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(drawing()), Size: -1, IdempotencyKey: "k"})
	require.NoError(t, err, "after a day the key is new")
	assert.NotEqual(t, ids[0], again.ID)
	// A refused upload frees its key.
	_, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()[:900]), Size: -1, IdempotencyKey: "r"})
	assert.ErrorIs(t, err, domain.CorruptImage)
	_, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "r"})
	assert.NoError(t, err)
}

// stuck blocks in Put until it is let go: an upload that is under way.
type stuck struct {
	ports.Blobs
	entered, leave chan struct{}
}

func (s *stuck) Put(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
	if key != ports.InstallationKey {
		s.entered <- struct{}{}
		<-s.leave
	}
	return s.Blobs.Put(ctx, key, r, o)
}

func TestSweepLeavesLiveUploadsAlone(t *testing.T) {
	s := &stuck{entered: make(chan struct{}), leave: make(chan struct{})}
	w := newWorld(t, func(c *app.Config) { s.Blobs, c.Blobs = c.Blobs, s })
	anna := w.user("anna", domain.EnterpriseTier)
	done := make(chan error, 1)
	var img domain.Image
	go func() {
		var err error
		img, err = w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
		done <- err
	}()
	<-s.entered
	r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Zero(t, r.Images)
	close(s.leave)
	require.NoError(t, <-done)
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Zero(t, r.Blobs+r.Images)
	got, err := read(w.svc.Open(ctx, anna, img.ID, domain.Original))
	require.NoError(t, err)
	assert.Equal(t, photo(), got)
}

// Who sweeps by a machine whose clock is fast, and follows no feed, judges leases by the database's.
func TestSweepByTheDatabasesClock(t *testing.T) {
	s := &stuck{entered: make(chan struct{}), leave: make(chan struct{})}
	w := newWorld(t, func(c *app.Config) { s.Blobs, c.Blobs = c.Blobs, s })
	anna := w.user("anna", domain.EnterpriseTier)
	done := make(chan error, 1)
	go func() {
		_, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
		done <- err
	}()
	<-s.entered
	w.cfg.Now = func() time.Time { return w.clock.now().Add(2 * time.Minute) }
	fast, err := app.New(w.cfg)
	require.NoError(t, err)
	defer fast.Close()
	r, err := fast.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Zero(t, r.Images)
	close(s.leave)
	require.NoError(t, <-done)
	assert.Equal(t, 1, w.keys())
}

// silentDelete is a store that does not answer to who deletes.
type silentDelete struct{ failing }

func (silentDelete) Delete(ctx context.Context, _ ...string) error {
	<-ctx.Done()
	return ctx.Err()
}

// A store that is silent keeps a refused upload waiting for a second, not for long: the sweep removes what is left.
func TestRefusalDoesNotWaitForTheStore(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	w := newWorld(t, func(c *app.Config) { c.Blobs = silentDelete{failing{c.Blobs}} })
	began := time.Now()
	_, err := w.svc.Upload(ctx, w.user("anna"), app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
	assert.ErrorIs(t, err, domain.Unavailable)
	assert.Less(t, time.Since(began), 5*time.Second)
	due, err := w.cfg.Records.Images.DueDeletions(ctx, w.clock.now().Add(time.Hour), domain.ID{}, 10)
	require.NoError(t, err)
	assert.Len(t, due, 1)
}

// An upload that was only slow must not commit an image whose bytes the sweep took.
func TestSweepBeatsALapsedUpload(t *testing.T) {
	s := &stuck{entered: make(chan struct{}), leave: make(chan struct{})}
	w := newWorld(t, func(c *app.Config) { s.Blobs, c.Blobs = c.Blobs, s })
	anna := w.user("anna", domain.EnterpriseTier)
	done := make(chan error, 1)
	go func() {
		_, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
		done <- err
	}()
	<-s.entered
	w.clock.advance(time.Minute) // as if the process had been paused
	r, err := w.node().Sweep(ctx, w.root, app.SweepOptions{DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Images)
	r, err = w.node().Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Images)
	close(s.leave)
	assert.ErrorIs(t, <-done, domain.Conflict)
	assert.Zero(t, w.keys())
}

// Nothing half-written is served: an original that is missing or short is a failure of the store, never an answer.
func promiseD3(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	infos, err := w.blobs.List(ctx, "images/", "", 10)
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.NoError(t, w.blobs.Put(ctx, infos[0].Key, bytes.NewReader(photo()[:100]), ports.PutOptions{Size: 100}))
	_, err = w.svc.Open(ctx, anna, img.ID, domain.Original)
	assert.ErrorIs(t, err, domain.Unavailable)
	_, err = w.svc.Open(ctx, anna, img.ID, thumbnail(200))
	assert.ErrorIs(t, err, domain.Unavailable)
	require.NoError(t, w.blobs.Delete(ctx, infos[0].Key))
	_, err = w.svc.Open(ctx, anna, img.ID, domain.Original)
	assert.ErrorIs(t, err, domain.Unavailable)
	assert.Zero(t, w.keys())
}

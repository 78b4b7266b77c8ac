package app_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// storedResizer counts the jobs, and can refuse them or do something when one is done.
type storedResizer struct {
	ports.RemoteResizer
	calls atomic.Int64
	fail  error
	done  func(job ports.RemoteJob)
}

func (s *storedResizer) ResizeRemote(ctx context.Context, job ports.RemoteJob) error {
	s.calls.Add(1)
	if s.fail != nil {
		return s.fail
	}
	if err := s.RemoteResizer.ResizeRemote(ctx, job); err != nil {
		return err
	}
	if s.done != nil {
		s.done(job)
	}
	return nil
}

// storedWorld is a world whose thumbnails are made elsewhere.
func storedWorld(t *testing.T) (*world, *storedResizer) {
	there := &storedResizer{}
	w := newWorld(t, func(c *app.Config) {
		there.RemoteResizer = memory.NewRemoteResizer(c.Blobs, c.Resizer)
		c.RemoteResizer = there
	})
	return w, there
}

func TestRemoteResizer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	w, there := storedWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	assert.Zero(t, there.calls.Load(), "an upload makes no thumbnail")

	// Many at once: one job, the same bytes for all.
	bodies := make([][]byte, 20)
	var all sync.WaitGroup
	for i := range bodies {
		all.Go(func() {
			b, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
			assert.NoError(t, err)
			bodies[i] = b
		})
	}
	all.Wait()
	assert.EqualValues(t, 1, there.calls.Load())
	for _, b := range bodies {
		assert.Equal(t, bodies[0], b)
	}
	assert.Equal(t, 2, w.keys())

	// The same bytes as without it, and under the same key.
	plain := newWorld(t)
	bob := plain.user("bob", domain.EnterpriseTier)
	here, err := read(plain.svc.Open(ctx, bob, plain.upload(bob).ID, thumbnail(200)))
	require.NoError(t, err)
	assert.Equal(t, here, bodies[0])

	_, err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
	require.NoError(t, err)
	assert.EqualValues(t, 1, there.calls.Load(), "warm")
	require.NoError(t, w.svc.DeleteImage(ctx, anna, img.ID))
	assert.Zero(t, w.keys())
}

func TestRemoteResizerErrors(t *testing.T) {
	t.Parallel()
	busy := domain.Errorf(domain.Unavailable, "too many thumbnails are being made, try again")
	busy.RetryAfter = 7 * time.Second
	for _, c := range []struct {
		name string
		fail error
		want domain.Code // empty: the thumbnail is made here
	}{
		{"busy", busy, domain.Unavailable},
		{"another pipeline", domain.Errorf(domain.Conflict, "this is nat2"), ""},
		{"no original though it has a record", domain.Errorf(domain.NotFound, "no such blob"), domain.Unavailable},
		{"unclassified", assert.AnError, domain.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, there := storedWorld(t)
			anna := w.user("anna", domain.EnterpriseTier)
			img := w.upload(anna)
			there.fail = c.fail
			_, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
			if c.want == "" {
				require.NoError(t, err)
				assert.Equal(t, 2, w.keys())
				return
			}
			require.Equal(t, c.want, domain.CodeOf(err), "%v", err)
			assert.Equal(t, 1, w.keys())
			if errors.Is(c.fail, busy) {
				assert.Equal(t, 7*time.Second, domain.AsError(err).RetryAfter)
			}
			there.fail = nil
			_, err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
			assert.NoError(t, err, "a failure is not remembered")
		})
	}
}

// The image is deleted while its thumbnail is being made: it does not come back.
func TestRemoteResizerDeletedMeanwhile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	w, there := storedWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	there.done = func(job ports.RemoteJob) {
		require.NoError(t, w.svc.DeleteImage(ctx, anna, img.ID))
		// As a function does that puts what it made after the deletion has listed the keys.
		require.NoError(t, w.blobs.Put(ctx, job.Thumbnails[0].Key, strings.NewReader("late"), ports.PutOptions{Size: 4}))
	}
	_, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
	require.ErrorIs(t, err, domain.NotFound)
	assert.Zero(t, w.keys())

	// One that says it put what is not there.
	img = w.upload(anna)
	there.done = func(job ports.RemoteJob) { require.NoError(t, w.blobs.Delete(ctx, job.Thumbnails[0].Key)) }
	_, err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
	require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
}

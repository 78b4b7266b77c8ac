package app_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/imagify-api/imagify/ports"
)

// slowPut is a store whose writes wait, or whose deletions fail, when told.
type slowPut struct {
	ports.Blobs
	on, broken     atomic.Bool
	entered, leave chan struct{}
}

func (s *slowPut) Put(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
	if s.on.Load() {
		s.entered <- struct{}{}
		<-s.leave
	}
	return s.Blobs.Put(ctx, key, r, o)
}

func (s *slowPut) Delete(ctx context.Context, keys ...string) error {
	if s.broken.Load() {
		return errors.New("unavailable")
	}
	return s.Blobs.Delete(ctx, keys...)
}

// countingResizer counts, and waits at its gate or for its context.
type countingResizer struct {
	ports.Resizer
	gate          chan struct{}
	running, made atomic.Int64
}

func (r *countingResizer) Resize(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
	r.running.Add(1)
	defer r.running.Add(-1)
	select {
	case <-r.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.made.Add(1)
	return r.Resizer.Resize(ctx, src, q)
}

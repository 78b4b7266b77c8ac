package app_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// heicResizer takes every picture for a HEIC, and notes the heights of each decode.
type heicResizer struct {
	ports.Resizer
	mu      sync.Mutex
	decodes [][]int
	during  func()
}

func (r *heicResizer) Inspect(ctx context.Context, src io.ReadSeeker, q ports.InspectRequest) (domain.ImageInfo, error) {
	info, err := r.Resizer.Inspect(ctx, src, q)
	info.Format = domain.HEIC
	return info, err
}

func (r *heicResizer) Resize(ctx context.Context, src io.ReadSeeker, q ports.ResizeRequest) ([]ports.Thumbnail, error) {
	r.mu.Lock()
	r.decodes = append(r.decodes, slices.Clone(q.Heights))
	during := r.during
	r.during = nil
	r.mu.Unlock()
	if during != nil {
		during()
	}
	return r.Resizer.Resize(ctx, src, q)
}

// TestFirstThumbnailOfASlowFormatMakesAll: what is slow to decode is decoded once for all heights of its owner.
func TestFirstThumbnailOfASlowFormatMakesAll(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var heic *heicResizer
			w := newWorld(t, func(c *app.Config) {
				heic = &heicResizer{Resizer: c.Resizer}
				c.Resizer = heic
				if elsewhere {
					c.RemoteResizer = memory.NewRemoteResizer(c.Blobs, heic)
				}
			})
			anna := w.user("anna", domain.EnterpriseTier) // 200 and 400
			img := w.upload(anna)
			require.Equal(t, domain.HEIC, img.Format)
			_, err := w.svc.Open(ctx, anna, img.ID, thumbnail(300))
			require.ErrorIs(t, err, domain.Denied)
			assert.Empty(t, heic.decodes, "what may not be had makes nothing")

			// Asked for another height meanwhile, the other waits.
			var together sync.WaitGroup
			var second []byte
			heic.during = func() {
				together.Go(func() {
					b, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(400)))
					assert.NoError(t, err)
					second = b
				})
			}
			first, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
			require.NoError(t, err)
			together.Wait()
			assert.Equal(t, [][]int{{200, 400}}, heic.decodes)
			assert.Equal(t, 3, w.keys(), "the original and two thumbnails")

			// Each as if it had been made alone.
			for h, got := range map[int][]byte{200: first, 400: second} {
				original, err := w.svc.Open(ctx, anna, img.ID, domain.Original)
				require.NoError(t, err)
				alone, err := heic.Resizer.Resize(ctx, original.Body, ports.ResizeRequest{Heights: []int{h}})
				require.NoError(t, err)
				require.NoError(t, original.Body.Close())
				assert.Equal(t, alone[0].Data, got, "%d", h)
			}

			// One that is missing is made alone: the others are there.
			w.change("anna", app.UserChange{Permissions: &[]string{"thumbnail:100"}})
			anna = w.actor("anna")
			_, err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(100)))
			require.NoError(t, err)
			assert.Equal(t, [][]int{{200, 400}, {100}}, heic.decodes)
			assert.Equal(t, 4, w.keys())

			// The next picture is made all of them at once.
			next := w.upload(anna)
			_, err = read(w.svc.Open(ctx, anna, next.ID, thumbnail(400)))
			require.NoError(t, err)
			assert.Equal(t, []int{400, 100, 200}, heic.decodes[2])
		})
	}
}

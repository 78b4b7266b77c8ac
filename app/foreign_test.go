package app_test

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// mixedUp is a store that answers with other blobs than it is asked for, panics, or
// takes its time, once it is told to.
type mixedUp struct {
	ports.Blobs
	mu sync.Mutex
	// instead gives the key to open in place of another.
	instead func(key string) string
	body    func(io.ReadSeekCloser) io.ReadSeekCloser
}

func (m *mixedUp) tell(instead func(key string) string, body func(io.ReadSeekCloser) io.ReadSeekCloser) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instead, m.body = instead, body
}

func (m *mixedUp) Open(ctx context.Context, key string) (ports.Blob, error) {
	m.mu.Lock()
	instead, body := m.instead, m.body
	m.mu.Unlock()
	if instead != nil {
		key = instead(key)
	}
	b, err := m.Blobs.Open(ctx, key)
	if err == nil && body != nil {
		b.Body = body(b.Body)
	}
	return b, err
}

// encoded is a picture of one colour, padded to a size behind its end.
func encoded(t *testing.T, seed uint8, size int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 320, 240))
	for i := range m.Pix {
		m.Pix[i] = seed
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, nil))
	require.LessOrEqual(t, b.Len(), size)
	return append(b.Bytes(), make([]byte, size-b.Len())...)
}

// TestPromiseX4/ForeignBytes: a store that answers with another object of the same size
// never gets a whole of it to anybody, nor into memory or a thumbnail (O46).
func TestPromiseX4(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	store := &mixedUp{}
	w := newWorld(t, func(c *app.Config) {
		store.Blobs = c.Blobs
		c.Blobs = store
	})
	anna, bert := w.user("anna", domain.EnterpriseTier), w.user("bert", domain.EnterpriseTier)
	upload := func(a domain.Actor, seed uint8) domain.Image {
		img, err := w.svc.Upload(t.Context(), a, app.UploadInput{Body: bytes.NewReader(encoded(t, seed, 40_000)), Size: 40_000, Filename: "a.jpg"})
		require.NoError(t, err)
		return img
	}
	hers, his := upload(anna, 10), upload(bert, 240)
	swap := func(key string) string {
		return strings.ReplaceAll(strings.ReplaceAll(key, hers.OwnerID.String(), his.OwnerID.String()), hers.ID.String(), his.ID.String())
	}
	right, err := read(w.svc.Open(t.Context(), anna, hers.ID, thumbnail(200)))
	require.NoError(t, err)
	foreign, err := read(w.svc.Open(t.Context(), bert, his.ID, thumbnail(200)))
	require.NoError(t, err)
	require.NotEqual(t, right, foreign)

	t.Run("ForeignBytes/original", func(t *testing.T) {
		store.tell(swap, nil)
		defer store.tell(nil, nil)
		c, err := w.svc.Open(t.Context(), anna, hers.ID, domain.Original)
		require.NoError(t, err)
		got, err := read(c, nil)
		require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
		require.Less(t, len(got), 40_000, "the last bytes are held back")
		c, err = w.svc.Open(t.Context(), anna, hers.ID, domain.Original)
		require.NoError(t, err)
		defer c.Body.Close()
		// 32 KiB come before the answer begins; the rest is compared as it goes out.
		require.NoError(t, c.Ready())
	})
	t.Run("ForeignBytes/thumbnail made of it", func(t *testing.T) {
		store.tell(swap, nil)
		defer store.tell(nil, nil)
		before := w.keys()
		_, err := read(w.svc.Open(t.Context(), anna, hers.ID, thumbnail(400)))
		require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
		require.Equal(t, before, w.keys(), "a thumbnail of another's picture is kept")
		store.tell(nil, nil)
		got, err := read(w.svc.Open(t.Context(), anna, hers.ID, thumbnail(400)))
		require.NoError(t, err)
		require.NotEmpty(t, got)
	})
	t.Run("ForeignBytes/stored thumbnail", func(t *testing.T) {
		other := w.node() // which has nothing in memory
		store.tell(func(key string) string {
			if strings.Contains(key, "/thumbnails/") {
				return swap(key)
			}
			return key
		}, nil)
		defer store.tell(nil, nil)
		for range 2 {
			got, err := read(other.Open(t.Context(), anna, hers.ID, thumbnail(200)))
			if err == nil {
				require.Equal(t, right, got, "another's thumbnail")
			} else {
				require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
			}
		}
		store.tell(nil, nil)
		got, err := read(other.Open(t.Context(), anna, hers.ID, thumbnail(200)))
		require.NoError(t, err)
		require.Equal(t, right, got, "another's thumbnail stays in memory")
	})
	t.Run("ForeignBytes/damaged thumbnail is made again", func(t *testing.T) {
		list, err := w.blobs.List(t.Context(), "images/"+hers.OwnerID.String(), "", 100)
		require.NoError(t, err)
		n := 0
		for _, b := range list {
			if strings.Contains(b.Key, "/thumbnails/") {
				n++
				require.NoError(t, w.blobs.Put(t.Context(), b.Key, bytes.NewReader(make([]byte, b.Size)), ports.PutOptions{Size: b.Size}))
			}
		}
		require.Positive(t, n)
		got, err := read(w.node().Open(t.Context(), anna, hers.ID, thumbnail(200)))
		require.NoError(t, err)
		require.Equal(t, right, got)
		got, err = read(w.node().Open(t.Context(), anna, hers.ID, thumbnail(200)))
		require.NoError(t, err)
		require.Equal(t, right, got, "it was kept")
	})
	t.Run("Panic", func(t *testing.T) {
		store.tell(nil, func(b io.ReadSeekCloser) io.ReadSeekCloser { return panics{b} })
		defer store.tell(nil, nil)
		c, err := w.svc.Open(t.Context(), anna, hers.ID, domain.Original)
		require.NoError(t, err)
		require.Equal(t, domain.Unavailable, domain.CodeOf(c.Ready()))
		_, err = read(c, nil)
		require.Equal(t, domain.Unavailable, domain.CodeOf(err))
	})
}

type panics struct{ io.ReadSeekCloser }

func (panics) Read([]byte) (int, error) { panic("an answer that nobody expected") }

// TestPromiseX5/SlowStore: a store that takes its time over a body does not stretch the
// decision: after a downgrade it is cut with the next piece (O44).
func TestPromiseX5(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	store := &mixedUp{}
	w := newWorld(t, func(c *app.Config) {
		store.Blobs = c.Blobs
		c.Blobs = store
	})
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	t.Run("SlowStore", func(t *testing.T) {
		store.tell(nil, func(b io.ReadSeekCloser) io.ReadSeekCloser { return &slowBody{ReadSeekCloser: b} })
		c, err := w.svc.Open(t.Context(), anna, img.ID, domain.Original)
		require.NoError(t, err)
		defer c.Body.Close()
		first := make([]byte, 10)
		_, err = io.ReadFull(c.Body, first)
		require.NoError(t, err)
		w.setTiers("anna", domain.BasicTier)
		rest, err := io.ReadAll(c.Body)
		require.Equal(t, domain.Denied, domain.CodeOf(err), "%v", err)
		require.Empty(t, rest)
	})
}

// slowBody takes its time over each piece but the first.
type slowBody struct {
	io.ReadSeekCloser
	begun bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.begun {
		time.Sleep(1100 * time.Millisecond)
	}
	b.begun = true
	return b.ReadSeekCloser.Read(p[:min(len(p), 1000)])
}

package memory

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Blobs is the ports.Blobs. The content type is not kept.
type Blobs struct {
	now func() time.Time

	mu    sync.RWMutex
	blobs map[string]blob
	keys  []string // ascending
}

// blob's bytes are never changed once it is stored.
type blob struct {
	data    []byte
	modTime time.Time
}

var _ ports.Blobs = (*Blobs)(nil)

// NewBlobs returns an empty store.
func NewBlobs(o Options) *Blobs { return &Blobs{now: o.clock(), blobs: map[string]blob{}} }

func checkKey(key string) error {
	if !ports.ValidKey(key) {
		return domain.Errorf(domain.Invalid, "not a blob's key: %.80q", key)
	}
	return nil
}

func keyTaken() error { return domain.Errorf(domain.Conflict, "the blob exists already") }

// Put implements ports.Blobs.
func (b *Blobs) Put(ctx context.Context, key string, r io.Reader, o ports.PutOptions) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if o.IfAbsent && b.has(key) {
		return keyTaken()
	}
	if o.Size >= 0 {
		r = io.LimitReader(r, o.Size+1) // one more shows that there is more
	}
	data, err := io.ReadAll(reader{ctx, r})
	if err != nil {
		return err
	}
	if err := ended(ctx); err != nil {
		return err
	}
	if o.Size >= 0 && int64(len(data)) != o.Size {
		return domain.Errorf(domain.Invalid, "the blob has another size than the %d bytes announced", o.Size)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at, found := slices.BinarySearch(b.keys, key)
	if found && o.IfAbsent {
		return keyTaken()
	}
	if !found {
		b.keys = slices.Insert(b.keys, at, key)
	}
	b.blobs[key] = blob{data: data, modTime: stored(b.now())}
	return nil
}

func (b *Blobs) has(key string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.blobs[key]
	return ok
}

// reader reads until its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := ended(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Open implements ports.Blobs.
func (b *Blobs) Open(ctx context.Context, key string) (ports.Blob, error) {
	if err := ended(ctx); err != nil {
		return ports.Blob{}, err
	}
	if err := checkKey(key); err != nil {
		return ports.Blob{}, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	found, ok := b.blobs[key]
	if !ok {
		return ports.Blob{}, domain.Errorf(domain.NotFound, "no such blob")
	}
	return ports.Blob{Body: body{bytes.NewReader(found.data)}, Size: int64(len(found.data)), ModTime: found.modTime}, nil
}

// body is an open blob, which holds nothing that needs closing.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// Delete implements ports.Blobs.
func (b *Blobs) Delete(ctx context.Context, keys ...string) error {
	if err := ended(ctx); err != nil {
		return err
	}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		delete(b.blobs, key)
		if at, found := slices.BinarySearch(b.keys, key); found {
			b.keys = slices.Delete(b.keys, at, at+1)
		}
	}
	return nil
}

// List implements ports.Blobs.
func (b *Blobs) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	if limit < 1 {
		return nil, domain.InvalidField("limit", "range", "at least 1")
	}
	if err := ended(ctx); err != nil {
		return nil, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	at, _ := slices.BinarySearch(b.keys, max(prefix, after))
	var list []ports.BlobInfo
	for _, key := range b.keys[at:] {
		if len(list) >= limit || !strings.HasPrefix(key, prefix) {
			break
		}
		if key > after {
			found := b.blobs[key]
			list = append(list, ports.BlobInfo{Key: key, Size: int64(len(found.data)), ModTime: found.modTime})
		}
	}
	return list, nil
}

// Copy implements ports.Blobs.
func (b *Blobs) Copy(ctx context.Context, from, to string) error {
	return b.copy(ctx, from, to, false)
}

// Move implements ports.Blobs.
func (b *Blobs) Move(ctx context.Context, from, to string) error {
	return b.copy(ctx, from, to, from != to)
}

func (b *Blobs) copy(ctx context.Context, from, to string, remove bool) error {
	if err := ended(ctx); err != nil {
		return err
	}
	for _, key := range []string{from, to} {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.blobs[from]
	if !ok {
		return domain.Errorf(domain.NotFound, "no such blob")
	}
	found.modTime = stored(b.now())
	if at, there := slices.BinarySearch(b.keys, to); !there {
		b.keys = slices.Insert(b.keys, at, to)
	}
	b.blobs[to] = found
	if at, there := slices.BinarySearch(b.keys, from); there && remove {
		b.keys = slices.Delete(b.keys, at, at+1)
		delete(b.blobs, from)
	}
	return nil
}

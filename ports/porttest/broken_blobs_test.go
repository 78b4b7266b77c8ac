package porttest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// blobsFault replaces some of Blobs.
type blobsFault struct {
	ports.Blobs
	put    func(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error
	open   func(ctx context.Context, key string) (ports.Blob, error)
	remove func(ctx context.Context, keys ...string) error
	list   func(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error)
	move   func(ctx context.Context, from, to string) error
	again  func(ctx context.Context, from, to string) error // Copy
}

func (f blobsFault) Move(ctx context.Context, from, to string) error {
	if f.move != nil {
		return f.move(ctx, from, to)
	}
	return f.Blobs.Move(ctx, from, to)
}

func (f blobsFault) Copy(ctx context.Context, from, to string) error {
	if f.again != nil {
		return f.again(ctx, from, to)
	}
	return f.Blobs.Copy(ctx, from, to)
}

func (f blobsFault) Put(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
	if f.put != nil {
		return f.put(ctx, key, r, o)
	}
	return f.Blobs.Put(ctx, key, r, o)
}

func (f blobsFault) Open(ctx context.Context, key string) (ports.Blob, error) {
	if f.open != nil {
		return f.open(ctx, key)
	}
	return f.Blobs.Open(ctx, key)
}

func (f blobsFault) Delete(ctx context.Context, keys ...string) error {
	if f.remove != nil {
		return f.remove(ctx, keys...)
	}
	return f.Blobs.Delete(ctx, keys...)
}

func (f blobsFault) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	if f.list != nil {
		return f.list(ctx, prefix, after, limit)
	}
	return f.Blobs.List(ctx, prefix, after, limit)
}

func blobs(fault, finds string, breakIt func(b *memory.Blobs) ports.Blobs) broken {
	return broken{fault, finds, func(t *testing.T) {
		porttest.Blobs(t, func(*testing.T) ports.Blobs { return breakIt(memory.NewBlobs(memory.Options{})) })
	}}
}

func puts(fault, finds string, put func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error) broken {
	return blobs(fault, finds, func(b *memory.Blobs) ports.Blobs {
		return blobsFault{Blobs: b, put: func(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			return put(b, ctx, key, r, o)
		}}
	})
}

func lists(fault, finds string, list func(b *memory.Blobs, ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error)) broken {
	return blobs(fault, finds, func(b *memory.Blobs) ports.Blobs {
		return blobsFault{Blobs: b, list: func(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			return list(b, ctx, prefix, after, limit)
		}}
	})
}

// lazyBody reads whatever is under the key now.
type lazyBody struct {
	b   *memory.Blobs
	key string
	at  int64
}

func (l *lazyBody) Read(p []byte) (int, error) {
	blob, err := l.b.Open(context.Background(), l.key)
	if err != nil {
		return 0, io.EOF
	}
	_, _ = blob.Body.Seek(l.at, io.SeekStart)
	n, err := blob.Body.Read(p)
	l.at += int64(n)
	return n, err
}

func (l *lazyBody) Seek(offset int64, _ int) (int64, error) { l.at = offset; return offset, nil }
func (l *lazyBody) Close() error                            { return nil }

// greedySweeper takes every blob for a leftover.
type greedySweeper struct{ *memory.Blobs }

func (g greedySweeper) SweepPartial(ctx context.Context, _ time.Time, dryRun bool) (int, error) {
	all, err := g.List(ctx, "", "", 1000)
	for _, i := range all {
		if !dryRun {
			_ = g.Delete(ctx, i.Key)
		}
	}
	return len(all), err
}

func brokenBlobs() []broken {
	return []broken{
		blobs(control, "Blobs/ReaderFails", func(b *memory.Blobs) ports.Blobs { return b }),
		blobs(control, "Blobs/List", func(b *memory.Blobs) ports.Blobs { return b }),
		puts("keeps what came before the reader failed", "Blobs/ReaderFails", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			data, err := io.ReadAll(r)
			return errors.Join(err, b.Put(ctx, key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data)), IfAbsent: o.IfAbsent}))
		}),
		puts("takes a failing reader for its end", "Blobs/ReaderFails", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			data, _ := io.ReadAll(r)
			o.Size = int64(len(data))
			return b.Put(ctx, key, bytes.NewReader(data), o)
		}),
		puts("removes the old before the new is there", "Blobs/ReaderFails", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			if !o.IfAbsent && ports.ValidKey(key) {
				_ = b.Delete(ctx, key)
			}
			return b.Put(ctx, key, r, o)
		}),
		puts("replaces what should be absent", "Blobs/IfAbsent", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			o.IfAbsent = false
			return b.Put(ctx, key, r, o)
		}),
		puts("looks first and writes later", "Blobs/IfAbsentRacers", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			if o.IfAbsent {
				if _, err := b.Open(ctx, key); err == nil {
					return domain.Conflict
				}
				pause()
				o.IfAbsent = false
			}
			return b.Put(ctx, key, r, o)
		}),
		puts("keeps the old where the new is as long", "Blobs/Replace", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			data, err := io.ReadAll(r)
			if old, oerr := b.Open(ctx, key); err == nil && oerr == nil && old.Size == int64(len(data)) {
				return nil
			}
			return errors.Join(err, b.Put(ctx, key, bytes.NewReader(data), o))
		}),
		puts("does not write what is there already", "Blobs/ModTime", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			data, err := io.ReadAll(r)
			if old, oerr := b.Open(ctx, key); err == nil && oerr == nil && old.Size == int64(len(data)) {
				if was, rerr := io.ReadAll(old.Body); rerr == nil && bytes.Equal(was, data) {
					return nil
				}
			}
			return errors.Join(err, b.Put(ctx, key, bytes.NewReader(data), o))
		}),
		blobs("the time is that of the first Put", "Blobs/ModTime", func(b *memory.Blobs) ports.Blobs {
			var first sync.Map
			return blobsFault{Blobs: b, open: func(ctx context.Context, key string) (ports.Blob, error) {
				blob, err := b.Open(ctx, key)
				if at, known := first.LoadOrStore(key, blob.ModTime); known && err == nil {
					blob.ModTime = at.(time.Time)
				}
				return blob, err
			}}
		}),
		puts("does not look at the size", "Blobs/SizeDiffers", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			end, _ := r.Seek(0, io.SeekEnd)
			o.Size = end
			return b.Put(ctx, key, r, o)
		}),
		puts("stops at the size", "Blobs/SizeDiffers", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			if end, _ := r.Seek(0, io.SeekEnd); end > o.Size && o.Size >= 0 {
				_, _ = r.Seek(0, io.SeekStart)
				data, _ := io.ReadAll(io.LimitReader(r, o.Size))
				r = bytes.NewReader(data)
			}
			return b.Put(ctx, key, r, o)
		}),
		puts("does not look at the context", "Blobs/ContextEndsMidway", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			return b.Put(context.WithoutCancel(ctx), key, r, o)
		}),
		puts("is to be seen before it is whole", "Blobs/UnderWay", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			if _, err := b.Open(ctx, key); err != nil {
				_ = b.Put(ctx, key, strings.NewReader(""), ports.PutOptions{})
			}
			return b.Put(ctx, key, r, o)
		}),
		puts("is a file or a folder", "Blobs/Keys", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			for dir := path.Dir(key); dir != "." && dir != "/"; dir = path.Dir(dir) {
				if _, err := b.Open(ctx, dir); err == nil {
					return errors.New("not a directory")
				}
			}
			return b.Put(ctx, key, r, o)
		}),
		puts("has no room for long names", "Blobs/Keys", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			for e := range strings.SplitSeq(key, "/") {
				if len(e) > 255 {
					return errors.New("file name too long")
				}
			}
			return b.Put(ctx, key, r, o)
		}),
		puts("cleans keys", "Blobs/InvalidKeys", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			return b.Put(ctx, strings.TrimPrefix(path.Clean("/"+key), "/"), r, o)
		}),
		puts("cuts what is large", "Blobs/RoundTrip", func(b *memory.Blobs, ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
			data, err := io.ReadAll(io.LimitReader(r, 4<<20))
			if err != nil {
				return err
			}
			return b.Put(ctx, key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))})
		}),
		blobs("reads on in what replaced it", "Blobs/OpenOutlivesDelete", func(b *memory.Blobs) ports.Blobs {
			return blobsFault{Blobs: b, open: func(ctx context.Context, key string) (ports.Blob, error) {
				blob, err := b.Open(ctx, key)
				blob.Body = &lazyBody{b: b, key: key}
				return blob, err
			}}
		}),
		blobs("one place for all who read", "Blobs/Seek", func(b *memory.Blobs) ports.Blobs {
			var mu sync.Mutex
			shared := map[string]ports.Blob{}
			return blobsFault{Blobs: b, open: func(ctx context.Context, key string) (ports.Blob, error) {
				mu.Lock()
				defer mu.Unlock()
				if blob, ok := shared[key]; ok {
					return blob, nil
				}
				blob, err := b.Open(ctx, key)
				if err == nil {
					shared[key] = blob
				}
				return blob, err
			}}
		}),
		blobs("an ended context is not found", "Blobs/EndedContext", func(b *memory.Blobs) ports.Blobs {
			return blobsFault{Blobs: b, open: func(ctx context.Context, key string) (ports.Blob, error) {
				blob, err := b.Open(ctx, key)
				if err != nil {
					err = domain.NotFound
				}
				return blob, err
			}}
		}),
		blobs("a missing blob cannot be deleted", "Blobs/Delete", func(b *memory.Blobs) ports.Blobs {
			return blobsFault{Blobs: b, remove: func(ctx context.Context, keys ...string) error {
				for _, k := range keys {
					if _, err := b.Open(ctx, k); err != nil {
						return err
					}
				}
				return b.Delete(ctx, keys...)
			}}
		}),
		blobs("deletes a thousand and no more", "Blobs/Delete", func(b *memory.Blobs) ports.Blobs {
			return blobsFault{Blobs: b, remove: func(ctx context.Context, keys ...string) error {
				return b.Delete(ctx, keys[:min(len(keys), 1000)]...)
			}}
		}),
		blobs("deletes what is below", "Blobs/Delete", func(b *memory.Blobs) ports.Blobs {
			return blobsFault{Blobs: b, remove: func(ctx context.Context, keys ...string) error {
				for _, k := range keys {
					below, _ := b.List(ctx, k+"/", "", 1000)
					for _, i := range below {
						_ = b.Delete(ctx, i.Key)
					}
				}
				return b.Delete(ctx, keys...)
			}}
		}),
		lists("in the order of folders", "Blobs/List", func(b *memory.Blobs, ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			list, err := b.List(ctx, prefix, after, 1000)
			slices.SortFunc(list, func(x, y ports.BlobInfo) int {
				return slices.Compare(strings.Split(x.Key, "/"), strings.Split(y.Key, "/"))
			})
			return list[:min(len(list), limit)], err
		}),
		lists("begins with the last one again", "Blobs/List", func(b *memory.Blobs, ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			if after != "" {
				after = after[:len(after)-1] + string(after[len(after)-1]-1) + "zzz"
			}
			return b.List(ctx, prefix, after, limit)
		}),
		lists("whole folders only", "Blobs/List", func(b *memory.Blobs, ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			if prefix != "" && !strings.HasSuffix(prefix, "/") {
				prefix += "/"
			}
			return b.List(ctx, prefix, after, limit)
		}),
		lists("a page is one too short", "Blobs/List", func(b *memory.Blobs, ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			return b.List(ctx, prefix, after, max(limit-1, 1))
		}),
		lists("takes no limit for none", "Blobs/List", func(b *memory.Blobs, ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			if limit < 1 {
				limit = 1000
			}
			return b.List(ctx, prefix, after, limit)
		}),
		lists("local times", "Blobs/RoundTrip", func(b *memory.Blobs, ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			list, err := b.List(ctx, prefix, after, limit)
			for i := range list {
				list[i].ModTime = list[i].ModTime.In(kolkata)
			}
			return list, err
		}),
		blobs("sweeps away what is whole", "Blobs/Sweeper", func(b *memory.Blobs) ports.Blobs { return greedySweeper{b} }),
	}
}

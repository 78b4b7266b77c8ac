package ports

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Blobs stores bytes by key. A key is 1 to 512 of the characters
// a-z 0-9 . _ - /, with no empty, "." or ".." element between slashes; any other key is
// domain.Invalid.
type Blobs interface {
	// Put stores all of body, from its beginning, under the key; it may read it more
	// than once. The blob appears whole, once and durable, or not at all: a reader
	// error, a cancelled context, a lost process or a size that differs from Size leaves
	// what was there before. With IfAbsent, a key that exists is domain.Conflict and
	// stays as it is; of racers one wins. Where body is a Movable the store may take its
	// file over in place of copying it. Put may be repeated: after domain.Unavailable or an
	// unclassified error the blob may have been stored, after any other code it has not.
	Put(ctx context.Context, key string, body io.ReadSeeker, o PutOptions) error
	// Open opens a blob for reading, or domain.NotFound. It stays readable, whole
	// and unchanged, though it be deleted or replaced meanwhile; or reading it fails.
	Open(ctx context.Context, key string) (Blob, error)
	// Delete removes blobs; a missing one is no error. After domain.Unavailable or an
	// unclassified error some may be gone, after any other code none is. It may be repeated.
	Delete(ctx context.Context, keys ...string) error
	// List returns blobs whose keys begin with the prefix and are greater than
	// after, by key in byte order, at most limit, which is at least 1 (else
	// domain.Invalid). A page of fewer than limit is the last: the end is told by
	// nothing else. A blob under way is not in it.
	List(ctx context.Context, prefix, after string, limit int) ([]BlobInfo, error)
	// Move gives a blob another key. The blob's ModTime is then the time of the move,
	// and a blob that had the key to before is replaced. domain.NotFound if there is
	// no blob from: then nothing has changed. The bytes are whole and durable under to
	// before they go from from: after any other error, or a lost process, they are
	// under either or both, and moving again finishes it. Moves of one blob there and
	// back at the same time may lose it: where others move it there, copy it back.
	Move(ctx context.Context, from, to string) error
	// Copy gives a blob a second key, whole and durable, or domain.NotFound. Where the
	// key to has a blob, that is replaced or stays: copy only over the same bytes.
	Copy(ctx context.Context, from, to string) error
}

// PutOptions is how to store a blob.
type PutOptions struct {
	// Size is the number of bytes that the body has; a negative one is domain.Invalid.
	Size int64
	// SHA256 is the digest of the bytes, for a store that compares it with what it
	// keeps; zero: the caller does not know it.
	SHA256 [32]byte
	// IfAbsent refuses to replace.
	IfAbsent bool
	// ContentType is kept where the store can.
	ContentType string
}

// Movable is an optional ability of the body of a Put: it is a file that its owner
// needs no more once it is stored. A store on the same file system may rename it into
// place; the owner reads on by what it has open, and its removal of the path finds nothing.
type Movable interface {
	// Path is the file's absolute path. Nobody else writes to it.
	Path() string
	// Synced reports that its bytes are durable already, so that the store need not sync them.
	Synced() bool
}

// Blob is an open blob. Body must be closed; it may be an *os.File, which the
// kernel sends by itself.
type Blob struct {
	Body io.ReadSeekCloser
	Size int64
	// ModTime is when it was put: a Put that replaces a blob renews it.
	ModTime time.Time
}

// BlobInfo is one line of a listing.
type BlobInfo struct {
	Key     string
	Size    int64
	ModTime time.Time
}

// MaxKey bounds a blob's key, in bytes.
const MaxKey = 512

// ValidKey reports whether a key obeys the rule of Blobs.
func ValidKey(key string) bool {
	if key == "" || len(key) > MaxKey {
		return false
	}
	start := 0
	for i := 0; i <= len(key); i++ {
		if i == len(key) || key[i] == '/' {
			if e := key[start:i]; e == "" || e == "." || e == ".." {
				return false
			}
			start = i + 1
			continue
		}
		c := key[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// BlobSweeper is an optional ability of a Blobs: to remove what interrupted
// Puts left behind outside of the listing (temporary files, unfinished multipart
// uploads).
type BlobSweeper interface {
	// SweepPartial removes leftovers older than the given time and reports how
	// many; with dryRun it only counts them.
	SweepPartial(ctx context.Context, before time.Time, dryRun bool) (int, error)
}

// BlobWalker is an optional ability of a Blobs: to list everything in one go, at a
// cost that grows with what is there, where asking List for page after page would
// begin afresh for each.
type BlobWalker interface {
	// Walk gives the blobs that List would, in the same order, and ends with an error
	// if there is one. Blobs that come and go meanwhile may be given or not; every
	// other one is. What is in the store under a name that no key has is passed
	// over, and its name is given to foreign, if that is not nil.
	Walk(ctx context.Context, prefix, after string, foreign func(name string)) iter.Seq2[BlobInfo, error]
}

// WalkBlobs gives all blobs whose keys begin with the prefix and are greater than
// after, by key in byte order, however the store does it. A listing that repeats a
// key or goes backwards ends the walk with domain.Unavailable, so that it always
// comes to an end.
func WalkBlobs(ctx context.Context, b Blobs, prefix, after string, foreign func(name string)) iter.Seq2[BlobInfo, error] {
	walk := listAll(ctx, b, prefix)
	if w, ok := b.(BlobWalker); ok {
		walk = func(after string) iter.Seq2[BlobInfo, error] { return w.Walk(ctx, prefix, after, foreign) }
	}
	return func(yield func(BlobInfo, error) bool) {
		last := after
		for info, err := range walk(after) {
			if err == nil && info.Key <= last {
				err = domain.Wrap(domain.Unavailable, fmt.Errorf("the key %q follows %q", info.Key, last), "the store's listing repeats itself or is out of order")
			}
			if err != nil {
				yield(BlobInfo{}, err)
				return
			}
			last = info.Key
			if !yield(info, nil) {
				return
			}
		}
	}
}

// walkPage is how many blobs are listed at once.
const walkPage = 1000

func listAll(ctx context.Context, b Blobs, prefix string) func(after string) iter.Seq2[BlobInfo, error] {
	return func(after string) iter.Seq2[BlobInfo, error] {
		return func(yield func(BlobInfo, error) bool) {
			for {
				page, err := b.List(ctx, prefix, after, walkPage)
				if err != nil {
					yield(BlobInfo{}, err)
					return
				}
				for _, info := range page {
					if !yield(info, nil) {
						return
					}
				}
				if len(page) < walkPage {
					return
				}
				after = page[len(page)-1].Key
			}
		}
	}
}

package ports

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/imagify-api/imagify/domain"
)

// CheckedBody is a blob's body that is compared with the SHA-256 that its record says,
// because a store may answer with other bytes of the same length. What is read in one
// go from the beginning is compared before the last piece is given: a reader never
// gets a whole that is not the one that was wanted. After a Seek elsewhere nothing is
// compared until Finish.
type CheckedBody struct {
	body io.ReadSeekCloser
	size int64
	want [sha256.Size]byte

	at     int64
	sum    hash.Hash
	summed int64 // how many bytes from the beginning are in sum
}

// NewCheckedBody returns the body of a blob whose bytes have this SHA-256.
func NewCheckedBody(b Blob, want [sha256.Size]byte) *CheckedBody {
	return &CheckedBody{body: b.Body, size: b.Size, want: want, sum: sha256.New()}
}

// Read implements io.Reader. Bytes that are others are domain.Unavailable.
func (c *CheckedBody) Read(p []byte) (int, error) {
	if c.at == c.size {
		if c.size == 0 {
			return 0, errors.Join(io.EOF, c.compare())
		}
		return 0, io.EOF
	}
	n, err := c.body.Read(p[:min(int64(len(p)), c.size-c.at)])
	if c.at == c.summed && n > 0 {
		_, _ = c.sum.Write(p[:n]) // never fails
		c.summed += int64(n)
		if differs := c.compare(); differs != nil {
			return 0, differs
		}
	}
	c.at += int64(n)
	if errors.Is(err, io.EOF) && c.at < c.size {
		err = unlike(fmt.Errorf("they end after %d of %d: %w", c.at, c.size, io.ErrUnexpectedEOF))
	}
	return n, err
}

// compare returns an error once all bytes are in the sum and it is another.
func (c *CheckedBody) compare() error {
	if c.summed < c.size || bytes.Equal(c.sum.Sum(nil), c.want[:]) {
		return nil
	}
	return unlike(fmt.Errorf("their SHA-256 is %x where %x was wanted", c.sum.Sum(nil), c.want))
}

func unlike(err error) error {
	return domain.Wrap(domain.Unavailable, fmt.Errorf("the store gives other bytes than were put: %w", err), "the image's bytes are not available")
}

// Seek implements io.Seeker.
func (c *CheckedBody) Seek(offset int64, whence int) (int64, error) {
	at, err := c.body.Seek(offset, whence)
	if err == nil {
		c.at = at
	}
	return at, err
}

// Close closes the blob's body.
func (c *CheckedBody) Close() error { return c.body.Close() }

// Finish reads what was not yet compared, and returns nil when all bytes are those
// that were wanted: for a reader that stops early, or moves about.
func (c *CheckedBody) Finish() error {
	if c.summed < c.size {
		if _, err := c.Seek(c.summed, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, onlyReader{c}); err != nil {
			return err
		}
	}
	return c.compare()
}

type onlyReader struct{ io.Reader }

// A thumbnail is stored with a seal behind its bytes, which viewers pass over: which
// blob it is, and that it is whole. A store that answers with another's thumbnail, of
// whatever size, is found out before a byte of it is shown.
const (
	sealMagic = "imgfseal"
	// SealSize is how many bytes a seal has.
	SealSize = len(sealMagic) + sha256.Size
)

// Seal returns a thumbnail's bytes as they are stored under the key.
func Seal(key string, data []byte) []byte {
	out := make([]byte, 0, len(data)+SealSize)
	out = append(append(out, data...), sealMagic...)
	return append(out, sealSum(key, sha256.Sum256(data))...)
}

// sealSum binds the bytes' digest to the key, in which image, height and the
// resizer's version are.
func sealSum(key string, data [sha256.Size]byte) []byte {
	h := sha256.New()
	h.Write(data[:])
	h.Write([]byte(key))
	return h.Sum(nil)
}

// Unseal returns the thumbnail of what is stored under the key; false if it is none,
// another's, or damaged.
func Unseal(key string, stored []byte) (data []byte, ok bool) {
	if len(stored) < SealSize {
		return nil, false
	}
	data, seal := stored[:len(stored)-SealSize], stored[len(stored)-SealSize:]
	return data, string(seal[:len(sealMagic)]) == sealMagic && bytes.Equal(seal[len(sealMagic):], sealSum(key, sha256.Sum256(data)))
}

// UnsealBlob does the same for a blob that is too large to be held in memory: it is read
// once to compare it, and what is returned is the thumbnail from its beginning,
// compared again while it is read. The body stays the caller's to close; false and no
// error: it is none, another's, or damaged.
func UnsealBlob(key string, b Blob) (thumbnail Blob, ok bool, err error) {
	if b.Size < int64(SealSize) {
		return Blob{}, false, nil
	}
	size := b.Size - int64(SealSize)
	h := sha256.New()
	if _, err := io.CopyN(h, b.Body, size); err != nil {
		return Blob{}, false, err
	}
	seal := make([]byte, SealSize)
	if _, err := io.ReadFull(b.Body, seal); err != nil {
		return Blob{}, false, err
	}
	digest := [sha256.Size]byte(h.Sum(nil))
	if string(seal[:len(sealMagic)]) != sealMagic || !bytes.Equal(seal[len(sealMagic):], sealSum(key, digest)) {
		return Blob{}, false, nil
	}
	if _, err := b.Body.Seek(0, io.SeekStart); err != nil {
		return Blob{}, false, err
	}
	body := NewCheckedBody(Blob{Body: b.Body, Size: size}, digest)
	return Blob{Body: body, Size: size, ModTime: b.ModTime}, true, nil
}

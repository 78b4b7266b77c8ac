package work

import (
	"io"
)

// What a file may cost in all: its codec's work, and that of its costliest thumbnail.
// It grows with what the file is, so that a small one cannot cost what a large one
// does, and it has a bound that even the largest one is done within well before five
// seconds.
const (
	// Base are the units that every file has, whatever it is.
	Base = 50_000_000
	// PerByte are the units for each byte that was read of it. Bytes that encoders write
	// take some 10, their pixels not counted.
	PerByte = 40
	// PerPixel are the units for each pixel of the picture. A pixel of a progressive
	// photograph without chroma subsampling takes some 30, with its thumbnail.
	PerPixel = 60
	// Max bounds all of them.
	Max = 4_000_000_000
)

// ForFile returns the budget of a file of which nothing was read yet. It grows by
// what [Budget.Read] hands out and by [Budget.Pixels].
func ForFile() *Budget {
	b := New(Base)
	b.most = Max
	return b
}

// Pixels grants what a picture of so many pixels may cost. Its size must have been
// checked against the limits before.
func (b *Budget) Pixels(n int64) { b.grant(PerPixel, n) }

// grant raises the limit by units for each of n, up to b.most.
func (b *Budget) grant(units, n int64) {
	if b == nil || b.most == 0 || n <= 0 {
		return
	}
	more := b.most
	if n < b.most/units {
		more = n * units
	}
	for {
		old := b.limit.Load()
		if b.limit.CompareAndSwap(old, min(old+more, b.most)) {
			return
		}
	}
}

// FreeHeader is how many bytes of a header a decoder may hold without asking. A profile of so
// many takes some five times as many with its tables: 128 KiB in all.
const FreeHeader = 24 << 10

// OnHold sets what is asked, once, before a decoder comes to hold more than FreeHeader of a
// file's header: headers are read before a picture's memory is known and asked for.
func (b *Budget) OnHold(ask func() error) { b.ask = ask }

// Hold says that a decoder is about to hold so many bytes more of a header than it does. An
// error says that it must not.
func (b *Budget) Hold(bytes int64) error {
	if b == nil || b.ask == nil {
		return nil
	}
	if b.held += bytes; b.held <= FreeHeader {
		return nil
	}
	ask := b.ask
	b.ask = nil
	return ask()
}

// Reader returns a reader of src that grants what its bytes may cost. It fills each
// piece that it is asked for, so that it does not matter how src cuts its bytes: what
// was granted when a unit is spent depends on the file alone.
func (b *Budget) Reader(src io.ReadSeeker) io.ReadSeeker { return &reader{b: b, src: src, left: -1} }

type reader struct {
	b    *Budget
	src  io.ReadSeeker
	read int64
	left int64 // bytes for which may still be granted; -1: for all that are read
}

// Seek implements io.Seeker. What is read again is not granted for again.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	if r.left < 0 && (offset != 0 || whence != io.SeekCurrent) {
		at, err := r.src.Seek(0, io.SeekCurrent)
		if err != nil {
			return 0, err
		}
		size, err := r.src.Seek(0, io.SeekEnd)
		if err != nil {
			return 0, err
		}
		if _, err := r.src.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		r.left = max(0, size-r.read)
	}
	return r.src.Seek(offset, whence)
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := io.ReadFull(r.src, p)
	fresh := int64(n)
	if r.left >= 0 {
		fresh = min(fresh, r.left)
		r.left -= fresh
	}
	r.read += int64(n)
	r.b.grant(PerByte, fresh)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

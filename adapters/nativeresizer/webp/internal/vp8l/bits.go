package vp8l

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	// readSize is how much of the source is read at a time.
	readSize = 16 << 10
	// stepBytes bounds what one step of a decoder (a symbol with its extra bits) takes
	// from buf: three refills of seven bytes, and the eight that the last one loads.
	stepBytes = 32
	// maxEmptyReads is how often a reader may return neither data nor an error.
	maxEmptyReads = 100
)

// bitReader reads bits, the lowest of a byte first (RFC 9649, 3.3).
//
// At least n of the bits in acc count. Those above are zero or the bits that follow
// in buf[pos:], so that a refill may or them in once more:
//
//	acc |= load(buf, pos) << n
//	pos += (63 - n) >> 3
//	n |= 56
//
// There is room for the refills of one step while pos ≤ safe.
type bitReader struct {
	r        io.Reader
	acc      uint64
	n        uint
	pos, end int
	safe     int
	err      error // why there is nothing behind end; io.EOF behind the bitstream
	buf      [readSize + 2*stepBytes]byte
}

func (b *bitReader) load(pos int) uint64 { return binary.LittleEndian.Uint64(b.buf[pos:]) }

// fill makes sure that another step can be decoded. Behind the end there are zeros; the
// error tells that such have been used already, or why the source ended.
func (b *bitReader) fill() error {
	if b.err == nil {
		b.end = copy(b.buf[:], b.buf[b.pos:b.end])
		b.pos = 0
		empty := 0
		for b.err == nil && b.end < 2*stepBytes {
			var n int
			n, b.err = b.r.Read(b.buf[b.end:readSize])
			if n < 0 || n > readSize-b.end {
				b.err = io.ErrNoProgress // a broken reader; do not trust its count
				break
			}
			b.end += n
			if empty++; n > 0 {
				empty = 0
			} else if empty > maxEmptyReads && b.err == nil {
				b.err = io.ErrNoProgress
			}
		}
		if b.safe = b.end - stepBytes; b.err != nil {
			b.safe = b.end
			clear(b.buf[b.end : b.end+2*stepBytes])
		}
		if b.pos <= b.safe {
			return nil
		}
	}
	return b.overrun()
}

// overrun is the error of having used bits that are not there.
func (b *bitReader) overrun() error {
	if b.pos*8-int(b.n) <= b.end*8 {
		return nil
	}
	if errors.Is(b.err, io.EOF) {
		return ErrTruncated
	}
	return b.err
}

// refill makes at least 56 bits valid. It is for what is read rarely; the loop over
// pixels keeps acc, n and pos in registers.
func (b *bitReader) refill() error {
	if b.pos > b.safe {
		if err := b.fill(); err != nil {
			return err
		}
	}
	b.acc |= b.load(b.pos) << (b.n & 63)
	b.pos += int((63 - b.n) >> 3 & 7)
	b.n |= 56
	return nil
}

// drop takes k bits of those that are valid.
func (b *bitReader) drop(k uint) {
	b.acc >>= k & 63
	b.n -= k
}

// read returns the next k bits, k ≤ 32.
func (b *bitReader) read(k uint) (uint32, error) {
	if b.n < k {
		if err := b.refill(); err != nil {
			return 0, err
		}
	}
	v := uint32(b.acc & (1<<k - 1))
	b.drop(k)
	return v, nil
}

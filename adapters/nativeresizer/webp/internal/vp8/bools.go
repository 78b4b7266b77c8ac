package vp8

import (
	"encoding/binary"
	"math/bits"
)

// bools decodes the booleans of a partition (RFC 6386, 7).
//
// The bits to come are at the top of acc, less what has been decoded of them. At least n of
// them count; those below are zero, or the ones that follow in data[pos:], so that a refill
// may or them in once more. A boolean needs 8 bits that count, and takes up to 7: after a
// refill there are at least 56, enough for six.
type bools struct {
	data  []byte
	pos   int
	acc   uint64
	n     uint
	width uint32 // of the interval, 128 to 255: the standard's range
}

func newBools(data []byte) bools {
	return bools{data: data, width: 255}
}

// overrun reports whether bits behind the end have been used.
func (b *bools) overrun() bool { return b.pos*8-int(b.n) > len(b.data)*8 }

// load returns the eight bytes at a place of the partition, zeros behind its end.
func load(data []byte, pos int) uint64 {
	if uint(pos) <= uint(len(data)-8) && len(data) >= 8 {
		return binary.BigEndian.Uint64(data[pos:])
	}
	return loadEnd(data, pos)
}

func loadEnd(data []byte, pos int) uint64 {
	var last [8]byte
	copy(last[:], data[min(pos, len(data)):])
	return binary.BigEndian.Uint64(last[:])
}

// step decodes a boolean that is false with the probability p/256.
func step(acc uint64, width uint32, p uint8) (uint64, uint32, uint, bool) {
	split := 1 + (width-1)*uint32(p)>>8
	big := uint64(split) << 56
	set := acc >= big
	if set {
		acc -= big
		split = width - split
	}
	k := uint(bits.LeadingZeros8(uint8(split)))
	return acc << (k & 7), split << (k & 7), k, set
}

// refill makes at least 56 bits valid.
func (b *bools) refill() {
	b.acc |= load(b.data, b.pos) >> (b.n & 63)
	b.pos += int((63 - b.n) >> 3 & 7)
	b.n |= 56
}

// bit decodes a boolean that is false with the probability p/256: 0 or 1.
func (b *bools) bit(p uint8) int {
	if b.n < 16 {
		b.refill()
	}
	acc, width, k, set := step(b.acc, b.width, p)
	b.acc, b.width = acc, width
	b.n -= k
	if set {
		return 1
	}
	return 0
}

// flag decodes a boolean of even chances.
func (b *bools) flag() bool { return b.bit(128) != 0 }

// literal decodes a number of k bits, the highest first (RFC 6386, 8).
func (b *bools) literal(k int) int {
	v := 0
	for range k {
		v = v<<1 | b.bit(128)
	}
	return v
}

// signed decodes a number of k bits and its sign.
func (b *bools) signed(k int) int {
	v := b.literal(k)
	if b.flag() {
		return -v
	}
	return v
}

// optional decodes a flag and, if it is set, a signed number; else it is 0.
func (b *bools) optional(k int) int {
	if !b.flag() {
		return 0
	}
	return b.signed(k)
}

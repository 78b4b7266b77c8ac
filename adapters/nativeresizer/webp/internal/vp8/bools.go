package vp8

import (
	"encoding/binary"
	"math/bits"
)

// bools decodes the booleans of a partition (RFC 6386, 7).
type bools struct {
	data  []byte // not yet in value
	value uint64 // the next n bits, less what has been decoded
	n     uint   // at least 8 when a boolean is decoded
	width uint32 // of the interval, 128 to 255: the standard's range
	pad   uint   // of the n bits, how many are behind the end of the partition
}

func newBools(data []byte) bools {
	return bools{data: data, width: 255}
}

// overrun reports whether bits behind the end have been used.
func (b *bools) overrun() bool { return b.pad > b.n }

// fill adds bytes to value, zeros behind the end.
func (b *bools) fill() {
	if len(b.data) >= 4 {
		b.value = b.value<<32 | uint64(binary.BigEndian.Uint32(b.data))
		b.data = b.data[4:]
		b.n += 32
		return
	}
	b.value <<= 8
	b.n += 8
	if len(b.data) > 0 {
		b.value |= uint64(b.data[0])
		b.data = b.data[1:]
	} else {
		b.pad = min(b.pad+8, 1<<20)
	}
}

// bit decodes a boolean that is false with the probability p/256: 0 or 1.
func (b *bools) bit(p uint8) int {
	if b.n < 8 {
		b.fill()
	}
	split := 1 + (b.width-1)*uint32(p)>>8
	big := uint64(split) << (b.n - 8)
	v := 0
	if b.value >= big {
		b.value -= big
		split = b.width - split
		v = 1
	}
	shift := uint(bits.LeadingZeros8(uint8(split)))
	b.width = split << shift
	b.n -= shift
	return v
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

package hevc

import (
	"bytes"
	"math/bits"
)

// unescape appends the RBSP of a NAL unit's payload to dst: it drops the emulation
// prevention bytes (H.265, 7.3.1.1).
func unescape(dst, nal []byte) []byte {
	for {
		i := bytes.Index(nal, []byte{0, 0, 3})
		if i < 0 {
			return append(dst, nal...)
		}
		dst = append(dst, nal[:i+2]...)
		nal = nal[i+3:]
	}
}

// bitReader reads the syntax elements of parameter sets and slice headers (9.2).
// Beyond the end it reads zeros and remembers that it did.
type bitReader struct {
	data []byte
	pos  int // in bits
	over bool
}

func (r *bitReader) bit() uint32 {
	i := r.pos >> 3
	if i >= len(r.data) {
		r.over = true
		return 0
	}
	v := r.data[i] >> (7 - r.pos&7) & 1
	r.pos++
	return uint32(v)
}

func (r *bitReader) flag() bool { return r.bit() != 0 }

// u reads n bits, at most 32.
func (r *bitReader) u(n int) uint32 {
	var v uint32
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

func (r *bitReader) skip(n int) {
	if n > len(r.data)*8-r.pos {
		r.over = true
		r.pos = len(r.data) * 8
		return
	}
	r.pos += n
}

// ue reads an unsigned Exp-Golomb code (9.2). What does not fit in 32 bits ends the input.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for r.bit() == 0 {
		if zeros++; zeros > 32 || r.over {
			r.over = true
			return 0
		}
	}
	if zeros == 32 {
		r.over = true
		return 0
	}
	return 1<<zeros - 1 + r.u(zeros)
}

// se reads a signed Exp-Golomb code (9.2.2).
func (r *bitReader) se() int {
	v := int64(r.ue())
	if v&1 == 1 {
		return int((v + 1) / 2)
	}
	return int(-v / 2)
}

// upTo reads ue and reports whether it is at most limit.
func (r *bitReader) upTo(limit int) (int, bool) {
	v := r.ue()
	return int(v), int64(v) <= int64(limit) && !r.over
}

// ceilLog2 is the number of bits that tell n values apart.
func ceilLog2(n int) int {
	if n <= 1 {
		return 0
	}
	return bits.Len(uint(n - 1))
}

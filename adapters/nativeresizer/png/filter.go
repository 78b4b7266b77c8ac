package png

import "encoding/binary"

// rowPad is how far behind a row's end its buffer may be read and written.
const rowPad = 16

// unfilter reconstructs a row of n bytes (PNG 9.2). cur and prev begin with a pixel
// of bpp zeros, which stands for what is left of the row; raw begins with the row
// itself. All have rowPad bytes behind their end. It returns false if there is no
// such filter.
//
// The row is not reconstructed in place: where a pixel is stored with more bytes
// than it has, what is too much lands on bytes of cur that are written next.
func unfilter(filter byte, cur, raw, prev []byte, n, bpp int) bool {
	switch filter {
	case 0:
		copy(cur[bpp:bpp+n], raw[:n])
	case 1:
		unfilterSub(cur, raw, n, bpp)
	case 2:
		unfilterUp(cur[bpp:], raw, prev[bpp:], n)
	case 3:
		unfilterAverage(cur, raw, prev, n, bpp)
	case 4:
		unfilterPaeth(cur, raw, prev, n, bpp)
	default:
		return false
	}
	return true
}

// low7 and high1 take bytes apart, so that words are added without carries
// between their bytes.
const (
	low7  = 0x7f7f7f7f7f7f7f7f
	high1 = 0x8080808080808080
)

// unfilterUp adds the bytes above.
func unfilterUp(cur, raw, prev []byte, n int) {
	cur, raw, prev = cur[:n+7], raw[:n+7], prev[:n+7]
	for i := 0; i < n; i += 8 {
		a, b := binary.LittleEndian.Uint64(raw[i:]), binary.LittleEndian.Uint64(prev[i:])
		binary.LittleEndian.PutUint64(cur[i:], (a&low7+b&low7)^((a^b)&high1))
	}
}

// unfilterSub adds the bytes of the pixel to the left.
func unfilterSub(cur, raw []byte, n, bpp int) {
	switch bpp {
	case 3, 4:
		var a uint32
		for i := 0; i < n; i += bpp {
			d := binary.LittleEndian.Uint32(raw[i:])
			a = (a&0x7f7f7f7f + d&0x7f7f7f7f) ^ ((a ^ d) & 0x80808080)
			binary.LittleEndian.PutUint32(cur[i+bpp:], a)
		}
	case 6, 8:
		var a uint64
		for i := 0; i < n; i += bpp {
			d := binary.LittleEndian.Uint64(raw[i:])
			a = (a&low7 + d&low7) ^ ((a ^ d) & high1)
			binary.LittleEndian.PutUint64(cur[i+bpp:], a)
		}
	default:
		left, cur, raw := cur[:n], cur[bpp:bpp+n], raw[:n]
		for i, d := range raw {
			cur[i] = d + left[i]
		}
	}
}

// unfilterAverage adds half the sum of the bytes to the left and above, which is
// (a AND b) + (a XOR b)/2.
func unfilterAverage(cur, raw, prev []byte, n, bpp int) {
	switch bpp {
	case 3, 4:
		var a uint32
		for i := 0; i < n; i += bpp {
			b, d := binary.LittleEndian.Uint32(prev[i+bpp:]), binary.LittleEndian.Uint32(raw[i:])
			m := a&b + (a^b)>>1&0x7f7f7f7f
			a = (m&0x7f7f7f7f + d&0x7f7f7f7f) ^ ((m ^ d) & 0x80808080)
			binary.LittleEndian.PutUint32(cur[i+bpp:], a)
		}
	case 6, 8:
		var a uint64
		for i := 0; i < n; i += bpp {
			b, d := binary.LittleEndian.Uint64(prev[i+bpp:]), binary.LittleEndian.Uint64(raw[i:])
			m := a&b + (a^b)>>1&low7
			a = (m&low7 + d&low7) ^ ((m ^ d) & high1)
			binary.LittleEndian.PutUint64(cur[i+bpp:], a)
		}
	default:
		left, cur, raw, prev := cur[:n], cur[bpp:bpp+n], raw[:n], prev[bpp:bpp+n]
		for i, d := range raw {
			cur[i] = d + byte((int(left[i])+int(prev[i]))/2)
		}
	}
}

// unfilterPaeth adds the one of the bytes to the left, above and above to the left
// that is nearest to left + above - above left (PNG 9.4).
//
// The byte above to the left is loaded again, since registers are what the loops
// for the usual pixels are short of.
func unfilterPaeth(cur, raw, prev []byte, n, bpp int) {
	left, aboveLeft := cur[:n], prev[:n]
	cur, raw, prev = cur[bpp:bpp+n], raw[:n], prev[bpp:bpp+n]
	switch bpp {
	case 3:
		var a0, a1, a2 int
		for i := 2; i < len(raw) && i < len(cur) && i < len(prev) && i < len(aboveLeft); i += 3 {
			a0 = (paeth(a0, int(prev[i-2]), int(aboveLeft[i-2])) + int(raw[i-2])) & 0xff
			cur[i-2] = byte(a0)
			a1 = (paeth(a1, int(prev[i-1]), int(aboveLeft[i-1])) + int(raw[i-1])) & 0xff
			cur[i-1] = byte(a1)
			a2 = (paeth(a2, int(prev[i]), int(aboveLeft[i])) + int(raw[i])) & 0xff
			cur[i] = byte(a2)
		}
	case 4:
		var a0, a1, a2, a3 int
		for i := 3; i < len(raw) && i < len(cur) && i < len(prev) && i < len(aboveLeft); i += 4 {
			a0 = (paeth(a0, int(prev[i-3]), int(aboveLeft[i-3])) + int(raw[i-3])) & 0xff
			cur[i-3] = byte(a0)
			a1 = (paeth(a1, int(prev[i-2]), int(aboveLeft[i-2])) + int(raw[i-2])) & 0xff
			cur[i-2] = byte(a1)
			a2 = (paeth(a2, int(prev[i-1]), int(aboveLeft[i-1])) + int(raw[i-1])) & 0xff
			cur[i-1] = byte(a2)
			a3 = (paeth(a3, int(prev[i]), int(aboveLeft[i])) + int(raw[i])) & 0xff
			cur[i] = byte(a3)
		}
	default:
		for i, d := range raw {
			cur[i] = d + byte(paeth(int(left[i]), int(prev[i]), int(aboveLeft[i])))
		}
	}
}

// paeth is the predictor of PNG 9.4 without its absolute values.
//
// With p = a+b-c, a is nearest when c is nearer to b than to a, and so on; sorted
// by lo = min(a,b) and hi = max(a,b), all comparisons come down to where 3c-a-b
// lies: at or below lo it is hi, at or above hi it is lo, between them c.
func paeth(a, b, c int) int {
	t := 3*c - b - a
	lo, hi := min(a, b), max(a, b)
	r := c
	if hi <= t {
		r = lo
	}
	if t <= lo {
		r = hi
	}
	return r
}

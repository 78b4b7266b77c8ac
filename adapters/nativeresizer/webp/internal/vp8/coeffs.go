package vp8

import "math/bits"

// The kinds of blocks that probabilities differ for (RFC 6386, 13.3).
const (
	lumaWithoutDC = iota
	lumaSecond
	chroma
	lumaWithDC
)

// The place of a coefficient in its block, and the band of its probabilities; behind
// the last one there is one more that is not used (RFC 6386, 13.1 and 13.3).
var (
	zigzag = [16]uint8{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15}
	bands  = [17]uint8{0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 0}
)

// Extra bits of the large categories of values, 3 to 6, and their bases (RFC 6386, 13.2).
var (
	extraProbs = [4][]uint8{
		{173, 148, 140},
		{176, 155, 140, 135},
		{180, 157, 141, 134, 130},
		{254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129},
	}
	extraBases = [4]int32{11, 19, 35, 67}
)

// readCoeffs reads the coefficients of a macroblock (RFC 6386, 13), and reports whether
// there are none. It counts what has been read.
func (d *decoder) readCoeffs(b *bools, s *segment, above *blockState) bool {
	kind, first := lumaWithDC, 0
	left := &d.left
	second := int8(0)
	if !d.byBlock {
		second = d.readBlock(b, &d.probs[lumaSecond], left.y2+above.y2, 0, &s.y2, 24)
		d.read += int(second)
		left.y2 = nonzero(second)
		above.y2 = left.y2
		kind, first = lumaWithoutDC, 1
	}
	some := int8(0)
	for i := range 16 {
		x, y := i&3, i>>2
		n := d.readBlock(b, &d.probs[kind], left.y[y]+above.y[x], first, &s.y1, i)
		d.read += int(n)
		if n <= int8(first) {
			n = 0
		}
		left.y[y] = nonzero(n)
		above.y[x] = left.y[y]
		some |= n
	}
	for i := 16; i < 24; i++ {
		at := i >> 2 & 1 << 1 // 0 for u, 2 for v
		x, y := at+i&1, at+i>>1&1
		n := d.readBlock(b, &d.probs[chroma], left.uv[y]+above.uv[x], 0, &s.uv, i)
		d.read += int(n)
		left.uv[y] = nonzero(n)
		above.uv[x] = left.uv[y]
		some |= n
	}
	if second > 0 && d.spread() {
		some = 1
	}
	return some == 0
}

func nonzero(n int8) uint8 {
	if n > 0 {
		return 1
	}
	return 0
}

// readBlock reads the coefficients of a block from first on, multiplied by their
// factors, and returns the place behind the last one, 0 if there are none. What
// coeffs held before only goes if there are any.
func (d *decoder) readBlock(b *bools, probs *[8][3][11]uint8, context uint8, first int, factors *[2]int32, i int) int8 {
	p := &probs[bands[first]][context]
	d.last[i] = 0
	if b.n < 16 {
		b.refill()
	}
	acc, width, k, set := step(b.acc, b.width, p[0])
	n := b.n - k
	if !set {
		b.acc, b.width, b.n = acc, width, n
		return 0
	}
	data, pos := b.data, b.pos
	out := &d.coeffs[i]
	*out = [16]int16{}
	at := first
	for {
		// Three booleans for a 1, or six before the rest of a larger value.
		acc |= load(data, pos) >> (n & 63)
		pos += int((63 - n) >> 3 & 7)
		n |= 56
		acc, width, k, set = step(acc, width, p[1])
		n -= k
		if !set {
			if at++; at == 16 {
				break
			}
			p = &probs[bands[at]][0]
			continue
		}
		var v int32
		next := &probs[bands[at+1]]
		acc, width, k, set = step(acc, width, p[2])
		n -= k
		if !set {
			v, p = 1, &next[1]
		} else {
			acc, width, k, set = step(acc, width, p[3])
			n -= k
			if !set {
				// 2, 3 or 4
				acc, width, k, set = step(acc, width, p[4])
				n -= k
				v = 2
				if set {
					acc, width, k, set = step(acc, width, p[5])
					n -= k
					v = 3
					if set {
						v = 4
					}
				}
			} else {
				b.acc, b.width, b.n, b.pos = acc, width, n, pos
				v = largeValue(b, p)
				acc, width, n, pos = b.acc, b.width, b.n, b.pos
			}
			p = &next[2]
			acc |= load(data, pos) >> (n & 63)
			pos += int((63 - n) >> 3 & 7)
			n |= 56
		}
		// The sign has even chances.
		half := (width + 1) >> 1
		sign := int32(0)
		if big := uint64(half) << 56; acc >= big {
			acc -= big
			half = width - half
			sign = -1
		}
		k = uint(bits.LeadingZeros8(uint8(half)))
		acc, width, n = acc<<(k&7), half<<(k&7), n-k
		z := zigzag[at&15]
		v *= factors[min(z, 1)]
		out[z&15] = int16(v ^ sign - sign)
		if at++; at == 16 {
			break
		}
		acc, width, k, set = step(acc, width, p[0])
		n -= k
		if !set {
			break
		}
	}
	b.acc, b.width, b.n, b.pos = acc, width, n, pos
	d.last[i] = int8(at)
	return int8(at)
}

// largeValue reads a value of five or more: the rest of the tree of RFC 6386, 13.2.
func largeValue(b *bools, p *[11]uint8) int32 {
	if b.bit(p[6]) == 0 {
		if b.bit(p[7]) == 0 {
			return 5 + int32(b.bit(159))
		}
		v := 7 + 2*int32(b.bit(165))
		return v + int32(b.bit(145))
	}
	high := b.bit(p[8])
	category := 2*high + b.bit(p[9+high])
	v := int32(0)
	for _, q := range extraProbs[category] {
		v = v<<1 | int32(b.bit(q))
	}
	return v + extraBases[category]
}

// spread transforms the second-order block (RFC 6386, 14.3), whose values are
// the DC coefficients of the luma blocks, and reports whether any is not 0.
func (d *decoder) spread() (some bool) {
	in := &d.coeffs[24]
	var m [16]int32
	for i := range 4 {
		a, b := int32(in[i])+int32(in[12+i]), int32(in[4+i])+int32(in[8+i])
		c, e := int32(in[4+i])-int32(in[8+i]), int32(in[i])-int32(in[12+i])
		m[i], m[4+i], m[8+i], m[12+i] = a+b, e+c, a-b, e-c
	}
	for i := range 4 {
		r := m[4*i : 4*i+4 : 4*i+4]
		a, b := r[0]+3+r[3], r[1]+r[2]
		c, e := r[1]-r[2], r[0]+3-r[3]
		for j, v := range [4]int32{a + b, e + c, a - b, e - c} {
			if v >>= 3; v != 0 {
				d.coeffs[4*i+j][0] = int16(v)
				d.last[4*i+j] = max(d.last[4*i+j], 1)
				some = true
			}
		}
	}
	return some
}

// add adds the inverse transform of a block (RFC 6386, 14.4) to its prediction.
func add(coeffs *[16]int16, last int8, pix []byte, stride int) {
	if last == 1 {
		dc := (int32(coeffs[0]) + 4) >> 3
		if dc == 0 {
			return
		}
		shift := uint64(256+min(max(dc, -256), 511)) * lanes
		for range 4 {
			join(pix, spread(pix)+shift)
			pix = pix[min(stride, len(pix)):]
		}
		return
	}
	const (
		k1 = 85627 // 65536 · √2 · cos(π/8)
		k2 = 35468 // 65536 · √2 · sin(π/8)
	)
	var m [16]int32
	for i := range 4 {
		i0, i1, i2, i3 := int32(coeffs[i]), int32(coeffs[4+i]), int32(coeffs[8+i]), int32(coeffs[12+i])
		a, b := i0+i2, i0-i2
		c, e := i1*k2>>16-i3*k1>>16, i1*k1>>16+i3*k2>>16
		m[4*i], m[4*i+1], m[4*i+2], m[4*i+3] = a+e, b+c, b-c, a-e
	}
	for i := range 4 {
		i0, i1, i2, i3 := m[i]+4, m[4+i], m[8+i], m[12+i]
		a, b := i0+i2, i0-i2
		c, e := i1*k2>>16-i3*k1>>16, i1*k1>>16+i3*k2>>16
		row := pix[:4:4]
		row[0], row[1] = clamp(int32(row[0])+(a+e)>>3), clamp(int32(row[1])+(b+c)>>3)
		row[2], row[3] = clamp(int32(row[2])+(b-c)>>3), clamp(int32(row[3])+(a-e)>>3)
		pix = pix[min(stride, len(pix)):]
	}
}

func clamp(v int32) byte {
	if uint32(v) > 255 {
		return byte(^v >> 31)
	}
	return byte(v)
}

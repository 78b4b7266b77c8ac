package vp8

import "encoding/binary"

// Modes of prediction (RFC 6386, 8.2 and 11.2), in the order of modeProbs. Whole
// macroblocks and chroma have the first four.
const (
	modeDC = iota // the mean of the edges
	modeTM        // left + above - corner
	modeV         // from above
	modeH         // from the left
	modeRD        // and in six directions
	modeVR
	modeLD
	modeVL
	modeHD
	modeHU
)

// reconstruct predicts a macroblock (RFC 6386, 12) and adds its coefficients.
func (d *decoder) reconstruct(mbx, mby int) {
	y := &d.y
	at := y.origin + 16*(mby*y.stride+mbx)
	if d.byBlock {
		// The four samples above to the right of the macroblock serve all four blocks at its
		// right edge (12.3).
		var right [4]byte
		above := at - y.stride
		copy(right[:], y.pix[above+16:above+20])
		if mby > 0 && mbx == d.mbw-1 {
			last := y.pix[above+15]
			right = [4]byte{last, last, last, last}
		}
		for i, mode := range d.modes {
			to := at + 4*(i&3) + 4*(i>>2)*y.stride
			predictBlock(mode, y.pix, to, y.stride, i&3 == 3, &right)
			if d.last[i] > 0 {
				add(&d.coeffs[i], d.last[i], y.pix[to:], y.stride)
			}
		}
	} else {
		predict(d.yMode, y.pix, at, y.stride, 16, mbx > 0, mby > 0)
		for i := range 16 {
			if d.last[i] > 0 {
				add(&d.coeffs[i], d.last[i], y.pix[at+4*(i&3)+4*(i>>2)*y.stride:], y.stride)
			}
		}
	}
	for c, p := range [2]*plane{&d.cb, &d.cr} {
		at := p.origin + 8*(mby*p.stride+mbx)
		predict(d.uvMode, p.pix, at, p.stride, 8, mbx > 0, mby > 0)
		for j := range 4 {
			if i := 16 + 4*c + j; d.last[i] > 0 {
				add(&d.coeffs[i], d.last[i], p.pix[at+4*(j&1)+4*(j>>1)*p.stride:], p.stride)
			}
		}
	}
}

// predict fills size × size samples at a place of a plane (RFC 6386, 12.2).
func predict(mode uint8, pix []byte, at, stride, size int, hasLeft, hasAbove bool) {
	above := pix[at-stride : at-stride+size]
	switch mode {
	case modeDC:
		sum, n := 0, 0
		if hasAbove {
			for _, v := range above {
				sum += int(v)
			}
			n += size
		}
		if hasLeft {
			for y := range size {
				sum += int(pix[at+y*stride-1])
			}
			n += size
		}
		v := byte(128)
		if n > 0 {
			v = byte((sum + n/2) / n)
		}
		for y := range size {
			fillRow(pix[at+y*stride:][:size], v)
		}
	case modeTM:
		corner := uint64(pix[at-stride-1])
		var spreads [4]uint64
		for i := range size / 4 {
			spreads[i] = spread(above[4*i:]) + (256-corner)*lanes
		}
		for y := range size {
			row := pix[at+y*stride-1:][:size+1]
			left := uint64(row[0]) * lanes
			for i := range size / 4 {
				join(row[4*i+1:], spreads[i&3]+left)
			}
		}
	case modeV:
		for y := range size {
			copy(pix[at+y*stride:][:size], above)
		}
	case modeH:
		for y := range size {
			row := pix[at+y*stride-1:][:size+1]
			fillRow(row[1:], row[0])
		}
	}
}

// fillRow sets the samples of a row, of 8 or 16.
func fillRow(row []byte, v byte) {
	word := uint64(v) * 0x0101010101010101
	for ; len(row) >= 8; row = row[8:] {
		binary.LittleEndian.PutUint64(row, word)
	}
}

func avg2(a, b int32) byte    { return byte((a + b + 1) >> 1) }
func avg3(a, b, c int32) byte { return byte((a + 2*b + c + 2) >> 2) }

// predictBlock fills 4 × 4 samples at a place of a plane (RFC 6386, 12.3). The four
// samples above to the right are those of right if useRight is set.
func predictBlock(mode uint8, pix []byte, at, stride int, useRight bool, right *[4]byte) {
	// e is the edge from the bottom of the left column over the corner, at 4, to the
	// end of the row above.
	var e [13]int32
	for i := range 4 {
		e[3-i] = int32(pix[at+i*stride-1])
	}
	above := pix[at-stride-1:][:9]
	for i := range 5 {
		e[4+i] = int32(above[i])
	}
	if useRight {
		for i, v := range right {
			e[9+i] = int32(v)
		}
	} else {
		for i := range 4 {
			e[9+i] = int32(above[5+i])
		}
	}
	r0, r1, r2, r3 := pix[at:][:4:4], pix[at+stride:][:4:4], pix[at+2*stride:][:4:4], pix[at+3*stride:][:4:4]
	rows := [4][]byte{r0, r1, r2, r3}
	switch mode {
	case modeDC:
		v := byte((e[0] + e[1] + e[2] + e[3] + e[5] + e[6] + e[7] + e[8] + 4) >> 3)
		for _, r := range rows {
			fill4(r, v)
		}
	case modeTM:
		top := spread(above[1:]) + uint64(256-e[4])*lanes
		for i, r := range rows {
			join(r, top+uint64(e[3-i])*lanes)
		}
	case modeV:
		for c := range 4 {
			r0[c] = avg3(e[4+c], e[5+c], e[6+c])
		}
		copy(r1, r0)
		copy(r2, r0)
		copy(r3, r0)
	case modeH:
		for i, v := range [4]byte{avg3(e[4], e[3], e[2]), avg3(e[3], e[2], e[1]), avg3(e[2], e[1], e[0]), avg3(e[1], e[0], e[0])} {
			fill4(rows[i], v)
		}
	case modeRD:
		for i, r := range rows {
			for c := range r {
				k := 4 - i + c
				r[c] = avg3(e[k-1], e[k], e[k+1])
			}
		}
	case modeLD:
		for i, r := range rows {
			for c := range r {
				k := 5 + i + c
				r[c] = avg3(e[k], e[k+1], e[min(k+2, 12)])
			}
		}
	case modeVR:
		r3[0], r2[0] = avg3(e[1], e[2], e[3]), avg3(e[2], e[3], e[4])
		for c := range 4 {
			r0[c], r1[c] = avg2(e[4+c], e[5+c]), avg3(e[3+c], e[4+c], e[5+c])
		}
		copy(r2[1:], r0[:3])
		copy(r3[1:], r1[:3])
	case modeVL:
		for c := range 4 {
			r0[c], r1[c] = avg2(e[5+c], e[6+c]), avg3(e[5+c], e[6+c], e[7+c])
		}
		copy(r2[:3], r0[1:])
		copy(r3[:3], r1[1:])
		r2[3], r3[3] = avg3(e[9], e[10], e[11]), avg3(e[10], e[11], e[12])
	case modeHD:
		for i, r := range rows {
			r[0], r[1] = avg2(e[3-i], e[4-i]), avg3(e[3-i], e[4-i], e[5-i])
		}
		r0[2], r0[3] = avg3(e[4], e[5], e[6]), avg3(e[5], e[6], e[7])
		copy(r1[2:], r0[:2])
		copy(r2[2:], r1[:2])
		copy(r3[2:], r2[:2])
	case modeHU:
		l3 := byte(e[0])
		r0[0], r0[1] = avg2(e[3], e[2]), avg3(e[3], e[2], e[1])
		r1[0], r1[1] = avg2(e[2], e[1]), avg3(e[2], e[1], e[0])
		r2[0], r2[1] = avg2(e[1], e[0]), avg3(e[1], e[0], e[0])
		r3[0], r3[1], r3[2], r3[3] = l3, l3, l3, l3
		r2[2], r2[3] = l3, l3
		r1[2], r1[3] = r2[0], r2[1]
		r0[2], r0[3] = r1[0], r1[1]
	}
}

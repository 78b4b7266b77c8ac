package vp8

// filter is the strength of the loop filter for a macroblock (RFC 6386, 15).
type filter struct {
	edge     int32 // limit of the difference across an inner edge; that of a macroblock's is 4 more
	interior int32 // limit of the differences between samples on a side
	variance int32 // above which differences next to the edge are called high
	inner    bool  // the edges within the macroblock are filtered too
}

// newFilter derives the limits (RFC 6386, 15.2 and 15.3). An edge of 0 is no filter.
func newFilter(level, sharpness int) (f filter) {
	if level <= 0 {
		return f
	}
	level = min(level, 63)
	interior := level
	if sharpness > 0 {
		interior >>= 1
		if sharpness > 4 {
			interior >>= 1
		}
		interior = min(interior, 9-sharpness)
	}
	interior = max(interior, 1)
	f.interior, f.edge = int32(interior), int32(2*level+interior)
	switch {
	case level >= 40:
		f.variance = 2
	case level >= 15:
		f.variance = 1
	}
	return f
}

// filterRow filters a row of macroblocks: of each the left edge, the vertical edges
// inside, the upper edge, the horizontal edges inside.
func (d *decoder) filterRow(mby int) {
	planes := [3]*plane{&d.y, &d.cb, &d.cr}
	for mbx := range d.mbw {
		f := &d.strengths[mby*d.mbw+mbx]
		if f.edge == 0 {
			continue
		}
		for i, p := range planes {
			size := 8
			if i == 0 {
				size = 16
			}
			at := p.origin + size*(mby*p.stride+mbx)
			if d.simple {
				if i == 0 {
					f.simpleBlock(p, at, mbx > 0, mby > 0)
				}
				continue
			}
			if mbx > 0 {
				f.filterEdge(p.pix, at, p.stride, 1, size, true)
			}
			for k := 4; f.inner && k < size; k += 4 {
				f.filterEdge(p.pix, at+k, p.stride, 1, size, false)
			}
			if mby > 0 {
				f.filterEdge(p.pix, at, 1, p.stride, size, true)
			}
			for k := 4; f.inner && k < size; k += 4 {
				f.filterEdge(p.pix, at+k*p.stride, 1, p.stride, size, false)
			}
		}
	}
}

// simpleBlock applies the simple filter (RFC 6386, 15.2) to a luma macroblock.
func (f *filter) simpleBlock(p *plane, at int, left, above bool) {
	edge := func(at, along, across int, limit int32) {
		for range 16 {
			px := p.pix
			p1, p0, q0, q1 := int32(px[at-2*across]), int32(px[at-across]), int32(px[at]), int32(px[at+across])
			if 2*abs(p0-q0)+abs(p1-q1)>>1 <= limit {
				a := 3*(q0-p0) + signed8(p1-q1)
				px[at-across] = clamp(p0 + signed8(a+3)>>3)
				px[at] = clamp(q0 - signed8(a+4)>>3)
			}
			at += along
		}
	}
	if left {
		edge(at, p.stride, 1, f.edge+4)
	}
	for k := 4; f.inner && k < 16; k += 4 {
		edge(at+k, p.stride, 1, f.edge)
	}
	if above {
		edge(at, 1, p.stride, f.edge+4)
	}
	for k := 4; f.inner && k < 16; k += 4 {
		edge(at+k*p.stride, 1, p.stride, f.edge)
	}
}

func abs(v int32) int32 { return max(v, -v) }

// signed8 clamps to the values of eight bits with a sign.
func signed8(v int32) int32 { return min(max(v, -128), 127) }

// filterEdge applies the normal filter (RFC 6386, 15.3) to n samples along an edge, of
// a macroblock or within one.
func (f *filter) filterEdge(pix []byte, at, along, across, n int, outer bool) {
	edge, interior := f.edge, f.interior
	if outer {
		edge += 4
	}
	for ; n > 0; n, at = n-1, at+along {
		p1, p0 := int32(pix[at-2*across]), int32(pix[at-across])
		q0, q1 := int32(pix[at]), int32(pix[at+across])
		if 2*abs(p0-q0)+abs(p1-q1)>>1 > edge {
			continue
		}
		p3, p2 := int32(pix[at-4*across]), int32(pix[at-3*across])
		q2, q3 := int32(pix[at+2*across]), int32(pix[at+3*across])
		dp, dq := abs(p1-p0), abs(q1-q0)
		if max(abs(p3-p2), abs(p2-p1), dp, dq, abs(q2-q1), abs(q3-q2)) > interior {
			continue
		}
		switch {
		case max(dp, dq) > f.variance:
			a := 3*(q0-p0) + signed8(p1-q1)
			pix[at-across] = clamp(p0 + signed8(a+3)>>3)
			pix[at] = clamp(q0 - signed8(a+4)>>3)
		case outer:
			a := signed8(3*(q0-p0) + signed8(p1-q1))
			a1, a2, a3 := (27*a+63)>>7, (18*a+63)>>7, (9*a+63)>>7
			pix[at-3*across], pix[at+2*across] = clamp(p2+a3), clamp(q2-a3)
			pix[at-2*across], pix[at+across] = clamp(p1+a2), clamp(q1-a2)
			pix[at-across], pix[at] = clamp(p0+a1), clamp(q0-a1)
		default:
			a := 3 * (q0 - p0)
			a1, a2 := signed8(a+4)>>3, signed8(a+3)>>3
			a3 := (a1 + 1) >> 1
			pix[at-2*across], pix[at+across] = clamp(p1+a3), clamp(q1-a3)
			pix[at-across], pix[at] = clamp(p0+a2), clamp(q0-a1)
		}
	}
}

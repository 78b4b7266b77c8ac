package hevc

// betaTable and tcTable are β′ and tC′ by Q (Table 8-12).
var (
	betaTable = [52]uint8{
		16: 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62, 64,
	}
	tcTable = [54]uint8{
		18: 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 13, 14, 16, 18, 20, 22, 24,
	}
)

// markEdges notes the left and upper edge of a transform block (8.7.2.3, 8.7.2.4). All blocks are
// intra: the strength of every edge is 2.
func (d *Decoder) markEdges(x, y, log2 int) {
	if d.o.NoFilters || d.slice.deblockDisabled {
		return
	}
	n := 1 << log2 >> 2
	if x&7 == 0 && (x > d.ctbX || d.edgeL) {
		i := y>>2*d.qpStride + x>>3
		for range n {
			d.vEdges[i] = 1
			i += d.qpStride
		}
	}
	if y&7 == 0 && (y > d.ctbY || d.edgeU) {
		fill8(d.hEdges[y>>3*2*d.qpStride+x>>2:][:n], 1)
	}
}

// deblock filters the edges of a row of CTBs (8.7.2): the vertical ones, then the horizontal ones,
// the upper of which reach into the row above.
func (d *Decoder) deblock(ry int) {
	s := d.sps
	y0 := ry << s.log2Ctb
	y1 := min(y0+1<<s.log2Ctb, s.height)
	for y := y0; y < y1; y += 4 {
		row := d.vEdges[y>>2*d.qpStride:][:d.qpStride]
		for i, e := range row {
			if e != 0 {
				d.filterEdge(i<<3, y, i<<3-1, y, true)
			}
		}
	}
	for y := y0; y < y1; y += 8 {
		row := d.hEdges[y>>3*2*d.qpStride:][:2*d.qpStride]
		for i, e := range row {
			if e != 0 {
				d.filterEdge(i<<2, y, i<<2, y-1, false)
			}
		}
	}
}

// filterEdge filters four samples of an edge, whose first sample after it is at (x, y) and the
// first before it at (px, py), and the chroma there.
func (d *Decoder) filterEdge(x, y, px, py int, vertical bool) {
	s := d.sps
	q := y>>3*d.qpStride + x>>3
	p := py>>3*d.qpStride + px>>3
	sl := &d.slices[d.sliceOf[y>>s.log2Ctb*s.widthCtbs+x>>s.log2Ctb]]
	qp := (int(d.qps[q]) + int(d.qps[p]) + 1) >> 1
	keepP, keepQ := d.unfiltered[p] != 0, d.unfiltered[q] != 0

	pl := &d.planes[0]
	at, across, along := (y-pl.top)*pl.stride+x, 1, pl.stride
	if !vertical {
		across, along = along, across
	}
	beta := int(betaTable[min(max(qp+sl.beta, 0), 51)]) << (s.depth - 8)
	tc := int(tcTable[min(max(qp+2+sl.tc, 0), 53)]) << (s.depth - 8)
	filterLuma(pl.pix, at, across, along, beta, tc, keepP, keepQ, d.maxSample(0))

	if s.chroma == 0 {
		return
	}
	// Chroma has edges at every eighth of its own samples.
	if vertical && x&(8<<s.subW-1) != 0 || !vertical && y&(8<<s.subH-1) != 0 {
		return
	}
	n := 4 >> s.subH
	if !vertical {
		n = 4 >> s.subW
	}
	for c := 1; c < 3; c++ {
		pl := &d.planes[c]
		offset := d.pps.cbOffset
		if c == 2 {
			offset = d.pps.crOffset
		}
		tc := int(tcTable[min(max(d.chromaQP(qp+offset)+2+sl.tc, 0), 53)]) << (s.depthC - 8)
		if tc == 0 {
			continue
		}
		at, across, along := (y>>s.subH-pl.top)*pl.stride+x>>s.subW, 1, pl.stride
		if !vertical {
			across, along = along, across
		}
		maximum := d.maxSample(c)
		for range n {
			p1, p0 := int(pl.pix[at-2*across]), int(pl.pix[at-across])
			q0, q1 := int(pl.pix[at]), int(pl.pix[at+across])
			delta := min(max(((q0-p0)<<2+p1-q1+4)>>3, -tc), tc)
			if !keepP {
				pl.pix[at-across] = uint16(min(max(p0+delta, 0), maximum))
			}
			if !keepQ {
				pl.pix[at] = uint16(min(max(q0-delta, 0), maximum))
			}
			at += along
		}
	}
}

// filterLuma decides and filters four lines across an edge (8.7.2.5.3, 8.7.2.5.6, 8.7.2.5.7).
func filterLuma(pix []uint16, at, across, along, beta, tc int, keepP, keepQ bool, maximum int) {
	line := func(k int) (p3, p2, p1, p0, q0, q1, q2, q3 int) {
		i := at + k*along
		return int(pix[i-4*across]), int(pix[i-3*across]), int(pix[i-2*across]), int(pix[i-across]),
			int(pix[i]), int(pix[i+across]), int(pix[i+2*across]), int(pix[i+3*across])
	}
	a3, a2, a1, a0, b0, b1, b2, b3 := line(0)
	c3, c2, c1, c0, e0, e1, e2, e3 := line(3)
	dp0, dq0 := abs(a2-2*a1+a0), abs(b2-2*b1+b0)
	dp3, dq3 := abs(c2-2*c1+c0), abs(e2-2*e1+e0)
	if dp0+dq0+dp3+dq3 >= beta {
		return
	}
	strong := 2*(dp0+dq0) < beta>>2 && abs(a3-a0)+abs(b0-b3) < beta>>3 && abs(a0-b0) < (5*tc+1)>>1 &&
		2*(dp3+dq3) < beta>>2 && abs(c3-c0)+abs(e0-e3) < beta>>3 && abs(c0-e0) < (5*tc+1)>>1
	side := (beta + beta>>1) >> 3
	second, secondQ := dp0+dp3 < side, dq0+dq3 < side
	near := func(v, of, by int) uint16 { return uint16(min(max(v, of-by), of+by)) }
	clip := func(v int) uint16 { return uint16(min(max(v, 0), maximum)) }
	for k := range 4 {
		p3, p2, p1, p0, q0, q1, q2, q3 := line(k)
		i := at + k*along
		if strong {
			if !keepP {
				pix[i-across] = near((p2+2*p1+2*p0+2*q0+q1+4)>>3, p0, 2*tc)
				pix[i-2*across] = near((p2+p1+p0+q0+2)>>2, p1, 2*tc)
				pix[i-3*across] = near((2*p3+3*p2+p1+p0+q0+4)>>3, p2, 2*tc)
			}
			if !keepQ {
				pix[i] = near((p1+2*p0+2*q0+2*q1+q2+4)>>3, q0, 2*tc)
				pix[i+across] = near((p0+q0+q1+q2+2)>>2, q1, 2*tc)
				pix[i+2*across] = near((p0+q0+q1+3*q2+2*q3+4)>>3, q2, 2*tc)
			}
			continue
		}
		delta := (9*(q0-p0) - 3*(q1-p1) + 8) >> 4
		if abs(delta) >= 10*tc {
			continue
		}
		delta = min(max(delta, -tc), tc)
		if !keepP {
			pix[i-across] = clip(p0 + delta)
			if second {
				pix[i-2*across] = clip(p1 + min(max(((p2+p0+1)>>1-p1+delta)>>1, -(tc>>1)), tc>>1))
			}
		}
		if !keepQ {
			pix[i] = clip(q0 - delta)
			if secondQ {
				pix[i+across] = clip(q1 + min(max(((q2+q0+1)>>1-q1-delta)>>1, -(tc>>1)), tc>>1))
			}
		}
	}
}

// offset applies the sample adaptive offset to a row of CTBs (8.7.3), from planes to filtered.
func (d *Decoder) offset(ry int) {
	s := d.sps
	for c := range d.components {
		src, dst := &d.planes[c], &d.filtered[c]
		ctbW, ctbH, subW, subH := 1<<s.log2Ctb, 1<<s.log2Ctb, 0, 0
		if c > 0 {
			subW, subH = s.subW, s.subH
			ctbW, ctbH = ctbW>>subW, ctbH>>subH
		}
		y0 := ry * ctbH
		rows := min(ctbH, src.height-y0)
		dst.top = y0
		copy(dst.pix, src.pix[(y0-src.top)*src.stride:][:rows*src.stride])
		for rx := range s.widthCtbs {
			p := &d.saos[ry*s.widthCtbs+rx]
			if p.kind[c] == 0 {
				continue
			}
			x0 := rx * ctbW
			w := min(ctbW, src.stride-x0)
			if p.kind[c] == 1 {
				d.bandOffset(src, dst, c, x0, y0, w, rows, p)
			} else {
				d.edgeOffset(src, dst, c, rx, ry, x0, y0, w, rows, p)
			}
			if d.anyUnfiltered {
				d.restore(src, dst, x0, y0, w, rows, subW, subH)
			}
		}
	}
}

// restore takes back the samples of blocks that are not to be filtered.
func (d *Decoder) restore(src, dst *plane, x0, y0, w, rows, subW, subH int) {
	for y := y0; y < y0+rows; y++ {
		for x := x0; x < x0+w; x++ {
			if d.unfiltered[(y<<subH)>>3*d.qpStride+(x<<subW)>>3] != 0 {
				dst.pix[(y-y0)*dst.stride+x] = src.pix[(y-src.top)*src.stride+x]
			}
		}
	}
}

func (d *Decoder) bandOffset(src, dst *plane, c, x0, y0, w, rows int, p *saoParams) {
	var table [32]int32
	for k, o := range p.offset[c] {
		table[(int(p.class[c])+k)&31] = int32(o)
	}
	shift, maximum := d.depth(c)-5, int32(d.maxSample(c))
	for j := range rows {
		in := src.pix[(y0+j-src.top)*src.stride+x0:][:w]
		out := dst.pix[j*dst.stride+x0:][:w]
		for i, v := range in {
			out[i] = uint16(min(max(int32(v)+table[v>>shift&31], 0), maximum))
		}
	}
}

func (d *Decoder) edgeOffset(src, dst *plane, c, rx, ry, x0, y0, w, rows int, p *saoParams) {
	// The first neighbour; the second is opposite.
	step := [4][2]int{{-1, 0}, {0, -1}, {-1, -1}, {1, -1}}[p.class[c]]
	dx, dy := step[0], step[1]
	var allowed [3][3]bool // CTBs around whose samples may be looked at, by row and column
	for j := range 3 {
		for i := range 3 {
			allowed[j][i] = d.offsetAcross(rx, ry, rx+i-1, ry+j-1)
		}
	}
	// By 2 + the signs of the differences.
	o := p.offset[c]
	table := [5]int32{int32(o[0]), int32(o[1]), 0, int32(o[2]), int32(o[3])}
	maximum := int32(d.maxSample(c))
	for j := range rows {
		// Where the neighbours are, by row of CTBs.
		va, vb := 1, 1
		if j+dy < 0 {
			va = 0
		}
		if j-dy >= rows && dy < 0 {
			vb = 2
		}
		column := func(x int) int {
			switch {
			case x < 0:
				return 0
			case x >= w:
				return 2
			}
			return 1
		}
		ok := func(i int) bool { return allowed[va][column(i+dx)] && allowed[vb][column(i-dx)] }
		first, inner, last := ok(0), allowed[va][1] && allowed[vb][1], ok(w-1)
		if first && inner && last {
			d.edgeRow(src, dst, x0, y0+j, 0, w, dx, dy, &table, maximum)
			continue
		}
		if first {
			d.edgeRow(src, dst, x0, y0+j, 0, 1, dx, dy, &table, maximum)
		}
		if inner {
			d.edgeRow(src, dst, x0, y0+j, 1, w-1, dx, dy, &table, maximum)
		}
		if last {
			d.edgeRow(src, dst, x0, y0+j, w-1, w, dx, dy, &table, maximum)
		}
	}
}

// edgeRow offsets samples from to to of a row.
func (d *Decoder) edgeRow(src, dst *plane, x0, y, from, to, dx, dy int, table *[5]int32, maximum int32) {
	at := (y-src.top)*src.stride + x0 + from
	n := to - from
	in := src.pix[at:][:n]
	a := src.pix[at+dy*src.stride+dx:][:n]
	b := src.pix[at-dy*src.stride-dx:][:n]
	out := dst.pix[(y-dst.top)*dst.stride+x0+from:][:n]
	for i, v := range in {
		k := 2 + sign(int32(v)-int32(a[i])) + sign(int32(v)-int32(b[i]))
		out[i] = uint16(min(max(int32(v)+table[k], 0), maximum))
	}
}

func sign(v int32) int32 { return v>>31 | int32(uint32(-v)>>31) }

// offsetAcross reports whether the samples of another CTB may decide the offsets in one (8.7.3.2).
func (d *Decoder) offsetAcross(rx, ry, nx, ny int) bool {
	s := d.sps
	if nx < 0 || ny < 0 || nx >= s.widthCtbs || ny >= s.heightCtbs {
		return false
	}
	at, nb := ry*s.widthCtbs+rx, ny*s.widthCtbs+nx
	if !d.pps.acrossTiles && d.tile[at] != d.tile[nb] {
		return false
	}
	if d.sliceOf[at] == d.sliceOf[nb] {
		return true
	}
	later := at
	if d.rsToTs[nb] > d.rsToTs[at] {
		later = nb
	}
	return d.slices[d.sliceOf[later]].acrossSlices
}

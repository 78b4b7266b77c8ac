package hevc

// ctu decodes the coding tree unit whose CTB is at column rx and row ry (7.3.8.2).
func (d *Decoder) ctu(rx, ry int) {
	s := d.sps
	d.ctbX, d.ctbY = rx<<s.log2Ctb, ry<<s.log2Ctb
	// Modes above are those of the CTB alone (8.4.2).
	fill8(d.modeTop[d.ctbX>>2:min((d.ctbX+1<<s.log2Ctb)>>2, len(d.modeTop))], modeDC)
	if !d.availL {
		fill8(d.modeLeft[:], modeDC)
	}
	if d.slice.saoLuma || d.slice.saoChroma {
		d.parseSAO(rx, ry)
	} else if d.saos != nil {
		d.saos[ry*s.widthCtbs+rx] = saoParams{}
	}
	d.quadtree(d.ctbX, d.ctbY, s.log2Ctb, 0)
}

func fill8(s []uint8, v uint8) {
	for i := range s {
		s[i] = v
	}
}

// saoParams are those of a CTB (7.4.9.3).
type saoParams struct {
	kind   [3]uint8 // 0 none, 1 band, 2 edge
	class  [3]uint8 // of edges, or the first band
	offset [3][4]int16
}

// parseSAO reads 7.3.8.3.
func (d *Decoder) parseSAO(rx, ry int) {
	w := d.sps.widthCtbs
	var p saoParams
	c := &d.cabac
	switch {
	case d.availL && c.bin(&d.ctx[ctxSaoMerge]) == 1:
		p = d.saoAt(ry*w + rx - 1)
	case d.availU && c.bin(&d.ctx[ctxSaoMerge]) == 1:
		p = d.saoAt((ry-1)*w + rx)
	default:
		for i := range d.components {
			if i == 0 && !d.slice.saoLuma || i > 0 && !d.slice.saoChroma {
				continue
			}
			if i == 2 {
				p.kind[2], p.class[2] = p.kind[1], p.class[1]
			} else if c.bin(&d.ctx[ctxSaoType]) == 1 {
				p.kind[i] = 1 + uint8(c.bypass())
			}
			if p.kind[i] == 0 {
				continue
			}
			d.saoOffsets(&p, i)
		}
	}
	if d.saos != nil {
		d.saos[ry*w+rx] = p
	} else {
		d.saoRow[rx] = p
	}
}

// saoAt returns the parameters of a CTB that may be merged. Where they are not kept, it is
// those of the row above or of this one, which are all that is asked for.
func (d *Decoder) saoAt(i int) saoParams {
	if d.saos != nil {
		return d.saos[i]
	}
	return d.saoRow[i%d.sps.widthCtbs]
}

func (d *Decoder) saoOffsets(p *saoParams, i int) {
	c := &d.cabac
	limit := 1<<(min(d.depth(i), 10)-5) - 1
	shift := d.pps.saoShift
	if i > 0 {
		shift = d.pps.saoShiftC
	}
	for k := range 4 {
		v := 0
		for v < limit && c.bypass() == 1 {
			v++
		}
		p.offset[i][k] = int16(v)
	}
	if p.kind[i] == 1 {
		for k := range 4 {
			if p.offset[i][k] != 0 && c.bypass() == 1 {
				p.offset[i][k] = -p.offset[i][k]
			}
		}
		p.class[i] = uint8(c.bypassBits(5))
	} else {
		if i != 2 {
			p.class[i] = uint8(c.bypassBits(2))
		}
		p.offset[i][2], p.offset[i][3] = -p.offset[i][2], -p.offset[i][3]
	}
	for k := range 4 {
		p.offset[i][k] <<= shift
	}
}

// quadtree is coding_quadtree (7.3.8.4).
func (d *Decoder) quadtree(x, y, log2, depth int) {
	s := d.sps
	size := 1 << log2
	split := log2 > s.log2MinCb
	if split && x+size <= s.width && y+size <= s.height {
		ctx := 0
		if (x > d.ctbX || d.availL) && int(d.depthLeft[y>>3&7]) > depth {
			ctx++
		}
		if (y > d.ctbY || d.availU) && int(d.depthTop[x>>3]) > depth {
			ctx++
		}
		split = d.cabac.bin(&d.ctx[ctxSplitCu+ctx]) == 1
	}
	if d.pps.cuQPDelta && log2 >= s.log2Ctb-d.pps.qpDeltaDepth {
		d.qpDeltaCoded, d.qpDelta = false, 0
		d.startQPGroup(x, y)
	}
	if d.slice.chromaOffsets && log2 >= s.log2Ctb-d.pps.chromaOffsetDepth {
		d.chromaOffsetCoded = false
	}
	if !split {
		d.codingUnit(x, y, log2, depth)
		return
	}
	half := size >> 1
	for i := range 4 {
		if nx, ny := x+i&1*half, y+i>>1*half; nx < s.width && ny < s.height {
			d.quadtree(nx, ny, log2-1, depth+1)
		}
	}
}

// startQPGroup predicts the QP of a quantization group (8.6.1).
func (d *Decoder) startQPGroup(x, y int) {
	left, above := d.lastQP, d.lastQP
	if x > d.ctbX {
		left = int(d.qps[y>>3*d.qpStride+(x-1)>>3])
	}
	if y > d.ctbY {
		above = int(d.qps[(y-1)>>3*d.qpStride+x>>3])
	}
	d.qpPredicted = (left + above + 1) >> 1
	d.setQP(d.qpPredicted)
}

// setQP takes a luma QP and what the chroma QPs become by it (8.6.1).
func (d *Decoder) setQP(qp int) {
	d.qp = qp
	d.scaleQP[0] = qp + 6*(d.sps.depth-8)
	for c := 1; c < d.components; c++ {
		offset := d.pps.cbOffset + d.slice.cbOffset + d.cuCbOffset
		if c == 2 {
			offset = d.pps.crOffset + d.slice.crOffset + d.cuCrOffset
		}
		bias := 6 * (d.sps.depthC - 8)
		d.scaleQP[c] = d.chromaQP(min(max(qp+offset, -bias), 57)) + bias
	}
}

// chromaQP is QpC by qPi (Table 8-10).
func (d *Decoder) chromaQP(qp int) int {
	switch {
	case d.sps.chroma != 1:
		return min(qp, 51)
	case qp < 30:
		return qp
	case qp >= 43:
		return qp - 6
	}
	return int([13]uint8{29, 30, 31, 32, 33, 33, 34, 34, 35, 35, 36, 36, 37}[qp-30])
}

// unit is a coding unit.
type unit struct {
	x, y, log2 int
	parts      bool // NxN
	luma       [4]uint8
	chroma     [4]uint8 // prediction modes
	derived    [4]bool  // chroma's is luma's
}

// codingUnit is coding_unit (7.3.8.5).
func (d *Decoder) codingUnit(x, y, log2, depth int) {
	s, c := d.sps, &d.cabac
	d.cuBypass = d.pps.transquantBypass && c.bin(&d.ctx[ctxBypassCu]) == 1
	u := &d.unit
	*u = unit{x: x, y: y, log2: log2}
	if log2 == s.log2MinCb {
		u.parts = c.bin(&d.ctx[ctxPartMode]) == 0
	}
	pcm := !u.parts && s.pcm && log2 >= s.log2MinPCM && log2 <= s.log2MaxPCM && c.terminate()
	size := 1 << log2
	if pcm {
		d.pcm(x, y, log2)
		d.setModes(x, y, size, modeDC)
		d.markEdges(x, y, log2)
	} else {
		d.predictionModes(u)
		d.transformTree(x, y, x, y, log2, 0, 0, 0, 0)
	}
	d.lastQP = d.qp
	for i := x >> 3; i < (x+size)>>3; i++ {
		d.depthTop[i] = uint8(depth)
	}
	for i := y >> 3; i < (y+size)>>3; i++ {
		d.depthLeft[i&7] = uint8(depth)
	}
	for i := y >> 3; i < (y+size)>>3; i++ {
		row := d.qps[i*d.qpStride+x>>3:][:size>>3]
		for j := range row {
			row[j] = int8(d.qp)
		}
	}
	if d.unfiltered != nil && (d.cuBypass || pcm && s.pcmNoFilter) {
		for i := y >> 3; i < (y+size)>>3; i++ {
			fill8(d.unfiltered[i*d.qpStride+x>>3:][:size>>3], 1)
		}
		d.anyUnfiltered = true
	}
}

func (d *Decoder) setModes(x, y, size int, mode uint8) {
	fill8(d.modeTop[x>>2:(x+size)>>2], mode)
	for i := y >> 2; i < (y+size)>>2; i++ {
		d.modeLeft[i&15] = mode
	}
}

// pcm reads 7.3.8.7.
func (d *Decoder) pcm(x, y, log2 int) {
	s := d.sps
	r := bitReader{data: d.cabac.data, pos: 8 * min(d.cabac.next(), len(d.cabac.data))}
	for c := range d.components {
		p := &d.planes[c]
		w, h, px, py, depth := 1<<log2, 1<<log2, x, y, s.pcmDepth
		if c > 0 {
			w, h, px, py, depth = w>>s.subW, h>>s.subH, x>>s.subW, y>>s.subH, s.pcmDepthC
		}
		shift := d.depth(c) - depth
		for j := range h {
			row := p.pix[(py+j-p.top)*p.stride+px:][:w]
			for i := range row {
				row[i] = uint16(r.u(depth) << shift)
			}
		}
	}
	if r.over {
		d.truncated = true
	}
	d.cabac.start((r.pos + 7) >> 3)
}

// predictionModes reads and derives the modes of a unit (7.3.8.5, 8.4.2, 8.4.3).
func (d *Decoder) predictionModes(u *unit) {
	c := &d.cabac
	n, size := 1, 1<<u.log2
	if u.parts {
		n, size = 4, size>>1
	}
	var prev [4]bool
	for i := range n {
		prev[i] = c.bin(&d.ctx[ctxPrevIntra]) == 1
	}
	for i := range n {
		x, y := u.x+i&1*size, u.y+i>>1*size
		a, b := int(d.modeLeft[y>>2&15]), int(d.modeTop[x>>2])
		var likely [3]int
		switch {
		case a == b && a < 2:
			likely = [3]int{modePlanar, modeDC, modeVertical}
		case a == b:
			likely = [3]int{a, 2 + (a+29)&31, 2 + (a-1)&31}
		default:
			third := modeVertical
			if a != modePlanar && b != modePlanar {
				third = modePlanar
			} else if a != modeDC && b != modeDC {
				third = modeDC
			}
			likely = [3]int{a, b, third}
		}
		var mode int
		if prev[i] {
			k := 0
			if c.bypass() == 1 {
				k = 1 + int(c.bypass())
			}
			mode = likely[k]
		} else {
			mode = int(c.bypassBits(5))
			if likely[0] > likely[1] {
				likely[0], likely[1] = likely[1], likely[0]
			}
			if likely[0] > likely[2] {
				likely[0], likely[2] = likely[2], likely[0]
			}
			if likely[1] > likely[2] {
				likely[1], likely[2] = likely[2], likely[1]
			}
			for _, l := range likely {
				if mode >= l {
					mode++
				}
			}
		}
		u.luma[i] = uint8(mode)
		d.setModes(x, y, size, uint8(mode))
	}
	switch d.sps.chroma {
	case 0:
		return
	case 3:
	default:
		n = 1
	}
	for i := range n {
		mode := u.luma[i]
		if c.bin(&d.ctx[ctxChromaMode]) == 0 {
			u.derived[i] = true
		} else {
			coded := [4]uint8{modePlanar, modeVertical, modeHorizontal, modeDC}[c.bypassBits(2)]
			if coded == mode {
				coded = 34
			}
			mode = coded
		}
		if d.sps.chroma == 2 {
			mode = mode422[mode]
		}
		u.chroma[i] = mode
	}
}

// transformTree is transform_tree (7.3.8.8). cbfCb and cbfCr are the flags of the parent, in 4:2:2 of
// its upper and its lower half.
func (d *Decoder) transformTree(x, y, baseX, baseY, log2, depth, index int, cbfCb, cbfCr uint32) {
	s, c := d.sps, &d.cabac
	parts := d.unit.parts
	var split bool
	if log2 <= s.log2MaxTb && log2 > s.log2MinTb && depth < s.maxDepthIntra+b2i(parts) && !(parts && depth == 0) {
		split = c.bin(&d.ctx[ctxSplitTransform+5-log2]) == 1
	} else {
		split = log2 > s.log2MaxTb || parts && depth == 0
	}
	if log2 > 2 && s.chroma != 0 || s.chroma == 3 {
		two := s.chroma == 2 && (!split || log2 == 3)
		cbfCb = d.chromaFlags(cbfCb, depth, two)
		cbfCr = d.chromaFlags(cbfCr, depth, two)
	}
	if split {
		half := 1 << (log2 - 1)
		for i := range 4 {
			d.transformTree(x+i&1*half, y+i>>1*half, x, y, log2-1, depth+1, i, cbfCb, cbfCr)
		}
		return
	}
	ctx := ctxCbfLuma
	if depth == 0 {
		ctx++
	}
	d.transformUnit(x, y, baseX, baseY, log2, index, c.bin(&d.ctx[ctx]) == 1, cbfCb, cbfCr)
}

// chromaFlags reads cbf_cb or cbf_cr where the parent has it.
func (d *Decoder) chromaFlags(parent uint32, depth int, two bool) uint32 {
	if depth > 0 && parent == 0 {
		return 0
	}
	v := d.cabac.bin(&d.ctx[ctxCbfChroma+depth])
	if two {
		v |= d.cabac.bin(&d.ctx[ctxCbfChroma+depth]) << 1
	}
	return v
}

// transformUnit is transform_unit (7.3.8.10) with the decoding of its blocks (8.6).
func (d *Decoder) transformUnit(x, y, baseX, baseY, log2, index int, cbfY bool, cbfCb, cbfCr uint32) {
	s, u := d.sps, &d.unit
	cbfC := cbfCb|cbfCr != 0
	if cbfY || cbfC {
		if d.pps.cuQPDelta && !d.qpDeltaCoded {
			d.parseQPDelta()
		}
		if d.slice.chromaOffsets && cbfC && !d.cuBypass && !d.chromaOffsetCoded {
			d.parseChromaOffset()
		}
	}
	d.markEdges(x, y, log2)
	part := 0
	if u.parts {
		half := 1 << (u.log2 - 1)
		part = b2i(x >= u.x+half) + 2*b2i(y >= u.y+half)
	}
	mode := int(u.luma[part])
	d.predict(0, x, y, log2, mode)
	if cbfY {
		d.residual(0, x, y, log2, mode, 0)
	}
	switch {
	case s.chroma == 0:
		return
	case s.chroma == 3:
	case log2 > 2:
		log2, part = log2-1, 0
	case index == 3: // chroma of four blocks of 4 × 4
		x, y, part = baseX, baseY, 0
	default:
		return
	}
	mode = int(u.chroma[part])
	cross := d.pps.crossComponent && cbfY && u.derived[part]
	halves := 1 + b2i(s.chroma == 2)
	for c := 1; c < 3; c++ {
		flags := cbfCb
		if c == 2 {
			flags = cbfCr
		}
		scale := int32(0)
		if cross {
			scale = d.parseResScale(c - 1)
		}
		for i := range halves {
			cx, cy := x>>s.subW, y>>s.subH+i<<log2
			d.predict(c, cx, cy, log2, mode)
			if flags>>i&1 == 1 {
				d.residual(c, cx, cy, log2, mode, scale)
			} else if scale != 0 {
				d.addLuma(c, cx, cy, log2, scale)
			}
		}
	}
}

// parseQPDelta reads cu_qp_delta_abs and its sign (7.3.8.14).
func (d *Decoder) parseQPDelta() {
	c := &d.cabac
	v := 0
	for v < 5 && c.bin(&d.ctx[ctxQPDelta+min(v, 1)]) == 1 {
		v++
	}
	if v == 5 {
		k := 0
		for k < 8 && c.bypass() == 1 {
			v += 1 << k
			k++
		}
		v += int(c.bypassBits(k))
	}
	if v > 0 && c.bypass() == 1 {
		v = -v
	}
	bias := 6 * (d.sps.depth - 8)
	if v < -(26+bias/2) || v > 25+bias/2 {
		d.damaged = true
		v = 0
	}
	d.qpDeltaCoded, d.qpDelta = true, v
	d.setQP((d.qpPredicted+v+52+2*bias)%(52+bias) - bias)
}

// parseChromaOffset reads cu_chroma_qp_offset_flag and its index (7.4.9.14).
func (d *Decoder) parseChromaOffset() {
	c := &d.cabac
	d.chromaOffsetCoded = true
	d.cuCbOffset, d.cuCrOffset = 0, 0
	if c.bin(&d.ctx[ctxChromaOffset]) == 1 {
		i := 0
		for i < len(d.pps.cbList)-1 && c.bin(&d.ctx[ctxChromaIndex]) == 1 {
			i++
		}
		d.cuCbOffset, d.cuCrOffset = d.pps.cbList[i], d.pps.crList[i]
	}
	d.setQP(d.qp)
}

// parseResScale reads cross_comp_pred and returns ResScaleVal (7.3.8.12).
func (d *Decoder) parseResScale(i int) int32 {
	c := &d.cabac
	v := 0
	for v < 4 && c.bin(&d.ctx[ctxResScale+4*i+v]) == 1 {
		v++
	}
	if v == 0 {
		return 0
	}
	scale := int32(1) << (v - 1)
	if c.bin(&d.ctx[ctxResSign+i]) == 1 {
		scale = -scale
	}
	return scale
}

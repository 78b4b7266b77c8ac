package hevc

// slice is what a slice segment's header says (7.3.6.1). A dependent segment has
// that of the segment before it.
type slice struct {
	pps                *pps
	address            int // of the first CTB of the slice, in raster scan
	qp                 int
	cbOffset, crOffset int // of the slice, without the picture's
	saoLuma, saoChroma bool
	deblockDisabled    bool
	beta, tc           int
	acrossSlices       bool
	chromaOffsets      bool // cu_chroma_qp_offset_enabled_flag
}

// segment is a slice segment.
type segment struct {
	slice
	first     bool
	dependent bool
	at        int    // the first CTB's address in raster scan
	data      []byte // slice_segment_data
}

const sliceI = 2

// parseSegment reads the header of a slice segment in the RBSP of a NAL unit. last is the slice
// that a dependent segment goes on with.
func (d *Decoder) parseSegment(ps *ParameterSets, kind int, rbsp []byte, last *slice) (*segment, error) {
	r := &bitReader{data: rbsp}
	g := &segment{first: r.flag()}
	if kind >= nalIRAPFirst && kind <= nalIRAPLast {
		r.flag()
	}
	id, ok := r.upTo(maxSets - 1)
	if !ok || ps.pps[id] == nil {
		return nil, FormatError("slice without its picture parameter set")
	}
	p := ps.pps[id]
	s := ps.sps[p.sps]
	if s == nil {
		return nil, FormatError("slice without its sequence parameter set")
	}
	if g.first {
		if last != nil {
			return g, nil // of the next picture
		}
		if err := d.begin(s, p); err != nil {
			return nil, err
		}
	} else {
		if d.sps != s {
			return nil, FormatError("slice is of no picture")
		}
		if p.dependentSlices {
			g.dependent = r.flag()
		}
		g.at = int(r.u(ceilLog2(s.widthCtbs * s.heightCtbs)))
		if g.at >= s.widthCtbs*s.heightCtbs {
			return nil, FormatError("address of a slice")
		}
	}
	if p != d.pps {
		return nil, UnsupportedError("picture with several picture parameter sets")
	}
	if g.dependent {
		if last == nil {
			return nil, FormatError("dependent slice without the one that it depends on")
		}
		g.slice = *last
	} else if err := g.header(r, kind, s, p); err != nil {
		return nil, err
	}
	if p.tiles || p.wavefront {
		n, ok := r.upTo(s.widthCtbs * s.heightCtbs)
		if !ok {
			return nil, FormatError("entry points")
		}
		if n > 0 {
			width, ok := r.upTo(31)
			if !ok {
				return nil, FormatError("entry points")
			}
			r.skip(n * (width + 1))
		}
	}
	if p.headerExtension {
		n, ok := r.upTo(256)
		if !ok {
			return nil, FormatError("extension of a slice header")
		}
		r.skip(8 * n)
	}
	if !r.flag() || r.over {
		return nil, FormatError("header of a slice is cut")
	}
	g.data = rbsp[(r.pos+7)/8:]
	return g, nil
}

// header reads what an independent segment's header has of its own.
func (g *segment) header(r *bitReader, kind int, s *sps, p *pps) error {
	g.slice = slice{pps: p, address: g.at, deblockDisabled: p.deblockDisabled, beta: p.beta, tc: p.tc, acrossSlices: p.acrossSlices}
	r.skip(p.extraBits)
	if t := r.ue(); t != sliceI {
		if t > sliceI {
			return FormatError("type of a slice")
		}
		return UnsupportedError("picture that is predicted from others")
	}
	if p.outputFlag {
		r.flag()
	}
	if kind != nalIDRFirst && kind != nalIDRLast {
		if err := g.references(r, s); err != nil {
			return err
		}
	}
	if s.sao {
		g.saoLuma = r.flag()
		if s.chroma != 0 {
			g.saoChroma = r.flag()
		}
	}
	g.qp = p.initQP + r.se()
	if g.qp < -6*(s.depth-8) || g.qp > 51 {
		return FormatError("QP of a slice")
	}
	if p.sliceChromaOffsets {
		g.cbOffset, g.crOffset = r.se(), r.se()
		if !within(g.cbOffset, 12) || !within(g.crOffset, 12) {
			return FormatError("chroma QP of a slice")
		}
	}
	if p.chromaOffsetLists {
		g.chromaOffsets = r.flag()
	}
	if p.deblockOverride && r.flag() {
		if g.deblockDisabled = r.flag(); !g.deblockDisabled {
			var ok bool
			if g.beta, g.tc, ok = deblockOffsets(r); !ok {
				return FormatError("deblocking offsets of a slice")
			}
		}
	}
	if p.acrossSlices && (g.saoLuma || g.saoChroma || !g.deblockDisabled) {
		g.acrossSlices = r.flag()
	}
	return nil
}

// references passes over the reference pictures, which a picture that is no IDR lists though it be intra.
func (g *segment) references(r *bitReader, s *sps) error {
	r.skip(s.log2MaxPOC)
	if !r.flag() {
		if _, ok := refSet(r, s.refSets, len(s.refSets), len(s.refSets)); !ok {
			return FormatError("reference picture set of a slice")
		}
	} else if len(s.refSets) > 1 {
		r.skip(ceilLog2(len(s.refSets)))
	}
	if s.longTerm {
		inSPS, ok := 0, true
		if s.longTermSPS > 0 {
			inSPS, ok = r.upTo(s.longTermSPS)
		}
		n, ok2 := r.upTo(32)
		if !ok || !ok2 {
			return FormatError("long-term reference pictures of a slice")
		}
		for i := range inSPS + n {
			if i < inSPS {
				r.skip(ceilLog2(s.longTermSPS))
			} else {
				r.skip(s.log2MaxPOC + 1)
			}
			if r.flag() {
				r.ue()
			}
		}
	}
	if s.temporalMVP {
		r.flag()
	}
	return nil
}

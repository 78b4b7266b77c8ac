package hevc

import (
	"context"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// Options are the limits of a decode. The zero value decodes what there is.
type Options struct {
	// MaxPixels bounds the pixels of a picture as coded; 0 is no limit.
	MaxPixels int64
	// NoFilters leaves out deblocking and sample adaptive offset. Intra prediction takes
	// the samples before them, so that it is only the picture's own samples that differ.
	NoFilters bool
	// Raw, where it is set, is handed the picture as it is with NoFilters, beside the sink.
	Raw func(Band) error
	// Work is what decoding spends its units from; nil counts nothing.
	Work *work.Budget
}

// Info is what a sequence parameter set tells of its pictures.
type Info struct {
	// Width and Height are in luma samples within the conformance window, CodedWidth and CodedHeight without it.
	Width, Height, CodedWidth, CodedHeight int
	// Chroma is chroma_format_idc: 0 is monochrome, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
	Chroma int
	// Depth and DepthC are the bits of a sample of luma and of chroma, 8 to 12.
	Depth, DepthC int
	Colour        Colour

	log2Ctb int
}

// Components is how many planes a picture has, 1 or 3.
func (i Info) Components() int { return 1 + 2*b2i(i.Chroma != 0) }

// Subsampling is by how much a component has fewer samples than luma, 1 or 2 in each direction.
func (i Info) Subsampling(c int) (x, y int) {
	if c == 0 {
		return 1, 1
	}
	return 1 + b2i(i.Chroma == 1 || i.Chroma == 2), 1 + b2i(i.Chroma == 1)
}

func (s *sps) info() Info {
	return Info{
		Width: s.width - s.left - s.right, Height: s.height - s.top - s.bottom, CodedWidth: s.width, CodedHeight: s.height,
		Chroma: s.chroma, Depth: s.depth, DepthC: s.depthC, Colour: s.colour, log2Ctb: s.log2Ctb,
	}
}

// Info returns what the sequence parameter set tells that a picture parameter set refers to: the
// first of them, for there is one as a rule. It is false where there is none.
func (p *ParameterSets) Info() (Info, bool) {
	for _, pic := range p.pps {
		if pic != nil && p.sps[pic.sps] != nil {
			return p.sps[pic.sps].info(), true
		}
	}
	return Info{}, false
}

// Columns is the most columns of tiles that a picture may have.
func (p *ParameterSets) Columns() int {
	n := 1
	for _, pic := range p.pps {
		if pic != nil {
			n = max(n, pic.columns)
		}
	}
	return n
}

// MemoryNeeded returns an upper bound of the bytes that decoding a picture allocates beside
// its data, of which it takes a copy of the largest NAL unit. A picture of several columns of tiles is held
// whole: its CTBs come in another order than its rows.
func MemoryNeeded(i Info, columns bool) int64 {
	w, h := int64(i.CodedWidth), int64(i.CodedHeight)
	ctb := int64(1) << i.log2Ctb
	rows := 3*ctb + 1
	if columns {
		rows = h
	}
	// Samples of 16 bits, with those of a row of CTBs after the filters; edges, QPs and marks of
	// blocks of 8 × 8; and what is known of each CTB.
	samples := int64(4 + []int{0, 2, 4, 8}[i.Chroma])
	return w*(min(rows, h)+ctb)*samples/2 + w*h/10 + (w/ctb+1)*(h/ctb+1)*64 + 64<<10
}

// Band is some rows of a picture, within the conformance window, from the top down.
type Band struct {
	// Planes are one for each component.
	Planes []BandPlane
}

// BandPlane is rows of a component. They are valid until the sink returns.
type BandPlane struct {
	// Pix holds sample (x, y+Y) at y*Stride + x.
	Pix     []uint16
	Stride  int
	Width   int
	Y, Rows int
	Depth   int // bits of a sample
}

// plane is the rows of a component that are held.
type plane struct {
	pix    []uint16
	stride int
	height int // of the component
	top    int // the first row held
	rows   int // how many are
}

// Decoder decodes pictures, one after the other, and keeps its memory from one to the
// next. The zero value is ready. It is not safe for concurrent use.
type Decoder struct {
	o          Options
	sps        *sps
	pps        *pps
	sink       func(Band) error
	want       Info
	components int
	planes     [3]plane
	filtered   [3]plane // a row of CTBs after the sample adaptive offset
	banded     bool     // rows are handed out while decoding
	emitted    int      // rows of CTBs handed out
	emittedRaw int
	band       Band
	deblocked  int

	// Of the picture, by CTB:
	rsToTs, tsToRs []int32
	tile           []int32 // by address in raster scan
	tileX          []int32 // the first column of the tile, by column
	sliceOf        []int32 // index of the slice, -1 before it is decoded
	saos           []saoParams
	saoRow         []saoParams // the latest of each column, where no more is kept
	slices         []slice
	next           int // in tile scan, of the CTB to be decoded
	rbsp           []byte

	// Of blocks of 8 × 8 luma samples, qpStride in a row:
	qps        []int8
	unfiltered []uint8
	qpStride   int
	// Edges to be filtered, of 4 samples each: vertical ones at y>>2*qpStride + x>>3, horizontal ones at y>>3*2*qpStride + x>>2.
	vEdges, hEdges []uint8
	anyUnfiltered  bool

	// Of the slice and the CTB under way:
	cabac cabac
	models
	wpp, dependent models
	slice          slice
	lists          *scalingLists
	ctbX, ctbY     int
	// Whether the CTBs to the left, above, and above to the left and right may be predicted from.
	availL, availU, availUL, availUR bool
	edgeL, edgeU                     bool // the CTB's left and upper edge are deblocked
	modeTop                          []uint8
	modeLeft                         [16]uint8
	depthTop                         []uint8
	depthLeft                        [8]uint8

	qp, lastQP, qpPredicted, qpDelta int
	qpDeltaCoded, chromaOffsetCoded  bool
	cuCbOffset, cuCrOffset           int
	scaleQP                          [3]int
	cuBypass                         bool
	unit                             unit
	damaged, truncated               bool

	border, smoothed border
	coef             [32 * 32]int32
	lumaResidual     [32 * 32]int32
}

func (d *Decoder) depth(c int) int {
	if c == 0 {
		return d.sps.depth
	}
	return d.sps.depthC
}

func (d *Decoder) maxSample(c int) int { return 1<<d.depth(c) - 1 }

// Decode decodes the first picture of the NAL units, each without start code or length, and hands it
// to sink from the top down. Parameter sets among the NAL units come on top of ps, which is not
// changed. Its size, chroma and depth must be those of want, unless that is the zero value. The error is [ErrTruncated], [ErrTooLarge], a [FormatError], an [UnsupportedError],
// work.ErrExceeded, that of the sink or that of the context; rows that were handed out before are then worth nothing.
func (d *Decoder) Decode(ctx context.Context, ps *ParameterSets, want Info, nals [][]byte, o Options, sink func(Band) error) error {
	d.o, d.sink, d.want, d.sps, d.pps = o, sink, want, nil, nil
	own := false
	var last *slice
	for _, nal := range nals {
		kind, layer, ok := nalHeader(nal)
		if !ok {
			return FormatError("NAL unit without a header")
		}
		switch {
		case layer != 0:
			continue
		case kind == nalSPS || kind == nalPPS:
			if last != nil && d.next == len(d.tsToRs) {
				return d.finish()
			}
			if err := d.o.Work.Spend(UnitsPerParameterSet); err != nil {
				return err
			}
			if !own {
				ps, own = ps.Clone(), true
			}
			if err := ps.Add(nal); err != nil {
				return err
			}
			continue
		case kind > nalIRAPLast-2 || kind > 9 && kind < nalIRAPFirst:
			continue // no slice
		}
		d.rbsp = unescape(d.rbsp[:0], nal[2:])
		g, err := d.parseSegment(ps, kind, d.rbsp, last)
		if err != nil {
			return err
		}
		if g.first && last != nil {
			break
		}
		if !g.dependent {
			d.slices = append(d.slices, g.slice)
		}
		last = &d.slices[len(d.slices)-1]
		if err := d.segment(ctx, g); err != nil {
			return err
		}
	}
	return d.finish()
}

// finish ends a picture.
func (d *Decoder) finish() error {
	if d.sps == nil {
		return FormatError("no picture")
	}
	if d.next < len(d.tsToRs) {
		return ErrTruncated
	}
	return d.rowsDone(d.sps.heightCtbs, true)
}

// begin prepares for a picture.
func (d *Decoder) begin(s *sps, p *pps) error {
	if d.o.MaxPixels > 0 && int64(s.width)*int64(s.height) > d.o.MaxPixels {
		return ErrTooLarge
	}
	if i := s.info(); d.want.Width != 0 && (i.Width != d.want.Width || i.Height != d.want.Height || i.Chroma != d.want.Chroma ||
		i.Depth != d.want.Depth || i.DepthC != d.want.DepthC) {
		return FormatError("picture is of another kind than its parameter sets told")
	}
	if p.qpDeltaDepth > s.log2Ctb-s.log2MinCb || p.chromaOffsetDepth > s.log2Ctb-s.log2MinCb || p.log2MaxSkip > s.log2MaxTb {
		return FormatError("picture parameter set does not fit its sequence")
	}
	if s.chroma != 3 && p.crossComponent {
		return FormatError("prediction across components that differ in size")
	}
	d.sps, d.pps = s, p
	d.components = 1 + 2*b2i(s.chroma != 0)
	d.lists = nil
	if s.scalingList {
		if d.lists = s.lists; p.scalingList {
			d.lists = p.lists
		}
	}
	if err := d.layTiles(); err != nil {
		return err
	}
	n := s.widthCtbs * s.heightCtbs
	d.sliceOf = grow(d.sliceOf, n)
	for i := range d.sliceOf {
		d.sliceOf[i] = -1
	}
	d.slices = d.slices[:0]
	d.next, d.emitted, d.emittedRaw, d.deblocked = 0, 0, 0, 0
	d.damaged, d.truncated = false, false

	d.qpStride = s.width >> 3
	blocks := d.qpStride * (s.height >> 3)
	d.qps = grow(d.qps, blocks)
	filters := !d.o.NoFilters
	d.anyUnfiltered = false
	d.saos, d.unfiltered = d.saos[:0], d.unfiltered[:0]
	d.vEdges, d.hEdges = d.vEdges[:0], d.hEdges[:0]
	if filters {
		d.vEdges, d.hEdges = grow(d.vEdges, 2*blocks), grow(d.hEdges, 2*blocks)
		clear(d.vEdges)
		clear(d.hEdges)
		d.unfiltered = grow(d.unfiltered, blocks)
		clear(d.unfiltered)
		if s.sao {
			d.saos = grow(d.saos, n)
			clear(d.saos)
		}
	}
	d.saoRow = grow(d.saoRow, s.widthCtbs)
	d.modeTop, d.depthTop = grow(d.modeTop, s.width>>2), grow(d.depthTop, d.qpStride)

	d.banded = p.columns == 1
	for c := range d.components {
		w, h, ctb := s.width, s.height, 1<<s.log2Ctb
		if c > 0 {
			w, h, ctb = w>>s.subW, h>>s.subH, ctb>>s.subH
		}
		rows := h
		if d.banded {
			// The row of CTBs above the one being decoded is yet to be deblocked, the one above that to be offset.
			rows = min(h, ctb+1+2*ctb*b2i(filters))
		}
		pl := &d.planes[c]
		*pl = plane{pix: grow(pl.pix, w*rows), stride: w, height: h, rows: rows}
		if filters && s.sao {
			f := &d.filtered[c]
			*f = plane{pix: grow(f.pix, w*ctb), stride: w, height: h, rows: ctb}
		}
	}
	return nil
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// layTiles makes the order of CTBs (6.5.1).
func (d *Decoder) layTiles() error {
	s, p := d.sps, d.pps
	if p.columns > s.widthCtbs || p.rows > s.heightCtbs {
		return FormatError("more tiles than blocks")
	}
	columns, ok1 := boundaries(p.columns, s.widthCtbs, p.uniform, p.columnWidths)
	rows, ok2 := boundaries(p.rows, s.heightCtbs, p.uniform, p.rowHeights)
	if !ok1 || !ok2 {
		return FormatError("tiles are larger than the picture")
	}
	n := s.widthCtbs * s.heightCtbs
	d.rsToTs, d.tsToRs, d.tile = grow(d.rsToTs, n), grow(d.tsToRs, n), grow(d.tile, n)
	d.tileX = grow(d.tileX, s.widthCtbs)
	ts := 0
	for j := range p.rows {
		for i := range p.columns {
			for y := rows[j]; y < rows[j+1]; y++ {
				for x := columns[i]; x < columns[i+1]; x++ {
					rs := y*s.widthCtbs + x
					d.rsToTs[rs], d.tsToRs[ts], d.tile[rs] = int32(ts), int32(rs), int32(j*p.columns+i)
					d.tileX[x] = int32(columns[i])
					ts++
				}
			}
		}
	}
	return nil
}

func boundaries(n, whole int, uniform bool, sizes []int) ([]int, bool) {
	b := make([]int, n+1)
	for i := range n {
		if uniform {
			b[i+1] = (i + 1) * whole / n
		} else if i < n-1 {
			b[i+1] = b[i] + sizes[i]
		} else {
			b[n] = whole
		}
		if b[i+1] <= b[i] {
			return nil, false
		}
	}
	return b, true
}

// Units of work, measured by BenchmarkDecode: for a sample, and for a byte of the slices.
const (
	unitsPerSample = 12
	unitsPerByte   = 60
)

// UnitsPerParameterSet are the units of work of [ParameterSets.Add], whatever the set holds.
const UnitsPerParameterSet = 5_000

// segment decodes a slice segment (7.3.8.1).
func (d *Decoder) segment(ctx context.Context, g *segment) error {
	s, p := d.sps, d.pps
	w := s.widthCtbs
	if d.next >= len(d.tsToRs) || int(d.rsToTs[g.at]) != d.next {
		return FormatError("slices are missing or out of order")
	}
	if err := d.o.Work.Spend(unitsPerByte * int64(len(g.data))); err != nil {
		return err
	}
	d.slice = g.slice
	index := int32(len(d.slices) - 1)
	d.cabac.data = g.data
	d.cabac.start(0)
	samples := int64(1) << (2*s.log2Ctb - 1) * int64(2+[]int{0, 1, 2, 4}[s.chroma])
	for first := true; ; first = false {
		rs := int(d.tsToRs[d.next])
		rx, ry := rs%w, rs/w
		tileStart := d.next == 0 || d.tile[rs] != d.tile[d.tsToRs[d.next-1]]
		rowStart := int(d.tileX[rx]) == rx && p.wavefront
		if first || rx == int(d.tileX[rx]) {
			if err := ctx.Err(); err != nil {
				return err
			}
			d.room(ry)
		}
		if err := d.o.Work.Spend(unitsPerSample * samples); err != nil {
			return err
		}
		d.sliceOf[rs] = index
		d.neighbours(rx, ry)
		switch {
		case tileStart:
			d.reset(d.slice.qp)
		case rowStart && d.availUR:
			d.models = d.wpp
		case first && g.dependent:
			d.models = d.dependent
		case first || rowStart:
			d.reset(d.slice.qp)
		}
		if first {
			d.cuCbOffset, d.cuCrOffset = 0, 0
		}
		if tileStart || rowStart || first && !g.dependent {
			d.lastQP = d.slice.qp
		}
		if first || tileStart || rowStart {
			d.setQP(d.lastQP)
		}
		d.ctu(rx, ry)
		if p.wavefront && rx == int(d.tileX[rx])+1 {
			d.wpp = d.models
		}
		end := d.cabac.terminate()
		if d.truncated || d.cabac.over() {
			return ErrTruncated
		}
		if d.damaged {
			return FormatError("value out of its range in a slice")
		}
		d.next++
		if d.banded && rx == w-1 {
			if err := d.rowsDone(ry+1, false); err != nil {
				return err
			}
		}
		if end {
			d.dependent = d.models
			return nil
		}
		if d.next == len(d.tsToRs) {
			return FormatError("slice goes on behind the picture")
		}
		after := int(d.tsToRs[d.next])
		if d.tile[after] != d.tile[rs] || p.wavefront && int(d.tileX[after%w]) == after%w {
			if !d.cabac.terminate() {
				return FormatError("substream does not end")
			}
			d.cabac.start(d.cabac.next())
		}
	}
}

// neighbours finds which CTBs around may be predicted from: those of the same slice and tile (6.4.1).
func (d *Decoder) neighbours(rx, ry int) {
	w := d.sps.widthCtbs
	rs := ry*w + rx
	same := func(ok bool, nb int) bool {
		return ok && d.sliceOf[nb] == d.sliceOf[rs] && d.tile[nb] == d.tile[rs]
	}
	d.availL = same(rx > 0, rs-1)
	d.availU = same(ry > 0, rs-w)
	d.availUL = same(rx > 0 && ry > 0, rs-w-1)
	d.availUR = same(rx < w-1 && ry > 0, rs-w+1)
	// Deblocking goes over other borders (8.7.2.3).
	edge := func(ok bool, nb int) bool {
		return ok && !d.slice.deblockDisabled && (d.slice.acrossSlices || d.sliceOf[nb] == d.sliceOf[rs]) &&
			(d.pps.acrossTiles || d.tile[nb] == d.tile[rs])
	}
	d.edgeL, d.edgeU = edge(rx > 0, rs-1), edge(ry > 0, rs-w)
}

// room makes room for a row of CTBs, and lets rows go that nothing needs any more.
func (d *Decoder) room(ry int) {
	if !d.banded {
		return
	}
	for c := range d.components {
		p := &d.planes[c]
		ctb := 1 << d.sps.log2Ctb
		if c > 0 {
			ctb >>= d.sps.subH
		}
		if min((ry+1)*ctb, p.height) <= p.top+p.rows {
			continue
		}
		keep := ry*ctb - 1
		if !d.o.NoFilters {
			keep -= 2 * ctb
		}
		keep = max(keep, p.top)
		copy(p.pix, p.pix[(keep-p.top)*p.stride:])
		p.top = keep
	}
}

// rowsDone tells that rows of CTBs are decoded up to one, and filters and hands out what it can.
func (d *Decoder) rowsDone(done int, all bool) error {
	if d.o.NoFilters {
		return d.emit(&d.emitted, done, &d.planes, d.sink)
	}
	if d.o.Raw != nil {
		if err := d.emit(&d.emittedRaw, done, &d.planes, d.o.Raw); err != nil {
			return err
		}
	}
	if !all {
		done--
	}
	for d.deblocked < done {
		d.deblock(d.deblocked)
		d.deblocked++
		ready := d.deblocked - 1
		if d.deblocked == d.sps.heightCtbs {
			ready++
		}
		for d.emitted < ready {
			src := &d.planes
			if d.sps.sao {
				d.offset(d.emitted)
				src = &d.filtered
			}
			if err := d.emit(&d.emitted, d.emitted+1, src, d.sink); err != nil {
				return err
			}
		}
	}
	return nil
}

// emit hands out rows of CTBs, from those emitted before up to one.
func (d *Decoder) emit(emitted *int, until int, src *[3]plane, sink func(Band) error) error {
	s := d.sps
	for ; *emitted < until; *emitted++ {
		d.band.Planes = d.band.Planes[:0]
		for c := range d.components {
			p := &src[c]
			left, right, top, bottom, ctb := s.left, s.right, s.top, s.bottom, 1<<s.log2Ctb
			if c > 0 {
				left, right, top, bottom, ctb = left>>s.subW, right>>s.subW, top>>s.subH, bottom>>s.subH, ctb>>s.subH
			}
			from, to := max(*emitted*ctb, top), min((*emitted+1)*ctb, p.height-bottom)
			if from >= to {
				continue
			}
			d.band.Planes = append(d.band.Planes, BandPlane{
				Pix: p.pix[(from-p.top)*p.stride+left:], Stride: p.stride, Width: p.stride - left - right,
				Y: from - top, Rows: to - from, Depth: d.depth(c),
			})
		}
		if len(d.band.Planes) < d.components {
			continue // outside of the window
		}
		if err := sink(d.band); err != nil {
			return err
		}
	}
	return nil
}

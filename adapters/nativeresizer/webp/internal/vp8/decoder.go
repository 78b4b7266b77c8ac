// Package vp8 decodes VP8 key frames (RFC 6386), which are what lossy WebP images are.
//
// It does what golang.org/x/image/vp8 does for images, to the bit, but looks at a
// context and a budget between rows, and can leave the loop filter out, which is half of the
// work: pictures that are going to be shrunk do not need it.
package vp8

import (
	"context"
	"image"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// A FormatError says that the data is not a valid VP8 key frame.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "VP8: " + string(e) }

// segment is what macroblocks of a segment have in common (RFC 6386, 9.3).
type segment struct {
	y1, y2, uv [2]int32 // factors of DC and AC
	// filters are those of macroblocks predicted as a whole, and by subblocks.
	filters [2]filter
}

// blockState is what the neighbours of a macroblock need of it.
type blockState struct {
	modes [4]uint8 // of the subblocks at its edge
	y, uv [4]uint8 // whether the subblocks at its edge have coefficients; u first
	y2    uint8    // whether the second-order luma block has any
}

// decoder decodes one frame.
type decoder struct {
	mbw, mbh int // macroblocks
	first    bools
	parts    []bools

	updateMap    bool
	segmentProbs [3]uint8
	segments     [4]segment
	probs        [4][8][3][11]uint8
	skipProb     int // -1 is none
	filtered     bool
	simple       bool

	above []blockState
	left  blockState
	// strengths are of the macroblocks' filters.
	strengths []filter

	y      plane
	cb, cr plane

	coeffs  [25][16]int16 // luma, u, v, second-order luma
	last    [25]int8      // how many coefficients there may be, in zigzag order
	modes   [16]uint8     // of the subblocks
	yMode   uint8         // of all of luma
	uvMode  uint8
	byBlock bool // modes count, not yMode

	read int // places of coefficients, of the row of macroblocks
}

// Options are what a decode may cost, and what it may leave out.
type Options struct {
	// Deblock filters the picture as the format has it (RFC 6386, 15). Without it edges
	// of blocks may show.
	Deblock bool
	// Budget is nil without a bound. It is exceeded by no more than a row of macroblocks.
	Budget *work.Budget
}

// Units of work (see package work), which BenchmarkUnits of package webp measures.
const (
	blockUnits  = 500  // a macroblock, its modes and its prediction
	placeUnits  = 12   // a place of a coefficient that has been read, with its transform
	filterUnits = 1500 // the loop filter of a macroblock
)

// plane is samples with a border of one row above and of some columns to the left.
type plane struct {
	pix    []byte
	stride int
	origin int // the place of the first sample
}

// border is the width of a plane's border, of which one column counts.
const border = 8

// newPlane makes a plane with its borders as RFC 6386, 12.2 and 12.3 have them: 127 above, the
// corner and what is to the right included, and 129 to the left.
func newPlane(width, height int) plane {
	p := plane{stride: width + border}
	p.origin = p.stride + border
	p.pix = make([]byte, p.stride*(height+1)+border)
	for i := range p.origin + width {
		p.pix[i] = 127
	}
	for y := range height {
		p.pix[p.origin+y*p.stride-1] = 129
	}
	return p
}

// Decode decodes a key frame. The planes of the image are larger than its bounds: whole
// macroblocks. The errors are a FormatError, one that wraps [work.ErrExceeded], and the context's.
func Decode(ctx context.Context, data []byte, o Options) (*image.YCbCr, error) {
	d := &decoder{}
	width, height, err := d.readHeader(data)
	if err != nil {
		return nil, err
	}
	deblock := o.Deblock && d.filtered
	perRow := int64(d.mbw) * blockUnits
	if d.filtered {
		// Whether or not it is left out, so that a picture costs the same at every size.
		perRow += int64(d.mbw) * filterUnits
	}
	d.y = newPlane(16*d.mbw, 16*d.mbh)
	d.cb, d.cr = newPlane(8*d.mbw, 8*d.mbh), newPlane(8*d.mbw, 8*d.mbh)
	d.above = make([]blockState, d.mbw)
	if deblock {
		d.strengths = make([]filter, d.mbw*d.mbh)
	}
	for mby := range d.mbh {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := o.Budget.Spend(perRow + int64(d.read)*placeUnits); err != nil {
			return nil, err
		}
		d.read = 0
		part := &d.parts[mby&(len(d.parts)-1)]
		d.left = blockState{}
		for mbx := range d.mbw {
			f := d.macroblock(mbx, mby, part)
			if deblock {
				d.strengths[mby*d.mbw+mbx] = f
			}
		}
		if d.first.overrun() || part.overrun() {
			return nil, FormatError("not enough data")
		}
	}
	for mby := 0; deblock && mby < d.mbh; mby++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.filterRow(mby)
	}
	return &image.YCbCr{
		Y: d.y.pix[d.y.origin:], Cb: d.cb.pix[d.cb.origin:], Cr: d.cr.pix[d.cr.origin:],
		YStride: d.y.stride, CStride: d.cb.stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, width, height),
	}, nil
}

// readHeader reads everything before the macroblocks (RFC 6386, 9).
func (d *decoder) readHeader(data []byte) (width, height int, err error) {
	if len(data) < 10 {
		return 0, 0, FormatError("header is cut")
	}
	if data[0]&1 != 0 || data[3] != 0x9d || data[4] != 0x01 || data[5] != 0x2a {
		return 0, 0, FormatError("not a key frame")
	}
	size := (int(data[0]) | int(data[1])<<8 | int(data[2])<<16) >> 5
	width, height = int(data[6])|int(data[7]&0x3f)<<8, int(data[8])|int(data[9]&0x3f)<<8
	if width == 0 || height == 0 {
		return 0, 0, FormatError("image without pixels")
	}
	d.mbw, d.mbh = (width+15)/16, (height+15)/16
	data = data[10:]
	if size > len(data) {
		return 0, 0, FormatError("first partition is cut")
	}
	d.first = newBools(data[:size])
	data = data[size:]
	b := &d.first
	b.literal(2) // colour space and clamping type (9.2), which do not matter here

	// Segments (9.3).
	useSegments := b.flag()
	absolute := true // with values of 0, if the frame has none of its own
	var quants, levels [4]int
	d.segmentProbs = [3]uint8{255, 255, 255}
	if useSegments {
		d.updateMap = b.flag()
		if b.flag() {
			absolute = b.flag()
			for i := range quants {
				quants[i] = b.optional(7)
			}
			for i := range levels {
				levels[i] = b.optional(6)
			}
		}
		if d.updateMap {
			for i := range d.segmentProbs {
				if b.flag() {
					d.segmentProbs[i] = uint8(b.literal(8))
				}
			}
		}
	}

	// Filter (9.6).
	d.simple = b.flag()
	level, sharpness := b.literal(6), b.literal(3)
	d.filtered = level != 0
	var frameDelta, blockDelta int
	adjusts := b.flag()
	if adjusts && b.flag() {
		var deltas [8]int
		for i := range deltas {
			deltas[i] = b.optional(6)
		}
		frameDelta, blockDelta = deltas[0], deltas[4]
	}

	// Partitions (9.5).
	n := 1 << b.literal(2)
	if len(data) < 3*(n-1) {
		return 0, 0, FormatError("partition sizes are cut")
	}
	sizes := data[:3*(n-1)]
	data = data[len(sizes):]
	for ; len(sizes) > 0; sizes = sizes[3:] {
		size := int(sizes[0]) | int(sizes[1])<<8 | int(sizes[2])<<16
		if size > len(data) {
			return 0, 0, FormatError("partition is cut")
		}
		d.parts = append(d.parts, newBools(data[:size]))
		data = data[size:]
	}
	d.parts = append(d.parts, newBools(data))

	// Quantization (9.6).
	base := b.literal(7)
	var deltas [5]int // y1 DC, y2 DC, y2 AC, uv DC, uv AC
	for i := range deltas {
		deltas[i] = b.optional(4)
	}
	for i := range d.segments {
		q, l := base, level
		if useSegments {
			q, l = quants[i], levels[i]
			if !absolute {
				q, l = q+base, l+level
			}
		}
		d.segments[i] = newSegment(q, deltas)
		for j := range d.segments[i].filters {
			d.segments[i].filters[j] = newFilter(l+frameDelta+j*blockDelta, sharpness)
		}
	}

	b.flag() // whether later frames keep the probabilities (9.11)
	d.probs = defaultProbs
	for i := range d.probs {
		for j := range d.probs[i] {
			for k := range d.probs[i][j] {
				for l := range d.probs[i][j][k] {
					if b.bit(updateProbs[i][j][k][l]) != 0 {
						d.probs[i][j][k][l] = uint8(b.literal(8))
					}
				}
			}
		}
	}
	d.skipProb = -1
	if b.flag() {
		d.skipProb = b.literal(8)
	}
	if b.overrun() {
		return 0, 0, FormatError("header is cut")
	}
	return width, height, nil
}

// newSegment looks up factors (RFC 6386, 9.6 and 14.1).
func newSegment(q int, deltas [5]int) (s segment) {
	at := func(delta int) int { return min(max(q+delta, 0), 127) }
	s.y1 = [2]int32{dcFactors[at(deltas[0])], acFactors[at(0)]}
	s.y2 = [2]int32{2 * dcFactors[at(deltas[1])], max(acFactors[at(deltas[2])]*155/100, 8)}
	s.uv = [2]int32{min(dcFactors[at(deltas[3])], 132), acFactors[at(deltas[4])]}
	return s
}

// macroblock decodes and reconstructs a macroblock, and returns its filter.
func (d *decoder) macroblock(mbx, mby int, part *bools) filter {
	b := &d.first
	s := &d.segments[0]
	if d.updateMap {
		if b.bit(d.segmentProbs[0]) == 0 {
			s = &d.segments[b.bit(d.segmentProbs[1])]
		} else {
			s = &d.segments[2+b.bit(d.segmentProbs[2])]
		}
	}
	skip := d.skipProb >= 0 && b.bit(uint8(d.skipProb)) != 0
	above := &d.above[mbx]
	d.readModes(b, above)
	empty := true
	if skip {
		// The second-order block of a neighbour counts until the next one (13.3).
		d.left.y, d.left.uv, above.y, above.uv = [4]uint8{}, [4]uint8{}, [4]uint8{}, [4]uint8{}
		if !d.byBlock {
			d.left.y2, above.y2 = 0, 0
		}
		d.last = [25]int8{}
	} else {
		empty = d.readCoeffs(part, s, above)
	}
	d.reconstruct(mbx, mby)

	f := s.filters[0]
	if d.byBlock {
		f = s.filters[1]
	}
	f.inner = d.byBlock || !empty
	return f
}

// readModes reads how a macroblock is predicted (RFC 6386, 11.2 to 11.4).
func (d *decoder) readModes(b *bools, above *blockState) {
	d.byBlock = b.bit(145) == 0
	if !d.byBlock {
		switch {
		case b.bit(156) == 0:
			d.yMode = [2]uint8{modeDC, modeV}[b.bit(163)]
		default:
			d.yMode = [2]uint8{modeH, modeTM}[b.bit(128)]
		}
		m := [4]uint8{d.yMode, d.yMode, d.yMode, d.yMode}
		above.modes, d.left.modes = m, m
	} else {
		for i := range d.modes {
			x, y := i&3, i>>2
			m := blockMode(b, &modeProbs[above.modes[x]][d.left.modes[y]])
			d.modes[i], above.modes[x], d.left.modes[y] = m, m, m
		}
	}
	switch {
	case b.bit(142) == 0:
		d.uvMode = modeDC
	case b.bit(114) == 0:
		d.uvMode = modeV
	default:
		d.uvMode = [2]uint8{modeH, modeTM}[b.bit(183)]
	}
}

// blockMode reads the mode of a subblock: the tree of RFC 6386, 11.2.
func blockMode(b *bools, p *[9]uint8) uint8 {
	switch {
	case b.bit(p[0]) == 0:
		return modeDC
	case b.bit(p[1]) == 0:
		return modeTM
	case b.bit(p[2]) == 0:
		return modeV
	case b.bit(p[3]) == 0:
		if b.bit(p[4]) == 0 {
			return modeH
		}
		return [2]uint8{modeRD, modeVR}[b.bit(p[5])]
	case b.bit(p[6]) == 0:
		return modeLD
	case b.bit(p[7]) == 0:
		return modeVL
	}
	return [2]uint8{modeHD, modeHU}[b.bit(p[8])]
}

package jpeg

import (
	"context"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// Scale is the denominator of the size at which an image is decoded.
type Scale int

// The scales.
const (
	Full    Scale = 1
	Half    Scale = 2
	Quarter Scale = 4
	Eighth  Scale = 8
)

// Defaults and bounds of [Options].
const (
	// DefaultMaxWork is the least [Options.MaxWork] that an image has by
	// default. It is one to two seconds of work.
	DefaultMaxWork = 32 << 20
	// DefaultMaxICC is the default of [Options.MaxICC].
	DefaultMaxICC = 4 << 20

	// defaultVisits is how often a block of a large image may be visited by default.
	// Encoders use up to 6 scans for a component.
	defaultVisits = 16
	// scanWork is what a scan costs beyond its blocks: the tables it may define.
	scanWork = 8192
	// tickBlocks is how many blocks are decoded between looks at the context,
	// a millisecond or less.
	tickBlocks = 4096
)

// Options are the limits of a decode. The zero value is good for most uses.
type Options struct {
	// MaxWork bounds the work of a decode in block visits: the sum over all scans
	// of their blocks of 8×8 samples, with 8192 more for each scan. It does not
	// depend on the scale, though the work does: a file that is within the limit at
	// one scale is so at every scale. 0 is the greater of DefaultMaxWork and
	// 16 visits to each block; less than 0 is no limit.
	MaxWork int64
	// MaxICC bounds the size of Header.ICC in bytes. 0 is DefaultMaxICC, less
	// than 0 drops every profile.
	MaxICC int
	// Subsample decodes YCbCr of which no component is subsampled (4:4:4) as if it were 4:2:0: the
	// chroma at the next smaller scale, which costs half as much and is all that a
	// 4:2:0 thumbnail needs. The planes' H and V say so. At Eighth it changes nothing.
	Subsample bool
	// Work is what decoding may cost; nil is no limit. Once it is exceeded, the error
	// is [work.ErrExceeded].
	Work *work.Budget
}

// workspace is what a decode needs whatever the image: buffers and tables. It is reused, and its
// tables with it: most files use those that the file before had.
type workspace struct {
	src    source
	bits   entropyReader
	dc     [4]*dcTable
	ac     [4]*acTable
	blocks []mcuBlock
	place  [4][64]uint32
}

// workspaceSize is an upper bound of its size in bytes.
const workspaceSize = 512 << 10

var workspaces = sync.Pool{New: func() any {
	w := new(workspace)
	w.bits.src = &w.src
	return w
}}

// Decoder decodes one JPEG file from a reader. It is not safe for concurrent
// use.
type Decoder struct {
	*workspace // nil when closed
	opts       Options
	ctx        context.Context

	header     Header
	headerDone bool
	err        error // what ended the header
	jfif       bool
	icc        iccProfile

	frame           frame
	scan            scanHeader
	quant           [4][64]uint16 // in zigzag order
	quantDefined    [4]bool
	dcDefined       [4]bool
	acDefined       [4]bool
	restartInterval int
	pendingMarker   byte // read but not yet acted upon

	size         int // samples a block has in each direction at the largest scale
	mcusX, mcusY int // of the current scan
	pred         [4]int32
	eobRun       int
	work         int64
	ticks        int

	ended              bool // there was no EOI
	truncated, damaged bool
	fresh              [2][4]bool // Huffman tables, by class, that no scan has used yet
	counted            int64      // bytes of entropy coded data whose work has been counted
}

// Units of work (see package work), as BenchmarkUnits measures them. They are those of full
// size at every scale, so that a file costs the same whatever is made of it.
const (
	segmentUnits    = 100     // a marker segment, beside its bytes
	byteUnits       = 40      // a byte of entropy coded data: eight symbols
	tableUnits      = 2_000   // a Huffman table that is defined
	buildUnits      = 250_000 // and that a scan uses for the first time
	blockUnits      = 250     // a block that is transformed at several scales
	visitUnits      = 25      // a block in a scan of a progressive file
	scanHeaderUnits = 2_000
)

// spendScan counts a scan before it is decoded (T.81 B.2.3).
func (d *Decoder) spendScan(blocks int64) error {
	units := int64(scanHeaderUnits)
	if d.frame.progressive {
		units += blocks * visitUnits
	} else {
		units += blocks * blockUnits
	}
	for i := range d.scan.n {
		for class, id := range [2]byte{d.scan.dc[i], d.scan.ac[i]} {
			if d.fresh[class][id] {
				d.fresh[class][id] = false
				units += buildUnits
			}
		}
	}
	return d.opts.Work.Spend(units)
}

// spendBytes counts the bytes that have been taken from the input since it was called before, which
// are those of a scan.
func (d *Decoder) spendBytes() error {
	at := d.src.read - int64(d.src.wr-d.src.rd)
	n := at - d.counted
	d.counted = at
	return d.opts.Work.Spend(n * byteUnits)
}

// NewDecoder returns a decoder of the JPEG file in r. It reads r in pieces of up
// to 64 KiB, not beyond the piece that holds the end of the image.
func NewDecoder(r io.Reader, o Options) *Decoder {
	if o.MaxICC == 0 {
		o.MaxICC = DefaultMaxICC
	}
	d := &Decoder{workspace: workspaces.Get().(*workspace), opts: o}
	d.src.reset(r)
	d.header.AdobeTransform = -1
	return d
}

// Close gives the decoder's buffers back. Decode does so itself; a caller that
// reads a header only should. The header stays valid.
func (d *Decoder) Close() {
	if d.workspace == nil {
		return
	}
	d.src.reset(nil)
	d.src.ctx = nil
	clear(d.blocks) // they refer to the planes
	w := d.workspace
	d.workspace, d.ctx = nil, nil
	workspaces.Put(w)
}

// Header reads up to the first scan. It allocates nothing of the image's size.
// The error is a [FormatError], an [UnsupportedError], that of the reader
// or that of the context. The header is shared with the decoder and must not be
// changed.
func (d *Decoder) Header(ctx context.Context) (*Header, error) {
	if d.err != nil {
		return nil, d.err
	}
	if d.headerDone {
		return &d.header, nil
	}
	if d.workspace == nil {
		return nil, ErrUsed
	}
	d.ctx, d.src.ctx = ctx, ctx
	if err := d.readHeader(); err != nil {
		d.err = err
		return nil, err
	}
	return &d.header, nil
}

func (d *Decoder) readHeader() error {
	if b, ok := d.src.peek(2); !ok {
		if err := d.src.failure(); err != nil {
			return err
		}
		return FormatError("no start of image")
	} else if b[0] != 0xff || b[1] != markerSOI {
		return FormatError("no start of image")
	}
	d.src.rd += 2
	found, err := d.toScan()
	if err != nil {
		return err
	}
	if !found {
		return FormatError("no scan")
	}
	d.header.Model = d.colorModel()
	d.header.RestartInterval = d.restartInterval
	d.header.ICC = d.icc.profile()
	d.icc = iccProfile{}
	d.headerDone = true
	return nil
}

// Decode decodes the image at a scale. It reads the header if that has not been
// done. A decoder decodes once.
//
// Truncated and damaged data is no error, see [Planes]. The errors are those
// of [Decoder.Header] and [ErrTooMuchWork]; with each of them there are no planes.
func (d *Decoder) Decode(ctx context.Context, s Scale) (*Planes, error) {
	all, err := d.DecodeScales(ctx, s)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// DecodeScales is [Decoder.Decode] at several scales at once, in the order asked for. It
// costs little more than the largest of them alone, and each has the samples that
// decoding it alone gives.
func (d *Decoder) DecodeScales(ctx context.Context, scales ...Scale) ([]*Planes, error) {
	if _, err := d.Header(ctx); err != nil {
		d.Close()
		return nil, err
	}
	if d.workspace == nil {
		return nil, ErrUsed
	}
	defer d.Close()
	largest := Eighth
	for _, s := range scales {
		if !s.valid() {
			return nil, UnsupportedError("scale")
		}
		largest = min(largest, s)
	}
	if MemoryNeeded(&d.header, scales...) > math.MaxInt/2 {
		return nil, UnsupportedError("image too large for the address space")
	}
	d.ctx, d.src.ctx = ctx, ctx
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.opts.MaxWork == 0 {
		d.opts.MaxWork = max(DefaultMaxWork, defaultVisits*d.frame.blocks)
	}
	d.size = 8 / int(largest)
	planes := d.allocate(scales, largest)
	if d.frame.progressive {
		if err := d.opts.Work.Spend(d.frame.blocks * blockUnits); err != nil {
			return nil, err
		}
	}
	for {
		d.counted = d.src.read - int64(d.src.wr-d.src.rd)
		if err := d.decodeScan(); err != nil {
			return nil, err
		}
		if err := d.spendBytes(); err != nil {
			return nil, err
		}
		if d.ended {
			break
		}
		found, err := d.toScan()
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
	}
	if d.frame.progressive {
		if err := d.reconstruct(); err != nil {
			return nil, err
		}
	}
	for i := range d.frame.comps[:d.frame.n] {
		d.damaged = d.damaged || !d.frame.comps[i].seen && !d.truncated
	}
	for _, p := range planes {
		p.Truncated, p.Damaged = d.truncated, d.damaged
	}
	return planes, nil
}

func (s Scale) valid() bool { return s == Full || s == Half || s == Quarter || s == Eighth }

// MemoryNeeded returns an upper bound of the memory in bytes that decoding an image at
// these scales at once allocates: its planes, the coefficients of a progressive file and the
// buffers of the decoder. It does not count the header's own EXIF and ICC.
func MemoryNeeded(h *Header, scales ...Scale) int64 {
	if len(h.Components) > 4 {
		return 0
	}
	f := frame{width: h.Width, height: h.Height, n: len(h.Components)}
	for i, c := range h.Components {
		f.comps[i].h, f.comps[i].v = c.H, c.V
	}
	f.layout()
	var block, largest int64
	for i, s := range scales {
		if !s.valid() {
			return 0
		}
		if slices.Contains(scales[:i], s) {
			continue
		}
		size := int64(8 / s)
		block += size * size
		largest = max(largest, size)
	}
	if h.Progressive {
		block += 2 * largest * largest
		if largest > 1 {
			block += 8
		}
	}
	return f.blocks*block + workspaceSize
}

// allocate makes the planes and what a progressive file needs beside them.
func (d *Decoder) allocate(scales []Scale, largest Scale) []*Planes {
	f := &d.frame
	planes := make([]*Planes, len(scales))
	for i, s := range scales {
		if at := slices.Index(scales, s); at < i {
			planes[i] = planes[at]
			continue
		}
		planes[i] = d.allocateScale(s, s == largest)
	}
	if f.progressive {
		for i := range f.comps[:f.n] {
			c := &f.comps[i]
			fillSlot(&c.slot, c.size)
			blocks := c.gridX * c.gridY
			c.coef = make([]int16, blocks*c.size*c.size)
			if d.size > 1 {
				c.nonzero = make([]uint64, blocks)
			}
		}
	}
	return planes
}

// allocateScale makes the planes of a scale. Those of the largest are the first of each component's.
func (d *Decoder) allocateScale(s Scale, largest bool) *Planes {
	f := &d.frame
	// Chroma as 4:2:0 has it is at the next smaller scale.
	subsample := d.opts.Subsample && d.header.Model == YCbCr && f.even() && s < Eighth
	p := &Planes{
		Scale:    s,
		Width:    ceilDiv(f.width, int(s)),
		Height:   ceilDiv(f.height, int(s)),
		Model:    d.header.Model,
		Inverted: d.header.Adobe && f.n == 4,
		Planes:   make([]Plane, f.n),
		hMax:     f.hMax,
		vMax:     f.vMax,
	}
	for i := range p.Planes {
		c := &f.comps[i]
		scale, h, v := s, c.h, c.v
		switch {
		case subsample && i > 0:
			scale *= 2
		case subsample:
			h, v = 2*h, 2*v
			p.hMax, p.vMax = h, v
		}
		size := 8 / int(scale)
		r := raster{
			pix:  make([]byte, c.gridX*c.gridY*size*size),
			size: size, stride: c.gridX * size,
		}
		if !f.progressive {
			// What is not decoded stays neutral.
			fill(r.pix, 128)
		}
		if largest {
			c.raster = r
		} else {
			c.smaller = append(c.smaller, r)
		}
		p.Planes[i] = Plane{
			Pix:    r.pix,
			Stride: r.stride,
			Width:  ceilDiv(c.width, int(scale)),
			Height: ceilDiv(c.height, int(scale)),
			H:      h,
			V:      v,
		}
	}
	return p
}

func fill(b []byte, v byte) {
	if len(b) == 0 {
		return
	}
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// tick counts blocks and looks at the context now and then.
func (d *Decoder) tick(blocks int) error {
	d.ticks += blocks
	if d.ticks < tickBlocks {
		return nil
	}
	d.ticks = 0
	if err := d.spendBytes(); err != nil {
		return err
	}
	return d.ctx.Err()
}

// decodeScan decodes the scan whose header has just been read, with the
// entropy coded data that follows it (T.81 E.2.3).
func (d *Decoder) decodeScan() error {
	f, s := &d.frame, &d.scan
	blocks := 1
	if s.n == 1 {
		c := &f.comps[s.comps[0]]
		d.mcusX, d.mcusY = c.blocksX, c.blocksY
	} else {
		d.mcusX, d.mcusY = f.mcusX, f.mcusY
		blocks = 0
		for _, ci := range s.comps[:s.n] {
			blocks += f.comps[ci].h * f.comps[ci].v
		}
	}
	total := d.mcusX * d.mcusY
	d.work += int64(total)*int64(blocks) + scanWork
	if d.opts.MaxWork > 0 && d.work > d.opts.MaxWork {
		return ErrTooMuchWork
	}
	if err := d.spendScan(int64(total) * int64(blocks)); err != nil {
		return err
	}
	if f.progressive && s.first > 0 && f.comps[s.comps[0]].size == 1 {
		code, ok := d.src.skipEntropy()
		if !ok {
			return d.endOfInput()
		}
		d.pendingMarker = code
		return nil
	}
	d.prepareBlocks()
	interval := d.restartInterval
	if interval == 0 {
		interval = total
	}
	expected := byte(markerRST0)
	for mcu := 0; ; {
		count := min(interval, total-mcu)
		d.bits.start()
		d.pred, d.eobRun = [4]int32{}, 0
		complete, err := d.decodeInterval(mcu, mcu+count)
		if err != nil {
			return err
		}
		mcu += count
		code, clean, ok := d.bits.finish()
		for {
			if whole := complete && mcu == total && !d.bits.overrun(); ok || whole {
				for _, ci := range s.comps[:s.n] {
					f.comps[ci].whole = true
				}
			}
			if !ok {
				return d.endOfInput()
			}
			if !complete || !clean {
				d.damaged = true
			}
			if !isRestart(code) {
				d.damaged = d.damaged || mcu < total
				d.pendingMarker = code
				return nil
			}
			if mcu < total {
				// Numbers slightly ahead mean that intervals are missing, slightly behind
				// that this is old data; others, that the marker itself is wrong.
				ahead := int(code-expected) & 7
				if ahead == 1 || ahead == 2 {
					d.damaged = true
					mcu = min(mcu+ahead*interval, total)
					expected = code
				}
				if ahead < 6 && mcu < total {
					d.damaged = d.damaged || ahead != 0
					break
				}
			}
			d.damaged = true
			code, ok = d.src.nextMarker()
		}
		expected = markerRST0 + (expected+1)&7
	}
}

// decodeInterval decodes the MCUs from up to to, which are a restart interval
// or the whole scan. It is false if the data ended before or makes no sense.
func (d *Decoder) decodeInterval(from, to int) (bool, error) {
	switch {
	case !d.frame.progressive:
		return d.sequentialInterval(from, to)
	case d.scan.first == 0:
		return d.dcInterval(from, to)
	}
	return d.acInterval(from, to)
}

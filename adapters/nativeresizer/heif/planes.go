package heif

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
)

// Plane is samples of 8 bits: of luma and gray full range, 0 to 255; of chroma full range around 128.
type Plane struct {
	// Pix holds sample (x, y) at y*Stride + x.
	Pix                   []byte
	Stride, Width, Height int
	// PerX and PerY are how many pixels a sample stands for.
	PerX, PerY int
}

// Layer is a decoded picture.
type Layer struct {
	// Planes are Y, Cb and Cr, or Y alone. Of matrix 0 (H.273) they are G, B and R.
	Planes []Plane
	// Alpha is nil where there is none. Its size may be another than the picture's, which it covers.
	Alpha *Plane
	// Premultiplied says that colours are multiplied by alpha.
	Premultiplied bool
	// Width and Height are in pixels, X and Y the place on an overlay's canvas.
	Width, Height, X, Y int
	Orientation         int
	Colour              Colour
	ICC                 []byte
}

// Decoded is a decoded file at one reduction.
type Decoded struct {
	// Layers is one picture, but of an overlay.
	Layers []Layer
	// Fill is the canvas of an overlay: red, green, blue and alpha of 16 bits, sRGB.
	Fill [4]uint16
	// EXIF begins with a TIFF header. It is nil when there is none. Nothing in it has been checked.
	EXIF []byte
}

// reduction is how a layer is decoded.
type reduction struct {
	box     int // samples averaged in each direction
	filters bool
}

// Largest returns the greatest reduction that is at most most and that tiles allow. Reductions
// are numbered so: 1 is the picture as it is, 2 the picture without deblocking and sample
// adaptive offset, and 2k that averaged over boxes of k × k samples.
func (h *Header) Largest(most float64) int {
	if most < 2 || h.Alpha || h.Overlay {
		return 1
	}
	l := h.layers[0]
	k := int(min(most/2, maxBox))
	for ; k > 1; k-- {
		if l.divides(k) {
			break
		}
	}
	return 2 * max(k, 1)
}

// maxBox is the greatest side of a box: sums of it fit in 32 bits.
const maxBox = 128

// divides reports whether no box of k × k samples lies in several tiles.
func (l *layer) divides(k int) bool {
	if l.single {
		return true
	}
	if l.crop.Dx() != l.width || l.crop.Dy() != l.height {
		return k == 1
	}
	subX, subY := l.info.Subsampling(1)
	return (l.columns == 1 || l.info.Width/subX%k == 0) && (l.rows == 1 || l.info.Height/subY%k == 0)
}

func reductionOf(shrink int) reduction {
	if shrink == 1 {
		return reduction{1, true}
	}
	return reduction{shrink / 2, false}
}

// Decode decodes the file once, to each of some reductions that Largest returned, or 1.
// The errors are those of Header and work.ErrExceeded.
func (d *Decoder) Decode(ctx context.Context, shrinks ...int) ([]*Decoded, error) {
	h, err := d.Header(ctx)
	if err != nil {
		return nil, err
	}
	if d.src == nil {
		return nil, ErrUsed
	}
	defer d.Close()
	d.use(ctx)
	spans, err := d.read(h)
	if err != nil {
		return nil, err
	}
	out := make([]*Decoded, len(shrinks))
	reductions := make([]reduction, len(shrinks))
	for i, k := range shrinks {
		out[i], reductions[i] = &Decoded{Fill: h.fill}, reductionOf(k)
	}
	if h.exif != nil {
		exif := tiff(d.data(h.exif, spans))
		for _, p := range out {
			p.EXIF = exif
		}
	}
	for i, l := range h.layers {
		pictures, err := d.layer(ctx, l, spans, reductions, false)
		if err != nil {
			return nil, err
		}
		var alpha [][]Plane
		if a := h.alphas[i]; a != nil {
			if alpha, err = d.layer(ctx, a, spans, reductions, true); err != nil {
				return nil, err
			}
		}
		for j, planes := range pictures {
			layer := Layer{
				Planes: planes, Width: l.crop.Dx(), Height: l.crop.Dy(), X: l.x, Y: l.y, Orientation: l.orientation,
				Colour: l.colour, ICC: l.icc, Premultiplied: h.Premultiplied,
			}
			if alpha != nil {
				layer.Alpha = &alpha[j][0]
			}
			out[j].Layers = append(out[j].Layers, layer)
		}
	}
	return out, nil
}

// tiff returns the TIFF structure in an Exif item (ISO/IEC 23008-12, A.2.1).
func tiff(data []byte) []byte {
	f := fields{data: data}
	skip := f.u32()
	if f.over || uint64(skip) > uint64(len(f.data)) {
		return nil
	}
	return append([]byte(nil), f.data[skip:]...)
}

// layer decodes a layer to each of some reductions, its tiles side by side.
func (d *Decoder) layer(ctx context.Context, l *layer, spans []span, reductions []reduction, alpha bool) ([][]Plane, error) {
	components := l.info.Components()
	if alpha {
		components = 1
	}
	targets := make([][]*target, len(reductions))
	for i, r := range reductions {
		for c := range components {
			targets[i] = append(targets[i], newTarget(l, c, r, alpha))
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var failed error
	failedAt, next := len(l.tiles), 0
	var panicked any
	var wg sync.WaitGroup
	for range min(d.o.Workers, len(l.tiles)) {
		wg.Go(func() {
			// On this goroutine it would end the process; the caller's recovers.
			defer func() {
				if p := recover(); p != nil {
					mu.Lock()
					defer mu.Unlock()
					panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
					cancel()
				}
			}()
			t := tileDecoder{d: d, l: l, spans: spans, targets: targets}
			for {
				mu.Lock()
				at := next
				next++
				stop := failed != nil
				mu.Unlock()
				if stop || at >= len(l.tiles) {
					return
				}
				if err := t.decode(ctx, at); err != nil {
					mu.Lock()
					if failed == nil || at < failedAt && ctx.Err() == nil {
						failed, failedAt = err, at
					}
					mu.Unlock()
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	if panicked != nil {
		panic(panicked)
	}
	if failed != nil {
		return nil, failed
	}
	out := make([][]Plane, len(reductions))
	for i, ts := range targets {
		for _, t := range ts {
			out[i] = append(out[i], t.Plane)
		}
	}
	return out, nil
}

// tileDecoder decodes tiles one after the other.
type tileDecoder struct {
	d       *Decoder
	l       *layer
	spans   []span
	targets [][]*target
	hevc    hevc.Decoder
	feeds   [][]feed // of each reduction, by component
}

// decode decodes a tile.
func (t *tileDecoder) decode(ctx context.Context, at int) error {
	l := t.l
	data := t.d.data(l.tiles[at], t.spans)
	// What is no slice costs little, but many tiles may share it, and extents name it again and again.
	if err := t.d.o.Work.Spend(int64(len(data))); err != nil {
		return err
	}
	nals, err := units(data, l.lengths[at])
	if err != nil {
		return err
	}
	var filtered, raw bool
	if t.feeds == nil {
		t.feeds = make([][]feed, len(t.targets))
	}
	for i, ts := range t.targets {
		if t.feeds[i] == nil {
			t.feeds[i] = make([]feed, len(ts))
		}
		filtered, raw = filtered || ts[0].filters, raw || !ts[0].filters
		for c, target := range ts {
			t.feeds[i][c].begin(target, l, c, at%l.columns, at/l.columns)
		}
	}
	sink := func(filters bool) func(hevc.Band) error {
		return func(b hevc.Band) error {
			for i, ts := range t.targets {
				if ts[0].filters != filters {
					continue
				}
				for c := range ts {
					p := b.Planes[c]
					f := &t.feeds[i][c]
					for y := range p.Rows {
						f.row(p.Y+y, p.Pix[y*p.Stride:][:p.Width])
					}
				}
			}
			return nil
		}
	}
	o := hevc.Options{MaxPixels: int64(l.info.CodedWidth) * int64(l.info.CodedHeight), Work: t.d.o.Work, NoFilters: !filtered}
	final := sink(true)
	switch {
	case !filtered:
		final = sink(false)
	case raw:
		o.Raw = sink(false)
	}
	return t.hevc.Decode(ctx, l.sets[at], l.info, nals, o, final)
}

// target is a plane that is being made of a component.
type target struct {
	Plane
	box     int
	filters bool
	table   []byte // of a sample of as many bits; nil where it is the sample
	gain    float32
	bias    float32
	x0, y0  int // of the crop, in samples of the component
	x1, y1  int
}

func newTarget(l *layer, c int, r reduction, alpha bool) *target {
	subX, subY := l.info.Subsampling(c)
	t := &target{box: r.box, filters: r.filters}
	t.x0, t.y0 = l.crop.Min.X/subX, l.crop.Min.Y/subY
	t.x1, t.y1 = (l.crop.Max.X+subX-1)/subX, (l.crop.Max.Y+subY-1)/subY
	w, h := (t.x1-t.x0+r.box-1)/r.box, (t.y1-t.y0+r.box-1)/r.box
	t.Plane = Plane{Pix: make([]byte, w*h), Stride: w, Width: w, Height: h, PerX: subX * r.box, PerY: subY * r.box}
	depth := l.info.Depth
	if c > 0 {
		depth = l.info.DepthC
	}
	// Full range of 8 bits (H.273, 8.3).
	black, span, zero := 0, 1<<depth-1, 0
	if chroma := c > 0 && l.colour.Matrix != 0; chroma {
		black, zero = 1<<(depth-1), 128
	}
	if !l.colour.FullRange && !alpha {
		if c > 0 && l.colour.Matrix != 0 {
			span = 224 << (depth - 8)
		} else {
			black, span = 16<<(depth-8), 219<<(depth-8)
		}
	}
	t.gain = 255 / float32(span)
	t.bias = float32(zero) - float32(black)*t.gain
	if depth > 8 || !l.colour.FullRange && !alpha {
		if r.box == 1 {
			t.table = make([]byte, 1<<depth)
			for v := range t.table {
				t.table[v] = t.convert(float32(v))
			}
		}
	} else {
		t.gain, t.bias = 1, 0
	}
	return t
}

func (t *target) convert(mean float32) byte {
	return byte(min(max(mean*t.gain+t.bias+0.5, 0), 255))
}

// feed takes the rows of one tile.
type feed struct {
	*target
	left, top     int // of the tile, in samples of the component
	sums          []uint32
	pending       int // rows in sums
	width, height int // of the tile
}

func (f *feed) begin(t *target, l *layer, c, column, row int) {
	subX, subY := l.info.Subsampling(c)
	f.target = t
	f.width, f.height = (l.info.Width+subX-1)/subX, (l.info.Height+subY-1)/subY
	f.left, f.top = column*f.width, row*f.height
	f.pending = 0
}

// row takes row y of the tile.
func (f *feed) row(y int, pix []uint16) {
	cy := f.top + y
	if cy < f.y0 || cy >= f.y1 {
		return
	}
	from, to := max(f.x0-f.left, 0), min(f.x1-f.left, len(pix))
	if from >= to {
		return
	}
	pix = pix[from:to]
	x := f.left + from - f.x0 // in the plane, before it is reduced
	cy -= f.y0
	k := f.box
	if k == 1 {
		out := f.Pix[cy*f.Stride+x:][:len(pix)]
		if f.table == nil {
			for i, v := range pix {
				out[i] = byte(v)
			}
			return
		}
		for i, v := range pix {
			out[i] = f.table[v]
		}
		return
	}
	n := (len(pix) + k - 1) / k
	if f.pending == 0 {
		if cap(f.sums) < n {
			f.sums = make([]uint32, n)
		}
		f.sums = f.sums[:n]
		clear(f.sums)
	}
	sums := f.sums
	addBoxes(sums, pix, k)
	f.pending++
	if (cy+1)%k != 0 && cy+1 != f.y1-f.y0 {
		return
	}
	out := f.Pix[cy/k*f.Stride+x/k:][:n]
	whole := 1 / float32(k*f.pending)
	for i, s := range sums {
		out[i] = f.convert(float32(s) * whole)
	}
	if rest := len(pix) % k; rest != 0 {
		out[n-1] = f.convert(float32(sums[n-1]) / float32(rest*f.pending))
	}
	f.pending = 0
}

// addBoxes adds each k samples to a sum; the last may have less.
func addBoxes(sums []uint32, pix []uint16, k int) {
	for i := range sums {
		part := pix[:min(k, len(pix))]
		pix = pix[len(part):]
		var s uint32
		for _, v := range part {
			s += uint32(v)
		}
		sums[i] += s
	}
}

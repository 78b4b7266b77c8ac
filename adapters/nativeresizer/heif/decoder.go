package heif

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/input"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// Defaults of [Options].
const (
	DefaultMaxPixels = 1 << 28
	DefaultMaxICC    = 4 << 20
	DefaultMaxEXIF   = 1 << 20
	DefaultMaxMeta   = 8 << 20
	DefaultMaxItems  = 1 << 14
	DefaultMaxTiles  = 1 << 12
)

// Options are the limits of a decode. The zero value is good for most uses: 0 means the default.
type Options struct {
	// MaxPixels bounds the pixels of the canvas; less than 0 is no limit. Tiles may reach beyond it by one row and column.
	MaxPixels int64
	// MaxICC bounds a colour profile in bytes; a larger one counts as none.
	MaxICC int64
	// MaxEXIF bounds EXIF in bytes; what is larger counts as none.
	MaxEXIF int64
	// MaxMeta bounds the metadata box in bytes.
	MaxMeta int64
	// MaxItems and MaxTiles bound the items of the file and the tiles of a picture.
	MaxItems, MaxTiles int
	// Workers is how many tiles are decoded at a time; 0 is 1.
	Workers int
	// Work is what decoding spends its units from; nil counts nothing. It is told what the header holds.
	Work *work.Budget

	// outside reads what describes a derived picture and lies outside of the metadata.
	outside func(*item) ([]byte, error)
}

func (o *Options) defaults() {
	set := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.MaxPixels, DefaultMaxPixels)
	set(&o.MaxICC, DefaultMaxICC)
	set(&o.MaxEXIF, DefaultMaxEXIF)
	set(&o.MaxMeta, DefaultMaxMeta)
	if o.MaxItems == 0 {
		o.MaxItems = DefaultMaxItems
	}
	if o.MaxTiles == 0 {
		o.MaxTiles = DefaultMaxTiles
	}
	o.Workers = max(o.Workers, 1)
}

// Header is what a HEIF file tells about its primary picture before any of its data.
type Header struct {
	// Width and Height are in pixels, after cropping and before Orientation.
	Width, Height int
	// Orientation is by irot and imir, as EXIF numbers it, 1 to 8. Turned says that the
	// container has any; else EXIF's orientation applies.
	Orientation int
	Turned      bool
	// Pixels is how many luma samples are decoded, of all tiles and of alpha.
	Pixels int64
	// Tiles is how many pictures are decoded.
	Tiles int
	// Monochrome says that there is no chroma, Depth how many bits a sample has.
	Monochrome bool
	Depth      int
	// Alpha says that there is a picture of alpha; Premultiplied, that colours are multiplied by it.
	Alpha, Premultiplied bool
	// Overlay says that the picture is put together of several.
	Overlay bool
	// Canvas is the pixels of all pictures as coded, before they are cropped, without alpha.
	Canvas int64
	// EXIF says that there is EXIF, which decoding hands out.
	EXIF bool
	// ICC is the colour profile, nil if there is none.
	ICC []byte
	// Colour tells the matrix and range of the samples, and where there is no ICC, their colour space.
	Colour Colour

	layers []*layer // one, but of an overlay
	alphas []*layer // of each layer, nil where there is none
	fill   [4]uint16
	exif   *item
	data   int64 // bytes of the items
	meta   int64 // bytes of the metadata
}

// Decoder decodes the primary picture of a HEIF file. It is not safe for concurrent use.
type Decoder struct {
	o      Options
	r      io.ReadSeeker
	src    *input.Source // of r; nil once the decoder is used up
	ctx    context.Context
	pos    int64 // in the file, of the next byte of src
	size   int64 // of the file; -1 as long as nothing was passed over
	seeks  int
	meta   *metadata
	header *Header
	failed error
}

const (
	// worthReading is how many bytes are read rather than passed over by a seek: of a store
	// that is not here a seek is a request.
	worthReading = 256 << 10
	// maxSeeks bounds the seeks in a file. One per tile would do for any writer.
	maxSeeks = DefaultMaxTiles
	// boxUnits is the work of a box that is passed over.
	boxUnits = 100
)

// NewDecoder returns a decoder of the file in r, which stands at the file's beginning.
// What is not needed is passed over: of the file, nothing is held before Decode but its metadata.
func NewDecoder(r io.ReadSeeker, o Options) *Decoder {
	o.defaults()
	d := &Decoder{o: o, r: r, src: new(input.Source), ctx: context.Background(), size: -1}
	d.src.Reset(r, ErrTruncated)
	return d
}

// Close lets the decoder's memory go. The header stays valid.
func (d *Decoder) Close() {
	d.src, d.r = nil, nil
	if d.failed == nil {
		d.failed = ErrUsed
	}
}

// Header reads up to the end of the metadata and finds out what the primary picture is. It allocates nothing of the picture's size.
// The error is [ErrTruncated], [ErrTooLarge], a [FormatError], an [UnsupportedError], a [CodingError], one of package
// hevc, that of the reader or that of the context. The header is shared with the decoder and must not be changed.
func (d *Decoder) Header(ctx context.Context) (*Header, error) {
	if d.header != nil {
		return d.header, nil
	}
	if d.failed != nil {
		return nil, d.failed
	}
	d.use(ctx)
	h, err := d.readHeader()
	if err != nil {
		d.failed = err
		d.Close()
		return nil, err
	}
	d.header = h
	return h, nil
}

// readHeader walks the boxes of the file (ISO/IEC 14496-12, 4.2).
func (d *Decoder) readHeader() (*Header, error) {
	for first := true; ; first = false {
		boundary := d.pos
		size, kind, header, err := d.boxHeader()
		if err != nil {
			if errors.Is(err, ErrTruncated) && !first && d.pos == boundary {
				err = FormatError("file without metadata")
			}
			return nil, err
		}
		if err := d.o.Work.Spend(boxUnits); err != nil {
			return nil, err
		}
		if first && kind != "ftyp" {
			return nil, FormatError("file does not begin with its type")
		}
		body := size - header
		switch {
		case kind == "meta":
			if size == 0 {
				return nil, FormatError("metadata of unknown size")
			}
			if body > d.o.MaxMeta {
				return nil, UnsupportedError("file with too much metadata")
			}
			if err := d.o.Work.Hold(body); err != nil {
				return nil, err
			}
			held, err := d.take(nil, body)
			if err != nil {
				return nil, err
			}
			if d.meta, err = parseMeta(held, d.o.MaxItems); err != nil {
				return nil, err
			}
			h, err := d.resolve(d.small)
			if err == nil {
				h.meta = body
			}
			return h, err
		case size == 0: // up to the end of the file, without metadata
			return nil, FormatError("file without metadata")
		case kind == "moov" && d.pos < 4096:
			// An image sequence alone; the metadata of one with a primary picture stands before it.
			return nil, UnsupportedError("image sequence without a still picture")
		default:
			if err := d.goTo(d.pos + body); err != nil {
				return nil, err
			}
		}
	}
}

// boxHeader reads the header of a box. A size of 0 means up to the end of the file.
func (d *Decoder) boxHeader() (size int64, kind string, header int64, err error) {
	var buf [16]byte
	b, err := d.take(buf[:0], 1)
	if err == nil {
		b, err = d.take(b, 7)
	}
	if err != nil {
		return 0, "", 0, err
	}
	size, kind, header = int64(binary.BigEndian.Uint32(b)), string(b[4:8]), 8
	if size == 1 {
		if b, err = d.take(b, 8); err != nil {
			return 0, "", 0, err
		}
		big := binary.BigEndian.Uint64(b[8:])
		if big > 1<<62 {
			return 0, "", 0, FormatError("box with a size that does not fit")
		}
		size, header = int64(big), 16
		if size == 0 {
			size = -1
		}
	}
	if size != 0 && size < header {
		return 0, "", 0, FormatError("box with a size that does not fit")
	}
	return size, kind, header, nil
}

// use sets the context under which the file is read.
func (d *Decoder) use(ctx context.Context) {
	d.ctx = ctx
	d.src.Use(ctx)
}

// take appends the next n bytes to dst.
func (d *Decoder) take(dst []byte, n int64) ([]byte, error) {
	had := len(dst)
	dst, err := d.src.AppendTo(dst, n)
	d.pos += int64(len(dst) - had)
	return dst, err
}

// goTo makes a place in the file the next that is read.
func (d *Decoder) goTo(at int64) error {
	if ahead := at - d.pos; ahead >= 0 && ahead <= worthReading {
		err := d.src.Skip(ahead)
		if err == nil {
			d.pos = at
		}
		return err
	}
	if d.seeks++; d.seeks > maxSeeks {
		return UnsupportedError("file whose data is scattered")
	}
	var err error
	if d.size < 0 {
		if d.size, err = d.r.Seek(0, io.SeekEnd); err != nil {
			return err
		}
	}
	if at > d.size {
		return ErrTruncated
	}
	if _, err = d.r.Seek(at, io.SeekStart); err != nil {
		return err
	}
	d.src.Reset(d.r, ErrTruncated)
	d.src.Use(d.ctx)
	d.pos = at
	return nil
}

// resolve finds out what the primary item is. outside reads what describes a derived picture
// and lies outside of the metadata.
func (d *Decoder) resolve(outside func(*item) ([]byte, error)) (*Header, error) {
	m := d.meta
	if !m.hasPrimary {
		return nil, FormatError("no primary picture")
	}
	it := m.items[m.primary]
	if it == nil {
		return nil, FormatError("primary picture that does not exist")
	}
	d.o.outside = outside
	r := &resolver{m: m, o: &d.o, configs: make(map[int]*config)}
	h := new(Header)
	if it.kind == "iovl" {
		if err := r.overlay(h, it); err != nil {
			return nil, err
		}
	} else {
		l, err := r.picture(m.primary)
		if err != nil {
			return nil, err
		}
		a, premultiplied, err := r.alpha(m.primary, l)
		if err != nil {
			return nil, err
		}
		h.layers, h.alphas = []*layer{l}, []*layer{a}
		h.Premultiplied = premultiplied
		h.Width, h.Height = l.crop.Dx(), l.crop.Dy()
		h.Orientation, h.Turned = l.orientation, l.turned
	}
	l := h.layers[0]
	h.Monochrome, h.Depth, h.ICC, h.Colour = l.info.Chroma == 0, l.info.Depth, l.icc, l.colour
	if d.o.MaxPixels > 0 && int64(h.Width)*int64(h.Height) > d.o.MaxPixels {
		return nil, ErrTooLarge
	}
	for _, l := range slices.Concat(h.layers, h.alphas) {
		if l == nil {
			continue
		}
		h.Pixels += int64(len(l.tiles)) * int64(l.info.CodedWidth) * int64(l.info.CodedHeight)
		h.Tiles += len(l.tiles)
	}
	for _, l := range h.layers {
		h.Canvas += int64(l.width) * int64(l.height)
	}
	if h.Pixels > 4*max(h.Canvas, int64(h.Width)*int64(h.Height))+1<<22 {
		return nil, UnsupportedError("tiles or alpha are far larger than the picture")
	}
	for _, a := range h.alphas {
		h.Alpha = h.Alpha || a != nil
	}
	for _, from := range m.to(m.primary, "cdsc") {
		if it := m.items[from]; it != nil && it.kind == "Exif" {
			h.exif = it
			break
		}
	}
	err := d.measure(h)
	h.EXIF = h.exif != nil
	return h, err
}

// items are those whose data is needed.
func (h *Header) items() []*item {
	var all []*item
	seen := make(map[*item]bool)
	for _, l := range slices.Concat(h.layers, h.alphas) {
		if l == nil {
			continue
		}
		for _, t := range l.tiles {
			if !seen[t] {
				seen[t] = true
				all = append(all, t)
			}
		}
	}
	return all
}

// measure checks where the data is and adds it up.
func (d *Decoder) measure(h *Header) error {
	for _, it := range h.items() {
		n, err := d.length(it)
		if err != nil {
			return err
		}
		if n == 0 {
			return FormatError("picture without data")
		}
		// No encoder makes more than a raw picture has.
		if h.data += n; h.data > 8*h.Pixels+1<<20 {
			return UnsupportedError("data is larger than its picture")
		}
	}
	if h.exif != nil {
		if n, err := d.length(h.exif); err != nil || n > d.o.MaxEXIF {
			h.exif = nil // it is not worth a refusal
		}
	}
	return nil
}

// length is how many bytes an item has.
func (d *Decoder) length(it *item) (int64, error) {
	switch {
	case it.external:
		return 0, UnsupportedError("picture in another file")
	case it.method > 1:
		return 0, UnsupportedError("picture that is put together of other items' data")
	}
	var n int64
	for _, e := range it.extents {
		if it.method == 1 && (e.offset > uint64(len(d.meta.idat)) || e.length > uint64(len(d.meta.idat))-e.offset) {
			return 0, FormatError("item beyond the data of the metadata")
		}
		if e.length > 1<<40 || e.offset > 1<<60 {
			return 0, FormatError("item beyond all files")
		}
		n += int64(e.length)
	}
	return n, nil
}

// small reads an item of a few bytes that lies among the data.
func (d *Decoder) small(it *item) ([]byte, error) {
	if it.method != 0 || it.external || len(it.extents) == 0 || len(it.extents) > maxSmallExtents {
		return nil, errOutside
	}
	var out []byte
	for _, e := range it.extents {
		if e.length > maxSmall || uint64(len(out))+e.length > maxSmall || e.offset > 1<<60 {
			return nil, errOutside
		}
		err := d.goTo(int64(e.offset))
		if err == nil {
			out, err = d.take(out, int64(e.length))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// span is a part of the file that is held.
type span struct {
	from, to int64
	data     []byte
}

// read reads on through the file and holds what the items need.
func (d *Decoder) read(h *Header) ([]span, error) {
	var spans []span
	add := func(it *item) {
		if it.method == 1 {
			return
		}
		for _, e := range it.extents {
			if e.length > 0 {
				spans = append(spans, span{from: int64(e.offset), to: int64(e.offset + e.length)})
			}
		}
	}
	for _, it := range h.items() {
		add(it)
	}
	if h.exif != nil {
		add(h.exif)
	}
	slices.SortFunc(spans, func(a, b span) int { return int(min(max(a.from-b.from, -1), 1)) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	for i := range merged {
		s := &merged[i]
		err := d.goTo(s.from)
		if err == nil {
			s.data, err = d.take(nil, s.to-s.from)
		}
		if err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// data returns an item's data.
func (d *Decoder) data(it *item, spans []span) []byte {
	var out []byte
	for _, e := range it.extents {
		if e.length == 0 {
			continue
		}
		var part []byte
		if it.method == 1 {
			part = d.meta.idat[e.offset : e.offset+e.length]
		} else {
			i, ok := slices.BinarySearchFunc(spans, int64(e.offset), func(s span, at int64) int {
				switch {
				case s.to <= at:
					return -1
				case s.from > at:
					return 1
				}
				return 0
			})
			if !ok {
				return nil
			}
			from := int64(e.offset) - spans[i].from
			part = spans[i].data[from : from+int64(e.length)]
		}
		if len(it.extents) == 1 {
			return part
		}
		out = append(out, part...)
	}
	return out
}

// metaFactor is how many bytes metadata takes for each of its own, once it was read.
const metaFactor = 4

// maxUnits is how many NAL units a picture may have. No level of HEVC allows more than 600
// slice segments (ITU-T H.265, table A.8).
const maxUnits = 1 << 12

// units cuts an item's data into NAL units (ISO/IEC 14496-15, 4.3.3).
func units(data []byte, length int) ([][]byte, error) {
	var nals [][]byte
	for len(data) > 0 {
		if len(data) < length {
			return nil, FormatError("length of a NAL unit is cut")
		}
		n := 0
		for _, b := range data[:length] {
			n = n<<8 | int(b)
		}
		data = data[length:]
		if n > len(data) {
			return nil, FormatError("NAL unit is longer than its picture")
		}
		if n > 0 {
			if len(nals) == maxUnits {
				return nil, UnsupportedError("picture of too many NAL units")
			}
			nals = append(nals, data[:n])
		}
		data = data[n:]
	}
	return nals, nil
}

// MemoryNeeded returns an upper bound of the bytes that decoding to some reductions allocates.
func MemoryNeeded(h *Header, workers int, shrinks ...int) int64 {
	need := 3*h.data + 64<<10 + metaFactor*h.meta
	tiles, largest := 0, int64(0)
	for _, l := range slices.Concat(h.layers, h.alphas) {
		if l == nil {
			continue
		}
		tiles = max(tiles, len(l.tiles))
		largest = max(largest, hevc.MemoryNeeded(l.info, l.info.CodedWidth > 0 && l.tiled()))
		for _, k := range shrinks {
			w, ht := int64(l.crop.Dx()/k+2), int64(l.crop.Dy()/k+2)
			subX, subY := l.info.Subsampling(1)
			need += w * ht
			if l.info.Chroma != 0 {
				need += 2 * (w/int64(subX) + 2) * (ht/int64(subY) + 2)
			}
			need += 16 * w * int64(min(workers, len(l.tiles)))
		}
	}
	return need + largest*int64(max(1, min(workers, tiles)))
}

// tiled reports whether the picture has columns of tiles of its own, so that it is held whole.
func (l *layer) tiled() bool {
	return slices.ContainsFunc(l.sets, func(s *hevc.ParameterSets) bool { return s.Columns() > 1 })
}

package heif

import (
	"encoding/binary"
	"image"
	"math"
	"strings"

	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
)

// layer is a picture that is coded as one item, or as a grid of them.
type layer struct {
	tiles         []*item // in rows
	columns, rows int
	sets          []*hevc.ParameterSets // of each tile
	lengths       []int                 // bytes of the lengths of each tile's NAL units
	info          hevc.Info             // of every tile
	width, height int                   // of the canvas
	crop          image.Rectangle       // what is shown of it
	orientation   int
	turned        bool // by irot or imir
	icc           []byte
	colour        Colour
	x, y          int // on the canvas of an overlay
	single        bool
}

// Colour is how samples are meant: code points of ITU-T H.273, 2 where nothing is told.
type Colour struct {
	Primaries, Transfer, Matrix int
	FullRange                   bool
}

// shown returns the size as a viewer shows it.
func (l *layer) shown() (int, int) {
	if l.orientation >= 5 {
		return l.crop.Dy(), l.crop.Dx()
	}
	return l.crop.Dx(), l.crop.Dy()
}

// resolver finds out what items are.
type resolver struct {
	m       *metadata
	o       *Options
	configs map[int]*config // by property
	depth   int
}

// config is a decoder configuration (ISO/IEC 14496-15, 8.3.3.1).
type config struct {
	sets   *hevc.ParameterSets
	length int
	info   hevc.Info
}

// maxDepth is how many derivations may stand on one another.
const maxDepth = 8

// essentials are properties that may be essential and change nothing here.
const essentials = " hvcC ispe pixi colr pasp irot imir clap auxC lhvC oinf tols lsel rloc clli mdcv cclv amve rref "

// picture resolves an item to the picture that it shows.
func (r *resolver) picture(id uint32) (*layer, error) {
	it := r.m.items[id]
	if it == nil {
		return nil, FormatError("picture that does not exist")
	}
	if r.depth++; r.depth > maxDepth {
		return nil, FormatError("picture that is derived from too many others, or from itself")
	}
	defer func() { r.depth-- }()
	var l *layer
	var err error
	switch it.kind {
	case "hvc1", "hev1", "hvc2", "hev2":
		l, err = r.coded(it)
	case "grid":
		l, err = r.grid(it)
	case "iden":
		from := r.m.from(it.id, "dimg")
		if len(from) != 1 {
			return nil, FormatError("identity of other than one picture")
		}
		if l, err = r.picture(from[0]); err == nil {
			c := *l
			l = &c
		}
	case "iovl":
		return nil, UnsupportedError("overlay within another picture")
	default:
		return nil, CodingError(codingName(it.kind))
	}
	if err != nil {
		return nil, err
	}
	for _, a := range it.props {
		if kind := r.m.props[a.index-1].kind; a.essential && !strings.Contains(essentials, " "+kind+" ") {
			return nil, UnsupportedError("picture with an essential property that is not known")
		}
	}
	r.colours(l, it)
	return l, r.transform(l, it)
}

// codingName is what people call the coding of an item type.
func codingName(kind string) string {
	switch kind {
	case "av01":
		return "AVIF"
	case "j2k1", "j2ki":
		return "JPEG 2000"
	case "unci":
		return "uncompressed HEIF (unci)"
	case "avc1":
		return "H.264 (AVC)"
	case "vvc1":
		return "H.266 (VVC)"
	case "jpeg":
		return "JPEG in HEIF"
	case "tmap":
		return "tone map"
	}
	clean := strings.Map(func(c rune) rune {
		if c > ' ' && c < 0x7f {
			return c
		}
		return '?'
	}, kind)
	return "item type " + clean
}

// coded resolves an item that is a coded picture.
func (r *resolver) coded(it *item) (*layer, error) {
	c, err := r.config(it)
	if err != nil {
		return nil, err
	}
	l := &layer{
		tiles: []*item{it}, columns: 1, rows: 1, sets: []*hevc.ParameterSets{c.sets}, lengths: []int{c.length}, info: c.info,
		width: c.info.Width, height: c.info.Height, orientation: 1, single: true,
		colour: Colour{c.info.Colour.Primaries, c.info.Colour.Transfer, c.info.Colour.Matrix, c.info.Colour.FullRange},
	}
	if w, h, ok, err := r.extents(it); err != nil {
		return nil, err
	} else if ok {
		// Chroma may have made the coded size even.
		if w > l.width || h > l.height || l.width-w > 1 || l.height-h > 1 {
			return nil, FormatError("sizes of the picture and of its container differ")
		}
		l.width, l.height = w, h
	}
	l.crop = image.Rect(0, 0, l.width, l.height)
	return l, nil
}

// extents reads ispe (ISO/IEC 23008-12, 6.5.3).
func (r *resolver) extents(it *item) (w, h int, ok bool, err error) {
	body, ok := r.m.property(it, "ispe")
	if !ok {
		return 0, 0, false, nil
	}
	f := fields{data: body}
	f.full()
	ww, hh := f.u32(), f.u32()
	if f.over || ww == 0 || hh == 0 || ww > math.MaxInt32 || hh > math.MaxInt32 {
		return 0, 0, false, FormatError("size of a picture")
	}
	return int(ww), int(hh), true, nil
}

// config reads hvcC (ISO/IEC 14496-15, 8.3.3.1.2).
func (r *resolver) config(it *item) (*config, error) {
	for _, a := range it.props {
		p := r.m.props[a.index-1]
		if p.kind != "hvcC" {
			continue
		}
		if c := r.configs[a.index]; c != nil {
			return c, nil
		}
		f := fields{data: p.body}
		version := f.u8()
		f.take(20)
		c := &config{sets: new(hevc.ParameterSets), length: f.u8()&3 + 1}
		if f.over || version != 1 {
			return nil, FormatError("decoder configuration")
		}
		var pictures [][]byte // picture parameter sets may stand before those of the sequence
		for range f.u8() {
			f.u8()
			for range f.u16() {
				nal := f.take(f.u16())
				if f.over {
					return nil, FormatError("decoder configuration is cut")
				}
				pictures = append(pictures, nal)
			}
		}
		for _, nal := range pictures {
			if err := r.o.Work.Spend(hevc.UnitsPerParameterSet); err != nil {
				return nil, err
			}
			if err := c.sets.Add(nal); err != nil {
				return nil, err
			}
		}
		var ok bool
		if c.info, ok = c.sets.Info(); !ok {
			return nil, FormatError("decoder configuration without parameter sets")
		}
		if r.o.MaxPixels > 0 && int64(c.info.CodedWidth)*int64(c.info.CodedHeight)-1<<16 > r.o.MaxPixels {
			return nil, ErrTooLarge
		}
		r.configs[a.index] = c
		return c, nil
	}
	return nil, FormatError("picture without a decoder configuration")
}

// grid resolves a grid (ISO/IEC 23008-12, 6.6.2.3).
func (r *resolver) grid(it *item) (*layer, error) {
	body, err := r.small(it)
	if err != nil {
		return nil, err
	}
	f := fields{data: body}
	version, flags := f.u8(), f.u8()
	rows, columns := f.u8()+1, f.u8()+1
	var w, h uint32
	if flags&1 != 0 {
		w, h = f.u32(), f.u32()
	} else {
		w, h = uint32(f.u16()), uint32(f.u16())
	}
	if version != 0 {
		return nil, UnsupportedError("version of a grid")
	}
	if f.over || w == 0 || h == 0 || w > math.MaxInt32 || h > math.MaxInt32 {
		return nil, FormatError("grid")
	}
	if r.o.MaxPixels > 0 && int64(w)*int64(h) > r.o.MaxPixels {
		return nil, ErrTooLarge
	}
	from := r.m.from(it.id, "dimg")
	if len(from) != rows*columns {
		return nil, FormatError("grid with too many or too few tiles")
	}
	if len(from) > r.o.MaxTiles {
		return nil, UnsupportedError("grid with too many tiles")
	}
	l, err := r.tiles(from, columns, rows)
	if err != nil {
		return nil, err
	}
	l.width, l.height = int(w), int(h)
	l.crop = image.Rect(0, 0, l.width, l.height)
	// The canvas ends within the last row and column.
	if int64(columns)*int64(l.info.Width) < int64(w) || int64(rows)*int64(l.info.Height) < int64(h) ||
		int64(columns-1)*int64(l.info.Width) >= int64(w) || int64(rows-1)*int64(l.info.Height) >= int64(h) {
		return nil, FormatError("grid and its tiles differ in size")
	}
	subX, subY := l.info.Subsampling(1)
	if columns > 1 && l.info.Width%subX != 0 || rows > 1 && l.info.Height%subY != 0 {
		return nil, FormatError("tiles whose chroma does not meet")
	}
	if ww, hh, ok, err := r.extents(it); err != nil {
		return nil, err
	} else if ok && (ww != l.width || hh != l.height) {
		return nil, FormatError("sizes of the grid and of its container differ")
	}
	return l, nil
}

// tiles resolves the items of a grid, which are coded pictures of one kind.
func (r *resolver) tiles(ids []uint32, columns, rows int) (*layer, error) {
	l := &layer{columns: columns, rows: rows, orientation: 1}
	for i, id := range ids {
		it := r.m.items[id]
		if it == nil {
			return nil, FormatError("tile that does not exist")
		}
		switch it.kind {
		case "hvc1", "hev1", "hvc2", "hev2":
		case "grid", "iden", "iovl":
			return nil, UnsupportedError("grid of pictures that are derived")
		default:
			switch it.kind {
			case "av01", "j2k1", "unci", "avc1", "vvc1", "jpeg":
				return nil, CodingError(codingName(it.kind))
			}
			return nil, FormatError("tile that is no picture")
		}
		for _, kind := range []string{"irot", "imir", "clap"} {
			if _, ok := r.m.property(it, kind); ok && !r.idle(it, kind) {
				return nil, UnsupportedError("tiles that are turned or cut")
			}
		}
		t, err := r.coded(it)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			l.info, l.colour = t.info, t.colour
			r.colours(l, it)
		} else if a, b := t.info, l.info; a.Width != b.Width || a.Height != b.Height || a.Chroma != b.Chroma || a.Depth != b.Depth || a.DepthC != b.DepthC {
			return nil, FormatError("tiles of several kinds")
		}
		l.tiles, l.sets, l.lengths = append(l.tiles, it), append(l.sets, t.sets[0]), append(l.lengths, t.lengths[0])
	}
	return l, nil
}

// idle reports whether a property of a tile does nothing: cameras write irot of 0.
func (r *resolver) idle(it *item, kind string) bool {
	body, _ := r.m.property(it, kind)
	return kind == "irot" && len(body) > 0 && body[0]&3 == 0
}

const (
	// maxSmall bounds the description of a derived picture in bytes, and maxSmallExtents the
	// pieces in which it lies among the data.
	maxSmall        = 1 << 16
	maxSmallExtents = 16
)

// errOutside refuses a description that is not where it is looked for.
const errOutside = UnsupportedError("grid that is described outside of the metadata")

// small returns the data of an item that describes a derived picture.
func (r *resolver) small(it *item) ([]byte, error) {
	if it.method != 1 {
		return r.o.outside(it)
	}
	var out []byte
	for _, e := range it.extents {
		if e.offset > uint64(len(r.m.idat)) || e.length > uint64(len(r.m.idat))-e.offset {
			return nil, FormatError("item beyond the data of the metadata")
		}
		if len(out)+int(e.length) > maxSmall {
			return nil, FormatError("description of a picture is too long")
		}
		out = append(out, r.m.idat[e.offset:e.offset+e.length]...)
	}
	return out, nil
}

// colours takes over the item's colr properties (ISO/IEC 14496-12, 12.1.5).
func (r *resolver) colours(l *layer, it *item) {
	icc, nclx := false, false
	for _, a := range it.props {
		p := r.m.props[a.index-1]
		if p.kind != "colr" || len(p.body) < 4 {
			continue
		}
		switch f := (fields{data: p.body[4:]}); string(p.body[:4]) {
		case "prof", "rICC":
			if !icc && int64(len(f.data)) <= r.o.MaxICC {
				l.icc, icc = f.data, true
			}
		case "nclx":
			c := Colour{f.u16(), f.u16(), f.u16(), f.u8()&0x80 != 0}
			if !nclx && !f.over {
				l.colour, nclx = c, true
			}
		}
	}
}

// transform applies irot, imir and clap in the order of the item's properties (ISO/IEC 23008-12, 6.5.9, 6.5.10, 6.5.12).
func (r *resolver) transform(l *layer, it *item) error {
	for _, a := range it.props {
		p := r.m.props[a.index-1]
		switch p.kind {
		case "irot":
			if len(p.body) < 1 {
				return FormatError("rotation is cut")
			}
			l.turned = true
			l.orientation = turn(l.orientation, [4]int{1, 8, 3, 6}[p.body[0]&3])
		case "imir":
			if len(p.body) < 1 {
				return FormatError("mirroring is cut")
			}
			l.turned = true
			l.orientation = turn(l.orientation, [2]int{4, 2}[p.body[0]&1])
		case "clap":
			if err := l.clap(p.body); err != nil {
				return err
			}
		}
	}
	return nil
}

// turns are the orientations of Exif as matrices of what is shown by what is coded, x to the right and y down.
var turns = [9][4]int8{
	1: {1, 0, 0, 1}, 2: {-1, 0, 0, 1}, 3: {-1, 0, 0, -1}, 4: {1, 0, 0, -1},
	5: {0, 1, 1, 0}, 6: {0, -1, 1, 0}, 7: {0, -1, -1, 0}, 8: {0, 1, -1, 0},
}

// turn returns the orientation of what is first turned by one, then by another.
func turn(first, then int) int {
	a, b := turns[then], turns[first]
	m := [4]int8{a[0]*b[0] + a[1]*b[2], a[0]*b[1] + a[1]*b[3], a[2]*b[0] + a[3]*b[2], a[2]*b[1] + a[3]*b[3]}
	for o := 1; o <= 8; o++ {
		if turns[o] == m {
			return o
		}
	}
	return 1
}

// clap crops the picture as it lies now.
func (l *layer) clap(body []byte) error {
	if len(body) < 32 {
		return FormatError("clean aperture is cut")
	}
	var v [4]float64 // width, height, and the offsets of the centre
	for i := range v {
		n, d := binary.BigEndian.Uint32(body[8*i:]), binary.BigEndian.Uint32(body[8*i+4:])
		if d == 0 {
			return FormatError("clean aperture")
		}
		v[i] = float64(n) / float64(d)
		if i > 1 {
			v[i] = float64(int32(n)) / float64(d)
		}
	}
	w, h := l.shown()
	cw, ch := math.Floor(v[0]), math.Floor(v[1])
	left, top := math.Floor((float64(w)-cw)/2+v[2]), math.Floor((float64(h)-ch)/2+v[3])
	if cw < 1 || ch < 1 || left < 0 || top < 0 || left+cw > float64(w) || top+ch > float64(h) {
		return FormatError("clean aperture lies outside of the picture")
	}
	c := image.Rect(0, 0, int(cw), int(ch)).Add(image.Pt(int(left), int(top)))
	// Back to how it is coded.
	if l.orientation >= 5 {
		c = image.Rect(c.Min.Y, c.Min.X, c.Max.Y, c.Max.X)
	}
	switch l.orientation {
	case 2, 8, 3, 7:
		c.Min.X, c.Max.X = l.crop.Dx()-c.Max.X, l.crop.Dx()-c.Min.X
	}
	switch l.orientation {
	case 3, 7, 4, 6:
		c.Min.Y, c.Max.Y = l.crop.Dy()-c.Max.Y, l.crop.Dy()-c.Min.Y
	}
	l.crop = c.Add(l.crop.Min)
	return nil
}

// alpha finds the picture that holds the alpha of one (ISO/IEC 23008-12, 6.5.8, 6.6.2.1.2).
func (r *resolver) alpha(id uint32, l *layer) (*layer, bool, error) {
	find := func(id uint32) (uint32, bool) {
		for _, from := range r.m.to(id, "auxl") {
			it := r.m.items[from]
			if it == nil || from == id {
				continue
			}
			body, ok := r.m.property(it, "auxC")
			if !ok || len(body) < 4 {
				continue
			}
			kind, _, _ := strings.Cut(string(body[4:]), "\x00")
			if kind == "urn:mpeg:hevc:2015:auxid:1" || kind == "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" {
				return from, true
			}
		}
		return 0, false
	}
	if from, ok := find(id); ok {
		a, err := r.picture(from)
		if err != nil {
			return nil, false, err
		}
		premultiplied := false
		for _, to := range r.m.from(id, "prem") {
			premultiplied = premultiplied || to == from
		}
		return a, premultiplied, nil
	}
	// A grid may have it by tiles.
	if l.single {
		return nil, false, nil
	}
	ids := make([]uint32, len(l.tiles))
	known := make(map[*item]uint32) // one item may be many tiles
	for i, t := range l.tiles {
		from, ok := known[t]
		if !ok {
			if from, ok = find(t.id); !ok {
				return nil, false, nil
			}
			known[t] = from
		}
		ids[i] = from
	}
	a, err := r.tiles(ids, l.columns, l.rows)
	if err != nil {
		return nil, false, err
	}
	if a.info.Width != l.info.Width || a.info.Height != l.info.Height {
		return nil, false, FormatError("sizes of the tiles and of their alpha differ")
	}
	a.width, a.height, a.crop = l.width, l.height, l.crop
	a.orientation = l.orientation
	return a, false, nil
}

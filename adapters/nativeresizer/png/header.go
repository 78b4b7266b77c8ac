package png

import (
	"context"
	"encoding/binary"
	"errors"
	"image/color"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/png/internal/inflate"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// ColorType is the colour type of a file (PNG 11.2.1).
type ColorType uint8

// The colour types of PNG files.
const (
	Gray      ColorType = 0
	RGB       ColorType = 2
	Palette   ColorType = 3
	GrayAlpha ColorType = 4
	RGBA      ColorType = 6
)

// String returns the usual name of t.
func (t ColorType) String() string {
	switch t {
	case Gray:
		return "gray"
	case RGB:
		return "RGB"
	case Palette:
		return "palette"
	case GrayAlpha:
		return "gray+alpha"
	case RGBA:
		return "RGBA"
	}
	return "invalid"
}

// samples is the number of samples of a pixel in the file.
func (t ColorType) samples() int {
	switch t {
	case RGB:
		return 3
	case GrayAlpha:
		return 2
	case RGBA:
		return 4
	}
	return 1
}

// Header is what a PNG file tells about itself before its image data.
type Header struct {
	Width, Height int // in pixels, 1 to 2^31-1
	BitDepth      int // bits a sample, or a palette's index: 1, 2, 4, 8 or 16
	ColorType     ColorType
	Interlaced    bool
	// Palette is the palette of a palette image, 1 to 256 colours, with the
	// transparency of each. It is nil for other colour types.
	Palette color.Palette
	// Transparent is the one colour that is fully transparent in a gray (the first
	// value) or RGB image, of BitDepth bits, or nil.
	Transparent *[3]uint16
	// Alpha tells whether any pixel may be other than opaque.
	Alpha bool

	// Gamma is 100000 times the image gamma, 0 when it is not given (gAMA).
	Gamma uint32
	// Chromaticities are 100000 times the x and y of the white point, red, green
	// and blue, or nil (cHRM).
	Chromaticities *[8]uint32
	// SRGB tells that the colours are sRGB, RenderingIntent with which of ICC's
	// intents, 0 to 3 (sRGB).
	SRGB            bool
	RenderingIntent int
	// CICP are the colour primaries, transfer function, matrix coefficients and full
	// range flag of ITU-T H.273, or nil (cICP).
	CICP *[4]uint8
	// ICC is the embedded colour profile. It is nil when there is none, when it
	// cannot be decompressed, and when it is larger than [Options.MaxICC] (iCCP).
	ICC []byte
	// EXIF begins with a TIFF header, as it was found: nothing in it has been
	// checked. It is nil when there is none before the image data, or when it is
	// larger than [Options.MaxEXIF] (eXIf).
	EXIF []byte
	// Animated tells that there is an animation, whose number of frames the file
	// claims to be DeclaredFrames. [Trailer] has the true number (acTL).
	Animated       bool
	DeclaredFrames uint32
}

// Channels returns the number of samples of a pixel as this package decodes it, see
// [Row]: 1 is gray, 2 is gray and alpha, 3 is RGB, 4 is RGBA.
func (h *Header) Channels() int {
	n := 1
	if h.ColorType == RGB || h.ColorType == RGBA || h.ColorType == Palette {
		n = 3
	}
	if h.Alpha {
		n++
	}
	return n
}

// bitsPerPixel is the number of bits of a pixel in the file.
func (h *Header) bitsPerPixel() int { return h.ColorType.samples() * h.BitDepth }

// rowBytes is the number of bytes of a row of the file of so many pixels, without
// its filter type.
func (h *Header) rowBytes(width int) int {
	return int((int64(width)*int64(h.bitsPerPixel()) + 7) / 8)
}

// Chunk types (PNG 11, and 11.3.4 for animations).
const (
	chunkIHDR = "IHDR"
	chunkPLTE = "PLTE"
	chunkIDAT = "IDAT"
	chunkIEND = "IEND"
	chunkTRNS = "tRNS"
	chunkGAMA = "gAMA"
	chunkCHRM = "cHRM"
	chunkSRGB = "sRGB"
	chunkCICP = "cICP"
	chunkICCP = "iCCP"
	chunkEXIF = "eXIf"
	chunkACTL = "acTL"
	chunkFCTL = "fcTL"
)

// signature begins a PNG file (PNG 5.2).
const signature = "\x89PNG\r\n\x1a\n"

// Header reads up to the image data. It allocates nothing of the image's size. The
// error is [ErrTruncated], a [FormatError], an [UnsupportedError],
// [ErrTooManyChunks], that of the reader or that of the context. The header is
// shared with the decoder and must not be changed.
func (d *Decoder) Header(ctx context.Context) (*Header, error) {
	if d.header != nil {
		return d.header, nil
	}
	if d.failed != nil {
		return nil, d.failed
	}
	d.src.ctx = ctx
	h, err := d.readHeader()
	if err != nil {
		d.failed = err
		d.release()
		return nil, err
	}
	d.header = h
	return h, nil
}

func (d *Decoder) readHeader() (*Header, error) {
	sig, err := d.src.take(len(signature))
	if err != nil {
		return nil, err
	}
	if string(sig) != signature {
		return nil, FormatError("not a PNG file")
	}
	if err := d.src.nextChunk(); err != nil {
		return nil, err
	}
	if d.src.kind != chunkIHDR {
		if d.src.critical() {
			// Apple's CgBI, for one, comes first.
			return nil, UnsupportedError("it begins with a chunk of a private type")
		}
		return nil, FormatError("it does not begin with its header")
	}
	h, err := d.readIHDR()
	if err != nil {
		return nil, err
	}
	var alphas []byte // of the palette
	for {
		if err := d.src.nextChunk(); err != nil {
			return nil, err
		}
		switch d.src.kind {
		case chunkIDAT:
			if h.ColorType == Palette {
				if h.Palette == nil {
					return nil, FormatError("the palette is missing")
				}
				for i, a := range alphas {
					c := h.Palette[i].(color.NRGBA)
					c.A = a
					h.Palette[i] = c
				}
			}
			d.setAlpha(h)
			return h, nil
		case chunkIEND:
			return nil, FormatError("there is no image data")
		case chunkIHDR:
			return nil, FormatError("there is more than one header")
		case chunkPLTE:
			err = d.readPLTE(h)
		case chunkTRNS:
			var a []byte
			if a, err = d.readTRNS(h); alphas == nil {
				alphas = a
			}
		default:
			err = d.readAncillary(h)
		}
		if err != nil {
			return nil, err
		}
		if err := d.src.endChunk(); err != nil {
			return nil, err
		}
	}
}

// setAlpha sets h.Alpha once all of the header is known.
func (d *Decoder) setAlpha(h *Header) {
	h.Alpha = h.ColorType == GrayAlpha || h.ColorType == RGBA || h.Transparent != nil
	for _, c := range h.Palette {
		h.Alpha = h.Alpha || c.(color.NRGBA).A != 0xff
	}
}

// readIHDR reads the image header (PNG 11.2.1).
func (d *Decoder) readIHDR() (*Header, error) {
	b, ok, err := d.src.payload(13, 13)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, FormatError("the header has a wrong length")
	}
	w, ht := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if w == 0 || ht == 0 || w > maxSize || ht > maxSize {
		return nil, FormatError("the header gives no valid width and height")
	}
	if int64(int(w)) != int64(w) || int64(w)*64 > int64(^uint(0)>>1) {
		return nil, UnsupportedError("image too large for this machine")
	}
	h := &Header{Width: int(w), Height: int(ht), BitDepth: int(b[8]), ColorType: ColorType(b[9])}
	if !validDepth(h.ColorType, h.BitDepth) {
		return nil, FormatError("the header's colour type and bit depth do not fit together")
	}
	if b[10] != 0 || b[11] != 0 || b[12] > 1 {
		return nil, UnsupportedError("compression, filter or interlace method")
	}
	h.Interlaced = b[12] == 1
	return h, d.src.endChunk()
}

// maxSize is the greatest four-byte unsigned integer (PNG 7.1).
const maxSize = 1<<31 - 1

// validDepth tells which depths a colour type allows (PNG 11.2.1, table 12).
func validDepth(t ColorType, depth int) bool {
	switch t {
	case Gray:
		return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16
	case Palette:
		return depth == 1 || depth == 2 || depth == 4 || depth == 8
	case RGB, GrayAlpha, RGBA:
		return depth == 8 || depth == 16
	}
	return false
}

// readPLTE reads the palette (PNG 11.2.2). Images of other colour types do not need
// theirs, whatever it holds.
func (d *Decoder) readPLTE(h *Header) error {
	if h.ColorType != Palette {
		return nil
	}
	if h.Palette != nil {
		return FormatError("there is more than one palette")
	}
	b, ok, err := d.src.payload(3, 3*256)
	if err != nil {
		return err
	}
	if !ok || len(b)%3 != 0 {
		return FormatError("the palette is malformed")
	}
	// Entries that no index reaches are dropped.
	n := min(len(b)/3, 1<<h.BitDepth)
	h.Palette = make(color.Palette, n)
	for i := range h.Palette {
		h.Palette[i] = color.NRGBA{R: b[3*i], G: b[3*i+1], B: b[3*i+2], A: 0xff}
	}
	return nil
}

// readTRNS reads transparency (PNG 11.3.1.1). Of a palette it returns the alphas. Like
// libpng it ignores one that is of a wrong length, that comes before the palette, or
// that belongs to a colour type with alpha.
func (d *Decoder) readTRNS(h *Header) ([]byte, error) {
	b, ok, err := d.src.intactPayload(1, 256)
	if err != nil || !ok {
		return nil, err
	}
	switch h.ColorType {
	case Palette:
		if len(b) > len(h.Palette) {
			return nil, nil
		}
		return b, nil
	case Gray, RGB:
		n := h.ColorType.samples()
		if len(b) != 2*n || h.Transparent != nil {
			return nil, nil
		}
		var t [3]uint16
		for i := range n {
			// Only the low bits count.
			t[i] = binary.BigEndian.Uint16(b[2*i:]) & uint16(1<<h.BitDepth-1)
		}
		h.Transparent = &t
	}
	return nil, nil
}

// readAncillary reads a chunk that the image can be shown without. One that is
// damaged, or too large, is passed over, and of several of a kind the first counts.
func (d *Decoder) readAncillary(h *Header) error {
	s := d.src
	switch s.kind {
	case chunkGAMA: // 11.3.2.2
		if b, ok, err := s.intactPayload(4, 4); err != nil {
			return err
		} else if ok && h.Gamma == 0 {
			h.Gamma = binary.BigEndian.Uint32(b)
		}
	case chunkCHRM: // 11.3.2.1
		if b, ok, err := s.intactPayload(32, 32); err != nil {
			return err
		} else if ok && h.Chromaticities == nil {
			h.Chromaticities = new([8]uint32)
			for i := range h.Chromaticities {
				h.Chromaticities[i] = binary.BigEndian.Uint32(b[4*i:])
			}
		}
	case chunkSRGB: // 11.3.2.5
		if b, ok, err := s.intactPayload(1, 1); err != nil {
			return err
		} else if ok && b[0] <= 3 {
			h.SRGB, h.RenderingIntent = true, int(b[0])
		}
	case chunkCICP: // 11.3.2.6
		if b, ok, err := s.intactPayload(4, 4); err != nil {
			return err
		} else if ok && h.CICP == nil {
			h.CICP = (*[4]uint8)(append([]byte(nil), b...))
		}
	case chunkICCP:
		// The first one counts, and if it is of no use, there is none: others are not
		// looked at, so that a file cannot have thousands of them inflated.
		if !d.profiled {
			d.profiled = true
			return d.readICCP(h)
		}
	case chunkEXIF: // 11.3.4.5
		if h.EXIF == nil {
			b, err := d.readEXIF()
			if err != nil {
				return err
			}
			h.EXIF = b
		}
	case chunkACTL: // 11.3.6.1
		if b, ok, err := s.intactPayload(8, 8); err != nil {
			return err
		} else if ok && !h.Animated {
			h.Animated, h.DeclaredFrames = true, binary.BigEndian.Uint32(b)
		}
	case chunkFCTL: // 11.3.6.2
		d.frames++
		d.framed = true
	default:
		if s.critical() {
			return UnsupportedError("it has a critical chunk of an unknown type, " + s.kind)
		}
	}
	return nil
}

// readEXIF returns what an eXIf chunk holds, or nil if it is not to be used.
func (d *Decoder) readEXIF() ([]byte, error) {
	if d.options.MaxEXIF < 0 || d.src.left > d.options.MaxEXIF {
		return nil, nil
	}
	if err := d.options.Work.Hold(int64(d.src.left)); err != nil {
		return nil, err
	}
	b, err := d.src.copyPayload()
	if err != nil {
		return nil, err
	}
	if sum, err := d.src.intact(); err != nil || !sum {
		return nil, err
	}
	return b, nil
}

// readICCP reads an embedded profile (PNG 11.3.2.3): a name of 1 to 79 bytes, a
// zero, the compression method, and the compressed profile.
func (d *Decoder) readICCP(h *Header) error {
	if d.options.MaxICC < 0 {
		return nil
	}
	s := d.src
	for i := 0; ; i++ {
		if s.left == 0 || i > 79 {
			return nil
		}
		b, err := s.takeChunk(1)
		if err != nil {
			return err
		}
		if b[0] == 0 {
			break
		}
	}
	if s.left == 0 {
		return nil
	}
	if method, err := s.takeChunk(1); err != nil || method[0] != 0 {
		return err
	}
	w := d.workspace
	w.inflate.Reset(&chunkReader{s}, d.options.Work)
	profile := make([]byte, 0, 4096)
	for asked := false; ; {
		if !asked && len(profile) > work.FreeHeader/2 {
			asked = true
			if err := d.options.Work.Hold(int64(d.options.MaxICC)); err != nil {
				return err
			}
		}
		if len(profile) == cap(profile) {
			profile = append(make([]byte, 0, 2*cap(profile)), profile...)
		}
		n, err := w.inflate.Read(profile[len(profile):min(cap(profile), d.options.MaxICC+1)])
		profile = profile[:len(profile)+n]
		if len(profile) > d.options.MaxICC {
			return nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		var damaged inflate.FormatError
		if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrTruncated) || errors.As(err, &damaged) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if sum, err := s.intact(); err != nil || !sum {
		return err
	}
	if len(profile) > 0 {
		h.ICC = profile
	}
	return nil
}

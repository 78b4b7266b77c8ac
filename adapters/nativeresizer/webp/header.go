package webp

import (
	"context"
	"encoding/binary"
	"image"
)

// Header is what a WebP file tells about itself before its first bitstream.
type Header struct {
	// Width and Height are those of the canvas in pixels, 1 to 2^24.
	Width, Height int
	// Frame is where the first frame lies on the canvas: all of it, unless the file
	// is an animation.
	Frame    image.Rectangle
	Animated bool
	// Lossless tells whether the first frame is in the lossless format.
	Lossless bool
	// Alpha tells whether any pixel may be other than opaque.
	Alpha bool
	// ICC is the embedded colour profile, nil when there is none or when it is
	// larger than [Options.MaxICC].
	ICC []byte
	// EXIF begins with a TIFF header, or with "Exif\0\0" before it: nothing in it has
	// been checked. It is nil when there is none before the bitstream, which
	// is where it usually follows: see [Decoded].
	EXIF []byte

	alphaSize int64 // of the ALPH chunk
	dataSize  int64 // of the bitstream's chunk
}

// Chunk types (Container Specification).
const (
	chunkVP8  = "VP8 "
	chunkVP8L = "VP8L"
	chunkVP8X = "VP8X"
	chunkALPH = "ALPH"
	chunkANMF = "ANMF"
	chunkICCP = "ICCP"
	chunkEXIF = "EXIF"
)

// Header reads up to the first bitstream. It allocates nothing of the image's size,
// except that a plane of alpha is kept as it was read. The error is [ErrTruncated], a
// [FormatError], an [UnsupportedError], that of the reader or that of the context. The
// header is shared with the decoder and must not be changed.
func (d *Decoder) Header(ctx context.Context) (*Header, error) {
	if d.header != nil {
		return d.header, nil
	}
	if d.failed != nil {
		return nil, d.failed
	}
	d.src.Use(ctx)
	h, err := d.readHeader()
	if err != nil {
		d.failed = err
		d.Close()
		return nil, err
	}
	d.header = h
	return h, nil
}

func (d *Decoder) readHeader() (*Header, error) {
	b, err := d.src.Take(12)
	if err != nil {
		return nil, err
	}
	if string(b[:4]) != "RIFF" || string(b[8:]) != "WEBP" {
		return nil, FormatError("not a WebP file")
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if size < 12 {
		return nil, FormatError("invalid file size")
	}
	d.file = chunks{s: d.src, work: d.options.Work, left: size - 4}
	d.list = &d.file
	h := &Header{}
	extended, err := d.readVP8X(h)
	if err != nil {
		return nil, err
	}
	return h, d.upToImage(h, extended)
}

// upToImage reads chunks up to the bitstream, or to alpha that has to wait. The first chunk has been begun unless it was VP8X.
func (d *Decoder) upToImage(h *Header, extended bool) error {
	for first := true; ; first = false {
		if !first || extended {
			ok, err := d.file.next()
			if err != nil {
				return err
			}
			if !ok {
				return FormatError("no image")
			}
		}
		var err error
		switch d.file.kind {
		case chunkVP8, chunkVP8L:
			return d.readBitstream(h, extended)
		case chunkALPH:
			if err = d.readAlpha(h); err == nil && d.waits {
				return nil
			}
		case chunkANMF:
			return d.readFrame(h)
		case chunkICCP:
			if h.ICC == nil && d.file.size <= d.options.MaxICC {
				h.ICC, err = d.hold()
			}
		case chunkEXIF:
			if h.EXIF == nil && d.file.size <= d.options.MaxEXIF {
				h.EXIF, err = d.hold()
			}
		case chunkVP8X:
			err = FormatError("more than one VP8X chunk")
		}
		if err != nil {
			return err
		}
		if !extended {
			return FormatError("file does not begin with an image")
		}
	}
}

// hold returns the rest of a chunk before the picture.
func (d *Decoder) hold() ([]byte, error) {
	if err := d.options.Work.Hold(d.file.size); err != nil {
		return nil, err
	}
	return d.file.rest(nil)
}

// readVP8X begins the first chunk, and reads it if it is the header of the extended
// format (Container Specification, Extended File Format).
func (d *Decoder) readVP8X(h *Header) (bool, error) {
	ok, err := d.file.next()
	if err != nil {
		return false, err
	}
	if !ok || d.file.kind != chunkVP8X {
		return false, nil
	}
	b, err := d.file.take(10)
	if err != nil {
		return false, err
	}
	if b == nil {
		return false, FormatError("VP8X chunk is too short")
	}
	h.Width, h.Height = 1+uint24(b[4:]), 1+uint24(b[7:])
	if int64(h.Width)*int64(h.Height) > 1<<32-1 {
		return false, FormatError("canvas is too large")
	}
	h.Frame = image.Rect(0, 0, h.Width, h.Height)
	h.Animated = b[0]&0x02 != 0
	return true, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// readFrame reads the beginning of the first frame of an animation (Container
// Specification, Animation) up to its bitstream.
func (d *Decoder) readFrame(h *Header) error {
	b, err := d.file.take(16)
	if err != nil {
		return err
	}
	if b == nil {
		return FormatError("frame is too short")
	}
	h.Animated = true
	x, y := 2*uint24(b), 2*uint24(b[3:])
	h.Frame = image.Rect(x, y, x+1+uint24(b[6:]), y+1+uint24(b[9:]))
	if !h.Frame.In(image.Rect(0, 0, h.Width, h.Height)) {
		return FormatError("frame lies outside of the canvas")
	}
	// The rest of the frame's chunk is a list of its own.
	d.frame = chunks{s: d.src, work: d.options.Work, left: d.file.todo}
	d.file.left -= d.file.todo
	d.file.todo = 0
	d.list = &d.frame
	return d.upToFrame(h)
}

// upToFrame reads chunks up to the bitstream of a frame, or to alpha that has to wait.
func (d *Decoder) upToFrame(h *Header) error {
	h.Alpha = h.Alpha || h.Frame != image.Rect(0, 0, h.Width, h.Height)
	for {
		ok, err := d.frame.next()
		if err != nil {
			return err
		}
		if !ok {
			return FormatError("frame without an image")
		}
		switch d.frame.kind {
		case chunkALPH:
			if err := d.readAlpha(h); err != nil || d.waits {
				return err
			}
		case chunkVP8, chunkVP8L:
			canvas := h.Alpha
			err := d.readBitstream(h, true)
			h.Alpha = h.Alpha || canvas
			return err
		}
	}
}

// readAlpha keeps the ALPH chunk (Container Specification, Alpha), whose image comes
// after it.
func (d *Decoder) readAlpha(h *Header) error {
	if d.alpha != nil {
		return FormatError("more than one ALPH chunk")
	}
	c := d.list
	pixels := int64(h.Frame.Dx()) * int64(h.Frame.Dy())
	if c.size < 2 {
		return FormatError("ALPH chunk is too short")
	}
	if c.size > maxDataSize(pixels) {
		return UnsupportedError("alpha is larger than its image")
	}
	h.alphaSize = c.size
	if d.waits = c.size > heldAlpha && !d.admitted; d.waits {
		h.Alpha = true
		h.dataSize = min(c.left-c.todo, maxDataSize(pixels)) // what comes cannot be more
		return nil
	}
	var err error
	d.alpha, err = c.rest(nil)
	return err
}

// heldAlpha is how many bytes of alpha a header reads on past, to the bitstream behind
// them. It leaves longer alpha to the decode, because no memory has been admitted
// when a header is read.
const heldAlpha = 16 << 10

// readOn reads what the header had to leave to the decode.
func (d *Decoder) readOn() error {
	if !d.waits {
		return nil
	}
	d.waits, d.admitted = false, true
	h := new(*d.header)
	var err error
	if d.alpha, err = d.list.rest(nil); err != nil {
		return err
	}
	if d.list == &d.frame {
		err = d.upToFrame(h)
	} else {
		err = d.upToImage(h, true)
	}
	d.header = h
	return err
}

// maxDataSize bounds what a bitstream is read of so many pixels: more than any
// encoder makes.
func maxDataSize(pixels int64) int64 { return 8*pixels + 1<<20 }

// readBitstream reads the header of the bitstream: that of a VP8 key frame
// (RFC 6386, 9.1), or that of VP8L (RFC 9649, 3.4). Its size must be that of
// the frame.
func (d *Decoder) readBitstream(h *Header, extended bool) error {
	c := d.list
	h.Lossless = c.kind == chunkVP8L
	n := 10
	if h.Lossless {
		n = 5
	}
	b, err := c.take(n)
	if err != nil {
		return err
	}
	if b == nil {
		return FormatError("bitstream is too short")
	}
	d.data = append(make([]byte, 0, 16), b...)
	var width, height int
	if h.Lossless {
		v := binary.LittleEndian.Uint32(b[1:])
		if b[0] != 0x2f || v>>29 != 0 {
			return FormatError("invalid VP8L header")
		}
		width, height = int(v&0x3fff)+1, int(v>>14&0x3fff)+1
		h.Alpha = v>>28&1 != 0
		if d.alpha != nil {
			return FormatError("lossless image with an ALPH chunk")
		}
	} else {
		if b[0]&1 != 0 || b[3] != 0x9d || b[4] != 0x01 || b[5] != 0x2a {
			return FormatError("invalid VP8 header")
		}
		if b[0]>>1&7 > 3 || b[0]>>4&1 == 0 {
			return FormatError("invalid VP8 version, or a frame that is not shown")
		}
		width, height = int(binary.LittleEndian.Uint16(b[6:])&0x3fff), int(binary.LittleEndian.Uint16(b[8:])&0x3fff)
		if width == 0 || height == 0 {
			return FormatError("image without pixels")
		}
		h.Alpha = d.alpha != nil
	}
	if !extended {
		h.Width, h.Height = width, height
		h.Frame = image.Rect(0, 0, width, height)
	}
	if width != h.Frame.Dx() || height != h.Frame.Dy() {
		return FormatError("sizes of the image and of the container differ")
	}
	h.dataSize = c.size
	if c.size > maxDataSize(int64(width)*int64(height)) {
		return UnsupportedError("data is larger than its image")
	}
	return nil
}

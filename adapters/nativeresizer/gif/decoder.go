package gif

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"sync"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// Defaults and bounds of [Options].
const (
	// DefaultMaxPixels is the default of [Options.MaxPixels]. It is a last resort for
	// callers that do not look at the header.
	DefaultMaxPixels = 1 << 28
	// MaxFactor is the greatest factor that [Decoder.Decode] shrinks by.
	MaxFactor = 256
)

// Options are the limits of a decode. The zero value is good for most uses.
type Options struct {
	// MaxPixels bounds [Header.Pixels] of an image that is decoded. 0 is
	// DefaultMaxPixels, less than 0 is no limit.
	MaxPixels int64
	// Work is what decoding may cost; nil is no limit. Once it is exceeded, the error
	// is [work.ErrExceeded].
	Work *work.Budget
}

// Header is what a GIF file tells about itself before its first image data.
type Header struct {
	// Width and Height are those of the image in pixels, 1 to 131070: of the logical
	// screen, grown to hold the first frame where that reaches beyond it.
	Width, Height int
	// Frame is where the first frame lies on the image.
	Frame image.Rectangle
	// Interlaced tells whether the first frame's rows are interlaced.
	Interlaced bool
	// Alpha tells whether any pixel may be other than opaque.
	Alpha bool

	palette [256]rgb
	// transparent is the index of no colour, or -1.
	transparent int
}

// rgb is a colour of a palette.
type rgb struct{ r, g, b byte }

// Pixels returns the number of pixels of the image.
func (h *Header) Pixels() int64 { return int64(h.Width) * int64(h.Height) }

// Decoder decodes one GIF file from a reader. It is not safe for concurrent use.
type Decoder struct {
	options   Options
	src       *source
	workspace *workspace // nil once the decoder is used up
	header    *Header
	failed    error // of Header
}

// workspace is what decoders leave to one another.
type workspace struct {
	source source
	lzw    lzw
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// workspaceSize bounds the size of a workspace in bytes.
const workspaceSize = 80 << 10

// NewDecoder returns a decoder of the GIF file in r. It reads r in pieces of up to
// 16 KiB, not beyond the piece that holds the end of the file.
func NewDecoder(r io.Reader, o Options) *Decoder {
	if o.MaxPixels == 0 {
		o.MaxPixels = DefaultMaxPixels
	} else if o.MaxPixels < 0 {
		o.MaxPixels = 1<<63 - 1
	}
	w := workspaces.Get().(*workspace)
	w.source.Reset(r, ErrTruncated)
	w.source.budget, w.source.cost = o.Work, 0
	return &Decoder{options: o, src: &w.source, workspace: w}
}

// Close gives the decoder's buffers back. Decode does so itself; a caller that
// reads a header only should. The header stays valid.
func (d *Decoder) Close() {
	if d.workspace == nil {
		return
	}
	w := d.workspace
	d.workspace, d.src = nil, nil
	if d.failed == nil {
		d.failed = ErrUsed
	}
	w.source.Reset(nil, nil)
	w.source.budget = nil
	workspaces.Put(w)
}

// Header reads up to the data of the first frame. It allocates nothing of the
// image's size. The error is [ErrTruncated], a [FormatError], that of the reader or
// that of the context. The header is shared with the decoder and must not be
// changed.
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

// Block labels (GIF89a, appendix A).
const (
	labelImage     = 0x2c
	labelExtension = 0x21
	labelTrailer   = 0x3b
	labelControl   = 0xf9
)

func (d *Decoder) readHeader() (*Header, error) {
	s := d.src
	b, err := s.Take(6) // 17
	if err != nil {
		return nil, err
	}
	if v := string(b); v != "GIF87a" && v != "GIF89a" {
		return nil, FormatError("it has no GIF signature")
	}
	if b, err = s.Take(7); err != nil { // 18
		return nil, err
	}
	h := &Header{
		Width: int(binary.LittleEndian.Uint16(b)), Height: int(binary.LittleEndian.Uint16(b[2:])),
		transparent: -1,
	}
	if b[4]&0x80 != 0 { // 19
		if err := h.readColors(s, b[4]); err != nil {
			return nil, err
		}
	}
	for {
		label, err := s.Byte()
		if err != nil {
			return nil, err
		}
		switch label {
		case labelExtension:
			if err := h.readExtension(s); err != nil {
				return nil, err
			}
		case labelImage:
			if err := h.readDescriptor(s); err != nil {
				return nil, err
			}
			return h, nil
		case labelTrailer:
			return nil, FormatError("there is no picture in it")
		default:
			return nil, FormatError(fmt.Sprintf("there is an unknown block before its picture, 0x%02x", label))
		}
	}
}

// readColors reads a colour table of 2^(n+1) colours, n being the low three bits
// of the flags (GIF89a 19 and 21).
func (h *Header) readColors(s *source, flags byte) error {
	n := 2 << (flags & 7)
	b, err := s.Take(3 * n)
	if err != nil {
		return err
	}
	h.palette = [256]rgb{}
	for i := range n {
		h.palette[i] = rgb{b[3*i], b[3*i+1], b[3*i+2]}
	}
	return nil
}

// readExtension reads the graphic control extension (GIF89a 23) that applies to the
// first frame, and passes over others.
func (h *Header) readExtension(s *source) error {
	label, err := s.Byte()
	if err != nil {
		return err
	}
	if label != labelControl {
		return s.skipSubBlocks()
	}
	b, err := s.subBlock()
	if err != nil || len(b) == 0 {
		return err
	}
	if len(b) >= 4 {
		h.transparent = -1
		if b[0]&1 != 0 {
			h.transparent = int(b[3])
		}
	}
	return s.skipSubBlocks()
}

// readDescriptor reads the image descriptor and the local colour table of the first
// frame (GIF89a 20 and 21).
func (h *Header) readDescriptor(s *source) error {
	b, err := s.Take(9)
	if err != nil {
		return err
	}
	x, y := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	width, height := int(binary.LittleEndian.Uint16(b[4:])), int(binary.LittleEndian.Uint16(b[6:]))
	if width == 0 || height == 0 {
		return FormatError("its first frame has no pixels")
	}
	flags := b[8]
	h.Interlaced = flags&0x40 != 0
	h.Frame = image.Rect(x, y, x+width, y+height)
	// Browsers show the whole of a first frame that does not fit its screen.
	h.Width, h.Height = max(h.Width, h.Frame.Max.X), max(h.Height, h.Frame.Max.Y)
	h.Alpha = h.transparent >= 0 || !image.Rect(0, 0, h.Width, h.Height).In(h.Frame)
	if flags&0x80 != 0 {
		return h.readColors(s, flags)
	}
	return nil
}

// Decoded is a decoded image and what was found behind its data.
type Decoded struct {
	// Image's colours are premultiplied by alpha. Its bounds begin at 0, 0.
	Image *image.RGBA
	// Frames is the number of frames of the file. Only the first is decoded.
	Frames int
}

// Decode decodes the image, shrunk by averaging boxes of fx × fy pixels, each 1 to
// [MaxFactor]. The result is Width/fx × Height/fy pixels, rounded up: the boxes at
// the right and at the bottom hold what there is. With factors of 1 the image is as
// large as the file's.
//
// Decode reads the header if that has not been done, and the file to its end. It
// can be done once. The errors are those of [Decoder.Header] and [ErrTooLarge]; with
// each of them there is no image.
func (d *Decoder) Decode(ctx context.Context, fx, fy int) (*Decoded, error) {
	images, frames, err := d.DecodeShrunk(ctx, image.Pt(fx, fy))
	if err != nil {
		return nil, err
	}
	return &Decoded{Image: images[0], Frames: frames}, nil
}

// DecodeShrunk is [Decoder.Decode] by several pairs of factors at once, each of which gives the
// image that it would give alone. It returns the number of frames, too.
func (d *Decoder) DecodeShrunk(ctx context.Context, factors ...image.Point) ([]*image.RGBA, int, error) {
	for _, f := range factors {
		if f.X < 1 || f.Y < 1 || f.X > MaxFactor || f.Y > MaxFactor {
			return nil, 0, fmt.Errorf("gif: cannot shrink by %d × %d", f.X, f.Y)
		}
	}
	h, err := d.Header(ctx)
	if err != nil {
		return nil, 0, err
	}
	if d.workspace == nil {
		return nil, 0, ErrUsed
	}
	defer d.Close()
	if h.Pixels() > d.options.MaxPixels {
		return nil, 0, ErrTooLarge
	}
	d.src.Use(ctx)
	shrinkers := make([]*shrinker, len(factors))
	for i, f := range factors {
		shrinkers[i] = newShrinker(h, f.X, f.Y)
	}
	if err := d.decodeFrame(ctx, shrinkers); err != nil {
		return nil, 0, err
	}
	images := make([]*image.RGBA, len(factors))
	for i, s := range shrinkers {
		s.finish()
		images[i] = s.out
	}
	frames, err := d.countFrames()
	if err != nil {
		return nil, 0, err
	}
	if err := d.src.settle(); err != nil {
		return nil, 0, err
	}
	return images, frames, nil
}

// MemoryNeeded returns an upper bound of the memory in bytes that decoding an image
// allocates: its result, the sums of the boxes, the buffers of the decoder.
func MemoryNeeded(h *Header, fx, fy int) int64 {
	w, ht := int64(ceilDiv(h.Width, max(fx, 1))), int64(ceilDiv(h.Height, max(fy, 1)))
	need := workspaceSize + 4*w*ht + int64(h.Frame.Dx()) + 8<<10
	if fx > 1 || fy > 1 {
		rows := int64(1)
		if h.Interlaced {
			rows = ht
		}
		need += 16 * w * rows
	}
	return need
}

// interlacing are the first row and the step of the passes of an interlaced frame
// (GIF89a, appendix E).
var interlacing = [4][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}

// decodeFrame decompresses the first frame (GIF89a 22).
func (d *Decoder) decodeFrame(ctx context.Context, shrinkers []*shrinker) error {
	h := d.header
	minimum, err := d.src.Byte()
	if err != nil {
		return err
	}
	if minimum < 1 || minimum > maxMinimum {
		return FormatError("the image data has an invalid code size")
	}
	width, height := h.Frame.Dx(), h.Frame.Dy()
	row := make([]byte, width)
	filled := 0
	y, pass, step := 0, 0, 1
	if h.Interlaced {
		step = 8
	}
	enough, err := d.workspace.lzw.decode(d.src, int(minimum), func(indices []byte) (bool, error) {
		if err := d.src.spend(int64(len(indices)) * costPixel); err != nil {
			return false, err
		}
		for len(indices) > 0 {
			n := copy(row[filled:], indices)
			indices = indices[n:]
			if filled += n; filled < width {
				break
			}
			for _, s := range shrinkers {
				s.add(y, row)
			}
			filled = 0
			y += step
			for h.Interlaced && y >= height && pass < 3 {
				pass++
				y, step = interlacing[pass][0], interlacing[pass][1]
			}
			if y >= height {
				return true, nil
			}
		}
		return false, ctx.Err()
	})
	if err != nil {
		return err
	}
	if !enough {
		return FormatError("there is not enough image data")
	}
	return nil
}

// countFrames walks over the rest of the file. Outside of a frame an end of the
// input is as good as the trailer (GIF89a 27).
func (d *Decoder) countFrames() (int, error) {
	s := d.src
	frames := 1
	for {
		label, err := s.Byte()
		if errors.Is(err, ErrTruncated) {
			return frames, nil
		}
		if err != nil {
			return 0, err
		}
		switch label {
		case labelExtension:
			if _, err = s.Byte(); err == nil {
				err = s.skipSubBlocks()
			}
			if errors.Is(err, ErrTruncated) {
				return frames, nil
			}
		case labelImage:
			frames++
			if err = s.spend(costFrame); err == nil {
				err = skipFrame(s)
			}
		default:
			return frames, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// skipFrame passes over a frame (GIF89a 20 to 22).
func skipFrame(s *source) error {
	b, err := s.Take(9)
	if err != nil {
		return err
	}
	if flags := b[8]; flags&0x80 != 0 {
		if _, err := s.Take(6 << (flags & 7)); err != nil {
			return err
		}
	}
	if _, err := s.Byte(); err != nil {
		return err
	}
	return s.skipSubBlocks()
}

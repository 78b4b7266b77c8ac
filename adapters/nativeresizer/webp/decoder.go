package webp

import (
	"context"
	"errors"
	"image"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/input"
	"github.com/imagify-api/imagify/adapters/nativeresizer/webp/internal/vp8"
	"github.com/imagify-api/imagify/adapters/nativeresizer/webp/internal/vp8l"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// Defaults of [Options].
const (
	// DefaultMaxPixels is the default of [Options.MaxPixels]. It is a last resort for
	// callers that do not look at the header.
	DefaultMaxPixels = 1 << 28
	// DefaultMaxICC is the default of [Options.MaxICC].
	DefaultMaxICC = 4 << 20
	// DefaultMaxEXIF is the default of [Options.MaxEXIF].
	DefaultMaxEXIF = 1 << 20
)

// Options are the limits of a decode. The zero value is good for most uses.
type Options struct {
	// MaxPixels bounds the number of pixels of a canvas that is decoded. 0 is
	// DefaultMaxPixels, less than 0 is no limit.
	MaxPixels int64
	// MaxICC bounds the size of [Header.ICC] in bytes. 0 is DefaultMaxICC, less
	// than 0 drops every profile.
	MaxICC int64
	// MaxEXIF bounds the size of EXIF in bytes. 0 is DefaultMaxEXIF, less than 0
	// drops it always.
	MaxEXIF int64
	// Work is what decoding may cost; nil is no limit. Once it is exceeded, the error
	// is [work.ErrExceeded].
	Work *work.Budget
}

// Decoder decodes one WebP file from a reader. It is not safe for concurrent use.
type Decoder struct {
	options Options
	src     *input.Source // nil once the decoder is used up
	header  *Header
	failed  error // of Header

	file, frame chunks
	list        *chunks // the one that holds the bitstream
	alpha       []byte  // the ALPH chunk's payload
	waits       bool    // the header has stopped before an ALPH chunk's payload
	admitted    bool    // no payload has to wait
	data        []byte  // the beginning of the bitstream
}

// NewDecoder returns a decoder of the WebP file in r. It reads r in pieces of up to
// 16 KiB, not beyond the piece that holds the end of the file.
func NewDecoder(r io.Reader, o Options) *Decoder {
	if o.MaxPixels == 0 {
		o.MaxPixels = DefaultMaxPixels
	} else if o.MaxPixels < 0 {
		o.MaxPixels = 1<<63 - 1
	}
	if o.MaxICC == 0 {
		o.MaxICC = DefaultMaxICC
	}
	if o.MaxEXIF == 0 {
		o.MaxEXIF = DefaultMaxEXIF
	}
	d := &Decoder{options: o, src: new(input.Source)}
	d.src.Reset(r, ErrTruncated)
	return d
}

// Close lets the decoder's buffers go. Decode does so itself; a caller that reads a
// header only should. The header stays valid.
func (d *Decoder) Close() {
	d.src, d.list, d.alpha, d.data = nil, nil, nil, nil
	d.file, d.frame = chunks{}, chunks{}
	if d.failed == nil {
		d.failed = ErrUsed
	}
}

// Decoded is a decoded image and what was found behind its data.
type Decoded struct {
	// Image is an *image.YCbCr (4:2:0) if the image is lossy and opaque, an
	// *image.NYCbCrA (4:2:0) if it is lossy and has alpha, and an *image.NRGBA if it
	// is lossless. Its bounds begin at 0, 0. YCbCr is of full range, as the standard
	// library's conversions assume: it has been converted from VP8's, whose luma is
	// 16 to 235 and whose chroma is 16 to 240 (which x/image/webp does not do; its
	// images have less contrast than the file). DecodePlanes leaves that to the caller, and
	// DecodeRows has no Image.
	Image image.Image
	// Frames is the number of frames of the file. Only the first is decoded.
	Frames int
	// EXIF is that of the header, or else of an EXIF chunk behind the image.
	EXIF []byte
}

// Units of work (see package work).
const (
	chunkUnits   = 60 // a chunk that is passed over
	convertUnits = 3  // a pixel brought from planes to ARGB, alpha unfiltered
)

// Decode decodes the still image, or the first frame of an animation on its canvas.
// It reads the header if that has not been done, and the file to its end. It can be
// done once. The errors are those of [Decoder.Header], [ErrTooLarge] and one that wraps
// [work.ErrExceeded]; with each of them there is no image.
func (d *Decoder) Decode(ctx context.Context) (*Decoded, error) {
	h, err := d.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var out image.Image
	if h.Lossless {
		var m *image.NRGBA
		err := d.lossless(ctx, func(y int, row []uint32) error {
			if m == nil {
				m = image.NewNRGBA(image.Rect(0, 0, h.Width, h.Height))
			}
			to := m.Pix[m.PixOffset(h.Frame.Min.X, h.Frame.Min.Y+y):]
			for i, v := range row {
				px := to[4*i : 4*i+4 : 4*i+4]
				px[0], px[1], px[2], px[3] = byte(v>>16), byte(v>>8), byte(v), byte(v>>24)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		out = m
	} else {
		m, a, err := d.lossy(ctx, true)
		if err != nil {
			return nil, err
		}
		FullRange(m.Y, m.Cb, m.Cr)
		out = onCanvasYCbCr(h, m, a)
	}
	return d.end(out)
}

// DecodePlanes is Decode for a lossy image without alpha, whose planes it leaves in VP8's
// range: see [FullRange]. Without deblock it leaves out the loop filter, which is
// half of the work. The filter smoothes the edges between blocks of 4 × 4 and 16 × 16
// pixels; what is left of these in an image that is shrunk to three quarters of its
// size or less costs less than 0.1 dB.
func (d *Decoder) DecodePlanes(ctx context.Context, deblock bool) (*Decoded, error) {
	h, err := d.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if h.Lossless || h.Alpha {
		return nil, errors.New("webp: planes of an image that has alpha or is lossless")
	}
	m, _, err := d.lossy(ctx, deblock)
	if err != nil {
		return nil, err
	}
	return d.end(m)
}

// DecodeRows is Decode for any image, in rows from the top, of as many pixels as the
// canvas is wide: ARGB with eight bits each, alpha highest and not premultiplied. A row
// is valid until row returns; its error ends the decode. No image of the size of
// a lossless picture is held. Deblock is as for DecodePlanes.
func (d *Decoder) DecodeRows(ctx context.Context, deblock bool, row func(y int, row []uint32) error) (*Decoded, error) {
	h, err := d.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	c := newCanvas(h, row)
	if h.Lossless {
		err = d.lossless(ctx, c.row)
	} else {
		var m *image.YCbCr
		var a []byte
		if m, a, err = d.lossy(ctx, deblock); err == nil {
			err = rowsOf(ctx, m, a, c.row)
		}
	}
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return nil, err
	}
	return d.end(nil)
}

// begin reads the header, and makes ready for the bitstream.
func (d *Decoder) begin(ctx context.Context) (*Header, error) {
	h, err := d.Header(ctx)
	if err != nil {
		return nil, err
	}
	if d.src == nil {
		return nil, ErrUsed
	}
	if int64(h.Width)*int64(h.Height) > d.options.MaxPixels {
		d.Close()
		return nil, ErrTooLarge
	}
	d.src.Use(ctx)
	if err := d.readOn(); err != nil {
		d.Close()
		return nil, err
	}
	return d.header, nil
}

// end reads the file to its end.
func (d *Decoder) end(m image.Image) (*Decoded, error) {
	out := &Decoded{Image: m, EXIF: d.header.EXIF, Frames: 1}
	if d.list == &d.frame {
		// The rest of the frame's chunk.
		if err := d.frame.end(); err != nil {
			return nil, err
		}
		if err := d.src.Skip(d.frame.left); err != nil {
			return nil, err
		}
	}
	for {
		ok, err := d.file.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return out, nil
		}
		switch d.file.kind {
		case chunkANMF:
			out.Frames++
		case chunkEXIF:
			if out.EXIF == nil && d.file.size <= d.options.MaxEXIF {
				if out.EXIF, err = d.file.rest(nil); err != nil {
					return nil, err
				}
			}
		}
	}
}

// MemoryNeeded returns an upper bound of the memory in bytes that [Decoder.Decode]
// allocates: that of RowsMemory, and the image. It does not count the header's own EXIF and ICC.
func MemoryNeeded(h *Header) int64 {
	need := RowsMemory(h)
	if h.Lossless || h.Frame != image.Rect(0, 0, h.Width, h.Height) {
		need += 4 * int64(h.Width) * int64(h.Height)
	}
	return need
}

// RowsMemory returns an upper bound of the memory in bytes that [Decoder.DecodeRows] or
// [Decoder.DecodePlanes] allocates: planes, bitstreams that have to be there whole,
// and the tables and windows of the decoders.
func RowsMemory(h *Header) int64 {
	w, ht := int64(h.Frame.Dx()), int64(h.Frame.Dy())
	// Bitstreams that are kept grow as they are read.
	need := 3*h.alphaSize + 64<<10 + 8*int64(h.Width) + 16*w
	if h.Lossless {
		return need + vp8l.MemoryNeeded(int(w), int(ht), h.dataSize)
	}
	// Macroblocks of 384 samples with their filters, and the borders of the planes.
	mbw, mbh := (w+15)/16, (ht+15)/16
	need += 3*h.dataSize + 400*mbw*mbh + 256*(mbw+mbh+2)
	if h.alphaSize > 0 {
		need += w*ht + vp8l.MemoryNeeded(int(w), int(ht), h.alphaSize)
	}
	return need
}

// lossless decodes the first frame, which is a VP8L bitstream, in rows.
func (d *Decoder) lossless(ctx context.Context, row func(y int, row []uint32) error) error {
	if d.data[4]&0x10 != 0 {
		return d.vp8l(ctx, &payload{d.list}, row)
	}
	// The values of alpha do not count (RFC 9649, 3.4).
	line := make([]uint32, d.header.Frame.Dx())
	return d.vp8l(ctx, &payload{d.list}, func(y int, in []uint32) error {
		for i, v := range in {
			line[i] = v | 0xff<<24
		}
		return row(y, line)
	})
}

// vp8l decodes a VP8L bitstream of the frame's size.
func (d *Decoder) vp8l(ctx context.Context, r io.Reader, row func(y int, row []uint32) error) error {
	err := vp8l.Decode(ctx, r, vp8l.Options{Width: d.header.Frame.Dx(), Height: d.header.Frame.Dy(), Budget: d.options.Work}, row)
	var damaged vp8l.FormatError
	if errors.As(err, &damaged) {
		return FormatError(damaged.Error())
	}
	if errors.Is(err, vp8l.ErrTruncated) {
		return FormatError(err.Error())
	}
	return err
}

// lossy decodes the first frame, which is a VP8 bitstream and may have alpha.
func (d *Decoder) lossy(ctx context.Context, deblock bool) (*image.YCbCr, []byte, error) {
	h := d.header
	data, err := d.list.rest(d.data)
	if err != nil {
		return nil, nil, err
	}
	var a []byte
	if d.alpha != nil {
		if a, err = d.decodeAlpha(ctx); err != nil {
			return nil, nil, err
		}
		d.alpha = nil
		if err := d.options.Work.Spend(convertUnits * int64(len(a))); err != nil {
			return nil, nil, err
		}
	}
	m, err := vp8.Decode(ctx, data, vp8.Options{Deblock: deblock, Budget: d.options.Work})
	var damaged vp8.FormatError
	if errors.As(err, &damaged) {
		return nil, nil, FormatError(damaged.Error())
	}
	if err != nil {
		return nil, nil, err
	}
	if m.Rect != image.Rect(0, 0, h.Frame.Dx(), h.Frame.Dy()) {
		return nil, nil, FormatError("sizes of the image and of the container differ")
	}
	return m, a, nil
}

// payload reads the rest of a chunk.
type payload struct{ c *chunks }

// Read implements io.Reader.
func (p *payload) Read(b []byte) (int, error) {
	n := min(int64(len(b)), p.c.todo, 4<<10)
	if n == 0 {
		return 0, io.EOF
	}
	data, err := p.c.take(int(n))
	return copy(b, data), err
}

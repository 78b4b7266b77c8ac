package webp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/vp8l"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/input"
	"github.com/imagify-api/imagify/adapters/nativeresizer/webp/internal/vp8"
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
	// images have less contrast than the file).
	Image image.Image
	// Frames is the number of frames of the file. Only the first is decoded.
	Frames int
	// EXIF is that of the header, or else of an EXIF chunk behind the image.
	EXIF []byte
}

// Decode decodes the still image, or the first frame of an animation on its canvas.
// It reads the header if that has not been done, and the file to its end. It can be
// done once. The errors are those of [Decoder.Header] and [ErrTooLarge]; with each of
// them there is no image.
func (d *Decoder) Decode(ctx context.Context) (*Decoded, error) {
	return d.decode(ctx, true)
}

// DecodeForShrinking is Decode without the loop filter of lossy images, which is
// half of the work. It smoothes the edges between blocks of 4 × 4 and 16 × 16
// pixels; what is left of these in an image that is shrunk to half its size or less cannot
// be seen. Lossless images are the same as with Decode.
func (d *Decoder) DecodeForShrinking(ctx context.Context) (*Decoded, error) {
	return d.decode(ctx, false)
}

func (d *Decoder) decode(ctx context.Context, deblock bool) (*Decoded, error) {
	h, err := d.Header(ctx)
	if err != nil {
		return nil, err
	}
	if d.src == nil {
		return nil, ErrUsed
	}
	defer d.Close()
	if int64(h.Width)*int64(h.Height) > d.options.MaxPixels {
		return nil, ErrTooLarge
	}
	d.src.Use(ctx)
	data, err := d.list.rest(d.data)
	if err != nil {
		return nil, err
	}
	m, err := d.decodeFrame(ctx, data, deblock)
	if err != nil {
		return nil, err
	}
	out := &Decoded{Image: m, EXIF: h.EXIF, Frames: 1}
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

// MemoryNeeded returns an upper bound of the memory in bytes that decoding an image
// allocates: planes or pixels, the bitstream, and the tables of the decoders. It
// does not count the header's own EXIF and ICC.
func MemoryNeeded(h *Header) int64 {
	w, ht := int64(h.Frame.Dx()), int64(h.Frame.Dy())
	// The bitstreams grow as they are read.
	need := 3*h.dataSize + 3*h.alphaSize + 256<<10
	if h.Lossless {
		need += losslessMemory(w, ht, h.dataSize)
	} else {
		// Macroblocks of 384 samples with their filters, and the borders of the planes.
		mbw, mbh := (w+15)/16, (ht+15)/16
		need += 400*mbw*mbh + 256*(mbw+mbh+2)
		if h.alphaSize > 0 {
			need += w*ht + losslessMemory(w, ht, h.alphaSize)
		}
	}
	if h.Frame != image.Rect(0, 0, h.Width, h.Height) {
		need += 4 * int64(h.Width) * int64(h.Height)
	}
	return need
}

// maxGroups is how many groups of prefix codes x/image's VP8L decoder takes, and
// libwebp's encoder writes, at most.
const maxGroups = 2600

// losslessMemory bounds what the VP8L decoder allocates: pixels of four bytes before
// and after the colour indexing transform, images of the transforms and of the
// entropy codes for tiles of 4 × 4 pixels or more, and the tables of the groups of
// five prefix codes, each group of which takes at least 20 bits of the bitstream.
func losslessMemory(w, h, size int64) int64 {
	tiles := ((w + 3) / 4) * ((h + 3) / 4)
	groups := min(maxGroups, tiles, size*8/20) + 1
	// A code takes two nodes of eight bytes for each of its symbols. In a group there
	// are 256 literals four times, 24 lengths, a cache of 2048 and 40 distances (RFC
	// 9649, 6.2), at most of 18 bytes of table for each bit of the bitstream that lists them.
	nodes := min(groups*16*(4*256+24+2048+40), 144*size)
	return 8*w*h + 16*tiles + 4096*groups + nodes + 1<<20
}

// decodeFrame decodes the first frame and puts it on the canvas.
func (d *Decoder) decodeFrame(ctx context.Context, data []byte, deblock bool) (image.Image, error) {
	h := d.header
	if h.Lossless {
		m, err := decodeVP8L(ctx, bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if data[4]&0x10 == 0 {
			// The values of alpha do not count (RFC 9649, 3.4).
			for i := 3; i < len(m.Pix); i += 4 {
				m.Pix[i] = 0xff
			}
		}
		return onCanvasNRGBA(h, m), nil
	}
	var a []byte
	if d.alpha != nil {
		var err error
		if a, err = decodeAlpha(ctx, d.alpha, h.Frame.Dx(), h.Frame.Dy()); err != nil {
			return nil, err
		}
		d.alpha = nil
	}
	m, err := vp8.Decode(ctx, data, deblock)
	var damaged vp8.FormatError
	if errors.As(err, &damaged) {
		return nil, FormatError(damaged.Error())
	}
	if err != nil {
		return nil, err
	}
	fullRange(m)
	return onCanvasYCbCr(h, m, a), ctx.Err()
}

// guard turns a panic of x/image's decoder into an error, so that a mistake in it is not
// the end of the process.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = FormatError(fmt.Sprint("decoder failed: ", r))
	}
}

// decodeVP8L decodes a VP8L bitstream.
func decodeVP8L(ctx context.Context, r io.Reader) (m *image.NRGBA, err error) {
	defer guard(&err)
	decoded, err := vp8l.Decode(&contextReader{ctx, r})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, FormatError(err.Error())
	}
	m, ok := decoded.(*image.NRGBA)
	if !ok {
		return nil, UnsupportedError("pixel format of the VP8L decoder")
	}
	return m, ctx.Err()
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

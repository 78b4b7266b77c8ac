package png

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"sync"

	"github.com/imagify-api/imagify/adapters/nativeresizer/png/internal/inflate"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// Defaults and bounds of [Options].
const (
	// DefaultMaxPixels is the default of [Options.MaxPixels]. It is a last resort for
	// callers that do not look at the header.
	DefaultMaxPixels = 1 << 28
	// DefaultMaxICC is the default of [Options.MaxICC].
	DefaultMaxICC = 4 << 20
	// DefaultMaxEXIF is the default of [Options.MaxEXIF].
	DefaultMaxEXIF = 1 << 20
	// MaxFactor is the greatest factor that [Decoder.Decode] shrinks by.
	MaxFactor = 256
)

// Options are the limits of a decode. The zero value is good for most uses.
type Options struct {
	// MaxPixels bounds the number of pixels of an image that is decoded. 0 is
	// DefaultMaxPixels, less than 0 is no limit.
	MaxPixels int64
	// MaxICC bounds the size of [Header.ICC] in bytes. 0 is DefaultMaxICC, less
	// than 0 drops every profile.
	MaxICC int
	// MaxEXIF bounds the size of EXIF in bytes. 0 is DefaultMaxEXIF, less than 0
	// drops it always.
	MaxEXIF int
	// Work is what decoding may cost; nil is no limit. Once it is exceeded, the error
	// is [work.ErrExceeded].
	Work *work.Budget
}

// Decoder decodes one PNG file from a reader. It is not safe for concurrent use.
type Decoder struct {
	options   Options
	src       *source
	workspace *workspace // nil once the decoder is used up
	header    *Header
	failed    error // of Header
	frames    int   // fcTL chunks so far
	framed    bool  // the default image is part of the animation: fcTL before IDAT
	profiled  bool  // a profile was looked at
}

// workspace is what decoders leave to one another.
type workspace struct {
	source  source
	inflate inflate.Reader
	rows    []byte
}

// maxKeptRows is the size of row buffers that are worth to be kept.
const maxKeptRows = 1 << 20

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// workspaceSize bounds the size of a workspace without its rows, in bytes.
const workspaceSize = 192 << 10

// NewDecoder returns a decoder of the PNG file in r. It reads r in pieces of up to
// 32 KiB, not beyond the piece that holds the end of the file.
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
	w := workspaces.Get().(*workspace)
	s := &w.source
	s.r, s.ctx, s.err, s.budget = r, context.Background(), nil, o.Work
	s.rd, s.wr, s.left, s.ended, s.chunks = 0, 0, 0, false, 0
	return &Decoder{options: o, src: s, workspace: w}
}

// Close gives the decoder's buffers back. Decode and Rows do so themselves; a
// caller that reads a header only should. The header stays valid.
func (d *Decoder) Close() { d.release() }

func (d *Decoder) release() {
	if d.workspace == nil {
		return
	}
	w := d.workspace
	d.workspace, d.src = nil, nil
	if d.failed == nil {
		d.failed = ErrUsed
	}
	w.source.r, w.source.ctx, w.source.budget = nil, nil, nil
	w.inflate.Reset(nil, nil)
	if cap(w.rows) > maxKeptRows {
		w.rows = nil
	}
	workspaces.Put(w)
}

// Decoded is a decoded image and what was found behind its data.
type Decoded struct {
	// Image is an *image.Gray if the file is gray and opaque, otherwise an
	// *image.RGBA: its colours are premultiplied by alpha. Its bounds begin at 0, 0.
	Image image.Image
	Trailer
}

// Trailer is what is only known at the end of a file.
type Trailer struct {
	// Frames is the number of pictures in the file: those of an animation, counted by
	// their frame control chunks, and the default image where it is not one of
	// them. Only the default image is decoded.
	Frames int
	// EXIF is that of the header, or else of an eXIf chunk behind the image data.
	EXIF []byte
}

// Decode decodes the image, shrunk by averaging boxes of fx × fy pixels, each 1 to
// [MaxFactor]. The result is Width/fx × Height/fy pixels, rounded up: the boxes at
// the right and at the bottom hold what there is. Colours are weighed by their
// alpha. With factors of 1 the image is as large as the file's.
//
// Decode reads the header if that has not been done, and the file to its end. It
// can be done once. The errors are those of [Decoder.Header] and [ErrTooLarge]; with each
// of them there is no image.
func (d *Decoder) Decode(ctx context.Context, fx, fy int) (*Decoded, error) {
	images, t, err := d.DecodeShrunk(ctx, image.Pt(fx, fy))
	if err != nil {
		return nil, err
	}
	return &Decoded{Image: images[0], Trailer: *t}, nil
}

// DecodeShrunk is [Decoder.Decode] by several pairs of factors at once, each of which gives the
// image that it would give alone.
func (d *Decoder) DecodeShrunk(ctx context.Context, factors ...image.Point) ([]image.Image, *Trailer, error) {
	for _, f := range factors {
		if f.X < 1 || f.Y < 1 || f.X > MaxFactor || f.Y > MaxFactor {
			return nil, nil, fmt.Errorf("png: cannot shrink by %d × %d", f.X, f.Y)
		}
	}
	h, err := d.Header(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := d.ready(); err != nil {
		return nil, nil, err
	}
	shrinkers := make([]*shrinker, len(factors))
	for i, f := range factors {
		if shrinkers[i], err = newShrinker(h, f.X, f.Y); err != nil {
			return nil, nil, err
		}
	}
	t, err := d.rows(ctx, func(r Row) error {
		for _, s := range shrinkers {
			s.add(r)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	images := make([]image.Image, len(factors))
	for i, s := range shrinkers {
		images[i] = s.image()
	}
	return images, t, nil
}

// A Row is pixels of one row of an image, or, if the image is interlaced, of one
// row of one of its passes.
type Row struct {
	// Y is the row in the image, X the place of the first pixel. The next
	// pixel is Step further to the right: 1 unless the image is interlaced.
	Y, X, Step int
	// Pix holds [Header.Channels] samples of 8 bits for each pixel. Colours are not
	// premultiplied by alpha. It must not be changed, and is valid until the
	// function returns.
	Pix []byte
}

// Rows decodes the image and calls fn for each row: from top to bottom, unless the
// image is interlaced, when there are up to seven passes that each go from top to
// bottom. An error that fn returns ends decoding and is returned.
//
// Rows reads the header if that has not been done, and the file to its end. It can
// be done once. The errors are those of Decode, and they may come after any number
// of rows.
func (d *Decoder) Rows(ctx context.Context, fn func(Row) error) (*Trailer, error) {
	if _, err := d.Header(ctx); err != nil {
		return nil, err
	}
	if err := d.ready(); err != nil {
		return nil, err
	}
	return d.rows(ctx, fn)
}

// ready tells why the image cannot be decoded, once there is a header.
func (d *Decoder) ready() error {
	if d.workspace == nil {
		return ErrUsed
	}
	if h := d.header; int64(h.Width) > d.options.MaxPixels/int64(h.Height) {
		d.release()
		return ErrTooLarge
	}
	return nil
}

// MemoryNeeded returns an upper bound of the memory in bytes that decoding an image
// allocates: its result, its rows, the sums of the boxes, the buffers of the
// decoder. It does not count the header's own EXIF and ICC. [Decoder.Rows] needs what
// factors of 1 do without the result, that is without 4·Width·Height.
func MemoryNeeded(h *Header, fx, fy int) int64 {
	fx, fy = max(fx, 1), max(fy, 1)
	w, ht := (int64(h.Width)+int64(fx)-1)/int64(fx), (int64(h.Height)+int64(fy)-1)/int64(fy)
	channels := int64(4)
	if h.Channels() == 1 {
		channels = 1
	}
	need := workspaceSize + channels*w*ht
	// The file's row, that before it and the one being read, and its samples.
	need += 3*int64(h.rowBytes(h.Width)) + int64(h.Width)*int64(h.Channels()) + 256
	switch {
	case fx == 1 && fy == 1:
	case h.Interlaced:
		need += 4 * int64(h.Channels()) * w * ht
	default:
		need += 4*int64(h.Channels())*w + 4*int64(h.Width)*int64(h.Channels()) + 64
	}
	return need
}

// pass is one of the reduced images of an interlaced file (PNG 8.1): the
// pixels at x0 + i·dx, y0 + j·dy.
type pass struct{ x0, y0, dx, dy int }

var (
	wholePass = []pass{{0, 0, 1, 1}}
	adam7     = []pass{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
)

// checkEvery is how many bytes of rows are unfiltered between two looks at the
// context, about a millisecond's work; a row counts for at least minRowCost.
const (
	checkEvery = 256 << 10
	minRowCost = 64
)

// rows decodes all rows and the rest of the file.
func (d *Decoder) rows(ctx context.Context, fn func(Row) error) (*Trailer, error) {
	defer d.release()
	d.src.ctx = ctx
	return d.readRows(ctx, fn)
}

func (d *Decoder) readRows(ctx context.Context, fn func(Row) error) (*Trailer, error) {
	h, w := d.header, d.workspace
	passes := wholePass
	if h.Interlaced {
		passes = adam7
	}
	data := &imageReader{s: d.src}
	z := &w.inflate
	z.Reset(data, d.options.Work)

	bpp := (h.bitsPerPixel() + 7) / 8
	longest := h.rowBytes(h.Width)
	size := bpp + longest + rowPad
	if cap(w.rows) < 3*size {
		w.rows = make([]byte, 3*size)
	}
	rows := w.rows[:3*size]
	// The raw row has its filter type before it; the others have a pixel of zeros
	// (PNG 9.2), and each has padding for loads and stores of eight bytes.
	raw, cur, prev := rows[:size], rows[size:2*size], rows[2*size:]
	clear(cur[:bpp])
	clear(prev[:bpp])
	expand := newExpander(h)
	pixel := pixelCost(h)
	cost, units := 0, int64(0)
	for _, p := range passes {
		if p.x0 >= h.Width || p.y0 >= h.Height {
			continue
		}
		width := (h.Width - p.x0 + p.dx - 1) / p.dx
		n := h.rowBytes(width)
		clear(prev)
		for y := p.y0; y < h.Height; y += p.dy {
			units += costRow + costRowByte*int64(n) + pixel*int64(width)
			if cost += n + minRowCost; cost > checkEvery {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if err := d.options.Work.Spend(units); err != nil {
					return nil, err
				}
				cost, units = 0, 0
			}
			row, err := z.Take(n+1, raw)
			if err != nil {
				return nil, streamError(err)
			}
			if !unfilter(row[0], cur, row[1:cap(row)], prev, n, bpp) {
				return nil, FormatError("a row has an invalid filter type")
			}
			pix := cur[bpp : bpp+n]
			if expand != nil {
				pix = expand.row(pix, width)
			}
			if err := fn(Row{Y: y, X: p.x0, Step: p.dx, Pix: pix}); err != nil {
				return nil, err
			}
			cur, prev = prev, cur
		}
	}
	if err := d.options.Work.Spend(units); err != nil {
		return nil, err
	}
	// All pixels are there. What is wrong from here on only tells what else the file
	// holds, but for the checksum of the data, if that ends here as it should (PNG 10.1).
	var damaged inflate.FormatError
	if n, err := z.Read(raw[:1]); n == 0 && errors.As(err, &damaged) {
		return nil, streamError(err)
	} else if errors.Is(err, work.ErrExceeded) {
		return nil, err
	}
	return d.readTrailer(data)
}

// streamError is the error of the image data. That of the input stays as it is.
func streamError(err error) error {
	var f inflate.FormatError
	switch {
	case errors.Is(err, ErrTruncated): // the file's end, not the stream's
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return FormatError("there is not enough image data")
	case errors.As(err, &f):
		return FormatError("the image data is damaged: " + string(f))
	}
	return err
}

// readTrailer reads the chunks behind the image data up to IEND. Where they are broken,
// or the file ends, the picture does as well: all of its pixels are there.
func (d *Decoder) readTrailer(data *imageReader) (*Trailer, error) {
	t := &Trailer{EXIF: d.header.EXIF}
	var format FormatError
	for !data.next {
		// Image data behind the end of its stream is passed over, as libpng does. Its
		// checksums are right even so: else its pixels may be wrong.
		err := data.advance()
		if errors.Is(err, ErrTruncated) || errors.As(err, &format) && d.src.ended && !d.src.wrong {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if data.next {
		if err := d.readChunks(t); err != nil && !errors.Is(err, ErrTruncated) && !errors.As(err, &format) {
			return nil, err
		}
	}
	t.Frames = 1
	if d.header.Animated {
		t.Frames = d.frames
		if !d.framed {
			t.Frames++
		}
	}
	return t, nil
}

// readChunks reads chunks up to IEND.
func (d *Decoder) readChunks(t *Trailer) error {
	s := d.src
	for s.kind != chunkIEND {
		switch {
		case s.kind == chunkFCTL:
			d.frames++
		case s.kind == chunkEXIF && t.EXIF == nil:
			b, err := d.readEXIF()
			if err != nil {
				return err
			}
			t.EXIF = b
		}
		// Chunks that are critical before the data have no use here, and do no harm.
		if err := s.endChunk(); err != nil {
			return err
		}
		if err := s.nextChunk(); err != nil {
			return err
		}
	}
	return s.endChunk()
}

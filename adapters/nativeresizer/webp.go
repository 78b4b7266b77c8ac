package nativeresizer

import (
	"context"
	"errors"
	"image"
	"io"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/webp"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
	"github.com/imagify-api/imagify/domain"
)

// webpFile is a WebP whose header was read.
type webpFile struct {
	d       *webp.Decoder
	h       *webp.Header
	profile *icc.Transform
}

func openWebP(ctx context.Context, src io.Reader, budget *work.Budget) (file, error) {
	// What is too large was refused by its header.
	d := webp.NewDecoder(src, webp.Options{MaxPixels: -1, MaxICC: icc.MaxProfile, Work: budget})
	h, err := d.Header(ctx)
	if err != nil {
		d.Close()
		return nil, err
	}
	profile, err := readProfile(budget, h.ICC, icc.RGB)
	if err != nil {
		d.Close()
		return nil, err
	}
	return &webpFile{d: d, h: h, profile: profile}, nil
}

func (f *webpFile) header() header {
	h := header{
		format: domain.WebP, width: f.h.Width, height: f.h.Height,
		pixels: max(int64(f.h.Width)*int64(f.h.Height), int64(f.h.Frame.Dx())*int64(f.h.Frame.Dy())),
		alpha:  f.h.Alpha, orientation: imagefile.Orientation(f.h.EXIF),
		// EXIF mostly comes after the picture.
		mayTurn: f.h.EXIF == nil,
		direct:  f.inPlanes() && f.profile == nil,
		margin:  boxMargin,
	}
	if f.inPlanes() {
		h.margin = unfiltered
	}
	return h
}

// unfiltered is by how much a thumbnail of planes has to be smaller to be made
// without the loop filter, which costs as much as all else and then does not show.
const unfiltered = 4. / 3

// inPlanes reports whether thumbnails are made of planes of YCbCr as they are
// decoded. Else there are pixels, or alpha by which colours have to be weighed.
func (f *webpFile) inPlanes() bool { return !f.h.Lossless && !f.h.Alpha }

// shrink is by how much pixels are averaged. Planes are decoded whole, by 1 with the loop
// filter and by 2 without.
func (f *webpFile) shrink(ratio, margin float64) int {
	if f.inPlanes() {
		if ratio >= margin {
			return 2
		}
		return 1
	}
	return int(min(max(ratio/margin, 1), maxBox))
}

func (f *webpFile) memory(shrinks ...int) int64 {
	m := webp.RowsMemory(f.h) + int64(len(f.h.EXIF)+4*len(f.h.ICC))
	if f.inPlanes() {
		// The resampler's box leaves a sixteenth, and a quarter of that is added for chroma.
		return m + int64(f.h.Width)*int64(f.h.Height)/10
	}
	for _, k := range shrinks {
		m += boxMemory(f.h.Width, f.h.Height, k)
	}
	return m
}

// joins: a lossy picture is decoded with the loop filter or without.
func (f *webpFile) joins(a, b int) bool { return f.h.Lossless || (a > 1) == (b > 1) }

func (f *webpFile) decode(ctx context.Context, shrinks ...int) ([]*picture, error) {
	pictures := make([]*picture, len(shrinks))
	deblock := shrinks[0] == 1
	if f.inPlanes() {
		out, err := f.d.DecodePlanes(ctx, deblock)
		if err != nil {
			return nil, err
		}
		for i := range pictures {
			pictures[i] = f.picture(out)
			pictures[i].model, pictures[i].videoRange = ycbcr, true
			m := out.Image.(*image.YCbCr)
			w, h := m.Rect.Dx(), m.Rect.Dy()
			cw, ch := (w+1)/2, (h+1)/2
			pictures[i].planes = []plane{
				newPlane(m.Y, m.YStride, w, h, 1, 1, 1),
				newPlane(m.Cb, m.CStride, cw, ch, 1, 2, 2),
				newPlane(m.Cr, m.CStride, cw, ch, 1, 2, 2),
			}
		}
		return pictures, nil
	}
	shrunk := make([]*boxes, len(shrinks))
	for i, k := range shrinks {
		shrunk[i] = newBoxes(f.h.Width, f.h.Height, k)
	}
	out, err := f.d.DecodeRows(ctx, deblock, func(_ int, row []uint32) error {
		for _, b := range shrunk {
			b.add(row)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	for i, b := range shrunk {
		p := f.picture(out)
		p.model, p.alpha = rgba, f.h.Alpha && !b.opaque
		p.planes = []plane{{Plane: b.out, perX: float64(b.k), perY: float64(b.k)}}
		pictures[i] = p
	}
	return pictures, nil
}

// picture is what is known of a picture beside its planes.
func (f *webpFile) picture(out *webp.Decoded) *picture {
	return &picture{
		width: f.h.Width, height: f.h.Height, orientation: imagefile.Orientation(out.EXIF), profile: f.profile,
	}
}

func (f *webpFile) close() { f.d.Close() }

func classifyWebP(err error) error {
	var format webp.FormatError
	var unsupported webp.UnsupportedError
	switch {
	case errors.Is(err, webp.ErrTruncated):
		return cutShort(err)
	case errors.As(err, &format):
		return domain.Wrap(domain.CorruptImage, err, "the WebP is damaged: "+string(format))
	case errors.As(err, &unsupported):
		return domain.Wrap(domain.UnsupportedImage, err, "the WebP uses a part of the format that is not accepted ("+string(unsupported)+"): save it again")
	}
	return nil
}

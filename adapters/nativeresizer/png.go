package nativeresizer

import (
	"context"
	"errors"
	"image"
	"io"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/png"
	"github.com/imagify-api/imagify/domain"
)

// pngFile is a PNG whose header was read.
type pngFile struct {
	d       *png.Decoder
	h       *png.Header
	profile *icc.Transform
}

func openPNG(ctx context.Context, src io.Reader) (file, error) {
	d := png.NewDecoder(src, png.Options{MaxICC: icc.MaxProfile})
	h, err := d.Header(ctx)
	if err != nil {
		d.Close()
		return nil, err
	}
	space := icc.RGB
	if h.ColorType == png.Gray || h.ColorType == png.GrayAlpha {
		space = icc.Gray
	}
	return &pngFile{d: d, h: h, profile: readProfile(h.ICC, space)}, nil
}

func (f *pngFile) header() header {
	return header{
		format: domain.PNG, width: f.h.Width, height: f.h.Height, pixels: int64(f.h.Width) * int64(f.h.Height),
		alpha: f.h.Alpha, orientation: imagefile.Orientation(f.h.EXIF),
		// EXIF may come after the picture.
		mayTurn: f.h.EXIF == nil,
		direct:  f.h.Channels() == 1,
		margin:  boxMargin,
	}
}

func (f *pngFile) shrink(most float64) int { return int(min(max(most, 1), png.MaxFactor)) }

func (f *pngFile) memory(shrink int) int64 {
	return png.MemoryNeeded(f.h, shrink, shrink) + int64(len(f.h.EXIF)+4*len(f.h.ICC))
}

func (f *pngFile) decode(ctx context.Context, shrink int) (*picture, error) {
	out, err := f.d.Decode(ctx, shrink, shrink)
	if err != nil {
		return nil, err
	}
	p := &picture{
		width: f.h.Width, height: f.h.Height, orientation: imagefile.Orientation(out.EXIF),
		alpha: f.h.Alpha, profile: f.profile, grayProfile: f.h.Channels() <= 2,
	}
	switch m := out.Image.(type) {
	case *image.Gray:
		p.model = gray
		p.planes = []plane{newPlane(m.Pix, m.Stride, m.Rect.Dx(), m.Rect.Dy(), 1, float64(shrink), float64(shrink))}
	case *image.RGBA:
		p.model = rgba
		p.planes = []plane{newPlane(m.Pix, m.Stride, m.Rect.Dx(), m.Rect.Dy(), 4, float64(shrink), float64(shrink))}
	}
	return p, nil
}

func (f *pngFile) close() { f.d.Close() }

func classifyPNG(err error) error {
	var format png.FormatError
	var unsupported png.UnsupportedError
	switch {
	case errors.Is(err, png.ErrTruncated):
		return cutShort(err)
	case errors.As(err, &format):
		return domain.Wrap(domain.CorruptImage, err, "the PNG cannot be decoded")
	case errors.As(err, &unsupported):
		return domain.Wrap(domain.UnsupportedImage, err, "the PNG uses a part of a standard that is not accepted; save it anew")
	case errors.Is(err, png.ErrTooManyChunks):
		return domain.LimitError(domain.TooLarge, png.DefaultMaxChunks, "the PNG has more than %d chunks; save it anew", png.DefaultMaxChunks)
	}
	return nil
}

package nativeresizer

import (
	"context"
	"errors"
	"image"
	"io"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/png"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
	"github.com/imagify-api/imagify/domain"
)

// pngFile is a PNG whose header was read.
type pngFile struct {
	d       *png.Decoder
	h       *png.Header
	profile *icc.Transform
}

func openPNG(ctx context.Context, src io.Reader, budget *work.Budget) (file, error) {
	d := png.NewDecoder(src, png.Options{MaxICC: icc.MaxProfile, Work: budget})
	h, err := d.Header(ctx)
	if err != nil {
		d.Close()
		return nil, err
	}
	space := icc.RGB
	if h.ColorType == png.Gray || h.ColorType == png.GrayAlpha {
		space = icc.Gray
	}
	profile, err := readProfile(budget, h.ICC, space)
	if err != nil {
		d.Close()
		return nil, err
	}
	return &pngFile{d: d, h: h, profile: profile}, nil
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

func (f *pngFile) memory(shrinks ...int) int64 {
	m := int64(len(f.h.EXIF) + 4*len(f.h.ICC))
	for _, k := range shrinks {
		m += png.MemoryNeeded(f.h, k, k)
	}
	return m
}

func (f *pngFile) joins(_, _ int) bool { return true }

func (f *pngFile) decode(ctx context.Context, shrinks ...int) ([]*picture, error) {
	images, trailer, err := f.d.DecodeShrunk(ctx, squares(shrinks)...)
	if err != nil {
		return nil, err
	}
	pictures := make([]*picture, len(images))
	for i, m := range images {
		p := &picture{
			width: f.h.Width, height: f.h.Height, orientation: imagefile.Orientation(trailer.EXIF),
			alpha: f.h.Alpha, profile: f.profile, grayProfile: f.h.Channels() <= 2,
		}
		per := float64(shrinks[i])
		switch m := m.(type) {
		case *image.Gray:
			p.model = gray
			p.planes = []plane{newPlane(m.Pix, m.Stride, m.Rect.Dx(), m.Rect.Dy(), 1, per, per)}
		case *image.RGBA:
			p.model = rgba
			p.planes = []plane{newPlane(m.Pix, m.Stride, m.Rect.Dx(), m.Rect.Dy(), 4, per, per)}
		}
		pictures[i] = p
	}
	return pictures, nil
}

// squares are the factors of boxes with these sides.
func squares(sides []int) []image.Point {
	p := make([]image.Point, len(sides))
	for i, k := range sides {
		p[i] = image.Pt(k, k)
	}
	return p
}

func (f *pngFile) close() { f.d.Close() }

func classifyPNG(err error) error {
	var format png.FormatError
	var unsupported png.UnsupportedError
	switch {
	case errors.Is(err, png.ErrTruncated):
		return cutShort(err)
	case errors.As(err, &format):
		return domain.Wrap(domain.CorruptImage, err, "the PNG cannot be decoded: "+string(format))
	case errors.As(err, &unsupported):
		return domain.Wrap(domain.UnsupportedImage, err, "the PNG uses a part of a standard that is not accepted: "+string(unsupported)+"; save it again")
	}
	return nil
}

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
	profile, err := colours(budget, h, space)
	if err != nil {
		d.Close()
		return nil, err
	}
	return &pngFile{d: d, h: h, profile: profile}, nil
}

// colours returns the transform to sRGB by the first of the chunks that tell of colours,
// in the order that the specification gives them (PNG 4.3, 11.3.2): cICP, iCCP, sRGB,
// gAMA with cHRM. It is nil where there is nothing to do.
func colours(budget *work.Budget, h *png.Header, space icc.Space) (*icc.Transform, error) {
	if c := h.CICP; c != nil && c[2] == 0 { // RGB has no matrix
		if t, ok := icc.FromCodePoints(c[0], c[1], c[3] != 0, space); ok {
			return needed(t), nil
		}
	}
	if len(h.ICC) > 0 {
		return readProfile(budget, h.ICC, space)
	}
	if h.SRGB || h.Gamma == 0 {
		return nil, nil
	}
	primaries := icc.Rec709
	if c := h.Chromaticities; c != nil {
		xy := func(i int) [2]float64 { return [2]float64{float64(c[i]) / 100_000, float64(c[i+1]) / 100_000} }
		primaries = icc.Chromaticities{White: xy(0), Red: xy(2), Green: xy(4), Blue: xy(6)}
	}
	t, ok := icc.FromGamma(float64(h.Gamma)/100_000, primaries, space)
	if !ok {
		return nil, nil
	}
	return needed(t), nil
}

// needed returns a transform that does something, or nil.
func needed(t *icc.Transform) *icc.Transform {
	if t.Identity() {
		return nil
	}
	return t
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

func (f *pngFile) shrink(ratio, margin float64) int {
	return int(min(max(ratio/margin, 1), png.MaxFactor))
}

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
		return domain.Wrap(domain.CorruptImage, err, "the PNG is damaged: "+string(format))
	case errors.As(err, &unsupported):
		return domain.Wrap(domain.UnsupportedImage, err, "the PNG uses a part of a standard that is not accepted: "+string(unsupported)+"; save it again")
	}
	return nil
}

package nativeresizer

import (
	"context"
	"errors"
	"io"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/jpeg"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
	"github.com/imagify-api/imagify/domain"
)

// jpegFile is a JPEG whose header was read.
type jpegFile struct {
	d       *jpeg.Decoder
	h       *jpeg.Header
	profile *icc.Transform
}

func openJPEG(ctx context.Context, src io.Reader, budget *work.Budget) (file, error) {
	d := jpeg.NewDecoder(src, jpeg.Options{MaxICC: icc.MaxProfile, Work: budget, Subsample: true})
	h, err := d.Header(ctx)
	if err != nil {
		d.Close()
		return nil, err
	}
	f := &jpegFile{d: d, h: h}
	space := icc.RGB
	switch h.Model {
	case jpeg.Gray:
		space = icc.Gray
	case jpeg.CMYK, jpeg.YCCK:
		space = icc.CMYK
	}
	if f.profile, err = readProfile(budget, h.ICC, space); err != nil {
		d.Close()
		return nil, err
	}
	return f, nil
}

// readProfile returns the transform of a profile, or nil where there is none, or
// none that works, or nothing to do: the picture then counts as sRGB. The error is
// work.ErrExceeded.
func readProfile(budget *work.Budget, data []byte, space icc.Space) (*icc.Transform, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if err := budget.Spend(icc.Work(len(data))); err != nil {
		return nil, err
	}
	t, err := icc.New(data, space)
	if err != nil || t.Identity() {
		return nil, nil //nolint:nilerr // a broken profile counts as absent
	}
	return t, nil
}

func (f *jpegFile) header() header {
	return header{
		format: domain.JPEG, width: f.h.Width, height: f.h.Height, pixels: int64(f.h.Width) * int64(f.h.Height),
		orientation: imagefile.Orientation(f.h.EXIF),
		direct:      f.h.Model == jpeg.Gray || f.h.Model == jpeg.YCbCr && f.profile == nil,
		margin:      jpegMargins[jpeg.Half],
	}
}

// jpegMargins are by how much what a smaller transform leaves ought to be larger than the
// thumbnail. That of 4×4 cuts off what is above its own number of samples
// sharply; that of a single sample is a box, which lets more through.
var jpegMargins = map[jpeg.Scale]float64{jpeg.Eighth: 1.5, jpeg.Quarter: 1.38, jpeg.Half: 1.1}

func (f *jpegFile) shrink(ratio, margin float64) int {
	for _, s := range []jpeg.Scale{jpeg.Eighth, jpeg.Quarter, jpeg.Half} {
		if margin > 1 {
			margin = jpegMargins[s]
		}
		if float64(s)*margin <= ratio {
			return int(s)
		}
	}
	return int(jpeg.Full)
}

func (f *jpegFile) memory(shrinks ...int) int64 {
	return jpeg.MemoryNeeded(f.h, scales(shrinks)...) + int64(len(f.h.EXIF)+4*len(f.h.ICC))
}

func scales(shrinks []int) []jpeg.Scale {
	s := make([]jpeg.Scale, len(shrinks))
	for i, k := range shrinks {
		s[i] = jpeg.Scale(k)
	}
	return s
}

func (f *jpegFile) joins(_, _ int) bool { return true }

func (f *jpegFile) decode(ctx context.Context, shrinks ...int) ([]*picture, error) {
	decoded, err := f.d.DecodeScales(ctx, scales(shrinks)...)
	if err != nil {
		return nil, err
	}
	pictures := make([]*picture, len(decoded))
	for i, p := range decoded {
		if p.Truncated {
			return nil, cutShort(nil)
		}
		pictures[i] = f.picture(p)
	}
	return pictures, nil
}

// picture is what was decoded at a scale.
func (f *jpegFile) picture(out *jpeg.Planes) *picture {
	h := f.header()
	p := &picture{
		width: h.width, height: h.height, orientation: h.orientation,
		model: map[jpeg.ColorModel]model{
			jpeg.Gray: gray, jpeg.YCbCr: ycbcr, jpeg.RGB: rgb, jpeg.CMYK: cmyk, jpeg.YCCK: ycck,
		}[out.Model],
		inverted: out.Inverted,
		profile:  f.profile,
	}
	hMax, vMax := 1, 1
	for _, c := range out.Planes {
		hMax, vMax = max(hMax, c.H), max(vMax, c.V)
	}
	for _, c := range out.Planes {
		p.planes = append(p.planes, newPlane(c.Pix, c.Stride, c.Width, c.Height, 1,
			float64(int(out.Scale)*hMax)/float64(c.H), float64(int(out.Scale)*vMax)/float64(c.V)))
	}
	return p
}

func (f *jpegFile) close() { f.d.Close() }

func classifyJPEG(err error) error {
	var format jpeg.FormatError
	var unsupported jpeg.UnsupportedError
	switch {
	case errors.As(err, &format):
		return domain.Wrap(domain.CorruptImage, err, "the JPEG is damaged: "+string(format))
	case errors.As(err, &unsupported):
		return domain.Wrap(domain.UnsupportedImage, err, "the JPEG uses a part of the standard that is not accepted ("+string(unsupported)+"): save it as baseline or progressive JPEG")
	case errors.Is(err, jpeg.ErrTooMuchWork):
		return domain.LimitError(domain.TooLarge, jpeg.DefaultMaxWork, "decoding the JPEG would take too much work for what it shows; save it again with fewer passes")
	}
	return nil
}

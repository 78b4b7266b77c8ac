//go:build !noheic

package nativeresizer

import (
	"context"
	"errors"
	"io"
	"runtime"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/nativeresizer/heif"
	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/resample"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
	"github.com/imagify-api/imagify/domain"
)

// heicFile is a HEIC file whose header was read.
type heicFile struct {
	d       *heif.Decoder
	h       *heif.Header
	profile *icc.Transform
	workers int
}

func openHEIC(ctx context.Context, src io.ReadSeeker, budget *work.Budget) (file, error) {
	f := &heicFile{workers: runtime.GOMAXPROCS(0)}
	// What is too large was refused by its header.
	f.d = heif.NewDecoder(src, heif.Options{MaxPixels: -1, MaxICC: icc.MaxProfile, Workers: f.workers, Work: budget})
	var err error
	if f.h, err = f.d.Header(ctx); err == nil {
		f.profile, err = f.colours(budget)
	}
	if err != nil {
		f.d.Close()
		return nil, err
	}
	return f, nil
}

// colours returns the transform into sRGB, by the profile or else by the code points.
func (f *heicFile) colours(budget *work.Budget) (*icc.Transform, error) {
	if len(f.h.ICC) > 0 {
		space := icc.RGB
		if f.h.Monochrome {
			space = icc.Gray
		}
		return readProfile(budget, f.h.ICC, space)
	}
	if f.h.Monochrome {
		return nil, nil
	}
	return codePoints(f.h.Colour), nil
}

// codePoints returns the transform of colours that H.273's code points tell, or nil where they are
// sRGB or what viewers do not tell from it: the primaries and transfer of television before BT.2020.
func codePoints(c heif.Colour) *icc.Transform {
	primaries, transfer := 1, 13
	switch c.Primaries {
	case 9, 11, 12:
		primaries = c.Primaries
	}
	switch c.Transfer {
	case 4, 5, 8, 16, 18:
		transfer = c.Transfer
	}
	if primaries == 1 && transfer == 13 {
		return nil
	}
	t, ok := icc.FromCodePoints(uint8(primaries), uint8(transfer), true, icc.RGB)
	if !ok {
		return nil
	}
	return t
}

func (f *heicFile) header() header {
	pixels := max(int64(f.h.Width)*int64(f.h.Height), f.h.Canvas)
	return header{
		format: domain.HEIC, width: f.h.Width, height: f.h.Height, pixels: pixels,
		alpha: f.inPixels(), orientation: f.h.Orientation,
		// EXIF counts where the container says nothing, and may come after the picture.
		mayTurn: f.h.EXIF && !f.h.Turned,
		direct:  !f.inPixels() && (f.h.Monochrome || f.profile == nil && matrixOf(f.h.Colour.Matrix) == nil && f.h.Colour.Matrix != 0),
		margin:  1, // reductions come with one of their own
	}
}

// inPixels reports whether the picture is decoded to pixels: there is alpha, by which colours have to be weighed.
func (f *heicFile) inPixels() bool { return f.h.Alpha || f.h.Overlay }

func (f *heicFile) shrink(ratio, margin float64) int { return f.h.Largest(ratio / margin) }

func (f *heicFile) memory(shrinks ...int) int64 {
	m := heif.MemoryNeeded(f.h, f.workers, shrinks...) + int64(4*len(f.h.ICC))
	if f.inPixels() {
		m += 4 * int64(f.h.Width) * int64(f.h.Height)
	}
	// The resampler's box, as of other planes.
	return m + int64(f.h.Width)*int64(f.h.Height)/10
}

func (f *heicFile) joins(_, _ int) bool { return true }

func (f *heicFile) decode(ctx context.Context, shrinks ...int) ([]*picture, error) {
	decoded, err := f.d.Decode(ctx, shrinks...)
	if err != nil {
		return nil, err
	}
	pictures := make([]*picture, len(decoded))
	for i, out := range decoded {
		p := &picture{width: f.h.Width, height: f.h.Height, orientation: f.h.Orientation, profile: f.profile}
		if !f.h.Turned {
			p.orientation = imagefile.Orientation(out.EXIF)
		}
		if f.inPixels() {
			if err := f.pixels(ctx, p, out); err != nil {
				return nil, err
			}
		} else {
			p.samples(out.Layers[0])
		}
		pictures[i] = p
	}
	return pictures, nil
}

// samples takes over the planes of a picture.
func (p *picture) samples(l heif.Layer) {
	planes := l.Planes
	switch {
	case len(planes) == 1:
		p.model = gray
	case l.Colour.Matrix == 0: // green, blue, red
		p.model = rgb
		planes = []heif.Plane{planes[2], planes[0], planes[1]}
	default:
		p.model, p.matrix = ycbcr, matrixOf(l.Colour.Matrix)
	}
	for _, pl := range planes {
		p.planes = append(p.planes, newPlane(pl.Pix, pl.Stride, pl.Width, pl.Height, 1, float64(pl.PerX), float64(pl.PerY)))
	}
}

// pixels puts layers with alpha together on the canvas: premultiplied colours of four bytes.
func (f *heicFile) pixels(ctx context.Context, p *picture, out *heif.Decoded) error {
	canvas := resample.New(f.h.Width, f.h.Height, 4)
	if f.h.Overlay && out.Fill[3] != 0 {
		var px [4]uint32
		for c := range 3 {
			px[c] = uint32(out.Fill[c]>>8) * uint32(out.Fill[3]>>8) / 255
		}
		px[3] = uint32(out.Fill[3] >> 8)
		for i := 0; i < len(canvas.Pix); i += 4 {
			canvas.Pix[i], canvas.Pix[i+1], canvas.Pix[i+2], canvas.Pix[i+3] = byte(px[0]), byte(px[1]), byte(px[2]), byte(px[3])
		}
	}
	row := make([]byte, 0)
	for i := range out.Layers {
		l := &out.Layers[i]
		from, to := max(0, -l.X), min(l.Width, canvas.Width-l.X)
		if from >= to {
			continue
		}
		row = append(row[:0], make([]byte, 4*l.Width)...)
		for y := max(0, -l.Y); y < min(l.Height, canvas.Height-l.Y); y++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			layerRow(row, l, y)
			over(canvas.Pix[(l.Y+y)*canvas.Stride+4*(l.X+from):], row[4*from:4*to], l.Premultiplied)
		}
	}
	p.model, p.planes = rgba, []plane{{Plane: canvas, perX: 1, perY: 1}}
	for i := 3; i < len(canvas.Pix); i += 4 {
		if canvas.Pix[i] != 255 {
			p.alpha = true
			break
		}
	}
	return nil
}

// layerRow converts row y of a layer into RGB and alpha.
func layerRow(row []byte, l *heif.Layer, y int) {
	at := func(p *heif.Plane) []byte { return p.Pix[min(y/p.PerY, p.Height-1)*p.Stride:][:p.Width] }
	luma := at(&l.Planes[0])
	matrix := matrixOf(l.Colour.Matrix)
	var cb, cr []byte
	per := 1
	if len(l.Planes) > 1 {
		cb, cr, per = at(&l.Planes[1]), at(&l.Planes[2]), l.Planes[1].PerX
	}
	var alpha []byte
	scale := 0
	if a := l.Alpha; a != nil {
		alpha = a.Pix[y*a.Height/l.Height*a.Stride:][:a.Width]
		scale = a.Width
	}
	for x := range l.Width {
		px := row[4*x : 4*x+4 : 4*x+4]
		switch {
		case cb == nil:
			px[0], px[1], px[2] = luma[x], luma[x], luma[x]
		case l.Colour.Matrix == 0:
			px[0], px[1], px[2] = cr[x/per], luma[x], cb[x/per]
		case matrix != nil:
			px[0], px[1], px[2] = matrix.toRGB(luma[x], cb[x/per], cr[x/per])
		default:
			px[0], px[1], px[2] = toRGB(luma[x], cb[x/per], cr[x/per])
		}
		px[3] = 255
		if alpha != nil {
			px[3] = alpha[x*scale/l.Width]
		}
	}
}

// over lays pixels over premultiplied ones.
func over(dst, src []byte, premultiplied bool) {
	for ; len(src) >= 4; dst, src = dst[4:], src[4:] {
		a := uint32(src[3])
		for c := range 3 {
			v := uint32(src[c])
			if premultiplied {
				v = min(v, a)
			} else {
				v = (v*a + 127) / 255
			}
			dst[c] = byte(min(v+(uint32(dst[c])*(255-a)+127)/255, 255))
		}
		dst[3] = byte(a + (uint32(dst[3])*(255-a)+127)/255)
	}
}

func (f *heicFile) close() { f.d.Close() }

func classifyHEIC(err error) error {
	var format heif.FormatError
	var picture hevc.FormatError
	var unsupported heif.UnsupportedError
	var coded hevc.UnsupportedError
	var coding heif.CodingError
	switch {
	case errors.Is(err, heif.ErrTruncated):
		return cutShort(err)
	case errors.Is(err, hevc.ErrTruncated):
		return domain.Wrap(domain.CorruptImage, err, "the HEIC is damaged: the data of its picture ends before the picture does")
	case errors.As(err, &format):
		return domain.Wrap(domain.CorruptImage, err, "the HEIC is damaged: "+string(format))
	case errors.As(err, &picture):
		return domain.Wrap(domain.CorruptImage, err, "the HEIC's picture is damaged: "+string(picture))
	case errors.As(err, &coding):
		return domain.Wrap(domain.UnsupportedImage, err, "the picture in the HEIF file is coded as "+string(coding)+", which is not accepted: save it as JPEG, PNG or WebP")
	case errors.As(err, &unsupported):
		return domain.Wrap(domain.UnsupportedImage, err, "the HEIC uses a part of the format that is not accepted ("+string(unsupported)+"): save it as JPEG")
	case errors.As(err, &coded):
		return domain.Wrap(domain.UnsupportedImage, err, "the HEIC uses a part of HEVC that is not accepted ("+string(coded)+"): save it as JPEG")
	}
	return nil
}

package nativeresizer

import (
	"context"
	"encoding/binary"
	"errors"
	"image"
	"io"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/resample"
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
	return header{
		format: domain.WebP, width: f.h.Width, height: f.h.Height,
		pixels: max(int64(f.h.Width)*int64(f.h.Height), int64(f.h.Frame.Dx())*int64(f.h.Frame.Dy())),
		alpha:  f.h.Alpha, orientation: imagefile.Orientation(f.h.EXIF),
		// EXIF mostly comes after the picture.
		mayTurn: f.h.EXIF == nil,
		direct:  f.inPlanes() && f.profile == nil,
		margin:  boxMargin,
		ahead:   f.h.Animated,
	}
}

// inPlanes reports whether thumbnails are made of planes of YCbCr as they are
// decoded. Else there are pixels, or alpha by which colours have to be weighed.
func (f *webpFile) inPlanes() bool { return !f.h.Lossless && !f.h.Alpha }

// shrink is by how much pixels are averaged. Planes are decoded whole; with 2 it is without
// the loop filter, which is half of the work and does not show in what is so much smaller.
func (f *webpFile) shrink(most float64) int {
	if f.inPlanes() {
		return int(min(max(most, 1), 2))
	}
	return int(min(max(most, 1), maxBox))
}

func (f *webpFile) memory(shrinks ...int) int64 {
	m := webp.MemoryNeeded(f.h) + int64(len(f.h.EXIF)+4*len(f.h.ICC))
	if f.inPlanes() {
		// The resampler's box leaves a sixteenth, and a quarter of that is added for chroma.
		return m + int64(f.h.Width)*int64(f.h.Height)/10
	}
	for _, k := range shrinks {
		w, h := int64(f.h.Width/k+1), int64(f.h.Height/k+1)
		m += 4*w*h + 16*w
	}
	return m
}

// joins: a lossy picture is decoded with the loop filter or without.
func (f *webpFile) joins(a, b int) bool { return f.h.Lossless || (a > 1) == (b > 1) }

func (f *webpFile) decode(ctx context.Context, shrinks ...int) ([]*picture, error) {
	decode := f.d.Decode
	if shrinks[0] > 1 {
		decode = f.d.DecodeForShrinking
	}
	out, err := decode(ctx)
	if err != nil {
		return nil, err
	}
	pictures := make([]*picture, len(shrinks))
	for i, k := range shrinks {
		if pictures[i], err = f.picture(ctx, out, k); err != nil {
			return nil, err
		}
	}
	return pictures, nil
}

// picture is what was decoded, its pixels shrunk.
func (f *webpFile) picture(ctx context.Context, out *webp.Decoded, shrink int) (*picture, error) {
	p := &picture{
		width: f.h.Width, height: f.h.Height, orientation: imagefile.Orientation(out.EXIF), profile: f.profile,
	}
	if m, ok := out.Image.(*image.YCbCr); ok {
		p.model = ycbcr
		w, h := m.Rect.Dx(), m.Rect.Dy()
		cw, ch := (w+1)/2, (h+1)/2
		p.planes = []plane{
			newPlane(m.Y, m.YStride, w, h, 1, 1, 1),
			newPlane(m.Cb, m.CStride, cw, ch, 1, 2, 2),
			newPlane(m.Cr, m.CStride, cw, ch, 1, 2, 2),
		}
		return p, nil
	}
	var box boxes
	switch m := out.Image.(type) {
	case *image.NRGBA:
		p.alpha = f.h.Alpha && !m.Opaque()
		box = boxes{m.Rect.Dx(), m.Rect.Dy(), shrink, !p.alpha, func(y int) []byte { return m.Pix[y*m.Stride:][:4*m.Rect.Dx()] }}
	case *image.NYCbCrA:
		p.alpha = !m.Opaque()
		row := make([]byte, 4*m.Rect.Dx())
		box = boxes{m.Rect.Dx(), m.Rect.Dy(), shrink, !p.alpha, func(y int) []byte {
			luma, alpha := m.Y[y*m.YStride:], m.A[y*m.AStride:]
			cb, cr := m.Cb[y/2*m.CStride:], m.Cr[y/2*m.CStride:]
			for x := 0; x < len(row)/4; x++ {
				px := row[4*x : 4*x+4 : 4*x+4]
				px[0], px[1], px[2] = toRGB(luma[x], cb[x/2], cr[x/2])
				px[3] = alpha[x]
			}
			return row
		}}
	}
	small, err := box.average(ctx)
	if err != nil {
		return nil, err
	}
	p.model = rgba
	p.planes = []plane{{Plane: small, perX: float64(shrink), perY: float64(shrink)}}
	return p, nil
}

func (f *webpFile) close() { f.d.Close() }

// maxBox is the greatest side of a box: sums of 255² for each of its pixels fit in 32 bits.
const maxBox = 128

// boxes averages pixels of RGB and alpha, not premultiplied, into premultiplied ones.
type boxes struct {
	width, height, shrink int
	opaque                bool
	row                   func(y int) []byte // four bytes a pixel
}

func (b *boxes) average(ctx context.Context) (resample.Plane, error) {
	k := b.shrink
	out := resample.New((b.width+k-1)/k, (b.height+k-1)/k, 4)
	sums := make([][4]uint32, out.Width)
	for y := range out.Height {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		clear(sums)
		rows := min(k, b.height-y*k)
		for j := range rows {
			row := b.row(y*k + j)
			for x := range sums {
				s := &sums[x]
				part := row[4*x*k : 4*min(x*k+k, b.width)]
				if b.opaque {
					addOpaque(s, part)
					continue
				}
				for ; len(part) >= 4; part = part[4:] {
					a := uint32(part[3])
					s[0] += uint32(part[0]) * a
					s[1] += uint32(part[1]) * a
					s[2] += uint32(part[2]) * a
					s[3] += a
				}
			}
		}
		px := out.Pix[y*out.Stride:][:4*out.Width]
		for x, s := range sums {
			area := uint32(min(k, b.width-x*k) * rows)
			for c := range 3 {
				px[4*x+c] = byte((s[c] + 255*area/2) / (255 * area))
			}
			px[4*x+3] = byte((s[3] + area/2) / area)
		}
	}
	return out, nil
}

// addOpaque adds pixels of the same alpha, 255: two samples in a word, of at most maxBox pixels.
func addOpaque(s *[4]uint32, pixels []byte) {
	var rb, ga uint32
	for ; len(pixels) >= 4; pixels = pixels[4:] {
		px := binary.LittleEndian.Uint32(pixels)
		rb += px & 0x00ff00ff
		ga += px >> 8 & 0x00ff00ff
	}
	s[0] += rb & 0xffff * 255
	s[1] += ga & 0xffff * 255
	s[2] += rb >> 16 * 255
	s[3] += ga >> 16
}

func classifyWebP(err error) error {
	var format webp.FormatError
	var unsupported webp.UnsupportedError
	switch {
	case errors.Is(err, webp.ErrTruncated):
		return cutShort(err)
	case errors.As(err, &format):
		return domain.Wrap(domain.CorruptImage, err, "the WebP cannot be decoded")
	case errors.As(err, &unsupported):
		return domain.Wrap(domain.UnsupportedImage, err, "the WebP uses a part of the format that is not accepted; save it anew")
	}
	return nil
}

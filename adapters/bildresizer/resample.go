package bildresizer

import (
	"bytes"
	"context"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"

	"github.com/anthonynsimon/bild/transform"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/internal/thumbhash"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// stripRows is how many rows are converted to RGBA at a time.
const stripRows = 64

// strips calls f for the canvas from top to bottom, in strips of at most
// stripRows, as RGBA with premultiplied alpha. The strip at y is f's until it returns; its top is row 0.
func (fr *frame) strips(ctx context.Context, f func(y int, strip *image.RGBA)) error {
	first := fr.info.First
	buffer := image.NewRGBA(image.Rect(0, 0, fr.info.Width, min(stripRows, fr.info.Height)))
	for y := 0; y < fr.info.Height; y += stripRows {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		strip := buffer.SubImage(image.Rect(0, 0, fr.info.Width, min(stripRows, fr.info.Height-y))).(*image.RGBA)
		if !fr.info.FirstCoversCanvas() {
			clear(strip.Pix)
		}
		dst := image.Rect(first.X, first.Y-y, first.X+first.Width, first.Y-y+first.Height)
		draw.Draw(strip, dst, fr.img, fr.img.Bounds().Min, draw.Src)
		f(y, strip)
	}
	return nil
}

// thumbnail makes the thumbnail of a height.
func thumbnail(ctx context.Context, f *frame, height int) (ports.Thumbnail, error) {
	width, full := f.info.Size()
	width, height = domain.ThumbnailSize(width, full, height)
	w, h := width, height
	if imagefile.Swapped(f.info.Orientation) {
		w, h = h, w
	}
	m, err := resample(ctx, f, w, h)
	if err != nil {
		return ports.Thumbnail{}, err
	}
	m = orient(m, f.info.Orientation)
	t := ports.Thumbnail{Width: width, Height: height, Format: domain.ImageInfo{Alpha: f.alpha}.ThumbnailFormat()}
	out := &output{ctx: ctx}
	if f.alpha {
		err = png.Encode(out, unpremultiply(m))
	} else {
		err = jpeg.Encode(out, m, &jpeg.Options{Quality: ports.ThumbnailQuality})
	}
	if err != nil {
		return ports.Thumbnail{}, err
	}
	t.Data = out.buf.Bytes()
	return t, nil
}

// output is a buffer that takes no more once the context has ended, so that the encoder stops.
type output struct {
	ctx context.Context
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	if o.ctx.Err() != nil {
		return 0, cancelled(o.ctx)
	}
	return o.buf.Write(p)
}

// resample gives the canvas another size, as transform.Resize does with the
// Lanczos filter, and to the same pixels: that too works across, then down, and
// rounds between. Done in strips it needs no RGBA image of the canvas's size, and
// can be stopped. Where bild is not to change a side, its filter leaves every pixel as it is.
func resample(ctx context.Context, f *frame, width, height int) (*image.RGBA, error) {
	narrowed := image.NewRGBA(image.Rect(0, 0, width, f.info.Height))
	err := f.strips(ctx, func(y int, strip *image.RGBA) {
		if width != f.info.Width {
			strip = transform.Resize(strip, width, strip.Rect.Dy(), transform.Lanczos)
		}
		draw.Draw(narrowed, strip.Rect.Add(image.Pt(0, y)), strip, image.Point{}, draw.Src)
	})
	if err != nil || height == f.info.Height {
		return narrowed, err
	}
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	const columns = 64
	for x := 0; x < width; x += columns {
		if ctx.Err() != nil {
			return nil, cancelled(ctx)
		}
		r := image.Rect(x, 0, min(x+columns, width), f.info.Height)
		band := transform.Resize(narrowed.SubImage(r), r.Dx(), height, transform.Lanczos)
		draw.Draw(m, image.Rect(r.Min.X, 0, r.Max.X, height), band, image.Point{}, draw.Src)
	}
	return m, nil
}

// orient turns and mirrors a picture as EXIF's orientation says (Exif 2.32, 4.6.4.A).
func orient(m *image.RGBA, orientation int) *image.RGBA {
	if orientation == 1 {
		return m
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	if imagefile.Swapped(orientation) {
		w, h = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			sx, sy := x, y
			switch orientation {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, w-1-x
			case 7:
				sx, sy = h-1-y, w-1-x
			case 8:
				sx, sy = h-1-y, x
			}
			copy(out.Pix[out.PixOffset(x, y):][:4], m.Pix[m.PixOffset(sx, sy):])
		}
	}
	return out
}

// unpremultiply makes straight alpha of premultiplied, in place. A colour may
// be greater than its alpha, where Lanczos overshoots: it is as bright as can be.
func unpremultiply(m *image.RGBA) *image.NRGBA {
	for i := 0; i < len(m.Pix); i += 4 {
		p := m.Pix[i : i+4]
		a := uint32(p[3])
		for c, v := range p[:3] {
			if a != 0 {
				p[c] = uint8(min(255, (uint32(v)*255+a/2)/a))
			} else {
				p[c] = 0
			}
		}
	}
	return &image.NRGBA{Pix: m.Pix, Stride: m.Stride, Rect: m.Rect}
}

// placeholder makes the ThumbHash: of a picture of some hundred pixels, each the
// mean of the pixels that fall in it.
func placeholder(ctx context.Context, f *frame) ([]byte, error) {
	w, h := f.info.Width, f.info.Height
	if longer := max(w, h); longer > thumbhash.MaxSide {
		w, h = max(1, w*thumbhash.MaxSide/longer), max(1, h*thumbhash.MaxSide/longer)
	}
	type mean struct {
		sum [4]uint64
		n   uint64
	}
	means := make([]mean, w*h)
	err := f.strips(ctx, func(y int, strip *image.RGBA) {
		for dy := range strip.Rect.Dy() {
			row := means[(y+dy)*h/f.info.Height*w:][:w]
			pix := strip.Pix[dy*strip.Stride:]
			for x := range f.info.Width {
				m := &row[x*w/f.info.Width]
				for c := range m.sum {
					m.sum[c] += uint64(pix[4*x+c])
				}
				m.n++
			}
		}
	})
	if err != nil {
		return nil, err
	}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, p := range means {
		for c, sum := range p.sum {
			m.Pix[4*i+c] = uint8((sum + p.n/2) / p.n)
		}
	}
	return thumbhash.Encode(unpremultiply(orient(m, f.info.Orientation)))
}

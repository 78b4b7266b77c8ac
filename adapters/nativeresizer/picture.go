package nativeresizer

import (
	"context"
	"image"

	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/resample"
	"github.com/imagify-api/imagify/adapters/nativeresizer/webp"
	"github.com/imagify-api/imagify/domain"
)

// model says what the samples of a picture mean.
type model int

const (
	gray  model = iota + 1
	ycbcr       // three planes, BT.601 full range, or see videoRange
	rgb         // three planes, or one of three channels
	rgba        // one plane of four channels, colours premultiplied by alpha
	cmyk        // four planes
	ycck        // four planes: CMY as Y, Cb, Cr, and K
)

// picture is a decoded file, mostly smaller than it is, that thumbnails are made of.
type picture struct {
	width, height int // in pixels of the file, as coded
	orientation   int // EXIF's, 1 to 8
	model         model
	inverted      bool    // CMYK and YCCK whose 255 is no ink
	matrix        *matrix // of YCbCr; nil is BT.601's
	videoRange    bool    // YCbCr is in the range of WebP's; it is converted when it is small
	planes        []plane
	// alpha: some pixel is transparent, so thumbnails need it. At every reduction of a file it is the same.
	alpha bool
	// profile is nil where the colours are sRGB, or to be taken for it.
	profile *icc.Transform
	// grayProfile: the profile is of gray, whatever the model.
	grayProfile bool
}

// plane is samples, each of which stands for perX × perY pixels of the file.
type plane struct {
	resample.Plane
	perX, perY float64
}

// size is a size of what is made of a picture, in pixels.
type size struct {
	shown image.Point // as a viewer shows it
	coded image.Point // before it is turned
}

// sizeOf returns the size of a picture that is width × height as shown.
func sizeOf(width, height, orientation int) size {
	if swapped(orientation) {
		return size{image.Pt(width, height), image.Pt(height, width)}
	}
	return size{image.Pt(width, height), image.Pt(width, height)}
}

// shownSize returns the size of a picture as a viewer shows it.
func shownSize(width, height, orientation int) (int, int) {
	if swapped(orientation) {
		return height, width
	}
	return width, height
}

// thumbnailSize returns the size of a thumbnail.
func thumbnailSize(width, height, orientation, thumbHeight int) size {
	w, h := shownSize(width, height, orientation)
	w, h = domain.ThumbnailSize(w, h, thumbHeight)
	return sizeOf(w, h, orientation)
}

func swapped(orientation int) bool { return orientation >= 5 && orientation <= 8 }

// direct reports whether thumbnails go from plane to plane, without RGB between.
func (p *picture) direct() bool {
	return p.model == gray || p.model == ycbcr && p.profile == nil && p.matrix == nil
}

// scale brings a plane to the size of a picture as coded. Of 4:2:0 chroma per is 2: of a line of an
// odd number of pixels the last chroma sample, or the first one of a line that will run
// backwards, then stands for a single pixel.
func (p *picture) scale(ctx context.Context, r *resample.Resampler, pl plane, coded image.Point, per int) (resample.Plane, error) {
	mx, my := mirrored(p.orientation)
	axis := func(whole int, perSample float64, out int, backwards bool) resample.Axis {
		a := resample.Axis{
			Step:   float64(whole) / perSample * float64(per) / float64(out),
			Extent: float64(whole) / perSample,
		}
		if backwards && out%per != 0 {
			a.Offset = -0.5
		}
		return a
	}
	out := resample.New((coded.X+per-1)/per, (coded.Y+per-1)/per, pl.Channels)
	err := r.Resample(ctx, out, pl.Plane,
		axis(p.width, pl.perX, coded.X, mx), axis(p.height, pl.perY, coded.Y, my))
	return out, err
}

// grayOrYCbCr renders a picture that is direct: *image.Gray or *image.YCbCr (4:2:0).
func (p *picture) grayOrYCbCr(ctx context.Context, r *resample.Resampler, to size) (image.Image, error) {
	rect := image.Rectangle{Max: to.shown}
	var out [3]resample.Plane
	for i, pl := range p.planes {
		per := 2
		if i == 0 {
			per = 1
		}
		small, err := p.scale(ctx, r, pl, to.coded, per)
		if err != nil {
			return nil, err
		}
		out[i] = orient(small, p.orientation)
	}
	if p.videoRange {
		webp.FullRange(out[0].Pix, out[1].Pix, out[2].Pix)
	}
	if p.model == gray {
		if p.profile != nil {
			p.profile.Convert(out[0].Pix)
		}
		return &image.Gray{Pix: out[0].Pix, Stride: out[0].Stride, Rect: rect}, nil
	}
	return &image.YCbCr{
		Y: out[0].Pix, Cb: out[1].Pix, Cr: out[2].Pix, YStride: out[0].Stride, CStride: out[1].Stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: rect,
	}, nil
}

// colour renders any picture in sRGB, four bytes a pixel, alpha not premultiplied.
func (p *picture) colour(ctx context.Context, r *resample.Resampler, to size) (*image.NRGBA, error) {
	px := resample.New(to.coded.X, to.coded.Y, 4)
	if len(p.planes) == 1 && p.planes[0].Channels == 4 {
		small, err := p.scale(ctx, r, p.planes[0], to.coded, 1)
		if err != nil {
			return nil, err
		}
		px = small
		unpremultiply(px.Pix)
	} else {
		channel := 0
		for _, pl := range p.planes {
			small, err := p.scale(ctx, r, pl, to.coded, 1)
			if err != nil {
				return nil, err
			}
			if p.videoRange {
				if channel == 0 {
					webp.FullRange(small.Pix, nil, nil)
				} else {
					webp.FullRange(nil, small.Pix, nil)
				}
			}
			for c := range pl.Channels {
				spread(px.Pix[channel:], small.Pix[c:], pl.Channels)
				channel++
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.toSRGB(px.Pix)
	px = orient(px, p.orientation)
	return &image.NRGBA{Pix: px.Pix, Stride: px.Stride, Rect: image.Rectangle{Max: to.shown}}, nil
}

// toRGB is the inverse of T.871, 7, in integers of 16 bits of fraction.
func toRGB(y, cb, cr byte) (r, g, b byte) {
	yy, u, v := int32(y)<<16+1<<15, int32(cb)-128, int32(cr)-128
	return clamp(yy + 91881*v), clamp(yy - 22554*u - 46802*v), clamp(yy + 116130*u)
}

func clamp(v int32) byte {
	if v < 0 {
		return 0
	}
	return byte(min(v>>16, 255))
}

// spread copies every step-th sample of src to every fourth byte of dst.
func spread(dst, src []byte, step int) {
	for i, j := 0, 0; i < len(dst) && j < len(src); i, j = i+4, j+step {
		dst[i] = src[j]
	}
}

// toSRGB turns pixels of the picture's model, four bytes each, into sRGB and alpha.
func (p *picture) toSRGB(pix []byte) {
	switch p.model {
	case gray:
		for i := 0; i+3 < len(pix); i += 4 {
			if p.profile != nil {
				p.profile.Convert(pix[i : i+1])
			}
			pix[i+1], pix[i+2], pix[i+3] = pix[i], pix[i], 255
		}
		return
	case ycbcr:
		for i := 0; i+3 < len(pix); i += 4 {
			if p.matrix != nil {
				pix[i], pix[i+1], pix[i+2] = p.matrix.toRGB(pix[i], pix[i+1], pix[i+2])
			} else {
				pix[i], pix[i+1], pix[i+2] = toRGB(pix[i], pix[i+1], pix[i+2])
			}
			pix[i+3] = 255
		}
	case rgb:
		for i := 3; i < len(pix); i += 4 {
			pix[i] = 255
		}
	case cmyk, ycck:
		for i := 0; i+3 < len(pix); i += 4 {
			px := pix[i : i+4]
			if p.model == ycck {
				r, g, b := toRGB(px[0], px[1], px[2])
				px[0], px[1], px[2] = 255-r, 255-g, 255-b
			}
			if p.inverted {
				px[0], px[1], px[2], px[3] = 255-px[0], 255-px[1], 255-px[2], 255-px[3]
			}
		}
		if p.profile == nil {
			icc.Naive(pix)
			return
		}
	}
	switch {
	case p.profile == nil:
	case p.grayProfile:
		for i := 0; i+3 < len(pix); i += 4 {
			p.profile.Convert(pix[i : i+1])
			pix[i+1], pix[i+2] = pix[i], pix[i]
		}
	default:
		p.profile.Convert(pix)
	}
}

// unpremultiply divides colours by their alpha. A colour above its alpha, which
// the filter's overshoot makes, becomes full.
func unpremultiply(pix []byte) {
	for ; len(pix) >= 4; pix = pix[4:] {
		a := uint32(pix[3])
		switch a {
		case 255:
		case 0:
			pix[0], pix[1], pix[2] = 0, 0, 0
		default:
			for c := range 3 {
				pix[c] = byte(min((uint32(pix[c])*255+a/2)/a, 255))
			}
		}
	}
}

func newPlane(pix []byte, stride, width, height, channels int, perX, perY float64) plane {
	return plane{
		Plane: resample.Plane{Pix: pix, Stride: stride, Width: width, Height: height, Channels: channels},
		perX:  perX, perY: perY,
	}
}

// toYCbCr converts opaque pixels to 4:2:0, in integers of 16 bits of fraction (T.871, 7).
func toYCbCr(m *image.NRGBA) *image.YCbCr {
	out := image.NewYCbCr(m.Rect, image.YCbCrSubsampleRatio420)
	w, h := m.Rect.Dx(), m.Rect.Dy()
	for y := 0; y < h; y += 2 {
		// A last row without a partner counts twice, and a last column.
		lower := min(y+1, h-1)
		above, below := m.Pix[y*m.Stride:][:4*w], m.Pix[lower*m.Stride:][:4*w]
		lumaAbove, lumaBelow := out.Y[y*out.YStride:][:w], out.Y[lower*out.YStride:][:w]
		cb, cr := out.Cb[y/2*out.CStride:][:(w+1)/2], out.Cr[y/2*out.CStride:][:(w+1)/2]
		for i := range w / 2 {
			a, b := above[8*i:][:8], below[8*i:][:8]
			lumaAbove[2*i], lumaAbove[2*i+1] = luma(a[0], a[1], a[2]), luma(a[4], a[5], a[6])
			lumaBelow[2*i], lumaBelow[2*i+1] = luma(b[0], b[1], b[2]), luma(b[4], b[5], b[6])
			cb[i], cr[i] = chroma(
				int32(a[0])+int32(a[4])+int32(b[0])+int32(b[4]),
				int32(a[1])+int32(a[5])+int32(b[1])+int32(b[5]),
				int32(a[2])+int32(a[6])+int32(b[2])+int32(b[6]))
		}
		if w&1 != 0 {
			a, b := above[4*w-4:], below[4*w-4:]
			lumaAbove[w-1], lumaBelow[w-1] = luma(a[0], a[1], a[2]), luma(b[0], b[1], b[2])
			cb[w/2], cr[w/2] = chroma(
				2*(int32(a[0])+int32(b[0])), 2*(int32(a[1])+int32(b[1])), 2*(int32(a[2])+int32(b[2])))
		}
	}
	return out
}

func luma(r, g, b byte) byte {
	return byte((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16)
}

// chroma is that of four pixels by the sums of their colours.
func chroma(r, g, b int32) (cb, cr byte) {
	const half = 1<<17 + 128<<18
	return byte(min((32768*b-11056*r-21712*g+half)>>18, 255)), byte(min((32768*r-27440*g-5328*b+half)>>18, 255))
}

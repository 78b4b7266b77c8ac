package webp

import (
	"context"
	"image"
)

// fullLuma and fullChroma are the values of full range (ITU-T T.871, 7) for those of
// BT.601's range, which VP8 has (RFC 6386, 9.2).
var fullLuma, fullChroma = makeFullRange()

func makeFullRange() (luma, chroma [256]byte) {
	for i := range 256 {
		luma[i] = byte(min(max(((i-16)*255*2+219)/(219*2), 0), 255))
		// Shifted by a multiple of what it is divided by, so that it is not negative.
		chroma[i] = byte(min(max(((i-128+224)*255*2+224)/(224*2)-255+128, 0), 255))
	}
	return luma, chroma
}

// FullRange converts samples of VP8's range (RFC 6386, 9.2: luma is 16 to 235, chroma 16 to
// 240) to full range (ITU-T T.871, 7), in place.
func FullRange(luma, cb, cr []byte) {
	for i, v := range luma {
		luma[i] = fullLuma[v]
	}
	for _, c := range [2][]byte{cb, cr} {
		for i, v := range c {
			c[i] = fullChroma[v]
		}
	}
}

// canvas puts the rows of the first frame on a transparent canvas.
type canvas struct {
	h    *Header
	out  func(y int, row []uint32) error
	line []uint32 // nil if the frame is as wide as the canvas
	y    int      // rows that are done
}

func newCanvas(h *Header, out func(y int, row []uint32) error) *canvas {
	c := &canvas{h: h, out: out}
	if h.Frame.Dx() < h.Width {
		c.line = make([]uint32, h.Width)
	}
	return c
}

// empty fills rows up to y with nothing.
func (c *canvas) empty(y int) error {
	if c.y < y {
		nothing := make([]uint32, c.h.Width)
		for ; c.y < y; c.y++ {
			if err := c.out(c.y, nothing); err != nil {
				return err
			}
		}
	}
	return nil
}

// row takes a row of the frame.
func (c *canvas) row(y int, row []uint32) error {
	if err := c.empty(c.h.Frame.Min.Y); err != nil {
		return err
	}
	if c.line != nil {
		copy(c.line[c.h.Frame.Min.X:], row)
		row = c.line
	}
	c.y++
	return c.out(c.h.Frame.Min.Y+y, row)
}

func (c *canvas) finish() error { return c.empty(c.h.Height) }

// rowsOf makes rows of ARGB of planes in VP8's range and of alpha, nil if it is opaque. Chroma
// is interpolated: of the four samples around a pixel the nearest counts nine
// sixteenths, the others three, three and one.
func rowsOf(ctx context.Context, m *image.YCbCr, a []byte, row func(y int, row []uint32) error) error {
	width, height := m.Rect.Dx(), m.Rect.Dy()
	cw, ch := (width+1)/2, (height+1)/2
	out := make([]uint32, width)
	// Columns of the two rows of chroma, weighed, with one more at each end.
	columns := make([][2]int32, cw+2)
	for y := range height {
		if y&15 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		near := y / 2
		far := min(max(near-1+y&1*2, 0), ch-1)
		cb, cbFar := m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw]
		cr, crFar := m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw]
		for i := range cw {
			columns[i+1] = [2]int32{3*int32(cb[i]) + int32(cbFar[i]), 3*int32(cr[i]) + int32(crFar[i])}
		}
		columns[0], columns[cw+1] = columns[1], columns[cw]
		luma := m.Y[y*m.YStride:][:width]
		alpha := uint32(0xff)
		for x, v := range luma {
			at := columns[x/2+1]
			next := columns[x/2+x&1*2]
			u, w := (3*at[0]+next[0]+8)>>4, (3*at[1]+next[1]+8)>>4
			if a != nil {
				alpha = uint32(a[y*width+x])
			}
			out[x] = alpha<<24 | toRGB(int32(v), u, w)
		}
		if err := row(y, out); err != nil {
			return err
		}
	}
	return nil
}

// toRGB converts a sample of BT.601's range (RFC 6386, 9.2) in integers of 16 bits of fraction.
func toRGB(y, u, v int32) uint32 {
	y, u, v = (y-16)*76309+1<<15, u-128, v-128
	return uint32(clamp(y+104597*v))<<16 | uint32(clamp(y-25675*u-53279*v))<<8 | uint32(clamp(y+132201*u))
}

func clamp(v int32) byte {
	if v < 0 {
		return 0
	}
	return byte(min(v>>16, 255))
}

// onCanvasYCbCr adds alpha to a lossy frame, and puts it on a transparent canvas
// unless it is all of it. Frames begin at even places, as chroma does.
func onCanvasYCbCr(h *Header, m *image.YCbCr, a []byte) image.Image {
	canvas := image.Rect(0, 0, h.Width, h.Height)
	if h.Frame == canvas {
		if a == nil {
			return m
		}
		return &image.NYCbCrA{YCbCr: *m, A: a, AStride: h.Width}
	}
	out := image.NewNYCbCrA(canvas, image.YCbCrSubsampleRatio420)
	width := h.Frame.Dx()
	for y := range h.Frame.Dy() {
		x0, y0 := h.Frame.Min.X, h.Frame.Min.Y+y
		copy(out.Y[out.YOffset(x0, y0):], m.Y[y*m.YStride:][:width])
		to := out.A[out.AOffset(x0, y0):][:width]
		if a != nil {
			copy(to, a[y*width:])
		} else {
			for i := range to {
				to[i] = 0xff
			}
		}
		if y&1 == 0 {
			c := out.COffset(x0, y0)
			n := (width + 1) / 2
			copy(out.Cb[c:], m.Cb[y/2*m.CStride:][:n])
			copy(out.Cr[c:], m.Cr[y/2*m.CStride:][:n])
		}
	}
	return out
}

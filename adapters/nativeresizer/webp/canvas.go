package webp

import "image"

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

// fullRange converts the samples of an image.
func fullRange(m *image.YCbCr) {
	for i, v := range m.Y {
		m.Y[i] = fullLuma[v]
	}
	for i, v := range m.Cb {
		m.Cb[i] = fullChroma[v]
	}
	for i, v := range m.Cr {
		m.Cr[i] = fullChroma[v]
	}
}

// onCanvasNRGBA puts the frame on a transparent canvas, unless it is all of it.
func onCanvasNRGBA(h *Header, m *image.NRGBA) image.Image {
	canvas := image.Rect(0, 0, h.Width, h.Height)
	if h.Frame == canvas {
		return m
	}
	out := image.NewNRGBA(canvas)
	for y := range h.Frame.Dy() {
		copy(out.Pix[out.PixOffset(h.Frame.Min.X, h.Frame.Min.Y+y):], m.Pix[y*m.Stride:][:4*h.Frame.Dx()])
	}
	return out
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

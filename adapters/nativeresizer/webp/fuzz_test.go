package webp

import (
	"bytes"
	"image"
	"testing"

	stdwebp "golang.org/x/image/webp"
)

// FuzzDecode looks for panics, and for images that differ from those of x/image.
func FuzzDecode(f *testing.F) {
	for _, name := range files {
		data := testdata(f, name)
		f.Add(data)
		f.Add(file(vp8x(2, 50, 30), part{"ANIM", make([]byte, 6)}, anmf(picture.Add(image.Pt(6, 4)), images(data)...), part{chunkEXIF, nil}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewDecoder(bytes.NewReader(data), Options{MaxPixels: 1 << 16})
		h, err := d.Header(t.Context())
		if err != nil {
			return
		}
		p, err := d.Decode(t.Context())
		if err != nil {
			return
		}
		if p.Image.Bounds() != image.Rect(0, 0, h.Width, h.Height) || p.Frames < 1 {
			t.Fatalf("%v, %d frames", p.Image.Bounds(), p.Frames)
		}
		if h.Animated || h.Lossless {
			return
		}
		if _, err := stdwebp.Decode(bytes.NewReader(data)); err == nil {
			same(t, want(t, data), p.Image, image.Point{})
		}
	})
}

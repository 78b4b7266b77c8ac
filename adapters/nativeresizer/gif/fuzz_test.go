package gif

import (
	"bytes"
	"image"
	"testing"
)

// FuzzDecode looks for panics, and for pixels that differ from the standard library's.
func FuzzDecode(f *testing.F) {
	for _, fr := range []frame{{0, 0, 9, 7, 8, false, false, -1, true}, {1, 2, 9, 20, 2, true, true, 1, false}} {
		f.Add(file(9, 9, fr.encode(), fr.encode()), 1, 1)
		f.Add(file(9, 9, []byte("\x21\xfe\x05hello\x00"), fr.encode())[:60], 2, 3)
	}
	f.Add(file(2, 2, picture(2, codes(3, 4, 1, 2, 4, 3, 0, 5))), 1, 1)
	f.Fuzz(func(t *testing.T, data []byte, fx, fy int) {
		fx, fy = fx&15+1, fy&15+1
		d := NewDecoder(bytes.NewReader(data), Options{MaxPixels: 1 << 18})
		h, err := d.Header(t.Context())
		if err != nil {
			return
		}
		p, err := d.Decode(t.Context(), fx, fy)
		if err != nil {
			return
		}
		if p.Image.Rect != image.Rect(0, 0, ceilDiv(h.Width, fx), ceilDiv(h.Height, fy)) || p.Frames < 1 {
			t.Fatalf("%v, %d frames", p.Image.Rect, p.Frames)
		}
		compareStd(t, data, h, p.Image, fx, fy)
	})
}

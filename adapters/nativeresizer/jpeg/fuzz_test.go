package jpeg

import (
	"bytes"
	"image"
	stdjpeg "image/jpeg"
	"testing"
)

// FuzzDecode looks for panics, and for files that decode at one scale only.
func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 20, 20)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	for _, hv := range [][]int{{0x11}, {0x22, 0x11, 0x11}, {0x11, 0x31, 0x12}, {0x11, 0x11, 0x11, 0x11}} {
		for _, progressive := range []bool{false, true} {
			g := sampled(33, 21, hv...)
			g.progressive, g.restart, g.quant = progressive, 2, 20
			if progressive {
				g.table = flatTable()
			}
			f.Add(encode(g))
		}
	}
	g := sampled(33, 21, 0x11, 0x11, 0x11)
	g.table, g.quant16, g.fill, g.extra = longTable(), true, true, adobe(0)
	f.Add(encode(g))
	f.Fuzz(func(t *testing.T, data []byte) { decodeAny(t, data) })
}

package icc

import (
	"testing"
)

func FuzzNew(f *testing.F) {
	for _, p := range [][]byte{srgb(), displayP3(), adobeRGB(), press(), pressV4()} {
		f.Add(p, byte(1))
		f.Add(p, byte(2))
		f.Add(p, byte(3))
	}
	f.Add(build("mntr", "GRAY", "Lab ", tag{"kTRC", curv(0, 9, 65535)}), byte(1))
	f.Fuzz(func(t *testing.T, p []byte, space byte) {
		tr, err := New(p, Space(space%3+1))
		if err != nil {
			return
		}
		px := make([]byte, 4*64)
		for i := range px {
			px[i] = byte(i * 37)
		}
		tr.Convert(px)
		tr.Convert(px[:3])
	})
}

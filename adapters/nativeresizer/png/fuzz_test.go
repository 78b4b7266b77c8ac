package png

import (
	"bytes"
	stdpng "image/png"
	"testing"
)

// FuzzDecode looks for panics, for memory out of bounds and for images that differ
// from the standard library's.
func FuzzDecode(f *testing.F) {
	for _, s := range samples(9, 7) {
		f.Add(s.encode(), 1, 1)
		s.before, s.after = [][]byte{iccp([]byte("profile")), chunk(chunkEXIF, []byte("MM")), chunk(chunkACTL, make([]byte, 8))}, [][]byte{chunk(chunkFCTL, nil)}
		s.idat = 20
		f.Add(s.encode(), 3, 2)
	}
	f.Fuzz(func(t *testing.T, data []byte, fx, fy int) {
		fx, fy = fx&15+1, fy&15+1
		data = repaired(data)
		o := Options{MaxPixels: 1 << 16, MaxICC: 1 << 16, MaxEXIF: 1 << 16}
		d := NewDecoder(bytes.NewReader(data), o)
		h, err := d.Header(t.Context())
		if err != nil {
			return
		}
		p, err := d.Decode(t.Context(), fx, fy)
		if err != nil {
			return
		}
		if b := p.Image.Bounds(); b.Dx() != ceilDiv(h.Width, fx) || b.Dy() != ceilDiv(h.Height, fy) {
			t.Fatalf("bounds %v of %d × %d", b, h.Width, h.Height)
		}
		if _, err := stdpng.Decode(bytes.NewReader(data)); err != nil {
			return
		}
		if h.Transparent != nil && h.BitDepth < 8 {
			return // the standard library also compares bits that do not count
		}
		width, height, want := pixels(t, data)
		if !near(boxes(width, height, want, fx, fy), rgba(t, p.Image), 1) {
			t.Fatal("differs from the standard library")
		}
	})
}

// repaired makes the checksums of chunks right, so that what is behind them is
// tried too.
func repaired(data []byte) []byte {
	if len(data) < len(signature) {
		return data
	}
	out := append([]byte(nil), data[:len(signature)]...)
	for rest := data[len(signature):]; len(rest) >= 12; {
		n := int(rest[0])<<24 | int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
		if n > len(rest)-12 {
			return append(out, rest...)
		}
		out = append(out, chunk(string(rest[4:8]), rest[8:8+n])...)
		rest = rest[12+n:]
	}
	return out
}

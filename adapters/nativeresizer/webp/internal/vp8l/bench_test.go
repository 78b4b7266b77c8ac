package vp8l

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	reference "golang.org/x/image/vp8l"
)

// BenchmarkDecode compares with x/image, on the files of the folder that IMAGIFY_PHOTOS names.
func BenchmarkDecode(b *testing.B) {
	dir := os.Getenv("IMAGIFY_PHOTOS")
	if dir == "" {
		dir = "../../testdata"
	}
	for name, data := range bitstreams(b, dir) {
		v := binary.LittleEndian.Uint32(data[1:])
		o := Options{Width: int(v&0x3fff) + 1, Height: int(v>>14&0x3fff) + 1}
		perPixel := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(o.Width*o.Height), "ns/pixel")
		}
		b.Run(name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := Decode(b.Context(), bytes.NewReader(data[5:]), o, func(int, []uint32) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			perPixel(b)
		})
		b.Run(name+"/x-image", func(b *testing.B) {
			for b.Loop() {
				if _, err := reference.Decode(bytes.NewReader(data)); err != nil {
					b.Fatal(err)
				}
			}
			perPixel(b)
		})
	}
}

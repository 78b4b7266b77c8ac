package gif

import (
	"bytes"
	"fmt"
	stdgif "image/gif"
	"testing"
	"time"
)

// BenchmarkDecode decodes a frame, whole and shrunk, and reports how its time
// compares with the standard library's decoding.
func BenchmarkDecode(b *testing.B) {
	for _, noise := range []bool{false, true} {
		f := frame{0, 0, 1600, 1200, 8, false, false, -1, noise}
		data := file(f.width, f.height, f.encode())
		for _, k := range []int{1, 3} {
			b.Run(fmt.Sprintf("noise=%v/1:%d", noise, k), func(b *testing.B) {
				start := time.Now()
				if _, err := stdgif.Decode(bytes.NewReader(data)); err != nil {
					b.Fatal(err)
				}
				std := time.Since(start)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := decode(data, k, k); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(std), "×std")
			})
		}
	}
}

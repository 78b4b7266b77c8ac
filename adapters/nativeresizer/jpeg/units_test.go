package jpeg

import (
	"bytes"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// BenchmarkUnits reports the nanoseconds that a unit of work takes at full size.
func BenchmarkUnits(b *testing.B) {
	large := sampled(800, 600, 0x22, 0x11, 0x11)
	passes := large
	passes.progressive, passes.table = true, flatTable()
	for name, data := range map[string][]byte{
		"small": encode(small(false)), "baseline": encode(large), "progressive": encode(passes),
	} {
		b.Run(name, func(b *testing.B) {
			units := int64(0)
			for b.Loop() {
				budget := work.New(1 << 60)
				if _, err := NewDecoder(bytes.NewReader(data), Options{Work: budget}).Decode(b.Context(), Full); err != nil {
					b.Fatal(err)
				}
				units += budget.Spent()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(units), "ns/unit")
		})
	}
}

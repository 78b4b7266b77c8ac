package webp

import (
	"bytes"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// BenchmarkUnits reports the nanoseconds that a unit of work takes.
func BenchmarkUnits(b *testing.B) {
	for name, data := range photos(b) {
		b.Run(name, func(b *testing.B) {
			units := int64(0)
			for b.Loop() {
				budget := work.New(1 << 60)
				if _, err := NewDecoder(bytes.NewReader(data), Options{Work: budget}).Decode(b.Context()); err != nil {
					b.Fatal(err)
				}
				units += budget.Spent()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(units), "ns/unit")
		})
	}
}

package vp8l

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// BenchmarkUnits reports the nanoseconds that a unit of work takes in bitstreams of different kinds.
func BenchmarkUnits(b *testing.B) {
	inputs := bitstreams(b, "../../testdata")
	inputs["flat"] = append(header(4000, 4000), flat()...)
	for _, size := range []int{8, 64, 1000} {
		w := &writer{Rand: rand.New(rand.NewPCG(uint64(size), 5))}
		inputs["generated "+string(rune('a'+len(inputs)))] = w.stream(size, size)
	}
	for name, data := range inputs {
		b.Run(name, func(b *testing.B) {
			units := int64(0)
			for b.Loop() {
				o := optionsOf(data)
				o.Budget = work.New(1 << 60)
				if err := Decode(b.Context(), bytes.NewReader(data[5:]), o, func(int, []uint32) error { return nil }); err != nil {
					b.Fatal(err)
				}
				units += o.Budget.Spent()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(units), "ns/unit")
		})
	}
}

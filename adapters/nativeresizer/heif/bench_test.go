package heif

import (
	"bytes"
	"os"
	"testing"
)

func BenchmarkX(b *testing.B) {
	data, _ := os.ReadFile(os.Getenv("F"))
	for b.Loop() {
		d := NewDecoder(bytes.NewReader(data), Options{MaxPixels: -1})
		h, err := d.Header(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		k := h.Largest(float64(h.Height) / 200)
		if os.Getenv("K") == "1" {
			k = 1
		}
		if _, err := d.Decode(b.Context(), k); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(k), "k")
	}
}

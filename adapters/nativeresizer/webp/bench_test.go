package webp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	stdwebp "golang.org/x/image/webp"
)

// photos returns the WebP files of the folder that IMAGIFY_PHOTOS names, or those of
// testdata, which are too small to say much.
func photos(b *testing.B) map[string][]byte {
	b.Helper()
	dir := os.Getenv("IMAGIFY_PHOTOS")
	if dir == "" {
		dir = "testdata"
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.webp"))
	if err != nil || len(names) == 0 {
		b.Skipf("no photographs in %s", dir)
	}
	out := map[string][]byte{}
	for _, f := range names {
		data, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".webp")] = data
	}
	return out
}

// BenchmarkDecode reports how the time compares with that of x/image.
func BenchmarkDecode(b *testing.B) {
	for name, data := range photos(b) {
		for kind, decode := range map[string]func(*Decoder) error{
			"whole": func(d *Decoder) error { _, err := d.Decode(b.Context()); return err },
			"rows": func(d *Decoder) error {
				_, err := d.DecodeRows(b.Context(), false, func(int, []uint32) error { return nil })
				return err
			},
		} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				start := time.Now()
				if _, err := stdwebp.Decode(bytes.NewReader(data)); err != nil {
					b.Skip(err)
				}
				std := time.Since(start)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(NewDecoder(bytes.NewReader(data), Options{})); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(std), "×std")
			})
		}
	}
}

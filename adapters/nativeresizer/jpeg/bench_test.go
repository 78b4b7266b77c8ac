package jpeg

import (
	"bytes"
	"context"
	"fmt"
	stdjpeg "image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// photos returns the JPEG files of the folder that IMAGIFY_PHOTOS names, or a made-up
// picture if it is not set.
func photos(b *testing.B) map[string][]byte {
	b.Helper()
	dir := os.Getenv("IMAGIFY_PHOTOS")
	if dir == "" {
		g := sampled(1600, 1200, 0x22, 0x11, 0x11)
		base := encode(g)
		g.progressive, g.table = true, flatTable()
		return map[string][]byte{"synthetic": base, "synthetic-progressive": encode(g)}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jp*g"))
	if err != nil || len(files) == 0 {
		b.Skipf("no photographs in %s", dir)
	}
	out := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), filepath.Ext(f))] = data
	}
	return out
}

// BenchmarkDecode decodes each photograph at every scale, and with the standard
// library for comparison.
func BenchmarkDecode(b *testing.B) {
	for name, data := range photos(b) {
		for _, s := range []Scale{Eighth, Quarter, Half, Full} {
			b.Run(fmt.Sprintf("%s/1:%d", name, s), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background(), s); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(name+"/std", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := stdjpeg.Decode(bytes.NewReader(data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

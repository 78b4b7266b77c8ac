package png

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // photographs
	stdpng "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// photos returns the photographs of the folder that IMAGIFY_PHOTOS names, as PNG
// files of RGB, or made-up ones if it is not set.
func photos(b *testing.B) map[string][]byte {
	b.Helper()
	dir := os.Getenv("IMAGIFY_PHOTOS")
	if dir == "" {
		return map[string][]byte{
			"synthetic-rgb":  sample{width: 1600, height: 1200, kind: RGB, depth: 8, filter: 4, smooth: true}.encode(),
			"synthetic-rgba": sample{width: 1600, height: 1200, kind: RGBA, depth: 8, filter: 4, smooth: true}.encode(),
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(files) == 0 {
		b.Skipf("no photographs in %s", dir)
	}
	out := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		if !bytes.HasPrefix(data, []byte(signature)) {
			m, _, err := image.Decode(bytes.NewReader(data))
			if err != nil {
				continue
			}
			opaque := image.NewRGBA(m.Bounds())
			draw.Draw(opaque, opaque.Rect, m, m.Bounds().Min, draw.Src)
			var buf bytes.Buffer
			if err := stdpng.Encode(&buf, opaque); err != nil {
				b.Fatal(err)
			}
			data = buf.Bytes()
		}
		out[strings.TrimSuffix(filepath.Base(f), filepath.Ext(f))] = data
	}
	return out
}

// BenchmarkDecode decodes photographs, whole and shrunk to about twice the height
// of a thumbnail, and reports how its time compares with the standard library's decoding.
func BenchmarkDecode(b *testing.B) {
	for name, data := range photos(b) {
		c, err := stdpng.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range []int{1, max(c.Height/400, 2)} {
			b.Run(fmt.Sprintf("%s/%dx%d/1:%d", name, c.Width, c.Height, f), func(b *testing.B) {
				start := time.Now()
				if _, err := stdpng.Decode(bytes.NewReader(data)); err != nil {
					b.Fatal(err)
				}
				std := time.Since(start)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background(), f, f); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(std), "×std")
			})
		}
	}
}

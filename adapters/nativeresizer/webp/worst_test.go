package webp

import (
	"bytes"
	"context"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/worst"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// FuzzWorstWebP searches for the costliest file, lossy and lossless, with alpha and without.
func FuzzWorstWebP(f *testing.F) {
	seeds := map[string][]byte{}
	for _, name := range files {
		seeds[name] = testdata(f, name)
	}
	worst.Search(f, seeds, func(data []byte, b *work.Budget) {
		_, _ = NewDecoder(bytes.NewReader(data), Options{MaxPixels: 1 << 20, Work: b}).Decode(context.Background())
	})
}

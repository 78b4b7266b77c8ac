package gif

import (
	"bytes"
	"context"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/worst"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// FuzzWorstGIF searches for the costliest file.
func FuzzWorstGIF(f *testing.F) {
	worst.Search(f, costly(1000), func(data []byte, b *work.Budget) {
		_, _ = NewDecoder(bytes.NewReader(data), Options{MaxPixels: 1 << 20, Work: b}).Decode(context.Background(), 2, 2)
	})
}

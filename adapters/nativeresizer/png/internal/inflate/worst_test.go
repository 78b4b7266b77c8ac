package inflate

import (
	"bytes"
	"io"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/worst"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// FuzzWorstInflate searches for the costliest stream.
func FuzzWorstInflate(f *testing.F) {
	z := new(Reader)
	worst.Search(f, costly(200), func(data []byte, b *work.Budget) {
		z.Reset(bytes.NewReader(data), b)
		_, _ = io.Copy(io.Discard, z)
	})
}

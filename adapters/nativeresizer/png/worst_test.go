package png

import (
	"bytes"
	"context"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/worst"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// FuzzWorstPNG searches for the costliest file, of every colour type and depth.
func FuzzWorstPNG(f *testing.F) {
	seeds := map[string][]byte{"many chunks": sample{width: 40, height: 40, kind: Gray, depth: 8, idat: 1}.encode()}
	for _, s := range samples(40, 40) {
		seeds[s.kind.String()+string(rune('0'+s.depth))] = s.encode()
	}
	worst.Search(f, seeds, func(data []byte, b *work.Budget) {
		_, _ = NewDecoder(bytes.NewReader(repaired(data)), Options{MaxPixels: 1 << 20, Work: b}).Decode(context.Background(), 2, 2)
	})
}

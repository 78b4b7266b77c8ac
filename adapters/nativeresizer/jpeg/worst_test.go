package jpeg

import (
	"bytes"
	"context"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/worst"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// FuzzWorstJPEG searches for the costliest file, of one scan and of many, whole and an eighth.
func FuzzWorstJPEG(f *testing.F) {
	seeds := map[string][]byte{}
	for name, progressive := range map[string]bool{"baseline": false, "progressive": true} {
		g := sampled(64, 48, 0x22, 0x11, 0x11)
		g.progressive, g.restart, g.quant = progressive, 2, 20
		if progressive {
			g.table = flatTable()
		}
		seeds[name] = encode(g)
	}
	worst.Search(f, seeds, func(data []byte, b *work.Budget) {
		for _, s := range []Scale{1, 8} {
			d := NewDecoder(bytes.NewReader(data), Options{Work: b})
			if h, err := d.Header(context.Background()); err == nil && h.Width*h.Height <= 1<<20 {
				_, _ = d.Decode(context.Background(), s)
			}
			d.Close()
		}
	})
}

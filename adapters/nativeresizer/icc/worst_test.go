package icc

import (
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/worst"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// FuzzWorstICC searches for the costliest profile.
func FuzzWorstICC(f *testing.F) {
	seeds := map[string][]byte{"matrix": displayP3(), "table": press(), "table of version 4": pressV4()}
	worst.Search(f, seeds, func(data []byte, b *work.Budget) {
		_ = b.Spend(Work(len(data)))
		for _, space := range []Space{Gray, RGB, CMYK} {
			_, _ = New(data, space)
		}
	})
}

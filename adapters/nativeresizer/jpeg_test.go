package nativeresizer

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/adapters/nativeresizer/jpeg"
)

// TestJPEGReductions: each reduction is taken where enough is left for its filter, and with
// less memory than that takes (a margin of 1 or less) where the picture is still as large.
func TestJPEGReductions(t *testing.T) {
	t.Parallel()
	f := new(jpegFile)
	own := jpegMargins[jpeg.Half]
	for _, c := range []struct {
		ratio, margin float64
		want          int
	}{
		{1.5, own, 1},
		{2.19, own, 1},
		{2.2, own, 2},
		{5.51, own, 2},
		{5.52, own, 4},
		{11.99, own, 4},
		{12, own, 8},
		{100, own, 8},
		{1.99, 1, 1},
		{2, 1, 2},
		{4, 1, 4},
		{8, 1, 8},
		{1, 0.5, 2},
		{4, 0.5, 8},
	} {
		assert.Equal(t, c.want, f.shrink(c.ratio, c.margin), "%v", c)
	}
}

package imagefiletest_test

import (
	"bytes"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/webp"

	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
)

// The files decode to what they are said to be, by decoders that know nothing of this package.

func TestJPEG(t *testing.T) {
	t.Parallel()
	for _, progressive := range []bool{false, true} {
		for _, subsampled := range []bool{false, true} {
			for _, values := range [][]byte{{77}, {0, 128, 255}, {255, 100, 3}} {
				j := imagefiletest.JPEG{Width: 37, Height: 21, Values: values, Progressive: progressive, Subsampled: subsampled}
				if progressive {
					j.ExtraScans = 3
				}
				m, err := jpeg.Decode(bytes.NewReader(j.Encode()))
				require.NoError(t, err, "%+v", j)
				var want color.Color = color.Gray{values[0]}
				if len(values) == 3 {
					want = color.YCbCr{values[0], values[1], values[2]}
				}
				for _, p := range [][2]int{{0, 0}, {36, 20}, {17, 9}} {
					assert.Equal(t, want, m.At(p[0], p[1]), "%+v", j)
				}
			}
		}
	}
}

func TestWebP(t *testing.T) {
	t.Parallel()
	c := color.NRGBA{200, 100, 50, 25}
	m, err := webp.Decode(bytes.NewReader(imagefiletest.WebP(imagefiletest.VP8L(11, 300, c, true))))
	require.NoError(t, err)
	assert.Equal(t, c, m.At(10, 299))

	m, err = webp.Decode(bytes.NewReader(imagefiletest.WebP(
		imagefiletest.VP8X(imagefiletest.FlagAlpha, 33, 20), imagefiletest.ALPH(33, 20, 99), imagefiletest.VP8(33, 20))))
	require.NoError(t, err)
	got := color.NRGBAModel.Convert(m.At(32, 19)).(color.NRGBA)
	assert.Equal(t, uint8(99), got.A)
	assert.InDelta(t, 128, got.G, 20)
}

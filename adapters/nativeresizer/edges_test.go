package nativeresizer_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/adapters/nativeresizer/jpegenc"
)

// halves is a picture whose left half is red and whose right half is green.
func halves(width, height int) *image.Paletted {
	m := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.RGBA{R: 255, A: 255}, color.RGBA{G: 255, A: 255}})
	for y := range height {
		for x := width / 2; x < width; x++ {
			m.Pix[y*m.Stride+x] = 1
		}
	}
	return m
}

// toYCbCr converts to 4:2:0 whose columns of chroma are of one colour each.
func toYCbCr(m image.Image) *image.YCbCr {
	out := image.NewYCbCr(m.Bounds(), image.YCbCrSubsampleRatio420)
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			r, g, b, _ := m.At(x, y).RGBA()
			out.Y[out.YOffset(x, y)], out.Cb[out.COffset(x, y)], out.Cr[out.COffset(x, y)] = color.RGBToYCbCr(byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return out
}

// TestNarrowEdges: the mean of two halves is between them, though the thumbnail is a single pixel
// wide, so that its chroma stands for one pixel and not for two, and though the last box that
// is averaged is of fewer pixels than the others.
func TestNarrowEdges(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	for _, width := range []int{40, 36, 28} {
		m := halves(width, 200*width)
		var g bytes.Buffer
		require.NoError(t, gif.Encode(&g, m, nil))
		j, err := jpegenc.Encode(t.Context(), toYCbCr(m), 95)
		require.NoError(t, err)
		for name, file := range map[string][]byte{"JPEG": j, "PNG": encodePNG(t, m), "GIF": g.Bytes()} {
			for _, height := range []int{50, 100, 150, 200, 250, 299} {
				_, got := one(t, r, file, height, fmt.Sprintf("%s of %d × %d", name, width, 200*width))
				require.Equal(t, 1, got.Rect.Dx())
				px := got.Pix[got.PixOffset(0, height/2):][:3]
				for i, want := range []byte{127, 127, 0} {
					assert.InDelta(t, want, px[i], 3, "%s of %d × %d, %d high: %v", name, width, 200*width, height, px)
				}
			}
		}
	}
}

// TestCaseChromaAtOddEdges is the file of the cases that showed it.
func TestCaseChromaAtOddEdges(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(casesFolder(), "jpeg_40x8000_420.jpg"))
	if err != nil {
		t.Skip("the folder of cases is not there: set IMAGIFY_CASES")
	}
	for _, height := range []int{100, 200} {
		_, got := one(t, resizer(t, nativeresizer.Options{}), data, height, "case")
		px := got.Pix[got.PixOffset(0, height/2):][:3]
		for i, want := range []byte{127, 127, 0} {
			assert.InDelta(t, want, px[i], 2, "%d high: %v", height, px)
		}
	}
}

func casesFolder() string {
	if dir := os.Getenv("IMAGIFY_CASES"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "shared", "cases")
}

// TestJPEGWithoutItsEnd: a JPEG that lacks nothing but its end of image marker has all of its
// pixels, and is shown.
func TestJPEGWithoutItsEnd(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	whole := encodeJPEG(t, scene(333, 222))
	for _, n := range []int{len(whole) - 2, len(whole) - 1} {
		info, err := r.Inspect(t.Context(), bytes.NewReader(whole[:n]), limits)
		require.NoError(t, err)
		assert.Equal(t, 333, info.Width)
		for _, height := range []int{20, 50, 100, 200, 222} {
			_, want := one(t, r, whole, height, "whole")
			_, got := one(t, r, whole[:n], height, "without EOI")
			assert.Equal(t, want.Pix, got.Pix, "%d high", height)
		}
	}
}

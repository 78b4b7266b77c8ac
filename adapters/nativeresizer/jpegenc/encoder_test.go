package jpegenc

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scene is a picture with smooth parts, edges and some noise.
func scene(w, h int) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	rng := rand.New(rand.NewPCG(4, 2))
	fill := func(pix []byte, stride, w, h int, f float64) {
		for y := range h {
			for x := range w {
				v := 128 + 90*math.Sin(float64(x)/f)*math.Cos(float64(y)/(f*1.7)) + 12*rng.NormFloat64()
				if (x/9+y/13)%5 == 0 {
					v += 40
				}
				pix[y*stride+x] = byte(min(max(v, 0), 255))
			}
		}
	}
	fill(m.Y, m.YStride, w, h, 11)
	fill(m.Cb, m.CStride, (w+1)/2, (h+1)/2, 17)
	fill(m.Cr, m.CStride, (w+1)/2, (h+1)/2, 23)
	return m
}

func psnr(a, b []byte, strideA, strideB, w, h int) float64 {
	sum := 0.0
	for y := range h {
		for x := range w {
			d := float64(a[y*strideA+x]) - float64(b[y*strideB+x])
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255/max(sum/float64(w*h), 1e-9))
}

func TestEncodeIsAsGoodAsTheStandardLibraryAndSmaller(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{267, 200}, {16, 16}, {1, 1}, {17, 33}, {8, 5}, {640, 3}, {3, 640}} {
		for _, quality := range []int{80, 30, 95} {
			t.Run(fmt.Sprint(size, quality), func(t *testing.T) {
				t.Parallel()
				m := scene(size.X, size.Y)
				data, err := Encode(context.Background(), m, quality)
				require.NoError(t, err)
				got, err := jpeg.Decode(bytes.NewReader(data))
				require.NoError(t, err)
				require.Equal(t, m.Rect, got.Bounds())

				var std bytes.Buffer
				require.NoError(t, jpeg.Encode(&std, m, &jpeg.Options{Quality: quality}))
				want, err := jpeg.Decode(&std)
				require.NoError(t, err)
				g, w := got.(*image.YCbCr), want.(*image.YCbCr)
				require.Equal(t, w.SubsampleRatio, g.SubsampleRatio)
				ours := psnr(m.Y, g.Y, m.YStride, g.YStride, size.X, size.Y)
				theirs := psnr(m.Y, w.Y, m.YStride, w.YStride, size.X, size.Y)
				assert.Greater(t, ours, theirs-0.3)
				cw, ch := (size.X+1)/2, (size.Y+1)/2
				assert.Greater(t, psnr(m.Cb, g.Cb, m.CStride, g.CStride, cw, ch), psnr(m.Cb, w.Cb, m.CStride, w.CStride, cw, ch)-0.3)
			})
		}
	}
}

func TestEncodeGray(t *testing.T) {
	t.Parallel()
	c := scene(101, 57)
	m := &image.Gray{Pix: c.Y, Stride: c.YStride, Rect: c.Rect}
	data, err := Encode(context.Background(), m, 80)
	require.NoError(t, err)
	got, err := jpeg.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	require.IsType(t, &image.Gray{}, got)
	g := got.(*image.Gray)
	assert.Greater(t, psnr(m.Pix, g.Pix, m.Stride, g.Stride, 101, 57), 30.0)
}

func TestEncodeExtremes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 9))
	for name, f := range map[string]func(i int) byte{
		"black": func(int) byte { return 0 }, "white": func(int) byte { return 255 },
		"checkers": func(i int) byte { return byte(i&1) * 255 },
		"noise":    func(int) byte { return byte(rng.Uint32()) },
		"extremes": func(int) byte { return byte(rng.Uint32()&1) * 255 },
	} {
		for _, quality := range []int{1, 80, 100} {
			m := image.NewGray(image.Rect(0, 0, 96, 64))
			for i := range m.Pix {
				m.Pix[i] = f(i)
			}
			data, err := Encode(context.Background(), m, quality)
			require.NoError(t, err, name)
			got, err := jpeg.Decode(bytes.NewReader(data))
			require.NoError(t, err, name)
			if quality == 100 {
				assert.Greater(t, psnr(m.Pix, got.(*image.Gray).Pix, m.Stride, got.(*image.Gray).Stride, 96, 64), 45.0, name)
			}
		}
	}
}

// A picture of many blocks is coded by the standard's tables, row by row.
func TestEncodeLarge(t *testing.T) {
	t.Parallel()
	c := scene(2100, 2100)
	m := &image.Gray{Pix: c.Y, Stride: c.YStride, Rect: c.Rect}
	data, err := Encode(context.Background(), m, 80)
	require.NoError(t, err)
	got, err := jpeg.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	g := got.(*image.Gray)
	assert.Greater(t, psnr(m.Pix, g.Pix, m.Stride, g.Stride, 2100, 2100), 30.0)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Encode(ctx, m, 80)
	require.ErrorIs(t, err, context.Canceled)
}

func TestOptimalTablesAreWithinTheLimits(t *testing.T) {
	t.Parallel()
	// Frequencies like Fibonacci's numbers make the deepest tree.
	var freq [257]int
	a, b := 1, 1
	for i := range 40 {
		freq[i] = a
		a, b = b, a+b
	}
	table := optimal(&freq)
	total, room := 0, 0
	for l, n := range table.counts {
		total += int(n)
		room += int(n) << (15 - l)
	}
	assert.Equal(t, 40, total)
	assert.Len(t, table.symbols, 40)
	assert.Less(t, room, 1<<16, "the code of all ones is free")
	var none [257]int
	assert.Empty(t, optimal(&none).symbols)
}

func TestEncodeRefusesOtherPictures(t *testing.T) {
	t.Parallel()
	for _, m := range []image.Image{
		image.NewRGBA(image.Rect(0, 0, 4, 4)),
		image.NewYCbCr(image.Rect(0, 0, 4, 4), image.YCbCrSubsampleRatio444),
		image.NewGray(image.Rect(1, 1, 4, 4)),
		image.NewGray(image.Rect(0, 0, 0, 4)),
		&image.Gray{Pix: make([]byte, 9), Stride: 4, Rect: image.Rect(0, 0, 4, 4)},
		image.NewGray(image.Rect(0, 0, 65536, 1)),
	} {
		_, err := Encode(context.Background(), m, 80)
		assert.Error(t, err)
	}
}

func BenchmarkEncode(b *testing.B) {
	m := scene(267, 200)
	b.Run("ours", func(b *testing.B) {
		n := 0
		for b.Loop() {
			data, err := Encode(context.Background(), m, 80)
			if err != nil {
				b.Fatal(err)
			}
			n = len(data)
		}
		b.ReportMetric(float64(n), "bytes")
	})
	b.Run("standard library", func(b *testing.B) {
		var w bytes.Buffer
		for b.Loop() {
			w.Reset()
			if err := jpeg.Encode(&w, m, &jpeg.Options{Quality: 80}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(w.Len()), "bytes")
	})
}

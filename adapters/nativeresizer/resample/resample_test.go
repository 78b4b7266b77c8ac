package resample

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noise is a picture with every frequency and hard edges, padded rows included.
func noise(w, h, ch int, seed uint64) Plane {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := Plane{Width: w, Height: h, Channels: ch, Stride: w*ch + 5}
	p.Pix = make([]byte, p.Stride*h)
	for i := range p.Pix {
		p.Pix[i] = byte(rng.Uint32())
		if rng.Uint32()&3 == 0 {
			p.Pix[i] = byte(rng.Uint32()&1) * 255
		}
	}
	return p
}

// reference is the plain two-dimensional sum in floating point.
func reference(src Plane, dw, dh int, sx, sy float64) [][]float64 {
	weights := func(i, n int, step float64) []float64 {
		stretch := max(step, 1)
		c := (float64(i)+0.5)*step - 0.5
		w := make([]float64, n)
		sum := 0.0
		for j := range w {
			w[j] = lanczos3((float64(j) - c) / stretch)
			sum += w[j]
		}
		for j := range w {
			w[j] /= sum
		}
		return w
	}
	out := make([][]float64, dh)
	ch := src.Channels
	for y := range out {
		out[y] = make([]float64, dw*ch)
		wy := weights(y, src.Height, sy)
		for x := range dw {
			wx := weights(x, src.Width, sx)
			for c := range ch {
				v := 0.0
				for j, a := range wy {
					if a == 0 {
						continue
					}
					for i, b := range wx {
						v += a * b * float64(src.Pix[j*src.Stride+i*ch+c])
					}
				}
				out[y][x*ch+c] = v
			}
		}
	}
	return out
}

func TestResampleAgainstFloatingPoint(t *testing.T) {
	t.Parallel()
	cases := []struct {
		sw, sh, dw, dh int
		sx, sy         float64
	}{
		{50, 40, 25, 20, 2, 2},
		{50, 37, 27, 20, 50.0 / 27, 37.0 / 20},
		{63, 47, 17, 13, 62.5 / 17, 46.125 / 13}, // a plane that reaches beyond its picture
		{20, 20, 20, 7, 1, 20.0 / 7},
		{20, 20, 7, 20, 20.0 / 7, 1},
		{9, 11, 18, 22, 0.5, 0.5}, // chroma at a quarter
		{1, 1, 5, 4, 0.2, 0.25},
		{1, 40, 1, 15, 1, 40.0 / 15},
		{40, 1, 15, 1, 40.0 / 15, 1},
		{33, 21, 31, 19, 33.0 / 31, 21.0 / 19},
		{2, 2, 1, 1, 2, 2},
		{3, 3, 2, 2, 1.5, 1.5},
	}
	for _, c := range cases {
		for _, ch := range []int{1, 2, 3, 4} {
			t.Run(fmt.Sprintf("%dx%d to %dx%d by %d", c.sw, c.sh, c.dw, c.dh, ch), func(t *testing.T) {
				t.Parallel()
				src := noise(c.sw, c.sh, ch, 7)
				dst := New(c.dw, c.dh, ch)
				var r Resampler
				require.NoError(t, r.Resample(context.Background(), dst, src, Axis{Step: c.sx}, Axis{Step: c.sy}))
				want := reference(src, c.dw, c.dh, c.sx, c.sy)
				for y, row := range want {
					for i, v := range row {
						v = min(max(v, 0), 255)
						assert.InDelta(t, v, float64(dst.Pix[y*dst.Stride+i]), 0.6, "row %d sample %d", y, i)
					}
				}
			})
		}
	}
}

func TestResampleSameSizeIsACopy(t *testing.T) {
	t.Parallel()
	for _, ch := range []int{1, 2, 3, 4} {
		src := noise(31, 17, ch, 3)
		dst := New(31, 17, ch)
		require.NoError(t, new(Resampler).Resample(context.Background(), dst, src, Axis{Step: 1}, Axis{Step: 1}))
		for y := range 17 {
			assert.Equal(t, src.Pix[y*src.Stride:][:31*ch], dst.Pix[y*dst.Stride:][:31*ch])
		}
	}
}

func TestResampleOffsetMovesTheOutput(t *testing.T) {
	t.Parallel()
	src := noise(40, 30, 1, 9)
	whole, moved := New(20, 15, 1), New(20, 15, 1)
	var r Resampler
	require.NoError(t, r.Resample(context.Background(), whole, src, Axis{Step: 2}, Axis{Step: 2}))
	require.NoError(t, r.Resample(context.Background(), moved, src, Axis{Step: 2, Offset: 1}, Axis{Step: 2, Offset: 2}))
	for y := range 9 { // away from the edge, where both see all of their kernel
		for x := 4; x < 14; x++ {
			assert.InDelta(t, whole.Pix[(y+5)*20+x+1], moved.Pix[(y+3)*20+x], 1)
		}
	}
}

func TestResampleKeepsAConstant(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var r Resampler
	for range 300 {
		ch := 1 + rng.IntN(4)
		src := New(1+rng.IntN(300), 1+rng.IntN(300), ch)
		v := byte(rng.Uint32())
		for i := range src.Pix {
			src.Pix[i] = v
		}
		dst := New(1+rng.IntN(60), 1+rng.IntN(60), ch)
		sx := (float64(src.Width) - rng.Float64()) / float64(dst.Width)
		sy := (float64(src.Height) - rng.Float64()) / float64(dst.Height)
		if sx <= 0 || sy <= 0 {
			continue
		}
		require.NoError(t, r.Resample(context.Background(), dst, src, Axis{Step: sx}, Axis{Step: sy}))
		for _, got := range dst.Pix {
			require.Equal(t, v, got, "%dx%d to %dx%d", src.Width, src.Height, dst.Width, dst.Height)
		}
	}
}

func TestResampleLargeStepsAreNearTheWholeKernel(t *testing.T) {
	t.Parallel()
	// A smooth picture, as photographs are at this reduction.
	src := New(400, 300, 1)
	for y := range 300 {
		for x := range 400 {
			src.Pix[y*400+x] = byte(127.5 + 70*math.Sin(float64(x)/23)*math.Cos(float64(y)/31) + 50*math.Sin(float64(x+y)/60))
		}
	}
	dst := New(40, 30, 1)
	require.NoError(t, new(Resampler).Resample(context.Background(), dst, src, Axis{Step: 10}, Axis{Step: 10}))
	for y, row := range reference(src, 40, 30, 10, 10) {
		for x, v := range row {
			assert.InDelta(t, min(max(v, 0), 255), float64(dst.Pix[y*40+x]), 3, "%d %d", x, y)
		}
	}
}

func TestResampleExtremeSteps(t *testing.T) {
	t.Parallel()
	src := New(65500, 1, 1)
	for i := range src.Pix {
		src.Pix[i] = 77
	}
	dst := New(1, 1, 1)
	require.NoError(t, new(Resampler).Resample(context.Background(), dst, src, Axis{Step: 65500}, Axis{Step: 1}))
	assert.Equal(t, byte(77), dst.Pix[0])
}

func TestResampleRefusesShapesThatDoNotFit(t *testing.T) {
	t.Parallel()
	good := New(4, 4, 1)
	for name, c := range map[string]struct {
		dst, src Plane
		sx, sy   float64
	}{
		"no bytes":      {good, Plane{Width: 4, Height: 4, Stride: 4, Channels: 1}, 1, 1},
		"short stride":  {good, Plane{Pix: make([]byte, 99), Width: 4, Height: 4, Stride: 3, Channels: 1}, 1, 1},
		"five channels": {New(4, 4, 5), New(4, 4, 5), 1, 1},
		"other channel": {good, New(4, 4, 3), 1, 1},
		"zero step":     {good, good, 0, 1},
		"NaN":           {good, good, 1, math.NaN()},
		"empty":         {good, Plane{}, 1, 1},
	} {
		require.Error(t, new(Resampler).Resample(context.Background(), c.dst, c.src, Axis{Step: c.sx}, Axis{Step: c.sy}), name)
	}
}

func TestResampleStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, new(Resampler).Resample(ctx, New(4, 4, 1), New(9, 9, 1), Axis{Step: 2.25}, Axis{Step: 2.25}), context.Canceled)
	require.ErrorIs(t, new(Resampler).Resample(ctx, New(4, 4, 1), New(90, 90, 1), Axis{Step: 22.5}, Axis{Step: 22.5}), context.Canceled)
	require.ErrorIs(t, new(Resampler).Resample(ctx, New(4, 4, 1), New(4, 4, 1), Axis{Step: 1}, Axis{Step: 1}), context.Canceled)
}

func BenchmarkResample(b *testing.B) {
	for _, c := range []struct{ sw, sh, dw, dh, ch int }{
		{500, 375, 267, 200, 1}, // an eighth of 12 megapixels
		{1000, 750, 533, 400, 1},
		{1000, 750, 267, 200, 1},
		{534, 400, 267, 200, 4},
		{534, 400, 267, 200, 3},
	} {
		b.Run(fmt.Sprintf("%dx%d-%dx%d-%d", c.sw, c.sh, c.dw, c.dh, c.ch), func(b *testing.B) {
			src, dst := noise(c.sw, c.sh, c.ch, 1), New(c.dw, c.dh, c.ch)
			var r Resampler
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Resample(context.Background(), dst, src, Axis{Step: float64(c.sw) / float64(c.dw)}, Axis{Step: float64(c.sh) / float64(c.dh)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package jpeg

import (
	"bytes"
	"context"
	"fmt"
	"image"
	stdjpeg "image/jpeg"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// picture returns the sample function of component i of a w×h picture whose
// planes have been subsampled by sx and sy: gradients, edges and a little noise.
func picture(i int, sx, sy float64) func(x, y int) byte {
	return func(px, py int) byte {
		x, y := (float64(px)+0.5)*sx, (float64(py)+0.5)*sy
		v := 128 + 60*math.Sin(x/17+float64(i))*math.Cos(y/23-float64(i)) + 20*math.Sin((x+2*y)/7)
		if math.Mod(x+float64(10*i), 64) < 20 && math.Mod(y, 48) < 24 {
			v += 40
		}
		h := uint32(px*7919+py*104729+i*1299709) * 2654435761
		return byte(max(0, min(255, v+float64(h>>28)-8)))
	}
}

// sampled returns an encoding of a picture with sampling factors hv, such as
// 0x22, 0x11, 0x11.
func sampled(w, h int, hv ...int) encoding {
	g := encoding{width: w, height: h, quant: 3}
	hMax, vMax := 1, 1
	for _, f := range hv {
		hMax, vMax = max(hMax, f>>4), max(vMax, f&15)
	}
	for i, f := range hv {
		g.comps = append(g.comps, encComponent{
			id: byte(i + 1), h: f >> 4, v: f & 15,
			sample: picture(i, float64(hMax)/float64(f>>4), float64(vMax)/float64(f&15)),
		})
	}
	return g
}

func decode(t testing.TB, data []byte, s Scale) *Planes {
	t.Helper()
	p, err := NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background(), s)
	require.NoError(t, err)
	return p
}

func decodeClean(t testing.TB, data []byte, s Scale) *Planes {
	t.Helper()
	p := decode(t, data, s)
	require.False(t, p.Truncated, "truncated")
	require.False(t, p.Damaged, "damaged")
	return p
}

// scaled returns the mean of the n×n samples of each sample of a plane.
func scaled(pix []byte, stride, w, h, n int) (out []byte, ow, oh int) {
	ow, oh = ceilDiv(w, n), ceilDiv(h, n)
	for y := range oh {
		for x := range ow {
			sum, count := 0, 0
			for v := y * n; v < min(h, y*n+n); v++ {
				for u := x * n; u < min(w, x*n+n); u++ {
					sum += int(pix[v*stride+u])
					count++
				}
			}
			out = append(out, byte((sum+count/2)/count))
		}
	}
	return out, ow, oh
}

// compare returns the greatest difference of two planes and their PSNR in dB.
func compare(a []byte, as int, b []byte, bs, w, h int) (worst int, psnr float64) {
	sum := 0.0
	for y := range h {
		for x := range w {
			d := int(a[y*as+x]) - int(b[y*bs+x])
			if d < 0 {
				d = -d
			}
			worst = max(worst, d)
			sum += float64(d * d)
		}
	}
	if sum == 0 {
		return 0, 100
	}
	return worst, 10 * math.Log10(255*255*float64(w*h)/sum)
}

// stdPlanes returns the planes of a decode by the standard library.
func stdPlanes(t testing.TB, data []byte) []Plane {
	t.Helper()
	m, err := stdjpeg.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	b := m.Bounds()
	switch m := m.(type) {
	case *image.Gray:
		return []Plane{{Pix: m.Pix, Stride: m.Stride, Width: b.Dx(), Height: b.Dy()}}
	case *image.YCbCr:
		cw, ch := b.Dx(), b.Dy()
		switch m.SubsampleRatio {
		case image.YCbCrSubsampleRatio422:
			cw = ceilDiv(cw, 2)
		case image.YCbCrSubsampleRatio420:
			cw, ch = ceilDiv(cw, 2), ceilDiv(ch, 2)
		case image.YCbCrSubsampleRatio440:
			ch = ceilDiv(ch, 2)
		case image.YCbCrSubsampleRatio411:
			cw = ceilDiv(cw, 4)
		case image.YCbCrSubsampleRatio410:
			cw, ch = ceilDiv(cw, 4), ceilDiv(ch, 2)
		}
		return []Plane{
			{Pix: m.Y, Stride: m.YStride, Width: b.Dx(), Height: b.Dy()},
			{Pix: m.Cb, Stride: m.CStride, Width: cw, Height: ch},
			{Pix: m.Cr, Stride: m.CStride, Width: cw, Height: ch},
		}
	}
	t.Fatalf("%T", m)
	return nil
}

// requireLikeStd compares all the scales with the standard library's decode,
// averaged down.
func requireLikeStd(t *testing.T, data []byte) {
	t.Helper()
	want := stdPlanes(t, data)
	for _, s := range []Scale{Full, Half, Quarter, Eighth} {
		p := decodeClean(t, data, s)
		require.Len(t, p.Planes, len(want))
		for i, w := range want {
			pix, ow, oh := scaled(w.Pix, w.Stride, w.Width, w.Height, int(s))
			got := p.Planes[i]
			require.Equal(t, [2]int{ow, oh}, [2]int{got.Width, got.Height}, "size of plane %d at 1/%d", i, s)
			worst, psnr := compare(got.Pix, got.Stride, pix, ow, ow, oh)
			switch s {
			case Full:
				require.LessOrEqual(t, worst, 2, "plane %d", i)
			case Eighth:
				// Edge blocks hold padding, which is part of their mean.
				require.Greater(t, psnr, 24.0, "plane %d at 1/%d", i, s)
			default:
				require.Greater(t, psnr, 24.0, "plane %d at 1/%d", i, s)
			}
		}
	}
}

var sizes = [][2]int{{1, 1}, {7, 9}, {8, 8}, {17, 33}, {129, 66}, {250, 131}}

func TestLikeStandardLibrary(t *testing.T) {
	samplings := map[string][]int{
		"gray":        {0x11},
		"gray 2x2":    {0x22},
		"4:4:4":       {0x11, 0x11, 0x11},
		"4:4:4 1x2":   {0x12, 0x12, 0x12},
		"4:2:2":       {0x21, 0x11, 0x11},
		"4:2:0":       {0x22, 0x11, 0x11},
		"4:4:0":       {0x12, 0x11, 0x11},
		"4:1:1":       {0x41, 0x11, 0x11},
		"4:1:0":       {0x42, 0x11, 0x11},
		"4:2:2 22 12": {0x22, 0x12, 0x12},
	}
	for name, hv := range samplings {
		for _, size := range sizes {
			for _, progressive := range []bool{false, true} {
				for _, restart := range []int{0, 1, 5} {
					t.Run(fmt.Sprintf("%s/%dx%d/progressive=%v/restart=%d", name, size[0], size[1], progressive, restart), func(t *testing.T) {
						g := sampled(size[0], size[1], hv...)
						g.progressive, g.restart = progressive, restart
						if progressive {
							g.table = flatTable()
						}
						if !progressive || restart == 0 {
							requireLikeStd(t, encode(g))
							return
						}
						requireLikeUnrestarted(t, g)
					})
				}
			}
		}
	}
}

func TestTables(t *testing.T) {
	for name, change := range map[string]func(*encoding){
		"quality 100":     func(g *encoding) { g.quant = 1 },
		"coarse":          func(g *encoding) { g.quant = 60 },
		"16 bit":          func(g *encoding) { g.quant16, g.quant = true, 300 },
		"flat":            func(g *encoding) { g.table = flatTable() },
		"long":            func(g *encoding) { g.table = longTable() },
		"long, fine":      func(g *encoding) { g.table, g.quant = longTable(), 1 },
		"long, restarted": func(g *encoding) { g.table, g.restart = longTable(), 3 },
		"progressive, long": func(g *encoding) {
			g.table, g.progressive, g.quant = longTable(), true, 1
		},
		"progressive, coarse": func(g *encoding) {
			g.table, g.progressive, g.quant = longTable(), true, 60
		},
		"separate scans, restarted": func(g *encoding) {
			g.scans = []encScan{{comps: []int{2}, last: 63}, {comps: []int{0}, last: 63, restartInterval: 7}, {comps: []int{1}, last: 63}}
		},
		"separate scans": func(g *encoding) {
			g.scans = []encScan{{comps: []int{2}, last: 63}, {comps: []int{0}, last: 63}, {comps: []int{1}, last: 63}}
		},
		"two scans": func(g *encoding) {
			g.scans = []encScan{{comps: []int{0}, last: 63}, {comps: []int{1, 2}, last: 63}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := sampled(165, 97, 0x22, 0x11, 0x11)
			change(&g)
			if name == "separate scans, restarted" {
				requireLikeUnrestarted(t, g)
				return
			}
			requireLikeStd(t, encode(g))
		})
	}
}

// requireLikeUnrestarted compares with the same picture without restart
// intervals. The standard library counts the padding in the intervals of scans of one
// component, so it cannot tell.
func requireLikeUnrestarted(t *testing.T, g encoding) {
	t.Helper()
	data := encode(g)
	g.restart = 0
	for i := range g.scans {
		g.scans[i].restartInterval = 0
	}
	plain := encode(g)
	require.NotEqual(t, plain, data)
	for _, s := range []Scale{Full, Half, Quarter, Eighth} {
		require.Equal(t, decodeClean(t, plain, s), decodeClean(t, data, s))
	}
}

func TestTypicalTablesAreImplied(t *testing.T) {
	g := sampled(80, 50, 0x22, 0x11, 0x11)
	want := decodeClean(t, encode(g), Full)
	g.noTables = true
	assert.Equal(t, want, decodeClean(t, encode(g), Full))
}

func TestFillBytesAndGarbageBetweenSegments(t *testing.T) {
	g := sampled(80, 50, 0x22, 0x11, 0x11)
	g.scans = []encScan{{comps: []int{0}, last: 63}, {comps: []int{1, 2}, last: 63}}
	want := decodeClean(t, encode(g), Full)
	g.fill = true
	data := append(encode(g), "trailing \xff\xd8 data"...)
	assert.Equal(t, want, decodeClean(t, data, Full))
}

// separate writes the components in scans of their own if they are too much for one
// MCU (T.81 B.2.3).
func separate(g *encoding) {
	blocks := 0
	for _, c := range g.comps {
		blocks += c.h * c.v
	}
	if blocks <= 10 {
		return
	}
	if !g.progressive {
		for i := range g.comps {
			g.scans = append(g.scans, encScan{comps: []int{i}, last: 63})
		}
		return
	}
	for _, s := range progression(len(g.comps)) {
		for _, i := range s.comps {
			s.comps = []int{i}
			g.scans = append(g.scans, s)
		}
	}
}

// TestEverySampling compares with the pictures that were encoded, since the
// standard library does not know these samplings.
func TestEverySampling(t *testing.T) {
	for _, hv := range [][]int{
		{0x31, 0x11, 0x11},
		{0x13, 0x11, 0x11},
		{0x33, 0x11, 0x11},
		{0x32, 0x21, 0x11},
		{0x14, 0x11, 0x11},
		{0x44, 0x11, 0x11},
		{0x44, 0x11, 0x22},
		{0x44, 0x44, 0x44},
		{0x13, 0x13, 0x13},
		{0x11, 0x22, 0x22},
		{0x21, 0x12, 0x11},
		{0x11, 0x41, 0x14},
		{0x22, 0x21, 0x12},
		{0x11, 0x11, 0x11, 0x11},
		{0x22, 0x11, 0x11, 0x22},
		{0x22, 0x11, 0x11, 0x11},
	} {
		for _, progressive := range []bool{false, true} {
			t.Run(fmt.Sprintf("%x/progressive=%v", hv, progressive), func(t *testing.T) {
				g := sampled(139, 101, hv...)
				g.progressive = progressive
				if progressive {
					g.table = flatTable()
				}
				separate(&g)
				data := encode(g)
				for _, s := range []Scale{Full, Half, Quarter, Eighth} {
					p := decodeClean(t, data, s)
					for i, pl := range p.Planes {
						full := &frame{width: g.width, height: g.height, n: len(hv)}
						for j, f := range hv {
							full.comps[j].h, full.comps[j].v = f>>4, f&15
						}
						full.layout()
						w, h := full.comps[i].width, full.comps[i].height
						var source []byte
						for y := range h {
							for x := range w {
								source = append(source, g.comps[i].sample(x, y))
							}
						}
						want, ow, oh := scaled(source, w, w, h, int(s))
						require.Equal(t, [2]int{ow, oh}, [2]int{pl.Width, pl.Height})
						_, psnr := compare(pl.Pix, pl.Stride, want, ow, ow, oh)
						require.Greater(t, psnr, 24.0, "plane %d at 1/%d", i, s)
					}
					m := p.Image()
					require.Equal(t, image.Pt(ceilDiv(139, int(s)), ceilDiv(101, int(s))), m.Bounds().Size())
				}
			})
		}
	}
}

// TestSubsample: 4:4:4 decoded as 4:2:0 has the luma of the scale and the chroma of the next
// smaller one, baseline and progressive, at several scales at once too.
func TestSubsample(t *testing.T) {
	t.Parallel()
	for _, progressive := range []bool{false, true} {
		for _, even := range []int{0x11, 0x21} {
			t.Run(fmt.Sprintf("%x/progressive=%v", even, progressive), func(t *testing.T) {
				t.Parallel()
				g := sampled(203, 117, even, even, even)
				if g.progressive = progressive; progressive {
					g.table = flatTable()
				}
				file := encode(g)
				scales := []Scale{Quarter, Full, Eighth, Half}
				got, err := NewDecoder(bytes.NewReader(file), Options{Subsample: true}).DecodeScales(t.Context(), scales...)
				require.NoError(t, err)
				for i, s := range scales {
					luma, chroma := decode(t, file, s), decode(t, file, min(2*s, Eighth))
					assert.Equal(t, luma.Planes[0].Pix, got[i].Planes[0].Pix, "luma at 1/%d", s)
					for c := 1; c < 3; c++ {
						want, have := chroma.Planes[c], got[i].Planes[c]
						assert.Equal(t, want.Pix, have.Pix, "chroma at 1/%d", s)
						assert.Equal(t, [3]int{want.Width, want.Height, want.Stride}, [3]int{have.Width, have.Height, have.Stride})
					}
					want := image.YCbCrSubsampleRatio420
					if s == Eighth {
						want = image.YCbCrSubsampleRatio444
					}
					assert.Equal(t, want, got[i].YCbCr().SubsampleRatio)
				}
			})
		}
	}
	file := encode(sampled(203, 117, 0x21, 0x11, 0x11))
	got, err := NewDecoder(bytes.NewReader(file), Options{Subsample: true}).Decode(t.Context(), Full)
	require.NoError(t, err)
	assert.Equal(t, decode(t, file, Full), got, "what is subsampled already stays")
}

package icc

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tag is a tag of a profile under test.
type tag struct {
	sig  string
	data []byte
}

// build writes a profile of version 4.
func build(class, space, pcs string, tags ...tag) []byte {
	p := make([]byte, 132, 4096)
	copy(p[12:], class)
	copy(p[16:], space)
	copy(p[20:], pcs)
	copy(p[36:], "acsp")
	p[8] = 4
	copy(p[68:], cat(s15(whiteX), s15(whiteY), s15(whiteZ)))
	binary.BigEndian.PutUint32(p[128:], uint32(len(tags)))
	at := 132 + 12*len(tags)
	var body []byte
	for _, t := range tags {
		p = append(p, t.sig...)
		p = binary.BigEndian.AppendUint32(p, uint32(at+len(body)))
		p = binary.BigEndian.AppendUint32(p, uint32(len(t.data)))
		body = append(body, t.data...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	p = append(p, body...)
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	return p
}

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func s15(v float64) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(int32(math.Round(v*65536))))
}

func u16(vs ...uint16) (b []byte) {
	for _, v := range vs {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func xyz(x, y, z float64) []byte { return cat([]byte("XYZ \x00\x00\x00\x00"), s15(x), s15(y), s15(z)) }

func para(kind uint16, ps ...float64) []byte {
	b := cat([]byte("para\x00\x00\x00\x00"), u16(kind, 0))
	for _, p := range ps {
		b = append(b, s15(p)...)
	}
	return b
}

func curv(vs ...uint16) []byte {
	return cat([]byte("curv\x00\x00\x00\x00"), u32(uint32(len(vs))), u16(vs...))
}

// srgbCurve is the transfer function of IEC 61966-2-1 as a parametric curve.
func srgbCurve() []byte { return para(3, 2.4, 1/1.055, 0.055/1.055, 1/12.92, 0.04045) }

func matrixProfile(trc []byte, r, g, b [3]float64) []byte {
	return build("mntr", "RGB ", "XYZ ",
		tag{"rXYZ", xyz(r[0], r[1], r[2])}, tag{"gXYZ", xyz(g[0], g[1], g[2])}, tag{"bXYZ", xyz(b[0], b[1], b[2])},
		tag{"rTRC", trc}, tag{"gTRC", trc}, tag{"bTRC", trc})
}

func srgb() []byte {
	return matrixProfile(srgbCurve(), [3]float64{0.43607, 0.22249, 0.01392}, [3]float64{0.38515, 0.71687, 0.09708}, [3]float64{0.14307, 0.06061, 0.71410})
}

func displayP3() []byte {
	return matrixProfile(srgbCurve(), [3]float64{0.51512, 0.24120, -0.00105}, [3]float64{0.29198, 0.69225, 0.04189}, [3]float64{0.15710, 0.06657, 0.78407})
}

func adobeRGB() []byte {
	return matrixProfile(curv(563), [3]float64{0.60974, 0.31111, 0.01947}, [3]float64{0.20528, 0.62567, 0.06087}, [3]float64{0.14919, 0.06322, 0.74457})
}

func proPhoto() []byte {
	return matrixProfile(curv(461), [3]float64{0.79767, 0.28804, 0}, [3]float64{0.13519, 0.71188, 0}, [3]float64{0.03134, 0.00009, 0.82491})
}

// tables16 is a lut16Type of two nodes a channel, for Lab under the legacy encoding.
func tables16(channels int, node func(bits int) [3]uint16) []byte {
	b := cat([]byte("mft2\x00\x00\x00\x00"), []byte{byte(channels), 3, 2, 0}, make([]byte, 36), u16(2, 2))
	for range channels {
		b = append(b, u16(0, 65535)...)
	}
	for i := range 1 << channels {
		v := node(i)
		b = append(b, u16(v[:]...)...)
	}
	for range 3 {
		b = append(b, u16(0, 65535)...)
	}
	return b
}

// legacyLab encodes L, a, b as lut16Type has them.
func legacyLab(l, a, b float64) [3]uint16 {
	e := func(v float64) uint16 { return uint16(math.Round(min(max(v, 0), 65535))) }
	return [3]uint16{e(l / 100 * 65280), e((a + 128) * 256), e((b + 128) * 256)}
}

// inkLab is a made-up press: ink darkens, and each has its colour.
func inkLab(bits int) [3]float64 {
	c, m, y, k := float64(bits>>3&1), float64(bits>>2&1), float64(bits>>1&1), float64(bits&1)
	l := 100 * (1 - 0.4*c) * (1 - 0.5*m) * (1 - 0.1*y) * (1 - 0.95*k)
	return [3]float64{l, 60 * (m - c) * (1 - k), 60 * (y - c) * (1 - k)}
}

func press() []byte {
	return build("prtr", "CMYK", "Lab ", tag{"A2B0", tables16(4, func(i int) [3]uint16 {
		v := inkLab(i)
		return legacyLab(v[0], v[1], v[2])
	})})
}

// toB is a lutAToBType of four channels with all of its parts.
func toB() []byte {
	pad := func(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }
	aCurves := cat(pad(para(0, 1.5)), pad(curv(0, 30000, 65535)), pad(curv()), pad(curv(256)))
	grid := cat([]byte{2, 2, 2, 2}, make([]byte, 12), []byte{2, 0, 0, 0})
	for i := range 16 {
		v := inkLab(i)
		grid = append(grid, u16(uint16(v[0]/100*65535), uint16((v[1]+128)/255*65535), uint16((v[2]+128)/255*65535))...)
	}
	grid = pad(grid)
	mCurves := cat(pad(para(0, 1.1)), pad(curv()), pad(curv()))
	matrix := cat(s15(1), s15(0), s15(0), s15(0), s15(0.9), s15(0.1), s15(0), s15(0), s15(1), s15(0.01), s15(0), s15(0))
	bCurves := cat(pad(curv(0, 65535)), pad(para(3, 1, 1, 0, 1, 0)), pad(curv()))
	at := 32
	b := cat([]byte("mAB \x00\x00\x00\x00\x04\x03\x00\x00"))
	for _, part := range [][]byte{bCurves, matrix, mCurves, grid, aCurves} {
		b = append(b, u32(uint32(at))...)
		at += len(part)
	}
	return cat(b, bCurves, matrix, mCurves, grid, aCurves)
}

func pressV4() []byte { return build("prtr", "CMYK", "Lab ", tag{"A2B1", toB()}) }

func TestProfilesThatAreSRGBAreIdentities(t *testing.T) {
	t.Parallel()
	table := make([]uint16, 1024)
	for i := range table {
		v := float64(i) / 1023
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		table[i] = uint16(math.Round(v * 65535))
	}
	for name, p := range map[string][]byte{
		"parametric": srgb(),
		"table":      matrixProfile(curv(table...), [3]float64{0.43607, 0.22249, 0.01392}, [3]float64{0.38515, 0.71687, 0.09708}, [3]float64{0.14307, 0.06061, 0.71410}),
	} {
		tr, err := New(p, RGB)
		require.NoError(t, err, name)
		assert.True(t, tr.Identity(), name)
		px := []byte{1, 2, 3, 4}
		tr.Convert(px)
		assert.Equal(t, []byte{1, 2, 3, 4}, px)
	}
	tr, err := New(build("mntr", "GRAY", "XYZ ", tag{"kTRC", srgbCurve()}), Gray)
	require.NoError(t, err)
	assert.True(t, tr.Identity())
	for name, p := range map[string][]byte{"Display P3": displayP3(), "Adobe RGB": adobeRGB(), "ProPhoto": proPhoto()} {
		tr, err := New(p, RGB)
		require.NoError(t, err, name)
		assert.False(t, tr.Identity(), name)
	}
}

// The wanted values are what Little CMS 2.14 gives for the same bytes,
// relative colorimetric, without black point compensation.
func TestColoursAgainstLittleCMS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profile  []byte
		space    Space
		in, want [][]byte
	}{
		"Display P3": {
			displayP3(), RGB,
			[][]byte{{0, 0, 0}, {255, 255, 255}, {128, 128, 128}, {255, 0, 0}, {0, 200, 0}, {200, 100, 50}, {30, 60, 90}},
			lcmsP3,
		},
		"Adobe RGB": {
			adobeRGB(), RGB,
			[][]byte{{0, 0, 0}, {255, 255, 255}, {128, 128, 128}, {255, 0, 0}, {0, 200, 0}, {200, 100, 50}, {30, 60, 90}},
			lcmsAdobe,
		},
		"ProPhoto": {
			proPhoto(), RGB,
			[][]byte{{0, 0, 0}, {255, 255, 255}, {128, 128, 128}, {255, 0, 0}, {0, 200, 0}, {200, 100, 50}, {30, 60, 90}},
			lcmsProPhoto,
		},
		"press, lut16": {
			press(), CMYK,
			[][]byte{{0, 0, 0, 0}, {255, 0, 0, 0}, {0, 255, 0, 0}, {0, 0, 255, 0}, {0, 0, 0, 255}, {0, 0, 0, 128}, {10, 200, 90, 0}},
			lcmsPress,
		},
		"press, lutAToB": {
			pressV4(), CMYK,
			[][]byte{{0, 0, 0, 0}, {255, 0, 0, 0}, {0, 255, 0, 0}, {0, 0, 255, 0}, {0, 0, 0, 255}, {0, 0, 0, 128}, {10, 200, 90, 0}},
			lcmsPressV4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, err := New(c.profile, c.space)
			require.NoError(t, err)
			for i, in := range c.in {
				px := make([]byte, 4)
				copy(px, in)
				if c.space == RGB {
					px[3] = 77
				}
				tr.Convert(px)
				for ch := range 3 {
					assert.InDelta(t, c.want[i][ch], px[ch], 2, "%v channel %d", in, ch)
				}
				if c.space == RGB {
					assert.Equal(t, byte(77), px[3], "alpha stays")
				} else {
					assert.Equal(t, byte(255), px[3])
				}
			}
		})
	}
}

func TestGray(t *testing.T) {
	t.Parallel()
	tr, err := New(build("mntr", "GRAY", "XYZ ", tag{"kTRC", curv(256)}), Gray) // gamma 1
	require.NoError(t, err)
	px := []byte{0, 55, 128, 255}
	tr.Convert(px)
	assert.Equal(t, []byte{0, 128, 188, 255}, px)

	tr, err = New(build("mntr", "GRAY", "Lab ", tag{"kTRC", curv()}), Gray) // L* = gray
	require.NoError(t, err)
	px = []byte{0, 136, 255}
	tr.Convert(px)
	assert.Equal(t, byte(0), px[0])
	assert.InDelta(t, 127, px[1], 1)
	assert.Equal(t, byte(255), px[2])

	tr, err = New(build("prtr", "GRAY", "Lab ", tag{"A2B0", tables16(1, func(i int) [3]uint16 { return legacyLab(100*float64(i), 0, 0) })}), Gray)
	require.NoError(t, err)
	px = []byte{0, 136, 255}
	tr.Convert(px)
	assert.Equal(t, byte(0), px[0])
	assert.InDelta(t, 127, px[1], 1)
	assert.Equal(t, byte(255), px[2])
}

func TestRGBTables(t *testing.T) {
	t.Parallel()
	// Tables whose grid holds linear sRGB in XYZ.
	m := [9]float64{0.43607, 0.38515, 0.14307, 0.22249, 0.71687, 0.06061, 0.01392, 0.09708, 0.71410}
	b := cat([]byte("mft1\x00\x00\x00\x00"), []byte{3, 3, 2, 0}, make([]byte, 36))
	for range 3 {
		for i := range 256 {
			b = append(b, byte(i))
		}
	}
	for i := range 8 {
		r, g, bl := float64(i>>2&1), float64(i>>1&1), float64(i&1)
		for row := range 3 {
			b = append(b, byte(math.Round((m[3*row]*r+m[3*row+1]*g+m[3*row+2]*bl)*32768/65535*255)))
		}
	}
	for range 3 {
		for i := range 256 {
			b = append(b, byte(i))
		}
	}
	tr, err := New(build("scnr", "RGB ", "XYZ ", tag{"A2B0", b}), RGB)
	require.NoError(t, err)
	px := []byte{0, 0, 0, 1, 255, 255, 255, 2, 255, 0, 0, 3, 55, 55, 55, 4}
	tr.Convert(px)
	want := []byte{0, 0, 0, 1, 255, 255, 255, 2, 255, 0, 0, 3, 128, 128, 128, 4}
	for i := range want {
		assert.InDelta(t, want[i], px[i], 12, "sample %d", i) // eight bits hold no more
	}

	// A lutAToBType without a grid is its curves.
	none := cat([]byte("mAB \x00\x00\x00\x00\x03\x03\x00\x00"), u32(32), u32(0), u32(0), u32(0), u32(0), curv(), curv(), curv())
	tr, err = New(build("scnr", "RGB ", "Lab ", tag{"A2B0", none}), RGB)
	require.NoError(t, err)
	px = []byte{255, 128, 128, 9}
	tr.Convert(px)
	assert.Equal(t, []byte{255, 255, 255, 9}, px)
}

func TestNaive(t *testing.T) {
	t.Parallel()
	px := []byte{0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255, 100, 50, 0, 128, 7}
	Naive(px)
	assert.Equal(t, []byte{255, 255, 255, 255, 0, 255, 255, 255, 0, 0, 0, 255, 77, 102, 127, 255, 7}, px)
}

func TestProfilesThatAreRefused(t *testing.T) {
	t.Parallel()
	change := func(p []byte, at int, v string) []byte {
		p = append([]byte(nil), p...)
		copy(p[at:], v)
		return p
	}
	hugeGrid := cat([]byte("mft2\x00\x00\x00\x00"), []byte{4, 3, 255, 0}, make([]byte, 36), u16(2, 2), make([]byte, 999))
	for name, c := range map[string]struct {
		p []byte
		s Space
	}{
		"empty":              {nil, RGB},
		"cut short":          {srgb()[:140], RGB},
		"no signature":       {change(srgb(), 36, "x"), RGB},
		"a link":             {change(srgb(), 12, "link"), RGB},
		"other space":        {srgb(), CMYK},
		"other connection":   {change(srgb(), 20, "Luv "), RGB},
		"tag count":          {change(srgb(), 128, "\xff\xff\xff\xff"), RGB},
		"tag out of bounds":  {change(srgb(), 132+4, "\x7f\xff\xff\xff"), RGB},
		"no curve":           {build("mntr", "GRAY", "XYZ "), Gray},
		"CMYK by a matrix":   {build("prtr", "CMYK", "Lab "), CMYK},
		"matrix to Lab":      {change(srgb(), 20, "Lab "), RGB},
		"grid too large":     {build("prtr", "CMYK", "Lab ", tag{"A2B0", hugeGrid}), CMYK},
		"unknown curve":      {build("mntr", "GRAY", "XYZ ", tag{"kTRC", para(9, 1)}), Gray},
		"curve cut short":    {build("mntr", "GRAY", "XYZ ", tag{"kTRC", curv(1, 2, 3)[:14]}), Gray},
		"table of 3 for 4":   {build("prtr", "CMYK", "Lab ", tag{"A2B0", tables16(3, func(int) [3]uint16 { return [3]uint16{} })}), CMYK},
		"more than is read":  {make([]byte, MaxProfile+1), RGB},
		"unknown table type": {build("prtr", "CMYK", "Lab ", tag{"A2B0", make([]byte, 64)}), CMYK},
	} {
		_, err := New(c.p, c.s)
		assert.Error(t, err, name)
	}
}

func BenchmarkConvert(b *testing.B) {
	for name, c := range map[string]struct {
		p []byte
		s Space
	}{"matrix": {displayP3(), RGB}, "tables": {press(), CMYK}} {
		b.Run(name, func(b *testing.B) {
			tr, err := New(c.p, c.s)
			require.NoError(b, err)
			px := make([]byte, 4*267*200)
			b.SetBytes(267 * 200)
			for b.Loop() {
				for i := range px {
					px[i] = byte(i * 31)
				}
				tr.Convert(px)
			}
		})
	}
}

package thumbhash_test

import (
	"encoding/base64"
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/thumbhash"
)

func picture(w, h int, at func(x, y int) color.NRGBA) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, at(x, y))
		}
	}
	return m
}

func flat(c color.NRGBA) func(x, y int) color.NRGBA {
	return func(int, int) color.NRGBA { return c }
}

func TestEncodeFlatColours(t *testing.T) {
	t.Parallel()
	// Worked out by hand: five bytes of header, then 27 + 5 + 5 terms of 4 bits, all
	// 0, for an opaque square. L is 6 bits, P and Q are 6 bits around 31.5.
	for _, c := range []struct {
		name string
		c    color.NRGBA
		want [5]byte
	}{
		// L=1 → 63, P=Q=0 → 32: 63 | 32<<6 | 32<<12 = 0x02083f; 7 terms in each direction.
		{"white", color.NRGBA{255, 255, 255, 255}, [5]byte{0x3f, 0x08, 0x02, 0x07, 0}},
		{"black", color.NRGBA{0, 0, 0, 255}, [5]byte{0x00, 0x08, 0x02, 0x07, 0}},
		// L=1/3 → 21, P=1/2 → 47, Q=1 → 63: 21 | 47<<6 | 63<<12 = 0x03fbd5.
		{"red", color.NRGBA{255, 0, 0, 255}, [5]byte{0xd5, 0xfb, 0x03, 0x07, 0}},
		// L=1/3 → 21, P=-1 → 0, Q=0 → 32: 21 | 32<<12 = 0x020015.
		{"blue", color.NRGBA{0, 0, 255, 255}, [5]byte{0x15, 0x00, 0x02, 0x07, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hash, err := thumbhash.Encode(picture(40, 40, flat(c.c)))
			require.NoError(t, err)
			assert.Equal(t, append(c.want[:], make([]byte, 19)...), hash)

			m, err := thumbhash.Decode(hash)
			require.NoError(t, err)
			for i, want := range []uint8{c.c.R, c.c.G, c.c.B, c.c.A} {
				assert.InDelta(t, want, m.Pix[i], 6)
			}
		})
	}
}

func TestEncodeTransparent(t *testing.T) {
	t.Parallel()
	hash, err := thumbhash.Encode(picture(30, 60, flat(color.NRGBA{200, 100, 50, 0})))
	require.NoError(t, err)
	// Black, with alpha's bit 23; 3 of 5 luminance terms across (5 × 30/60, rounded up); alpha 0.
	assert.Equal(t, []byte{0x00, 0x08, 0x82, 0x03, 0x00, 0x00}, hash[:6])
	m, err := thumbhash.Decode(hash)
	require.NoError(t, err)
	assert.Zero(t, m.Pix[3])
}

func TestAspectRatio(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ w, h, wantW, wantH int }{
		{100, 100, 32, 32}, {1, 1, 32, 32}, {100, 50, 32, 18}, {50, 100, 18, 32}, {100, 1, 32, 5}, {1, 100, 5, 32}, {99, 66, 32, 23},
	} {
		hash, err := thumbhash.Encode(picture(c.w, c.h, flat(color.NRGBA{9, 99, 199, 255})))
		require.NoError(t, err)
		m, err := thumbhash.Decode(hash)
		require.NoError(t, err)
		assert.Equal(t, image.Pt(c.wantW, c.wantH), m.Rect.Size(), "%d × %d", c.w, c.h)
	}
}

func TestRoundTripKeepsTheShape(t *testing.T) {
	t.Parallel()
	// Red to the left, blue to the right, and the lower half see-through.
	hash, err := thumbhash.Encode(picture(96, 64, func(x, y int) color.NRGBA {
		c := color.NRGBA{uint8(255 - 255*x/95), 0, uint8(255 * x / 95), 255}
		if y >= 32 {
			c.A = 0
		}
		return c
	}))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(hash), thumbhash.MaxLength)
	m, err := thumbhash.Decode(hash)
	require.NoError(t, err)
	w, h := m.Rect.Dx(), m.Rect.Dy()
	left, right, below := m.NRGBAAt(1, 2), m.NRGBAAt(w-2, 2), m.NRGBAAt(w/2, h-2)
	assert.Greater(t, left.R, left.B+50)
	assert.Greater(t, right.B, right.R+50)
	assert.Greater(t, left.A, uint8(200))
	assert.Less(t, below.A, uint8(60))
}

func TestEncodeOfASubImage(t *testing.T) {
	t.Parallel()
	m := picture(80, 60, func(x, y int) color.NRGBA { return color.NRGBA{uint8(3 * x), uint8(4 * y), 7, 255} })
	r := image.Rect(10, 20, 50, 50)
	want, err := thumbhash.Encode(picture(40, 30, func(x, y int) color.NRGBA { return m.NRGBAAt(10+x, 20+y) }))
	require.NoError(t, err)
	got, err := thumbhash.Encode(m.SubImage(r).(*image.NRGBA))
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, r := range []image.Rectangle{image.Rect(0, 0, 0, 5), image.Rect(0, 0, 101, 5), image.Rect(0, 0, 5, 101)} {
		_, err := thumbhash.Encode(image.NewNRGBA(r))
		assert.Error(t, err, "%v", r)
	}
	hash, err := thumbhash.Encode(picture(10, 10, flat(color.NRGBA{1, 2, 3, 128})))
	require.NoError(t, err)
	require.Len(t, hash, thumbhash.MaxLength)
	for n := range hash {
		_, err := thumbhash.Decode(hash[:n])
		assert.Error(t, err, "%d bytes", n)
	}
}

func FuzzDecode(f *testing.F) {
	hash, err := thumbhash.Encode(picture(10, 20, flat(color.NRGBA{1, 2, 3, 128})))
	require.NoError(f, err)
	f.Add(hash)
	f.Fuzz(func(t *testing.T, hash []byte) {
		m, err := thumbhash.Decode(hash)
		if err == nil {
			assert.False(t, m.Rect.Empty())
		}
	})
}

// The hashes are those that the reference (js/thumbhash.js) gives for the same
// pictures, which have no term that is zero by symmetry: half of 15 is rounded as noise decides.
func TestEncodeIsTheReferences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		w, h  int
		alpha bool
		want  string
	}{
		{100, 60, false, "HhgGDIRkYwRUVhZ1hnbsj8+vNA=="},
		{33, 100, true, "3veBCgQYJIuFYHiJj639ild2BYmieXg="},
		{7, 90, true, "GoiCEQYmQYA6/CjfR7WXBXZ3gIiHeHg="},
		{1, 1, false, "AAgCBwAAAAAAAAAAAAAAAAAAAAAAAAAA"},
	} {
		hash, err := thumbhash.Encode(picture(c.w, c.h, func(x, y int) color.NRGBA {
			p := color.NRGBA{uint8(7*x + 3*y), uint8(x*x + y), uint8(x * y), 255}
			if c.alpha {
				p.A = uint8(5*x + 2*y)
			}
			return p
		}))
		require.NoError(t, err)
		assert.Equal(t, c.want, base64.StdEncoding.EncodeToString(hash), "%d × %d", c.w, c.h)
	}
}

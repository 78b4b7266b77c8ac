package icc

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func converted(t *Transform, r, g, b byte) [3]byte {
	px := []byte{r, g, b, 77}
	t.Convert(px)
	return [3]byte(px[:3])
}

func TestSRGBByCodePointsOrGammaIsIdentity(t *testing.T) {
	t.Parallel()
	for _, space := range []Space{Gray, RGB} {
		c, ok := FromCodePoints(1, 13, true, space)
		require.True(t, ok)
		assert.True(t, c.Identity())
		c, ok = FromGamma(0.45455, Rec709, space)
		require.True(t, ok)
		assert.True(t, c.Identity(), "gAMA 45455 with BT.709's cHRM is how sRGB is written for old readers")
	}
}

// TestCodePointsAgainstProfiles compares with the same space told by an ICC profile.
func TestCodePointsAgainstProfiles(t *testing.T) {
	t.Parallel()
	byProfile, err := New(displayP3(), RGB)
	require.NoError(t, err)
	byCode, ok := FromCodePoints(12, 13, true, RGB)
	require.True(t, ok)
	p3 := primaries[12]
	for r := 0; r < 256; r += 51 {
		for g := 0; g < 256; g += 51 {
			for b := 0; b < 256; b += 51 {
				want, got := converted(byProfile, byte(r), byte(g), byte(b)), converted(byCode, byte(r), byte(g), byte(b))
				for c := range 3 {
					assert.InDelta(t, want[c], got[c], 2, "%d %d %d", r, g, b)
				}
			}
		}
	}
	byGamma, ok := FromGamma(1/2.2, p3, RGB)
	require.True(t, ok)
	assert.Equal(t, converted(byCode, 200, 100, 50), converted(byGamma, 200, 100, 50))
}

func TestLinearGammaIsEncoded(t *testing.T) {
	t.Parallel()
	c, ok := FromGamma(1, Rec709, RGB)
	require.True(t, ok)
	got := converted(c, 55, 0, 255)
	assert.InDelta(t, 128, got[0], 1, "0.2140 of light is the middle of sRGB")
	assert.InDelta(t, 0, got[1], 1)
	assert.InDelta(t, 255, got[2], 1)
}

// TestHighDynamicRangeIsToneMapped: black and the peak stay, nothing is out of order, and white
// paper is clearly darker than a lamp.
func TestHighDynamicRangeIsToneMapped(t *testing.T) {
	t.Parallel()
	for _, code := range []uint8{16, 18} {
		c, ok := FromCodePoints(9, code, true, RGB)
		require.True(t, ok)
		last := byte(0)
		for v := range 256 {
			got := converted(c, byte(v), byte(v), byte(v))
			assert.GreaterOrEqual(t, got[1], last, "%d of %d", v, code)
			last = got[1]
		}
		assert.InDelta(t, 255, last, 1)
		assert.InDelta(t, 0, converted(c, 0, 0, 0)[1], 1)
	}
	pq, _ := FromCodePoints(9, 16, true, RGB)
	assert.InDelta(t, 190, converted(pq, 148, 148, 148)[1], 8, "203 cd/m², reference white")
}

func TestColoursThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]uint8{{0, 13}, {2, 13}, {1, 0}, {1, 2}, {10, 13}, {255, 255}} {
		_, ok := FromCodePoints(c[0], c[1], true, RGB)
		assert.False(t, ok, "%v", c)
	}
	_, ok := FromGamma(0, Rec709, RGB)
	assert.False(t, ok)
	for _, c := range []Chromaticities{{}, {White: d65, Red: d65, Green: d65, Blue: d65}, {White: [2]float64{0.3, 0}, Red: Rec709.Red, Green: Rec709.Green, Blue: Rec709.Blue}} {
		_, ok := FromGamma(0.45455, c, RGB)
		assert.False(t, ok, "%v", c)
	}
}

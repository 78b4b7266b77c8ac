package icc

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCodePointsOfSRGBNeedNoTransform(t *testing.T) {
	for _, p := range []int{1, 2, 5, 6, 7} {
		for _, c := range []int{1, 2, 6, 13, 14, 15} {
			assert.Nil(t, FromCodePoints(p, c), "%d/%d", p, c)
		}
	}
}

// TestCodePointsOfP3AreThoseOfItsProfile compares with the transform of a Display P3 profile.
func TestCodePointsOfP3AreThoseOfItsProfile(t *testing.T) {
	profile, err := New(displayP3(), RGB)
	require.NoError(t, err)
	coded := FromCodePoints(12, 13)
	for _, px := range [][4]byte{{0, 0, 0, 9}, {255, 255, 255, 9}, {200, 100, 50, 9}, {20, 180, 90, 9}, {128, 128, 128, 9}} {
		a, b := px, px
		profile.Convert(a[:])
		coded.Convert(b[:])
		for c := range 4 {
			assert.InDelta(t, a[c], b[c], 2, "%v: %v, %v", px, a, b)
		}
	}
}

func TestHDRCodePoints(t *testing.T) {
	at := func(transfer int, v byte) byte {
		px := [4]byte{v, v, v, 7}
		FromCodePoints(9, transfer).Convert(px[:])
		assert.InDelta(t, px[0], px[2], 1)
		assert.EqualValues(t, 7, px[3])
		return px[0]
	}
	// Reference white, 58 % of PQ and 75 % of HLG (ITU-R BT.2408), is bright, and there is something left above.
	assert.InDelta(t, 232, at(16, 148), 6)
	assert.InDelta(t, 232, at(18, 191), 6)
	for _, transfer := range []int{16, 18} {
		assert.EqualValues(t, 0, at(transfer, 0))
		assert.GreaterOrEqual(t, at(transfer, 255), byte(254))
		last := byte(0)
		for v := range 256 {
			now := at(transfer, byte(v))
			require.GreaterOrEqual(t, now, last, "%d", v)
			last = now
		}
	}
}

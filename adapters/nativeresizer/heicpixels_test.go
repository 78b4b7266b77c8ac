//go:build !noheic

package nativeresizer

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/heif"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// TestPremultipliedColoursAreNoMoreThanAlpha: a writer that rounds them up, or lies, makes no colour brighter than white.
func TestPremultipliedColoursAreNoMoreThanAlpha(t *testing.T) {
	src := []byte{200, 100, 50, 100, 255, 255, 255, 0}
	dst := make([]byte, 8)
	over(dst, src, true)
	assert.Equal(t, []byte{100, 100, 50, 100, 0, 0, 0, 0}, dst)
	dst = make([]byte, 8)
	over(dst, src, false)
	assert.Equal(t, []byte{78, 39, 20, 100, 0, 0, 0, 0}, dst)
	// Over what is opaque.
	dst = []byte{0, 100, 255, 255}
	over(dst, []byte{200, 100, 50, 100}, true)
	assert.Equal(t, []byte{100, 161, 205, 255}, dst)
}

// TestColoursByCodePoints compares with the published matrices from each space's primaries to those of sRGB, for a colour of
// linear light 0.597, 0.202, 0.202, which lies within sRGB in all of them.
func TestColoursByCodePoints(t *testing.T) {
	for _, c := range []struct{ primaries, transfer int }{{1, 13}, {2, 2}, {1, 1}, {5, 6}, {6, 6}, {22, 13}} {
		assert.Nil(t, codePoints(heif.Colour{Primaries: c.primaries, Transfer: c.transfer}), "%v", c)
	}
	pix := func() []byte { return []byte{203, 124, 124, 255, 255, 255} }
	for primaries, want := range map[int][3]int{
		9:  {238, 109, 122}, // BT.2020: 0.858, 0.152, 0.194
		12: {215, 121, 120}, // Display P3: 0.686, 0.185, 0.194
	} {
		tr := codePoints(heif.Colour{Primaries: primaries, Transfer: 13})
		require.NotNil(t, tr, "%d", primaries)
		got := pix()
		tr.Convert(got)
		for i := range 3 {
			assert.InDelta(t, want[i], int(got[i]), 2, "primaries %d, channel %d", primaries, i)
			assert.InDelta(t, 255, int(got[3+i]), 1, "white of primaries %d", primaries)
		}
	}
	// DCI-P3 has the primaries of Display P3 and another white, which becomes that of sRGB.
	tr := codePoints(heif.Colour{Primaries: 11, Transfer: 13})
	require.NotNil(t, tr)
	got := pix()
	tr.Convert(got)
	assert.Greater(t, got[0], byte(205))
	for i := range 3 {
		assert.InDelta(t, 255, int(got[3+i]), 1, "white of DCI-P3")
	}
}

// TestHEICTurnedByEXIF resizes a HEIC of 88 × 72 pixels whose container tells no turn, but whose EXIF a quarter (6). The file is
// the decoder's own test stream in boxes made by the tests of package heif: nclx 12, 13, 6 and an Exif item behind the picture.
func TestHEICTurnedByEXIF(t *testing.T) {
	data, err := os.ReadFile("testdata/turned.heic")
	require.NoError(t, err)
	r, err := New(Options{})
	require.NoError(t, err)
	info, err := r.Inspect(t.Context(), bytes.NewReader(data), ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: 1e6, MaxFrames: 1}})
	require.NoError(t, err)
	assert.Equal(t, [2]int{72, 88}, [2]int{info.Width, info.Height})
	assert.Equal(t, domain.HEIC, info.Format)
	thumbs, err := r.Resize(t.Context(), bytes.NewReader(data), ports.ResizeRequest{Heights: []int{44}})
	require.NoError(t, err)
	require.Len(t, thumbs, 1)
	assert.Equal(t, [2]int{36, 44}, [2]int{thumbs[0].Width, thumbs[0].Height})
	f, err := openHEIC(t.Context(), bytes.NewReader(data), nil)
	require.NoError(t, err)
	defer f.close()
	pictures, err := f.decode(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, 6, pictures[0].orientation)
}

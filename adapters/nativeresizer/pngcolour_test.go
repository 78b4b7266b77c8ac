package nativeresizer_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
)

// TestColoursOfPNG: cICP counts before iCCP, sRGB and gAMA with cHRM, in this order (O27).
func TestColoursOfPNG(t *testing.T) {
	t.Parallel()
	m := image.NewNRGBA(image.Rect(0, 0, 16, 16))
	for i := range 256 {
		m.SetNRGBA(i%16, i/16, color.NRGBA{200, 60, 20, 255})
	}
	plain := encodePNG(t, m)
	cicp := func(v ...byte) []byte { return imagefiletest.PNGChunk("cICP", v) }
	gama := func(v uint32) []byte { return imagefiletest.PNGChunk("gAMA", binary.BigEndian.AppendUint32(nil, v)) }
	var p3 []byte // Display P3's chromaticities
	for _, v := range []uint32{31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000} {
		p3 = binary.BigEndian.AppendUint32(p3, v)
	}
	chrm := imagefiletest.PNGChunk("cHRM", p3)
	srgb := imagefiletest.PNGChunk("sRGB", []byte{0})
	asIs, wide := [3]int{200, 60, 20}, [3]int{217, 42, 0}
	r := resizer(t, nativeresizer.Options{})
	for name, c := range map[string]struct {
		chunks [][]byte
		want   [3]int
	}{
		"nothing":                     {nil, asIs},
		"Display P3 by cICP":          {[][]byte{cicp(12, 13, 0, 1)}, wide},
		"cICP before sRGB and gAMA":   {[][]byte{gama(100000), srgb, cicp(12, 13, 0, 1)}, wide},
		"cICP with a matrix is none":  {[][]byte{cicp(12, 13, 1, 1)}, asIs},
		"cICP that is not known":      {[][]byte{cicp(2, 2, 0, 1)}, asIs},
		"Display P3 by gAMA and cHRM": {[][]byte{gama(45455), chrm}, wide},
		"sRGB before gAMA and cHRM":   {[][]byte{gama(45455), chrm, srgb}, asIs},
		"sRGB's gAMA":                 {[][]byte{gama(45455)}, asIs},
		"linear light":                {[][]byte{gama(100000)}, [3]int{229, 133, 79}},
		"cHRM alone":                  {[][]byte{chrm}, asIs},
	} {
		file := imagefiletest.WithChunks(plain, slices.Concat(c.chunks...))
		thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), []int{16})
		require.NoError(t, err, name)
		got, err := jpeg.Decode(bytes.NewReader(thumbs[0].Data))
		require.NoError(t, err, name)
		red, green, blue, _ := got.At(8, 8).RGBA()
		for i, v := range []uint32{red, green, blue} {
			assert.InDelta(t, c.want[i], int(v>>8), 5, "%s: channel %d", name, i)
		}
	}
}

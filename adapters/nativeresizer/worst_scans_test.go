package nativeresizer_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
)

// flatWebP is a lossless picture of one colour, whose pixels take no bit.
func flatWebP(width, height int) []byte {
	var w bitStream
	w.bits(0, 3) // no transforms, no colour cache, no meta prefix codes
	for range 5 {
		w.bits(0b1001, 4) // a code of a single symbol
	}
	w.bits(0, 7)
	data := binary.LittleEndian.AppendUint32([]byte{0x2f}, uint32(width-1)|uint32(height-1)<<14)
	data = append(data, w.out...)
	if len(data)&1 == 1 {
		data = append(data, 0)
	}
	file := binary.LittleEndian.AppendUint32([]byte("WEBPVP8L"), uint32(len(data)))
	file = append(file, data...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(file))), file...)
}

// TestPromiseWorkOfScans/X2: what an opponent wrote for the loops of WebP and JPEG is either
// refused for its work, or is accepted and has thumbnails.
func TestPromiseWorkOfScans(t *testing.T) {
	t.Parallel()
	plain := encodeJPEG(t, scene(64, 64))
	sos := bytes.LastIndex(plain, []byte{0xff, 0xda})
	table := append([]byte{0xff, 0xc4, 0, 20, 0x01, 1}, make([]byte, 16)...)
	frame := func(n int) []byte { // n frames of nothing, in an animation
		still := flatWebP(2, 2)[12:]
		body := slices.Concat([]byte("WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x01\x00\x00"))
		one := slices.Concat([]byte("ANMF"), binary.LittleEndian.AppendUint32(nil, uint32(16+len(still))),
			[]byte("\x00\x00\x00\x00\x00\x00\x01\x00\x00\x01\x00\x00\x0a\x00\x00\x00"), still)
		body = append(body, bytes.Repeat(one, n)...)
		return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
	}
	r := resizer(t, nativeresizer.Options{})
	for name, c := range map[string]struct {
		file []byte
		want domain.Code
	}{
		"O5/flat WebP":           {flatWebP(7000, 7000), ""},
		"O3/many frames":         {frame(9000), ""},
		"O3/too many frames":     {frame(11000), domain.TooLarge},
		"restart markers":        {slices.Concat(plain[:len(plain)-2], bytes.Repeat([]byte{0xff, 0xd0}, 200_000), plain[len(plain)-2:]), ""},
		"Huffman tables":         {slices.Concat(plain[:2], bytes.Repeat(table, 30_000), plain[2:]), ""},
		"scans":                  {slices.Concat(plain[:len(plain)-2], bytes.Repeat(plain[sos:len(plain)-2], 250), plain[len(plain)-2:]), ""},
		"empty segments":         {slices.Concat(plain[:2], bytes.Repeat([]byte{0xff, 0xe5, 0, 2}, 100_000), plain[2:]), ""},
		"stray marker of a scan": {slices.Concat(plain[:len(plain)-2], []byte{0xff, 0xc3, 0, 8, 1, 2, 3, 4, 5, 6}, plain[len(plain)-2:]), domain.CorruptImage},
	} {
		t.Run("X2/"+name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Inspect(t.Context(), bytes.NewReader(c.file), domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: 10_000})
			assert.Equal(t, c.want, domain.CodeOf(err), "%v", err)
			if c.want == domain.TooLarge {
				return // the limit of frames is an upload's
			}
			for _, height := range []int{50, 1080} {
				thumbs, err := r.Resize(t.Context(), bytes.NewReader(c.file), []int{height})
				assert.Equal(t, c.want, domain.CodeOf(err), "Resize agrees: %v", err)
				if c.want == "" {
					require.Len(t, thumbs, 1)
				}
			}
		})
	}
}

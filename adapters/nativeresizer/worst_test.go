package nativeresizer_test

import (
	"bytes"
	"compress/zlib"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
)

// bitStream writes deflate blocks, the lowest bit first (RFC 1951, 3.1.1).
type bitStream struct {
	out []byte
	acc uint64
	n   int
}

func (w *bitStream) bits(v uint64, n int) {
	w.acc |= v << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out, w.acc = append(w.out, byte(w.acc)), w.acc>>8
	}
}

// gray100 is a PNG of 100 × 100 gray pixels whose data begins with prefix, which ends
// at a byte and holds no last block.
func gray100(prefix []byte, before ...[]byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(make([]byte, 100*101))
	_ = w.Close()
	data := slices.Concat(b.Bytes()[:2], prefix, b.Bytes()[2:])
	parts := append([][]byte{[]byte(imagefiletest.PNGSignature), imagefiletest.IHDR(100, 100, 8, 0, 0)}, before...)
	return slices.Concat(append(parts, imagefiletest.PNGChunk("IDAT", data), imagefiletest.PNGChunk("IEND", nil))...)
}

// TestPromiseWorkIsBounded/X2: what an opponent wrote for the loops of PNG and GIF is
// either refused for its work, or is accepted and has thumbnails.
func TestPromiseWorkIsBounded(t *testing.T) {
	t.Parallel()
	var fixed, dynamic bitStream
	for range 800_000 { // ten bits each, a million bytes
		fixed.bits(0b010, 3)
		fixed.bits(0, 7)
	}
	for range 200_000 { // the shortest dynamic blocks there are, at a byte's end
		dynamic.bits(0b100, 3)
		dynamic.bits(0, 10)
		dynamic.bits(18-4, 4)
		for _, l := range []uint64{0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1} {
			dynamic.bits(l, 3)
		}
		dynamic.bits(1, 1)
		dynamic.bits(138-11, 7)
		dynamic.bits(1, 1)
		dynamic.bits(118-11, 7)
		dynamic.bits(0, 3)
		dynamic.bits(0b000, 3) // an empty stored block fills the byte
		if dynamic.n > 0 {
			dynamic.bits(0, 8-dynamic.n)
		}
		dynamic.bits(0xffff0000, 32)
	}
	var long bytes.Buffer
	w := zlib.NewWriter(&long)
	_, _ = w.Write(make([]byte, 4<<20+1))
	_ = w.Close()
	profile := imagefiletest.PNGChunk("iCCP", append([]byte("p\x00\x00"), long.Bytes()...))
	profiles := make([][]byte, 1000)
	for i := range profiles {
		profiles[i] = profile
	}
	r := resizer(t, nativeresizer.Options{})
	for name, c := range map[string]struct {
		file []byte
		want domain.Code
	}{
		"O1/empty fixed blocks":   {gray100(fixed.out), ""},
		"O1/empty dynamic blocks": {gray100(dynamic.out), domain.TooLarge},
		"O2/profiles":             {gray100(nil, profiles...), ""},
	} {
		t.Run("X2/"+name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Inspect(t.Context(), bytes.NewReader(c.file), limits)
			assert.Equal(t, c.want, domain.CodeOf(err), "%v", err)
			thumbs, err := r.Resize(t.Context(), bytes.NewReader(c.file), []int{50})
			assert.Equal(t, c.want, domain.CodeOf(err), "Resize agrees: %v", err)
			if c.want == "" {
				require.Len(t, thumbs, 1)
			}
		})
	}
}

package imagefile_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
)

func TestOrientation(t *testing.T) {
	t.Parallel()
	for o := -1; o <= 10; o++ {
		want := o
		if o < 1 || o > 8 {
			want = 1
		}
		assert.Equal(t, want, imagefile.Orientation(imagefiletest.EXIF(binary.LittleEndian, o)))
		assert.Equal(t, want, imagefile.Orientation(imagefiletest.EXIF(binary.BigEndian, o)))
		assert.Equal(t, want, imagefile.Orientation(append([]byte("Exif\x00\x00"), imagefiletest.EXIF(binary.BigEndian, o)...)))
		assert.Equal(t, want >= 5, imagefile.Swapped(want))
	}
}

func TestOrientationOfOddData(t *testing.T) {
	t.Parallel()
	six := func(change func(b []byte) []byte) []byte { return change(imagefiletest.EXIF(binary.LittleEndian, 6)) }
	for _, c := range []struct {
		name string
		exif []byte
		want int
	}{
		{"nothing", nil, 1},
		{"byte order only", []byte("II*\x00"), 1},
		{"no byte order", six(func(b []byte) []byte { b[0] = 'X'; return b }), 1},
		{"as LONG", six(func(b []byte) []byte { b[12] = 4; return b }), 6},
		{"as BYTE", six(func(b []byte) []byte { b[12] = 1; return b }), 6},
		{"as ASCII", six(func(b []byte) []byte { b[12] = 2; return b }), 1},
		{"a count of 2³²-1", six(func(b []byte) []byte { copy(b[14:], "\xff\xff\xff\xff"); return b }), 6},
		{"65,535 entries, of which one is there", six(func(b []byte) []byte { b[8], b[9] = 0xff, 0xff; return b }), 6},
		{"no entries", six(func(b []byte) []byte { b[8] = 0; return b }), 1},
		{"a directory beyond the end", six(func(b []byte) []byte { copy(b[4:], "\xff\xff\xff\xff"); return b }), 1},
		{"a directory that begins at the end", six(func(b []byte) []byte { b[4] = byte(len(b)); return b }), 1},
		{"cut in the entry", six(func(b []byte) []byte { return b[:20] }), 1},
		{"the next directory is this one", six(func(b []byte) []byte { b[22] = 8; return b }), 6},
	} {
		assert.Equal(t, c.want, imagefile.Orientation(c.exif), c.name)
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add(imagefiletest.EXIF(binary.LittleEndian, 6))
	f.Add(append([]byte("Exif\x00\x00"), imagefiletest.EXIF(binary.BigEndian, 8)...))
	f.Fuzz(func(t *testing.T, exif []byte) {
		o := imagefile.Orientation(exif)
		assert.True(t, 1 <= o && o <= 8)
	})
}

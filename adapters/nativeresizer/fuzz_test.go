package nativeresizer_test

import (
	"bytes"
	"encoding/binary"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/imagify-api/imagify/ports"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
)

// What Inspect accepts, Resize makes thumbnails of; and nothing panics.
func FuzzResizer(f *testing.F) {
	exif := imagefiletest.EXIF(binary.BigEndian, 6)
	var b bytes.Buffer
	require.NoError(f, jpeg.Encode(&b, scene(40, 30), nil))
	f.Add(b.Bytes())
	f.Add(imagefiletest.WithSegments(b.Bytes(), imagefiletest.Segment(0xe1, append([]byte("Exif\x00\x00"), exif...))))
	f.Add(imagefiletest.JPEG{Width: 20, Height: 20, Values: []byte{1, 2, 3, 4}}.Encode())
	f.Add(encodePNG(f, veiled(20, 10)))
	f.Add(encodePNG(f, scene(20, 10)))
	f.Add(encodeGIF(f, scene(20, 10)))
	f.Add(imagefiletest.WebP(imagefiletest.VP8L(30, 10, color.NRGBA{9, 9, 9, 255}, false)))
	r, err := nativeresizer.New(nativeresizer.Options{MaxPixels: 1 << 16})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, file []byte) {
		info, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		if err != nil {
			require.NotContains(t, err.Error(), "panic")
			return
		}
		for _, height := range []int{1, info.Height/3 + 1, 4320} {
			thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{height}})
			require.NoError(t, err)
			check(t, info, height, thumbs[0], "fuzz")
		}
	})
}

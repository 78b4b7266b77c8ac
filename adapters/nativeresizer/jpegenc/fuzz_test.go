package jpegenc

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzEncode(f *testing.F) {
	f.Add([]byte("some samples of a picture, any at all"), uint8(5), uint8(80))
	f.Fuzz(func(t *testing.T, pix []byte, width, quality uint8) {
		w := int(width) + 1
		h := len(pix) / w
		if h < 1 {
			return
		}
		data, err := Encode(context.Background(), &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, h)}, int(quality))
		require.NoError(t, err)
		_, err = jpeg.Decode(bytes.NewReader(data))
		require.NoError(t, err)
	})
}

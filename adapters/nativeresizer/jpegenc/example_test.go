package jpegenc_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"log"

	"github.com/imagify-api/imagify/adapters/nativeresizer/jpegenc"
)

func ExampleEncode() {
	file, err := jpegenc.Encode(context.Background(), image.NewGray(image.Rect(0, 0, 40, 30)), 80)
	if err != nil {
		log.Fatal(err)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(file))
	fmt.Println(c.Width, c.Height, err)
	// Output:
	// 40 30 <nil>
}

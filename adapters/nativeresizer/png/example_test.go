package png_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	stdpng "image/png"
	"log"

	"github.com/imagify-api/imagify/adapters/nativeresizer/png"
)

// The picture is shrunk while it is inflated: what is held is rows and the result.
func ExampleDecoder() {
	var file bytes.Buffer
	if err := stdpng.Encode(&file, image.NewGray16(image.Rect(0, 0, 1000, 750))); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	d := png.NewDecoder(&file, png.Options{})
	defer d.Close()
	h, err := d.Header(ctx)
	if err != nil {
		log.Fatal(err)
	}
	out, err := d.Decode(ctx, 7, 7)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(h.Width, "×", h.Height, "of", h.BitDepth, "bits →", out.Image.Bounds().Size())
	fmt.Printf("%T\n", out.Image)
	// Output:
	// 1000 × 750 of 16 bits → (143,108)
	// *image.Gray
}

package gif_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	stdgif "image/gif"
	"log"

	"github.com/imagify-api/imagify/adapters/nativeresizer/gif"
)

// The first frame is shrunk while it is decompressed; the others are only counted.
func ExampleDecoder() {
	var animation stdgif.GIF
	for range 3 {
		animation.Image = append(animation.Image, image.NewPaletted(image.Rect(0, 0, 1000, 750), color.Palette{color.Black, color.White}))
		animation.Delay = append(animation.Delay, 10)
	}
	var file bytes.Buffer
	if err := stdgif.EncodeAll(&file, &animation); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	d := gif.NewDecoder(&file, gif.Options{})
	defer d.Close()
	h, err := d.Header(ctx)
	if err != nil {
		log.Fatal(err)
	}
	out, err := d.Decode(ctx, 5, 5)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(h.Width, "×", h.Height, "→", out.Image.Bounds().Size(), "of", out.Frames, "frames")
	// Output:
	// 1000 × 750 → (200,150) of 3 frames
}

package jpeg_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	stdjpeg "image/jpeg"
	"log"

	"github.com/imagify-api/imagify/adapters/nativeresizer/jpeg"
)

// file is a JPEG file of 1000 × 750 pixels.
func file() []byte {
	m := image.NewYCbCr(image.Rect(0, 0, 1000, 750), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = byte(i)
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 100, 150
	}
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, m, nil); err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}

// The header comes first, so that what is too large is refused before it costs anything.
func ExampleDecoder() {
	ctx := context.Background()
	d := jpeg.NewDecoder(bytes.NewReader(file()), jpeg.Options{})
	defer d.Close()
	h, err := d.Header(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if h.Width*h.Height > 100_000_000 || jpeg.MemoryNeeded(h, jpeg.Eighth) > 64<<20 {
		log.Fatal("too large")
	}
	p, err := d.Decode(ctx, jpeg.Eighth)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(h.Width, "×", h.Height, h.Model, "→", p.Width, "×", p.Height)
	for _, plane := range p.Planes {
		fmt.Println(plane.Width, "×", plane.Height)
	}
	fmt.Printf("%T\n", p.Image())
	// Output:
	// 1000 × 750 YCbCr → 125 × 94
	// 125 × 94
	// 63 × 47
	// 63 × 47
	// *image.YCbCr
}

// A pyramid of one decode.
func ExampleDecoder_DecodeScales() {
	d := jpeg.NewDecoder(bytes.NewReader(file()), jpeg.Options{})
	all, err := d.DecodeScales(context.Background(), jpeg.Half, jpeg.Quarter, jpeg.Eighth)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range all {
		fmt.Println(p.Width, "×", p.Height)
	}
	// Output:
	// 500 × 375
	// 250 × 188
	// 125 × 94
}

// A file that was cut short is decoded to the cut, and says so.
func ExamplePlanes_truncated() {
	whole := file()
	d := jpeg.NewDecoder(bytes.NewReader(whole[:len(whole)/2]), jpeg.Options{})
	p, err := d.Decode(context.Background(), jpeg.Full)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Width, "×", p.Height, "truncated:", p.Truncated)
	// Output: 1000 × 750 truncated: true
}

package webp_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/imagify-api/imagify/adapters/nativeresizer/webp"
)

// The header comes first, so that what is too large is refused before it costs anything.
func ExampleDecoder() {
	file, err := os.Open("testdata/lossy-alpha.webp")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	ctx := context.Background()
	d := webp.NewDecoder(file, webp.Options{})
	defer d.Close()
	h, err := d.Header(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if webp.MemoryNeeded(h) > 64<<20 {
		log.Fatal("too large")
	}
	out, err := d.Decode(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("alpha:", h.Alpha, "lossless:", h.Lossless, "frames:", out.Frames)
	fmt.Printf("%T\n", out.Image)
	// Output:
	// alpha: true lossless: false frames: 1
	// *image.NYCbCrA
}

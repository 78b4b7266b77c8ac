package nativeresizer_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"log"

	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/ports"
)

// Several heights are made from one decode; none is enlarged.
func Example() {
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 400, 300))); err != nil {
		log.Fatal(err)
	}
	resizer, err := nativeresizer.New(nativeresizer.Options{})
	if err != nil {
		log.Fatal(err)
	}
	thumbnails, err := resizer.Resize(context.Background(), bytes.NewReader(file.Bytes()), ports.ResizeRequest{Heights: []int{100, 1000}})
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range thumbnails {
		fmt.Println(t.Format, t.Width, "×", t.Height)
	}
	// Output:
	// jpeg 133 × 100
	// jpeg 400 × 300
}

package heif_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/imagify-api/imagify/adapters/nativeresizer/heif"
)

// The container tells everything that a caller decides by before a sample is decoded.
func ExampleDecoder_Header() {
	file, err := os.Open("../testdata/turned.heic")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	d := heif.NewDecoder(file, heif.Options{})
	defer d.Close()
	h, err := d.Header(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(h.Width, "×", h.Height, "turned:", h.Turned, "bits:", h.Depth)
	// Output:
	// 88 × 72 turned: false bits: 8
}

package resample_test

import (
	"context"
	"fmt"
	"log"

	"github.com/imagify-api/imagify/adapters/nativeresizer/resample"
)

// A plane of one channel, to a third of its size.
func ExampleResampler() {
	src, dst := resample.New(300, 90, 1), resample.New(100, 30, 1)
	for i := range src.Pix {
		src.Pix[i] = 200
	}
	var r resample.Resampler
	if err := r.Resample(context.Background(), dst, src, resample.Axis{Step: 3}, resample.Axis{Step: 3}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(dst.Width, dst.Height, dst.Pix[0])
	// Output:
	// 100 30 200
}

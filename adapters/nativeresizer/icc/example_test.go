package icc_test

import (
	"fmt"

	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
)

// CMYK without a profile is converted in place by the plain inverse: no ink is white.
func ExampleNaive() {
	pixel := []byte{0, 0, 0, 0}
	icc.Naive(pixel)
	fmt.Println(pixel[0], pixel[1], pixel[2])
	// Output:
	// 255 255 255
}

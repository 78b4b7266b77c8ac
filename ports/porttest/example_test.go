package porttest_test

import (
	"testing"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// The whole test of an adapter is one call. The suite asks for a new, empty store as often as it needs one.
func ExampleBlobs() {
	_ = func(t *testing.T) { // func TestConformance(t *testing.T) in your package
		porttest.Blobs(t, func(*testing.T) ports.Blobs {
			return memory.NewBlobs(memory.Options{}) // your adapter in its place
		})
	}
}

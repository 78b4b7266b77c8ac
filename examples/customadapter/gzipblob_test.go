package gzipblob_test

import (
	"testing"

	"github.com/imagify-api/imagify/adapters/memory"
	gzipblob "github.com/imagify-api/imagify/examples/customadapter"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

func TestConformance(t *testing.T) {
	porttest.Blobs(t, func(*testing.T) ports.Blobs {
		return gzipblob.Store{In: memory.NewBlobs(memory.Options{})}
	})
}

package nativeresizer_test

import (
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

func TestPort(t *testing.T) {
	t.Parallel()
	porttest.Resizer(t, func(t *testing.T) ports.Resizer { return resizer(t, nativeresizer.Options{}) })
}

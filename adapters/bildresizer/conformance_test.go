package bildresizer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

func TestConformance(t *testing.T) {
	porttest.Resizer(t, func(t *testing.T) ports.Resizer {
		r, err := bildresizer.New(bildresizer.Options{})
		require.NoError(t, err)
		return r
	})
}

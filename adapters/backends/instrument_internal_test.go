package backends

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// A store that is instrumented is the store that it was.
func TestInstrumentedBlobsHandOn(t *testing.T) {
	t.Parallel()
	in, err := newInstruments(prometheus.NewRegistry(), nil)
	require.NoError(t, err)
	porttest.BlobsWrapper(t, func(b ports.Blobs) ports.Blobs { return instrumentedBlobs{b, in} })
}

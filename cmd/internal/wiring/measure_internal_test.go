package wiring

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// A store that is measured is the store that it was.
func TestMeasuredBlobsHandOn(t *testing.T) {
	t.Parallel()
	m, err := newMeasures(prometheus.NewRegistry())
	require.NoError(t, err)
	porttest.BlobsWrapper(t, func(b ports.Blobs) ports.Blobs { return measuredBlobs{b, m} })
}

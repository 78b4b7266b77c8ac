package hevc

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/corpustest"
)

// TestStreamsAreBitExact compares every bare stream of the set with the hashes of independent decoders.
func TestStreamsAreBitExact(t *testing.T) {
	for _, row := range corpustest.OpenHEIC(t) {
		if row.Kind != "annexb" {
			continue
		}
		t.Run(row.Path, func(t *testing.T) {
			require.Equal(t, row.Planes, mustDecode(t, row.Read(t)).hashes())
		})
	}
}

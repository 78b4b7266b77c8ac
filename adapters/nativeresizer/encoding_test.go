package nativeresizer

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// TestTheCostliestThumbnailCounts: a picture that is wide and has alpha has thumbnails
// as large as itself, whose compression takes longer than decoding.
func TestTheCostliestThumbnailCounts(t *testing.T) {
	t.Parallel()
	wide := header{width: 65535, height: 1525, pixels: 65535 * 1525, orientation: 1, alpha: true}
	assert.Greater(t, encodingWork(wide), int64(work.Max))
	wide.alpha = false
	assert.Zero(t, encodingWork(wide))
	photo := header{width: 11547, height: 8660, orientation: 1, alpha: true, mayTurn: true}
	assert.Less(t, encodingWork(photo), int64(work.Max/2), "100 megapixels of the usual shape are fine")
	tall := header{width: 1525, height: 65535, orientation: 1, alpha: true, mayTurn: true}
	assert.Greater(t, encodingWork(tall), int64(work.Max), "it may be turned")
}

package heif

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A panic in a tile's decoder reaches the caller's goroutine, which recovers; on its own
// goroutine it would end the process.
func TestPanicOfATileIsTheCallers(t *testing.T) {
	t.Parallel()
	d := &Decoder{o: Options{Workers: 2}}
	var tiles []*item
	for range 5 {
		tiles = append(tiles, &item{method: 1, extents: []extent{{offset: 0, length: 9}}}) // beyond idat, which no header leaves so
	}
	assert.Panics(t, func() {
		_, _ = d.layer(t.Context(), &layer{tiles: tiles, columns: 5, lengths: make([]int, 5)}, nil, nil, true)
	})
}

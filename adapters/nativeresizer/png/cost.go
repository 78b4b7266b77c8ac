package png

// What things cost, in units of package work. BenchmarkCost compares them with the time.
// What inflating costs is in package inflate. All are those of the costliest factors
// that an image may be shrunk by, so that every size of it is judged alike.
const (
	// costChunk is a chunk's header and checksum; chunksAtOnce are spent together.
	costChunk    = 80
	chunksAtOnce = 64
	// costRow is a row without its bytes.
	costRow = 100
	// costRowByte is to reconstruct a byte by the costliest filter.
	costRowByte = 2
)

// pixelCost is to expand a pixel and to add it to its box.
func pixelCost(h *Header) int64 {
	c := int64(2 + h.Channels())
	if h.Interlaced {
		c += 4
	}
	return c
}

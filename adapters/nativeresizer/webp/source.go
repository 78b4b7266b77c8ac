package webp

import (
	"encoding/binary"

	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/input"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// chunks reads the chunks of a list: those of the file, or those of a frame.
type chunks struct {
	s    *input.Source
	work *work.Budget
	left int64 // bytes of the list that are not yet read, those of the chunk included
	kind string
	size int64 // of the chunk's payload
	todo int64 // bytes of the payload that are not yet read
}

// next begins the next chunk (Container Specification, RIFF File Format), having
// passed over the rest of the one before. It returns false at the end of the list.
func (c *chunks) next() (bool, error) {
	if err := c.end(); err != nil {
		return false, err
	}
	if c.left == 0 {
		return false, nil
	}
	if c.left < 8 {
		return false, FormatError("chunk header is cut")
	}
	if err := c.work.Spend(chunkUnits); err != nil {
		return false, err
	}
	b, err := c.s.Take(8)
	if err != nil {
		return false, err
	}
	c.kind = string(b[:4])
	c.size = int64(binary.LittleEndian.Uint32(b[4:]))
	c.left -= 8
	if c.size > c.left {
		return false, FormatError("chunk is longer than what holds it")
	}
	c.todo = c.size
	return true, nil
}

// end passes over the rest of the chunk and its padding to an even size, which
// some writers leave out at the end of the file.
func (c *chunks) end() error {
	if c.kind == "" {
		return nil
	}
	n := c.todo
	c.left -= n
	c.todo = 0
	if c.size&1 == 1 && c.left > 0 {
		c.left--
		n++
	}
	c.kind = ""
	return c.s.Skip(n)
}

// take returns the next n bytes of the payload, valid until the next read, or nil
// if there are less.
func (c *chunks) take(n int) ([]byte, error) {
	if c.todo < int64(n) {
		return nil, nil
	}
	c.todo -= int64(n)
	c.left -= int64(n)
	return c.s.Take(n)
}

// rest returns the rest of the payload behind dst.
func (c *chunks) rest(dst []byte) ([]byte, error) {
	n := c.todo
	c.todo = 0
	c.left -= n
	return c.s.AppendTo(dst, n)
}

package webp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
)

const (
	// sourceSize is the size of a read of the input.
	sourceSize = 16 << 10
	// maxEmptyReads is how often a reader may return neither data nor an error.
	maxEmptyReads = 100
)

// source is the buffered input within the RIFF chunk.
type source struct {
	r      io.Reader
	ctx    context.Context
	rd, wr int   // buf[rd:wr] is not yet used
	err    error // why there is no more, io.EOF included
	buf    [sourceSize]byte
}

// failure is the error that ended the input.
func (s *source) failure() error {
	if errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return s.err
}

// more reads at least one byte behind those that are not used, of which there
// are less than sourceSize.
func (s *source) more() error {
	if s.err != nil {
		return s.failure()
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return s.err
	}
	if s.rd > 0 {
		s.wr = copy(s.buf[:], s.buf[s.rd:s.wr])
		s.rd = 0
	}
	for range maxEmptyReads {
		n, err := s.r.Read(s.buf[s.wr:])
		if n < 0 || n > len(s.buf)-s.wr {
			s.err = io.ErrNoProgress // a broken reader; do not trust its count
			return s.err
		}
		s.wr += n
		s.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return s.failure()
		}
	}
	s.err = io.ErrNoProgress
	return s.err
}

// take returns the next n bytes, n ≤ sourceSize, valid until the next call.
func (s *source) take(n int) ([]byte, error) {
	for s.wr-s.rd < n {
		if err := s.more(); err != nil {
			return nil, err
		}
	}
	b := s.buf[s.rd : s.rd+n]
	s.rd += n
	return b, nil
}

// appendTo appends the next n bytes to dst. Memory grows with what has been read.
func (s *source) appendTo(dst []byte, n int64) ([]byte, error) {
	for n > 0 {
		if s.rd == s.wr {
			if err := s.more(); err != nil {
				return nil, err
			}
		}
		m := int(min(n, int64(s.wr-s.rd)))
		if free := cap(dst) - len(dst); free < m {
			// Doubled, but never more than what is still to come.
			grown := make([]byte, len(dst), int64(len(dst))+min(n, int64(max(len(dst), 4*sourceSize))))
			copy(grown, dst)
			dst = grown
		}
		dst = append(dst, s.buf[s.rd:s.rd+m]...)
		s.rd += m
		n -= int64(m)
	}
	return dst, nil
}

// skip drops the next n bytes.
func (s *source) skip(n int64) error {
	for n > 0 {
		if s.rd == s.wr {
			if err := s.more(); err != nil {
				return err
			}
		}
		m := min(n, int64(s.wr-s.rd))
		s.rd += int(m)
		n -= m
	}
	return nil
}

// chunks reads the chunks of a list: those of the file, or those of a frame.
type chunks struct {
	s    *source
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
	b, err := c.s.take(8)
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
	return c.s.skip(n)
}

// take returns the next n bytes of the payload, valid until the next read, or nil
// if there are less.
func (c *chunks) take(n int) ([]byte, error) {
	if c.todo < int64(n) {
		return nil, nil
	}
	c.todo -= int64(n)
	c.left -= int64(n)
	return c.s.take(n)
}

// rest returns the rest of the payload behind dst.
func (c *chunks) rest(dst []byte) ([]byte, error) {
	n := c.todo
	c.todo = 0
	c.left -= n
	return c.s.appendTo(dst, n)
}

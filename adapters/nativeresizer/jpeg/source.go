package jpeg

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// sourceSize is the size of a read from the input. It also has to hold the
// longest marker segment (65,533 bytes of parameters) in one piece.
const sourceSize = 64 << 10

// maxEmptyReads is how often a reader may return neither data nor an error.
const maxEmptyReads = 100

// source is the buffered input. Its methods report the end of input by false;
// err then tells the end of the stream from a reading error or the end of
// the context.
type source struct {
	r      io.Reader
	ctx    context.Context
	rd, wr int   // buf[rd:wr] is not yet used
	read   int64 // bytes of r, up to wr
	err    error // why there is no more, io.EOF included
	buf    [sourceSize]byte
}

func (s *source) reset(r io.Reader) {
	s.r, s.ctx, s.err = r, context.Background(), nil
	s.rd, s.wr, s.read = 0, 0, 0
}

// failure is the error that ended the input if it was not its end.
func (s *source) failure() error {
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// more appends at least one byte to the buffer. There must be room: rd > 0 or
// wr < len(buf).
func (s *source) more() bool {
	if s.err != nil {
		return false
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return false
	}
	if s.rd > 0 {
		s.wr = copy(s.buf[:], s.buf[s.rd:s.wr])
		s.rd = 0
	}
	for range maxEmptyReads {
		n, err := s.r.Read(s.buf[s.wr:])
		if n < 0 || n > len(s.buf)-s.wr {
			s.err = io.ErrNoProgress // a broken reader; do not trust its count
			return false
		}
		s.wr += n
		s.read += int64(n)
		s.err = err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	s.err = io.ErrNoProgress
	return false
}

// peek returns the next n bytes, n ≤ sourceSize, without consuming them. They
// are valid until the next call.
func (s *source) peek(n int) ([]byte, bool) {
	for s.wr-s.rd < n {
		if !s.more() {
			return nil, false
		}
	}
	return s.buf[s.rd : s.rd+n], true
}

// skip drops the next n bytes.
func (s *source) skip(n int) bool {
	for s.wr-s.rd < n {
		n -= s.wr - s.rd
		s.rd = s.wr
		if !s.more() {
			return false
		}
	}
	s.rd += n
	return true
}

// nextMarker consumes everything up to and including the next marker and
// returns its code (T.81 B.1.1.2). Fill bytes, stuffed zeros, the codes without
// a meaning (0x01 to 0xBF) and bytes that belong to no marker are passed over.
func (s *source) nextMarker() (code byte, ok bool) {
	for {
		i := bytes.IndexByte(s.buf[s.rd:s.wr], 0xff)
		if i < 0 {
			s.rd = s.wr
			if !s.more() {
				return 0, false
			}
			continue
		}
		s.rd += i
		b, ok := s.peek(2)
		if !ok {
			s.rd = s.wr
			return 0, false
		}
		switch c := b[1]; {
		case c == 0xff:
			s.rd++
		case c < markerSOF0:
			s.rd += 2
		default:
			s.rd += 2
			return c, true
		}
	}
}

// skipEntropy consumes entropy coded data with its restart markers and the
// marker that ends it, which is returned.
func (s *source) skipEntropy() (code byte, ok bool) {
	for {
		code, ok = s.nextMarker()
		if !ok || !isRestart(code) {
			return code, ok
		}
	}
}

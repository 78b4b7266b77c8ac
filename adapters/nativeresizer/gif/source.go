package gif

import (
	"context"
	"errors"
	"io"
)

const (
	// sourceSize is the size of a read of the input. It also has to hold a colour table.
	sourceSize = 16 << 10
	// maxEmptyReads is how often a reader may return neither data nor an error.
	maxEmptyReads = 100
)

// source is the buffered input.
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

// byte returns the next byte.
func (s *source) byte() (byte, error) {
	if s.rd == s.wr {
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	b := s.buf[s.rd]
	s.rd++
	return b, nil
}

// subBlock returns the contents of the next data sub-block (GIF89a 15), valid until
// the next call. Those of the block terminator (16) are empty.
func (s *source) subBlock() ([]byte, error) {
	n, err := s.byte()
	if err != nil {
		return nil, err
	}
	return s.take(int(n))
}

// skipSubBlocks passes over sub-blocks up to their terminator.
func (s *source) skipSubBlocks() error {
	for {
		b, err := s.subBlock()
		if err != nil || len(b) == 0 {
			return err
		}
	}
}

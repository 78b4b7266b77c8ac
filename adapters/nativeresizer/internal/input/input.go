// Package input is the buffered input of decoders that read a stream from front to back.
package input

import (
	"context"
	"errors"
	"io"
)

const (
	// Size is the size of a read, and the most that Take returns.
	Size = 16 << 10
	// maxEmptyReads is how often a reader may return neither data nor an error.
	maxEmptyReads = 100
)

// Source is a buffered input. It has to be reset before its use.
type Source struct {
	r         io.Reader
	ctx       context.Context
	truncated error
	rd, wr    int   // buf[rd:wr] is not yet used
	err       error // why there is no more, io.EOF included
	buf       [Size]byte
}

// Reset makes s read from r. Truncated is the error at the end of the input.
func (s *Source) Reset(r io.Reader, truncated error) {
	s.r, s.ctx, s.truncated = r, context.Background(), truncated
	s.rd, s.wr, s.err = 0, 0, nil
}

// Use sets the context, which is looked at whenever r is read.
func (s *Source) Use(ctx context.Context) { s.ctx = ctx }

// failure is the error that ended the input.
func (s *Source) failure() error {
	if errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) {
		return s.truncated
	}
	return s.err
}

// more reads at least one byte behind those that are not used, of which there
// are less than Size.
func (s *Source) more() error {
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

// Take returns the next n bytes, n ≤ Size, valid until the next call.
func (s *Source) Take(n int) ([]byte, error) {
	for s.wr-s.rd < n {
		if err := s.more(); err != nil {
			return nil, err
		}
	}
	b := s.buf[s.rd : s.rd+n]
	s.rd += n
	return b, nil
}

// Byte returns the next byte.
func (s *Source) Byte() (byte, error) {
	if s.rd == s.wr {
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	b := s.buf[s.rd]
	s.rd++
	return b, nil
}

// AppendTo appends the next n bytes to dst. Memory grows with what has been read.
func (s *Source) AppendTo(dst []byte, n int64) ([]byte, error) {
	for n > 0 {
		if s.rd == s.wr {
			if err := s.more(); err != nil {
				return nil, err
			}
		}
		m := int(min(n, int64(s.wr-s.rd)))
		if free := cap(dst) - len(dst); free < m {
			// Doubled, but never more than what is still to come.
			grown := make([]byte, len(dst), int64(len(dst))+min(n, int64(max(len(dst), 4*Size))))
			copy(grown, dst)
			dst = grown
		}
		dst = append(dst, s.buf[s.rd:s.rd+m]...)
		s.rd += m
		n -= int64(m)
	}
	return dst, nil
}

// Skip drops the next n bytes.
func (s *Source) Skip(n int64) error {
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

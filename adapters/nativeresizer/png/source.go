package png

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

const (
	// sourceSize is the size of a read of the input outside of image data.
	sourceSize = 16 << 10
	// maxEmptyReads is how often a reader may return neither data nor an error.
	maxEmptyReads = 100
)

// source is the buffered input and the chunk that is being read (PNG 5.3).
type source struct {
	r      io.Reader
	ctx    context.Context
	rd, wr int   // buf[rd:wr] is not yet used
	err    error // why there is no more, io.EOF included

	budget *work.Budget
	chunks int    // so far
	kind   string // the current chunk's type
	left   int    // bytes of its payload that are not yet read
	crc    uint32 // of its type and of what has been read
	ended  bool   // its CRC has been read
	wrong  bool   // and is wrong

	// kinds keeps the string of a chunk's type from being allocated again.
	lastKind [4]byte
	buf      [sourceSize]byte
}

// failure is the error that ended the input.
func (s *source) failure() error {
	if errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return s.err
}

// read reads into p from the input itself, at least one byte unless there is an error.
func (s *source) read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.failure()
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	for range maxEmptyReads {
		n, err := s.r.Read(p)
		if n < 0 || n > len(p) {
			s.err = io.ErrNoProgress // a broken reader; do not trust its count
			return 0, s.err
		}
		s.err = err
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, s.failure()
		}
	}
	s.err = io.ErrNoProgress
	return 0, s.err
}

// take returns the next n bytes, n ≤ sourceSize, valid until the next call.
func (s *source) take(n int) ([]byte, error) {
	if s.wr-s.rd < n && s.rd > 0 {
		s.wr = copy(s.buf[:], s.buf[s.rd:s.wr])
		s.rd = 0
	}
	for s.wr-s.rd < n {
		m, err := s.read(s.buf[s.wr:])
		if err != nil {
			return nil, err
		}
		s.wr += m
	}
	b := s.buf[s.rd : s.rd+n]
	s.rd += n
	return b, nil
}

// nextChunk begins the next chunk. The one before must have been ended.
func (s *source) nextChunk() error {
	if s.chunks++; s.chunks%chunksAtOnce == 0 {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := s.budget.Spend(chunksAtOnce * costChunk); err != nil {
			return err
		}
	}
	b, err := s.take(8)
	if err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(b)
	if length > maxSize {
		return FormatError("a chunk is too long")
	}
	for _, c := range b[4:8] {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return FormatError("a chunk has no proper name")
		}
	}
	if t := [4]byte(b[4:8]); t != s.lastKind {
		s.lastKind, s.kind = t, string(t[:])
	}
	s.left = int(length)
	s.crc = crc32.ChecksumIEEE(b[4:8])
	s.ended, s.wrong = false, false
	return nil
}

// critical tells whether the file cannot be decoded without knowing the chunk (PNG 5.4).
func (s *source) critical() bool { return s.kind[0]&0x20 == 0 }

// takeChunk returns the next n bytes of the chunk's payload, n ≤ left, n ≤ sourceSize.
func (s *source) takeChunk(n int) ([]byte, error) {
	b, err := s.take(n)
	if err != nil {
		return nil, err
	}
	s.left -= n
	s.crc = crc32.Update(s.crc, crc32.IEEETable, b)
	return b, nil
}

// payload returns the whole payload, valid until the next read, if it is of least
// to most bytes, most ≤ sourceSize.
func (s *source) payload(least, most int) (b []byte, ok bool, err error) {
	if s.left < least || s.left > most {
		return nil, false, nil
	}
	b, err = s.takeChunk(s.left)
	return b, err == nil, err
}

// intactPayload returns a copy of the whole payload if it is of least to most
// bytes, most ≤ sourceSize, and the chunk's CRC is right.
func (s *source) intactPayload(least, most int) ([]byte, bool, error) {
	b, ok, err := s.payload(least, most)
	if err != nil || !ok {
		return nil, false, err
	}
	b = append([]byte(nil), b...)
	ok, err = s.intact()
	return b, ok, err
}

// copyPayload returns a copy of the rest of the payload. Memory grows with what has
// been read, not with the length that the chunk claims.
func (s *source) copyPayload() ([]byte, error) {
	var out []byte
	for s.left > 0 {
		b, err := s.takeChunk(min(s.left, sourceSize))
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

// readChunk reads image data into p, past the buffer when it is empty.
func (s *source) readChunk(p []byte) (int, error) {
	p = p[:min(len(p), s.left)]
	var n int
	if s.rd < s.wr {
		n = copy(p, s.buf[s.rd:s.wr])
		s.rd += n
	} else {
		var err error
		if n, err = s.read(p); err != nil {
			return 0, err
		}
	}
	s.left -= n
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p[:n])
	return n, nil
}

// intact reads the rest of the chunk and its CRC (PNG 5.5), and tells whether it is right.
func (s *source) intact() (bool, error) {
	if s.ended {
		return !s.wrong, nil
	}
	for s.left > 0 {
		if _, err := s.takeChunk(min(s.left, sourceSize)); err != nil {
			return false, err
		}
	}
	b, err := s.take(4)
	if err != nil {
		return false, err
	}
	s.ended, s.wrong = true, binary.BigEndian.Uint32(b) != s.crc
	return !s.wrong, nil
}

// endChunk passes over the rest of the chunk. The CRC of a critical one must be right.
func (s *source) endChunk() error {
	if s.ended {
		return nil
	}
	if s.critical() {
		ok, err := s.intact()
		if err == nil && !ok {
			err = FormatError("it is damaged: the checksum of its " + s.kind + " chunk is wrong")
		}
		return err
	}
	// The CRC of what is not used need not be computed.
	for n := s.left + 4; n > 0; {
		m := min(n, s.wr-s.rd)
		s.rd += m
		if n -= m; n > 0 {
			s.rd, s.wr = 0, 0
			var err error
			if s.wr, err = s.read(s.buf[:]); err != nil {
				s.wr = 0
				return err
			}
		}
	}
	s.left, s.ended = 0, true
	return nil
}

// chunkReader reads the rest of the current chunk.
type chunkReader struct{ s *source }

// Read implements io.Reader.
func (c *chunkReader) Read(p []byte) (int, error) {
	if c.s.left == 0 {
		return 0, io.EOF
	}
	return c.s.readChunk(p)
}

// imageReader reads the consecutive IDAT chunks (PNG 11.2.3) as one stream.
type imageReader struct {
	s *source
	// next tells that the chunk after the last IDAT has been begun.
	next bool
}

// Read implements io.Reader.
func (r *imageReader) Read(p []byte) (int, error) {
	for r.s.left == 0 {
		if r.next {
			return 0, io.EOF
		}
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	return r.s.readChunk(p)
}

// advance ends an IDAT chunk and begins the next chunk.
func (r *imageReader) advance() error {
	if err := r.s.endChunk(); err != nil {
		return err
	}
	if err := r.s.nextChunk(); err != nil {
		return err
	}
	r.next = r.s.kind != chunkIDAT
	return nil
}

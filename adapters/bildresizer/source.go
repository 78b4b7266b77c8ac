package bildresizer

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/domain"
)

// source holds a file in memory, in pieces, so that growing copies nothing.
type source struct {
	pieces   [][]byte
	size     int64
	reserved int64
	held     *atomic.Int64 // bytes of all sources
	maxHeld  int64
	maxBytes int64
}

// The lengths of pieces: each is as long as all before it, within these bounds.
const (
	minPiece = 8 << 10
	maxPiece = 1 << 20
)

// read reads the file up to the end of its picture.
func (s *source) read(ctx context.Context, src io.Reader, lim imagefile.Limits) (imagefile.Info, error) {
	sc := imagefile.NewScanner(lim)
	var piece []byte // the last of the pieces, with room for more
	for !sc.Done() {
		if ctx.Err() != nil {
			return imagefile.Info{}, cancelled(ctx)
		}
		if len(piece) == cap(piece) {
			if s.size == s.maxBytes {
				return imagefile.Info{}, domain.LimitError(domain.TooLarge, s.maxBytes, "the file has more than %d bytes", s.maxBytes)
			}
			n := int(min(max(s.size, minPiece), maxPiece, s.maxBytes-s.size))
			if err := s.reserve(int64(n)); err != nil {
				return imagefile.Info{}, err
			}
			piece = make([]byte, 0, n)
			s.pieces = append(s.pieces, nil)
		}
		n, err := src.Read(piece[len(piece):cap(piece)])
		fresh := piece[len(piece) : len(piece)+n]
		piece = piece[:len(piece)+n]
		s.pieces[len(s.pieces)-1] = piece
		s.size += int64(n)
		if _, serr := sc.Write(fresh); serr != nil {
			return imagefile.Info{}, serr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return imagefile.Info{}, fmt.Errorf("reading the image: %w", err)
		}
	}
	if err := sc.Finish(); err != nil {
		return imagefile.Info{}, err
	}
	return sc.Info(), nil
}

func (s *source) reserve(n int64) error {
	if s.held.Add(n) > s.maxHeld {
		s.held.Add(-n)
		return &domain.Error{Code: domain.Unavailable, Msg: "too many pictures are being read; try again in a moment", RetryAfter: time.Second}
	}
	s.reserved += n
	return nil
}

// release gives the memory back.
func (s *source) release() {
	s.held.Add(-s.reserved)
	s.reserved, s.pieces = 0, nil
}

// section returns a reader of a part of the file for a decoder. It ends with
// ctx, and hands out small pieces so that it is asked often: decoders do not
// know of contexts.
func (s *source) section(ctx context.Context, part imagefile.Span) io.Reader {
	r := &section{ctx: ctx, left: part.Length}
	skip := part.Offset
	for i, p := range s.pieces {
		if skip < int64(len(p)) {
			r.piece, r.next = p[skip:], s.pieces[i+1:]
			break
		}
		skip -= int64(len(p))
	}
	return r
}

// all is the whole file.
func (s *source) all() imagefile.Span { return imagefile.Span{Length: s.size} }

type section struct {
	ctx   context.Context
	piece []byte
	next  [][]byte
	left  int64
}

// smallPiece is how many bytes a decoder gets at a time. A JPEG's scan may need
// as little as a bit for thousands of blocks, so it is few.
const smallPiece = 256

func (r *section) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, cancelled(r.ctx)
	}
	for len(r.piece) == 0 && len(r.next) > 0 {
		r.piece, r.next = r.next[0], r.next[1:]
	}
	n := copy(p[:min(int64(len(p)), r.left, smallPiece)], r.piece)
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	r.piece = r.piece[n:]
	r.left -= int64(n)
	return n, nil
}

func cancelled(ctx context.Context) error {
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the work was cancelled")
}

package bildresizer

import (
	"bufio"
	"context"
	"io"
	"math"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/domain"
)

// source is a file that decoders read parts of, one part after the other.
type source struct {
	io.ReadSeeker
	// err is why it could not be read, which decoders report as something else.
	err error
}

// section returns a reader of a part of the file for a decoder. It ends with
// ctx, and hands out small pieces so that it is asked often: decoders do not
// know of contexts.
func (s *source) section(ctx context.Context, part imagefile.Span) io.Reader {
	return &section{ctx: ctx, src: s, part: part}
}

// all is the whole file.
func (*source) all() imagefile.Span { return imagefile.Span{Length: math.MaxInt64} }

type section struct {
	ctx  context.Context
	src  *source
	part imagefile.Span
	buf  *bufio.Reader // nil until it is first read
}

// smallPiece is how many bytes a decoder gets at a time. A JPEG's scan may need
// as little as a bit for thousands of blocks, so it is few.
const smallPiece = 256

func (r *section) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, cancelled(r.ctx)
	}
	if r.buf == nil {
		if _, err := r.src.Seek(r.part.Offset, io.SeekStart); err != nil {
			r.src.err = err
			return 0, err
		}
		r.buf = bufio.NewReaderSize(io.LimitReader(r.src, r.part.Length), 16<<10)
	}
	n, err := r.buf.Read(p[:min(len(p), smallPiece)])
	if err != nil && err != io.EOF {
		r.src.err = err
	}
	return n, err
}

// bounded refuses a file of more than max bytes.
type bounded struct {
	r         io.Reader
	left, max int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, domain.LimitError(domain.TooLarge, b.max, "the file has more than %d bytes", b.max)
	}
	return n, err
}

func cancelled(ctx context.Context) error {
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the work was cancelled")
}

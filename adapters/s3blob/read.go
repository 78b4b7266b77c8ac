package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// worthReading is how much of a stream that nobody wants is read to its end, in
	// bytes, to use its connection again; drainTime is how long that may take.
	worthReading = 64 << 10
	drainTime    = 250 * time.Millisecond

	// A reader who moves about is given a window of bytes at a time, so that the
	// service does not push what nobody will read. One who reads on gets larger ones.
	firstWindow = 256 << 10
	maxWindow   = 8 << 20

	// worthSkipping is how much of a whole object is read over, in bytes, where the
	// service ignores Range.
	worthSkipping = 1 << 20
)

var errSlow = errors.New("the service is too slow")

// Open implements ports.Blobs. The bytes come while they are read, and only as long
// as ctx has not ended; another place than the beginning is asked for by a Range.
// Bytes that stop short, do not match their checksum, or belong to a blob put over
// this one, are an error.
func (s *Store) Open(ctx context.Context, key string) (ports.Blob, error) {
	if err := check(ctx, key); err != nil {
		return ports.Blob{}, err
	}
	b := &body{store: s, ctx: ctx, object: s.object(key)}
	out, err := b.get(0, 0)
	if isNotFound(err) {
		return ports.Blob{}, domain.Wrap(domain.NotFound, err, "no such blob")
	}
	if err != nil {
		return ports.Blob{}, fail(ctx, err)
	}
	if aws.ToInt64(out.ContentLength) < 0 || out.ContentLength == nil || aws.ToString(out.ETag) == "" || out.LastModified == nil || out.ContentRange != nil {
		b.streamEnd = b.streamAt // nothing of it is worth reading
		b.drop()
		return ports.Blob{}, fail(ctx, errors.New("the answer is not that of a whole object: it has no Content-Length, no ETag or no Last-Modified, or is a part"))
	}
	b.size, b.etag = *out.ContentLength, out.ETag
	b.streamEnd = b.size
	return ports.Blob{Body: b, Size: b.size, ModTime: aws.ToTime(out.LastModified).UTC()}, nil
}

// body is an open blob. It is not safe for concurrent use.
type body struct {
	store  *Store
	ctx    context.Context
	object *string
	etag   *string
	size   int64
	at     int64 // where the next Read begins
	closed bool

	// stream gives the bytes from streamAt to streamEnd; nil: none is open.
	stream              io.ReadCloser
	streamAt, streamEnd int64
	// window is how many bytes were asked for last; 0: all.
	window int64
	// streamCtx is of the stream's request, cancel ends it, and watch does so when it runs out.
	streamCtx context.Context
	cancel    context.CancelCauseFunc
	watch     *time.Timer
}

// get opens the stream from a place to an end; an end of 0 asks for the whole object.
// Its time is bounded until the answer begins.
func (b *body) get(at, end int64) (out *s3.GetObjectOutput, err error) {
	in := &s3.GetObjectInput{Bucket: &b.store.bucket, Key: b.object, IfMatch: b.etag}
	if end > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", at, end-1))
	} else {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	ctx, cancel := context.WithCancelCause(b.ctx)
	watch := time.AfterFunc(b.store.timeout, func() { cancel(errSlow) })
	func() {
		defer recovered(&err)
		out, err = b.store.client.GetObject(ctx, in)
		if err == nil && (out == nil || out.Body == nil) {
			err = errors.New("there is no answer")
		}
	}()
	watch.Stop()
	if err != nil {
		err = slow(ctx, err)
		cancel(nil)
		return nil, err
	}
	b.stream, b.streamAt, b.streamEnd, b.streamCtx, b.cancel, b.watch = out.Body, at, end, ctx, cancel, watch
	return out, nil
}

// slow says so where an error is one of being cancelled for that.
func slow(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return err
}

// reopen opens the stream where the next Read begins, for a window.
func (b *body) reopen() error {
	if b.window > 0 && b.streamEnd == b.at {
		b.window = min(2*b.window, maxWindow)
	} else {
		b.window = firstWindow
	}
	b.drop()
	end := min(b.at+b.window, b.size)
	out, err := b.get(b.at, end)
	if err != nil {
		return err
	}
	if aws.ToString(out.ETag) != *b.etag {
		return fmt.Errorf("the service answers with the object %s where %s was wanted", aws.ToString(out.ETag), *b.etag)
	}
	want := fmt.Sprintf("bytes %d-%d/%d", b.at, end-1, b.size)
	if aws.ToString(out.ContentRange) == want && aws.ToInt64(out.ContentLength) == end-b.at {
		return nil
	}
	if out.ContentRange != nil || aws.ToInt64(out.ContentLength) != b.size {
		return fmt.Errorf("the service gives %d bytes of the range %q where %q was wanted", aws.ToInt64(out.ContentLength), aws.ToString(out.ContentRange), want)
	}
	if b.at > worthSkipping {
		return errors.New("the service ignores Range: it gives the whole object")
	}
	b.streamAt, b.streamEnd = b.at, b.size
	b.watch.Reset(b.store.timeout)
	_, err = io.CopyN(io.Discard, b.stream, b.at)
	return err
}

// drop gives the stream up.
func (b *body) drop() {
	if b.stream == nil {
		return
	}
	if left := b.streamEnd - b.streamAt; left > 0 && left <= worthReading {
		b.watch.Reset(drainTime)
		_, _ = io.CopyN(io.Discard, b.stream, left) // if it fails, the connection is of no use
	}
	b.watch.Stop()
	_ = b.stream.Close() // nothing was written
	b.cancel(nil)
	b.stream = nil
}

func (b *body) Read(p []byte) (n int, err error) {
	if b.closed {
		return 0, os.ErrClosed
	}
	if err := ended(b.ctx); err != nil {
		return 0, err
	}
	if b.at >= b.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.stream == nil || b.streamAt != b.at {
		if err := b.reopen(); err != nil {
			b.drop()
			return 0, fail(b.ctx, err)
		}
	}
	n, err = b.fill(p[:min(int64(len(p)), b.streamEnd-b.at)])
	if err != nil {
		err = slow(b.streamCtx, err)
		b.drop()
		return 0, fail(b.ctx, err)
	}
	b.at += int64(n)
	b.streamAt = b.at
	if b.at == b.streamEnd {
		b.drop()
	}
	return n, nil
}

// fill reads from the stream, waiting no longer than the store's timeout. The last
// bytes are given only when the stream has ended well: there the checksum is
// compared, and a caller that copies just Size bytes does not read on.
func (b *body) fill(p []byte) (n int, err error) {
	defer recovered(&err)
	b.watch.Reset(b.store.timeout)
	defer b.watch.Stop()
	for n == 0 && err == nil {
		n, err = b.stream.Read(p)
	}
	if b.at+int64(n) == b.streamEnd {
		var over [1]byte
		more := 0
		for more == 0 && err == nil {
			more, err = b.stream.Read(over[:])
		}
		switch {
		case more > 0:
			return 0, errors.New("the service gives more bytes than it said")
		case errors.Is(err, io.EOF):
			return n, nil
		}
		return 0, err
	}
	if errors.Is(err, io.EOF) {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek moves where the next Read begins; nothing is asked of the service before it.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	if b.closed {
		return 0, os.ErrClosed
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	default:
		return 0, fmt.Errorf("s3blob: seek: whence is %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("s3blob: seek: before the beginning")
	}
	b.at = offset
	return offset, nil
}

func (b *body) Close() error {
	if !b.closed {
		b.closed = true
		b.drop()
	}
	return nil
}

package s3blob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Put implements ports.Blobs. Besides what the port says, data of another length
// than o.Size is domain.Invalid, and a service that is unavailable, refuses, does
// not confirm or is slower than Options.Timeout domain.Unavailable. After an
// Unavailable the blob may have been stored all the same, as after any lost answer.
func (s *Store) Put(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	body, err := s.newBody(ctx, r, o.Size)
	if err != nil {
		return err
	}
	p := &put{Store: s, object: s.object(key), mark: rand.Text(), o: o, body: body, crc: crc32.NewIEEE()}
	err = p.run(ctx)
	switch {
	case err == nil:
		return nil
	case body.failed() != nil:
		return body.failed() // why the upload was given up
	case domain.CodeOf(err) != domain.Internal:
		return err
	case o.IfAbsent && isConflict(err):
		return p.conflict(ctx, err)
	}
	return fail(ctx, err)
}

// put is one Put under way.
type put struct {
	*Store
	object *string
	// mark is in the object's metadata: no other Put has the same.
	mark string
	o    ports.PutOptions
	body *uploadBody
	crc  hash.Hash32 // of all that the body has given so far
	size int64       // of the same
}

func (p *put) run(ctx context.Context) error {
	first, err := p.next()
	if err != nil {
		return err
	}
	if first.size < p.body.partSize {
		return p.whole(ctx, first)
	}
	second, err := p.next()
	if err != nil {
		return err
	}
	if second.size == 0 {
		return p.whole(ctx, first)
	}
	return p.parts(ctx, first, second)
}

// next takes the next part off the body; one of size 0 is its end.
func (p *put) next() (part, error) {
	own := crc32.NewIEEE()
	next, err := p.body.part(io.MultiWriter(own, p.crc))
	if err != nil {
		return part{}, err
	}
	next.checksum = checksum(own)
	p.size += next.size
	return next, nil
}

func (p *put) metadata() map[string]string { return map[string]string{putMark: p.mark} }

// ifNoneMatch is the condition of the request that makes the object appear.
func (p *put) ifNoneMatch() *string {
	if p.o.IfAbsent {
		return aws.String("*")
	}
	return nil
}

// notEmpty is nil for an option that is not set.
func notEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// whole puts the object by one request.
func (p *put) whole(ctx context.Context, only part) error {
	out, err := within(ctx, p.timeout, p.client.PutObject, &s3.PutObjectInput{
		Bucket: &p.bucket, Key: p.object, Body: only.data, ContentLength: &only.size, ChecksumCRC32: &only.checksum,
		ContentType: notEmpty(p.o.ContentType), Metadata: p.metadata(), IfNoneMatch: p.ifNoneMatch(),
		ServerSideEncryption: types.ServerSideEncryption(p.sse), SSEKMSKeyId: notEmpty(p.kms), StorageClass: types.StorageClass(p.class),
	}, nil)
	if err != nil {
		return err
	}
	return p.confirm(ctx, out.ChecksumCRC32, only.checksum)
}

// parts puts the object by a multipart upload that begins with two parts.
func (p *put) parts(ctx context.Context, first, second part) (err error) {
	begun, err := within(ctx, p.timeout, p.client.CreateMultipartUpload, &s3.CreateMultipartUploadInput{
		Bucket: &p.bucket, Key: p.object, ContentType: notEmpty(p.o.ContentType), Metadata: p.metadata(),
		// A checksum of all parts together, so that a reader of the whole can compare.
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumType: types.ChecksumTypeFullObject,
		ServerSideEncryption: types.ServerSideEncryption(p.sse), SSEKMSKeyId: notEmpty(p.kms), StorageClass: types.StorageClass(p.class),
	}, nil)
	if err != nil {
		return err
	}
	upload := aws.ToString(begun.UploadId)
	if upload == "" || !p.names(begun.Bucket, begun.Key) {
		return errors.New("the answer to the beginning of a multipart upload names no upload of this object")
	}
	done := false
	defer func() {
		if !done {
			p.abort(ctx, upload)
		}
	}()
	completed, err := p.sendParts(ctx, upload, first, second)
	if err != nil {
		return err
	}
	sum := checksum(p.crc)
	out, err := within(ctx, p.timeout, p.client.CompleteMultipartUpload, &s3.CompleteMultipartUploadInput{
		Bucket: &p.bucket, Key: p.object, UploadId: &upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: completed},
		ChecksumCRC32: &sum, ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: &p.size, IfNoneMatch: p.ifNoneMatch(),
	}, nil)
	switch {
	case apiCode(err) == "NoSuchUpload": // a first try may have completed it, whose answer was lost
		out = &s3.CompleteMultipartUploadOutput{}
	case err != nil:
		return err
	case !p.names(out.Bucket, out.Key):
		out.ChecksumCRC32 = nil // about another object
	}
	if err := p.confirm(ctx, out.ChecksumCRC32, sum); err != nil {
		return err
	}
	done = true
	return nil
}

// names reports whether an answer is about this object, by the fields that each such answer has.
func (p *put) names(bucket, key *string) bool {
	return aws.ToString(bucket) == p.bucket && aws.ToString(key) == *p.object
}

// sendParts sends the upload's parts, a bounded number at once, and returns when
// none is under way any more.
func (p *put) sendParts(ctx context.Context, upload string, begin ...part) ([]types.CompletedPart, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var (
		all       sync.WaitGroup
		slots     = make(chan struct{}, p.concurrency)
		mu        sync.Mutex // of completed
		completed []types.CompletedPart
	)
	defer func() {
		all.Wait() // a part that is cut off may arrive after the upload was aborted
		cancel(nil)
	}()
	for number := int32(1); ; number++ {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		var next part
		if len(begin) > 0 {
			next, begin = begin[0], begin[1:]
		} else {
			var err error
			if next, err = p.next(); err != nil {
				return nil, err
			}
		}
		if next.size == 0 {
			break
		}
		if number > maxParts {
			return nil, domain.Errorf(domain.Invalid, "the blob has more than %d parts of %d bytes: say its size, or set part_size", maxParts, p.body.partSize)
		}
		all.Go(func() {
			defer func() { <-slots }()
			done, err := p.sendPart(ctx, upload, number, next)
			if err != nil {
				cancel(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			completed = append(completed, done)
		})
	}
	all.Wait()
	slices.SortFunc(completed, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	return completed, context.Cause(ctx)
}

func (p *put) sendPart(ctx context.Context, upload string, number int32, one part) (_ types.CompletedPart, err error) {
	defer recovered(&err)
	out, err := within(ctx, p.timeout, p.client.UploadPart, &s3.UploadPartInput{
		Bucket: &p.bucket, Key: p.object, UploadId: &upload, PartNumber: &number, Body: one.data, ContentLength: &one.size, ChecksumCRC32: &one.checksum,
	}, nil)
	if err != nil {
		return types.CompletedPart{}, err
	}
	if aws.ToString(out.ETag) == "" || out.ChecksumCRC32 != nil && *out.ChecksumCRC32 != one.checksum {
		return types.CompletedPart{}, fmt.Errorf("the answer to part %d has the ETag %q and the checksum %q, where the part's is %q",
			number, aws.ToString(out.ETag), aws.ToString(out.ChecksumCRC32), one.checksum)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32: &one.checksum}, nil
}

// abort gives an upload up, also when the caller has. A part that was still on its
// way may bring the upload back, so it is aborted until it is unknown, a few times.
func (p *put) abort(ctx context.Context, upload string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	for pause := abortPause; pause <= 16*abortPause; pause *= 2 {
		_, err := within(ctx, abortTimeout, p.client.AbortMultipartUpload, &s3.AbortMultipartUploadInput{Bucket: &p.bucket, Key: p.object, UploadId: &upload}, nil)
		if apiCode(err) == "NoSuchUpload" {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return // SweepPartial removes it
		}
	}
}

// confirm returns nil when the service has stored what was sent: it said so by the
// checksum of it, or it has an object of this size with this Put's mark.
func (p *put) confirm(ctx context.Context, got *string, want string) error {
	if got != nil && *got == want {
		return nil
	}
	head, err := within(ctx, p.timeout, p.client.HeadObject, &s3.HeadObjectInput{Bucket: &p.bucket, Key: p.object, ChecksumMode: types.ChecksumModeEnabled}, nil)
	if err != nil {
		return fmt.Errorf("the answer did not confirm what was stored, nor did a HEAD: %w", err)
	}
	kept := aws.ToString(head.ChecksumCRC32)
	switch {
	case head.ContentLength == nil || *head.ContentLength != p.size:
		return fmt.Errorf("the service says it stored %d bytes, and has %d", p.size, aws.ToInt64(head.ContentLength))
	case head.Metadata[putMark] != p.mark:
		return errors.New("the service says it stored the object, and has another")
	case kept != "" && !composite(kept) && kept != want:
		return fmt.Errorf("the service has stored bytes of the checksum %s where %s was sent", kept, want)
	}
	return nil
}

// composite reports that a checksum is one of the parts' checksums, as services
// make that know no other kind of multipart upload: it ends with the number of parts.
func composite(sum string) bool { return strings.Contains(sum, "-") }

// conflict tells whose object is in the way. It may be this Put's own, when the
// answer to a first try was lost and the client tried again.
func (p *put) conflict(ctx context.Context, cause error) error {
	head, err := within(ctx, p.timeout, p.client.HeadObject, &s3.HeadObjectInput{Bucket: &p.bucket, Key: p.object}, nil)
	switch {
	case isNotFound(err):
		return fail(ctx, cause) // deleted in this moment
	case err != nil:
		return fail(ctx, err)
	case head.ContentLength == nil || head.ETag == nil:
		return fail(ctx, errors.New("the answer to a HEAD has no Content-Length or no ETag"))
	case head.Metadata[putMark] == p.mark:
		return nil
	}
	return domain.Wrap(domain.Conflict, cause, "the blob exists already")
}

// part is a piece of a body, ready to be sent, and sent again.
type part struct {
	data io.ReadSeeker
	size int64
	// checksum is its CRC-32.
	checksum string
}

// uploadBody gives what a Put was given in parts. It ends with its context, and must
// be as long as was said.
type uploadBody struct {
	ctx      context.Context
	size     int64
	partSize int64
	n        int64 // given so far

	// r is read into memory; or at, where a part is a section of it.
	r  io.Reader
	at io.ReaderAt

	mu  sync.Mutex
	err error // what ended it, but io.EOF
}

func (s *Store) newBody(ctx context.Context, r io.ReadSeeker, size int64) (*uploadBody, error) {
	b := &uploadBody{ctx: ctx, r: r, size: size, partSize: max(s.partSize, (size+maxParts-1)/maxParts)}
	if size < 0 {
		return nil, domain.Errorf(domain.Invalid, "a blob's size has to be given")
	}
	failed := func(err error) error { return fmt.Errorf("s3blob: read what is to be stored: %w", err) }
	at, ok := r.(io.ReaderAt)
	if !ok {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return nil, failed(err)
		}
		return b, nil
	}
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, failed(err)
	}
	if end != size {
		return nil, domain.Errorf(domain.Invalid, "there are %d bytes where %d were announced", end, size)
	}
	b.at = at
	return b, nil
}

func (b *uploadBody) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *uploadBody) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	return b.err
}

// part returns the next part, whose bytes are written to sum, too.
func (b *uploadBody) part(sum io.Writer) (part, error) {
	if b.at == nil {
		data, err := io.ReadAll(io.LimitReader(b, b.partSize))
		if err != nil {
			return part{}, err
		}
		_, _ = sum.Write(data) // never fails
		return part{data: bytes.NewReader(data), size: int64(len(data))}, nil
	}
	if err := ended(b.ctx); err != nil {
		return part{}, b.fail(err)
	}
	n := min(b.partSize, b.size-b.n)
	section := io.NewSectionReader(b.at, b.n, n)
	if copied, err := io.Copy(sum, section); err != nil || copied != n {
		return part{}, b.fail(fmt.Errorf("s3blob: read what is to be stored: %w", errors.Join(err, shorter(copied, n))))
	}
	b.n += n
	_, err := section.Seek(0, io.SeekStart)
	return part{data: section, size: n}, err
}

func shorter(got, want int64) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%d bytes where %d were announced: %w", got, want, io.ErrUnexpectedEOF)
}

// Read reads what is no file.
func (b *uploadBody) Read(p []byte) (int, error) {
	if err := b.failed(); err != nil {
		return 0, err
	}
	if err := ended(b.ctx); err != nil {
		return 0, b.fail(err)
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	switch {
	case b.n > b.size:
		return n, b.fail(domain.Errorf(domain.Invalid, "there are more than the %d bytes announced", b.size))
	case errors.Is(err, io.EOF) && b.n != b.size:
		return n, b.fail(domain.Errorf(domain.Invalid, "there are %d bytes where %d were announced", b.n, b.size))
	case errors.Is(err, io.EOF):
		return n, io.EOF
	case err != nil:
		return n, b.fail(fmt.Errorf("s3blob: read what is to be stored: %w", err))
	}
	return n, nil
}

// checksum is a CRC-32 as S3 writes it: big-endian, in base64.
func checksum(crc hash.Hash32) string { return base64.StdEncoding.EncodeToString(crc.Sum(nil)) }

package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// maxCopy is the largest object that S3 copies by itself, in bytes.
	maxCopy = 5 << 30
	// copyRate is how many bytes a second a service is trusted to copy, at the least.
	copyRate = 16 << 20
)

// moveTime bounds how old a look at the copy may be when the first object is deleted:
// a process that was stopped in between must not delete what has changed since.
const moveTime = 30 * time.Second

// Move implements ports.Blobs: the service copies the object, and only when it shows
// the copy, of the same size and checksum, the first is deleted.
func (s *Store) Move(ctx context.Context, from, to string) error {
	if err := s.Copy(ctx, from, to); err != nil || from == to {
		return err
	}
	// Not the copy's own answer, and by both clocks: one of them stands still while a machine is suspended.
	began := time.Now()
	if _, err := s.head(ctx, to); err != nil {
		return fail(ctx, fmt.Errorf("the copy cannot be confirmed: %w", err))
	}
	if now := time.Now(); now.Sub(began) > moveTime || now.Round(0).Sub(began.Round(0)).Abs() > moveTime {
		return fail(ctx, errors.New("this process was stopped in the middle of a move; both objects are left"))
	}
	return s.Delete(ctx, from)
}

// Copy implements ports.Blobs.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	for _, key := range []string{from, to} {
		if err := check(ctx, key); err != nil {
			return err
		}
	}
	source, err := s.head(ctx, from)
	if err != nil {
		return err
	}
	return s.copy(ctx, source, from, to)
}

// copy returns when the copy is confirmed.
func (s *Store) copy(ctx context.Context, source *s3.HeadObjectOutput, from, to string) error {
	if *source.ContentLength > maxCopy {
		b, err := s.Open(ctx, from)
		if err != nil {
			return err
		}
		defer b.Body.Close()
		return s.Put(ctx, to, b.Body, ports.PutOptions{Size: b.Size, ContentType: aws.ToString(source.ContentType)})
	}
	in := &s3.CopyObjectInput{
		Bucket: &s.bucket, Key: s.object(to), CopySource: aws.String((&url.URL{Path: s.bucket + "/" + *s.object(from)}).EscapedPath()),
		CopySourceIfMatch: source.ETag, MetadataDirective: types.MetadataDirectiveReplace, Metadata: source.Metadata, ContentType: source.ContentType,
		ServerSideEncryption: types.ServerSideEncryption(s.sse), StorageClass: types.StorageClass(s.class),
	}
	if s.kms != "" {
		in.SSEKMSKeyId = &s.kms
	}
	timeout := s.timeout + time.Duration(*source.ContentLength/copyRate)*time.Second
	out, err := within(ctx, timeout, s.client.CopyObject, in, nil)
	switch {
	case isNotFound(err):
		return domain.Wrap(domain.NotFound, err, "no such blob") // another was quicker
	case err != nil:
		return fail(ctx, err)
	case out.CopyObjectResult == nil || aws.ToString(out.CopyObjectResult.ETag) == "":
		return fail(ctx, errors.New("the answer to a copy has no ETag"))
	}
	copied, err := s.head(ctx, to)
	if err == nil && copied.Metadata[putMark] != source.Metadata[putMark] {
		err = errors.New("the service says it made a copy, and has another object there")
	}
	if err != nil {
		return fail(ctx, fmt.Errorf("the copy cannot be confirmed: %w", err))
	}
	return sameObject(ctx, source, copied)
}

// head asks for an object's facts.
func (s *Store) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	out, err := within(ctx, s.timeout, s.client.HeadObject, &s3.HeadObjectInput{
		Bucket: &s.bucket, Key: s.object(key), ChecksumMode: types.ChecksumModeEnabled,
	}, nil)
	switch {
	case isNotFound(err):
		return nil, domain.Wrap(domain.NotFound, err, "no such blob")
	case err != nil:
		return nil, fail(ctx, err)
	case out.ContentLength == nil || out.ETag == nil:
		return nil, fail(ctx, errors.New("the answer has no Content-Length or no ETag"))
	}
	return out, nil
}

// sameObject compares what a service says of two objects that must be alike.
func sameObject(ctx context.Context, a, b *s3.HeadObjectOutput) error {
	if *a.ContentLength != *b.ContentLength {
		return fail(ctx, fmt.Errorf("the copy has %d bytes, and the object %d", *b.ContentLength, *a.ContentLength))
	}
	for _, sums := range [][2]*string{{a.ChecksumCRC32, b.ChecksumCRC32}, {a.ChecksumSHA256, b.ChecksumSHA256}} {
		// A service may compute the copy's by parts, or none: only two of one kind can differ.
		if sums[0] != nil && sums[1] != nil && a.ChecksumType == b.ChecksumType && *sums[0] != *sums[1] {
			return fail(ctx, errors.New("the copy has another checksum than the object"))
		}
	}
	return nil
}

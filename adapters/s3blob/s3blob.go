// Package s3blob is a ports.Blobs on Amazon S3 and services that speak as it does.
//
// A blob is one private object: no ACL is ever sent, so that the bucket's own rules
// hold; block public access there. Blobs go up in parts of a fixed size, a bounded
// number at once, with a checksum each, and appear when the last part is
// acknowledged. A Put that fails aborts its multipart upload; what a lost process
// leaves is taken by SweepPartial, or by a lifecycle rule of the bucket with
// AbortIncompleteMultipartUpload. In a bucket with versioning Delete leaves old
// versions behind: expire them by a lifecycle rule.
//
// The credentials need these actions, on the bucket:
//
//	s3:ListBucket (without it a missing blob looks like a refusal), s3:ListBucketMultipartUploads
//
// on its objects:
//
//	s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload
//
// and with a KMS key kms:GenerateDataKey and kms:Decrypt on it.
//
// The service must honour If-None-Match: * on PutObject and CompleteMultipartUpload,
// and If-Match and Range on GetObject.
package s3blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	minPartSize        = 5 << 20 // S3's own bound
	maxPartSize        = 5 << 30
	defaultConcurrency = 2
	defaultTimeout     = 8 * time.Second

	// abortTimeout bounds how long a Put that failed cleans up behind itself.
	abortTimeout = 5 * time.Second
	// maxPrefix keeps the longest key within S3's 1,024 bytes.
	maxPrefix = 256
	// putMark is the metadata by which a Put recognises its own object.
	putMark = "imagify-put"
)

var (
	_ ports.Blobs       = (*Store)(nil)
	_ ports.BlobSweeper = (*Store)(nil)
	_ ports.BlobWalker  = (*Store)(nil)
)

// Options are the optional settings; the zero value is ready to use.
type Options struct {
	// Prefix begins every object's key, with a slash behind it; empty: none.
	Prefix string
	// ServerSideEncryption is what S3 encrypts by, such as "AES256" or "aws:kms";
	// empty: as the bucket says.
	ServerSideEncryption string
	// KMSKeyID names the key for "aws:kms"; empty: the account's own.
	KMSKeyID string
	// StorageClass is such as "INTELLIGENT_TIERING"; empty: STANDARD.
	StorageClass string
	// PartSize is the size of an upload's parts in bytes, from 5 MiB, which zero
	// means. A blob that is no larger goes up in one request.
	PartSize int64
	// Concurrency is how many parts of an upload are under way at once; zero means
	// 2. An upload holds at most Concurrency+2 parts in memory.
	Concurrency int
	// Timeout bounds each request, its retries included, and how long a blob's
	// bytes may keep their reader waiting. Zero means 8 seconds.
	Timeout time.Duration
	// FileKeys is for services that keep each object in a file of the key's name
	// (versitygw, MinIO and the like), where "a" excludes "a/b" and a name ends at
	// 255 bytes: keys are then stored with a mark at their end, and broken into
	// folders every 100 characters. A bucket holds keys of one kind.
	FileKeys bool
}

// Store is a ports.Blobs and a ports.BlobSweeper on a bucket. It is safe for
// concurrent use, by several processes too.
type Store struct {
	client   *s3.Client
	uploads  *transfermanager.Client
	bucket   string
	prefix   string // empty, or with a slash at its end
	timeout  time.Duration
	fileKeys bool
	sse, kms string
	class    string
}

// New returns a store on a bucket, which must exist. The client's retries should be
// few: Open makes such a client.
func New(client *s3.Client, bucket string, o Options) (*Store, error) {
	if o.PartSize == 0 {
		o.PartSize = minPartSize
	}
	if o.Concurrency == 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	prefix := strings.Trim(o.Prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	switch {
	case client == nil:
		return nil, errors.New("s3blob: there is no client")
	case bucket == "" || strings.Contains(bucket, "/"):
		return nil, fmt.Errorf("s3blob: %q is no bucket's name", bucket)
	case len(prefix) > maxPrefix || !utf8.ValidString(prefix) || strings.Contains(prefix, "//"):
		return nil, fmt.Errorf("s3blob: the prefix %q must be at most %d bytes of UTF-8 with single slashes", o.Prefix, maxPrefix-1)
	case o.PartSize < minPartSize || o.PartSize > maxPartSize:
		return nil, fmt.Errorf("s3blob: parts of %d bytes: S3 takes %d to %d", o.PartSize, minPartSize, int64(maxPartSize))
	case o.Concurrency < 1 || o.Concurrency > 100:
		return nil, fmt.Errorf("s3blob: %d parts at once: give 1 to 100", o.Concurrency)
	case o.Timeout < 0:
		return nil, fmt.Errorf("s3blob: a timeout of %v: give a positive one, or none for %v", o.Timeout, defaultTimeout)
	case o.KMSKeyID != "" && !strings.HasPrefix(o.ServerSideEncryption, "aws:kms"):
		return nil, fmt.Errorf("s3blob: a KMS key goes with the encryption aws:kms, not %q", o.ServerSideEncryption)
	}
	s := &Store{
		client: client, bucket: bucket, prefix: prefix, timeout: o.Timeout, fileKeys: o.FileKeys,
		sse: o.ServerSideEncryption, kms: o.KMSKeyID, class: o.StorageClass,
	}
	s.uploads = transfermanager.New(bounded{Client: client, timeout: o.Timeout}, func(t *transfermanager.Options) {
		t.PartSizeBytes, t.MultipartUploadThreshold, t.Concurrency = o.PartSize, o.PartSize, o.Concurrency
		t.ChecksumAlgorithm = tmtypes.ChecksumAlgorithmCrc32
		t.FailTimeout = abortTimeout
	})
	return s, nil
}

// Put implements ports.Blobs. Besides what the port says, data of another length
// than o.Size is domain.Invalid, and a service that is away, refuses or is slower
// than Options.Timeout domain.Unavailable. After an Unavailable the blob may have
// been stored all the same, as after any lost answer.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, o ports.PutOptions) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	from := &source{ctx: ctx, r: r, size: o.Size}
	in := &transfermanager.UploadObjectInput{
		Bucket: &s.bucket, Key: s.object(key), Body: from,
		ServerSideEncryption: tmtypes.ServerSideEncryption(s.sse), StorageClass: tmtypes.StorageClass(s.class),
		ChecksumType: tmtypes.ChecksumTypeFullObject, // of all parts together, so that a reader of the whole can compare
	}
	if s.kms != "" {
		in.SSEKMSKeyID = &s.kms
	}
	if o.ContentType != "" {
		in.ContentType = &o.ContentType
	}
	if o.Size > 0 {
		in.ContentLength = &o.Size // for the size of parts
	}
	var mark string
	if o.IfAbsent {
		mark = rand.Text()
		in.IfNoneMatch, in.Metadata = aws.String("*"), map[string]string{putMark: mark}
	}
	_, err := s.uploads.UploadObject(ctx, in)
	switch {
	case err == nil:
		return nil
	case from.err != nil:
		return from.err // why the upload was given up
	case o.IfAbsent && isConflict(err):
		return s.conflict(ctx, key, mark, err)
	}
	return fail(ctx, err)
}

// conflict tells whose object is in the way. It may be this Put's own, when the
// answer to a first try was lost and the client tried again.
func (s *Store) conflict(ctx context.Context, key, mark string, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.object(key)})
	switch {
	case isNotFound(err):
		return fail(ctx, cause) // deleted in this moment
	case err != nil:
		return fail(ctx, err)
	case head.Metadata[putMark] == mark:
		return nil
	}
	return domain.Wrap(domain.Conflict, cause, "the blob exists already")
}

// source is what a Put reads: it ends with its context, and must be as long as was said.
type source struct {
	ctx  context.Context
	r    io.Reader
	size int64 // -1: not known
	n    int64
	err  error // what ended it, but io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = ended(s.ctx)
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	switch {
	case s.size >= 0 && s.n > s.size:
		s.err = domain.Errorf(domain.Invalid, "there are more than the %d bytes announced", s.size)
	case errors.Is(err, io.EOF):
		if s.size >= 0 && s.n != s.size {
			s.err = domain.Errorf(domain.Invalid, "there are %d bytes where %d were announced", s.n, s.size)
		} else {
			return n, io.EOF
		}
	case err != nil:
		s.err = fmt.Errorf("s3blob: read what is to be stored: %w", err)
	}
	return n, s.err
}

// bounded gives each request of an upload its time.
type bounded struct {
	*s3.Client
	timeout time.Duration
}

func (b bounded) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	return within(ctx, b.timeout, b.Client.PutObject, in, o)
}

func (b bounded) UploadPart(ctx context.Context, in *s3.UploadPartInput, o ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	return within(ctx, b.timeout, b.Client.UploadPart, in, o)
}

func (b bounded) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, o ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	return within(ctx, b.timeout, b.Client.CreateMultipartUpload, in, o)
}

func (b bounded) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, o ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	return within(ctx, b.timeout, b.Client.CompleteMultipartUpload, in, o)
}

func (b bounded) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput, o ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	return within(ctx, b.timeout, b.Client.AbortMultipartUpload, in, o)
}

func within[In, Out any](ctx context.Context, d time.Duration, call func(context.Context, *In, ...func(*s3.Options)) (*Out, error), in *In, o []func(*s3.Options)) (*Out, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return call(ctx, in, o...)
}

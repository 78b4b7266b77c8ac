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
// No answer is believed for its status alone: a proxy between here and the service
// may answer 200 with a page of its own. A Put has succeeded when the service names
// the checksum of what was sent, or when a HEAD finds the object with the right size
// and this Put's mark. A listing must name the bucket and advance, a deletion must
// name each key, a range must be the one that was asked for, of the object that was
// opened. Anything else is domain.Unavailable.
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
// If-Match and Range on GetObject, and x-amz-checksum-crc32: Doctor tries each.
package s3blob

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/imagify-api/imagify/ports"
)

const (
	minPartSize        = 5 << 20 // S3's own bound
	maxPartSize        = 5 << 30
	defaultConcurrency = 2
	defaultTimeout     = 8 * time.Second

	// abortTimeout bounds how long a Put that failed cleans up behind itself.
	abortTimeout = 5 * time.Second
	abortPause   = 10 * time.Millisecond
	// maxPrefix keeps the longest key within S3's 1,024 bytes.
	maxPrefix = 256
	// putMark is the metadata by which a Put recognises its own object.
	putMark = "imagify-put"
	// maxParts is S3's bound on an upload's parts.
	maxParts = 10_000
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
	// 2. Of a body that is an io.ReaderAt and an io.Seeker, such as a file, an upload
	// holds nothing in memory, of another at most Concurrency+2 parts.
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
	client      *s3.Client
	bucket      string
	prefix      string // empty, or with a slash at its end
	timeout     time.Duration
	partSize    int64
	concurrency int
	fileKeys    bool
	sse, kms    string
	class       string
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
		return nil, fmt.Errorf("s3blob: %q is not a valid bucket name", bucket)
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
	return &Store{
		client: client, bucket: bucket, prefix: prefix, timeout: o.Timeout, partSize: o.PartSize, concurrency: o.Concurrency,
		fileKeys: o.FileKeys, sse: o.ServerSideEncryption, kms: o.KMSKeyID, class: o.StorageClass,
	}, nil
}

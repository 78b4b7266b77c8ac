package s3blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Ping reports whether the bucket is there and may be seen.
func (s *Store) Ping(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	// A listing, because only it names the bucket: HEAD has no body, and whatever
	// stands before the service may answer it with 200.
	if _, err := s.page(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1)}); err != nil {
		return fail(ctx, err)
	}
	return nil
}

// checkBucket reports why the bucket cannot be used at all. It lists, because only then
// the service says what is wrong: HEAD has no body.
func (s *Store) checkBucket(ctx context.Context) error {
	if provider := s.client.Options().Credentials; provider != nil {
		if _, err := provider.Retrieve(ctx); err != nil {
			return fmt.Errorf("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws, or give the machine a role: %w", err)
		}
	}
	_, err := s.page(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, MaxKeys: aws.Int32(1)})
	if err == nil {
		return nil
	}
	region := s.client.Options().Region
	switch apiCode(err) {
	case "NoSuchBucket":
		return fmt.Errorf("the bucket %s does not exist: create it in %s, or correct IMAGIFY_STORAGE_URL: %w", s.bucket, region, said(err))
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the latter versitygw's
		return fmt.Errorf("the service does not know the access key: correct AWS_ACCESS_KEY_ID: %w", said(err))
	case "SignatureDoesNotMatch":
		return fmt.Errorf("the secret is not the access key's: correct AWS_SECRET_ACCESS_KEY: %w", said(err))
	case "ExpiredToken", "InvalidToken":
		return fmt.Errorf("the session token is no longer good: renew AWS_SESSION_TOKEN and its keys: %w", said(err))
	case "RequestTimeTooSkewed":
		return fmt.Errorf("this machine's clock differs from the service's: set up time synchronisation: %w", said(err))
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return fmt.Errorf("the bucket %s is not in region %s: set region=… in IMAGIFY_STORAGE_URL to its own: %w", s.bucket, region, said(err))
	}
	switch status(err) {
	case http.StatusForbidden, http.StatusUnauthorized:
		return fmt.Errorf("the credentials may not list the bucket %s: grant s3:ListBucket on it: %w", s.bucket, said(err))
	case http.StatusMovedPermanently, http.StatusBadRequest:
		return fmt.Errorf("the bucket %s does not answer in region %s: set region=… in IMAGIFY_STORAGE_URL to its own: %w", s.bucket, region, said(err))
	}
	return fmt.Errorf("the bucket %s does not answer: check the endpoint in IMAGIFY_STORAGE_URL, that the service runs, and the network: %w", s.bucket, said(err))
}

// said is what the service or the network said, without the SDK's words around it, and
// those for the public.
func said(err error) error {
	var coded *domain.Error
	if errors.As(err, &coded) && coded.Err != nil {
		err = coded.Err
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("it answers %s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	var network net.Error
	if errors.As(err, &network) {
		return network
	}
	return err
}

// Doctor reports whether the bucket does all that imagify needs and is private, and
// if not, what to do about it. It puts small objects and deletes them again. Its
// errors are for the operator: they name the bucket.
func (s *Store) Doctor(ctx context.Context) error {
	if err := s.checkBucket(ctx); err != nil {
		return err
	}
	d := doctor{Store: s, key: "doctor-" + strings.ToLower(rand.Text())}
	if err := d.put(ctx, d.key); err != nil {
		return fmt.Errorf("objects cannot be put into the bucket %s: grant s3:PutObject (and, with a KMS key, kms:GenerateDataKey): %w", s.bucket, said(err))
	}
	var err error
	for _, try := range []func(context.Context) error{d.read, d.readRange, d.condition, d.checksum, d.move, d.list, d.anonymous} {
		if err = try(ctx); err != nil {
			break
		}
	}
	if derr := s.Delete(ctx, d.key, d.second()); derr != nil {
		err = errors.Join(err, fmt.Errorf("objects cannot be deleted from the bucket %s (%s is left there): grant s3:DeleteObject: %w", s.bucket, s.prefix+d.key, said(derr)))
	}
	if _, lerr := s.SweepPartial(ctx, time.Unix(0, 0), true); lerr != nil {
		err = errors.Join(err, fmt.Errorf("unfinished uploads of the bucket %s cannot be listed: grant s3:ListBucketMultipartUploads: %w", s.bucket, said(lerr)))
	}
	return err
}

// doctor tries one thing after the other on an object whose bytes are its key.
type doctor struct {
	*Store
	key string
}

// second is the key of a second object.
func (d doctor) second() string { return d.key + "-2" }

func (d doctor) put(ctx context.Context, text string) error {
	return d.Put(ctx, d.key, strings.NewReader(text), ports.PutOptions{Size: int64(len(text)), IfAbsent: true})
}

// wantText requires that a blob's bytes are the doctor's.
func (d doctor) wantText(ctx context.Context, key string) error {
	blob, err := d.Open(ctx, key)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(blob.Body)
	_ = blob.Body.Close() // it was read to its end
	if err == nil && string(text) != d.key {
		err = errors.New("it gives other bytes than were put")
	}
	return err
}

func (d doctor) read(ctx context.Context) error {
	if err := d.wantText(ctx, d.key); err != nil {
		return fmt.Errorf("objects of the bucket %s cannot be read: grant s3:GetObject (and, with a KMS key, kms:Decrypt): %w", d.bucket, said(err))
	}
	return nil
}

func (d doctor) readRange(ctx context.Context) error {
	const from, to = 2, 6
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	out, err := d.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.bucket, Key: d.object(d.key), Range: aws.String(fmt.Sprintf("bytes=%d-%d", from, to-1))})
	if err != nil {
		return fmt.Errorf("parts of objects of the bucket %s cannot be read: %w", d.bucket, said(err))
	}
	text, err := io.ReadAll(io.LimitReader(out.Body, int64(len(d.key))))
	_ = out.Body.Close() // of no use any more
	if err != nil || string(text) != d.key[from:to] {
		return errors.Join(fmt.Errorf("the service of the bucket %s ignores Range, so that a part of a large picture costs all of it: use one that honours it, or let the proxy before it pass the header on", d.bucket), err)
	}
	return nil
}

func (d doctor) condition(ctx context.Context) error {
	switch err := d.put(ctx, "another"); {
	case err == nil:
		return fmt.Errorf("the service of the bucket %s ignores If-None-Match, so that one node may overwrite what another put: use one that honours it", d.bucket)
	case domain.CodeOf(err) != domain.Conflict:
		return fmt.Errorf("the bucket %s does not take conditional writes: %w", d.bucket, said(err))
	}
	return nil
}

// checksum puts an object with a wrong checksum, which must be refused.
func (d doctor) checksum(ctx context.Context) error {
	_, err := within(ctx, d.timeout, d.client.PutObject, &s3.PutObjectInput{
		Bucket: &d.bucket, Key: d.object(d.second()), Body: strings.NewReader(d.key), ChecksumCRC32: aws.String("AAAAAA=="),
	}, nil)
	if err == nil {
		return fmt.Errorf("the service of the bucket %s does not compare checksums (x-amz-checksum-crc32), so that it stores what was damaged on the way: use one that does", d.bucket)
	}
	if status(err) != http.StatusBadRequest {
		return fmt.Errorf("whether the bucket %s compares checksums cannot be told: %w", d.bucket, said(err))
	}
	return nil
}

func (d doctor) move(ctx context.Context) error {
	source, err := d.head(ctx, d.key)
	if err == nil {
		err = d.copy(ctx, source, d.key, d.second())
	}
	if err == nil {
		err = d.wantText(ctx, d.second())
	}
	if err != nil {
		return fmt.Errorf("objects of the bucket %s cannot be copied within it: %w", d.bucket, said(err))
	}
	return nil
}

func (d doctor) list(ctx context.Context) error {
	switch list, err := d.List(ctx, d.key, "", 2); {
	case err != nil:
		return fmt.Errorf("objects of the bucket %s cannot be listed: grant s3:ListBucket: %w", d.bucket, said(err))
	case len(list) != 2:
		return fmt.Errorf("the bucket %s does not list what was put: use a service that does at once", d.bucket)
	}
	return nil
}

// anonymous asks without a signature.
func (d doctor) anonymous(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	out, err := d.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.bucket, Key: d.object(d.key)}, func(o *s3.Options) { o.Credentials = nil })
	if err == nil {
		_ = out.Body.Close() // not wanted
		return fmt.Errorf("the bucket %s gives objects to everybody: block public access and remove its public policy or ACL", d.bucket)
	}
	if code := status(err); code != http.StatusForbidden && code != http.StatusUnauthorized {
		return fmt.Errorf("whether the bucket %s gives objects to everybody cannot be told: %w", d.bucket, said(err))
	}
	return nil
}

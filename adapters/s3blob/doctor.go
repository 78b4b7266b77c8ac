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
// if not, what to do about it. It puts one small object and deletes it again. Its
// errors are for the operator: they name the bucket.
func (s *Store) Doctor(ctx context.Context) error {
	if err := s.checkBucket(ctx); err != nil {
		return err
	}
	key := "doctor-" + strings.ToLower(rand.Text())
	object := s.prefix + key
	put := func(text string) error {
		return s.Put(ctx, key, strings.NewReader(text), ports.PutOptions{Size: int64(len(text)), IfAbsent: true})
	}
	if err := put(key); err != nil {
		return fmt.Errorf("objects cannot be put into the bucket %s: grant s3:PutObject (and, with a KMS key, kms:GenerateDataKey): %w", s.bucket, said(err))
	}
	err := s.tryObject(ctx, key, put)
	if derr := s.Delete(ctx, key); derr != nil {
		err = errors.Join(err, fmt.Errorf("objects cannot be deleted from the bucket %s (%s is left there): grant s3:DeleteObject: %w", s.bucket, object, said(derr)))
	}
	if _, lerr := s.SweepPartial(ctx, time.Unix(0, 0), true); lerr != nil {
		err = errors.Join(err, fmt.Errorf("unfinished uploads of the bucket %s cannot be listed: grant s3:ListBucketMultipartUploads: %w", s.bucket, said(lerr)))
	}
	return err
}

func (s *Store) tryObject(ctx context.Context, key string, put func(text string) error) error {
	blob, err := s.Open(ctx, key)
	if err == nil {
		var text []byte
		text, err = io.ReadAll(blob.Body)
		_ = blob.Body.Close() // it was read to its end
		if err == nil && string(text) != key {
			err = errors.New("it gives other bytes than were put")
		}
	}
	if err != nil {
		return fmt.Errorf("objects of the bucket %s cannot be read: grant s3:GetObject (and, with a KMS key, kms:Decrypt): %w", s.bucket, said(err))
	}
	if err := put("another"); err == nil {
		return fmt.Errorf("the service of the bucket %s ignores If-None-Match, so that one node may overwrite what another put: use one that honours it", s.bucket)
	} else if domain.CodeOf(err) != domain.Conflict {
		return fmt.Errorf("the bucket %s does not take conditional writes: %w", s.bucket, said(err))
	}
	switch list, err := s.List(ctx, key, "", 1); {
	case err != nil:
		return fmt.Errorf("objects of the bucket %s cannot be listed: grant s3:ListBucket: %w", s.bucket, said(err))
	case len(list) != 1:
		return fmt.Errorf("the bucket %s does not list what was put: use a service that does at once", s.bucket)
	}
	out, err := within(ctx, s.timeout, s.client.GetObject, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.object(key)},
		[]func(*s3.Options){func(o *s3.Options) { o.Credentials = nil }}) // unsigned
	if err == nil {
		_ = out.Body.Close() // not wanted
		return fmt.Errorf("the bucket %s gives objects to everybody: block public access and remove its public policy or ACL", s.bucket)
	}
	if code := status(err); code != http.StatusForbidden && code != http.StatusUnauthorized {
		return fmt.Errorf("whether the bucket %s gives objects to everybody cannot be told: %w", s.bucket, said(err))
	}
	return nil
}

package s3blob

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// pageSize is how many objects S3 lists, or removes, at once.
const pageSize = 1000

// Delete implements ports.Blobs.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(ctx, key); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(keys, pageSize) {
		objects := make([]types.ObjectIdentifier, len(batch))
		for i, key := range batch {
			objects[i].Key = s.object(key)
		}
		out, err := within(ctx, s.timeout, s.client.DeleteObjects, &s3.DeleteObjectsInput{
			Bucket: &s.bucket, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
		}, nil)
		if err != nil {
			return fail(ctx, err)
		}
		for _, e := range out.Errors {
			if code := aws.ToString(e.Code); code != "NoSuchKey" {
				return fail(ctx, fmt.Errorf("%d of %d objects were not deleted, the first because of %s: %s", len(out.Errors), len(batch), code, aws.ToString(e.Message)))
			}
		}
	}
	return nil
}

// SweepPartial implements ports.BlobSweeper: it aborts multipart uploads. A Put
// whose upload is aborted under it fails.
func (s *Store) SweepPartial(ctx context.Context, before time.Time, dryRun bool) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	n := 0
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &s.prefix}
	for {
		out, err := within(ctx, s.timeout, s.client.ListMultipartUploads, in, nil)
		if err != nil {
			return n, fail(ctx, err)
		}
		for _, u := range out.Uploads {
			if _, ours := s.key(aws.ToString(u.Key)); !ours || !aws.ToTime(u.Initiated).Before(before) {
				continue
			}
			if !dryRun {
				_, err := within(ctx, s.timeout, s.client.AbortMultipartUpload, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: u.Key, UploadId: u.UploadId}, nil)
				if apiCode(err) == "NoSuchUpload" {
					continue // finished meanwhile
				}
				if err != nil {
					return n, fail(ctx, err)
				}
			}
			n++
		}
		if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
			return n, nil
		}
		if aws.ToString(out.NextKeyMarker) == aws.ToString(in.KeyMarker) && aws.ToString(out.NextUploadIdMarker) == aws.ToString(in.UploadIdMarker) {
			return n, fail(ctx, fmt.Errorf("the service's list of unfinished uploads does not go on after %q", *in.KeyMarker))
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}

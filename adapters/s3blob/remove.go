package s3blob

import (
	"context"
	"errors"
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
			Bucket: &s.bucket, Delete: &types.Delete{Objects: objects},
		}, nil)
		if err != nil {
			return fail(ctx, err)
		}
		if err := allDeleted(objects, out); err != nil {
			return fail(ctx, err)
		}
	}
	return nil
}

// allDeleted returns nil when the answer names each object as deleted or missing.
func allDeleted(objects []types.ObjectIdentifier, out *s3.DeleteObjectsOutput) error {
	gone := make(map[string]bool, len(objects))
	for _, d := range out.Deleted {
		gone[aws.ToString(d.Key)] = true
	}
	for _, e := range out.Errors {
		if code := aws.ToString(e.Code); code != "NoSuchKey" {
			return fmt.Errorf("%d of %d objects were not deleted, the first because of %s: %s", len(out.Errors), len(objects), code, aws.ToString(e.Message))
		}
		gone[aws.ToString(e.Key)] = true
	}
	for _, o := range objects {
		if !gone[*o.Key] {
			return fmt.Errorf("the answer to the deletion of %d objects does not name each of them", len(objects))
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
		if aws.ToString(out.Bucket) != s.bucket {
			return n, fail(ctx, errors.New("the answer is no listing of the bucket's uploads"))
		}
		for _, u := range out.Uploads {
			_, ours := s.key(aws.ToString(u.Key))
			if !ours || u.Initiated == nil || aws.ToString(u.UploadId) == "" || !u.Initiated.Before(before) {
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
		if !aws.ToBool(out.IsTruncated) {
			return n, nil
		}
		if aws.ToString(out.NextKeyMarker) == aws.ToString(in.KeyMarker) && aws.ToString(out.NextUploadIdMarker) == aws.ToString(in.UploadIdMarker) ||
			aws.ToString(out.NextKeyMarker) < aws.ToString(in.KeyMarker) {
			return n, fail(ctx, errors.New("the listing of unfinished uploads does not advance"))
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}

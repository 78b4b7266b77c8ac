package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxEmpty bounds the pages in a row that list nothing and say that more follows.
const maxEmpty = 100

// List implements ports.Blobs. Objects that are no blobs are passed over.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	if limit < 1 {
		return nil, domain.InvalidField("limit", "range", "at least 1")
	}
	if err := ended(ctx); err != nil {
		return nil, err
	}
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + s.begin(prefix))}
	if after != "" {
		in.StartAfter = s.object(after)
	}
	var list []ports.BlobInfo
	for empty, last := 0, ""; ; {
		in.MaxKeys = aws.Int32(int32(min(limit-len(list), pageSize)))
		page, err := s.page(ctx, in)
		if err != nil {
			return nil, fail(ctx, err)
		}
		for _, o := range page.Contents {
			name := aws.ToString(o.Key)
			key, ok := s.key(name)
			if !ok || key <= after || !strings.HasPrefix(key, prefix) || len(list) == limit {
				continue
			}
			if o.Size == nil || o.LastModified == nil {
				return nil, fail(ctx, fmt.Errorf("the listing gives no size or no time of %q", name))
			}
			if len(list) > 0 && key <= list[len(list)-1].Key {
				return nil, fail(ctx, fmt.Errorf("the listing repeats itself or is out of order at %q", name))
			}
			list = append(list, ports.BlobInfo{Key: key, Size: *o.Size, ModTime: o.LastModified.UTC()})
		}
		if len(list) == limit || !aws.ToBool(page.IsTruncated) {
			return list, nil
		}
		// The end of a page lies behind that of the page before, or this has no end.
		switch n := len(page.Contents); {
		case aws.ToString(page.NextContinuationToken) == "":
			return nil, fail(ctx, errors.New("the listing says that more follows, and not where"))
		case n == 0 && empty == maxEmpty:
			return nil, fail(ctx, fmt.Errorf("the listing gives %d empty pages in a row", maxEmpty))
		case n == 0:
			empty++
		case aws.ToString(page.Contents[n-1].Key) <= last:
			return nil, fail(ctx, errors.New("the listing does not advance"))
		default:
			empty, last = 0, aws.ToString(page.Contents[n-1].Key)
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}

// page asks for one page. Its keys are decoded: others may have put objects whose
// names XML 1.0 cannot hold.
func (s *Store) page(ctx context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	in.EncodingType = types.EncodingTypeUrl
	page, err := within(ctx, s.timeout, s.client.ListObjectsV2, in, nil)
	if err != nil {
		return nil, err
	}
	if aws.ToString(page.Name) != s.bucket || page.IsTruncated == nil {
		return nil, errors.New("the answer is no listing of the bucket")
	}
	if page.EncodingType != types.EncodingTypeUrl {
		return page, nil
	}
	for i := range page.Contents {
		name, err := url.QueryUnescape(aws.ToString(page.Contents[i].Key))
		if err != nil {
			return nil, fmt.Errorf("the listing has a key that is not encoded as it says: %w", err)
		}
		page.Contents[i].Key = &name
	}
	return page, nil
}

package s3blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
	var list []ports.BlobInfo
	for o, err := range s.objects(ctx, prefix, after, func() int { return limit - len(list) }) {
		if err != nil {
			return nil, err
		}
		if key, ok := s.key(aws.ToString(o.Key)); ok && key > after && strings.HasPrefix(key, prefix) {
			list = append(list, info(key, o))
		}
		if len(list) == limit {
			break
		}
	}
	return list, nil
}

// Walk implements ports.BlobWalker: page by page, a thousand objects at once.
func (s *Store) Walk(ctx context.Context, prefix, after string, foreign func(name string)) iter.Seq2[ports.BlobInfo, error] {
	return func(yield func(ports.BlobInfo, error) bool) {
		for o, err := range s.objects(ctx, prefix, after, func() int { return pageSize }) {
			if err != nil {
				yield(ports.BlobInfo{}, err)
				return
			}
			key, ok := s.key(aws.ToString(o.Key))
			switch {
			case !ok && foreign != nil:
				foreign(aws.ToString(o.Key))
			case ok && key > after && strings.HasPrefix(key, prefix):
				if !yield(info(key, o), nil) {
					return
				}
			}
		}
	}
}

func info(key string, o types.Object) ports.BlobInfo {
	return ports.BlobInfo{Key: key, Size: *o.Size, ModTime: o.LastModified.UTC()}
}

// objects gives the objects whose names begin as those of the prefix's keys do, after
// a key's own; want is how many are still asked for. It ends: a page whose objects are
// not behind the page before, or that names the same continuation, is an error.
func (s *Store) objects(ctx context.Context, prefix, after string, want func() int) iter.Seq2[types.Object, error] {
	return func(yield func(types.Object, error) bool) {
		if err := ended(ctx); err != nil {
			yield(types.Object{}, err)
			return
		}
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + s.begin(prefix))}
		if after != "" {
			in.StartAfter = s.object(after)
		}
		last, empty := aws.ToString(in.StartAfter), 0
		for {
			in.MaxKeys = aws.Int32(int32(min(want(), pageSize)))
			out, err := s.page(ctx, in)
			if err != nil {
				yield(types.Object{}, fail(ctx, err))
				return
			}
			for _, o := range out.Contents {
				name := aws.ToString(o.Key)
				if name <= last {
					yield(types.Object{}, fail(ctx, fmt.Errorf("the service's listing repeats itself or is out of order: %q follows %q", name, last)))
					return
				}
				last = name
				if !yield(o, nil) {
					return
				}
			}
			if !*out.IsTruncated {
				return
			}
			if empty++; len(out.Contents) > 0 {
				empty = 0
			}
			if next := aws.ToString(out.NextContinuationToken); next == "" || next == aws.ToString(in.ContinuationToken) || empty > maxEmpty {
				yield(types.Object{}, fail(ctx, fmt.Errorf("the service's listing does not go on after %q", last)))
				return
			}
			in.ContinuationToken = out.NextContinuationToken
		}
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
	for i, o := range page.Contents {
		if o.Key == nil || o.Size == nil || o.LastModified == nil {
			return nil, errors.New("the listing has an object without its key, size or time")
		}
		if page.EncodingType != types.EncodingTypeUrl {
			continue
		}
		name, err := url.QueryUnescape(*o.Key)
		if err != nil {
			return nil, fmt.Errorf("the listing has a key that is not encoded as it says: %w", err)
		}
		page.Contents[i].Key = &name
	}
	return page, nil
}

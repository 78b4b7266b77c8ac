// Package storedresize is what every ports.StoredResizer does at its far end: to
// read from a ports.Blobs, to make the thumbnails by a ports.Resizer, to put them.
package storedresize

import (
	"bytes"
	"context"
	"errors"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Run does a job; it is ports.StoredResizer's ResizeStored.
func Run(ctx context.Context, blobs ports.Blobs, resizer ports.Resizer, job ports.StoredJob) error {
	if err := job.Check(); err != nil {
		return err
	}
	if own := resizer.Pipeline(); job.Pipeline != own {
		return domain.Errorf(domain.Conflict, "the job is for the pipeline %q, this is %q: deploy the same release at both ends", job.Pipeline, own)
	}
	src, err := blobs.Open(ctx, job.Source)
	if err != nil {
		return err
	}
	defer src.Body.Close()
	if src.Size != job.Size {
		return domain.Errorf(domain.Unavailable, "the stored original has %d bytes, the job says %d", src.Size, job.Size)
	}
	heights := make([]int, len(job.Thumbnails))
	for i, t := range job.Thumbnails {
		heights[i] = t.Height
	}
	made, err := resizer.Resize(ctx, src.Body, ports.ResizeRequest{Heights: heights})
	if err != nil {
		return err
	}
	for i, t := range made {
		err := blobs.Put(ctx, job.Thumbnails[i].Key, bytes.NewReader(t.Data), ports.PutOptions{
			Size: int64(len(t.Data)), IfAbsent: true, ContentType: t.Format.ContentType(),
		})
		if err != nil && !errors.Is(err, domain.Conflict) {
			return err
		}
	}
	return nil
}

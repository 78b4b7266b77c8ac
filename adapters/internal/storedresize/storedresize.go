// Package storedresize is what every ports.RemoteResizer does at its far end: to
// read from a ports.Blobs, to make the thumbnails by a ports.Resizer, to put them.
package storedresize

import (
	"bytes"
	"context"
	"errors"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Run does a job; it is ports.RemoteResizer's ResizeRemote.
func Run(ctx context.Context, blobs ports.Blobs, resizer ports.Resizer, job ports.RemoteJob) error {
	if err := job.Check(); err != nil {
		return err
	}
	if own := resizer.Version(); job.Version != own {
		return domain.Errorf(domain.Conflict, "the job is for the version %q, this is %q: deploy the same release at both ends", job.Version, own)
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
	body := src.Body
	var checked *ports.CheckedBody
	if job.SHA256 != [32]byte{} {
		checked = ports.NewCheckedBody(src, job.SHA256)
		body = checked
	}
	made, err := resizer.Resize(ctx, body, ports.ResizeRequest{Heights: heights})
	if err == nil && checked != nil {
		err = checked.Finish()
	}
	if err != nil {
		return err
	}
	for i, t := range made {
		sealed := ports.Seal(job.Thumbnails[i].Key, t.Data)
		err := blobs.Put(ctx, job.Thumbnails[i].Key, bytes.NewReader(sealed), ports.PutOptions{
			Size: int64(len(sealed)), IfAbsent: true, ContentType: t.Format.ContentType(),
		})
		if err != nil && !errors.Is(err, domain.Conflict) {
			return err
		}
	}
	return nil
}

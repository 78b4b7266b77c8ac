package memory

import (
	"context"

	"github.com/imagify-api/imagify/adapters/internal/storedresize"
	"github.com/imagify-api/imagify/ports"
)

// StoredResizer is the ports.StoredResizer in this process, on any store and by any Resizer.
type StoredResizer struct {
	blobs   ports.Blobs
	resizer ports.Resizer
}

var _ ports.StoredResizer = (*StoredResizer)(nil)

// NewStoredResizer returns one on the store, by the resizer.
func NewStoredResizer(blobs ports.Blobs, resizer ports.Resizer) *StoredResizer {
	return &StoredResizer{blobs: blobs, resizer: resizer}
}

// ResizeStored implements ports.StoredResizer.
func (s *StoredResizer) ResizeStored(ctx context.Context, job ports.StoredJob) error {
	return storedresize.Run(ctx, s.blobs, s.resizer, job)
}

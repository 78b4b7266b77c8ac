package memory

import (
	"context"

	"github.com/imagify-api/imagify/adapters/internal/storedresize"
	"github.com/imagify-api/imagify/ports"
)

// RemoteResizer is the ports.RemoteResizer in this process, on any store and by any Resizer.
type RemoteResizer struct {
	blobs   ports.Blobs
	resizer ports.Resizer
}

var _ ports.RemoteResizer = (*RemoteResizer)(nil)

// NewRemoteResizer returns one on the store, by the resizer.
func NewRemoteResizer(blobs ports.Blobs, resizer ports.Resizer) *RemoteResizer {
	return &RemoteResizer{blobs: blobs, resizer: resizer}
}

// ResizeRemote implements ports.RemoteResizer.
func (s *RemoteResizer) ResizeRemote(ctx context.Context, job ports.RemoteJob) error {
	return storedresize.Run(ctx, s.blobs, s.resizer, job)
}

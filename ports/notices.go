package ports

import "context"

// Notices tells other nodes that the change feed has something new, so that
// they need not wait for their next poll. It is optional and may lose notices.
type Notices interface {
	// Publish tells every subscriber. It does not wait for them.
	Publish(ctx context.Context) error
	// Subscribe returns a channel that receives after a notice; several notices may
	// come as one. The channel is closed when ctx ends.
	Subscribe(ctx context.Context) (<-chan struct{}, error)
}

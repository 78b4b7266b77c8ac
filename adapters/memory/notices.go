package memory

import (
	"context"
	"sync"
)

// Notices is a ports.Notices within one process.
type Notices struct {
	mu   sync.Mutex
	subs map[chan struct{}]struct{}
}

// NewNotices returns a Notices without subscribers.
func NewNotices() *Notices { return &Notices{subs: map[chan struct{}]struct{}{}} }

// Publish tells every subscriber.
func (n *Notices) Publish(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.subs {
		select {
		case c <- struct{}{}:
		default: // one is waiting already
		}
	}
	return nil
}

// Subscribe returns a channel that receives after a notice and is closed when ctx ends.
func (n *Notices) Subscribe(ctx context.Context) (<-chan struct{}, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	c := make(chan struct{}, 1)
	n.mu.Lock()
	n.subs[c] = struct{}{}
	n.mu.Unlock()
	context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.subs, c)
		close(c)
	})
	return c, nil
}

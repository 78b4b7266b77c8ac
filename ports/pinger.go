package ports

import "context"

// Pinger is what an adapter may be beside its port: it tells cheaply whether its
// backend answers.
type Pinger interface {
	// Ping returns nil, or why the backend cannot be used now: domain.Unavailable.
	Ping(ctx context.Context) error
}

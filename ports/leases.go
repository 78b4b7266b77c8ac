package ports

import (
	"context"
	"time"
)

// Leases lets one node at a time do a thing, such as the sweep.
type Leases interface {
	// Acquire takes the lease for holder until the given time if it is free, has
	// lapsed before now, or is the holder's already (an extension), and reports
	// whether it did. Of any number of racers one gets it.
	Acquire(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
	// Release frees the lease if it is the holder's; else it does nothing.
	Release(ctx context.Context, name, holder string) error
}

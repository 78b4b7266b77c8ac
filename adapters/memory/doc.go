// Package memory has every port but the Resizer in memory. A process's end loses it all.
//
// It is for tests, which so need neither a database nor mocks, and its
// LinkCache, RateLimits and Notices are what a single node runs with where no
// Redis is configured: those are bounded, and forget as their comments say.
//
// Everything is copied in and copied out and safe for concurrent use. Errors
// carry a domain.Code; a context that has ended is domain.Unavailable.
package memory

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Options are those of every constructor that needs a clock. The zero value works.
type Options struct {
	// Now is the clock; nil stands for time.Now, whose monotonic reading LinkCache and RateLimits go by.
	Now func() time.Time
}

func (o Options) clock() func() time.Time {
	if o.Now == nil {
		return time.Now
	}
	return o.Now
}

// ended is the error of a context that has ended, else nil.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the request was cancelled or took too long; try again")
}

// stored is a time as it is kept: in UTC, without the monotonic reading.
func stored(t time.Time) time.Time { return t.UTC().Round(0) }

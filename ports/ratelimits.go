package ports

import (
	"context"
	"time"
)

// RateLimits counts requests by key.
type RateLimits interface {
	// Allow takes one request of the key if its rate permits and says what is
	// left. Never more than r.Burst requests pass at once, nor more than r.Burst +
	// r.Limit within any r.Per.
	Allow(ctx context.Context, key string, r Rate) (RateState, error)
	// Peek tells the state without taking a request.
	Peek(ctx context.Context, key string, r Rate) (RateState, error)
	// Reset forgets the key.
	Reset(ctx context.Context, key string) error
}

// Rate is Limit requests in each Per, at most Burst of them at once. All are positive.
type Rate struct {
	Limit int64
	Per   time.Duration
	Burst int64
}

// RateState is where a key stands.
type RateState struct {
	Allowed bool
	// Remaining is how many requests would pass at once now.
	Remaining int64
	// RetryAfter is when the next request may pass; zero if now.
	RetryAfter time.Duration
	// Reset is when all of Burst would be there again.
	Reset time.Duration
}

package backends

import (
	"context"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// sharedRates are rate limits that several nodes share. While what they share does not
// answer, each node counts for itself: limits are then as many times as generous as
// there are nodes, and signing in goes on.
type sharedRates struct {
	shared, own ports.RateLimits
}

// unavailable reports that an error is the backend's own, not the caller's.
func unavailable(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && domain.CodeOf(err) != domain.Invalid
}

// Allow implements ports.RateLimits.
func (r sharedRates) Allow(ctx context.Context, key string, rate ports.Rate) (ports.RateState, error) {
	s, err := r.shared.Allow(ctx, key, rate)
	if unavailable(ctx, err) {
		return r.own.Allow(ctx, key, rate)
	}
	return s, err
}

// Peek implements ports.RateLimits.
func (r sharedRates) Peek(ctx context.Context, key string, rate ports.Rate) (ports.RateState, error) {
	s, err := r.shared.Peek(ctx, key, rate)
	if unavailable(ctx, err) {
		return r.own.Peek(ctx, key, rate)
	}
	return s, err
}

// Reset implements ports.RateLimits. It forgets in both: what was counted here while the
// other did not answer would count again the next time.
func (r sharedRates) Reset(ctx context.Context, key string) error {
	err := r.shared.Reset(ctx, key)
	if own := r.own.Reset(ctx, key); own != nil || unavailable(ctx, err) {
		return own
	}
	return err
}

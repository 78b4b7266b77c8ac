package memory

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxRateKeys bounds how many keys RateLimits remembers. Beyond, it forgets
// those whose allowance is whole again; if that is not enough, it refuses new keys for a moment.
const maxRateKeys = 200_000

// RateLimits is a ports.RateLimits in memory, by the generic cell rate algorithm
// (GCRA): of each key only the theoretical arrival time of its next request is kept.
type RateLimits struct {
	now func() time.Time
	mu  sync.Mutex
	tat map[string]time.Time
	// swept is when full keys were last forgotten.
	swept time.Time
}

// NewRateLimits returns limits that no request has touched yet.
func NewRateLimits(o Options) *RateLimits {
	return &RateLimits{now: o.clock(), tat: map[string]time.Time{}}
}

// Allow takes one request of the key if its rate permits.
func (l *RateLimits) Allow(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
	return l.ask(ctx, key, r, true)
}

// Peek tells the state without taking a request.
func (l *RateLimits) Peek(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
	return l.ask(ctx, key, r, false)
}

// Reset forgets the key.
func (l *RateLimits) Reset(ctx context.Context, key string) error {
	if err := ended(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tat, key)
	return nil
}

func (l *RateLimits) ask(ctx context.Context, key string, r ports.Rate, take bool) (ports.RateState, error) {
	if err := ended(ctx); err != nil {
		return ports.RateState{}, err
	}
	if r.Limit < 1 || r.Per < 1 || r.Burst < 1 {
		return ports.RateState{}, domain.Errorf(domain.Invalid, "a rate needs a positive limit, time and burst")
	}
	// Rounded up, so that no more than Limit fit into Per.
	interval := (r.Per-1)/time.Duration(r.Limit) + 1
	if r.Burst > int64(math.MaxInt64/2/interval) {
		return ports.RateState{}, domain.Errorf(domain.Invalid, "a burst of %d at one request each %v takes longer to refill than time can be told", r.Burst, interval)
	}
	burst := time.Duration(r.Burst) * interval
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	tat := l.tat[key]
	if tat.Before(now) {
		tat = now
	}
	full := now.Add(burst) // a request passes while it would not carry tat beyond
	st := ports.RateState{Allowed: !tat.Add(interval).After(full)}
	if st.Allowed && take {
		if _, there := l.tat[key]; !there && len(l.tat) >= maxRateKeys && !l.makeRoom(now) {
			return ports.RateState{RetryAfter: time.Second, Reset: burst}, nil
		}
		tat = tat.Add(interval)
		l.tat[key] = tat
	}
	st.Remaining = max(int64(full.Sub(tat)/interval), 0)
	st.RetryAfter = max(tat.Add(interval).Sub(full), 0)
	st.Reset = tat.Sub(now)
	return st, nil
}

// makeRoom forgets keys whose allowance is whole, at most once a second.
func (l *RateLimits) makeRoom(now time.Time) bool {
	if now.Sub(l.swept) >= time.Second {
		l.swept = now
		for k, tat := range l.tat {
			if !tat.After(now) {
				delete(l.tat, k)
			}
		}
	}
	return len(l.tat) < maxRateKeys
}

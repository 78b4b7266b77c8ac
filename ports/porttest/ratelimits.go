package porttest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
)

// RateLimits is the suite of ports.RateLimits.
func RateLimits(t *testing.T, newRateLimits func(t *testing.T) ports.RateLimits) {
	t.Helper()
	run(t, "RateLimits", newRateLimits, []check[ports.RateLimits]{
		{"Burst", rateBurst},
		{"Peek", ratePeek},
		{"Reset", rateReset},
		{"KeysAreApart", rateKeys},
		{"OtherRate", rateOtherRate},
		{"RetryAfter", rateRetryAfter},
		{"RefusedTakesNothing", rateRefused},
		{"Racers", rateRacers},
		{"NeverMore", rateNeverMore},
		{"EndedContext", rateEnded},
	})
}

// slow refills one request in twelve minutes: none within a test.
var slow = ports.Rate{Limit: 5, Per: time.Hour, Burst: 4}

const slowStep = 12 * time.Minute

func allow(t *testing.T, l ports.RateLimits, key string, r ports.Rate) ports.RateState {
	t.Helper()
	s, err := l.Allow(t.Context(), key, r)
	require.NoError(t, err)
	return s
}

func peek(t *testing.T, l ports.RateLimits, key string, r ports.Rate) ports.RateState {
	t.Helper()
	s, err := l.Peek(t.Context(), key, r)
	require.NoError(t, err)
	return s
}

// wantRate requires the state of a slow key of which taken requests have passed.
// Its times shrink as the test goes on; no test takes a minute.
func wantRate(t *testing.T, s ports.RateState, allowed bool, taken int64) {
	t.Helper()
	require.Equal(t, allowed, s.Allowed)
	require.Equal(t, slow.Burst-taken, s.Remaining)
	between := func(what string, high, got time.Duration) {
		t.Helper()
		require.LessOrEqual(t, got, high, what)
		require.Greater(t, got, max(high-time.Minute, -1), what)
	}
	between("Reset is when all of Burst is there again", time.Duration(taken)*slowStep, s.Reset)
	if taken < slow.Burst {
		require.Zero(t, s.RetryAfter, "the next may pass now")
	} else {
		between("RetryAfter is when the next may pass", slowStep, s.RetryAfter)
	}
}

func rateBurst(t *testing.T, l ports.RateLimits) {
	for i := range slow.Burst {
		wantRate(t, allow(t, l, "k", slow), true, i+1)
	}
	for range 3 {
		wantRate(t, allow(t, l, "k", slow), false, slow.Burst)
	}
	// One at once.
	one := ports.Rate{Limit: 1000, Per: 1000 * time.Hour, Burst: 1}
	require.True(t, allow(t, l, "one", one).Allowed)
	require.False(t, allow(t, l, "one", one).Allowed)
	// More at once than in all of Per.
	many := ports.Rate{Limit: 1, Per: 24 * time.Hour, Burst: 300}
	for range many.Burst {
		require.True(t, allow(t, l, "many", many).Allowed)
	}
	s := allow(t, l, "many", many)
	require.False(t, s.Allowed)
	require.Greater(t, s.Reset, 299*24*time.Hour)
}

func ratePeek(t *testing.T, l ports.RateLimits) {
	for i := range slow.Burst {
		for range 10 {
			wantRate(t, peek(t, l, "k", slow), true, i)
		}
		wantRate(t, allow(t, l, "k", slow), true, i+1)
	}
	for range 10 {
		wantRate(t, peek(t, l, "k", slow), false, slow.Burst)
	}
	wantRate(t, allow(t, l, "k", slow), false, slow.Burst)
}

func rateReset(t *testing.T, l ports.RateLimits) {
	require.NoError(t, l.Reset(t.Context(), "k"), "an unknown key is no error")
	for range slow.Burst + 1 {
		allow(t, l, "k", slow)
		allow(t, l, "other", slow)
	}
	require.NoError(t, l.Reset(t.Context(), "k"))
	wantRate(t, peek(t, l, "k", slow), true, 0)
	wantRate(t, peek(t, l, "other", slow), false, slow.Burst)
	wantRate(t, allow(t, l, "k", slow), true, 1)
}

func rateKeys(t *testing.T, l ports.RateLimits) {
	for _, key := range []string{"k", "K", "k ", "login:anna@example.org:2001:db8::1", "{k}", "k*", "🖼", "", "a\x00b"} {
		wantRate(t, allow(t, l, key, slow), true, 1)
	}
	wantRate(t, peek(t, l, "k", slow), true, 1)
}

// rateOtherRate asks for a key by another rate than before, as after a change of tier.
func rateOtherRate(t *testing.T, l ports.RateLimits) {
	for range slow.Burst {
		require.True(t, allow(t, l, "k", slow).Allowed)
	}
	less := slow
	less.Burst = 2
	s := allow(t, l, "k", less)
	require.False(t, s.Allowed)
	require.Zero(t, s.Remaining, "never below nothing")
	require.Positive(t, s.RetryAfter)
}

// rateRetryAfter waits as long as it is told, and no refused request may be told to wait for nothing.
func rateRetryAfter(t *testing.T, l ports.RateLimits) {
	for _, r := range []ports.Rate{{Limit: 20, Per: time.Second, Burst: 1}, {Limit: 1, Per: 60 * time.Millisecond, Burst: 2}, {Limit: 3, Per: 100 * time.Millisecond, Burst: 3}} {
		key := r.Per.String()
		step := r.Per / time.Duration(r.Limit)
		for round := range 4 {
			var s ports.RateState
			for range 1000 { // what is left of the burst
				if s = allow(t, l, key, r); !s.Allowed {
					break
				}
			}
			require.Falsef(t, s.Allowed, "round %d", round)
			require.Positive(t, s.RetryAfter)
			require.LessOrEqual(t, s.RetryAfter, step+time.Millisecond, "longer than it takes to refill one")
			require.LessOrEqual(t, s.Reset, time.Duration(r.Burst)*step+time.Duration(r.Burst)*time.Millisecond)
			time.Sleep(s.RetryAfter + time.Millisecond)
			require.True(t, peek(t, l, key, r).Allowed, "after RetryAfter")
			require.True(t, allow(t, l, key, r).Allowed, "after RetryAfter")
		}
		time.Sleep(peek(t, l, key, r).Reset + time.Millisecond)
		s := peek(t, l, key, r)
		require.Equal(t, r.Burst, s.Remaining, "after Reset")
		require.Zero(t, s.Reset)
		require.Zero(t, s.RetryAfter)
	}
}

func rateRefused(t *testing.T, l ports.RateLimits) {
	r := ports.Rate{Limit: 1, Per: 100 * time.Millisecond, Burst: 1}
	require.True(t, allow(t, l, "k", r).Allowed)
	// Knocking without pause does not put off the next that may pass.
	deadline := time.Now().Add(patience)
	for !allow(t, l, "k", r).Allowed {
		require.True(t, time.Now().Before(deadline), "refused requests put off the next for ever")
	}
}

func rateRacers(t *testing.T, l ports.RateLimits) {
	r := ports.Rate{Limit: 1, Per: time.Hour, Burst: 25}
	var passed atomic.Int64
	errs := make([]error, racers)
	race(racers, func(i int) {
		for range 10 {
			s, err := l.Allow(t.Context(), "k", r)
			if s.Allowed {
				passed.Add(1)
			}
			errs[i] = errors.Join(errs[i], err)
		}
	})
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, r.Burst, passed.Load(), "never more than Burst at once, and not less")
}

// rateNeverMore has many callers knock for a while and counts what passes.
func rateNeverMore(t *testing.T, l ports.RateLimits) {
	r := ports.Rate{Limit: 7, Per: 100 * time.Millisecond, Burst: 5}
	var passed atomic.Int64
	errs := make([]error, racers)
	start := time.Now()
	race(racers, func(i int) {
		for time.Since(start) < 4*r.Per {
			s, err := l.Allow(t.Context(), "k", r)
			if s.Allowed {
				passed.Add(1)
			}
			errs[i] = errors.Join(errs[i], err)
			time.Sleep(time.Millisecond)
		}
	})
	took := time.Since(start)
	require.NoError(t, errors.Join(errs...))
	bound := r.Burst + int64(took*time.Duration(r.Limit)/r.Per) + 1
	require.LessOrEqual(t, passed.Load(), bound, "within %v", took)
	require.GreaterOrEqual(t, passed.Load(), r.Burst)
}

func rateEnded(t *testing.T, l ports.RateLimits) {
	for range slow.Burst - 1 {
		allow(t, l, "k", slow)
	}
	wantAllEnded(t, []call{
		{"Allow", func(ctx context.Context) error { _, err := l.Allow(ctx, "k", slow); return err }},
		{"Peek", func(ctx context.Context) error { _, err := l.Peek(ctx, "k", slow); return err }},
		{"Reset", func(ctx context.Context) error { return l.Reset(ctx, "k") }},
	})
	wantRate(t, peek(t, l, "k", slow), true, slow.Burst-1)
}

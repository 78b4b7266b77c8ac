package porttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// LinkCache is the suite of ports.LinkCache. The port may forget anything at any
// moment, but an adapter that does so at rest, with a handful of links, is of no use: it fails.
func LinkCache(t *testing.T, newLinkCache func(t *testing.T) ports.LinkCache) {
	t.Helper()
	run(t, "LinkCache", newLinkCache, []check[ports.LinkCache]{
		{"Remembers", lifeRemembers},
		{"PutRunsOut", lifeRunsOut},
		{"NoTimeLeft", lifeNoTimeLeft},
		{"DeadWins", lifeDeadWins},
		{"TombstoneRunsOut", lifeTombstoneRunsOut},
		{"MarkDeadRacers", lifeMarkDeadRacers},
		{"EndedContext", lifeEnded},
	})
}

// long is a time to live that no test outlives, short one that every test waits for.
const (
	long  = time.Hour
	short = 40 * time.Millisecond
)

func wantLife(t *testing.T, l ports.LinkCache, token domain.SecretHash, want ports.LinkStatus) {
	t.Helper()
	got, err := l.Get(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func lifeRemembers(t *testing.T, l ports.LinkCache) {
	var g ids
	alive, dead, none := g.hash(), g.hash(), g.hash()
	for _, token := range []domain.SecretHash{alive, dead, none, {}} {
		wantLife(t, l, token, ports.LinkUnknown)
	}
	for range 2 {
		require.NoError(t, l.Put(t.Context(), alive, 30000*time.Second))
		require.NoError(t, l.MarkDead(t.Context(), dead, 90*24*time.Hour))
		wantLife(t, l, alive, ports.LinkAlive)
		wantLife(t, l, dead, ports.LinkDead)
		wantLife(t, l, none, ports.LinkUnknown)
	}
}

func lifeRunsOut(t *testing.T, l ports.LinkCache) {
	var g ids
	token, renewed, stays := g.hash(), g.hash(), g.hash()
	require.NoError(t, l.Put(t.Context(), stays, long))
	require.NoError(t, l.Put(t.Context(), renewed, short))
	require.NoError(t, l.Put(t.Context(), renewed, long))
	require.NoError(t, l.Put(t.Context(), token, short))
	// The last look comes when the time has run out, however busy the machine is: a
	// loop that ends by the clock alone may have looked but once, at the beginning.
	for kept, over := time.Now(), false; !over; time.Sleep(time.Millisecond) {
		asked := time.Since(kept)
		over = asked > short+2*time.Millisecond // room for a clock that counts in milliseconds
		got, err := l.Get(t.Context(), token)
		require.NoError(t, err)
		if over {
			require.Equal(t, ports.LinkUnknown, got, "alive though its time has run out")
		}
		require.NotEqual(t, ports.LinkDead, got, "run out is not dead for good")
	}
	wantLife(t, l, stays, ports.LinkAlive)
	wantLife(t, l, renewed, ports.LinkAlive)
	// What ran out may be kept again.
	require.NoError(t, l.Put(t.Context(), token, long))
	wantLife(t, l, token, ports.LinkAlive)
}

// lifeNoTimeLeft keeps links that have no time, or less than any clock's grain:
// whether that is an error or not, they must not live for ever.
func lifeNoTimeLeft(t *testing.T, l ports.LinkCache) {
	var g ids
	for _, ttl := range []time.Duration{0, -1, -time.Hour, 1, 500 * time.Microsecond} {
		token := g.hash()
		err := l.Put(t.Context(), token, ttl)
		if ttl > 0 {
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Millisecond)
		wantLife(t, l, token, ports.LinkUnknown)

		// A tombstone without time forgets the link, if nothing more.
		require.NoError(t, l.Put(t.Context(), token, long))
		if err := l.MarkDead(t.Context(), token, ttl); err == nil || ttl > 0 {
			require.NoError(t, err)
			got, err := l.Get(t.Context(), token)
			require.NoError(t, err)
			require.NotEqual(t, ports.LinkAlive, got, "marked dead for %v", ttl)
		}
	}
}

func lifeDeadWins(t *testing.T, l ports.LinkCache) {
	var g ids
	token := g.hash()
	require.NoError(t, l.Put(t.Context(), token, long))
	require.NoError(t, l.MarkDead(t.Context(), token, long))
	wantLife(t, l, token, ports.LinkDead)
	for _, ttl := range []time.Duration{long, 2 * long, short} {
		require.NoError(t, l.Put(t.Context(), token, ttl), "a dead link stays dead; that is no error")
		wantLife(t, l, token, ports.LinkDead)
	}
	time.Sleep(2 * short)
	wantLife(t, l, token, ports.LinkDead)

	fresh := g.hash()
	require.NoError(t, l.MarkDead(t.Context(), fresh, long))
	require.NoError(t, l.Put(t.Context(), fresh, long))
	wantLife(t, l, fresh, ports.LinkDead)
	// A shorter tombstone does not shorten the first: it was promised for an hour.
	require.NoError(t, l.MarkDead(t.Context(), fresh, short))
	time.Sleep(2 * short)
	wantLife(t, l, fresh, ports.LinkDead)
}

func lifeTombstoneRunsOut(t *testing.T, l ports.LinkCache) {
	var g ids
	token := g.hash()
	require.NoError(t, l.Put(t.Context(), token, long))
	require.NoError(t, l.MarkDead(t.Context(), token, short))
	for start, over := time.Now(), false; !over; time.Sleep(time.Millisecond) {
		over = time.Since(start) > 3*short // and one look more, on a busy machine too
		got, err := l.Get(t.Context(), token)
		require.NoError(t, err)
		require.NotEqual(t, ports.LinkAlive, got, "what was marked dead never lives again")
	}
	// For at least its time it is known to be dead.
	token = g.hash()
	start := time.Now()
	require.NoError(t, l.MarkDead(t.Context(), token, 20*short))
	for {
		got, err := l.Get(t.Context(), token)
		require.NoError(t, err)
		if time.Since(start) >= 10*short {
			break
		}
		require.Equal(t, ports.LinkDead, got)
		time.Sleep(5 * time.Millisecond)
	}
}

// lifeMarkDeadRacers marks dead links while others keep them: once MarkDead has returned, no
// Get may say alive.
func lifeMarkDeadRacers(t *testing.T, l ports.LinkCache) {
	var g ids
	for range 20 {
		token := g.hash()
		errs := make([]error, racers)
		race(racers, func(i int) {
			for range 20 {
				if i == 0 {
					errs[i] = errors.Join(errs[i], l.MarkDead(t.Context(), token, long))
				} else {
					errs[i] = errors.Join(errs[i], l.Put(t.Context(), token, long))
				}
				if i == 0 {
					got, err := l.Get(t.Context(), token)
					if err == nil && got != ports.LinkDead {
						err = errors.New("not dead after MarkDead had returned")
					}
					errs[i] = errors.Join(errs[i], err)
				}
			}
		})
		require.NoError(t, errors.Join(errs...))
		wantLife(t, l, token, ports.LinkDead)
	}
}

func lifeEnded(t *testing.T, l ports.LinkCache) {
	var g ids
	alive, none := g.hash(), g.hash()
	require.NoError(t, l.Put(t.Context(), alive, long))
	wantAllEnded(t, []call{
		{"Get", func(ctx context.Context) error { _, err := l.Get(ctx, alive); return err }},
		{"Get unknown", func(ctx context.Context) error { _, err := l.Get(ctx, none); return err }},
		{"Put", func(ctx context.Context) error { return l.Put(ctx, none, long) }},
		{"MarkDead", func(ctx context.Context) error { return l.MarkDead(ctx, alive, long) }},
	})
	wantLife(t, l, alive, ports.LinkAlive)
	wantLife(t, l, none, ports.LinkUnknown)
}

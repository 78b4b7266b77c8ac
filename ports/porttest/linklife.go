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

// LinkLife is the suite of ports.LinkLife. The port may forget anything at any
// moment, but an adapter that does so at rest, with a handful of links, is of no use: it fails.
func LinkLife(t *testing.T, newLinkLife func(t *testing.T) ports.LinkLife) {
	t.Helper()
	run(t, "LinkLife", newLinkLife, []check[ports.LinkLife]{
		{"Remembers", lifeRemembers},
		{"KeepRunsOut", lifeRunsOut},
		{"NoTimeLeft", lifeNoTimeLeft},
		{"BuryWins", lifeBuryWins},
		{"BuryRunsOut", lifeBuryRunsOut},
		{"BuryRacers", lifeBuryRacers},
		{"EndedContext", lifeEnded},
	})
}

// long is a time to live that no test outlives, short one that every test waits for.
const (
	long  = time.Hour
	short = 40 * time.Millisecond
)

func wantLife(t *testing.T, l ports.LinkLife, token domain.SecretHash, want ports.Life) {
	t.Helper()
	got, err := l.Check(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func lifeRemembers(t *testing.T, l ports.LinkLife) {
	var g ids
	alive, dead, none := g.hash(), g.hash(), g.hash()
	for _, token := range []domain.SecretHash{alive, dead, none, {}} {
		wantLife(t, l, token, ports.LifeUnknown)
	}
	for range 2 {
		require.NoError(t, l.Keep(t.Context(), alive, 30000*time.Second))
		require.NoError(t, l.Bury(t.Context(), dead, 90*24*time.Hour))
		wantLife(t, l, alive, ports.LifeAlive)
		wantLife(t, l, dead, ports.LifeDead)
		wantLife(t, l, none, ports.LifeUnknown)
	}
}

func lifeRunsOut(t *testing.T, l ports.LinkLife) {
	var g ids
	token, renewed, stays := g.hash(), g.hash(), g.hash()
	require.NoError(t, l.Keep(t.Context(), stays, long))
	require.NoError(t, l.Keep(t.Context(), renewed, short))
	require.NoError(t, l.Keep(t.Context(), renewed, long))
	require.NoError(t, l.Keep(t.Context(), token, short))
	// The last look comes when the time has run out, however busy the machine is: a
	// loop that ends by the clock alone may have looked but once, at the beginning.
	for kept, over := time.Now(), false; !over; time.Sleep(time.Millisecond) {
		asked := time.Since(kept)
		over = asked > short+2*time.Millisecond // room for a clock that counts in milliseconds
		got, err := l.Check(t.Context(), token)
		require.NoError(t, err)
		if over {
			require.Equal(t, ports.LifeUnknown, got, "alive though its time has run out")
		}
		require.NotEqual(t, ports.LifeDead, got, "run out is not dead for good")
	}
	wantLife(t, l, stays, ports.LifeAlive)
	wantLife(t, l, renewed, ports.LifeAlive)
	// What ran out may be kept again.
	require.NoError(t, l.Keep(t.Context(), token, long))
	wantLife(t, l, token, ports.LifeAlive)
}

// lifeNoTimeLeft keeps links that have no time, or less than any clock's grain:
// whether that is an error or not, they must not live for ever.
func lifeNoTimeLeft(t *testing.T, l ports.LinkLife) {
	var g ids
	for _, ttl := range []time.Duration{0, -1, -time.Hour, 1, 500 * time.Microsecond} {
		token := g.hash()
		err := l.Keep(t.Context(), token, ttl)
		if ttl > 0 {
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Millisecond)
		wantLife(t, l, token, ports.LifeUnknown)

		// A burial without time forgets the link, if nothing more.
		require.NoError(t, l.Keep(t.Context(), token, long))
		if err := l.Bury(t.Context(), token, ttl); err == nil || ttl > 0 {
			require.NoError(t, err)
			got, err := l.Check(t.Context(), token)
			require.NoError(t, err)
			require.NotEqual(t, ports.LifeAlive, got, "buried for %v", ttl)
		}
	}
}

func lifeBuryWins(t *testing.T, l ports.LinkLife) {
	var g ids
	token := g.hash()
	require.NoError(t, l.Keep(t.Context(), token, long))
	require.NoError(t, l.Bury(t.Context(), token, long))
	wantLife(t, l, token, ports.LifeDead)
	for _, ttl := range []time.Duration{long, 2 * long, short} {
		require.NoError(t, l.Keep(t.Context(), token, ttl), "a buried link stays buried; that is no error")
		wantLife(t, l, token, ports.LifeDead)
	}
	time.Sleep(2 * short)
	wantLife(t, l, token, ports.LifeDead)

	fresh := g.hash()
	require.NoError(t, l.Bury(t.Context(), fresh, long))
	require.NoError(t, l.Keep(t.Context(), fresh, long))
	wantLife(t, l, fresh, ports.LifeDead)
	// A shorter burial does not shorten the first: it was promised for an hour.
	require.NoError(t, l.Bury(t.Context(), fresh, short))
	time.Sleep(2 * short)
	wantLife(t, l, fresh, ports.LifeDead)
}

func lifeBuryRunsOut(t *testing.T, l ports.LinkLife) {
	var g ids
	token := g.hash()
	require.NoError(t, l.Keep(t.Context(), token, long))
	require.NoError(t, l.Bury(t.Context(), token, short))
	for start, over := time.Now(), false; !over; time.Sleep(time.Millisecond) {
		over = time.Since(start) > 3*short // and one look more, on a busy machine too
		got, err := l.Check(t.Context(), token)
		require.NoError(t, err)
		require.NotEqual(t, ports.LifeAlive, got, "what was buried never lives again")
	}
	// For at least its time it is known to be dead.
	token = g.hash()
	start := time.Now()
	require.NoError(t, l.Bury(t.Context(), token, 20*short))
	for {
		got, err := l.Check(t.Context(), token)
		require.NoError(t, err)
		if time.Since(start) >= 10*short {
			break
		}
		require.Equal(t, ports.LifeDead, got)
		time.Sleep(5 * time.Millisecond)
	}
}

// lifeBuryRacers buries links while others keep them: once Bury has returned, no
// Check may say alive.
func lifeBuryRacers(t *testing.T, l ports.LinkLife) {
	var g ids
	for range 20 {
		token := g.hash()
		errs := make([]error, racers)
		race(racers, func(i int) {
			for range 20 {
				if i == 0 {
					errs[i] = errors.Join(errs[i], l.Bury(t.Context(), token, long))
				} else {
					errs[i] = errors.Join(errs[i], l.Keep(t.Context(), token, long))
				}
				if i == 0 {
					got, err := l.Check(t.Context(), token)
					if err == nil && got != ports.LifeDead {
						err = errors.New("not dead after Bury had returned")
					}
					errs[i] = errors.Join(errs[i], err)
				}
			}
		})
		require.NoError(t, errors.Join(errs...))
		wantLife(t, l, token, ports.LifeDead)
	}
}

func lifeEnded(t *testing.T, l ports.LinkLife) {
	var g ids
	alive, none := g.hash(), g.hash()
	require.NoError(t, l.Keep(t.Context(), alive, long))
	wantAllEnded(t, []call{
		{"Check", func(ctx context.Context) error { _, err := l.Check(ctx, alive); return err }},
		{"Check unknown", func(ctx context.Context) error { _, err := l.Check(ctx, none); return err }},
		{"Keep", func(ctx context.Context) error { return l.Keep(ctx, none, long) }},
		{"Bury", func(ctx context.Context) error { return l.Bury(ctx, alive, long) }},
	})
	wantLife(t, l, alive, ports.LifeAlive)
	wantLife(t, l, none, ports.LifeUnknown)
}

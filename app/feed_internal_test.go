package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
)

// script is a change feed whose entries a test adds.
type script struct {
	version atomic.Int64
	away    atomic.Bool
}

func (s *script) Since(_ context.Context, v int64) (ports.Feed, error) {
	if s.away.Load() {
		return ports.Feed{}, errors.New("away")
	}
	f := ports.Feed{Version: s.version.Load(), Now: time.Now()}
	for range f.Version - v {
		f.Entries = append(f.Entries, ports.Change{Kind: ports.TierChanged, Name: "x"})
	}
	return f, nil
}

func (*script) Forget(context.Context, time.Time) error { return nil }

func newTestFeed() (*feed, *script, *feedCache[int, int]) {
	s := &script{}
	f := newFeed(s, time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	c := newFeedCache(f, &otter.Options[int, int]{MaximumSize: 10})
	f.forget = func([]ports.Change, bool) { c.dropAll() }
	return f, s, c
}

func load(v int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return v, nil }
}

// A fill that began before a change is not kept after it.
func TestAFillThatBeganBeforeAChangeIsNotKept(t *testing.T) {
	ctx := context.Background()
	f, s, c := newTestFeed()
	require.NoError(t, f.sync(ctx))
	got, err := c.get(ctx, 1, func(context.Context) (int, error) {
		s.version.Add(1) // the change happens, and is heard of, while the old value is on its way
		require.NoError(t, f.sync(ctx))
		return 1, nil
	})
	require.NoError(t, err)
	assert.Equal(t, 1, got, "the request that began before may see it")
	got, err = c.get(ctx, 1, load(2))
	require.NoError(t, err)
	assert.Equal(t, 2, got, "the next one does not")
	got, err = c.get(ctx, 1, load(3))
	require.NoError(t, err)
	assert.Equal(t, 2, got, "and what is fresh is kept")
}

// A fill made of another cache's entry while that entry is being forgotten is
// not kept: an account is made of the tiers, and both go when a tier changes.
func TestAFillFromWhatIsBeingForgottenIsNotKept(t *testing.T) {
	ctx := context.Background()
	s := &script{}
	f := newFeed(s, time.Now, slog.New(slog.DiscardHandler))
	tiers := newFeedCache(f, &otter.Options[int, int]{MaximumSize: 10})
	accounts := newFeedCache(f, &otter.Options[int, int]{MaximumSize: 10})
	var truth atomic.Int64
	account := func(ctx context.Context) (int, error) {
		return tiers.get(ctx, 1, func(context.Context) (int, error) { return int(truth.Load()), nil })
	}
	during := func() {}
	f.forget = func([]ports.Change, bool) {
		accounts.dropAll()
		during()
		tiers.dropAll()
	}
	require.NoError(t, f.sync(ctx))
	got, err := accounts.get(ctx, 1, account)
	require.NoError(t, err)
	require.Equal(t, 0, got)

	filled := make(chan error, 1)
	during = func() {
		read := make(chan struct{})
		go func() {
			_, err := accounts.get(ctx, 1, func(ctx context.Context) (int, error) {
				defer close(read)
				return account(ctx)
			})
			filled <- err
		}()
		<-read // the old tier was read; the fill is about to be kept
		time.Sleep(20 * time.Millisecond)
	}
	truth.Store(1)
	s.version.Add(1)
	require.NoError(t, f.sync(ctx))
	require.NoError(t, <-filled)
	got, err = accounts.get(ctx, 1, account)
	require.NoError(t, err)
	assert.Equal(t, 1, got, "the account is of the new tier")
}

// After a poll that failed nothing cached counts until one succeeds: what it
// would have told may be a change of one's own.
func TestAFailedPollVouchesForNothing(t *testing.T) {
	ctx := context.Background()
	f, s, c := newTestFeed()
	require.NoError(t, f.sync(ctx))
	_, err := c.get(ctx, 1, load(1))
	require.NoError(t, err)
	s.version.Add(1)
	s.away.Store(true)
	require.Error(t, f.sync(ctx))
	assert.False(t, f.fresh())
	got, err := c.get(ctx, 1, load(2))
	require.NoError(t, err)
	assert.Equal(t, 2, got)
	s.away.Store(false)
	require.NoError(t, f.sync(ctx))
	got, err = c.get(ctx, 1, load(3))
	require.NoError(t, err)
	assert.Equal(t, 3, got, "what was kept before the failure is forgotten")
}

// What is cached counts only while the last good poll began less than 2 s ago:
// a paused process trusts nothing, though no poll has failed.
func TestAnOldPollVouchesForNothing(t *testing.T) {
	ctx := context.Background()
	f, _, c := newTestFeed()
	got, err := c.get(ctx, 1, load(1))
	require.NoError(t, err)
	assert.Equal(t, 1, got)
	got, err = c.get(ctx, 1, load(2))
	require.NoError(t, err)
	assert.Equal(t, 2, got, "no poll yet: nothing counts")
	require.NoError(t, f.sync(ctx))
	_, err = c.get(ctx, 1, load(3))
	require.NoError(t, err)
	got, err = c.get(ctx, 1, load(4))
	require.NoError(t, err)
	assert.Equal(t, 3, got)
	for _, age := range []time.Duration{feedLease, time.Hour} {
		old := time.Now().Add(-age)
		f.began.Store(&old)
		assert.False(t, f.fresh())
	}
	// A machine that slept: the monotonic clock stood still, the wall clock did not.
	began := time.Now()
	slept := began.Round(0).Add(-time.Hour)
	f.began.Store(&slept)
	assert.False(t, f.fresh())
	ahead := began.Round(0).Add(time.Hour)
	f.began.Store(&ahead)
	assert.False(t, f.fresh(), "nor a clock that was set back")
}

package app

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
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
	version     atomic.Int64
	unavailable atomic.Bool
	lost        atomic.Bool
	now         atomic.Pointer[time.Time]
	mark        atomic.Pointer[time.Time]
	raised      atomic.Int64
	shared      bool
	answer      func() // called before an answer
}

func (s *script) Since(_ context.Context, c ports.Cursor) (ports.Feed, error) {
	if s.answer != nil {
		s.answer()
	}
	if s.unavailable.Load() {
		return ports.Feed{}, errors.New("unavailable")
	}
	version := s.version.Load()
	f := ports.Feed{Cursor: ports.Cursor(strconv.FormatInt(version, 10)), Now: time.Now(), Shared: s.shared, Lost: s.lost.Load()}
	if now := s.now.Load(); now != nil {
		f.Now = *now
	}
	if mark := s.mark.Load(); mark != nil {
		f.Mark = *mark
	}
	seen, _ := strconv.ParseInt(string(c), 10, 64)
	for range version - seen {
		f.Entries = append(f.Entries, ports.Change{Kind: ports.TierChanged, Name: "x"})
	}
	return f, nil
}

func (*script) Forget(context.Context, time.Time) error { return nil }

func (s *script) Raise(_ context.Context, mark time.Time) error {
	s.mark.Store(&mark)
	s.raised.Add(1)
	return nil
}

func newTestFeed() (*feed, *script, *feedCache[int, int]) {
	s := &script{}
	f := newFeed(s, time.Now, slog.New(slog.DiscardHandler))
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
	s.unavailable.Store(true)
	require.Error(t, f.sync(ctx))
	assert.False(t, f.fresh())
	got, err := c.get(ctx, 1, load(2))
	require.NoError(t, err)
	assert.Equal(t, 2, got)
	s.unavailable.Store(false)
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
}

// hands are a machine's two clocks, which a test moves.
type hands struct {
	ticks time.Duration
	wall  time.Time
}

func (h *hands) hold(f *feed) {
	f.ticks, f.wall = func() time.Duration { return h.ticks }, func() time.Time { return h.wall }
}

// Either of the machine's clocks ends the lease alone: the one stands still while a
// machine sleeps, the other may be set, forward or back.
func TestEitherClockEndsTheLease(t *testing.T) {
	f, _, _ := newTestFeed()
	h := &hands{ticks: time.Hour, wall: time.Now()}
	h.hold(f)
	for _, c := range []struct {
		ticks, wall time.Duration
		fresh       bool
	}{
		{0, 0, true},
		{feedLease - 1, feedLease - 1, true},
		{feedLease, 0, false},
		{0, feedLease, false},
		{0, -feedLease, false},
		{0, time.Hour, false},
		{time.Hour, 0, false},
	} {
		require.NoError(t, f.sync(t.Context()))
		h.ticks, h.wall = h.ticks+c.ticks, h.wall.Add(c.wall)
		assert.Equal(t, c.fresh, f.fresh(), c)
	}
}

// The lease is counted from the beginning of a poll: a change that is made while
// the answer is on its way is not in it.
func TestTheLeaseBeginsWithThePoll(t *testing.T) {
	f, s, _ := newTestFeed()
	h := &hands{ticks: time.Hour, wall: time.Now()}
	h.hold(f)
	s.answer = func() { h.ticks, h.wall = h.ticks+feedLease-time.Millisecond, h.wall.Add(feedLease-time.Millisecond) }
	require.NoError(t, f.sync(t.Context()))
	assert.True(t, f.fresh())
	h.ticks, h.wall = h.ticks+time.Millisecond, h.wall.Add(time.Millisecond)
	assert.False(t, f.fresh())
}

// A feed that cannot tell what was missed empties every cache, whenever it says so.
func TestLostForgetsEverything(t *testing.T) {
	ctx := t.Context()
	f, s, c := newTestFeed()
	var told []bool
	f.forget = func(_ []ports.Change, lost bool) {
		told = append(told, lost)
		if lost {
			c.dropAll()
		}
	}
	require.NoError(t, f.sync(ctx))
	assert.Equal(t, []bool{true}, told, "the first poll knows nothing of before")
	_, err := c.get(ctx, 1, load(1))
	require.NoError(t, err)
	require.NoError(t, f.sync(ctx))
	got, err := c.get(ctx, 1, load(2))
	require.NoError(t, err)
	assert.Equal(t, 1, got)
	s.lost.Store(true)
	require.NoError(t, f.sync(ctx))
	s.lost.Store(false)
	got, err = c.get(ctx, 1, load(3))
	require.NoError(t, err)
	assert.Equal(t, 3, got)
	assert.Equal(t, []bool{true, true}, told)
}

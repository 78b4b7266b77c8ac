package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// pollEvery is how often a node asks the change feed for news.
	pollEvery = 500 * time.Millisecond
	// feedLease is how old the beginning of the last good poll may be for a
	// cached answer to count: the bound on how long another node's change may go unseen.
	feedLease = 2 * time.Second
	// feedKept is for how long entries of the feed are kept.
	feedKept = 10 * time.Minute
	// trimEvery is how often what is older is removed.
	trimEvery = time.Minute
)

// feed follows the change feed, and with it tells the caches what to forget and
// the service what time it is.
type feed struct {
	changes ports.Changes
	clock   *clock
	log     *slog.Logger
	// forget drops cached things; it is called with mu and keeping held, before the poll counts as done.
	forget func(entries []ports.Change, lost bool)
	// ticks and wall are the machine's two clocks: the one never steps, the other does not stand still.
	ticks func() time.Duration
	wall  func() time.Time

	mu   sync.Mutex   // one poll at a time
	seen ports.Cursor // up to where everything was forgotten that had to be

	// keeping makes one step of forgetting: a fill that is kept meanwhile could be
	// made of another cache's entry that is about to go.
	keeping sync.RWMutex
	// generation grows after everything was forgotten, so that a fill that began before is not kept.
	generation atomic.Uint64
	// began is when the last good poll began; nil: no poll, or a failed one that must not be trusted.
	began atomic.Pointer[moment]
	// refused is when the database last did not take a change, nil since it has taken one.
	refused atomic.Pointer[moment]
}

// moment is a time on both of the machine's clocks.
type moment struct {
	ticks time.Duration
	wall  time.Time
}

func newFeed(c ports.Changes, local func() time.Time, log *slog.Logger) *feed {
	start := time.Now()
	return &feed{
		changes: c, clock: newClock(local), log: log,
		ticks: func() time.Duration { return time.Since(start) },
		wall:  func() time.Time { return time.Now().Round(0) },
	}
}

func (f *feed) moment() *moment { return &moment{f.ticks(), f.wall()} }

// age is how long ago a moment was by the clock that says more; a wall clock that was set
// back says nothing good either.
func (f *feed) age(m *moment) time.Duration {
	now := f.moment()
	return max(now.ticks-m.ticks, now.wall.Sub(m.wall).Abs())
}

// now is the time by which expiry is judged.
func (f *feed) now() time.Time { return f.clock.now() }

func (f *feed) cursor() ports.Cursor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// fresh reports whether cached answers count now.
func (f *feed) fresh() bool {
	b := f.began.Load()
	return b != nil && f.age(b) < feedLease
}

// refusedFor is how long a change that was not taken counts against readiness.
const refusedFor = 10 * time.Second

// tried notes what became of a change.
func (f *feed) tried(err error) {
	if errors.Is(err, domain.Unavailable) {
		f.refused.Store(f.moment())
	} else {
		f.refused.Store(nil)
	}
}

// stuck is an error while changes do not get through.
func (f *feed) stuck() error {
	if m := f.refused.Load(); m != nil && f.age(m) < refusedFor {
		return errors.New("the database does not take changes: another node may have stopped in the middle of one")
	}
	return nil
}

// sync reads the feed to its end and forgets what changed. After a change of
// one's own it is called before the answer goes out; if it fails, nothing cached
// counts until a poll succeeds.
func (f *feed) sync(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	began := f.moment()
	got, err := f.changes.Since(ctx, f.seen)
	if err != nil {
		f.began.Store(nil)
		return err
	}
	f.clock.observe(got)
	if lost := got.Lost || f.seen == ""; lost || len(got.Entries) > 0 {
		f.keeping.Lock()
		f.forget(got.Entries, lost)
		f.generation.Add(1)
		f.keeping.Unlock()
	}
	f.seen = got.Cursor
	f.began.Store(began)
	return nil
}

// follow is sync and, where time has gone far enough, the mark's move. It is what is
// done again and again.
func (f *feed) follow(ctx context.Context) error {
	if err := f.sync(ctx); err != nil {
		return err
	}
	if mark := f.clock.due(); !mark.IsZero() {
		if err := f.changes.Raise(ctx, mark); err != nil {
			f.log.WarnContext(ctx, "could not move the mark of time on", "error", err)
		}
	}
	return nil
}

// run polls until ctx ends.
func (f *feed) run(ctx context.Context, notices ports.Notices) {
	var news <-chan struct{}
	if notices != nil {
		var err error
		if news, err = notices.Subscribe(ctx); err != nil {
			f.log.Warn("change notices are unavailable, so other nodes' changes come by polling alone", "error", err)
		}
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	failing := false
	for {
		c, cancel := context.WithTimeout(ctx, feedLease)
		err := f.follow(c)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				f.log.Error("the change feed does not answer; every decision reads the database", "error", err)
			} else {
				f.log.Info("the change feed answers again")
			}
		}
		select {
		case <-ctx.Done():
			return
		case _, open := <-news:
			if !open {
				news = nil
			}
		case <-poll.C:
		case <-trim.C:
			if err := f.changes.Forget(ctx, f.now().Add(-feedKept)); err != nil {
				f.log.Warn("could not trim the change feed", "error", err)
			}
		}
	}
}

// feedCache holds what was read from the database, for as long as the feed says that it is still so.
type feedCache[K comparable, V any] struct {
	feed    *feed
	entries *otter.Cache[K, V]
}

func newFeedCache[K comparable, V any](f *feed, o *otter.Options[K, V]) *feedCache[K, V] {
	return &feedCache[K, V]{feed: f, entries: otter.Must(o)}
}

// get returns what is cached, if the feed vouches for it, else what load reads.
func (c *feedCache[K, V]) get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	if c.feed.fresh() {
		if v, ok := c.entries.GetIfPresent(key); ok {
			return v, nil
		}
	}
	generation := c.feed.generation.Load()
	v, err := load(ctx)
	if err != nil {
		return v, err
	}
	c.keep(key, v, generation)
	return v, nil
}

// keep keeps what was read, unless something was forgotten since the reading began, at that generation.
func (c *feedCache[K, V]) keep(key K, v V, generation uint64) {
	c.feed.keeping.RLock()
	defer c.feed.keeping.RUnlock()
	if c.feed.generation.Load() == generation {
		c.entries.Set(key, v)
	}
}

// drop and dropAll are for the feed's forget alone.
func (c *feedCache[K, V]) drop(key K) { c.entries.Invalidate(key) }

func (c *feedCache[K, V]) dropAll() { c.entries.InvalidateAll() }

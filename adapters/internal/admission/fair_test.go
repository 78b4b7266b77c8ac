package admission_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/admission"
	"github.com/imagify-api/imagify/domain"
)

// queue starts jobs one after the other and notes in which order they are admitted. Each
// runs until it is told to end.
type queue struct {
	t     *testing.T
	g     *admission.Gate
	mu    sync.Mutex
	order []string
	ends  map[string]chan struct{}
}

func newQueue(t *testing.T, o admission.Options) *queue {
	t.Helper()
	g, err := admission.New(o)
	require.NoError(t, err)
	return &queue{t: t, g: g, ends: map[string]chan struct{}{}}
}

func (q *queue) job(share, name string, n int64) {
	end := make(chan struct{})
	q.ends[name] = end
	go func() {
		release, err := q.g.Acquire(q.t.Context(), share, n)
		if !assert.NoError(q.t, err, name) {
			return
		}
		q.mu.Lock()
		q.order = append(q.order, name)
		q.mu.Unlock()
		<-end
		release()
	}()
	synctest.Wait()
}

func (q *queue) end(name string) {
	close(q.ends[name])
	synctest.Wait()
}

func (q *queue) admitted() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]string{}, q.order...)
}

// One share that fills what it may have leaves the rest to others at once.
func TestAShareLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, admission.Options{Budget: 6, ShareMax: 4})
		for _, name := range []string{"a1", "a2", "a3", "a4", "a5", "a6"} {
			q.job("a", name, 1)
		}
		assert.Equal(t, []string{"a1", "a2", "a3", "a4"}, q.admitted())
		q.job("b", "b1", 1)
		assert.Equal(t, []string{"a1", "a2", "a3", "a4", "b1"}, q.admitted(), "b does not wait behind a")
		for _, name := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "b1"} {
			q.end(name)
		}
		assert.Zero(t, q.g.Waiting())
	})
}

// Shares are served in turn, however many jobs each has.
func TestSharesAreServedInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, admission.Options{Budget: 1})
		q.job("x", "first", 1)
		for _, name := range []string{"a1", "a2", "a3"} {
			q.job("a", name, 1)
		}
		q.job("b", "b1", 1)
		q.job("c", "c1", 1)
		q.job("b", "b2", 1)
		q.end("first")
		for _, name := range []string{"a1", "b1", "c1", "a2", "b2", "a3"} {
			got := q.admitted()
			require.Equal(t, name, got[len(got)-1])
			q.end(name)
		}
	})
}

// A job of nearly all is overtaken by small ones within the reserve alone, so that it
// neither starves nor makes them wait.
func TestBigAndSmall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, admission.Options{Budget: 80, ShareMax: 70})
		q.job("a", "big", 1000) // counts as 70
		q.job("b", "big too", 70)
		q.job("c", "small", 6)
		q.job("d", "small too", 6)
		assert.Equal(t, []string{"big", "small"}, q.admitted())
		q.end("big")
		assert.Equal(t, []string{"big", "small", "big too"}, q.admitted(), "the big one that waited is next")
		q.end("small")
		assert.Equal(t, []string{"big", "small", "big too", "small too"}, q.admitted())
		q.end("big too")
		q.end("small too")
	})
}

// A share's own queue is bounded, and full it keeps nobody else out.
func TestAFullShareQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, admission.Options{Budget: 2, ShareMax: 1, MaxShareQueue: 2, MaxWait: time.Hour})
		for _, name := range []string{"a1", "a2", "a3"} {
			q.job("a", name, 1)
		}
		_, err := q.g.Acquire(t.Context(), "a", 1)
		require.ErrorIs(t, err, domain.Unavailable)
		assert.Positive(t, domain.AsError(err).RetryAfter)
		q.job("b", "b1", 1)
		assert.Equal(t, []string{"a1", "b1"}, q.admitted())
		for _, name := range []string{"a1", "b1", "a2", "a3"} {
			q.end(name)
		}
	})
}

// Whatever comes, the budget holds, each share's part holds, and all is given back.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	const budget, shareMax = 40, 30
	g, err := admission.New(admission.Options{Budget: budget, ShareMax: shareMax, MaxQueue: 2000, MaxShareQueue: 2000, MaxWait: time.Minute})
	require.NoError(t, err)
	var (
		mu   sync.Mutex
		all  int64
		held = map[string]int64{}
		wg   sync.WaitGroup
	)
	for i := range 600 {
		wg.Go(func() {
			share, n := string(rune('a'+i%5)), int64(i%shareMax+1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%7 == 0 {
				time.AfterFunc(time.Duration(i)*time.Microsecond, cancel)
			}
			release, err := g.Acquire(ctx, share, n)
			if err != nil {
				assert.Zero(t, i%7, "only those that were cancelled fail: %v", err)
				return
			}
			mu.Lock()
			all += n
			held[share] += n
			assert.LessOrEqual(t, all, int64(budget))
			assert.LessOrEqual(t, held[share], int64(shareMax))
			mu.Unlock()
			mu.Lock()
			all -= n
			held[share] -= n
			mu.Unlock()
			release()
		})
	}
	wg.Wait()
	assert.Zero(t, g.Waiting())
	release, err := g.Acquire(t.Context(), "z", budget)
	require.NoError(t, err)
	release()
}

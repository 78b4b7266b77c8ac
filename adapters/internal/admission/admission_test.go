package admission_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/admission"
	"github.com/imagify-api/imagify/domain"
)

func gate(t *testing.T, budget int64, maxQueue int, maxWait time.Duration) *admission.Gate {
	t.Helper()
	g, err := admission.New(admission.Options{Budget: budget, MaxQueue: maxQueue, MaxShareQueue: maxQueue, MaxWait: maxWait})
	require.NoError(t, err)
	return g
}

func TestNewRefusesBadValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		budget int64
		queue  int
		wait   time.Duration
	}{{0, 1, 1}, {-1, 1, 1}, {1, -1, 1}, {1, 1, -1}} {
		_, err := admission.New(admission.Options{Budget: c.budget, MaxQueue: c.queue, MaxWait: c.wait})
		assert.ErrorIs(t, err, domain.Invalid, "%+v", c)
	}
}

func TestBudgetHolds(t *testing.T) {
	t.Parallel()
	const budget = 100
	g := gate(t, budget, 1000, time.Minute)
	var inUse atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			n := int64(i%70 + 1)
			release, err := g.Acquire(t.Context(), "", n)
			if !assert.NoError(t, err) {
				return
			}
			assert.LessOrEqual(t, inUse.Add(n), int64(budget))
			inUse.Add(-n)
			release()
		})
	}
	wg.Wait()
	assert.Zero(t, g.Waiting())
}

func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, 10, 64, time.Minute)
		release, err := g.Acquire(t.Context(), "", 6)
		require.NoError(t, err)

		var order []string
		var mu sync.Mutex
		job := func(name string, bytes int64) {
			go func() {
				done, err := g.Acquire(t.Context(), "", bytes)
				if assert.NoError(t, err) {
					mu.Lock()
					order = append(order, name)
					mu.Unlock()
					done()
				}
			}()
			synctest.Wait()
		}
		job("bigger than the budget", 1000)
		job("small", 1) // it would fit, but came later
		assert.Equal(t, 2, g.Waiting())
		assert.Empty(t, order)

		release()
		release() // once is enough, twice does no harm
		synctest.Wait()
		assert.Equal(t, []string{"bigger than the budget", "small"}, order)

		all, err := g.Acquire(t.Context(), "", 10)
		require.NoError(t, err, "all is free again, and no more than all")
		_, err = g.Acquire(canceledIn(t, time.Second), "", 1)
		assert.ErrorIs(t, err, domain.Unavailable)
		all()
	})
}

func canceledIn(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestFullQueueAndLongWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, 10, 2, 3*time.Second)
		release, err := g.Acquire(t.Context(), "", 10)
		require.NoError(t, err)

		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := g.Acquire(t.Context(), "", 1)
				errs <- err
			}()
		}
		synctest.Wait()

		start := time.Now()
		_, err = g.Acquire(t.Context(), "", 1)
		require.ErrorIs(t, err, domain.Unavailable, "the queue is full")
		assert.Positive(t, domain.AsError(err).RetryAfter)
		assert.Zero(t, time.Since(start), "refused at once")

		for range 2 {
			err := <-errs
			require.ErrorIs(t, err, domain.Unavailable, "waited too long")
			assert.Positive(t, domain.AsError(err).RetryAfter)
		}
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Zero(t, g.Waiting())

		release()
		release, err = g.Acquire(t.Context(), "", 10)
		require.NoError(t, err, "who gave up holds nothing")
		release()
	})
}

func TestCancelLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, 10, 0, 0)
		release, err := g.Acquire(t.Context(), "", 5)
		require.NoError(t, err)

		gone := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		big, small := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := g.Acquire(ctx, "", 10)
			big <- err
		}()
		synctest.Wait()
		go func() {
			_, err := g.Acquire(t.Context(), "", 5)
			small <- err
		}()
		synctest.Wait()
		require.Equal(t, 2, g.Waiting())

		cancel(gone)
		err = <-big
		require.ErrorIs(t, err, gone)
		assert.Equal(t, domain.Unavailable, domain.CodeOf(err))
		require.NoError(t, <-small, "what waited behind it goes on")
		release()

		_, err = g.Acquire(ctx, "", 1)
		assert.ErrorIs(t, err, gone, "an ended context gets nothing, though all is free")
	})
}

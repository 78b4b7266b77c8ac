// Package admission bounds the memory of work that runs at the same time: a
// job says how many bytes it will need and waits until they are free. Counting
// jobs would not do, because one may need a thousand times as much as another.
package admission

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imagify-api/imagify/domain"
)

// The defaults of New.
const (
	DefaultMaxQueue = 128
	DefaultMaxWait  = 10 * time.Second
)

// Gate admits jobs in the order in which they came: a big one is not overtaken
// by smaller ones, so it does not starve. It is safe for concurrent use.
type Gate struct {
	budget   int64
	maxQueue int64
	maxWait  time.Duration
	sem      *semaphore.Weighted
	waiting  atomic.Int64
}

// New returns a Gate for a budget of bytes, 1 or more. At most maxQueue jobs wait, none
// longer than maxWait; where one of the two is 0, it is DefaultMaxQueue or DefaultMaxWait.
func New(budget int64, maxQueue int, maxWait time.Duration) (*Gate, error) {
	if budget < 1 || maxQueue < 0 || maxWait < 0 {
		return nil, domain.Errorf(domain.Invalid, "admission: the budget has to be positive, queue and wait not negative: %d bytes, %d jobs, %s", budget, maxQueue, maxWait)
	}
	if maxQueue == 0 {
		maxQueue = DefaultMaxQueue
	}
	if maxWait == 0 {
		maxWait = DefaultMaxWait
	}
	return &Gate{budget: budget, maxQueue: int64(maxQueue), maxWait: maxWait, sem: semaphore.NewWeighted(budget)}, nil
}

// Acquire waits until the bytes are free and takes them until release is
// called; calling it again does nothing. A job of more than the budget takes all
// of it, and so runs alone. Errors: domain.Unavailable with RetryAfter where the
// queue is full or the wait too long, domain.Unavailable around ctx's cause where ctx ended first.
func (g *Gate) Acquire(ctx context.Context, bytes int64) (release func(), err error) {
	bytes = min(max(bytes, 1), g.budget)
	if ctx.Err() != nil {
		return nil, cancelled(ctx)
	}
	if !g.sem.TryAcquire(bytes) { // fails too where others wait
		if err := g.wait(ctx, bytes); err != nil {
			return nil, err
		}
	}
	return sync.OnceFunc(func() { g.sem.Release(bytes) }), nil
}

func (g *Gate) wait(ctx context.Context, bytes int64) error {
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.maxQueue {
		return g.busy(nil)
	}
	timed, cancel := context.WithTimeout(ctx, g.maxWait)
	defer cancel()
	switch err := g.sem.Acquire(timed, bytes); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return cancelled(ctx)
	default:
		return g.busy(err)
	}
}

// Waiting returns the number of jobs that wait.
func (g *Gate) Waiting() int { return int(g.waiting.Load()) }

// busy suggests to come again when a good part of the queue has moved on.
func (g *Gate) busy(cause error) error {
	return &domain.Error{
		Code: domain.Unavailable, Msg: "too many pictures are being worked on; try again in a moment",
		Err: cause, RetryAfter: max(g.maxWait/2, time.Second),
	}
}

func cancelled(ctx context.Context) error {
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the work was cancelled")
}

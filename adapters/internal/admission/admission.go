// Package admission bounds what work that runs at the same time may take, and shares
// it fairly: a job says for which share it works and how much it will take, and waits until that is
// free. Counting jobs would not do for memory, because one may need a thousand times as much as another.
package admission

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// The defaults of Options.
const (
	DefaultMaxQueue      = 1024
	DefaultMaxShareQueue = 64
	DefaultMaxWait       = 10 * time.Second
)

// Options are a Gate's bounds.
type Options struct {
	// Budget is what all jobs that run may take together, 1 or more.
	Budget int64
	// ShareMax is what the jobs of one share may take together, so that another share
	// never finds everything taken by one; 0 means Budget.
	ShareMax int64
	// MaxQueue is how many jobs may wait, MaxShareQueue how many of one share, MaxWait
	// for how long; 0 means the default.
	MaxQueue, MaxShareQueue int
	MaxWait                 time.Duration
}

// Gate admits jobs. Each share has a queue, first come first served, and the shares are
// served in turn. It is safe for concurrent use.
//
// A job that does not fit is not overtaken by others until what it waits for is gone:
// only what fits into the reserve, which is Budget less ShareMax, may run meanwhile. So a
// big job does not starve, and a small one of another share does not wait for it.
type Gate struct {
	o       Options
	reserve int64

	mu      sync.Mutex
	used    int64
	small   int64 // of used, by jobs that fit into the reserve
	waiting int
	shares  map[string]*share // those that hold something or wait
	order   []*share          // those that wait, the next one first
}

type share struct {
	name  string
	held  int64
	queue []*job
}

type job struct {
	n       int64
	share   *share
	granted chan struct{}
	ok      bool // granted is closed
}

// New returns a Gate. Options out of range are domain.Invalid.
func New(o Options) (*Gate, error) {
	if o.ShareMax == 0 {
		o.ShareMax = o.Budget
	}
	if o.Budget < 1 || o.ShareMax < 1 || o.ShareMax > o.Budget || o.MaxQueue < 0 || o.MaxShareQueue < 0 || o.MaxWait < 0 {
		return nil, domain.Errorf(domain.Invalid, "admission: the budget has to be positive and no less than a share's, queues and wait not negative: %+v", o)
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = DefaultMaxQueue
	}
	if o.MaxShareQueue == 0 {
		o.MaxShareQueue = min(DefaultMaxShareQueue, o.MaxQueue)
	}
	if o.MaxWait == 0 {
		o.MaxWait = DefaultMaxWait
	}
	return &Gate{o: o, reserve: o.Budget - o.ShareMax, shares: map[string]*share{}}, nil
}

// Acquire waits until n is free for the share and takes it until release is called;
// calling that again does nothing. A job of more than ShareMax counts as ShareMax, so
// it runs when nothing else of its share does, and what others run beside it is at
// most the reserve. Errors: domain.Unavailable with RetryAfter where a queue is full or the
// wait too long, domain.Unavailable around ctx's cause where ctx ended first.
func (g *Gate) Acquire(ctx context.Context, shareName string, n int64) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, cancelled(ctx)
	}
	j, err := g.enqueue(shareName, min(max(n, 1), g.o.ShareMax))
	if err != nil {
		return nil, err
	}
	release = sync.OnceFunc(func() { g.release(j) })
	select {
	case <-j.granted:
		return release, nil
	default:
	}
	timer := time.NewTimer(g.o.MaxWait)
	defer timer.Stop()
	select {
	case <-j.granted:
		return release, nil
	case <-ctx.Done():
		g.leave(j)
		return nil, cancelled(ctx)
	case <-timer.C:
		g.leave(j)
		return nil, g.busy()
	}
}

func (g *Gate) enqueue(name string, n int64) (*job, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.shares[name]
	if s == nil {
		s = &share{name: name}
		g.shares[name] = s
	}
	j := &job{n: n, share: s, granted: make(chan struct{})}
	s.queue = append(s.queue, j)
	if len(s.queue) == 1 {
		g.order = append(g.order, s)
	}
	g.waiting++
	g.serve()
	if !j.ok && (g.waiting > g.o.MaxQueue || len(s.queue) > g.o.MaxShareQueue) {
		g.drop(j)
		return nil, g.busy()
	}
	return j, nil
}

// serve admits whatever may run now.
func (g *Gate) serve() {
	for g.serveOne() {
	}
}

func (g *Gate) serveOne() bool {
	blocked := false
	for i, s := range g.order {
		j := s.queue[0]
		if s.held+j.n > g.o.ShareMax {
			continue // it waits for its own
		}
		if g.used+j.n > g.o.Budget {
			blocked = true
			continue
		}
		if blocked && (j.n > g.reserve || g.small+j.n > g.reserve) {
			continue
		}
		g.used += j.n
		s.held += j.n
		if j.n <= g.reserve {
			g.small += j.n
		}
		s.queue = s.queue[1:]
		g.waiting--
		g.order = slices.Delete(g.order, i, i+1)
		if len(s.queue) > 0 {
			g.order = append(g.order, s)
		}
		j.ok = true
		close(j.granted)
		return true
	}
	return false
}

func (g *Gate) release(j *job) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= j.n
	j.share.held -= j.n
	if j.n <= g.reserve {
		g.small -= j.n
	}
	g.forget(j.share)
	g.serve()
}

// leave ends a job's wait. It may have been granted in this moment.
func (g *Gate) leave(j *job) {
	g.mu.Lock()
	ok := j.ok
	if !ok {
		g.drop(j)
		g.serve() // others may have waited behind it
	}
	g.mu.Unlock()
	if ok {
		g.release(j)
	}
}

func (g *Gate) drop(j *job) {
	s := j.share
	s.queue = slices.DeleteFunc(s.queue, func(other *job) bool { return other == j })
	g.waiting--
	if len(s.queue) == 0 {
		g.order = slices.DeleteFunc(g.order, func(other *share) bool { return other == s })
	}
	g.forget(s)
}

// forget drops a share that neither holds anything nor waits.
func (g *Gate) forget(s *share) {
	if s.held == 0 && len(s.queue) == 0 {
		delete(g.shares, s.name)
	}
}

// Waiting returns the number of jobs that wait.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

// busy suggests to come again when a good part of the queue has moved on.
func (g *Gate) busy() error {
	return &domain.Error{
		Code: domain.Unavailable, Msg: "too many pictures are being worked on; try again in a moment",
		RetryAfter: max(g.o.MaxWait/2, time.Second),
	}
}

func cancelled(ctx context.Context) error {
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the work was cancelled")
}

// Work is the two gates of a resizer. A job first takes a turn, then reads what tells how
// much memory it needs, then takes that.
type Work struct {
	turns, memory *Gate
}

// NewWork returns the gates for a budget of memory in bytes; maxQueue and maxWait as in Options.
//
// The turns are three for each processor, of which a share may have two: more than one, because
// a store may make a job wait for its source; not all, so that a share that fills its turns with the worst
// files leaves processors to the next. Likewise a share may have seven eighths of the
// memory. A picture that needs more than those runs with at most an eighth of the
// memory taken beside it, so that what runs exceeds the budget by no more than that eighth.
func NewWork(memory int64, maxQueue int, maxWait time.Duration) (*Work, error) {
	procs := int64(runtime.GOMAXPROCS(0))
	turns, err := New(Options{Budget: 3 * procs, ShareMax: 2 * procs, MaxShareQueue: maxQueue, MaxWait: maxWait})
	if err != nil {
		return nil, err
	}
	bytes, err := New(Options{Budget: memory, ShareMax: memory - memory/8, MaxShareQueue: maxQueue, MaxWait: maxWait})
	if err != nil {
		return nil, err
	}
	return &Work{turns: turns, memory: bytes}, nil
}

// Turn waits for a share's turn, as Gate.Acquire does.
func (w *Work) Turn(ctx context.Context, share string) (release func(), err error) {
	return w.turns.Acquire(ctx, share, 1)
}

// Memory waits for bytes of memory. It is for jobs that have their turn.
func (w *Work) Memory(ctx context.Context, share string, bytes int64) (release func(), err error) {
	return w.memory.Acquire(ctx, share, bytes)
}

// Waiting returns the number of jobs that wait for a turn or for memory.
func (w *Work) Waiting() int { return w.turns.Waiting() + w.memory.Waiting() }

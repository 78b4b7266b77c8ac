package request

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// watch looks at a body that is on its way every recheckEvery, also while a write waits for
// its reader. What it refuses, it stops by the write's deadline.
type watch struct {
	q     *Request
	check func(context.Context) error

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	err     error
	looking sync.WaitGroup
}

func (q *Request) watch(check func(context.Context) error) *watch {
	w := &watch{q: q, check: check}
	w.timer = time.AfterFunc(recheckEvery, w.look)
	return w
}

func (w *watch) look() {
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	w.looking.Add(1)
	w.mu.Unlock()
	defer w.looking.Done()
	err := w.recheck()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
	case err != nil:
		w.err = err
		w.q.deadlineNow()
	default:
		w.timer.Reset(recheckEvery)
	}
}

// recheck runs on a goroutine of its own, and through code of adapters.
func (w *watch) recheck() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	// A backend that does not answer in time is not a permission.
	ctx, cancel := context.WithTimeout(w.q.Context(), recheckEvery)
	defer cancel()
	return w.check(ctx)
}

// refused is why the body must end, or nil.
func (w *watch) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// stop ends the looks and waits for one that is under way.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopped = true
	w.timer.Stop()
	w.mu.Unlock()
	w.looking.Wait()
}

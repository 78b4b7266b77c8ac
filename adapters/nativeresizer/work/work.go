// Package work counts what decoding a picture costs, so that a file is refused for
// the work it asks for and not for the time that a busy machine happens to take.
//
// A unit is about a nanosecond of one processor of the early 2020s: decoders spend
// constants that a benchmark of theirs has measured. The count depends on the file
// and the limits alone, so the same file is accepted or refused everywhere alike.
package work

import (
	"errors"
	"sync/atomic"
)

// ErrExceeded says that a file asks for more work than its budget has.
var ErrExceeded = errors.New("work: the budget is exceeded")

// Budget is the work that one file may cost. A nil Budget counts nothing and never
// ends. It is safe for concurrent use, but for OnHold and Hold.
type Budget struct {
	limit, spent atomic.Int64
	exceeded     atomic.Bool
	most         int64 // that limit may grow to; 0: it does not grow

	held int64        // bytes of the header
	ask  func() error // before there are more of them than FreeHeader; nil: no more
}

// New returns a budget of a number of units, which does not grow.
func New(units int64) *Budget {
	b := new(Budget)
	b.limit.Store(units)
	return b
}

// Spend takes units before the work is done. Once the budget is exceeded it returns
// ErrExceeded, and does so from then on.
func (b *Budget) Spend(units int64) error {
	if b == nil {
		return nil
	}
	const overflow = 1 << 61
	if b.exceeded.Load() || b.spent.Add(min(units, overflow)) > b.limit.Load() {
		b.exceeded.Store(true) // no later grant makes it good
		return ErrExceeded
	}
	return nil
}

// Spent returns the units taken so far, those of a refused Spend included.
func (b *Budget) Spent() int64 {
	if b == nil {
		return 0
	}
	return b.spent.Load()
}

// Limit returns the units that there are, spent ones included.
func (b *Budget) Limit() int64 {
	if b == nil {
		return 0
	}
	return b.limit.Load()
}

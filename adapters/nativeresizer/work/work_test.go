package work_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

func TestBudgetEnds(t *testing.T) {
	t.Parallel()
	b := work.New(10)
	assert.NoError(t, b.Spend(4))
	assert.NoError(t, b.Spend(6), "the last unit may be spent")
	assert.ErrorIs(t, b.Spend(1), work.ErrExceeded)
	assert.ErrorIs(t, b.Spend(0), work.ErrExceeded, "it does not recover")
	assert.EqualValues(t, 11, b.Spent())
	assert.EqualValues(t, 10, b.Limit())
}

func TestNilBudgetNeverEnds(t *testing.T) {
	t.Parallel()
	var b *work.Budget
	assert.NoError(t, b.Spend(1<<62))
	assert.Zero(t, b.Spent())
	assert.Zero(t, b.Limit())
}

func TestBudgetIsExactAmongGoroutines(t *testing.T) {
	t.Parallel()
	b := work.New(1000)
	var good atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if b.Spend(1) == nil {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1000, good.Load())
}

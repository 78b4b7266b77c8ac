package app

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

// waiters takes turns of a queue that is busy, and notes in which order they came.
type waiters struct {
	t     *testing.T
	q     *hashQueue
	mu    sync.Mutex
	order []string
	lost  []string
	group sync.WaitGroup
}

func (w *waiters) wait(ctx context.Context, name, client string, known bool) {
	w.group.Go(func() {
		release, err := w.q.take(ctx, client, known)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			assert.ErrorIs(w.t, err, domain.Unavailable)
			assert.Positive(w.t, domain.AsError(err).RetryAfter)
			w.lost = append(w.lost, name)
			return
		}
		w.order = append(w.order, name)
		go release()
	})
	synctest.Wait() // it stands in its line
}

// A flood from one place costs another place one turn, and one from everywhere the owner at
// a known place two; the queue has a bound, and a new line gets in though it is full.
func TestHashQueue(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) (*waiters, func()) {
		w := &waiters{t: t, q: newHashQueue(1)}
		release, err := w.q.take(t.Context(), "busy", false)
		require.NoError(t, err)
		return w, func() { release(); w.group.Wait(); synctest.Wait() }
	}
	t.Run("OneFlood", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, finish := begin(t)
			for i := range 2 * maxWaitingClient {
				w.wait(t.Context(), fmt.Sprint("flood", i), "2001:db8::/64", false)
			}
			w.wait(t.Context(), "owner", "192.0.2.1", false)
			finish()
			assert.Equal(t, []string{"flood0", "owner"}, w.order[:2])
			assert.Len(t, w.order, maxWaitingClient+1)
			assert.Len(t, w.lost, maxWaitingClient)
			assert.Equal(t, 1, w.q.free)
			assert.Empty(t, w.q.others.of)
		})
	})
	t.Run("FloodFromEverywhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, finish := begin(t)
			for i := range 2 * maxWaiting {
				w.wait(t.Context(), fmt.Sprint("flood", i), fmt.Sprint("net", i), false)
			}
			w.wait(t.Context(), "owner", "192.0.2.1", true)
			finish()
			assert.Contains(t, w.order[:2], "owner")
			assert.Len(t, w.order, maxWaiting+1)
		})
	})
	t.Run("FullOfAFew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, finish := begin(t)
			for i := range maxWaiting {
				w.wait(t.Context(), fmt.Sprint("flood", i), fmt.Sprint("net", i%(maxWaiting/maxWaitingClient)), false)
			}
			assert.Empty(t, w.lost)
			w.wait(t.Context(), "owner", "192.0.2.1", false)
			assert.Len(t, w.lost, 1, "the last of the longest line")
			finish()
			assert.Contains(t, w.order, "owner")
			assert.Len(t, w.order, maxWaiting)
		})
	})
	t.Run("Leaving", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, finish := begin(t)
			ctx, cancel := context.WithCancel(t.Context())
			w.wait(ctx, "leaves", "a", false)
			w.wait(t.Context(), "stays", "a", false)
			cancel()
			synctest.Wait()
			assert.Equal(t, []string{"leaves"}, w.lost)
			finish()
			assert.Equal(t, []string{"stays"}, w.order)
			assert.Equal(t, 1, w.q.free)
		})
	})
}

func TestClientPrefix(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]string{
		"192.0.2.17":                {"192.0.2.17", "192.0.2.0/24"},
		"::ffff:192.0.2.17":         {"192.0.2.17", "192.0.2.0/24"},
		"2001:db8:1:2:3:4:5:6":      {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:db8:1:2:ffff::1%eth0": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"":                          {"", ""},
		"@":                         {"@", "@"},
	} {
		assert.Equal(t, want[0], ClientPrefix(address))
		assert.Equal(t, want[1], widePrefix(address))
	}
}

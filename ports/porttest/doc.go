// Package porttest holds a conformance suite for each port. An adapter that
// passes may be trusted wherever the port is asked for; its test is one call:
//
//	func TestBlobs(t *testing.T) {
//		porttest.Blobs(t, func(t *testing.T) ports.Blobs { return mystore.New(t.TempDir()) })
//	}
//
// Every suite calls its factory once a subtest, from subtests that run in
// parallel, and wants something fresh and empty each time; what needs closing is
// closed by t.Cleanup. A suite returns when all of its subtests have ended. The
// backend's clock must be a real one, within ten minutes of the test's.
//
// The suites hold adapters to every sentence of the ports' comments. What the
// comments leave open, such as what happens at the very instant at which a lease
// ends, they leave open too.
package porttest

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// patience bounds the wait for what must happen some time: far beyond any
// honest delay, so that only a hang or a loss runs into it. The suites' own tests,
// which run into it, shorten it.
var patience = 20 * time.Second

const (
	// racers is how many goroutines race for what one of them may get.
	racers = 20
	// clockTolerance is how far the backend's clock may be from the test's.
	clockTolerance = 10 * time.Minute
)

// epoch is when the suites' stories begin. It is a whole millisecond, so that ids
// and times made of it agree to the letter.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// moment returns the n-th second of a suite's story.
func moment(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

// ids makes deterministic ids and secrets. Ids are of version 7 and increase
// with time and, within a millisecond, from call to call.
type ids struct{ n atomic.Uint64 }

func (g *ids) id(at time.Time) domain.ID {
	id := domain.FirstIDAt(at)
	var low [8]byte
	binary.BigEndian.PutUint64(low[:], g.n.Add(1))
	copy(id[9:], low[1:])
	return id
}

// hash returns a secret's hash: every byte differs from call to call, zeros and
// bytes that are no text included.
func (g *ids) hash() domain.SecretHash {
	var h domain.SecretHash
	n := g.n.Add(1)
	for i := range h {
		h[i] = byte((n + uint64(i)*37) * 0x9e3779b97f4a7c15 >> 56)
	}
	binary.BigEndian.PutUint64(h[24:], n)
	return h
}

// wantCode requires an error of exactly that code.
func wantCode(t *testing.T, code domain.Code, err error, what ...string) {
	t.Helper()
	require.Error(t, err, what)
	require.Equalf(t, code, domain.CodeOf(err), "%v: %v", what, err)
	require.ErrorIs(t, err, code, what)
}

// wantEnded requires the error of a context that has ended: unavailable or
// unclassified, never one that claims to know something.
func wantEnded(t *testing.T, err error, what ...string) {
	t.Helper()
	require.Error(t, err, what)
	require.Containsf(t, []domain.Code{domain.Unavailable, domain.Internal}, domain.CodeOf(err),
		"%v: a context that has ended is domain.Unavailable or unclassified: %v", what, err)
}

// call is one use of a port, for tests that make all of them.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// wantAllEnded makes each call with a context that has ended.
func wantAllEnded(t *testing.T, calls []call) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range calls {
		wantEnded(t, c.do(ctx), c.name)
	}
}

// wantTime requires a time as a port hands it out: in UTC, the same to the
// microsecond. What was given at microseconds must come back exactly.
func wantTime(t *testing.T, want, got time.Time, what string) {
	t.Helper()
	if want.IsZero() {
		require.Truef(t, got.IsZero(), "%s: want the zero time, got %v", what, got)
		return
	}
	require.Equalf(t, time.UTC, got.Location(), "%s: times are handed out in UTC", what)
	if want.Truncate(time.Microsecond).Equal(want) {
		require.Truef(t, want.Equal(got), "%s: want %v, got %v", what, want, got)
		return
	}
	require.Lessf(t, got.Sub(want).Abs(), time.Microsecond, "%s: want %v, got %v", what, want, got)
}

// race runs f n times at once and waits for all of them.
func race(n int, f func(i int)) {
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	done.Wait()
}

// tally counts the outcomes of a race.
type tally struct {
	won, lost int
	other     []error
}

// count tells who won (no error), who lost (an error of the code) and what else went wrong.
func count(errs []error, lost domain.Code) tally {
	var c tally
	for _, err := range errs {
		switch {
		case err == nil:
			c.won++
		case domain.CodeOf(err) == lost:
			c.lost++
		default:
			c.other = append(c.other, err)
		}
	}
	return c
}

// wantOneWinner requires that one racer won and every other got the code.
func wantOneWinner(t *testing.T, errs []error, lost domain.Code) {
	t.Helper()
	wantWinners(t, 1, errs, lost)
}

func wantWinners(t *testing.T, n int, errs []error, lost domain.Code) {
	t.Helper()
	c := count(errs, lost)
	require.Empty(t, c.other, "errors that are neither a win nor a loss")
	require.Equalf(t, n, c.won, "of %d racers %d may win", len(errs), n)
}

// wantPages reads a list by keyset at every limit, from its beginning and from
// between any two entries, and requires exactly want, newest first.
func wantPages[V any](t *testing.T, want []domain.ID, id func(V) domain.ID, list func(p ports.Page) ([]V, error)) {
	t.Helper()
	for i := 1; i < len(want); i++ {
		require.Positive(t, want[i-1].Compare(want[i]), "the test itself: want must be newest first")
	}
	idsOf := func(rows []V) []domain.ID {
		out := make([]domain.ID, len(rows))
		for i, r := range rows {
			out[i] = id(r)
		}
		return out
	}
	for limit := 1; limit <= len(want)+2; limit++ {
		var before domain.ID
		for at := 0; ; {
			rows, err := list(ports.Page{Before: before, Limit: limit})
			require.NoError(t, err)
			next := min(at+limit, len(want))
			require.Equalf(t, texts(want[at:next]), texts(idsOf(rows)), "limit %d, before %v", limit, before)
			if at = next; len(rows) < limit {
				break
			}
			before = want[at-1]
		}
	}
	for i, w := range want {
		// Just above an entry, where no entry is: the page begins with it.
		above := w
		above[15]++
		if i > 0 && above == want[i-1] {
			continue
		}
		rows, err := list(ports.Page{Before: above, Limit: 1})
		require.NoError(t, err)
		require.Equal(t, texts(want[i:i+1]), texts(idsOf(rows)), "a page before an id that is not in the list")
	}
}

// wantAllPages reads a list that tells where to go on, whose pages may be short.
func wantAllPages[V any](t *testing.T, want []domain.ID, id func(V) domain.ID, list func(p ports.Page) ([]V, domain.ID, error)) {
	t.Helper()
	for limit := 1; limit <= len(want)+2; limit++ {
		var got []domain.ID
		var before domain.ID
		for {
			rows, next, err := list(ports.Page{Before: before, Limit: limit})
			require.NoError(t, err)
			require.LessOrEqual(t, len(rows), limit)
			for _, r := range rows {
				if !before.IsZero() {
					require.Negativef(t, id(r).Compare(before), "limit %d: %v is not before %v", limit, id(r), before)
				}
				got = append(got, id(r))
			}
			if next.IsZero() {
				break
			}
			if !before.IsZero() {
				require.Negativef(t, next.Compare(before), "limit %d: the list goes on at %v, which is not before %v", limit, next, before)
			}
			before = next
		}
		require.Equalf(t, texts(want), texts(got), "limit %d", limit)
	}
}

// texts makes failures readable.
func texts(list []domain.ID) []string {
	out := make([]string, len(list))
	for i, id := range list {
		out[i] = id.String()
	}
	return out
}

// backwards returns ids newest first.
func backwards(list []domain.ID) []domain.ID {
	out := make([]domain.ID, 0, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		out = append(out, list[i])
	}
	return out
}

// eventually waits until ok holds.
func eventually(t *testing.T, ok func() bool, msgAndArgs ...any) {
	t.Helper()
	require.Eventually(t, ok, patience, 2*time.Millisecond, msgAndArgs...)
}

// check is one subtest of a suite on something fresh.
type check[P any] struct {
	name string
	run  func(t *testing.T, port P)
}

// run makes each check a parallel subtest within a group, and returns when all have ended.
func run[P any](t *testing.T, suite string, factory func(t *testing.T) P, checks []check[P]) {
	t.Helper()
	t.Run(suite, func(t *testing.T) {
		for _, c := range checks {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, factory(t))
			})
		}
	})
}

package porttest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
)

// Notices is the suite of ports.Notices. The port may lose notices; one that
// loses every one of them for a while fails.
func Notices(t *testing.T, newNotices func(t *testing.T) ports.Notices) {
	t.Helper()
	run(t, "Notices", newNotices, []check[ports.Notices]{
		{"EverySubscriber", noticesEvery},
		{"NobodyReads", noticesNobody},
		{"EndsWithItsContext", noticesEnd},
		{"Racers", noticesRacers},
	})
}

// wantNotice publishes until the channel receives.
func wantNotice(t *testing.T, n ports.Notices, c <-chan struct{}) {
	t.Helper()
	deadline := time.After(patience)
	for {
		require.NoError(t, n.Publish(t.Context()))
		select {
		case _, open := <-c:
			require.True(t, open, "the channel was closed before its context ended")
			return
		case <-deadline:
			require.FailNow(t, "no notice arrived")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wantClosed reads until the channel is closed.
func wantClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-c:
			if !open {
				return
			}
		case <-deadline:
			require.FailNow(t, "the channel was not closed when its context had ended")
		}
	}
}

func noticesEvery(t *testing.T, n ports.Notices) {
	require.NoError(t, n.Publish(t.Context()), "without a subscriber")
	var all []<-chan struct{}
	for range 5 {
		c, err := n.Subscribe(t.Context())
		require.NoError(t, err)
		all = append(all, c)
	}
	for range 3 {
		for _, c := range all {
			wantNotice(t, n, c)
		}
	}
}

// noticesNobody has subscribers that never read: they hold nobody up.
func noticesNobody(t *testing.T, n ports.Notices) {
	for range 3 {
		_, err := n.Subscribe(t.Context())
		require.NoError(t, err)
	}
	reads, err := n.Subscribe(t.Context())
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		for range 1000 {
			if err := n.Publish(t.Context()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(patience):
		require.FailNow(t, "Publish waits for subscribers")
	}
	wantNotice(t, n, reads)
}

func noticesEnd(t *testing.T, n ports.Notices) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ends, err := n.Subscribe(ctx)
	require.NoError(t, err)
	stays, err := n.Subscribe(t.Context())
	require.NoError(t, err)
	wantNotice(t, n, ends)
	cancel()
	wantClosed(t, ends)
	time.Sleep(short) // for what might close it, too
	for range 3 {     // the first may be one that waited already
		wantNotice(t, n, stays)
	}

	// A context that has ended already: an error, or a channel that is closed.
	if c, err := n.Subscribe(ctx); err == nil {
		wantClosed(t, c)
	}
}

// noticesRacers publishes while subscriptions come and go.
func noticesRacers(t *testing.T, n ports.Notices) {
	errs := make([]error, racers)
	channels := make([][]<-chan struct{}, racers)
	race(racers, func(i int) {
		for range 20 {
			if i%2 == 0 {
				if err := n.Publish(t.Context()); err != nil {
					errs[i] = err
				}
				continue
			}
			ctx, cancel := context.WithCancel(t.Context())
			c, err := n.Subscribe(ctx)
			if err != nil {
				errs[i] = err
			} else {
				channels[i] = append(channels[i], c)
			}
			cancel()
		}
	})
	for i := range errs {
		require.NoError(t, errs[i])
		for _, c := range channels[i] {
			wantClosed(t, c)
		}
	}
}

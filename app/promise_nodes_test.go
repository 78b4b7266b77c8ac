package app_test

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// link makes a link and returns its token.
func (w *world) link(a domain.Actor, id domain.ID, in app.LinkInput) (domain.Link, string) {
	w.t.Helper()
	l, token, err := w.svc.CreateLink(ctx, a, id, in)
	require.NoError(w.t, err)
	return l.Link, token
}

// fastPaths are what may become of a fast path: emptied, gone, or put back to
// when every link was alive.
func (w *world) fastPaths(tokens ...string) map[string]ports.LinkCache {
	w.t.Helper()
	restored := memory.NewLinkCache(memory.Options{Now: w.clock.now})
	for _, token := range tokens {
		require.NoError(w.t, restored.Put(ctx, sha256.Sum256([]byte(token)), time.Hour))
	}
	return map[string]ports.LinkCache{
		"emptied": memory.NewLinkCache(memory.Options{Now: w.clock.now}), "gone": nil, "restored from a dump": restored,
	}
}

// Expired, revoked and used up are for ever, whatever the fast path forgets or
// believes, and whichever node is restarted.
func promiseL3(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	_, expired := w.link(anna, img.ID, app.LinkInput{ExpiresIn: 30})
	revokedLink, revoked := w.link(anna, img.ID, app.LinkInput{ExpiresIn: 3000})
	_, usedUp := w.link(anna, img.ID, app.LinkInput{ExpiresIn: 3000, MaxViews: 1})
	require.NoError(t, w.svc.RevokeLink(ctx, anna, revokedLink.ID))
	c, err := w.svc.OpenLink(ctx, usedUp)
	require.NoError(t, err)
	require.NoError(t, c.CountView(ctx))
	require.NoError(t, c.Body.Close())
	w.clock.advance(31 * time.Second)
	dead := map[string]string{"expired": expired, "revoked": revoked, "used up": usedUp}
	for fast, life := range w.fastPaths(expired, revoked, usedUp) {
		w.cfg.LinkCache = life
		node := w.node() // restarted
		for state, token := range dead {
			for range 3 {
				_, err := node.OpenLink(ctx, token)
				assert.ErrorIs(t, err, domain.LinkExpired, "%s, the fast path is %s", state, fast)
			}
		}
	}
}

// Valid links survive whatever becomes of the fast path and of the process.
func promiseL4(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	tokens := make([]string, 100)
	for i := range tokens {
		_, tokens[i] = w.link(anna, img.ID, app.LinkInput{ExpiresIn: 300})
	}
	for fast, life := range w.fastPaths(tokens...) {
		w.cfg.LinkCache = life
		node := w.node()
		for _, token := range tokens {
			got, err := read(node.OpenLink(ctx, token))
			require.NoError(t, err, "the fast path is %s", fast)
			require.Equal(t, photo(), got)
		}
	}
}

// Two nodes whose clocks differ by two minutes from the database's judge alike.
func promiseL6(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	nodes := map[string]*app.Service{}
	for name, off := range map[string]time.Duration{"ahead": 2 * time.Minute, "behind": -2 * time.Minute} {
		w.cfg.Now = func() time.Time { return w.clock.now().Add(off) }
		node := w.node()
		require.NoError(t, node.BootstrapTiers(ctx), "as a start does: the node learns the database's clock")
		nodes[name] = node
	}
	for maker, node := range nodes {
		l, token, err := node.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 30})
		require.NoError(t, err)
		assert.WithinDuration(t, w.clock.now(), l.CreatedAt, time.Second, "made by the node that is %s", maker)
		w.clock.advance(28 * time.Second)
		for name, other := range nodes {
			_, err := read(other.OpenLink(ctx, token))
			assert.NoError(t, err, "28 s, made %s, opened %s", maker, name)
		}
		w.clock.advance(3 * time.Second)
		for name, other := range nodes {
			_, err := other.OpenLink(ctx, token)
			assert.ErrorIs(t, err, domain.LinkExpired, "31 s, made %s, opened %s", maker, name)
		}
	}
}

// 200 parallel GETs of one cold thumbnail at two nodes: at most one generation a
// node, and 200 times the same bytes.
func promiseR1(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	var nodes []*app.Service
	var counts []*countingResizer
	plain := w.cfg.Resizer
	gate := make(chan struct{})
	for range 2 {
		count := &countingResizer{Resizer: plain, gate: gate}
		w.cfg.Resizer = count
		counts = append(counts, count)
		nodes = append(nodes, w.node())
	}
	bodies := make([][]byte, 200)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			var err error
			bodies[i], err = read(nodes[i%2].Open(ctx, anna, img.ID, thumbnail(200)))
			assert.NoError(t, err)
		})
	}
	require.Eventually(t, func() bool { return counts[0].running.Load() == 1 && counts[1].running.Load() == 1 }, 10*time.Second, time.Millisecond)
	close(gate)
	wg.Wait()
	for i := range bodies {
		require.Equal(t, bodies[0], bodies[i])
	}
	for i, count := range counts {
		assert.EqualValues(t, 1, count.made.Load(), "node %d", i)
	}
	assert.Equal(t, 2, w.keys(), "the original and one thumbnail")
}

// What a client gave up stops costing: nobody waits for the thumbnail, and its making ends.
func promiseR2(t *testing.T) {
	var slow *countingResizer
	w := newWorld(t, func(c *app.Config) {
		slow = &countingResizer{Resizer: c.Resizer, gate: make(chan struct{})}
		c.Resizer = slow
	})
	anna := w.user("anna", domain.BasicTier)
	const n = 20
	left, leave := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range n {
		img := w.upload(anna)
		wg.Go(func() {
			_, err := w.svc.Open(left, anna, img.ID, thumbnail(200))
			assert.ErrorIs(t, err, domain.Unavailable)
		})
	}
	require.Eventually(t, func() bool { return slow.running.Load() == n }, 10*time.Second, time.Millisecond)
	leave()
	require.Eventually(t, func() bool { return slow.running.Load() == 0 }, 3*time.Second, time.Millisecond, "1 s, with threefold slack")
	wg.Wait()
	assert.Zero(t, slow.made.Load())
	assert.Equal(t, n, w.keys(), "the originals alone")
}

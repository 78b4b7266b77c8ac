package app_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func TestCreateLink(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	basic := w.user("basic", domain.BasicTier)
	img, theirs := w.upload(anna), w.upload(basic)
	for name, c := range map[string]struct {
		actor domain.Actor
		id    domain.ID
		in    app.LinkInput
		want  domain.Code
	}{
		"shortest":              {anna, img.ID, app.LinkInput{ExpiresIn: 30}, ""},
		"longest":               {anna, img.ID, app.LinkInput{ExpiresIn: 30000}, ""},
		"too short":             {anna, img.ID, app.LinkInput{ExpiresIn: 29}, domain.Invalid},
		"too long":              {anna, img.ID, app.LinkInput{ExpiresIn: 30001}, domain.Invalid},
		"zero":                  {anna, img.ID, app.LinkInput{}, domain.Invalid},
		"negative":              {anna, img.ID, app.LinkInput{ExpiresIn: -300}, domain.Invalid},
		"huge":                  {anna, img.ID, app.LinkInput{ExpiresIn: math.MaxInt64}, domain.Invalid},
		"negative views":        {anna, img.ID, app.LinkInput{ExpiresIn: 300, MaxViews: -1}, domain.Invalid},
		"huge views":            {anna, img.ID, app.LinkInput{ExpiresIn: 300, MaxViews: math.MaxInt64}, domain.Invalid},
		"a permitted thumbnail": {anna, img.ID, app.LinkInput{ExpiresIn: 300, Variant: ptr(thumbnail(400))}, ""},
		"an unpermitted one":    {anna, img.ID, app.LinkInput{ExpiresIn: 300, Variant: ptr(thumbnail(401))}, domain.Denied},
		"basic":                 {basic, theirs.ID, app.LinkInput{ExpiresIn: 300}, domain.Denied},
		"basic, bad input too":  {basic, theirs.ID, app.LinkInput{}, domain.Denied},
		"unknown image":         {anna, domain.ID{7}, app.LinkInput{ExpiresIn: 300}, domain.NotFound},
		"another's image":       {anna, theirs.ID, app.LinkInput{ExpiresIn: 300}, domain.NotFound},
		"nobody":                {domain.Actor{}, img.ID, app.LinkInput{ExpiresIn: 300}, domain.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			l, token, err := w.svc.CreateLink(ctx, c.actor, c.id, c.in)
			assert.Equal(t, c.want, domain.CodeOf(err), "%v", err)
			if c.want != "" {
				assert.Empty(t, token)
				return
			}
			assert.Equal(t, domain.LinkStateActive, l.State)
			assert.Equal(t, time.Duration(c.in.ExpiresIn)*time.Second, l.ExpiresAt.Sub(l.CreatedAt))
			got, err := read(w.svc.OpenLink(ctx, token))
			require.NoError(t, err)
			if c.in.Variant == nil {
				assert.Equal(t, photo(), got, "the original by default")
			}
		})
	}
	_, err := w.svc.CreateTier(ctx, w.root, "Sharer", app.TierChange{
		Permissions: &[]string{"thumbnail:100", "thumbnail:300", "can_generate_expiring_link"},
		Limits:      map[string]*int64{"link_ttl_max_seconds": ptr(int64(60))},
	})
	require.NoError(t, err)
	sharer := w.user("sharer", "Sharer")
	img = w.upload(sharer)
	l, _, err := w.svc.CreateLink(ctx, sharer, img.ID, app.LinkInput{ExpiresIn: 60})
	require.NoError(t, err)
	assert.Equal(t, "thumbnail:300", l.Variant.String(), "else the tallest permitted")
	_, _, err = w.svc.CreateLink(ctx, sharer, img.ID, app.LinkInput{ExpiresIn: 61})
	assert.ErrorIs(t, err, domain.Invalid, "the tier says less")
}

// A link lives exactly as said.
func promiseL2(t *testing.T) {
	for name, life := range map[string]bool{"with fast path": true, "database alone": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *app.Config) {
				if !life {
					c.LinkCache = nil
				}
			})
			anna := w.user("anna", domain.EnterpriseTier)
			img := w.upload(anna)
			_, token, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 30})
			require.NoError(t, err)
			w.clock.advance(29 * time.Second)
			_, err = read(w.svc.OpenLink(ctx, token))
			assert.NoError(t, err, "29 s")
			w.clock.advance(2 * time.Second)
			for range 2 {
				_, err = w.svc.OpenLink(ctx, token)
				assert.ErrorIs(t, err, domain.LinkExpired, "31 s")
				assert.Equal(t, "Link has expired", domain.AsError(err).Msg)
			}
			links, _, err := w.svc.Links(ctx, anna, img.ID, ports.Page{Limit: 5})
			require.NoError(t, err)
			require.Len(t, links, 1, "dead ones included")
			assert.Equal(t, domain.LinkStateExpired, links[0].State)
			w.clock.advance(domain.DeadLinkRetention + 10*time.Hour)
			r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
			require.NoError(t, err)
			assert.Equal(t, 1, r.Links)
			w.clock.advance(10 * time.Hour) // and what the fast path remembers has run out
			_, err = w.svc.OpenLink(ctx, token)
			assert.ErrorIs(t, err, domain.NotFound)
		})
	}
}

// max_views holds under a race, on two nodes.
func promiseL8(t *testing.T) {
	w := newWorld(t)
	other := w.node()
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	l, token, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300, MaxViews: 5})
	require.NoError(t, err)
	var bodies atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			c, err := []*app.Service{w.svc, other}[i%2].OpenLink(ctx, token)
			if err != nil {
				assert.ErrorIs(t, err, domain.LinkExpired)
				return
			}
			defer c.Body.Close()
			assert.True(t, c.ViewsBound)
			if err := c.CountView(ctx); err == nil {
				bodies.Add(1)
			} else {
				assert.ErrorIs(t, err, domain.LinkExpired)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 5, bodies.Load())
	got, _, err := w.svc.Links(ctx, anna, img.ID, ports.Page{Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, domain.LinkStateUsedUp, got[0].State)
	assert.EqualValues(t, 5, got[0].Views)
	assert.Equal(t, l.ID, got[0].ID)
}

// Links are unguessable, and only a hash of the secret is stored.
func promiseA9(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	const n = 10000
	seen := make(map[string]bool, n)
	prefixes := map[string]int{}
	ordered := 0
	last := ""
	for range n {
		l, token, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
		require.NoError(t, err)
		require.False(t, seen[token])
		require.Len(t, token, 32, "192 bits")
		require.NotContains(t, string(l.Hash[:]), token)
		seen[token] = true
		prefixes[token[:3]]++
		if token > last {
			ordered++
		}
		last = token
	}
	for p, count := range prefixes {
		require.Less(t, count, 12, "too many begin with %s", p) // 10,000 over 262,144 prefixes
	}
	assert.InDelta(t, n/2, ordered, 400, "no order")
	for _, guess := range []string{"", "x", strings.Repeat("A", 32), strings.Repeat("A", 31), strings.Repeat("A", 33), "../" + strings.Repeat("A", 29), last + "=", last[:31] + "*"} {
		_, err := w.svc.OpenLink(ctx, guess)
		assert.ErrorIs(t, err, domain.NotFound, "%q", guess)
	}
}

func TestLinkViewsAreCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	_, token, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
	require.NoError(t, err)
	for range 3 {
		c, err := w.svc.OpenLink(ctx, token)
		require.NoError(t, err)
		require.NoError(t, c.CountView(ctx))
		c.Body.Close()
	}
	require.Eventually(t, func() bool {
		l, _, err := w.svc.Links(ctx, anna, img.ID, ports.Page{Limit: 1})
		return err == nil && l[0].Views == 3
	}, 6*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		l, err := w.cfg.Records.Links.List(ctx, anna.User.ID, img.ID, ports.Page{Limit: 1})
		return err == nil && l[0].Views == 3
	}, 6*time.Second, 10*time.Millisecond, "written down within a second or so")
}

func TestRevokeLink(t *testing.T) {
	w := newWorld(t)
	anna, eve := w.user("anna", domain.EnterpriseTier), w.user("eve", domain.EnterpriseTier)
	img := w.upload(anna)
	l, token, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300, MaxViews: 1})
	require.NoError(t, err)
	assert.ErrorIs(t, w.svc.RevokeLink(ctx, domain.Actor{}, l.ID), domain.Unauthenticated)
	assert.ErrorIs(t, w.svc.RevokeLink(ctx, eve, l.ID), domain.NotFound)
	assert.ErrorIs(t, w.svc.RevokeLink(ctx, anna, domain.ID{1}), domain.NotFound)
	long, err := w.svc.OpenLink(ctx, token)
	require.NoError(t, err)
	defer long.Body.Close()
	require.NoError(t, long.CountView(ctx))
	require.NoError(t, long.Recheck(ctx), "its own view, the last one, does not end it")
	require.NoError(t, w.svc.RevokeLink(ctx, anna, l.ID))
	assert.ErrorIs(t, long.Recheck(ctx), domain.LinkExpired, "a body under way ends")
	_, err = w.svc.OpenLink(ctx, token)
	assert.ErrorIs(t, err, domain.LinkExpired)
	require.NoError(t, w.svc.RevokeLink(ctx, anna, l.ID), "twice is no error")

	l, token, err = w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
	require.NoError(t, err)
	require.NoError(t, w.svc.RevokeLink(ctx, w.root, l.ID), "an admin may")
	_, err = w.node().OpenLink(ctx, token)
	assert.ErrorIs(t, err, domain.LinkExpired)
	all, _, err := w.svc.AllLinks(ctx, w.root, app.Filter{Username: "anna"}, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, all, 2)
	all, _, err = w.svc.AllLinks(ctx, w.root, app.Filter{}, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, all, 2)
	assert.Equal(t, domain.LinkStateRevoked, all[0].State)
}

// mute is a fast path that is unavailable: the database answers.
type mute struct{}

var errUnavailable = errors.New("unavailable")

func (mute) Get(context.Context, domain.SecretHash) (ports.LinkStatus, error) {
	return 0, errUnavailable
}

func (mute) Put(context.Context, domain.SecretHash, time.Duration) error { return errUnavailable }

func (mute) MarkDead(context.Context, domain.SecretHash, time.Duration) error { return errUnavailable }

func (mute) Allow(context.Context, string, ports.Rate) (ports.RateState, error) {
	return ports.RateState{}, errUnavailable
}

func (mute) Peek(context.Context, string, ports.Rate) (ports.RateState, error) {
	return ports.RateState{}, errUnavailable
}
func (mute) Reset(context.Context, string) error                { return errUnavailable }
func (mute) Publish(context.Context) error                      { return errUnavailable }
func (mute) Subscribe(context.Context) (<-chan struct{}, error) { return nil, errUnavailable }

func TestFastPathsMayBeAway(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	w.cfg.LinkCache, w.cfg.Notices, w.cfg.RateLimits = mute{}, mute{}, mute{}
	svc := w.node()
	l, token, err := svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
	require.NoError(t, err)
	_, err = read(svc.OpenLink(ctx, token))
	require.NoError(t, err)
	require.NoError(t, svc.RevokeLink(ctx, anna, l.ID))
	_, err = svc.OpenLink(ctx, token)
	assert.ErrorIs(t, err, domain.LinkExpired)
	limit, _, err := svc.Limit(ctx, anna)
	require.NoError(t, err)
	assert.Equal(t, domain.NoLimit, limit)
	anna.Entitlements.Limits.RequestsPerMinute = 1
	_, _, err = svc.Limit(ctx, anna)
	assert.NoError(t, err, "a limiter that is unavailable lets requests pass")
	_, _, err = svc.SignIn(ctx, "anna", password, "192.0.2.9")
	assert.ErrorIs(t, err, domain.Unavailable, "but nobody guesses passwords without one")
	require.NoError(t, svc.DeleteImage(ctx, anna, img.ID))
}

// late tells its first caller that a thumbnail is not there, but only after meanwhile.
type late struct {
	ports.Blobs
	first     atomic.Bool
	meanwhile func()
}

func (l *late) Open(ctx context.Context, key string) (ports.Blob, error) {
	b, err := l.Blobs.Open(ctx, key)
	if errors.Is(err, domain.NotFound) && key != ports.InstallationKey && l.first.CompareAndSwap(false, true) {
		l.meanwhile()
	}
	return b, err
}

// Who was told that a thumbnail is missing, and asks for it when it has just been made, does not make it again.
func TestThumbnailMadeMeanwhile(t *testing.T) {
	var counted *countingResizer
	store := &late{}
	w := newWorld(t, func(c *app.Config) {
		counted = &countingResizer{Resizer: c.Resizer, gate: make(chan struct{})}
		close(counted.gate)
		c.Resizer = counted
		store.Blobs, c.Blobs = c.Blobs, store
	})
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	var other []byte
	store.meanwhile = func() {
		var err error
		other, err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
		assert.NoError(t, err)
	}
	mine, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
	require.NoError(t, err)
	assert.Equal(t, other, mine)
	assert.EqualValues(t, 1, counted.made.Load())
}

// 200 callers of one cold thumbnail make it once; a caller that leaves does not take it from the others.
func TestColdThumbnailIsMadeOnce(t *testing.T) {
	var slow *countingResizer
	w := newWorld(t, func(c *app.Config) {
		slow = &countingResizer{Resizer: c.Resizer, gate: make(chan struct{})}
		c.Resizer = slow
	})
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	var wg sync.WaitGroup
	first, leave := context.WithCancel(ctx)
	wg.Go(func() {
		_, err := w.svc.Open(first, anna, img.ID, thumbnail(200))
		assert.ErrorIs(t, err, domain.Unavailable)
	})
	require.Eventually(t, func() bool { return slow.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	bodies := make([][]byte, 50)
	for i := range bodies {
		wg.Go(func() {
			var err error
			bodies[i], err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
			assert.NoError(t, err)
		})
	}
	time.Sleep(20 * time.Millisecond)
	leave()
	time.Sleep(20 * time.Millisecond)
	close(slow.gate)
	wg.Wait()
	for _, b := range bodies {
		assert.True(t, bytes.Equal(bodies[0], b))
	}
	assert.EqualValues(t, 1, slow.made.Load())
	// When everybody leaves, the work stops.
	slow.gate = make(chan struct{})
	img = w.upload(anna)
	alone, gone := context.WithCancel(ctx)
	wg.Go(func() {
		_, err := w.svc.Open(alone, anna, img.ID, thumbnail(200))
		assert.Error(t, err)
	})
	require.Eventually(t, func() bool { return slow.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	gone()
	require.Eventually(t, func() bool { return slow.running.Load() == 0 }, 5*time.Second, time.Millisecond, "nobody waits: the work stops")
	wg.Wait()
}

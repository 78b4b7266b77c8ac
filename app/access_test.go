package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
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

// signed returns the signature of a variant's URL as its owner sees it.
func (w *world) signed(a domain.Actor, id domain.ID, v domain.Variant) app.SignatureText {
	w.t.Helper()
	iv, err := w.svc.Image(ctx, a, id)
	require.NoError(w.t, err)
	if v.IsOriginal() {
		require.NotNil(w.t, iv.Original)
		return fromQuery(w.t, iv.Original.Query())
	}
	for _, th := range iv.Thumbnails {
		if th.RequestedHeight == v.Height() {
			return fromQuery(w.t, th.Signature.Query())
		}
	}
	w.t.Fatalf("no URL of %v", v)
	return app.SignatureText{}
}

func fromQuery(t testing.TB, query string) app.SignatureText {
	t.Helper()
	v, err := url.ParseQuery(query)
	require.NoError(t, err)
	return app.SignatureText{Expires: v.Get("expires"), Owner: v.Get("owner"), Signature: v.Get("signature")}
}

func TestTiersDecide(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	w := newWorld(t)
	_, err := w.svc.CreateTier(ctx, w.root, "Custom", app.TierChange{Permissions: &[]string{"thumbnail:200", "thumbnail:600", "can_generate_expiring_link"}})
	require.NoError(t, err)
	for tier, c := range map[string]struct {
		heights        []int
		original, link bool
	}{
		domain.BasicTier:      {[]int{200}, false, false},
		domain.PremiumTier:    {[]int{200, 400}, false, false},
		domain.EnterpriseTier: {[]int{200, 400}, true, true},
		"Custom":              {[]int{200, 600}, false, true},
		"":                    {nil, false, false},
	} {
		t.Run(tier, func(t *testing.T) {
			var tiers []string
			if tier != "" {
				tiers = []string{tier}
			}
			a := w.user("user-of-"+tier, tiers...)
			img := w.upload(a)
			iv, err := w.svc.ImageDetails(ctx, img)
			require.NoError(t, err)
			var got []int
			for _, th := range iv.Thumbnails {
				got = append(got, th.RequestedHeight)
			}
			assert.Equal(t, c.heights, got)
			assert.Equal(t, c.original, iv.Original != nil)
			before := w.keys()
			for _, h := range []int{1, 199, 200, 201, 400, 600, 4320} {
				_, err := read(w.svc.Open(ctx, a, img.ID, thumbnail(h)))
				if allowed := contains(c.heights, h); allowed {
					assert.NoError(t, err, h)
				} else {
					assert.Equal(t, domain.Denied, domain.CodeOf(err), h)
				}
			}
			assert.Equal(t, before+len(c.heights), w.keys(), "nothing is made that is not permitted")
			_, err = read(w.svc.Open(ctx, a, img.ID, domain.Original))
			assert.Equal(t, c.original, err == nil)
			_, _, err = w.svc.CreateLink(ctx, a, img.ID, app.LinkInput{ExpiresIn: 300})
			if c.link {
				assert.NoError(t, err)
			} else {
				assert.Equal(t, domain.Denied, domain.CodeOf(err))
			}
		})
	}
}

func contains(hs []int, h int) bool {
	for _, x := range hs {
		if x == h {
			return true
		}
	}
	return false
}

func TestForeignImageIsAsIfItNeverWas(t *testing.T) {
	w := newWorld(t)
	anna, eve := w.user("anna", domain.EnterpriseTier), w.user("eve", domain.EnterpriseTier)
	img := w.upload(anna)
	link, _, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
	require.NoError(t, err)
	never := domain.FirstIDAt(time.Now())
	for name, do := range map[string]func(a domain.Actor, id domain.ID) error{
		"image": func(a domain.Actor, id domain.ID) error { _, err := w.svc.Image(ctx, a, id); return err },
		"original": func(a domain.Actor, id domain.ID) error {
			_, err := w.svc.Open(ctx, a, id, domain.Original)
			return err
		},
		"thumbnail": func(a domain.Actor, id domain.ID) error { _, err := w.svc.Open(ctx, a, id, thumbnail(200)); return err },
		"unpermitted thumbnail": func(a domain.Actor, id domain.ID) error {
			_, err := w.svc.Open(ctx, a, id, thumbnail(77))
			return err
		},
		"delete": func(a domain.Actor, id domain.ID) error { return w.svc.DeleteImage(ctx, a, id) },
		"access": func(a domain.Actor, id domain.ID) error {
			_, err := w.svc.Access(ctx, a, id, app.WhatIf{})
			return err
		},
		"links": func(a domain.Actor, id domain.ID) error {
			_, _, err := w.svc.Links(ctx, a, id, ports.Page{Limit: 5})
			return err
		},
		"create link": func(a domain.Actor, id domain.ID) error {
			_, _, err := w.svc.CreateLink(ctx, a, id, app.LinkInput{ExpiresIn: 300})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			theirs, none := do(eve, img.ID), do(eve, never)
			assert.Equal(t, domain.NotFound, domain.CodeOf(theirs))
			assert.Equal(t, domain.AsError(none), domain.AsError(theirs), "to the letter")
			assert.Equal(t, domain.Unauthenticated, domain.CodeOf(do(domain.Actor{}, img.ID)))
		})
	}
	assert.Equal(t, domain.NotFound, domain.CodeOf(w.svc.RevokeLink(ctx, eve, link.ID)))
	links, _, err := w.svc.Links(ctx, anna, img.ID, ports.Page{Limit: 5})
	require.NoError(t, err)
	assert.Len(t, links, 1, "A2: nothing was written")
	assert.Equal(t, domain.LinkStateActive, links[0].State)
}

func TestAdminSeesAll(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	_, err := w.svc.UpdateUser(ctx, w.root, "anna", app.UserChange{})
	require.NoError(t, err)
	w.user("boss")
	_, err = w.svc.UpdateUser(ctx, w.root, "boss", app.UserChange{IsAdmin: ptr(true)})
	require.NoError(t, err)
	boss := w.actor("boss")
	iv, err := w.svc.Image(ctx, boss, img.ID)
	require.NoError(t, err)
	assert.Len(t, iv.Thumbnails, 1, "the owner's URLs")
	got, err := read(w.svc.Open(ctx, boss, img.ID, domain.Original))
	require.NoError(t, err)
	assert.Equal(t, photo(), got)
	_, err = read(w.svc.Open(ctx, boss, img.ID, thumbnail(400)))
	assert.NoError(t, err, "a height that some tier has")
	_, err = w.svc.Open(ctx, boss, img.ID, thumbnail(401))
	assert.ErrorIs(t, err, domain.Denied)
	_, _, err = w.svc.CreateLink(ctx, boss, img.ID, app.LinkInput{ExpiresIn: 300})
	assert.ErrorIs(t, err, domain.Denied)
	all, _, err := w.svc.AllImages(ctx, boss, app.Filter{}, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, all, 1)
	all, _, err = w.svc.AllImages(ctx, boss, app.Filter{Username: "anna", TimeRange: ports.TimeRange{From: w.clock.now().Add(-time.Hour), To: w.clock.now().Add(time.Hour)}}, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, all, 1)
	all, _, err = w.svc.AllImages(ctx, boss, app.Filter{Username: "anna", TimeRange: ports.TimeRange{To: w.clock.now().Add(-time.Hour)}}, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Empty(t, all)
	all, _, err = w.svc.AllImages(ctx, boss, app.Filter{Username: "anna", TimeRange: ports.TimeRange{From: w.clock.now().Add(time.Hour)}}, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Empty(t, all)
	_, _, err = w.svc.AllImages(ctx, boss, app.Filter{Username: "nobody"}, ports.Page{Limit: 10})
	assert.ErrorIs(t, err, domain.NotFound)
	require.NoError(t, w.svc.DeleteImage(ctx, boss, img.ID))
	_, err = w.svc.Image(ctx, boss, img.ID)
	assert.ErrorIs(t, err, domain.NotFound)
	entries, _, err := w.svc.Audit(ctx, boss, app.Filter{Username: "boss"}, ports.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.Equal(t, "image.delete", entries[0].Action)
}

func TestSignedURLs(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	sig := w.signed(anna, img.ID, thumbnail(200))
	c, err := w.svc.OpenSigned(ctx, sig, img.ID, thumbnail(200))
	require.NoError(t, err)
	assert.True(t, c.Public)
	left := c.Expires.Sub(w.clock.now())
	assert.True(t, left > time.Hour && left <= 2*time.Hour, "%v", left)
	c.Body.Close()

	// The same text for an hour, and then one that overlaps.
	changed := 0
	last := sig
	for range 60 {
		w.clock.advance(time.Minute)
		if now := w.signed(anna, img.ID, thumbnail(200)); now != last {
			last = now
			changed++
		}
	}
	assert.Equal(t, 1, changed, "one change within an hour")
	_, err = read(w.svc.OpenSigned(ctx, sig, img.ID, thumbnail(200)))
	assert.NoError(t, err, "the old one still serves")
	w.clock.advance(2 * time.Hour)
	_, err = w.svc.OpenSigned(ctx, sig, img.ID, thumbnail(200))
	assert.ErrorIs(t, err, domain.Denied, "expired")
	sig = w.signed(anna, img.ID, thumbnail(200))

	for name, bad := range map[string]func() (app.SignatureText, domain.ID, domain.Variant){
		"another height": func() (app.SignatureText, domain.ID, domain.Variant) { return sig, img.ID, thumbnail(400) },
		"the original":   func() (app.SignatureText, domain.ID, domain.Variant) { return sig, img.ID, domain.Original },
		"another image": func() (app.SignatureText, domain.ID, domain.Variant) {
			id := img.ID
			id[15] ^= 1
			return sig, id, thumbnail(200)
		},
		"longer life": func() (app.SignatureText, domain.ID, domain.Variant) {
			s := sig
			n, _ := strconv.ParseInt(s.Expires, 10, 64)
			s.Expires = strconv.FormatInt(n+1, 10)
			return s, img.ID, thumbnail(200)
		},
		"leading zero": func() (app.SignatureText, domain.ID, domain.Variant) {
			s := sig
			s.Expires = "0" + s.Expires
			return s, img.ID, thumbnail(200)
		},
		"other owner": func() (app.SignatureText, domain.ID, domain.Variant) {
			s := sig
			s.Owner = "AAAAAAAAAAAAAAAAAAAAAA"
			return s, img.ID, thumbnail(200)
		},
		"empty": func() (app.SignatureText, domain.ID, domain.Variant) {
			return app.SignatureText{}, img.ID, thumbnail(200)
		},
		"padding bits": func() (app.SignatureText, domain.ID, domain.Variant) {
			s := sig
			s.Signature = s.Signature[:21] + string(s.Signature[21]+1)
			return s, img.ID, thumbnail(200)
		},
		"not base64": func() (app.SignatureText, domain.ID, domain.Variant) {
			s := sig
			s.Signature = strings.Repeat("*", 22)
			return s, img.ID, thumbnail(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, id, v := bad()
			_, err := w.svc.OpenSigned(ctx, s, id, v)
			assert.Equal(t, domain.Denied, domain.CodeOf(err))
		})
	}
	for i := range len(sig.Signature) {
		s := sig
		c := byte('A')
		if s.Signature[i] == c {
			c = 'B'
		}
		s.Signature = s.Signature[:i] + string(c) + s.Signature[i+1:]
		_, err := w.svc.OpenSigned(ctx, s, img.ID, thumbnail(200))
		assert.Error(t, err)
	}
}

func TestSecretKeysRotate(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	sig := w.signed(anna, img.ID, thumbnail(200))
	old := w.cfg.SecretKeys
	w.cfg.SecretKeys = append([][]byte{[]byte("the new key, 16 bytes at least")}, old...)
	_, err := read(w.node().OpenSigned(ctx, sig, img.ID, thumbnail(200)))
	assert.NoError(t, err, "an old key still verifies")
	w.cfg.SecretKeys = w.cfg.SecretKeys[:1]
	_, err = w.node().OpenSigned(ctx, sig, img.ID, thumbnail(200))
	assert.ErrorIs(t, err, domain.Denied)
	w.cfg.SecretKeys = [][]byte{[]byte("short")}
	_, err = app.New(w.cfg)
	assert.Error(t, err)
}

// takings are the ways in which an owner loses an image's bytes.
func (w *world) takings() map[string]func(name string, img domain.Image) {
	return map[string]func(string, domain.Image){
		"downgrade":  func(name string, _ domain.Image) { w.setTiers(name) },
		"deactivate": func(name string, _ domain.Image) { w.change(name, app.UserChange{IsActive: ptr(false)}) },
		"image deleted": func(_ string, img domain.Image) {
			require.NoError(w.t, w.svc.DeleteImage(ctx, w.root, img.ID))
		},
		"user deleted": func(name string, _ domain.Image) { require.NoError(w.t, w.svc.DeleteUser(ctx, w.root, name)) },
	}
}

func (w *world) change(name string, c app.UserChange) {
	w.t.Helper()
	_, err := w.svc.UpdateUser(ctx, w.root, name, c)
	require.NoError(w.t, err)
}

// A permission change acts at once: on this node when the admin has the answer, on others within 2 s.
func promiseA6(t *testing.T) {
	w := newWorld(t)
	other := w.node()
	n := 0
	for name, take := range w.takings() {
		t.Run(name, func(t *testing.T) {
			n++
			user := "user" + strconv.Itoa(n)
			a := w.user(user, domain.EnterpriseTier)
			img := w.upload(a)
			sig := w.signed(a, img.ID, thumbnail(200))
			warm := func(s *app.Service) error { _, err := read(s.OpenSigned(ctx, sig, img.ID, thumbnail(200))); return err }
			require.NoError(t, warm(w.svc))
			require.NoError(t, warm(other))
			take(user, img)
			taken := time.Now()
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() { assert.Error(t, warm(w.svc), "a byte that is no longer permitted") })
			}
			wg.Wait()
			// Threefold slack on the other node's 2 s.
			for time.Since(taken) < 6*time.Second {
				if warm(other) != nil {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			assert.Error(t, warm(other))
		})
	}
	// A tier's change reaches its members; a grant's too.
	a := w.user("tiered", domain.PremiumTier)
	img := w.upload(a)
	sig := w.signed(a, img.ID, thumbnail(400))
	_, err := read(w.svc.OpenSigned(ctx, sig, img.ID, thumbnail(400)))
	require.NoError(t, err)
	_, err = w.svc.UpdateTier(ctx, w.root, domain.PremiumTier, app.TierChange{Permissions: &[]string{"thumbnail:200"}})
	require.NoError(t, err)
	_, err = w.svc.OpenSigned(ctx, sig, img.ID, thumbnail(400))
	assert.ErrorIs(t, err, domain.Denied)
	w.change("tiered", app.UserChange{Permissions: &[]string{"thumbnail:400"}})
	_, err = read(w.svc.OpenSigned(ctx, sig, img.ID, thumbnail(400)))
	assert.NoError(t, err, "the same URL, permitted again")
}

// Downgrade, deactivation, image and user deletion kill links and signed URLs.
func promiseA7(t *testing.T) {
	w := newWorld(t)
	n := 0
	for name, take := range w.takings() {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				n++
				user := "a7-" + strconv.Itoa(n)
				a := w.user(user, domain.EnterpriseTier)
				img := w.upload(a)
				_, token, err := w.svc.CreateLink(ctx, a, img.ID, app.LinkInput{ExpiresIn: 300})
				require.NoError(t, err)
				orig, small := w.signed(a, img.ID, domain.Original), w.signed(a, img.ID, thumbnail(200))
				_, err = read(w.svc.OpenLink(ctx, token))
				require.NoError(t, err)
				_, err = read(w.svc.OpenSigned(ctx, small, img.ID, thumbnail(200)))
				require.NoError(t, err)
				long, err := w.svc.OpenSigned(ctx, orig, img.ID, domain.Original)
				require.NoError(t, err)
				require.NoError(t, long.Recheck(ctx))
				byName, err := w.svc.Open(ctx, a, img.ID, domain.Original)
				require.NoError(t, err)
				require.NoError(t, byName.Recheck(ctx))

				take(user, img)

				_, err = w.svc.OpenLink(ctx, token)
				assert.ErrorIs(t, err, domain.LinkExpired)
				gone := domain.Denied
				if strings.HasSuffix(name, "deleted") {
					gone = domain.NotFound
				}
				_, err = w.svc.OpenSigned(ctx, orig, img.ID, domain.Original)
				assert.Equal(t, gone, domain.CodeOf(err))
				_, err = w.svc.OpenSigned(ctx, small, img.ID, thumbnail(200))
				assert.Equal(t, gone, domain.CodeOf(err))
				assert.Error(t, long.Recheck(ctx), "a body under way ends")
				long.Body.Close()
				assert.Error(t, byName.Recheck(ctx), "by credentials too")
				byName.Body.Close()
			}
		})
	}
	// What comes back, comes back: a suspended link lives again with its permission.
	a := w.user("back", domain.EnterpriseTier)
	img := w.upload(a)
	_, token, err := w.svc.CreateLink(ctx, a, img.ID, app.LinkInput{ExpiresIn: 300})
	require.NoError(t, err)
	w.setTiers("back")
	_, err = w.svc.OpenLink(ctx, token)
	require.ErrorIs(t, err, domain.LinkExpired)
	links, _, err := w.svc.Links(ctx, a, img.ID, ports.Page{Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, domain.LinkStateSuspended, links[0].State)
	w.setTiers("back", domain.EnterpriseTier)
	_, err = read(w.svc.OpenLink(ctx, token))
	assert.NoError(t, err)
}

// cutOff is a change feed that can be cut off.
type cutOff struct {
	ports.Changes
	mu  sync.Mutex
	off bool
}

func (a *cutOff) Since(ctx context.Context, v ports.Cursor) (ports.Feed, error) {
	a.mu.Lock()
	off := a.off
	a.mu.Unlock()
	if off {
		return ports.Feed{}, errors.New("unavailable")
	}
	return a.Changes.Since(ctx, v)
}

// A node that hears nothing trusts nothing it remembers, once 2 s have passed.
func TestStaleFeedReadsTheDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	w := newWorld(t)
	cut := &cutOff{Changes: w.cfg.Records.Changes}
	w.cfg.Records.Changes = cut
	deaf := w.node()
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	sig := w.signed(anna, img.ID, thumbnail(200))
	_, err := read(deaf.OpenSigned(ctx, sig, img.ID, thumbnail(200)))
	require.NoError(t, err)
	cut.mu.Lock()
	cut.off = true
	cut.mu.Unlock()
	w.setTiers("anna")
	deadline := time.Now().Add(6 * time.Second)
	for {
		if _, err = deaf.OpenSigned(ctx, sig, img.ID, thumbnail(200)); err != nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	assert.ErrorIs(t, err, domain.Denied)
	cut.mu.Lock()
	cut.off = false
	cut.mu.Unlock()
}

func TestAccessExplains(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	rows := func(a domain.Actor, what app.WhatIf) map[string]string {
		got, err := w.svc.Access(ctx, a, img.ID, what)
		require.NoError(t, err)
		out := map[string]string{}
		for _, r := range got.Rows {
			out[r.Action.String()] = fmt.Sprint(r.Decision.Allowed, " ", r.Decision.Reason, " ", r.Decision.Source, " ", r.SmallestTier)
			direct, err := w.svc.Explain(ctx, w.root, got.User.Username, img.ID, r.Action)
			require.NoError(t, err)
			if what.Tier == "" {
				assert.Equal(t, r, direct, "explain agrees")
			}
		}
		return out
	}
	assert.Equal(t, map[string]string{
		"original":      "false missing  EnterpriseTierUsers",
		"thumbnail:200": "true tier BasicTierUsers BasicTierUsers",
		"thumbnail:400": "false missing  PremiumTierUsers",
		"link":          "false missing  EnterpriseTierUsers",
	}, rows(anna, app.WhatIf{}))
	assert.Equal(t, "true tier EnterpriseTierUsers EnterpriseTierUsers", rows(anna, app.WhatIf{Tier: domain.EnterpriseTier})["link"])
	_, err := w.svc.Access(ctx, anna, img.ID, app.WhatIf{Tier: "nope"})
	assert.ErrorIs(t, err, domain.Invalid)
	_, err = w.svc.Access(ctx, anna, img.ID, app.WhatIf{Username: "admin"})
	assert.ErrorIs(t, err, domain.Denied)
	_, err = w.svc.Access(ctx, w.root, img.ID, app.WhatIf{Username: "nobody"})
	assert.ErrorIs(t, err, domain.Invalid)
	w.user("eve", domain.EnterpriseTier)
	assert.Equal(t, "false not_owner  ", rows(w.root, app.WhatIf{Username: "eve"})["thumbnail:200"])
	w.change("anna", app.UserChange{Tiers: &[]string{}, Permissions: &[]string{"can_generate_expiring_link", "thumbnail:33"}})
	anna = w.actor("anna")
	got := rows(anna, app.WhatIf{})
	assert.Equal(t, "true grant  ", got["thumbnail:33"])
	assert.Equal(t, "true grant  EnterpriseTierUsers", got["link"])
	w.change("anna", app.UserChange{Permissions: &[]string{"can_generate_expiring_link"}})
	assert.Equal(t, "false no_variant  EnterpriseTierUsers", rows(w.actor("anna"), app.WhatIf{})["link"])
	_, _, err = w.svc.CreateLink(ctx, w.actor("anna"), img.ID, app.LinkInput{ExpiresIn: 300})
	assert.ErrorIs(t, err, domain.Denied)
}

// Deletion is complete and crash-safe; a thumbnail being made meanwhile does not come back.
func promiseR9(t *testing.T) {
	var slow *slowPut
	w := newWorld(t, func(c *app.Config) {
		slow = &slowPut{Blobs: c.Blobs, entered: make(chan struct{}), leave: make(chan struct{})}
		c.Blobs = slow
	})
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	_, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(400)))
	require.NoError(t, err)
	assert.Equal(t, 2, w.keys())
	slow.on.Store(true)
	made := make(chan error, 1)
	go func() {
		_, err := read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
		made <- err
	}()
	<-slow.entered
	require.NoError(t, w.svc.DeleteImage(ctx, anna, img.ID))
	close(slow.leave)
	assert.ErrorIs(t, <-made, domain.NotFound)
	assert.Zero(t, w.keys(), "the thumbnail did not come back")
	u, err := w.svc.Usage(ctx, anna)
	require.NoError(t, err)
	assert.Zero(t, u)

	// A store that is unavailable: the image is dead at once, the sweep finishes.
	slow.on.Store(false)
	img = w.upload(anna)
	slow.broken.Store(true)
	require.NoError(t, w.svc.DeleteImage(ctx, anna, img.ID))
	_, err = w.svc.Image(ctx, anna, img.ID)
	assert.ErrorIs(t, err, domain.NotFound)
	assert.Equal(t, 1, w.keys())
	slow.broken.Store(false)
	r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Images)
	assert.Zero(t, w.keys())

	// The same for a user with images.
	w.upload(anna)
	w.upload(anna)
	slow.broken.Store(true)
	require.NoError(t, w.svc.DeleteUser(ctx, w.root, "anna"))
	slow.broken.Store(false)
	again := w.user("anna", domain.BasicTier)
	assert.NotEqual(t, anna.User.ID, again.User.ID, "the name is free at once")
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Users)
	assert.Zero(t, w.keys())
	_, err = w.cfg.Records.Accounts.User(ctx, anna.User.ID)
	assert.ErrorIs(t, err, domain.NotFound)
}

func TestSweepOrphans(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	orphan := "images/" + anna.User.ID.String() + "/" + domain.FirstIDAt(time.Now()).String() + "/original"
	require.NoError(t, w.blobs.Put(ctx, orphan, bytes.NewReader(photo()), ports.PutOptions{Size: int64(len(photo()))}))
	require.NoError(t, w.blobs.Put(ctx, "images/readme.txt", strings.NewReader("not ours"), ports.PutOptions{Size: 8}))
	r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{MinAge: time.Hour})
	require.NoError(t, err)
	assert.Zero(t, r.Blobs, "too young")
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Blobs)
	assert.Equal(t, 3, w.keys())
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Blobs)
	assert.Equal(t, 1, r.Foreign)
	assert.Equal(t, 2, w.keys(), "the image and what is not ours")
	assert.Equal(t, 1, w.trashed())
	_, err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
	assert.NoError(t, err)
	_, err = w.svc.Sweep(ctx, anna, app.SweepOptions{})
	assert.ErrorIs(t, err, domain.Denied)
	_, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{MinAge: -1})
	assert.ErrorIs(t, err, domain.Invalid)

	// An original that is gone is told, not hidden; its thumbnail stays.
	require.NoError(t, w.blobs.Delete(ctx, "images/"+anna.User.ID.String()+"/"+img.ID.String()+"/original"))
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Missing)
	// Only one node sweeps at a time.
	now := w.clock.now()
	ok, err := w.cfg.Records.Leases.Acquire(ctx, "sweep", "another", now, now.Add(time.Minute))
	require.NoError(t, err)
	require.True(t, ok)
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.True(t, r.AlreadyBusy)
}

func TestReady(t *testing.T) {
	w := newWorld(t)
	assert.Empty(t, w.svc.Ready(ctx))
	w.cfg.Records.Changes = &cutOff{Changes: w.cfg.Records.Changes, off: true}
	assert.Contains(t, w.node().Ready(ctx), "database")

	// A database that is silent until time is up takes none from the others.
	w.cfg.Records.Changes = silent{w.cfg.Records.Changes}
	svc, err := app.New(w.cfg)
	require.NoError(t, err)
	defer svc.Close()
	bounded, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	found := svc.Ready(bounded)
	assert.Contains(t, found, "database")
	assert.Len(t, found, 1)
}

type silent struct{ ports.Changes }

func (silent) Since(ctx context.Context, _ ports.Cursor) (ports.Feed, error) {
	<-ctx.Done()
	return ports.Feed{}, ctx.Err()
}

func TestNewChecksItsConfig(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*app.Config){
		"caps":     func(c *app.Config) { c.Caps.Pixels = -1 },
		"argon2":   func(c *app.Config) { c.Argon2 = app.Argon2{MemoryKiB: 1, Iterations: 1, Parallelism: 1} },
		"weak key": func(c *app.Config) { c.SecretKeys = [][]byte{make([]byte, 15)} },
	} {
		cfg := w.cfg
		change(&cfg)
		_, err := app.New(cfg)
		assert.Error(t, err, name)
	}
}

// New names each port that is not there, and all of them at once.
func TestNewNamesEachMissingPort(t *testing.T) {
	w := newWorld(t)
	unset := map[string]func(*app.Config){
		"Records.Accounts":     func(c *app.Config) { c.Records.Accounts = nil },
		"Records.Images":       func(c *app.Config) { c.Records.Images = nil },
		"Records.Links":        func(c *app.Config) { c.Records.Links = nil },
		"Records.Audit":        func(c *app.Config) { c.Records.Audit = nil },
		"Records.Changes":      func(c *app.Config) { c.Records.Changes = nil },
		"Records.Leases":       func(c *app.Config) { c.Records.Leases = nil },
		"Records.Installation": func(c *app.Config) { c.Records.Installation = nil },
		"Blobs":                func(c *app.Config) { c.Blobs = nil },
		"Resizer":              func(c *app.Config) { c.Resizer = nil },
		"RateLimits":           func(c *app.Config) { c.RateLimits = nil },
		"SecretKeys":           func(c *app.Config) { c.SecretKeys = nil },
	}
	const prefix = "imagify: required but not set in Config: "
	var none app.Config
	_, err := app.New(none)
	require.Error(t, err)
	all, ok := strings.CutPrefix(err.Error(), prefix)
	require.True(t, ok, err)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(unset)), strings.Split(all, ", "))
	for name, change := range unset {
		cfg := w.cfg
		change(&cfg)
		_, err := app.New(cfg)
		assert.EqualError(t, err, prefix+name)
	}
	assert.Equal(t, 7, reflect.TypeFor[ports.Records]().NumField(), "a new noun of Records has its row above")
}

// A long body is cut when the credentials that opened it end, or stop permitting it.
func TestRecheckOfCredentials(t *testing.T) {
	off, none, secret := false, []string{}, "another password"
	for name, c := range map[string]struct {
		change app.UserChange
		code   domain.Code
	}{
		"nothing":      {app.UserChange{Email: ptr("anna@example.org")}, ""},
		"downgrade":    {app.UserChange{Tiers: &none}, domain.Denied},
		"deactivation": {app.UserChange{IsActive: &off}, domain.Unauthenticated},
		"password":     {app.UserChange{Password: &secret}, domain.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			anna := w.user("anna", domain.EnterpriseTier)
			got, err := w.svc.Open(ctx, anna, w.upload(anna).ID, domain.Original)
			require.NoError(t, err)
			defer got.Body.Close()
			require.NoError(t, got.Recheck(ctx))
			w.change("anna", c.change)
			assert.Equal(t, c.code, domain.CodeOf(got.Recheck(ctx)))
		})
	}
}

// countingImages counts the lists that read whole images.
type countingImages struct {
	ports.Images
	lists atomic.Int64
}

func (c *countingImages) List(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.Image, error) {
	c.lists.Add(1)
	return c.Images.List(ctx, owner, p)
}

func (c *countingImages) ListIDs(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error) {
	return c.Images.ListIDs(ctx, owner, p)
}

// A page of images that are known is read by ids alone, and what is new, or gone at another node, shows all the same.
func TestListReadsWhatItDoesNotKnow(t *testing.T) {
	var count *countingImages
	w := newWorld(t, func(c *app.Config) {
		count = &countingImages{Images: c.Records.Images}
		c.Records.Images = count
	})
	anna, eve := w.user("anna", domain.BasicTier), w.user("eve", domain.BasicTier)
	other := w.node()
	var want []domain.Image
	list := func(reads int64) {
		t.Helper()
		before := count.lists.Load()
		views, next, err := w.svc.Images(ctx, anna, ports.Page{Limit: 10})
		require.NoError(t, err)
		require.True(t, next.IsZero())
		require.Len(t, views, len(want))
		for i, v := range views {
			assert.Equal(t, want[i], v.Image)
			assert.Len(t, v.Thumbnails, 1)
		}
		assert.Equal(t, reads, count.lists.Load()-before)
	}
	for range 3 {
		want = append([]domain.Image{w.upload(anna)}, want...)
	}
	list(1)
	list(0)
	w.upload(eve)
	list(0)
	want = append([]domain.Image{w.upload(anna)}, want...)
	list(1)
	require.NoError(t, other.DeleteImage(ctx, anna, want[1].ID))
	want = slices.Delete(want, 1, 2)
	list(0)
	items, next, err := w.svc.Images(ctx, anna, ports.Page{Limit: 2})
	require.NoError(t, err)
	assert.Len(t, items, 2)
	assert.Equal(t, want[1].ID, next)
	w.clock.advance(time.Hour) // whatever the caches are worth, the ids are the database's
	list(0)
}

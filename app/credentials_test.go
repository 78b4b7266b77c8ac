package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	w.user("anna", domain.BasicTier)
	secret, sess, err := w.svc.SignIn(ctx, "anna", password, "192.0.2.1")
	require.NoError(t, err)
	assert.Equal(t, app.SessionLife, sess.ExpiresAt.Sub(sess.CreatedAt))
	a, err := w.svc.BySession(ctx, secret)
	require.NoError(t, err)
	assert.Equal(t, "anna", a.User.Username)
	assert.Equal(t, domain.AuthSession, a.Via)
	second, _, err := w.svc.SignIn(ctx, "anna", password, "192.0.2.1")
	require.NoError(t, err)
	assert.NotEqual(t, secret, second, "T1: a new one at every sign-in")
	_, err = w.svc.BySession(ctx, "chosen by the client")
	assert.ErrorIs(t, err, domain.Unauthenticated)
	w.clock.advance(app.SessionLife + time.Second)
	_, err = w.svc.BySession(ctx, secret)
	assert.ErrorIs(t, err, domain.Unauthenticated, "expired")
	r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 2, r.Sessions)

	// T3: an unknown name, a wrong password, a deactivated account: one answer.
	w.user("off")
	w.change("off", app.UserChange{IsActive: ptr(false)})
	_, _, wrong := w.svc.SignIn(ctx, "anna", "not it", "192.0.2.2")
	_, _, unknown := w.svc.SignIn(ctx, "nobody", "not it", "192.0.2.2")
	_, _, off := w.svc.SignIn(ctx, "off", password, "192.0.2.2")
	_, _, long := w.svc.SignIn(ctx, "anna", strings.Repeat("x", 1<<20), "192.0.2.2")
	for _, err := range []error{unknown, off, long} {
		assert.Equal(t, domain.AsError(wrong), domain.AsError(err))
	}
}

// Sign-out, password change and deactivation end all sessions at once; tokens are revocable one by one.
func promiseT2(t *testing.T) {
	w := newWorld(t)
	other := w.node()
	w.user("anna", domain.BasicTier)
	in := func() (string, string) {
		one, _, err := w.svc.SignIn(ctx, "anna", password, "192.0.2.1")
		require.NoError(t, err)
		two, _, err := other.SignIn(ctx, "anna", password, "192.0.2.2")
		require.NoError(t, err)
		return one, two
	}
	one, two := in()
	require.NoError(t, w.svc.SignOut(ctx, one))
	_, err := other.BySession(ctx, one)
	assert.ErrorIs(t, err, domain.Unauthenticated)
	_, err = w.svc.BySession(ctx, two)
	assert.NoError(t, err, "the other session goes on")

	for name, c := range map[string]app.UserChange{
		"password":     {Password: ptr(password)},
		"deactivation": {IsActive: ptr(false)},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := in()
			_, err := w.svc.ByPassword(ctx, "anna", password, "192.0.2.1")
			require.NoError(t, err)
			w.change("anna", c)
			for _, s := range []string{one, two} {
				_, err := w.svc.BySession(ctx, s)
				assert.ErrorIs(t, err, domain.Unauthenticated)
			}
			if c.IsActive != nil {
				_, err := w.svc.ByPassword(ctx, "anna", password, "192.0.2.1")
				assert.ErrorIs(t, err, domain.Unauthenticated, "what Basic remembered is gone too")
				w.change("anna", app.UserChange{IsActive: ptr(true)})
				_, err = w.svc.BySession(ctx, one)
				assert.ErrorIs(t, err, domain.Unauthenticated, "and does not come back")
			}
		})
	}
	w.change("anna", app.UserChange{Password: ptr("another one!")})
	_, err = w.svc.ByPassword(ctx, "anna", password, "192.0.2.1")
	assert.ErrorIs(t, err, domain.Unauthenticated)

	anna, err := w.svc.ByPassword(ctx, "anna", "another one!", "192.0.2.1")
	require.NoError(t, err)
	t1, s1, err := w.svc.CreateToken(ctx, anna, "one", 0)
	require.NoError(t, err)
	_, s2, err := w.svc.CreateToken(ctx, anna, "two", time.Hour)
	require.NoError(t, err)
	for _, s := range []string{s1, s2} {
		_, err := w.svc.ByToken(ctx, s)
		require.NoError(t, err)
	}
	require.NoError(t, w.svc.RevokeToken(ctx, anna, t1.ID))
	_, err = w.svc.ByToken(ctx, s1)
	assert.ErrorIs(t, err, domain.Unauthenticated)
	_, err = w.svc.ByToken(ctx, s2)
	assert.NoError(t, err)
	w.clock.advance(time.Hour)
	_, err = w.svc.ByToken(ctx, s2)
	assert.ErrorIs(t, err, domain.Unauthenticated, "expired")
}

// A sign-in beyond domain.MaxSessions ends the user's oldest, on every node, and nobody else's.
func TestSessionsOfAUserAreBounded(t *testing.T) {
	w := newWorld(t)
	other := w.node()
	w.user("anna", domain.BasicTier)
	w.user("berta", domain.BasicTier)
	signIn := func(name string) string {
		secret, _, err := w.svc.SignIn(ctx, name, password, "192.0.2.1")
		require.NoError(t, err)
		w.clock.advance(time.Minute) // what a client may try in a minute is bounded too
		return secret
	}
	berta := signIn("berta")
	all := make([]string, domain.MaxSessions)
	for i := range all {
		all[i] = signIn("anna")
	}
	for _, secret := range all {
		_, err := other.BySession(ctx, secret)
		require.NoError(t, err)
	}
	newest := signIn("anna")
	for _, node := range []*app.Service{w.svc, other} {
		_, err := node.BySession(ctx, all[0])
		require.ErrorIs(t, err, domain.Unauthenticated, "the oldest")
		for _, secret := range []string{all[1], all[len(all)-1], newest, berta} {
			_, err := node.BySession(ctx, secret)
			require.NoError(t, err)
		}
	}
}

// Passwords by Argon2id at OWASP's parameters; secrets stored hashed; none in logs.
func promiseT5(t *testing.T) {
	w := newWorld(t, func(c *app.Config) { c.Argon2 = app.Argon2{} })
	anna := w.user("anna", domain.EnterpriseTier)
	u, err := w.cfg.Records.Accounts.UserByName(ctx, "anna")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$"), u.PasswordHash)
	img := w.upload(anna)
	secret, _, err := w.svc.SignIn(ctx, "anna", password, "192.0.2.1")
	require.NoError(t, err)
	_, token, err := w.svc.CreateToken(ctx, anna, "t", 0)
	require.NoError(t, err)
	_, link, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
	require.NoError(t, err)
	_, err = w.svc.OpenLink(ctx, link)
	require.NoError(t, err)
	_, _, err = w.svc.SignIn(ctx, "anna", "a wrong guess", "192.0.2.1")
	require.Error(t, err)
	for _, s := range []string{password, "a wrong guess", secret, token, link, u.PasswordHash} {
		assert.NotContains(t, w.logs.String(), s)
	}
	entries, _, err := w.svc.Audit(ctx, w.root, app.Filter{}, ports.Page{Limit: 100})
	require.NoError(t, err)
	all, err := json.Marshal(entries)
	require.NoError(t, err)
	assert.NotContains(t, string(all), "argon2")
}

func TestBasicCostsOneHashAMinute(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	w := newWorld(t, func(c *app.Config) { c.Argon2 = app.Argon2{} })
	w.user("anna")
	hashes := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, err := w.svc.ByPassword(ctx, "anna", password, "192.0.2.1")
			require.NoError(t, err)
		}
	})
	assert.Less(t, hashes.AllocedBytesPerOp(), int64(1<<20), "an Argon2id hash takes 19 MiB")
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	anna, eve := w.user("anna"), w.user("eve")
	tok, secret, err := w.svc.CreateToken(ctx, anna, " ci ", 0)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(secret, "imgf_"))
	assert.Equal(t, "ci", tok.Name)
	for _, bad := range []string{"", "imgf_", secret + "x", strings.TrimPrefix(secret, "imgf_"), strings.ToUpper(secret)} {
		_, err := w.svc.ByToken(ctx, bad)
		assert.ErrorIs(t, err, domain.Unauthenticated, "%q", bad)
	}
	_, _, err = w.svc.CreateToken(ctx, anna, "", 0)
	assert.ErrorIs(t, err, domain.Invalid)
	_, _, err = w.svc.CreateToken(ctx, anna, "x", -time.Second)
	assert.ErrorIs(t, err, domain.Invalid)
	_, _, err = w.svc.CreateToken(ctx, domain.Actor{}, "x", 0)
	assert.ErrorIs(t, err, domain.Unauthenticated)
	assert.ErrorIs(t, w.svc.RevokeToken(ctx, eve, tok.ID), domain.NotFound)
	assert.ErrorIs(t, w.svc.RevokeTokenFor(ctx, eve, "anna", tok.ID), domain.Denied)
	for i := range 5 {
		_, _, err := w.svc.CreateTokenFor(ctx, w.root, "anna", fmt.Sprint("t", i), 0)
		require.NoError(t, err)
	}
	_, _, err = w.svc.CreateTokenFor(ctx, eve, "anna", "mine now", 0)
	assert.ErrorIs(t, err, domain.Denied)
	var names []string
	p := ports.Page{Limit: 2}
	for {
		items, next, err := w.svc.Tokens(ctx, anna, p)
		require.NoError(t, err)
		for _, it := range items {
			names = append(names, it.Name)
		}
		if next.IsZero() {
			break
		}
		p.Before = next
	}
	assert.Equal(t, []string{"t4", "t3", "t2", "t1", "t0", "ci"}, names)
	require.NoError(t, w.svc.RevokeTokenFor(ctx, w.root, "anna", tok.ID))
	items, _, err := w.svc.TokensFor(ctx, w.root, "anna", ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, items, 5)
	// A token of a deactivated user is dead.
	_, secret, err = w.svc.CreateToken(ctx, eve, "e", 0)
	require.NoError(t, err)
	w.change("eve", app.UserChange{IsActive: ptr(false)})
	_, err = w.svc.ByToken(ctx, secret)
	assert.ErrorIs(t, err, domain.Unauthenticated)
	require.NoError(t, w.svc.DeleteUser(ctx, w.root, "eve"))
	_, err = w.svc.ByToken(ctx, secret)
	assert.ErrorIs(t, err, domain.Unauthenticated)
}

// T4: guessing is throttled by account and by address, and does not lock the owner out elsewhere.
func TestGuessingIsThrottled(t *testing.T) {
	w := newWorld(t)
	w.user("anna")
	refused := 0
	for range 30 {
		_, _, err := w.svc.SignIn(ctx, "anna", "guess", "203.0.113.5")
		if domain.CodeOf(err) == domain.RateLimited {
			refused++
			assert.Positive(t, domain.AsError(err).RetryAfter)
		}
	}
	assert.Equal(t, 20, refused, "ten tries, then no more")
	_, _, err := w.svc.SignIn(ctx, "anna", password, "203.0.113.5")
	assert.ErrorIs(t, err, domain.RateLimited, "not even the right one from there")
	_, _, err = w.svc.SignIn(ctx, "anna", password, "192.0.2.1")
	assert.NoError(t, err, "the owner, elsewhere, gets in")
	// One address over many names.
	refused = 0
	for i := range 100 {
		if _, _, err := w.svc.SignIn(ctx, fmt.Sprint("user", i), "guess", "203.0.113.6"); domain.CodeOf(err) == domain.RateLimited {
			refused++
		}
	}
	assert.Equal(t, 40, refused)
	// Many addresses against one name: the owner still gets a first try from a new place.
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			for range 10 {
				w.svc.SignIn(ctx, "anna", "guess", fmt.Sprintf("198.51.100.%d", i))
			}
		})
	}
	wg.Wait()
	_, _, err = w.svc.SignIn(ctx, "anna", password, "192.0.2.77")
	assert.NoError(t, err)
	w.clock.advance(time.Hour)
	_, _, err = w.svc.SignIn(ctx, "anna", password, "203.0.113.5")
	assert.NoError(t, err, "and it passes")
}

func TestLimit(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.CreateTier(ctx, w.root, "Slow", app.TierChange{Limits: map[string]*int64{"requests_per_minute": ptr(int64(3))}})
	require.NoError(t, err)
	a := w.user("anna", "Slow")
	for i := range 3 {
		limit, st, err := w.svc.Limit(ctx, a)
		require.NoError(t, err)
		assert.EqualValues(t, 3, limit)
		assert.EqualValues(t, 2-i, st.Remaining)
	}
	_, _, err = w.svc.Limit(ctx, a)
	e := domain.AsError(err)
	assert.Equal(t, domain.RateLimited, e.Code)
	assert.EqualValues(t, 3, *e.Limit)
	assert.Positive(t, e.RetryAfter)
	limit, _, err := w.svc.Limit(ctx, w.root)
	require.NoError(t, err)
	assert.Equal(t, domain.NoLimit, limit)
}

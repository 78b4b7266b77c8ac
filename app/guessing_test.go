package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// X7: guesses are counted by prefix and by account; who owns the account gets in.
func promiseX7(t *testing.T) {
	w := newWorld(t)
	w.user("anna") // signs in from 192.0.2.1, which is known from then on
	w.user("berta")
	guess := func(name, address string) error {
		_, _, err := w.svc.SignIn(ctx, name, "a wrong guess", address)
		require.Error(t, err)
		return err
	}
	hashed := func(errs []error) (n int) {
		for _, err := range errs {
			if domain.CodeOf(err) == domain.Unauthenticated {
				n++
			} else {
				require.ErrorIs(t, err, domain.RateLimited)
				assert.Positive(t, domain.AsError(err).RetryAfter)
			}
		}
		return n
	}
	t.Run("OnePrefix", func(t *testing.T) {
		var errs []error
		for i := range 10_000 {
			errs = append(errs, guess("anna", fmt.Sprintf("2001:db8:0:1::%x", i+1)))
		}
		assert.Equal(t, 10, hashed(errs), "10,000 addresses of a /64 have one address' guesses")
		_, _, err := w.svc.SignIn(ctx, "anna", password, "192.0.2.1")
		assert.NoError(t, err)
		_, _, err = w.svc.SignIn(ctx, "anna", password, "198.51.100.7")
		assert.NoError(t, err, "at a new place, too")
	})
	t.Run("ManyPrefixes", func(t *testing.T) {
		w.clock.advance(time.Hour)
		var errs []error
		for i := range 2000 {
			errs = append(errs, guess([]string{"berta", "BERTA"}[i%2], fmt.Sprintf("2001:db8:%x:1::1", i+1)))
		}
		assert.Equal(t, 250, hashed(errs), "the account's own allowance, and the one of first tries")
		_, _, err := w.svc.SignIn(ctx, "berta", password, "192.0.2.1")
		assert.NoError(t, err, "the owner, at a place from which the account was opened before")
		assert.ErrorIs(t, guess("berta", "203.0.113.9"), domain.RateLimited)
	})
	t.Run("OneNetwork", func(t *testing.T) {
		w.clock.advance(time.Hour)
		var errs []error
		for i := range 3000 {
			errs = append(errs, guess(fmt.Sprintf("user%d", i), fmt.Sprintf("2001:db8:77:%x::1", i)))
		}
		assert.Equal(t, 600, hashed(errs), "the 65,536 prefixes of a /48 have a bound together")
	})
	t.Run("UnknownNames", func(t *testing.T) {
		w.clock.advance(time.Hour)
		var one, two []domain.Code
		for i := range 20 {
			address := fmt.Sprintf("203.0.113.%d", i/10)
			one = append(one, domain.CodeOf(guess("berta", address)))
			two = append(two, domain.CodeOf(guess("nobody", address)))
		}
		assert.Equal(t, one, two, "names that are nobody's are throttled alike")
	})
}

// countedLimits counts the keys that are in use.
type countedLimits struct {
	ports.RateLimits
	keys map[string]bool
}

func (l *countedLimits) Allow(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
	l.keys[key] = true
	return l.RateLimits.Allow(ctx, key, r)
}

// The places that are known to an account are remembered for a month, and so are bounded: nobody
// fills with them what holds everybody's allowances.
func TestPlacesKnownToAnAccountAreBounded(t *testing.T) {
	t.Parallel()
	limits := &countedLimits{keys: map[string]bool{}}
	w := newWorld(t, func(c *app.Config) { limits.RateLimits, c.RateLimits = c.RateLimits, limits })
	w.user("anna") // from 192.0.2.1
	for i := range 200 {
		_, _, err := w.svc.SignIn(ctx, "anna", password, fmt.Sprintf("2001:db8:1:%x::1", i))
		require.NoError(t, err)
		w.clock.advance(time.Minute)
	}
	n := 0
	for key := range limits.keys {
		if strings.HasPrefix(key, "signin:known:") {
			n++
		}
	}
	assert.Equal(t, 50, n)
	for range 600 { // guesses from everywhere
		_, _, _ = w.svc.SignIn(ctx, "anna", "a wrong guess", fmt.Sprintf("198.51.%d.7", len(limits.keys)%250))
	}
	_, _, err := w.svc.SignIn(ctx, "anna", password, "192.0.2.1")
	assert.NoError(t, err, "those that are known stay known")
}

// A name is one name in any spelling, with a phone's blank behind it or not.
func TestUsernamesAtSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("josé")
	for _, name := range []string{"josé", "jose\u0301", " josé ", "josé\t", "ｊｏｓé"} {
		_, _, err := w.svc.SignIn(ctx, name, password, "192.0.2.1")
		assert.NoError(t, err, "%q", name)
		_, err = w.svc.ByPassword(ctx, name, password, "192.0.2.1")
		assert.NoError(t, err, "%q", name)
		u, err := w.svc.User(ctx, w.root, name)
		require.NoError(t, err, "%q", name)
		assert.Equal(t, "josé", u.Username)
	}
	_, _, err := w.svc.SignIn(ctx, "jose", password, "192.0.2.1")
	assert.ErrorIs(t, err, domain.Unauthenticated)
	_, err = w.svc.CreateUser(ctx, w.root, " jose\u0301", app.UserChange{})
	assert.ErrorIs(t, err, domain.Conflict)
}

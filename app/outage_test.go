package app_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// badLinkCache fails, or calls every link dead.
type badLinkCache struct {
	ports.LinkCache
	fails atomic.Bool
	dead  atomic.Bool
}

var errLinkCache = domain.Wrap(domain.Unavailable, errors.New("LOADING"), "try again")

func (b *badLinkCache) Get(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
	switch {
	case b.fails.Load():
		return ports.LinkUnknown, errLinkCache
	case b.dead.Load():
		return ports.LinkDead, nil
	}
	return b.LinkCache.Get(ctx, token)
}

func (b *badLinkCache) Put(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
	if b.fails.Load() {
		return errLinkCache
	}
	return b.LinkCache.Put(ctx, token, ttl)
}

// A link cache that fails is told of once, not for each request (O35); one that calls
// every link dead kills none: the row decides (O50).
func TestPromiseL4BadLinkCache(t *testing.T) {
	t.Parallel()
	cache := &badLinkCache{}
	w := newWorld(t, func(c *app.Config) {
		cache.LinkCache = c.LinkCache
		c.LinkCache = cache
	})
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	var tokens []string
	for i := range 20 {
		cache.fails.Store(i%2 == 1)
		_, token, err := w.svc.CreateLink(t.Context(), anna, img.ID, app.LinkInput{ExpiresIn: 300})
		require.NoError(t, err)
		tokens = append(tokens, token)
	}
	for _, bad := range []*atomic.Bool{&cache.fails, &cache.dead} {
		cache.fails.Store(false)
		bad.Store(true)
		node := w.node() // which has nothing in memory
		for range 3 {
			for _, token := range tokens {
				got, err := read(node.OpenLink(t.Context(), token))
				require.NoError(t, err)
				require.Equal(t, photo(), got)
			}
		}
	}
	require.LessOrEqual(t, strings.Count(w.logs.String(), "the link cache is unavailable"), 3, "one line a node at the most")
	one := w.node()
	before := strings.Count(w.logs.String(), "the link cache is unavailable")
	cache.fails.Store(true)
	for range 3 {
		for _, token := range tokens {
			_, err := read(one.OpenLink(t.Context(), token))
			require.NoError(t, err)
		}
	}
	require.LessOrEqual(t, strings.Count(w.logs.String(), "the link cache is unavailable"), before+1)
}

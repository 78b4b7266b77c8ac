package app

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/imagify-api/imagify/domain"
)

// maxRevoked is how many revoked things a secretCache remembers one by one before it
// forgets everything instead.
const maxRevoked = 10_000

// secretCache holds tokens or links by the hash of their secret, for as long as the feed
// says that they are still so. The feed tells the end of one by its id, and no index leads
// from there to the hash: the ids of those that ended are remembered, so that ending one
// costs the others nothing, here and on every other node.
type secretCache[V any] struct {
	feed    *feed
	entries *otter.Cache[domain.SecretHash, V]
	id      func(V) domain.ID

	revoked sync.Map     // domain.ID
	count   atomic.Int64 // of revoked
	// clearing is odd while everything is being forgotten, and grows each time. A reader
	// that sees it change cannot trust that it asked revoked in time.
	clearing atomic.Uint64
}

func newSecretCache[V any](f *feed, size int, id func(V) domain.ID) *secretCache[V] {
	return &secretCache[V]{feed: f, id: id, entries: otter.Must(&otter.Options[domain.SecretHash, V]{MaximumSize: size})}
}

// peek returns what is cached, if the feed vouches for it.
func (c *secretCache[V]) peek(hash domain.SecretHash) (v V, ok bool) {
	before := c.clearing.Load()
	if before%2 == 1 || !c.feed.fresh() {
		return v, false
	}
	if v, ok = c.entries.GetIfPresent(hash); !ok {
		return v, false
	}
	if c.count.Load() > 0 {
		if _, ended := c.revoked.Load(c.id(v)); ended {
			return v, false
		}
	}
	return v, c.clearing.Load() == before
}

// get returns what is cached, else what load reads. Only what usable accepts is kept, and
// counts when it was kept.
func (c *secretCache[V]) get(ctx context.Context, hash domain.SecretHash, load func(context.Context) (V, error), usable func(V) bool) (V, error) {
	if v, ok := c.peek(hash); ok && usable(v) {
		return v, nil
	}
	generation := c.feed.generation.Load()
	v, err := load(ctx)
	if err != nil || !usable(v) {
		return v, err
	}
	c.feed.keeping.RLock()
	defer c.feed.keeping.RUnlock()
	if c.feed.generation.Load() == generation {
		c.entries.Set(hash, v)
	}
	return v, nil
}

// drop and dropAll are for the feed's forget alone, which lets nobody keep anything meanwhile.
func (c *secretCache[V]) drop(id domain.ID) {
	if c.count.Load() >= maxRevoked {
		c.dropAll()
		return
	}
	if _, known := c.revoked.LoadOrStore(id, struct{}{}); !known {
		c.count.Add(1)
	}
}

func (c *secretCache[V]) dropAll() {
	c.clearing.Add(1)
	c.entries.InvalidateAll()
	c.revoked.Clear()
	c.count.Store(0)
	c.clearing.Add(1)
}

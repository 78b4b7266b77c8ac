package memory

import (
	"context"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxLives bounds how many links LinkCache remembers: about 10 MB. Beyond, it
// forgets what has run out, then anything: the database knows.
const maxLives = 100_000

// LinkCache is a ports.LinkCache in memory.
type LinkCache struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[domain.SecretHash]life
}

type life struct {
	dead  bool
	until time.Time
}

// NewLinkCache returns a LinkCache that remembers nothing yet.
func NewLinkCache(o Options) *LinkCache {
	return &LinkCache{now: o.clock(), m: map[domain.SecretHash]life{}}
}

// Get tells what is remembered.
func (l *LinkCache) Get(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
	if err := ended(ctx); err != nil {
		return ports.LinkUnknown, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.m[token]
	switch {
	case !ok:
		return ports.LinkUnknown, nil
	case !l.now().Before(v.until):
		delete(l.m, token)
		return ports.LinkUnknown, nil
	case v.dead:
		return ports.LinkDead, nil
	}
	return ports.LinkAlive, nil
}

// Put remembers a link as alive for ttl, unless it was marked dead.
func (l *LinkCache) Put(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
	return l.set(ctx, token, life{until: l.now().Add(ttl)})
}

// MarkDead remembers a link as dead for good.
func (l *LinkCache) MarkDead(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
	return l.set(ctx, token, life{dead: true, until: l.now().Add(ttl)})
}

func (l *LinkCache) set(ctx context.Context, token domain.SecretHash, v life) error {
	if err := ended(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	old, there := l.m[token]
	if there && old.dead && now.Before(old.until) {
		if !v.dead {
			return nil
		}
		if v.until.Before(old.until) {
			v.until = old.until
		}
	}
	if !there && len(l.m) >= maxLives {
		l.makeRoom(now)
	}
	l.m[token] = v
	return nil
}

// makeRoom frees a tenth, so that it need not look at all again for a while.
func (l *LinkCache) makeRoom(now time.Time) {
	for k, v := range l.m {
		if !now.Before(v.until) {
			delete(l.m, k)
		}
	}
	for k := range l.m {
		if len(l.m) <= maxLives*9/10 {
			return
		}
		delete(l.m, k)
	}
}

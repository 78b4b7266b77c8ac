package porttest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// lifeFault replaces some of LinkCache.
type lifeFault struct {
	ports.LinkCache
	check    func(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error)
	keep     func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error
	markDead func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error
}

func (f lifeFault) Get(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
	if f.check != nil {
		return f.check(ctx, token)
	}
	return f.LinkCache.Get(ctx, token)
}

func (f lifeFault) Put(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
	if f.keep != nil {
		return f.keep(ctx, token, ttl)
	}
	return f.LinkCache.Put(ctx, token, ttl)
}

func (f lifeFault) MarkDead(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
	if f.markDead != nil {
		return f.markDead(ctx, token, ttl)
	}
	return f.LinkCache.MarkDead(ctx, token, ttl)
}

func lives(fault, finds string, breakIt func(l *memory.LinkCache) ports.LinkCache) broken {
	return broken{fault, finds, func(t *testing.T) {
		porttest.LinkCache(t, func(*testing.T) ports.LinkCache { return breakIt(memory.NewLinkCache(memory.Options{})) })
	}}
}

// ratesFault replaces some of RateLimits.
type ratesFault struct {
	ports.RateLimits
	allow func(ctx context.Context, key string, r ports.Rate) (ports.RateState, error)
	peek  func(ctx context.Context, key string, r ports.Rate) (ports.RateState, error)
	reset func(ctx context.Context, key string) error
}

func (f ratesFault) Allow(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
	if f.allow != nil {
		return f.allow(ctx, key, r)
	}
	return f.RateLimits.Allow(ctx, key, r)
}

func (f ratesFault) Peek(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
	if f.peek != nil {
		return f.peek(ctx, key, r)
	}
	return f.RateLimits.Peek(ctx, key, r)
}

func (f ratesFault) Reset(ctx context.Context, key string) error {
	if f.reset != nil {
		return f.reset(ctx, key)
	}
	return f.RateLimits.Reset(ctx, key)
}

func rates(fault, finds string, breakIt func(l *memory.RateLimits) ports.RateLimits) broken {
	return broken{fault, finds, func(t *testing.T) {
		porttest.RateLimits(t, func(*testing.T) ports.RateLimits { return breakIt(memory.NewRateLimits(memory.Options{})) })
	}}
}

func allows(fault, finds string, allow func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error)) broken {
	return rates(fault, finds, func(l *memory.RateLimits) ports.RateLimits {
		return ratesFault{RateLimits: l, allow: func(ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			return allow(l, ctx, key, r)
		}}
	})
}

// noticesFault replaces some of Notices.
type noticesFault struct {
	ports.Notices
	publish   func(ctx context.Context) error
	subscribe func(ctx context.Context) (<-chan struct{}, error)
}

func (f noticesFault) Publish(ctx context.Context) error {
	if f.publish != nil {
		return f.publish(ctx)
	}
	return f.Notices.Publish(ctx)
}

func (f noticesFault) Subscribe(ctx context.Context) (<-chan struct{}, error) {
	if f.subscribe != nil {
		return f.subscribe(ctx)
	}
	return f.Notices.Subscribe(ctx)
}

func notices(fault, finds string, breakIt func(n *memory.Notices) ports.Notices) broken {
	return broken{fault, finds, func(t *testing.T) {
		porttest.Notices(t, func(*testing.T) ports.Notices { return breakIt(memory.NewNotices()) })
	}}
}

func brokenStates() []broken {
	return []broken{
		lives(control, "LinkCache/PutRunsOut", func(l *memory.LinkCache) ports.LinkCache { return l }),
		lives("forgets the time to live", "LinkCache/PutRunsOut", func(l *memory.LinkCache) ports.LinkCache {
			return lifeFault{LinkCache: l, keep: func(ctx context.Context, token domain.SecretHash, _ time.Duration) error {
				return l.Put(ctx, token, time.Hour)
			}}
		}),
		lives("no time to live is for ever", "LinkCache/NoTimeLeft", func(l *memory.LinkCache) ports.LinkCache {
			return lifeFault{LinkCache: l, keep: func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
				if ttl = ttl.Truncate(time.Millisecond); ttl == 0 {
					ttl = time.Hour
				}
				return l.Put(ctx, token, ttl)
			}}
		}),
		lives("marks nothing dead without time", "LinkCache/NoTimeLeft", func(l *memory.LinkCache) ports.LinkCache {
			return lifeFault{LinkCache: l, markDead: func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
				if ttl <= 0 {
					return nil
				}
				return l.MarkDead(ctx, token, ttl)
			}}
		}),
		lives("remembers nothing", "LinkCache/Remembers", func(l *memory.LinkCache) ports.LinkCache {
			return lifeFault{LinkCache: l, keep: func(context.Context, domain.SecretHash, time.Duration) error { return nil }}
		}),
		lives("Put wins over MarkDead", "LinkCache/DeadWins", func(l *memory.LinkCache) ports.LinkCache {
			var kept sync.Map
			return lifeFault{
				LinkCache: l,
				keep: func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
					kept.Store(token, true)
					return l.Put(ctx, token, ttl)
				},
				markDead: func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
					kept.Delete(token)
					return l.MarkDead(ctx, token, ttl)
				},
				check: func(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
					life, err := l.Get(ctx, token)
					if _, ok := kept.Load(token); ok && life == ports.LinkDead {
						life = ports.LinkAlive
					}
					return life, err
				},
			}
		}),
		lives("Put looks first and writes later", "LinkCache/MarkDeadRacers", func(l *memory.LinkCache) ports.LinkCache {
			var alive sync.Map
			return lifeFault{
				LinkCache: l,
				keep: func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
					if life, err := l.Get(ctx, token); err != nil || life == ports.LinkDead {
						return err
					}
					time.Sleep(time.Millisecond)
					alive.Store(token, true)
					return l.Put(ctx, token, ttl)
				},
				check: func(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
					if _, ok := alive.Load(token); ok {
						return ports.LinkAlive, nil
					}
					return l.Get(ctx, token)
				},
				markDead: func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
					alive.Delete(token)
					return l.MarkDead(ctx, token, ttl)
				},
			}
		}),
		lives("a tombstone that has run out gives back the life", "LinkCache/TombstoneRunsOut", func(l *memory.LinkCache) ports.LinkCache {
			var kept sync.Map
			return lifeFault{
				LinkCache: l,
				keep: func(ctx context.Context, token domain.SecretHash, ttl time.Duration) error {
					kept.Store(token, true)
					return l.Put(ctx, token, ttl)
				},
				check: func(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
					life, err := l.Get(ctx, token)
					if _, ok := kept.Load(token); ok && err == nil && life == ports.LinkUnknown {
						life = ports.LinkAlive
					}
					return life, err
				},
			}
		}),
		lives("an ended context is unknown", "LinkCache/EndedContext", func(l *memory.LinkCache) ports.LinkCache {
			return lifeFault{LinkCache: l, check: func(ctx context.Context, token domain.SecretHash) (ports.LinkStatus, error) {
				life, _ := l.Get(ctx, token)
				return life, nil
			}}
		}),

		rates(control, "RateLimits/Racers", func(l *memory.RateLimits) ports.RateLimits { return l }),
		allows("looks first and takes later", "RateLimits/Racers", func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			s, err := l.Peek(ctx, key, r)
			if err != nil || !s.Allowed {
				return s, err
			}
			pause()
			s, err = l.Allow(ctx, key, r)
			s.Allowed = true
			return s, err
		}),
		allows("leaks one", "RateLimits/Burst", func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			r.Burst++
			return l.Allow(ctx, key, r)
		}),
		allows("refills twice as fast", "RateLimits/NeverMore", func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			r.Limit *= 2
			return l.Allow(ctx, key, r)
		}),
		allows("promises too early", "RateLimits/RetryAfter", func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			s, err := l.Allow(ctx, key, r)
			s.RetryAfter /= 2
			return s, err
		}),
		allows("says to wait for nothing", "RateLimits/RetryAfter", func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			s, err := l.Allow(ctx, key, r)
			s.RetryAfter = 0
			return s, err
		}),
		allows("says to wait in whole seconds", "RateLimits/RetryAfter", func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			s, err := l.Allow(ctx, key, r)
			if s.RetryAfter > 0 {
				s.RetryAfter = max(s.RetryAfter.Round(time.Second), time.Second)
			}
			return s, err
		}),
		allows("a refused request takes, too", "RateLimits/RefusedTakesNothing", func(l *memory.RateLimits, ctx context.Context, key string, r ports.Rate) (ports.RateState, error) {
			s, err := l.Allow(ctx, key, r)
			if err == nil && !s.Allowed {
				_ = l.Reset(ctx, key)
				for range r.Burst {
					_, _ = l.Allow(ctx, key, r)
				}
			}
			return s, err
		}),
		allows("one bucket for all", "RateLimits/KeysAreApart", func(l *memory.RateLimits, ctx context.Context, _ string, r ports.Rate) (ports.RateState, error) {
			return l.Allow(ctx, "k", r)
		}),
		rates("a look takes one", "RateLimits/Peek", func(l *memory.RateLimits) ports.RateLimits { return ratesFault{RateLimits: l, peek: l.Allow} }),
		rates("resets nothing", "RateLimits/Reset", func(l *memory.RateLimits) ports.RateLimits {
			return ratesFault{RateLimits: l, reset: func(context.Context, string) error { return nil }}
		}),
		rates("resets everything", "RateLimits/Reset", func(l *memory.RateLimits) ports.RateLimits {
			return ratesFault{RateLimits: l, reset: func(ctx context.Context, _ string) error {
				_ = l.Reset(ctx, "other")
				return l.Reset(ctx, "k")
			}}
		}),

		notices(control, "Notices/EndsWithItsContext", func(n *memory.Notices) ports.Notices { return n }),
		notices("tells nobody", "Notices/EverySubscriber", func(n *memory.Notices) ports.Notices {
			return noticesFault{Notices: n, publish: func(context.Context) error { return nil }}
		}),
		notices("waits for its subscribers", "Notices/NobodyReads", func(n *memory.Notices) ports.Notices {
			return noticesFault{Notices: n, publish: func(ctx context.Context) error {
				time.Sleep(5 * time.Millisecond)
				return n.Publish(ctx)
			}}
		}),
		notices("never closes a channel", "Notices/EndsWithItsContext", func(n *memory.Notices) ports.Notices {
			return noticesFault{Notices: n, subscribe: func(ctx context.Context) (<-chan struct{}, error) {
				return n.Subscribe(context.WithoutCancel(ctx))
			}}
		}),
		notices("the end of one is the end of all", "Notices/EndsWithItsContext", func(n *memory.Notices) ports.Notices {
			var first context.Context
			return noticesFault{Notices: n, subscribe: func(ctx context.Context) (<-chan struct{}, error) {
				if first == nil {
					first = ctx
				}
				return n.Subscribe(first)
			}}
		}),
	}
}

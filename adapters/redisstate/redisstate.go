// Package redisstate keeps in Redis what several nodes share beside the database:
// it is a ports.LinkCache, a ports.RateLimits and a ports.Notices.
//
// It runs on Redis 6.2 or later, and on what speaks the same: one server, Sentinel
// or a Cluster. Each script touches one key, so that it needs no hash tags. The
// commands used are EVAL, EVALSHA, GET, SET, DEL, PTTL, TIME, INFO, PUBLISH,
// SUBSCRIBE, PING, and in a Cluster CLUSTER SLOTS; a user for imagify alone needs no
// other.
//
// Redis is the fast path and may vanish at any moment. Every key has a time to live.
// Every call ends within Options.Timeout, and while Redis does not answer they fail
// at once with domain.Unavailable but for a probe twice a second, so that no request
// waits for it. What a lost memory means:
//
//   - A link that is forgotten is ports.LinkUnknown. A link that is remembered as
//     alive is so only to the server that was told: after a restart, a restored dump
//     or a failover, which may have lost its tombstone, it is unknown too. Tombstones
//     count wherever they come from.
//   - A rate that is forgotten starts again with all of its burst. Where rate limits
//     matter, give Redis maxmemory-policy volatile-ttl or noeviction, not allkeys-*.
//   - A lost notice costs nothing but the wait for the next poll.
package redisstate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	defaultPrefix  = "imagify:"
	defaultTimeout = 250 * time.Millisecond

	// maxFailures in a row are how Redis is known to be unavailable.
	maxFailures = 5
	// pause is how long nobody tries a Redis that is unavailable.
	pause = 500 * time.Millisecond
)

var (
	_ ports.LinkCache  = (*State)(nil)
	_ ports.RateLimits = (*State)(nil)
	_ ports.Notices    = (*State)(nil)
)

// Options are the optional settings; the zero value is ready to use.
type Options struct {
	// Prefix begins every key and channel: installations that share a Redis need
	// different ones. Empty means "imagify:".
	Prefix string
	// Timeout bounds each call. Zero means 250 ms.
	Timeout time.Duration
}

// State is the ports' implementation. It is safe for concurrent use.
type State struct {
	client  redis.UniversalClient
	prefix  string
	timeout time.Duration
	gate    gate
	// drop ends every connection; nil: the client is another's.
	drop func()

	mu     sync.Mutex
	subs   map[chan struct{}]struct{}
	unhear context.CancelFunc // ends listening; nil while nobody does
	// listening is the goroutines that hear.
	listening sync.WaitGroup
}

// New returns the state that a client keeps. The client should have
// ContextTimeoutEnabled set, or Options.Timeout does not bound its reads; Open makes
// such a client.
func New(client redis.UniversalClient, o Options) (*State, error) {
	if client == nil {
		return nil, errors.New("redisstate: there is no client")
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("redisstate: the timeout is %v: give a positive one, or none for %v", o.Timeout, defaultTimeout)
	}
	s := &State{client: client, prefix: o.Prefix, timeout: o.Timeout, gate: gate{start: time.Now()}, subs: map[chan struct{}]struct{}{}}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	return s, nil
}

// Close stops listening and closes the client. Subscribers' channels stay open
// until their contexts end.
func (s *State) Close() error {
	s.mu.Lock()
	if s.unhear != nil {
		s.unhear()
	}
	s.mu.Unlock()
	err := s.client.Close()
	s.listening.Wait()
	return err
}

// Ping reports whether Redis answers: in a Cluster, every master.
func (s *State) Ping(ctx context.Context) error {
	return s.do(ctx, func(ctx context.Context) error {
		if c, ok := s.client.(*redis.ClusterClient); ok {
			return c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() })
		}
		return s.client.Ping(ctx).Err()
	})
}

// Doctor reports whether Redis does what imagify needs, and if not, what to do
// about it. It writes one key that lives for a second.
func (s *State) Doctor(ctx context.Context) error {
	const rights = "check that the user may run the commands and keys that imagify uses"
	if err := s.Ping(ctx); err != nil {
		advice := "check the host and the port in IMAGIFY_REDIS_URL, that it runs, whether it wants TLS (rediss://), and the firewall"
		var reply redis.Error
		if errors.As(err, &reply) { // it answers, with a refusal
			advice = "check the user and the password in IMAGIFY_REDIS_URL; " + rights
		}
		return fmt.Errorf("Redis rejected imagify's connection: %w; %s", cause(err), advice) //nolint:staticcheck // a name
	}
	probe := domain.SecretHash(sha256.Sum256([]byte("imagify doctor")))
	for _, try := range []struct {
		does, advice string
		call         func() error
	}{
		{"keep a key", "it must be a master of version 6.2 or later with memory left; " + rights, func() error {
			return s.Put(ctx, probe, time.Second)
		}},
		{"run a script", rights, func() error {
			_, err := s.Peek(ctx, "doctor", ports.Rate{Limit: 1, Per: time.Second, Burst: 1})
			return err
		}},
		{"publish", rights + ", and the channel " + s.channel(), func() error { return s.Publish(ctx) }},
	} {
		err := try.call()
		if redis.HasErrorPrefix(err, "MOVED") {
			return errors.New("Redis is one of a Cluster: write redis+cluster://, or rediss+cluster://, and some of its nodes") //nolint:staticcheck // a name
		}
		if err != nil {
			return fmt.Errorf("Redis answers but does not %s: %w; %s", try.does, cause(err), try.advice) //nolint:staticcheck // a name
		}
	}
	return s.checkEviction(ctx)
}

// checkEviction reports a Redis that throws away keys however young they are.
func (s *State) checkEviction(ctx context.Context) error {
	policies := make(chan string, 1)
	ask := func(ctx context.Context, c redis.Cmdable) error {
		info, err := c.Info(ctx, "memory").Result()
		for line := range strings.Lines(info) {
			if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:allkeys-"); ok {
				select {
				case policies <- "allkeys-" + policy:
				default: // one is enough
				}
			}
		}
		return err
	}
	err := s.do(ctx, func(ctx context.Context) error {
		if c, ok := s.client.(*redis.ClusterClient); ok {
			return c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return ask(ctx, c) })
		}
		return ask(ctx, s.client)
	})
	select {
	case policy := <-policies:
		return fmt.Errorf("Redis throws away any key when its memory is full (maxmemory-policy %s), and with it who has made how many requests: set volatile-ttl or noeviction", policy) //nolint:staticcheck // a name
	default:
		return cause(err)
	}
}

// cause is what Redis or the network said, without the text for the public.
func cause(err error) error {
	var e *domain.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// do makes one call of Redis, bounded in time.
func (s *State) do(ctx context.Context, call func(ctx context.Context) error) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if !s.gate.enter() {
		return unavailable(errors.New("it did not answer a moment ago"))
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := recovered(bounded, call)
	if err == nil {
		s.gate.open()
		return nil
	}
	if err := ended(ctx); err != nil {
		return err // the caller's doing, which says nothing of Redis
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		s.gate.open() // whatever it says, it answers
	} else if s.gate.failed() && s.drop != nil {
		s.drop() // what was lost without a word fails one call after the other
	}
	return unavailable(err)
}

// recovered makes a panic of the client's, over an answer that it did not expect, an error.
func recovered(ctx context.Context, call func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the client panicked: %v", p)
		}
	}()
	return call(ctx)
}

// nonsense is the error of an answer that no script of ours gives.
func nonsense(answer any) error {
	return fmt.Errorf("the script's answer is %.80q", fmt.Sprint(answer))
}

// ended is the error of a context that has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the request was given up")
}

func unavailable(err error) error {
	e := domain.Wrap(domain.Unavailable, fmt.Errorf("redisstate: %w", err), "the shared state does not answer now, try again")
	e.RetryAfter = time.Second
	return e
}

// gate keeps callers from waiting for a Redis that is unavailable: after maxFailures
// without an answer between them it lets one caller through each pause.
type gate struct {
	start    time.Time
	failures atomic.Int64
	next     atomic.Int64 // when the next may try, as time since start
}

func (g *gate) enter() bool {
	if g.failures.Load() < maxFailures {
		return true
	}
	now, next := int64(time.Since(g.start)), g.next.Load()
	return now >= next && g.next.CompareAndSwap(next, now+int64(pause))
}

func (g *gate) open() {
	if g.failures.Load() != 0 {
		g.failures.Store(0)
	}
}

// failed reports whether the gate is closed now.
func (g *gate) failed() bool {
	if g.failures.Add(1) < maxFailures {
		return false
	}
	g.next.Store(int64(time.Since(g.start) + pause)) // it begins again after a probe, however long that took
	return true
}

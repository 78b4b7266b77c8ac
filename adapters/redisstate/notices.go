package redisstate

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// aliveCheck is how often a silent connection is tried: one that was lost without a
// word is noticed after about two of them.
const aliveCheck = time.Second

// Publish implements ports.Notices.
func (s *State) Publish(ctx context.Context) error {
	return s.do(ctx, func(ctx context.Context) error { return s.client.Publish(ctx, s.channel(), "").Err() })
}

func (s *State) channel() string { return s.prefix + "changes" }

// Subscribe implements ports.Notices. It does not wait for Redis: a connection is
// sought in the background for as long as there are subscribers, who share it. One
// that is made, or made anew, counts as a notice: others may have been missed.
func (s *State) Subscribe(ctx context.Context) (<-chan struct{}, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	c := make(chan struct{}, 1)
	s.mu.Lock()
	s.subs[c] = struct{}{}
	if s.unhear == nil {
		hear, cancel := context.WithCancel(context.Background())
		s.unhear = cancel
		go s.hear(hear)
	}
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subs, c)
		close(c)
		if len(s.subs) == 0 {
			s.unhear()
			s.unhear = nil
		}
	})
	return c, nil
}

// hear listens until its context ends. The client connects again by itself.
func (s *State) hear(ctx context.Context) {
	p := s.client.Subscribe(ctx, s.channel())
	defer p.Close() //nolint:errcheck // nothing is lost with it
	messages := p.ChannelWithSubscriptions(redis.WithChannelHealthCheckInterval(aliveCheck))
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-messages:
			if !open {
				return
			}
			s.tell()
		}
	}
}

func (s *State) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.subs {
		select {
		case c <- struct{}{}:
		default: // one is waiting already
		}
	}
}

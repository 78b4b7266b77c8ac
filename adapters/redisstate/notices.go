package redisstate

import (
	"context"
	"errors"
	"net"
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
// that is made, or made again, counts as a notice: others may have been missed.
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
		s.listening.Go(func() { s.listen(hear) })
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

// listen hears until its context ends, on one connection after the other.
func (s *State) listen(ctx context.Context) {
	for recovered(ctx, s.hear) != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// hear listens until its context ends, or a connection that was asked gives no sign of
// life. It receives by itself: the client's channels do so on goroutines on which an
// answer that it did not expect would end the process.
func (s *State) hear(ctx context.Context) error {
	p := s.client.Subscribe(ctx, s.channel())
	defer p.Close() //nolint:errcheck // nothing is lost with it
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	for asked := false; ; {
		got, err := p.ReceiveTimeout(ctx, aliveCheck)
		if ctx.Err() != nil {
			return nil
		}
		var network net.Error
		switch {
		case err == nil:
			asked = false
			if _, pong := got.(*redis.Pong); !pong {
				s.tell()
			}
		case errors.As(err, &network) && network.Timeout() && !asked:
			asked = true
			if err := p.Ping(ctx); err != nil {
				return err
			}
		default:
			return err
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

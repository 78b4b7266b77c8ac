package redisstate_test

import (
	"crypto/sha256"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// healing bounds how long a Redis that is back may count as unavailable (R3: 5 s), with slack.
const healing = 15 * time.Second

func token(name string, n int) domain.SecretHash {
	return sha256.Sum256([]byte(name + strconv.Itoa(n)))
}

// links is how many links each test keeps and marks dead.
const links = 100

func putAll(t *testing.T, s *redisstate.State, name string) {
	t.Helper()
	for i := range links {
		require.NoError(t, s.Put(t.Context(), token(name, i), time.Hour))
	}
}

func markAllDead(t *testing.T, s *redisstate.State, name string) {
	t.Helper()
	for i := range links {
		require.NoError(t, s.MarkDead(t.Context(), token(name, i), time.Hour))
	}
}

func wantLives(t *testing.T, s *redisstate.State, name string, allowed ...ports.LinkStatus) {
	t.Helper()
	for i := range links {
		got, err := s.Get(t.Context(), token(name, i))
		require.NoError(t, err)
		require.Contains(t, allowed, got)
	}
}

func wantAway(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
	assert.Positive(t, domain.AsError(err).RetryAfter)
	assert.NotContains(t, domain.AsError(err).Msg, "redis", "the public text names no backend")
}

func wantBack(t *testing.T, s *redisstate.State) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, healing, 10*time.Millisecond, "it does not come back")
}

func TestPromiseL3FlushedRedisForgetsAndRaisesNobody(t *testing.T) {
	t.Parallel()
	r := realserver.Redis(t)
	s := open(t, patientURL("redis://"+r.Addr), redisstate.Options{Timeout: patient})
	putAll(t, s, "alive")
	markAllDead(t, s, "dead")
	require.Equal(t, "+OK", r.Command(t, "FLUSHALL"))
	wantLives(t, s, "alive", ports.LinkUnknown)
	wantLives(t, s, "dead", ports.LinkUnknown)
	putAll(t, s, "alive") // as the app does, from the database
	wantLives(t, s, "alive", ports.LinkAlive)
	require.Equal(t, "+OK", r.Command(t, "SCRIPT", "FLUSH"))
	wantLives(t, s, "alive", ports.LinkAlive)
}

func TestPromiseL3RestoredDumpRaisesNobody(t *testing.T) {
	t.Parallel()
	r := realserver.Redis(t)
	s := open(t, patientURL("redis://"+r.Addr), redisstate.Options{Timeout: patient})
	putAll(t, s, "dead later")
	putAll(t, s, "alive")
	markAllDead(t, s, "dead")
	require.Equal(t, "+OK", r.Command(t, "SAVE"))
	markAllDead(t, s, "dead later") // after the dump: it is lost with the process
	r.Restart(t)
	wantBack(t, s)
	wantLives(t, s, "dead later", ports.LinkUnknown)
	wantLives(t, s, "alive", ports.LinkUnknown)
	wantLives(t, s, "dead", ports.LinkDead)
	putAll(t, s, "alive")
	wantLives(t, s, "alive", ports.LinkAlive)
	require.NoError(t, s.Put(t.Context(), token("dead", 0), time.Hour))
	wantLives(t, s, "dead", ports.LinkDead)
}

func TestPromiseL3FullRedisRaisesNobody(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"noeviction", "allkeys-lru", "volatile-ttl"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			r := realserver.Redis(t)
			s := open(t, patientURL("redis://"+r.Addr), redisstate.Options{Timeout: patient, Prefix: "full:"})
			putAll(t, s, "dead later")
			markAllDead(t, s, "dead")
			require.Equal(t, "+OK", r.Command(t, "CONFIG", "SET", "maxmemory-policy", policy))
			require.Equal(t, "+OK", r.Command(t, "CONFIG", "SET", "maxmemory", "1"))
			for i := range links {
				// Whether there is room to remember it or not.
				require.NoError(t, s.MarkDead(t.Context(), token("dead later", i), time.Hour))
				if err := s.Put(t.Context(), token("dead", i), time.Hour); err != nil {
					wantAway(t, err)
				}
			}
			wantLives(t, s, "dead later", ports.LinkUnknown, ports.LinkDead)
			_, err := s.Allow(t.Context(), "k", ports.Rate{Limit: 1, Per: time.Hour, Burst: 1})
			if err != nil {
				wantAway(t, err)
			}
			require.Equal(t, "+OK", r.Command(t, "CONFIG", "SET", "maxmemory", "0"))
			putAll(t, s, "alive")
			wantLives(t, s, "alive", ports.LinkAlive)
		})
	}
}

func TestPromiseL3FailoverRaisesNobody(t *testing.T) {
	t.Parallel()
	g := realserver.RedisSentinel(t)
	s := open(t, "redis+sentinel://"+strings.Join(g.Addrs, ",")+"/"+g.Master, redisstate.Options{Timeout: time.Second})
	heard, err := s.Subscribe(t.Context())
	require.NoError(t, err)
	putAll(t, s, "dead later")
	putAll(t, s, "alive")
	markAllDead(t, s, "dead")
	require.Eventually(t, func() bool { // the replica has all of it
		return strings.Contains(g.Servers[1].Command(t, "INFO", "keyspace"), "keys="+strconv.Itoa(3*links)+",")
	}, healing, 10*time.Millisecond)
	g.Servers[1].Pause() // what is marked dead now never reaches it
	markAllDead(t, s, "dead later")
	go func() {
		time.Sleep(50 * time.Millisecond)
		g.Servers[1].Resume()
	}()
	g.Failover(t)
	require.Eventually(t, func() bool { return s.Put(t.Context(), token("new", 0), time.Hour) == nil }, healing, 50*time.Millisecond,
		"the new master is not found")
	wantLives(t, s, "dead later", ports.LinkUnknown, ports.LinkDead)
	wantLives(t, s, "alive", ports.LinkUnknown)
	wantLives(t, s, "dead", ports.LinkDead)
	wantHeard(t, s, heard)
}

// wantHeard publishes until a notice arrives that was published now.
func wantHeard(t *testing.T, s *redisstate.State, heard <-chan struct{}) {
	t.Helper()
	require.Eventually(t, func() bool {
		select {
		case <-heard: // maybe an old one
		default:
		}
		if s.Publish(t.Context()) != nil {
			return false
		}
		select {
		case <-heard:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	}, healing, time.Millisecond, "no notice arrives")
}

// TestPromiseR3Unavailable tries every way in which a Redis can be unavailable.
func TestPromiseR3Unavailable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stop, back func(t *testing.T, r *realserver.RedisServer)
	}{
		"Killed": {
			func(_ *testing.T, r *realserver.RedisServer) { r.Kill() },
			func(t *testing.T, r *realserver.RedisServer) { r.Restart(t) },
		},
		"Paused": {
			func(_ *testing.T, r *realserver.RedisServer) { r.Pause() },
			func(_ *testing.T, r *realserver.RedisServer) { r.Resume() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := realserver.Redis(t)
			s := open(t, "redis://"+r.Addr, redisstate.Options{Timeout: time.Second})
			heard, err := s.Subscribe(t.Context())
			require.NoError(t, err)
			wantHeard(t, s, heard)
			markAllDead(t, s, "dead")

			c.stop(t, r)
			rate := ports.Rate{Limit: 1, Per: time.Hour, Burst: 100}
			calls := []func() error{
				func() error { return s.Ping(t.Context()) },
				func() error { assert.Error(t, s.Doctor(t.Context())); return s.Ping(t.Context()) },
				func() error {
					life, err := s.Get(t.Context(), token("dead", 0))
					assert.Equal(t, ports.LinkUnknown, life)
					return err
				},
				func() error { return s.Put(t.Context(), token("dead", 0), time.Hour) },
				func() error { return s.MarkDead(t.Context(), token("dead", 0), time.Hour) },
				func() error {
					state, err := s.Allow(t.Context(), "k", rate)
					assert.False(t, state.Allowed)
					return err
				},
				func() error { state, err := s.Peek(t.Context(), "k", rate); assert.False(t, state.Allowed); return err },
				func() error { return s.Reset(t.Context(), "k") },
				func() error { return s.Publish(t.Context()) },
			}
			start := time.Now()
			var all sync.WaitGroup
			for _, call := range calls {
				all.Go(func() {
					for range 200 {
						wantAway(t, call())
					}
				})
			}
			all.Wait()
			// 1,800 calls that each waited for the timeout would take minutes.
			require.Less(t, time.Since(start), time.Minute, "calls wait for a Redis that is unavailable")
			also, err := s.Subscribe(t.Context())
			require.NoError(t, err, "a subscriber waits for Redis to come")

			c.back(t, r)
			wantBack(t, s)
			for range 20 {
				require.NoError(t, s.Ping(t.Context()))
			}
			if name == "Paused" {
				wantLives(t, s, "dead", ports.LinkDead)
			}
			wantHeard(t, s, heard)
			wantHeard(t, s, also)
		})
	}
}

// A command that a stopped server finds when it goes on must not give a link more
// time than it had.
func TestPromiseL3PausedRedisGivesNoTime(t *testing.T) {
	t.Parallel()
	r := realserver.Redis(t)
	s := open(t, "redis://"+r.Addr, redisstate.Options{Timeout: 200 * time.Millisecond})
	const ttl = 600 * time.Millisecond
	var late sync.WaitGroup
	late.Go(func() { // some are between their two commands when it stops
		for i := range 20 * links {
			_ = s.Put(t.Context(), token("late", i), ttl)
		}
	})
	time.Sleep(20 * time.Millisecond)
	r.Pause()
	late.Wait()
	time.Sleep(ttl)
	r.Resume()
	wantBack(t, s)
	for i := range 20 * links {
		got, err := s.Get(t.Context(), token("late", i))
		require.NoError(t, err)
		require.Equal(t, ports.LinkUnknown, got)
	}
}

func TestAbsentFromTheBeginning(t *testing.T) {
	t.Parallel()
	addr := realserver.FreeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	for _, url := range []string{
		"redis://127.0.0.1:" + port, "redis+cluster://127.0.0.1:" + port, "redis+sentinel://127.0.0.1:" + port + "/mymaster", "rediss://127.0.0.1:" + port,
	} {
		s := open(t, url, redisstate.Options{})
		for range 20 {
			wantAway(t, s.Ping(t.Context()))
			_, err := s.Get(t.Context(), token("x", 0))
			wantAway(t, err)
		}
		require.ErrorContains(t, s.Doctor(t.Context()), "IMAGIFY_REDIS_URL")
		heard, err := s.Subscribe(t.Context())
		require.NoError(t, err)
		select {
		case <-heard:
			t.Fatal("a notice from nobody")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestClusterNodeAway kills one master of three, that has no replica, and brings it back.
func TestClusterNodeAway(t *testing.T) {
	t.Parallel()
	servers := realserver.RedisCluster(t)
	s := open(t, "redis+cluster://"+servers[0].Addr+","+servers[1].Addr, redisstate.Options{Timeout: time.Second})
	require.NoError(t, s.Ping(t.Context()))
	markAllDead(t, s, "dead")
	servers[2].Kill()
	wantAway(t, s.Ping(t.Context()))
	for i := range links {
		got, err := s.Get(t.Context(), token("dead", i))
		if err != nil {
			wantAway(t, err)
		} else {
			require.Equal(t, ports.LinkDead, got)
		}
	}
	servers[2].Restart(t)
	wantBack(t, s)
	require.Eventually(t, func() bool { return s.Put(t.Context(), token("new", 0), time.Hour) == nil }, healing, 50*time.Millisecond)
	for i := range links {
		require.Eventually(t, func() bool {
			got, err := s.Get(t.Context(), token("dead", i))
			return err == nil && got != ports.LinkAlive
		}, healing, 50*time.Millisecond)
	}
}

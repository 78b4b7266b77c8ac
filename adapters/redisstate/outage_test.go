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

// healing bounds how long a Redis that is back may count as away (R3: 5 s), with slack.
const healing = 15 * time.Second

func token(name string, n int) domain.SecretHash {
	return sha256.Sum256([]byte(name + strconv.Itoa(n)))
}

// links is how many links each test keeps and buries.
const links = 100

func keepAll(t *testing.T, s *redisstate.State, name string) {
	t.Helper()
	for i := range links {
		require.NoError(t, s.Keep(t.Context(), token(name, i), time.Hour))
	}
}

func buryAll(t *testing.T, s *redisstate.State, name string) {
	t.Helper()
	for i := range links {
		require.NoError(t, s.Bury(t.Context(), token(name, i), time.Hour))
	}
}

func wantLives(t *testing.T, s *redisstate.State, name string, allowed ...ports.Life) {
	t.Helper()
	for i := range links {
		got, err := s.Check(t.Context(), token(name, i))
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
	keepAll(t, s, "alive")
	buryAll(t, s, "dead")
	require.Equal(t, "+OK", r.Command(t, "FLUSHALL"))
	wantLives(t, s, "alive", ports.LifeUnknown)
	wantLives(t, s, "dead", ports.LifeUnknown)
	keepAll(t, s, "alive") // as the app does, from the database
	wantLives(t, s, "alive", ports.LifeAlive)
	require.Equal(t, "+OK", r.Command(t, "SCRIPT", "FLUSH"))
	wantLives(t, s, "alive", ports.LifeAlive)
}

func TestPromiseL3RestoredDumpRaisesNobody(t *testing.T) {
	t.Parallel()
	r := realserver.Redis(t)
	s := open(t, patientURL("redis://"+r.Addr), redisstate.Options{Timeout: patient})
	keepAll(t, s, "buried later")
	keepAll(t, s, "alive")
	buryAll(t, s, "dead")
	require.Equal(t, "+OK", r.Command(t, "SAVE"))
	buryAll(t, s, "buried later") // after the dump: it is lost with the process
	r.Restart(t)
	wantBack(t, s)
	wantLives(t, s, "buried later", ports.LifeUnknown)
	wantLives(t, s, "alive", ports.LifeUnknown)
	wantLives(t, s, "dead", ports.LifeDead)
	keepAll(t, s, "alive")
	wantLives(t, s, "alive", ports.LifeAlive)
	require.NoError(t, s.Keep(t.Context(), token("dead", 0), time.Hour))
	wantLives(t, s, "dead", ports.LifeDead)
}

func TestPromiseL3FullRedisRaisesNobody(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"noeviction", "allkeys-lru", "volatile-ttl"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			r := realserver.Redis(t)
			s := open(t, patientURL("redis://"+r.Addr), redisstate.Options{Timeout: patient, Prefix: "full:"})
			keepAll(t, s, "buried later")
			buryAll(t, s, "dead")
			require.Equal(t, "+OK", r.Command(t, "CONFIG", "SET", "maxmemory-policy", policy))
			require.Equal(t, "+OK", r.Command(t, "CONFIG", "SET", "maxmemory", "1"))
			for i := range links {
				// Whether there is room to remember it or not.
				require.NoError(t, s.Bury(t.Context(), token("buried later", i), time.Hour))
				if err := s.Keep(t.Context(), token("dead", i), time.Hour); err != nil {
					wantAway(t, err)
				}
			}
			wantLives(t, s, "buried later", ports.LifeUnknown, ports.LifeDead)
			_, err := s.Allow(t.Context(), "k", ports.Rate{Limit: 1, Per: time.Hour, Burst: 1})
			if err != nil {
				wantAway(t, err)
			}
			require.Equal(t, "+OK", r.Command(t, "CONFIG", "SET", "maxmemory", "0"))
			keepAll(t, s, "alive")
			wantLives(t, s, "alive", ports.LifeAlive)
		})
	}
}

func TestPromiseL3FailoverRaisesNobody(t *testing.T) {
	t.Parallel()
	g := realserver.RedisSentinel(t)
	s := open(t, "redis+sentinel://"+strings.Join(g.Addrs, ",")+"/"+g.Master, redisstate.Options{Timeout: time.Second})
	heard, err := s.Subscribe(t.Context())
	require.NoError(t, err)
	keepAll(t, s, "buried later")
	keepAll(t, s, "alive")
	buryAll(t, s, "dead")
	require.Eventually(t, func() bool { // the replica has all of it
		return strings.Contains(g.Servers[1].Command(t, "INFO", "keyspace"), "keys="+strconv.Itoa(3*links)+",")
	}, healing, 10*time.Millisecond)
	g.Servers[1].Pause() // what is buried now never reaches it
	buryAll(t, s, "buried later")
	go func() {
		time.Sleep(50 * time.Millisecond)
		g.Servers[1].Resume()
	}()
	g.Failover(t)
	require.Eventually(t, func() bool { return s.Keep(t.Context(), token("new", 0), time.Hour) == nil }, healing, 50*time.Millisecond,
		"the new master is not found")
	wantLives(t, s, "buried later", ports.LifeUnknown, ports.LifeDead)
	wantLives(t, s, "alive", ports.LifeUnknown)
	wantLives(t, s, "dead", ports.LifeDead)
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

// TestPromiseR3Away tries every way in which a Redis can be away.
func TestPromiseR3Away(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		away, back func(t *testing.T, r *realserver.RedisServer)
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
			buryAll(t, s, "dead")

			c.away(t, r)
			rate := ports.Rate{Limit: 1, Per: time.Hour, Burst: 100}
			calls := []func() error{
				func() error { return s.Ping(t.Context()) },
				func() error { assert.Error(t, s.Doctor(t.Context())); return s.Ping(t.Context()) },
				func() error {
					life, err := s.Check(t.Context(), token("dead", 0))
					assert.Equal(t, ports.LifeUnknown, life)
					return err
				},
				func() error { return s.Keep(t.Context(), token("dead", 0), time.Hour) },
				func() error { return s.Bury(t.Context(), token("dead", 0), time.Hour) },
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
			require.Less(t, time.Since(start), time.Minute, "calls wait for a Redis that is away")
			also, err := s.Subscribe(t.Context())
			require.NoError(t, err, "a subscriber waits for Redis to come")

			c.back(t, r)
			wantBack(t, s)
			for range 20 {
				require.NoError(t, s.Ping(t.Context()))
			}
			if name == "Paused" {
				wantLives(t, s, "dead", ports.LifeDead)
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
			_ = s.Keep(t.Context(), token("late", i), ttl)
		}
	})
	time.Sleep(20 * time.Millisecond)
	r.Pause()
	late.Wait()
	time.Sleep(ttl)
	r.Resume()
	wantBack(t, s)
	for i := range 20 * links {
		got, err := s.Check(t.Context(), token("late", i))
		require.NoError(t, err)
		require.Equal(t, ports.LifeUnknown, got)
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
			_, err := s.Check(t.Context(), token("x", 0))
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
	buryAll(t, s, "dead")
	servers[2].Kill()
	wantAway(t, s.Ping(t.Context()))
	for i := range links {
		got, err := s.Check(t.Context(), token("dead", i))
		if err != nil {
			wantAway(t, err)
		} else {
			require.Equal(t, ports.LifeDead, got)
		}
	}
	servers[2].Restart(t)
	wantBack(t, s)
	require.Eventually(t, func() bool { return s.Keep(t.Context(), token("new", 0), time.Hour) == nil }, healing, 50*time.Millisecond)
	for i := range links {
		require.Eventually(t, func() bool {
			got, err := s.Check(t.Context(), token("dead", i))
			return err == nil && got != ports.LifeAlive
		}, healing, 50*time.Millisecond)
	}
}

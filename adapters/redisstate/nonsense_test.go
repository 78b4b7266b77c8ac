package redisstate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// fool is a Redis that answers every command of ours in one way, and what a client
// asks when it connects as a Redis does.
func fool(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					words, err := command(r)
					if err != nil {
						return
					}
					said := answer
					switch strings.ToUpper(words[0]) {
					case "HELLO":
						said = "-ERR unknown command\r\n"
					case "CLIENT", "SELECT", "AUTH":
						said = "+OK\r\n"
					}
					if _, err := io.WriteString(c, said); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// command reads one command: an array of strings.
func command(r *bufio.Reader) (words []string, err error) {
	var n, size int
	if _, err = fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	for range n {
		if _, err = fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err = io.ReadFull(r, word); err != nil {
			return nil, err
		}
		words = append(words, string(word[:size]))
	}
	return words, nil
}

// TestPromiseX4/Redis: whatever a Redis answers, the process lives, each call ends,
// and nothing is believed that no script of ours says (O50).
func TestPromiseX4(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"an empty array":      "*0\r\n",
		"an array of arrays":  "*2\r\n*0\r\n*0\r\n",
		"texts":               "*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
		"numbers":             "*2\r\n:9\r\n:-5\r\n",
		"huge numbers":        "*2\r\n:9223372036854775807\r\n:9223372036854775807\r\n",
		"one number":          ":7\r\n",
		"nothing":             "$-1\r\n",
		"no array":            "*-1\r\n",
		"OK":                  "+OK\r\n",
		"a map":               "%1\r\n+a\r\n+b\r\n",
		"LOADING":             "-LOADING Redis is loading the dataset in memory\r\n",
		"READONLY":            "-READONLY You can't write against a read only replica.\r\n",
		"OOM":                 "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
		"MISCONF":             "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk\r\n",
		"NOAUTH":              "-NOAUTH Authentication required.\r\n",
		"MOVED":               "-MOVED 1 nowhere:1\r\n",
		"an error of no kind": "-\r\n",
		"no protocol":         "HTTP/1.1 400 Bad Request\r\n\r\n",
		"silence":             "",
	} {
		t.Run("Redis/"+name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "redis://"+fool(t, answer), redisstate.Options{Timeout: 300 * time.Millisecond})
			rate := ports.Rate{Limit: 1, Per: time.Hour, Burst: 3}
			heard, err := s.Subscribe(t.Context())
			require.NoError(t, err)
			for range 3 {
				life, err := s.Get(t.Context(), token("x", 0))
				if err != nil {
					wantAway(t, err)
				}
				assert.Equal(t, ports.LinkUnknown, life)
				state, err := s.Allow(t.Context(), "k", rate)
				if err != nil {
					wantAway(t, err)
				} else {
					assert.LessOrEqual(t, state.Remaining, rate.Burst)
					assert.GreaterOrEqual(t, state.Remaining, int64(0))
				}
				for _, err := range []error{
					s.Put(t.Context(), token("x", 0), time.Hour), s.MarkDead(t.Context(), token("x", 0), time.Hour), s.Reset(t.Context(), "k"), s.Publish(t.Context()), s.Ping(t.Context()),
				} {
					if err != nil {
						require.Equal(t, domain.Unavailable, domain.CodeOf(err), "%v", err)
					}
				}
			}
			require.Error(t, s.Doctor(t.Context()))
			select {
			case <-heard: // a connection counts as a notice
			default:
			}
		})
	}
}

// TestSilentConnections: a pool whose connections all died without a word is thrown
// away after a few calls, not connection by connection (O42).
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	relay := realserver.NewRelay(t, realserver.Redis(t).Addr)
	s := open(t, "redis://"+relay.Addr+"?pool_size=30", redisstate.Options{Timeout: 250 * time.Millisecond})
	all := func() {
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() { _ = s.Ping(t.Context()) })
		}
		wg.Wait()
	}
	for relay.Dialed() < 20 {
		all()
	}
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, healing, 10*time.Millisecond)
	relay.Silence()
	calls := 0
	for ; s.Ping(t.Context()) != nil; calls++ {
		require.Less(t, calls, 10_000)
		time.Sleep(time.Millisecond)
	}
	require.Positive(t, calls)
	failed := 0
	for range 200 {
		if s.Ping(t.Context()) != nil {
			failed++
		}
	}
	require.Zero(t, failed, "dead connections are still in the pool")
}

// TestUnixSocket is the suite by a unix socket, with a database of its own (O34).
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	r := realserver.Redis(t, "--unixsocket", socket)
	url := "redis+unix://" + socket + "?db=3&read_timeout=10s&write_timeout=10s&dial_timeout=10s"
	o := redisstate.Options{Timeout: patient}
	require.NoError(t, open(t, url, o).Doctor(t.Context()))
	porttest.LinkCache(t, func(t *testing.T) ports.LinkCache { return open(t, url, o) })
	porttest.Notices(t, func(t *testing.T) ports.Notices { return open(t, url, o) })
	wantEveryKeyExpires(t, r, "3")
}

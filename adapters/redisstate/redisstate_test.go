package redisstate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis tells of each connection that a test cuts
	dir, err := os.MkdirTemp("", "redisstate")
	if err == nil {
		err = certificate(dir)
	}
	if err == nil {
		err = os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "cert.pem")) // which Go reads once
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}), goleak.IgnoreTopFunction("github.com/imagify-api/imagify/ports/porttest/realserver.init.func1.1")) // starts servers, ends with the process
}

// patient is for tests on a busy machine that are not about time.
const patient = 10 * time.Second

var prefixes atomic.Int64

// open returns a state of its own, on a prefix that no other test uses.
func open(t *testing.T, url string, o redisstate.Options) *redisstate.State {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = fmt.Sprintf("test%d:", prefixes.Add(1))
	}
	s, err := redisstate.Open(url, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func patientURL(url string) string {
	return url + "?read_timeout=10s&write_timeout=10s&dial_timeout=10s"
}

func conform(t *testing.T, url string) {
	t.Helper()
	o := redisstate.Options{Timeout: patient}
	require.NoError(t, open(t, url, o).Doctor(t.Context()))
	porttest.LinkCache(t, func(t *testing.T) ports.LinkCache { return open(t, url, o) })
	porttest.RateLimits(t, func(t *testing.T) ports.RateLimits { return open(t, url, o) })
	porttest.Notices(t, func(t *testing.T) ports.Notices { return open(t, url, o) })
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("Single", func(t *testing.T) {
		t.Parallel()
		r := realserver.Redis(t)
		conform(t, patientURL("redis://"+r.Addr+"/3"))
		wantEveryKeyExpires(t, r, "3")
	})
	t.Run("Cluster", func(t *testing.T) {
		t.Parallel()
		servers := realserver.RedisCluster(t)
		var addrs []string
		for _, r := range servers {
			addrs = append(addrs, r.Addr)
		}
		conform(t, patientURL("redis+cluster://"+strings.Join(addrs[:2], ",")))
		for _, r := range servers {
			wantEveryKeyExpires(t, r, "0")
		}
	})
	t.Run("Sentinel", func(t *testing.T) {
		t.Parallel()
		s := realserver.RedisSentinel(t)
		conform(t, patientURL("redis+sentinel://"+strings.Join(s.Addrs, ",")+"/"+s.Master))
		wantEveryKeyExpires(t, s.Servers[0], "0")
	})
}

// wantEveryKeyExpires requires that a server holds keys, and each with a time to live.
func wantEveryKeyExpires(t *testing.T, r *realserver.RedisServer, db string) {
	t.Helper()
	info := r.Command(t, "INFO", "keyspace")
	var keys, expires int
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(line, "db"+db+":"); ok {
			_, err := fmt.Sscanf(rest, "keys=%d,expires=%d", &keys, &expires)
			require.NoError(t, err, info)
		}
	}
	require.Positive(t, keys, info)
	require.Equal(t, keys, expires, "keys without a time to live: %s", info)
}

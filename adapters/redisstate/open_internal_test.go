package redisstate

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url     string
		addrs   []string
		db      int
		master  string
		cluster bool
		tls     bool
	}{
		{"redis://localhost", []string{"localhost:6379"}, 0, "", false, false},
		{"redis://localhost:7000/5", []string{"localhost:7000"}, 5, "", false, false},
		{"redis://[::1]/", []string{"[::1]:6379"}, 0, "", false, false},
		{"redis://[::1]:7000", []string{"[::1]:7000"}, 0, "", false, false},
		{"rediss://r.example.org", []string{"r.example.org:6379"}, 0, "", false, true},
		{"redis+cluster://a:1,b:2", []string{"a:1", "b:2"}, 0, "", true, false},
		{"redis+cluster://a", []string{"a:6379"}, 0, "", true, false},
		{"rediss+cluster://a,b", []string{"a:6379", "b:6379"}, 0, "", true, true},
		{"redis+sentinel://a,b:2/mymaster", []string{"a:26379", "b:2"}, 0, "mymaster", false, false},
		{"rediss+sentinel://a/mymaster/7", []string{"a:26379"}, 7, "mymaster", false, true},
	} {
		o, err := parse(c.url)
		require.NoError(t, err, c.url)
		assert.Equal(t, c.addrs, o.Addrs, c.url)
		assert.Equal(t, c.db, o.DB, c.url)
		assert.Equal(t, c.master, o.MasterName, c.url)
		assert.Equal(t, c.cluster, o.IsClusterMode, c.url)
		assert.Equal(t, c.tls, o.TLSConfig != nil, c.url)
		assert.True(t, o.ContextTimeoutEnabled, c.url)
		assert.Equal(t, maintnotifications.ModeDisabled, o.MaintNotificationsConfig.Mode, c.url)
	}

	socket, err := parse("redis+unix://anna:secret@/run/redis/redis.sock?db=3&pool_size=7")
	require.NoError(t, err)
	assert.Equal(t, []string{"/run/redis/redis.sock"}, socket.Addrs)
	assert.Equal(t, []any{"anna", "secret", 3, 7}, []any{socket.Username, socket.Password, socket.DB, socket.PoolSize})

	o, err := parse("redis+sentinel://anna:s%40crt@a/m?sentinel_username=su&sentinel_password=sp&client_name=n&pool_size=7&min_idle_conns=2&dial_timeout=1s&read_timeout=20ms&write_timeout=3s")
	require.NoError(t, err)
	assert.Equal(t, []string{"anna", "s@crt", "su", "sp", "n"}, []string{o.Username, o.Password, o.SentinelUsername, o.SentinelPassword, o.ClientName})
	assert.Equal(t, []int{7, 2}, []int{o.PoolSize, o.MinIdleConns})
	assert.Equal(t, []time.Duration{time.Second, 20 * time.Millisecond, 3 * time.Second}, []time.Duration{o.DialTimeout, o.ReadTimeout, o.WriteTimeout})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "localhost:6379", "http://localhost", "redis:localhost", "redis://", "redis://:6379", "redis://a:b", "redis://a:0", "redis://a:70000", "redis://a:1,b:2",
		"redis://a/x", "redis://a/-1", "redis://a/1/2", "redis://a#1", "redis+x://a", "redis+cluster://a/1", "redis+cluster://a,,b", "redis+sentinel://a", "redis+sentinel://a/m/x",
		"redis+sentinel://a/m/1/2", "redis://a?db=1", "redis://a?pool_size=0", "redis://a?pool_size=1&pool_size=2", "redis://a?read_timeout=5", "redis://a?read_timeout=-5s",
		"redis+unix://", "redis+unix:///", "redis+unix://run/redis.sock", "rediss+unix:///run/redis.sock", "redis+unix:///r.sock?db=x", "redis+unix:///r.sock?db=1&db=2", "redis+unix:///r.sock?x=1",
		"redis://u:hunter2@a?pool_size=%zz", "redis://u:hunter2@a b", "redis://u:hunter2%zz@a", "redis://u:hunter2@a:x",
	} {
		_, err := Open(url, Options{})
		require.Error(t, err, url)
		assert.NotContains(t, err.Error(), "hunter2", url)
	}
	_, err := Open("redis://localhost", Options{Timeout: -1})
	require.Error(t, err)
	_, err = New(nil, Options{})
	require.Error(t, err)
}

func TestGate(t *testing.T) {
	t.Parallel()
	g := gate{start: time.Now()}
	for range maxFailures - 1 {
		require.True(t, g.enter())
		g.failed()
	}
	g.open()
	for range maxFailures {
		require.True(t, g.enter(), "an answer between them makes them no failures in a row")
		g.failed()
	}
	require.False(t, g.enter())
	g.start = g.start.Add(-pause) // that much later
	require.True(t, g.enter(), "one may try")
	require.False(t, g.enter(), "only one")
	g.failed()
	require.False(t, g.enter())
	g.start = g.start.Add(-pause)
	require.True(t, g.enter())
	g.open()
	require.True(t, g.enter())
	require.True(t, g.enter())
}

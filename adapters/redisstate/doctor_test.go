package redisstate_test

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// Doctor says what to do about a Redis that answers and is not right.
func TestDoctor(t *testing.T) {
	t.Parallel()
	o := redisstate.Options{Timeout: patient}
	r := realserver.Redis(t)
	one := open(t, "redis://"+r.Addr, o)
	require.NoError(t, one.Doctor(t.Context()))
	for _, policy := range []string{"allkeys-lru", "allkeys-random"} {
		r.Command(t, "CONFIG", "SET", "maxmemory-policy", policy)
		require.ErrorContains(t, one.Doctor(t.Context()), "set volatile-ttl or noeviction")
	}
	r.Command(t, "CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	require.NoError(t, one.Doctor(t.Context()))
	host, port, err := net.SplitHostPort(realserver.Redis(t).Addr)
	require.NoError(t, err)
	r.Command(t, "REPLICAOF", host, port)
	require.ErrorContains(t, one.Doctor(t.Context()), "it must be a master")
	r.Command(t, "CONFIG", "SET", "requirepass", "SECRET")
	require.ErrorContains(t, open(t, "redis://"+r.Addr, o).Doctor(t.Context()), "check the user and the password")
	err = open(t, "redis://:WRONG@"+r.Addr, o).Doctor(t.Context())
	require.ErrorContains(t, err, "check the user and the password")
	require.NotContains(t, err.Error(), "WRONG@")
}

// A Cluster is asked as one, by a user who may do what the package's comment names.
func TestDoctorOfCluster(t *testing.T) {
	t.Parallel()
	var addrs []string
	for _, r := range realserver.RedisCluster(t) {
		addrs = append(addrs, r.Addr)
		r.Command(t, append([]string{"ACL", "SETUSER", "anna", "on", ">secret"}, strings.Fields(
			"~imagify:* &imagify:* +eval +evalsha +get +set +del +pttl +time +info +publish +subscribe +ping +cluster|slots")...)...)
	}
	o := redisstate.Options{Timeout: patient, Prefix: "imagify:"}
	require.NoError(t, open(t, "redis+cluster://anna:secret@"+strings.Join(addrs, ","), o).Doctor(t.Context()))
	var mistaken []string
	for _, addr := range addrs { // the probe's key is another node's but for one of them
		if err := open(t, "redis://anna:secret@"+addr, o).Doctor(t.Context()); err != nil {
			mistaken = append(mistaken, err.Error())
		}
	}
	require.NotEmpty(t, mistaken)
	require.Contains(t, mistaken[0], "redis+cluster://")
}

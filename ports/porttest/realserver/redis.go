package realserver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is a running Redis.
type RedisServer struct {
	*Process
	// Addr is its host:port.
	Addr string
}

// Redis starts a Redis with an empty memory that keeps nothing on disk unless asked
// (SAVE); what it saved in its folder it finds again at Restart. args are added to
// its command line.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return redis(t, FreeAddr(t), args...)
}

func redis(t testing.TB, addr string, args ...string) *RedisServer {
	t.Helper()
	path := Find(t, "redis-server")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{
		"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--daemonize", "no", "--databases", "16", "--shutdown-timeout", "0",
	}, args...)
	return &RedisServer{Process: Start(t, t.TempDir(), nil, redisReady(addr), path, args...), Addr: addr}
}

func redisReady(addr string) func() error {
	return func() error {
		answer, err := redisCommand(addr, "PING")
		if err == nil && answer != "+PONG" {
			err = fmt.Errorf("PING is answered with %q", answer)
		}
		return err
	}
}

// Command sends a command of words without spaces and returns the first line of
// the answer, or of the text that it begins.
func (r *RedisServer) Command(t testing.TB, words ...string) string {
	t.Helper()
	answer, err := redisCommand(r.Addr, words...)
	if err != nil {
		t.Fatalf("redis at %s: %s: %v", r.Addr, strings.Join(words, " "), err)
	}
	return answer
}

// redisCommand speaks just enough of Redis's inline protocol.
func redisCommand(addr string, words ...string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(c, "%s\r\n", strings.Join(words, " ")); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if strings.HasPrefix(line, "$") && err == nil {
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		if n < 0 {
			return "", nil
		}
		text := make([]byte, n)
		for at := 0; at < n; {
			k, err := r.Read(text[at:])
			if err != nil {
				return "", err
			}
			at += k
		}
		return string(text), nil
	}
	return strings.TrimSpace(line), err
}

// RedisCluster starts a Cluster of three masters and waits until it serves every slot.
func RedisCluster(t testing.TB) []*RedisServer {
	t.Helper()
	cli := Find(t, "redis-cli")
	const masters = 3
	list := make([]*RedisServer, masters)
	args := []string{"--cluster", "create"}
	for i := range list {
		_, busPort, _ := net.SplitHostPort(FreeAddr(t))
		list[i] = Redis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", busPort)
		args = append(args, list[i].Addr)
	}
	out, err := exec.Command(cli, append(args, "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	eventually(t, "the cluster is not ok", func() bool {
		for _, r := range list {
			info := r.Command(t, "CLUSTER", "INFO")
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") {
				return false
			}
		}
		return true
	})
	return list
}

// RedisSentinels is a master, its replica and the Sentinels that watch them.
type RedisSentinels struct {
	// Master is the name that the Sentinels know the pair by.
	Master string
	// Servers are the master of the beginning and its replica.
	Servers [2]*RedisServer
	// Addrs are the Sentinels' addresses.
	Addrs []string
}

// RedisSentinel starts a master with a replica and three Sentinels, and waits until
// a failover would succeed.
func RedisSentinel(t testing.TB) *RedisSentinels {
	t.Helper()
	path := Find(t, "redis-sentinel", "redis-server")
	s := &RedisSentinels{Master: "mymaster"}
	s.Servers[0] = Redis(t)
	host, port, _ := net.SplitHostPort(s.Servers[0].Addr)
	s.Servers[1] = Redis(t, "--replicaof", host, port, "--repl-diskless-sync-delay", "0")
	eventually(t, "the replica does not follow", func() bool {
		return strings.Contains(s.Servers[1].Command(t, "INFO", "replication"), "master_link_status:up")
	})
	for range 3 {
		addr := FreeAddr(t)
		_, sentinelPort, _ := net.SplitHostPort(addr)
		dir := t.TempDir()
		conf := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("bind 127.0.0.1\nport %s\nsentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %[2]s 500\nsentinel failover-timeout %[2]s 3000\n",
			sentinelPort, s.Master, host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		Start(t, dir, nil, redisReady(addr), path, conf, "--sentinel")
		s.Addrs = append(s.Addrs, addr)
	}
	for _, addr := range s.Addrs {
		eventually(t, "the Sentinels do not know each other and the replica", func() bool {
			quorum, err := redisCommand(addr, "SENTINEL", "CKQUORUM", s.Master)
			if err != nil || !strings.HasPrefix(quorum, "+OK 3 usable") {
				return false
			}
			info, err := redisCommand(addr, "INFO", "sentinel")
			return err == nil && strings.Contains(info, "slaves=1,sentinels=3")
		})
	}
	return s
}

// Failover kills the master and waits until the Sentinels have made the replica one.
func (s *RedisSentinels) Failover(t testing.TB) {
	t.Helper()
	s.Servers[0].Kill()
	eventually(t, "there is no failover", func() bool {
		// A Sentinel that promotes a replica closes its clients' connections, which may be this one.
		info, err := redisCommand(s.Servers[1].Addr, "INFO", "replication")
		return err == nil && strings.Contains(info, "role:master")
	})
}

// eventually waits until ok holds.
func eventually(t testing.TB, failure string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s after %s", failure, startTimeout)
		}
	}
}

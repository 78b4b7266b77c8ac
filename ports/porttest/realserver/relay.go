package realserver

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Relay stands between a client and a server and can make connections die in
// silence, as a firewall does that forgets them, or a machine that loses its power:
// nothing arrives any more, and nobody is told. New connections work.
type Relay struct {
	// Addr is where clients connect to.
	Addr string

	mu    sync.Mutex
	conns map[*relayed]struct{}
	// Dialed counts the connections there were.
	dialed int
}

type relayed struct {
	client, server net.Conn
	mu             sync.Mutex
	dead           bool
}

// NewRelay starts a relay to the server at upstream, host:port.
func NewRelay(t testing.TB, upstream string) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Addr: l.Addr().String(), conns: map[*relayed]struct{}{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", upstream) // ends with the test
			if err != nil {
				_ = client.Close()
				continue
			}
			c := &relayed{client: client, server: server}
			r.mu.Lock()
			r.conns[c] = struct{}{}
			r.dialed++
			r.mu.Unlock()
			all.Go(func() { c.pass(server, client) })
			all.Go(func() { c.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for c := range r.conns {
			_, _ = c.client.Close(), c.server.Close()
		}
		r.mu.Unlock()
		all.Wait()
	})
	return r
}

// pass copies until one side ends, and then ends the other, unless the connection
// has died: what comes then is swallowed.
func (c *relayed) pass(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		dead := c.dead
		c.mu.Unlock()
		if !dead && n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil && err == nil {
				err = io.ErrClosedPipe
			}
		}
		if err != nil {
			if !dead {
				_ = to.Close()
			}
			return
		}
	}
}

// Silence makes every connection that there is die.
func (r *Relay) Silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	}
}

// Dialed is how many connections there were.
func (r *Relay) Dialed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dialed
}

package redisstate

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connections dials for the client and can end all that there are: the client's pool
// has no such call, and hands out one connection after the other that a firewall or a
// failover ended without telling.
type connections struct {
	dialer net.Dialer
	tls    *tls.Config // nil: plain

	mu   sync.Mutex
	open map[*conn]struct{}
}

func newConnections(timeout time.Duration, secure *tls.Config) *connections {
	return &connections{dialer: net.Dialer{Timeout: timeout}, tls: secure, open: map[*conn]struct{}{}}
}

func (c *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var plain net.Conn
	var err error
	if c.tls == nil {
		plain, err = c.dialer.DialContext(ctx, network, addr)
	} else {
		plain, err = (&tls.Dialer{NetDialer: &c.dialer, Config: c.tls}).DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	one := &conn{Conn: plain, of: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[one] = struct{}{}
	return one, nil
}

// drop ends every connection; the pool notices before it hands one out again.
func (c *connections) drop() {
	c.mu.Lock()
	all := make([]*conn, 0, len(c.open))
	for one := range c.open {
		all = append(all, one)
	}
	c.mu.Unlock()
	for _, one := range all {
		_ = one.Close() // it is of no use
	}
}

type conn struct {
	net.Conn
	of     *connections
	closed atomic.Bool
}

func (c *conn) Close() error {
	c.closed.Store(true)
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// SyscallConn is how the pool looks whether a connection lives.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	if plain, ok := c.Conn.(syscall.Conn); ok {
		return plain.SyscallConn()
	}
	return opaque{}, nil
}

// opaque is the raw side of a TLS connection, at which there is nothing to see.
type opaque struct{}

func (opaque) Control(func(fd uintptr)) error    { return nil }
func (opaque) Read(func(fd uintptr) bool) error  { return nil }
func (opaque) Write(func(fd uintptr) bool) error { return nil }

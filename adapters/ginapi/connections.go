package ginapi

import (
	linked "container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/imagify-api/imagify/app"
)

// connectionsOfOne is how many connections one client address, or a whole /64 of IPv6
// (app.ClientPrefix), may have open. A browser opens six and many people may share an
// address; what one connection holds, some 20 KiB and a file descriptor, adds up to 5 MiB.
const connectionsOfOne = 256

// connections bounds what each client address has open. One connection more closes the
// client's that has waited longest for a request; where all are at work, the new one is closed.
//
// A connection from an address that is not public is not counted: a Unix socket, this machine, a private
// network, or a proxy that the operator trusts. There one address stands for many clients.
type connections struct {
	proxies []netip.Prefix
	most    int

	mu      sync.Mutex
	clients map[string]*clientConnections
	of      map[net.Conn]*connection
}

// clientConnections are the connections of one client.
type clientConnections struct {
	all     int
	waiting linked.List // of net.Conn; the one that has waited longest is first
}

type connection struct {
	client string
	wait   *linked.Element // nil while a request is served
}

func newConnections(proxies []netip.Prefix) *connections {
	return &connections{
		proxies: proxies, most: connectionsOfOne,
		clients: map[string]*clientConnections{}, of: map[net.Conn]*connection{},
	}
}

// counted returns by what the other end of a connection is counted; false where it is not.
func (c *connections) counted(conn net.Conn) (string, bool) {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return "", false // no TCP
	}
	a := at.Addr().Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || shared.Contains(a) {
		return "", false
	}
	for _, p := range c.proxies {
		if p.Contains(a) {
			return "", false
		}
	}
	return app.ClientPrefix(a.String()), true
}

// shared is the address space between a provider's own machines (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// state is an http.Server's ConnState.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	if closing := c.note(conn, s); closing != nil {
		_ = closing.Close() // its own goroutine finds out, and says StateClosed
	}
}

// note takes in a connection's state and returns the connection that has to go for it.
func (c *connections) note(conn net.Conn, s http.ConnState) (closing net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of[conn]
	switch s {
	case http.StateNew:
		client, ok := c.counted(conn)
		if !ok {
			return nil
		}
		mine := c.clients[client]
		if mine == nil {
			mine = &clientConnections{}
			c.clients[client] = mine
		}
		if mine.all >= c.most {
			first := mine.waiting.Front()
			if first == nil {
				return conn
			}
			closing = first.Value.(net.Conn)
			c.drop(closing)
			c.clients[client] = mine // it may have been the only one
		}
		mine.all++
		c.of[conn] = &connection{client: client, wait: mine.waiting.PushBack(conn)}
	case http.StateActive:
		if k != nil && k.wait != nil {
			c.clients[k.client].waiting.Remove(k.wait)
			k.wait = nil
		}
	case http.StateIdle:
		if k != nil && k.wait == nil {
			k.wait = c.clients[k.client].waiting.PushBack(conn)
		}
	case http.StateHijacked, http.StateClosed:
		c.drop(conn)
	}
	return closing
}

// drop forgets a connection.
func (c *connections) drop(conn net.Conn) {
	k := c.of[conn]
	if k == nil {
		return
	}
	delete(c.of, conn)
	mine := c.clients[k.client]
	if k.wait != nil {
		mine.waiting.Remove(k.wait)
	}
	if mine.all--; mine.all == 0 {
		delete(c.clients, k.client)
	}
}

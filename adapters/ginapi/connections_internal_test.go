package ginapi

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// from is a listener on this machine whose clients seem to come from 203.0.113.0/24, by the last byte
// of the address in 127.0.0.0/8 that they dial from.
type from struct{ net.Listener }

type fromConn struct {
	net.Conn
	addr net.Addr
}

func (c fromConn) RemoteAddr() net.Addr { return c.addr }

func (l from) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	a := *conn.RemoteAddr().(*net.TCPAddr)
	a.IP = net.IPv4(203, 0, 113, a.IP.To4()[3])
	return fromConn{conn, &a}, nil
}

// open returns how many connections are counted, of all clients.
func (c *connections) open() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, mine := range c.clients {
		n += mine.all
	}
	return n
}

type connectionWorld struct {
	t      *testing.T
	addr   string
	server *http.Server
	c      *connections
	busy   chan struct{} // requests of /busy wait for it
}

func newConnectionWorld(t *testing.T, proxies ...netip.Prefix) *connectionWorld {
	w := &connectionWorld{t: t, busy: make(chan struct{}), c: newConnections(proxies)}
	w.server = NewHTTPServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			_ = http.NewResponseController(rw).Flush()
			<-w.busy
		}
	}), nil, proxies...)
	w.server.ConnState = w.c.state
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.addr = l.Addr().String()
	go func() { _ = w.server.Serve(from{l}) }()
	t.Cleanup(func() { close(w.busy); w.server.Close() })
	return w
}

// dial connects from the client with the number.
func (w *connectionWorld) dial(client byte) net.Conn {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, client)}}
	conn, err := d.Dial("tcp", w.addr)
	require.NoError(w.t, err)
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

func (w *connectionWorld) ask(conn net.Conn, path string) error {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		res.Body.Close()
	}
	return err
}

// What one address opens and leaves open is bounded, whatever it is, and others are served meanwhile.
func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	for name, silent := range map[string]bool{"silent": true, "kept alive": false} {
		t.Run(name, func(t *testing.T) {
			w := newConnectionWorld(t)
			other := w.dial(3)
			require.NoError(t, w.ask(other, "/"))
			const many = 4 * connectionsOfOne
			var last net.Conn
			for range many {
				last = w.dial(2)
				if !silent {
					require.NoError(t, w.ask(last, "/"), "one more is never refused while another waits")
				}
				require.LessOrEqual(t, w.c.open(), connectionsOfOne+1)
			}
			require.NoError(t, w.ask(last, "/"))
			require.NoError(t, w.ask(other, "/"), "another's connection stays")
			require.NoError(t, w.ask(w.dial(4), "/"))
			require.LessOrEqual(t, w.c.open(), connectionsOfOne+2)
		})
	}
}

// A request that is under way is not cut for a new connection, and when all are at work the new one is closed.
func TestConnectionsAtWorkStay(t *testing.T) {
	w := newConnectionWorld(t)
	w.c.mu.Lock()
	w.c.most = 8
	w.c.mu.Unlock()
	var busy []*bufio.Reader
	for range 8 {
		conn := w.dial(2)
		_, err := fmt.Fprint(conn, "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		r := bufio.NewReader(conn)
		_, err = r.Peek(1) // the answer has begun
		require.NoError(t, err)
		busy = append(busy, r)
	}
	require.Error(t, w.ask(w.dial(2), "/"))
	require.NoError(t, w.ask(w.dial(3), "/"))
	for range 8 {
		w.busy <- struct{}{}
	}
	for _, r := range busy {
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		res.Body.Close()
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, w.ask(w.dial(2), "/")) }, 10*time.Second, 10*time.Millisecond)
}

// Closed connections are forgotten.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	w := newConnectionWorld(t)
	for range 3 {
		conn := w.dial(2)
		require.NoError(t, w.ask(conn, "/"))
		conn.Close()
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Zero(c, w.c.open()) }, 10*time.Second, 10*time.Millisecond)
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	assert.Empty(t, w.c.of)
	assert.Empty(t, w.c.clients)
}

type textAddr string

func (textAddr) Network() string  { return "tcp" }
func (a textAddr) String() string { return string(a) }

// A proxy is not counted: it is one by its address, which is not public, or by being trusted.
func TestProxiesAreNotCounted(t *testing.T) {
	c := newConnections([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/28"), netip.MustParsePrefix("2001:db8:1::/64")})
	for addr, want := range map[string]string{
		"203.0.113.9:1": "203.0.113.9", "[::ffff:203.0.113.9]:1": "203.0.113.9", "[2001:db8:2:3::9]:1": "2001:db8:2:3::/64", "198.51.100.16:1": "198.51.100.16",
		"198.51.100.9:1": "", "[2001:db8:1::5]:1": "",
		"127.0.0.1:1": "", "[::1]:1": "", "10.1.2.3:1": "", "172.17.0.1:1": "", "192.168.1.1:1": "", "[fd00::1]:1": "", "[fe80::1%eth0]:1": "", "169.254.1.1:1": "", "100.64.0.1:1": "",
		"@": "", "/run/imagify.sock": "", "": "",
	} {
		client, ok := c.counted(fromConn{addr: textAddr(addr)})
		assert.Equal(t, want, client, addr)
		assert.Equal(t, want != "", ok, addr)
	}
}

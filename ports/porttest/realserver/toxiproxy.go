package realserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Proxy stands between a client and a server and makes the network bad: Toxiproxy,
// one process a proxy.
type Proxy struct {
	*Process
	// Addr is where clients connect to.
	Addr          string
	upstream, api string
}

// ToxiProxy starts a proxy to the server at upstream, host:port, that does no harm yet.
func ToxiProxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	path := Find(t, "toxiproxy-server")
	addr := FreeAddr(t)
	p := &Proxy{Addr: FreeAddr(t), upstream: upstream, api: "http://" + addr}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	p.Process = Start(t, t.TempDir(), []string{"LOG_LEVEL=error"}, Dialed(addr), path, "-host", host, "-port", port)
	p.connect(t)
	return p
}

// Latency delays every answer.
func (p *Proxy) Latency(t testing.TB, d time.Duration) {
	t.Helper()
	p.toxic(t, "latency", "downstream", map[string]any{"latency": d.Milliseconds()})
}

// ResetUpload ends each connection once the client has sent that many bytes over it.
func (p *Proxy) ResetUpload(t testing.TB, after int) { p.reset(t, "upstream", after) }

// ResetDownload ends each connection once the server has sent that many bytes over it.
func (p *Proxy) ResetDownload(t testing.TB, after int) { p.reset(t, "downstream", after) }

func (p *Proxy) reset(t testing.TB, stream string, after int) {
	t.Helper()
	p.toxic(t, "limit_data", stream, map[string]any{"bytes": after})
}

// Swallow takes what clients send and answers nothing.
func (p *Proxy) Swallow(t testing.TB) {
	t.Helper()
	p.toxic(t, "timeout", "upstream", map[string]any{"timeout": 0})
}

// Cut refuses connections and ends those there are.
func (p *Proxy) Cut(t testing.TB) {
	t.Helper()
	p.call(t, http.MethodPost, "/proxies/p", map[string]any{"enabled": false})
}

// Heal does no harm any more. Connections end: Toxiproxy starts again, for a toxic
// that is taken away waits for what it has delayed.
func (p *Proxy) Heal(t testing.TB) {
	t.Helper()
	p.Restart(t)
	p.connect(t)
}

func (p *Proxy) connect(t testing.TB) {
	t.Helper()
	p.call(t, http.MethodPost, "/proxies", map[string]any{"name": "p", "listen": p.Addr, "upstream": p.upstream, "enabled": true})
}

func (p *Proxy) toxic(t testing.TB, kind, stream string, attributes map[string]any) {
	t.Helper()
	p.call(t, http.MethodPost, "/proxies/p/toxics", map[string]any{"type": kind, "stream": stream, "attributes": attributes})
}

func (p *Proxy) call(t testing.TB, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, p.api+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatalf("toxiproxy: %v\n%s", err, p.Output())
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(res.Body)
	if res.StatusCode/100 != 2 {
		t.Fatal(fmt.Errorf("toxiproxy: %s %s: %s: %s", method, path, res.Status, answer))
	}
}

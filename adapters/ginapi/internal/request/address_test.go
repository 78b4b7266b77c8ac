package request

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		peer    string
		headers []string
		address string
		secure  bool
		host    string
	}{
		"direct":                  {nil, "192.0.2.1:5", nil, "192.0.2.1", false, "h"},
		"direct, IPv6":            {nil, "[2001:db8::1]:5", nil, "2001:db8::1", false, "h"},
		"mapped":                  {nil, "[::ffff:192.0.2.1]:5", nil, "192.0.2.1", false, "h"},
		"no port":                 {nil, "pipe", nil, "pipe", false, "h"},
		"nobody is trusted":       {nil, "10.0.0.1:5", []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, "10.0.0.1", false, "h"},
		"an untrusted peer":       {proxies, "192.0.2.1:5", []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, "192.0.2.1", false, "h"},
		"a proxy":                 {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: img.example"}, "1.1.1.1", true, "img.example"},
		"what the client wrote":   {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 9.9.9.9, 1.1.1.1"}, "1.1.1.1", false, "h"},
		"two proxies":             {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 9.9.9.9, 1.1.1.1, 10.0.0.2"}, "1.1.1.1", false, "h"},
		"two header lines":        {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 1.1.1.1,10.3.3.3"}, "1.1.1.1", false, "h"},
		"with ports and brackets": {proxies, "[fd00::1]:5", []string{"X-Forwarded-For: [2001:db8::7]:99, [fd00::2]"}, "2001:db8::7", false, "h"},
		"garbage":                 {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 1.1.1.1, what"}, "10.0.0.1", false, "h"},
		"garbage behind a proxy":  {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: what, 10.0.0.9"}, "10.0.0.9", false, "h"},
		"proxies alone":           {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 10.0.0.3"}, "10.0.0.3", false, "h"},
		"no header":               {proxies, "10.0.0.1:5", nil, "10.0.0.1", false, "h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Server{TrustedProxies: c.trusted}
			r := &http.Request{RemoteAddr: c.peer, Host: "h", Header: http.Header{}}
			for _, h := range c.headers {
				n, v, _ := strings.Cut(h, ": ")
				r.Header.Add(n, v)
			}
			address, secure := s.client(r)
			assert.Equal(t, c.address, address)
			assert.Equal(t, c.secure, secure)
			q := &Request{server: s, HTTP: r, secure: secure}
			scheme := "http://"
			if secure {
				scheme = "https://"
			}
			assert.Equal(t, scheme+c.host, q.BaseURL())
			s.PublicURL, s.publicSecure = "https://public.example", true
			_, secure = s.client(r)
			assert.True(t, secure)
			assert.Equal(t, "https://public.example", q.BaseURL())
		})
	}
}

func TestValidHost(t *testing.T) {
	t.Parallel()
	for h, want := range map[string]bool{
		"localhost": true, "h:80": true, "[::1]:80": true, "a-b_c.example": true,
		"": false, `h"><script>`: false, "h/x": false, "u@h": false, "h h": false, "h,i": false, "h?x": false,
	} {
		assert.Equal(t, want, ValidHost(h), h)
	}
}

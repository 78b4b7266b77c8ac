package request

import (
	"net/http"
	"net/netip"
	"strings"
)

// peer is the address at the other end of the connection; invalid where there is none.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func (s *Server) trustedAddr(a netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// trusted reports whether the peer is a proxy whose X-Forwarded headers are believed.
func (s *Server) trusted(r *http.Request) bool {
	return len(s.TrustedProxies) > 0 && s.trustedAddr(peer(r))
}

// client returns the client's address and whether it speaks https.
func (s *Server) client(r *http.Request) (address string, secure bool) {
	if len(s.TrustedProxies) == 0 {
		return host(r.RemoteAddr), s.publicSecure || r.TLS != nil
	}
	a := peer(r)
	if !a.IsValid() || !s.trustedAddr(a) {
		return host(r.RemoteAddr), s.publicSecure || r.TLS != nil
	}
	secure = s.publicSecure || r.TLS != nil
	if s.PublicURL == "" {
		if proto := firstOf(r.Header.Get("X-Forwarded-Proto")); proto != "" {
			secure = strings.EqualFold(proto, "https")
		}
	}
	return s.behind(a, r.Header["X-Forwarded-For"]).String(), secure
}

// behind returns the rightmost address of X-Forwarded-For that is no trusted
// proxy: what stands left of it, anybody may have written.
func (s *Server) behind(proxy netip.Addr, forwarded []string) netip.Addr {
	for i := len(forwarded) - 1; i >= 0; i-- {
		hops := strings.Split(forwarded[i], ",")
		for j := len(hops) - 1; j >= 0; j-- {
			hop, ok := parseHop(strings.TrimSpace(hops[j]))
			if !ok {
				return proxy
			}
			if proxy = hop; !s.trustedAddr(hop) {
				return hop
			}
		}
	}
	return proxy
}

// parseHop reads an address with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// host is an address without its port, in the form that netip would print.
func host(remoteAddr string) string {
	i := strings.LastIndexByte(remoteAddr, ':')
	if i < 0 {
		return remoteAddr
	}
	h := remoteAddr[:i]
	if !strings.HasPrefix(h, "[") {
		return h
	}
	if ap, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	return h
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// BaseURL is the beginning of the URLs handed out, without a trailing slash.
func (q *Request) BaseURL() string {
	if q.server.PublicURL != "" {
		return q.server.PublicURL
	}
	host := q.HTTP.Host
	if q.server.trusted(q.HTTP) {
		if h := firstOf(q.HTTP.Header.Get("X-Forwarded-Host")); ValidHost(h) {
			host = h
		}
	}
	if q.secure {
		return "https://" + host
	}
	return "http://" + host
}

// ValidHost reports whether a Host header can stand in a URL: a name or an address, and a port.
func ValidHost(h string) bool {
	for i := 0; i < len(h); i++ {
		c := h[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(".-_:[]", c) >= 0) {
			return false
		}
	}
	return h != ""
}

package ginapi

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// The session cookie. The prefix makes browsers keep it to this host, to https and to the whole path.
const (
	secureCookie = "__Host-imagify_session"
	plainCookie  = "imagify_session"
)

func (q *request) cookieName() string {
	if q.secure {
		return secureCookie
	}
	return plainCookie
}

// sessionSecret returns the session cookie's value, empty if there is none.
func (q *request) sessionSecret() string {
	if q.r.Header["Cookie"] == nil {
		return ""
	}
	if c, err := q.r.Cookie(q.cookieName()); err == nil {
		return c.Value
	}
	return ""
}

func (q *request) setCookie(secret string, expires time.Time) {
	http.SetCookie(q.w, &http.Cookie{
		Name: q.cookieName(), Value: secret, Path: "/", Expires: expires, MaxAge: max(int(time.Until(expires)/time.Second), 1),
		Secure: q.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (q *request) deleteCookie() {
	http.SetCookie(q.w, &http.Cookie{Name: q.cookieName(), Path: "/", MaxAge: -1, Secure: q.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// authenticate finds out who asks. An Authorization header counts before a cookie.
func (q *request) authenticate() error {
	a, err := q.whoAsks()
	if err != nil {
		return err
	}
	a.RequestID, a.Address = q.id, q.address
	q.actor = a
	return nil
}

// hasCredentials reports whether the request brings any, good or bad.
func (q *request) hasCredentials() bool {
	return q.r.Header["Authorization"] != nil || q.sessionSecret() != ""
}

func (q *request) whoAsks() (domain.Actor, error) {
	switch given := q.r.Header["Authorization"]; len(given) {
	case 0:
		if secret := q.sessionSecret(); secret != "" {
			return q.s.svc.BySession(q.ctx(), secret)
		}
		return domain.Actor{}, domain.Errorf(domain.Unauthenticated, "sign in first")
	case 1:
		if token, ok := bearer(given[0]); ok {
			return q.s.svc.ByToken(q.ctx(), token)
		}
		if name, password, ok := q.r.BasicAuth(); ok {
			return q.s.svc.ByPassword(q.ctx(), name, password, q.address)
		}
	}
	return domain.Actor{}, domain.Errorf(domain.Unauthenticated, "send one Authorization header, with the scheme Bearer or Basic")
}

// bearer returns the token of an Authorization header (RFC 6750, section 2.1).
func bearer(authorization string) (string, bool) {
	const scheme = "Bearer "
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimSpace(authorization[len(scheme):]), true
}

// sameOrigin refuses what another site's page makes a browser do. Browsers do
// not send Bearer tokens by themselves, so who sends one is not being tricked.
func (q *request) sameOrigin() error {
	switch q.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if given := q.r.Header["Authorization"]; len(given) == 1 {
		if _, ok := bearer(given[0]); ok {
			return nil
		}
	}
	r := q.r
	if q.s.publicURL == "" && q.s.trusted(r) {
		if host := firstOf(r.Header.Get("X-Forwarded-Host")); validHost(host) {
			forwarded := *r
			forwarded.Host = host
			r = &forwarded
		}
	}
	if err := q.s.origins.Check(r); err != nil {
		return domain.Wrap(domain.CrossOrigin, err, "the request comes from another site: use an API token instead")
	}
	return nil
}

// peer is the address at the other end of the connection; invalid where there is none.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func (s *Server) trustedAddr(a netip.Addr) bool {
	for _, p := range s.o.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// trusted reports whether the peer is a proxy whose X-Forwarded headers are believed.
func (s *Server) trusted(r *http.Request) bool {
	return len(s.o.TrustedProxies) > 0 && s.trustedAddr(peer(r))
}

// client returns the client's address and whether it speaks https.
func (s *Server) client(r *http.Request) (address string, secure bool) {
	if len(s.o.TrustedProxies) == 0 {
		return host(r.RemoteAddr), s.publicSecure || r.TLS != nil
	}
	a := peer(r)
	if !a.IsValid() || !s.trustedAddr(a) {
		return host(r.RemoteAddr), s.publicSecure || r.TLS != nil
	}
	secure = s.publicSecure || r.TLS != nil
	if s.publicURL == "" {
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

// base is the beginning of the URLs handed out, without a trailing slash.
func (q *request) base() string {
	if q.s.publicURL != "" {
		return q.s.publicURL
	}
	host := q.r.Host
	if q.s.trusted(q.r) {
		if h := firstOf(q.r.Header.Get("X-Forwarded-Host")); validHost(h) {
			host = h
		}
	}
	if q.secure {
		return "https://" + host
	}
	return "http://" + host
}

// validHost reports whether a Host header can stand in a URL: a name or an address, and a port.
func validHost(h string) bool {
	for i := 0; i < len(h); i++ {
		c := h[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(".-_:[]", c) >= 0) {
			return false
		}
	}
	return h != ""
}

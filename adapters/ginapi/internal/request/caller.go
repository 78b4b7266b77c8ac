package request

import (
	"net/http"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// The session cookie. The prefix makes browsers keep it to this host, to https and to the whole path.
const (
	SecureCookie = "__Host-imagify_session"
	PlainCookie  = "imagify_session"
)

func (q *Request) cookieName() string {
	if q.secure {
		return SecureCookie
	}
	return PlainCookie
}

// SessionSecret returns the session cookie's value, empty if there is none.
func (q *Request) SessionSecret() string {
	if q.HTTP.Header["Cookie"] == nil {
		return ""
	}
	if c, err := q.HTTP.Cookie(q.cookieName()); err == nil {
		return c.Value
	}
	return ""
}

// SetSessionCookie hands a session to the browser.
func (q *Request) SetSessionCookie(secret string, expires time.Time) {
	http.SetCookie(q.w, &http.Cookie{
		Name: q.cookieName(), Value: secret, Path: "/", Expires: expires, MaxAge: max(int(time.Until(expires)/time.Second), 1),
		Secure: q.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// DeleteSessionCookie takes the session from the browser.
func (q *Request) DeleteSessionCookie() {
	http.SetCookie(q.w, &http.Cookie{Name: q.cookieName(), Path: "/", MaxAge: -1, Secure: q.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// Authenticate finds out who asks, as an error where nobody does. An Authorization header counts before a cookie.
func (q *Request) Authenticate() error {
	a, err := q.whoAsks()
	if err != nil {
		return err
	}
	a.RequestID, a.Address = q.id, q.address
	q.Actor = a
	return nil
}

// Identify finds out who asks where nothing depends on it but what a page says.
func (q *Request) Identify() {
	if !q.HasCredentials() {
		return
	}
	if a, err := q.whoAsks(); err == nil {
		q.Actor = a
	}
}

// HasCredentials reports whether the request brings any, good or bad.
func (q *Request) HasCredentials() bool {
	return q.HTTP.Header["Authorization"] != nil || q.SessionSecret() != ""
}

func (q *Request) whoAsks() (domain.Actor, error) {
	switch given := q.HTTP.Header["Authorization"]; len(given) {
	case 0:
		if secret := q.SessionSecret(); secret != "" {
			return q.Service.BySession(q.Context(), secret)
		}
		return domain.Actor{}, domain.Errorf(domain.Unauthenticated, "sign in first")
	case 1:
		if token, ok := bearer(given[0]); ok {
			return q.Service.ByToken(q.Context(), token)
		}
		if name, password, ok := q.HTTP.BasicAuth(); ok {
			return q.Service.ByPassword(q.Context(), name, password, q.address)
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

// SameOrigin refuses what another site's page makes a browser do. Browsers do
// not send Bearer tokens by themselves, so who sends one is not being tricked.
func (q *Request) SameOrigin() error {
	switch q.HTTP.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if given := q.HTTP.Header["Authorization"]; len(given) == 1 {
		if _, ok := bearer(given[0]); ok {
			return nil
		}
	}
	r := q.HTTP
	if q.server.PublicURL == "" && q.server.trusted(r) {
		if host := firstOf(r.Header.Get("X-Forwarded-Host")); ValidHost(host) {
			forwarded := *r
			forwarded.Host = host
			r = &forwarded
		}
	}
	if err := q.server.origins.Check(r); err != nil {
		return domain.Wrap(domain.CrossOrigin, err, "the request comes from another site: use an API token instead")
	}
	return nil
}

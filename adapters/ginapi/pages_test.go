package ginapi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

const asBrowser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"

// page asks for a page, which the OpenAPI document does not know.
func (w *world) page(who caller, method, path string, v url.Values) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(v.Encode()))
	require.NoError(w.t, err)
	if v != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	who(req)
	res, err := w.http.Transport.(*validator).next.RoundTrip(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{t: w.t, status: res.StatusCode, header: res.Header, body: body, err: err}
}

// adminPaths are the administration's pages.
var adminPaths = []string{
	"/admin", "/admin/", "/admin/users", "/admin/users/anna", "/admin/tiers", "/admin/tiers/" + domain.BasicTier, "/admin/images", "/admin/links", "/admin/audit", "/admin/explain",
}

func TestPagesAreGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, boss := w.user("anna", domain.EnterpriseTier), w.admin("boss")
	img := w.upload(anna)
	stranger := w.user("mallory", domain.EnterpriseTier)
	own := []string{"/", "/account", "/images/" + img.ID}
	for _, p := range append(own, adminPaths...) {
		a := w.page(with(nobody, asBrowser), "GET", p, nil).want(303)
		assert.Equal(t, "/api-auth/login?next="+url.QueryEscape(p), a.header.Get("Location"))
		w.page(nobody, "GET", p, nil).fail(401, domain.Unauthenticated)
	}
	for _, p := range adminPaths {
		w.page(with(anna, asBrowser), "GET", p, nil).want(403)
		assert.Contains(t, []int{200, 303}, w.page(with(boss, asBrowser), "GET", p, nil).status, p)
	}
	for _, p := range []string{"/admin/users", "/admin/users/anna", "/admin/tiers", "/admin/tiers/" + domain.BasicTier, "/admin/links"} {
		for _, action := range []string{"save", "delete", "password", "review"} {
			w.page(with(anna, asBrowser), "POST", p, url.Values{"action": {action}, "username": {"x"}, "name": {"x"}, "is_admin": {"true"}, "password": {"another password"}}).want(403)
		}
	}
	// A foreign image is as one that never was, and nobody changes it.
	foreign := w.page(with(stranger, asBrowser), "GET", "/images/"+img.ID, nil).want(404)
	unknown := w.page(with(stranger, asBrowser), "GET", "/images/01a208f7-45e6-72b7-a0c0-3ae0a81ac533", nil).want(404)
	id := regexp.MustCompile(`[0-9a-f]{32}|next=[^"]*`)
	assert.Equal(t, id.ReplaceAllString(string(unknown.body), ""), id.ReplaceAllString(string(foreign.body), ""))
	for _, action := range []string{"link", "delete", "revoke"} {
		w.page(with(stranger, asBrowser), "POST", "/images/"+img.ID, url.Values{"action": {action}, "expires_in": {"300"}, "link": {img.ID}}).want(404)
	}
	// Another site's page cannot send the forms.
	_, c := w.signIn(nobody, "boss", password, "/")
	for _, p := range []string{"/account", "/images/" + img.ID, "/admin/users", "/admin/users/anna", "/admin/tiers", "/admin/tiers/" + domain.BasicTier, "/admin/links"} {
		w.page(with(cookie(c.Name, c.Value), "Sec-Fetch-Site: cross-site"), "POST", p, url.Values{"action": {"delete"}}).fail(403, domain.CrossOrigin)
	}
	w.get(anna, "/v1/images/"+img.ID).want(200)
	w.get(anna, "/v1/me").want(200)
}

func TestPagesSayNoInlineScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss := w.admin("boss")
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|\son[a-z]+=|<style|\sstyle=|javascript:|https?://`)
	for _, p := range append([]string{"/", "/account", "/docs", "/api-auth/login", "/api-auth/logout", "/nothing"}, adminPaths[1:2]...) {
		a := w.page(with(boss, asBrowser), "GET", p, nil)
		assert.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"), p)
		policy := a.header.Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self'", p)
		assert.Contains(t, policy, "frame-ancestors 'none'", p)
		assert.NotContains(t, policy, "unsafe", p)
		assert.Equal(t, "DENY", a.header.Get("X-Frame-Options"), p)
		assert.Equal(t, "no-store", a.header.Get("Cache-Control"), p)
		assert.Empty(t, inline.FindString(string(a.body)), p)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss := w.admin("boss")
	names := map[string]bool{}
	for _, p := range []string{"/", "/docs", "/v1/me"} {
		for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(string(w.page(with(boss, asBrowser), "GET", p, nil).want(200).body), -1) {
			names[m[1]] = true
		}
	}
	require.GreaterOrEqual(t, len(names), 8)
	for name := range names {
		small := w.page(with(nobody, "Accept-Encoding: br, gzip"), "GET", name, nil).want(200)
		assert.Equal(t, "gzip", small.header.Get("Content-Encoding"), name)
		assert.Equal(t, "Accept-Encoding", small.header.Get("Vary"), name)
		assert.Equal(t, "public, max-age=31536000, immutable", small.header.Get("Cache-Control"), name)
		z, err := gzip.NewReader(bytes.NewReader(small.body))
		require.NoError(t, err)
		want, err := io.ReadAll(z)
		require.NoError(t, err)
		plain := w.page(with(nobody, "Accept-Encoding: gzip;q=0"), "GET", name, nil).want(200)
		assert.Empty(t, plain.header.Get("Content-Encoding"), name)
		assert.True(t, bytes.Equal(want, plain.body), name)
	}
	w.page(nobody, "GET", "/assets/style.css", nil).fail(404, domain.NotFound)
}

func TestBrowsable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	for _, p := range []string{"/v1/me", "/v1/images", "/v1/images/" + img.ID, "/v1/images/" + img.ID + "/access", "/v1/images/" + img.ID + "/links", "/v1/tokens"} {
		a := w.get(with(anna, asBrowser), p).want(200)
		assert.Contains(t, a.header.Get("Content-Type"), "text/html", p)
		assert.Equal(t, "Accept, Cookie, Authorization", a.header.Get("Vary"), p)
		assert.Contains(t, string(a.body), "HTTP 200 OK", p)
		assert.Equal(t, "application/json", w.get(with(anna, asBrowser), p+"?format=json").want(200).header.Get("Content-Type"), p)
		assert.Equal(t, "application/json", w.get(anna, p).want(200).header.Get("Content-Type"), p)
	}
	// Forms are there for what the caller may, and for nothing else.
	links := string(w.get(with(anna, asBrowser), "/v1/images/"+img.ID+"/links").body)
	assert.NotContains(t, links, `data-method="POST"`)
	assert.Contains(t, string(w.get(with(anna, asBrowser), "/v1/images").body), "data-upload")
	denied := w.get(with(anna, asBrowser), "/v1/admin/users").want(403)
	assert.Contains(t, string(denied.body), "permission_denied")
	assert.NotContains(t, string(denied.body), `data-method="POST"`)
	missing := w.get(with(anna, asBrowser), "/v1/images/01a208f7-45e6-72b7-a0c0-3ae0a81ac533").want(404)
	assert.Contains(t, string(missing.body), "HTTP 404 Not Found")
	assert.Contains(t, string(missing.body), "not_found")
}

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
	// Who is not signed in comes back to where they were.
	assert.Contains(t, string(w.page(with(nobody, asBrowser), "GET", "/nothing?x=%22%3E", nil).want(404).body), `/api-auth/login?next=%2fnothing%3fx%3d%2522%253E"`)
	assert.Contains(t, string(w.page(with(nobody, asBrowser), "GET", "/docs", nil).want(200).body), `/api-auth/login?next=%2fdocs"`)
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
		if strings.HasSuffix(name, ".woff2") { // compressed in itself
			assert.Equal(t, "font/woff2", small.header.Get("Content-Type"))
			assert.Empty(t, small.header.Get("Content-Encoding"))
			continue
		}
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

// What the style sheet names is there, under names that change with their content.
func TestAssetsOfTheStyleSheet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sheet := regexp.MustCompile(`/assets/style-[0-9a-f]+\.css`).FindString(string(w.page(with(nobody, asBrowser), "GET", "/api-auth/login", nil).want(200).body))
	named := regexp.MustCompile(`url\("([^"]+)"\)`).FindAllStringSubmatch(string(w.page(nobody, "GET", sheet, nil).want(200).body), -1)
	require.NotEmpty(t, named)
	for _, m := range named {
		assert.Regexp(t, `^/assets/[a-z]+-[0-9a-f]{12}\.(woff2|svg)$`, m[1])
		w.page(nobody, "GET", m[1], nil).want(200)
	}
}

func TestPagesAreCompressed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	plain := w.page(with(anna, asBrowser), "GET", "/account", nil).want(200)
	small := w.page(with(anna, asBrowser, "Accept-Encoding: gzip"), "GET", "/account", nil).want(200)
	assert.Empty(t, plain.header.Get("Content-Encoding"))
	assert.Equal(t, "gzip", small.header.Get("Content-Encoding"))
	assert.Less(t, len(small.body), len(plain.body)/2)
	z, err := gzip.NewReader(bytes.NewReader(small.body))
	require.NoError(t, err)
	got, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Equal(t, string(plain.body), string(got))
	assert.Equal(t, "no-store", small.header.Get("Cache-Control"), "no cache mixes them up")
}

// A browser that runs no script can do all of it but send JSON.
func TestPagesWithoutScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("anna", domain.EnterpriseTier)
	_, c := w.signIn(with(nobody, asBrowser), "anna", password, "/")
	anna := with(cookie(c.Name, c.Value), asBrowser)
	send := func(name, content string) answer {
		typ, body := form(part{"file", name, content})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/", bytes.NewReader(body))
		require.NoError(t, err)
		with(anna, "Content-Type: "+typ)(req)
		res, err := w.http.Transport.(*validator).next.RoundTrip(req)
		require.NoError(t, err)
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		return answer{t: t, status: res.StatusCode, header: res.Header, body: got, err: err}
	}
	assert.Equal(t, "/", send("cat.jpg", string(picture(1))).want(303).header.Get("Location"))
	refused := string(send("notes.jpg", "not a picture").want(415).body)
	assert.Contains(t, refused, "Could not upload.")
	assert.Contains(t, refused, "Your images")
	gallery := string(w.page(anna, "GET", "/", nil).want(200).body)
	id := regexp.MustCompile(`href="/images/([^"]+)"`).FindStringSubmatch(gallery)
	require.NotNil(t, id)
	assert.Contains(t, gallery, `<noscript><label>A picture<input type="file" name="file"`)

	made := string(w.page(anna, "POST", "/images/"+id[1], url.Values{"action": {"link"}, "expires_in": {"300"}, "max_views": {"2"}}).want(201).body)
	link := regexp.MustCompile(`value="([^"]+/l/[^"]+)"`).FindStringSubmatch(made)
	require.NotNil(t, link)
	w.get(nobody, link[1]).want(200)
	for field, wrong := range map[string]string{"expires_in": "29", "max_views": "0", "variant": "thumbnail:999"} {
		v := url.Values{"action": {"link"}, "expires_in": {"300"}}
		v.Set(field, wrong)
		a := w.page(anna, "POST", "/images/"+id[1], v)
		assert.Contains(t, []int{400, 403}, a.status, field)
		assert.Contains(t, string(a.body), "Could not save.", field)
	}
	assert.Equal(t, "/?deleted=1", w.page(anna, "POST", "/images/"+id[1], url.Values{"action": {"delete"}}).want(303).header.Get("Location"))
	w.get(nobody, link[1]).want(410)
	w.page(anna, "POST", "/api-auth/logout", url.Values{}).want(303)
	w.page(anna, "GET", "/", nil).want(303)
}

func TestAdminForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss := with(w.admin("boss"), asBrowser)
	post := func(path string, v url.Values) answer { return w.page(boss, "POST", path, v) }

	// A user, as the API would make it; what is wrong is said beside what was typed.
	a := post("/admin/users", url.Values{"username": {"zoë!"}, "email": {"zoe@example.com"}, "tiers": {domain.BasicTier}}).want(400)
	assert.Contains(t, string(a.body), "Could not save.")
	assert.Contains(t, string(a.body), `value="zoë!"`)
	assert.Regexp(t, `value="BasicTierUsers" checked`, string(a.body))
	post("/admin/users", url.Values{"username": {"zoe"}, "email": {"zoe@example.com"}, "tiers": {domain.BasicTier}, "password": {password}}).want(303)
	post("/admin/users", url.Values{"username": {"zoe"}}).want(409)
	u, err := w.svc.User(ctx, w.root, "zoe")
	require.NoError(t, err)
	assert.Equal(t, []string{domain.BasicTier}, u.Tiers)

	// Direct grants, and what they add up to; heights may be typed in any way.
	a = post("/admin/users/zoe", url.Values{"action": {"save"}, "heights": {"640 px; 0"}, "is_active": {"true"}, "email": {"typed@example.com"}}).want(400)
	assert.Contains(t, string(a.body), `value="640 px; 0"`)
	assert.Contains(t, string(a.body), `value="typed@example.com"`)
	post("/admin/users/zoe", url.Values{"action": {"save"}, "heights": {"640 px, 320"}, "permissions": {"can_access_original_image"}, "is_active": {"true"}}).want(303)
	u, err = w.svc.User(ctx, w.root, "zoe")
	require.NoError(t, err)
	assert.Equal(t, []string{"thumbnail:320", "thumbnail:640", "can_access_original_image"}, u.Grants.Codenames())
	assert.Empty(t, u.Tiers)
	assert.Empty(t, u.Email)

	// A new password ends sessions; a deactivation does, too; nobody takes the last admin away.
	_, c := w.signIn(nobody, "zoe", password, "/")
	zoe := with(cookie(c.Name, c.Value), asBrowser)
	w.page(zoe, "GET", "/", nil).want(200)
	post("/admin/users/zoe", url.Values{"action": {"password"}, "password": {"short"}}).want(400)
	post("/admin/users/zoe", url.Values{"action": {"password"}, "password": {"another password"}}).want(303)
	w.page(zoe, "GET", "/", nil).want(303)
	assert.Equal(t, "/admin/users?deleted=1", post("/admin/users/admin", url.Values{"action": {"delete"}}).want(303).header.Get("Location"))
	post("/admin/users/boss", url.Values{"action": {"save"}, "is_active": {"true"}}).want(409)

	// The exact name is found first, a part of a name or an address as well.
	w.user("zoe-2", domain.PremiumTier)
	for query, want := range map[string][]string{"q=zoe": {"zoe", "zoe-2"}, "q=OE-": {"zoe-2"}, "q=nobody": nil, "q=zoe&tier=PremiumTierUsers": {"zoe-2"}} {
		var got []string
		for _, m := range regexp.MustCompile(`href="/admin/users/([^"?]+)"`).FindAllStringSubmatch(string(w.page(boss, "GET", "/admin/users?"+query, nil).want(200).body), -1) {
			got = append(got, m[1])
		}
		assert.Equal(t, want, got, query)
	}

	// A tier: wrong limits are refused, with what was typed; a review changes nothing.
	a = post("/admin/tiers", url.Values{"name": {"Gold"}, "height": {"200"}, "heights": {"640"}, "max_images": {"many"}}).want(400)
	assert.Contains(t, string(a.body), `name="max_images" value="many"`)
	post("/admin/tiers", url.Values{"name": {"Gold"}, "title": {"Gold"}, "height": {"200"}, "heights": {"640"}, "max_images": {"5"}}).want(303)
	post("/admin/users/zoe-2", url.Values{"action": {"save"}, "tiers": {"Gold"}, "is_active": {"true"}}).want(303)
	review := url.Values{"action": {"review"}, "title": {"Gold"}, "height": {"200"}, "max_images": {"7"}, "max_storage_bytes": {"1048576"}}
	body := string(post("/admin/tiers/Gold", review).want(200).body)
	assert.Contains(t, body, "Thumbnails 640 px high: 1 user will lose it")
	assert.Contains(t, body, "Images: from 5 to 7, for 1 member.")
	assert.Contains(t, body, "Storage: from no limit to 1 MiB, for 1 member.")
	gold, err := w.svc.Tier(ctx, w.root, "Gold")
	require.NoError(t, err)
	assert.EqualValues(t, 5, gold.Limits.MaxImages)
	review.Set("action", "save")
	post("/admin/tiers/Gold", review).want(303)
	gold, err = w.svc.Tier(ctx, w.root, "Gold")
	require.NoError(t, err)
	assert.EqualValues(t, 7, gold.Limits.MaxImages)
	assert.Equal(t, []string{"thumbnail:200"}, gold.Permissions.Codenames())
	post("/admin/tiers/"+domain.BasicTier, url.Values{"action": {"delete"}}).want(409)
	post("/admin/tiers/Gold", url.Values{"action": {"delete"}}).want(303)
	post("/admin/tiers/Gold", review).want(404)

	log := string(w.page(boss, "GET", "/admin/audit", nil).want(200).body)
	assert.Contains(t, log, "limits.max_images")
	assert.NotContains(t, log, "another password")
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

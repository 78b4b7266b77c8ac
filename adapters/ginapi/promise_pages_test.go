package ginapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// TestPromisePages tries the promises that only a real browser can break.
func TestPromisePages(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	w := newWorld(t)
	boss := w.admin("boss")
	enterprise := []string{domain.EnterpriseTier}
	_, err := w.svc.UpdateUser(ctx, w.root, "boss", app.UserChange{Tiers: &enterprise})
	require.NoError(t, err)
	b := newBrowser(t, w)
	b.media("light")
	b.signIn("boss")
	for _, p := range []struct {
		id  string
		try func(t *testing.T, w *world, b *browser, boss caller)
	}{{"S2", pagesS2}, {"S6", pagesS6}, {"T6", pagesT6}, {"T7", pagesT7}} {
		t.Run(p.id, func(t *testing.T) {
			b.t, w.t = t, t
			p.try(t, w, b, boss)
		})
		b.t, w.t = t, t
	}
}

// hostile is the corpus's folder of hostile files; a user's clone has none.
func hostile() string {
	corpus := os.Getenv("IMAGIFY_CORPUS")
	if corpus == "" {
		corpus = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	return filepath.Join(corpus, "hostile")
}

// inert asserts that no script came in by what was shown since; pages of errors
// are logged by their status, and that is no script.
func (b *browser) inert() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, trouble := range b.troubles {
		// Chromium's own viewer of a bare image has a style, which the sandbox stops.
		if strings.HasPrefix(trouble, "security: Applying inline style violates") && strings.Contains(trouble, "default-src 'none'") {
			continue
		}
		assert.Contains(b.t, trouble, "Failed to load resource: the server responded with a status of 4")
	}
	b.troubles = nil
}

// Polyglots: accepted as pictures, they are that and nothing else, wherever a page puts them.
func pagesS2(t *testing.T, w *world, b *browser, boss caller) {
	files, err := filepath.Glob(filepath.Join(hostile(), "polyglot", "*"))
	require.NoError(t, err)
	// What any clone has: a picture that is HTML in its comment, and one that ends in HTML.
	const html = `<html><script>document.title="IMAGIFY-XSS";alert(1)</script><img src=x onerror=alert(1)>`
	pictures := map[string][]byte{
		"comment.jpg":  append([]byte{0xff, 0xd8, 0xff, 0xfe, 0, byte(len(html) + 2)}, append([]byte(html), picture(1)[2:]...)...),
		"trailing.jpg": append(picture(2), html...),
	}
	for _, f := range files {
		pictures[filepath.Base(f)], err = os.ReadFile(f)
		require.NoError(t, err)
	}
	if len(files) == 0 {
		t.Log("no corpus here: only the files that the test makes are tried")
	}
	// Another site puts the bytes wherever a script could run from.
	var embedded atomic.Value
	embedded.Store("")
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, `<!doctype html><title>other</title><link rel=icon href=data:,><script src=%[1]q></script><iframe src=%[1]q></iframe><object data=%[1]q></object><embed src=%[1]q><img src=%[1]q>`, embedded.Load())
	}))
	defer other.Close()
	accepted := 0
	for name, raw := range pictures {
		a := w.do(with(boss, "Content-Type: image/jpeg"), http.MethodPost, "/v1/images", bytes.NewReader(raw))
		if a.status != http.StatusCreated {
			assert.Contains(t, []int{400, 413, 415, 422}, a.status, name)
			continue
		}
		accepted++
		var img imageJSON
		a.json(&img)
		link := w.link(boss, img.ID, `{"expires_in":300}`).URL
		b.open("/v1/images/" + img.ID + "/original")
		assert.True(t, strings.HasPrefix(eval[string](b, `document.contentType`), "image/"), name)
		assert.NotContains(t, eval[string](b, `document.title`), "IMAGIFY-XSS", name)
		b.inert()
		embedded.Store(link)
		b.navigate(other.URL)
		assert.Equal(t, "other", eval[string](b, `document.title`), name)
		b.mu.Lock()
		for _, trouble := range b.troubles {
			assert.NotContains(t, trouble, "a script called", name)
			assert.NotContains(t, trouble, "exception", name)
		}
		b.requests, b.troubles = nil, nil
		b.mu.Unlock()
	}
	assert.GreaterOrEqual(t, accepted, 2)
}

// File names, and the other words that users choose, through every page.
func pagesS6(t *testing.T, w *world, b *browser, boss caller) {
	names := []string{
		`"><svg onload=alert(1)>.png`, `<script>alert(1)</script>.jpg`, `javascript:alert(1).jpg`, `' onerror='alert(1).jpg`, `" autofocus onfocus="alert(1).jpg`,
		`{{.}}<img src=x onerror=alert(1)>.png`, "`${alert(1)}`.jpg", `</title><script>alert(1)</script>.gif`, `&lt;img src=x onerror=alert(1)&gt;.png`, `--><img src=x onerror=alert(1)>`,
		`</textarea></pre><script>alert(1)</script>`, `\u003cscript\u003ealert(1)\u003c/script\u003e.jpg`,
	}
	if raw, err := os.ReadFile(filepath.Join(hostile(), "filenames.json")); err == nil {
		var more []string
		require.NoError(t, json.Unmarshal(raw, &more))
		names = append(names, more...)
	} else {
		t.Log("no corpus here: only the test's own names are tried")
	}
	var imgs []imageJSON
	for i, n := range names {
		disposition := "Content-Disposition: attachment; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(n), "+", "%20")
		a := w.do(with(boss, "Content-Type: image/jpeg", disposition), http.MethodPost, "/v1/images", bytes.NewReader(picture(i)))
		if a.status != http.StatusCreated {
			assert.Equal(t, 400, a.status, n)
			continue
		}
		var img imageJSON
		a.json(&img)
		imgs = append(imgs, img)
	}
	require.GreaterOrEqual(t, len(imgs), 12)
	const script = `"><script>alert(1)</script>`
	_, err := w.svc.CreateTier(ctx, w.root, "Loud", app.TierChange{Title: ptr(script), Permissions: &[]string{"thumbnail:200"}})
	require.NoError(t, err)
	_, _, err = w.svc.CreateTokenFor(ctx, w.root, "boss", script, 0)
	require.NoError(t, err)
	w.user("mallory", "Loud")
	link := w.link(boss, imgs[0].ID, `{"expires_in":300}`)

	visit := func(path string) {
		b.open(path)
		assert.Zero(t, eval[int](b, `document.querySelectorAll("[onload], [onerror], [onfocus], script:not([src]), a[href^='javascript:' i]").length`), path)
	}
	// Each name is shown as it is.
	for _, img := range imgs {
		visit("/images/" + img.ID)
		assert.Equal(t, img.Filename, eval[string](b, `document.querySelector("h1").textContent`))
	}
	visit("/v1/images?limit=100")
	listed := eval[[]string](b, `JSON.parse(document.getElementById("body").textContent).items.map((i) => i.filename)`)
	require.GreaterOrEqual(t, len(listed), len(imgs))
	for i, img := range imgs {
		assert.Equal(t, img.Filename, listed[len(imgs)-1-i])
	}
	id := imgs[0].ID
	evil := url.QueryEscape(script)
	for _, p := range append(pagesOf(id),
		"/v1/images/"+id, "/v1/admin/images", "/v1/admin/links", "/v1/admin/audit", "/v1/admin/tiers", "/v1/admin/tiers/Loud", "/v1/tokens", "/v1/me", "/v1/images/"+id+"/access",
		"/admin/tiers/Loud", "/admin/users/mallory",
		"/?cursor="+evil, "/?deleted="+evil, "/v1/images?cursor="+evil, "/v1/images?limit="+evil, "/account?cursor="+evil, "/admin/users?q="+evil, "/admin/users?tier="+evil,
		"/admin/images?user="+evil, "/admin/links?from="+evil, "/admin/audit?user="+evil, "/admin/explain?image="+evil, "/admin/explain?user="+evil+"&image="+id,
		"/admin/users/"+evil, "/admin/tiers/"+evil, "/v1/admin/users/"+evil, "/images/"+evil, "/l/"+evil, "/nothing"+evil, "/assets/"+evil,
	) {
		visit(p)
	}
	// What is deleted and revoked is told of in the log; the gallery's script makes tiles, too.
	b.open("/")
	eval[bool](b, `(async () => {
		const canvas = new OffscreenCanvas(20, 20);
		canvas.getContext("2d").fillRect(0, 0, 20, 20);
		const data = new DataTransfer();
		data.items.add(new File([await canvas.convertToBlob({type: "image/png"})], "<img src=x onerror=alert(1)>.png", {type: "image/png"}));
		data.items.add(new File(["no picture"], "<img src=y onerror=alert(1)>.png", {type: "image/png"}));
		document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
		return true;
	})()`)
	b.until(`document.querySelector("#uploads .why")`)
	b.until(`document.querySelector("#images b").textContent.startsWith("<img src=x")`)
	require.NoError(t, w.svc.RevokeLink(ctx, w.root, mustID(t, link.ID)))
	require.NoError(t, w.svc.DeleteImage(ctx, w.root, mustID(t, id)))
	visit("/admin/audit")
	visit("/admin/links")
	b.inert()
	b.quiet()
}

func mustID(t *testing.T, text string) domain.ID {
	t.Helper()
	id, err := domain.ParseID(text)
	require.NoError(t, err)
	return id
}

// Another origin on the same site, which gets the cookie sent along, changes nothing.
func pagesT6(t *testing.T, w *world, b *browser, boss caller) {
	img := w.upload(boss)
	var action, fields atomic.Value
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, `<!doctype html><title>other</title><link rel=icon href=data:,><form method=post action=%q>%s</form><script>document.forms[0].submit()</script>`, action.Load(), fields.Load())
	}))
	defer other.Close()
	before := w.get(boss, "/v1/me").want(200)
	for path, form := range map[string]string{
		"/images/" + img.ID:    `<input name=action value=delete>`,
		"/account":             `<input name=action value=token><input name=name value=x>`,
		"/admin/users/boss":    `<input name=action value=delete>`,
		"/admin/users":         `<input name=username value=intruder><input name=is_admin value=true>`,
		"/admin/tiers":         `<input name=name value=Intruder>`,
		"/api-auth/logout":     ``,
		"/api-auth/login":      `<input name=username value=boss><input name=password value="` + password + `">`,
		"/v1/images/" + img.ID: ``,
	} {
		action.Store(w.url + path)
		fields.Store(form)
		b.navigate(other.URL)
		b.until(`location.href.startsWith(` + fmt.Sprintf("%q", w.url) + `) && document.readyState === "complete"`)
		assert.Regexp(t, `(?i)another site|another origin|cross|does not answer`, eval[string](b, `document.body.innerText`), path)
	}
	w.get(boss, "/v1/images/"+img.ID).want(200)
	assert.JSONEq(t, string(before.body), string(w.get(boss, "/v1/me").want(200).body))
	w.get(boss, "/v1/admin/users/intruder").want(404)
	w.get(boss, "/v1/admin/tiers/Intruder").want(404)
	b.open("/") // still signed in
	assert.Equal(t, "boss", eval[string](b, `document.querySelector(".who .name").textContent`))
	b.inert()
	b.mu.Lock()
	b.requests = nil
	b.mu.Unlock()
}

// No page stands in another's frame; a sign-in leads nowhere else.
func pagesT7(t *testing.T, w *world, b *browser, _ caller) {
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/elsewhere" {
			reached.Add(1)
		}
		fmt.Fprint(rw, `<!doctype html><title>other</title><link rel=icon href=data:,>`)
	}))
	defer other.Close()
	for _, p := range []string{"/", "/account", "/admin/", "/v1/me", "/docs", "/api-auth/login", "/nothing"} {
		b.navigate(other.URL)
		eval[bool](b, fmt.Sprintf(`new Promise((done) => { const f = document.createElement("iframe"); f.onload = f.onerror = () => done(true); f.src = %q; document.body.append(f) })`, w.url+p))
		b.until(`true`)
		b.mu.Lock()
		refused := strings.Contains(strings.Join(b.troubles, "\n"), "frame")
		b.requests, b.troubles = nil, nil
		b.mu.Unlock()
		assert.True(t, refused, p)
	}
	host := strings.TrimPrefix(other.URL, "http:") + "/elsewhere"
	for _, next := range []string{other.URL + "/elsewhere", host, "/" + host, `/\` + host[2:], `\\` + host[2:], "/\t/" + host[2:], "javascript:alert(1)", "/..//" + host[2:]} {
		b.open("/api-auth/login?next=" + url.QueryEscape(next))
		b.fill("#username", "boss")
		b.fill("#password", password)
		b.click("form button")
		b.until(`location.pathname !== "/api-auth/login" && document.readyState === "complete"`)
		assert.Equal(t, w.url, eval[string](b, `location.origin`), next)
	}
	assert.Zero(t, reached.Load())
	b.open("/api-auth/login?next=" + url.QueryEscape("/account?x=1#tokens-h"))
	b.fill("#username", "boss")
	b.fill("#password", password)
	b.click("form button")
	b.until(`location.pathname === "/account" && document.readyState === "complete"`)
	b.inert()
}

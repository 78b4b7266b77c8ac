package ginapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// browser is a tab of a real Chromium, and what it did meanwhile.
type browser struct {
	t   *testing.T
	w   *world
	ctx context.Context

	mu       sync.Mutex
	requests []string
	troubles []string
	received float64 // bytes on the wire
}

func newBrowser(t *testing.T, w *world) *browser {
	t.Helper()
	path := realserver.Find(t, "chromium", "chromium-browser", "google-chrome")
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
	)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(alloc)
	t.Cleanup(closeTab)
	limited, cancel := context.WithTimeout(tab, 6*time.Minute)
	t.Cleanup(cancel)
	b := &browser{t: t, w: w, ctx: limited}
	require.NoError(t, chromedp.Listen(limited, b.see))
	// A script that got in would make itself known by what such scripts call.
	_, err := chromedp.Call(limited, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `for (const f of ["alert", "confirm", "prompt", "print"]) window[f] = () => console.error("a script called " + f)`,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, chromedp.Cancel(tab)) })
	b.wide()
	return b
}

func (b *browser) see(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *network.EventLoadingFinished:
		b.received += e.EncodedDataLength
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, fmt.Sprintf("exception: %+v", e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			text, _ := json.Marshal(e.Args)
			b.troubles = append(b.troubles, fmt.Sprintf("console.%s: %s", e.Type, text))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" {
			b.troubles = append(b.troubles, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// quiet asserts that nothing went wrong since, and that no request left the host.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		u, err := url.Parse(r)
		require.NoError(b.t, err)
		assert.Contains(b.t, []string{"http", "data", "blob", "about"}, u.Scheme, r)
		if u.Scheme == "http" {
			assert.Equal(b.t, strings.TrimPrefix(b.w.url, "http://"), u.Host, r)
		}
	}
	assert.Empty(b.t, b.troubles)
	b.requests, b.troubles = nil, nil
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	limited, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	require.NoError(b.t, chromedp.Do(limited, steps...))
}

// open goes to a path and waits until the page's modules have run.
func (b *browser) open(path string) {
	b.t.Helper()
	b.navigate(b.w.url + path)
}

func (b *browser) navigate(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
	b.until(`document.readyState === "complete"`)
}

func eval[T any](b *browser, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, js)
	return v
}

// until waits for a condition in the page.
func (b *browser) until(js string) {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute) // a loaded machine is slow, not wrong
	for {
		// A navigation under way ends the evaluation: that is no answer yet.
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+js+")"))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			body, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
			require.Fail(b.t, "it did not come about", "%s (%v) on:\n%s", js, err, body)
		}
		time.Sleep(15 * time.Millisecond)
	}
}

// steady asserts that what the page shows has not moved since it came.
func (b *browser) steady(path string) {
	b.t.Helper()
	shift := eval[float64](b, `new Promise((r) => { let s = 0; new PerformanceObserver((l) => { for (const e of l.getEntries()) if (!e.hadRecentInput) s += e.value }).observe({type: "layout-shift", buffered: true}); setTimeout(() => r(s), 50) })`)
	assert.Less(b.t, shift, 0.05, "cumulative layout shift of %s", path)
}

// click clicks what the selector finds and the page shows.
func (b *browser) click(selector string) {
	b.t.Helper()
	sel, _ := json.Marshal(selector)
	b.until(`document.querySelector(` + string(sel) + `)`)
	eval[bool](b, `(() => { document.querySelector(`+string(sel)+`).click(); return true })()`)
}

// fill sets a field as typing would.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	sel, _ := json.Marshal(selector)
	val, _ := json.Marshal(text)
	eval[bool](b, `(() => { const f = document.querySelector(`+string(sel)+`); f.value = `+string(val)+`; f.dispatchEvent(new Event("input", {bubbles: true})); f.dispatchEvent(new Event("change", {bubbles: true})); return true })()`)
}

func (b *browser) signIn(name string) {
	b.t.Helper()
	b.open("/api-auth/login?next=/")
	b.fill("#username", name)
	b.fill("#password", password)
	b.click("form button")
	b.until(`location.pathname === "/" && document.readyState === "complete"`)
}

func (b *browser) signOut() {
	b.t.Helper()
	b.click(".who button")
	b.until(`location.pathname === "/api-auth/login" && document.readyState === "complete"`)
}

func (b *browser) media(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	require.NoError(b.t, err)
}

func (b *browser) wide()  { b.t.Helper(); b.do(chromedp.EmulateViewport(1280, 860)) }
func (b *browser) phone() { b.t.Helper(); b.do(chromedp.EmulateViewport(390, 844)) }

// picture is a small photo of its own colours.
func picture(n int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 240, 180))
	for y := range 180 {
		for x := range 240 {
			m.SetRGBA(x, y, color.RGBA{uint8(x + 31*n), uint8(y + 57*n), uint8(200 - x/2 + 13*n), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// store uploads pictures without a browser.
func (w *world) store(who caller, names ...string) []imageJSON {
	w.t.Helper()
	out := make([]imageJSON, len(names))
	for i, n := range names {
		typ, body := form(part{"file", n, string(picture(i))})
		w.do(with(who, "Content-Type: "+typ), http.MethodPost, "/v1/images", bytes.NewReader(body)).want(201).json(&out[i])
	}
	return out
}

func TestPagesInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	w := newWorld(t)
	w.user("eva", domain.EnterpriseTier)
	w.user("basil", domain.BasicTier)
	bulk := w.user("bulk", domain.PremiumTier)
	w.admin("boss")
	b := newBrowser(t, w)
	b.media("light")
	for _, step := range []struct {
		name string
		try  func(t *testing.T, w *world, b *browser)
	}{
		{"gallery", tryGallery},
		{"paging", func(t *testing.T, w *world, b *browser) { tryPaging(t, w, b, bulk) }},
		{"admin", tryAdmin},
		{"browsable", tryBrowsable},
		{"docs", tryDocs},
		{"accessible", tryAccessible},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			b.t, w.t = t, t
			step.try(t, w, b)
		})
		b.t, w.t = t, t
		if !ok {
			break // the steps go on from each other
		}
	}
}

func tryGallery(t *testing.T, w *world, b *browser) {
	b.signIn("eva")
	b.until(`document.getElementById("empty")`)
	b.mu.Lock()
	assert.Less(t, b.received, 150e3, "a page and what it loads, before images")
	b.mu.Unlock()

	// The keyboard's first stop leads past the bar.
	b.do(chromedp.KeyEvent("\t"))
	assert.True(t, eval[bool](b, `document.activeElement.matches(".skip") && document.activeElement.getBoundingClientRect().top >= 0`))
	b.do(chromedp.KeyEvent("\t"), chromedp.KeyEvent("\t"))
	assert.Equal(t, "Images", eval[string](b, `document.activeElement.textContent`))
	assert.Equal(t, "solid", eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`), "one sees where one is")

	// Three pictures and a text by drop: three tiles, and words for the fourth.
	eval[bool](b, `(async () => {
		const data = new DataTransfer();
		for (let i = 0; i < 3; i++) {
			const canvas = new OffscreenCanvas(320, 240), c = canvas.getContext("2d");
			c.fillStyle = ["teal", "tomato", "gold"][i];
			c.fillRect(0, 0, 320, 240);
			data.items.add(new File([await canvas.convertToBlob({type: "image/png"})], "drop " + i + ".png", {type: "image/png"}));
		}
		data.items.add(new File(["not a picture"], "notes.png", {type: "image/png"}));
		window.sawProgress = false;
		new MutationObserver(() => { window.sawProgress ||= !!document.querySelector("#uploads progress") }).observe(document.getElementById("uploads"), {childList: true, subtree: true});
		document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
		return true;
	})()`)
	b.until(`document.querySelectorAll("#images > li").length === 3`)
	b.until(`document.querySelector("#uploads .why")?.textContent.includes("not a picture in an accepted format")`)
	assert.True(t, eval[bool](b, `window.sawProgress`))
	b.until(`[...document.querySelectorAll("#images img")].every((i) => i.complete && i.naturalHeight > 0)`)
	assert.Equal(t, 3, eval[int](b, `document.querySelectorAll("canvas[data-done]").length`))
	b.mu.Lock()
	b.troubles = nil // Chromium logs the refused upload's 415
	b.mu.Unlock()

	// One more by paste, and one by the button.
	eval[bool](b, `(async () => {
		const canvas = new OffscreenCanvas(200, 150);
		canvas.getContext("2d").fillRect(0, 0, 200, 150);
		const data = new DataTransfer();
		data.items.add(new File([await canvas.convertToBlob({type: "image/png"})], "pasted.png", {type: "image/png"}));
		document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
		return true;
	})()`)
	b.until(`document.querySelectorAll("#images > li").length === 4`)
	chosen := filepath.Join(t.TempDir(), "chosen.jpg")
	require.NoError(t, os.WriteFile(chosen, picture(7), 0o600))
	b.do(chromedp.SetUploadFiles("#file", []string{chosen}))
	b.until(`document.querySelectorAll("#images > li").length === 5`)
	assert.Equal(t, "chosen.jpg", eval[string](b, `document.querySelector("#images b").textContent`))
	b.until(`document.querySelector("#usage p").textContent.includes("5 images")`)
	assert.Equal(t, "1 not uploaded", eval[string](b, `document.getElementById("progress").textContent`))
	b.click("#close")
	assert.True(t, eval[bool](b, `document.getElementById("panel").hidden`))

	// A link, opened by somebody who is not signed in; then revoked.
	b.click("#images a")
	b.until(`document.getElementById("links") && document.readyState === "complete"`)
	b.click(`#links form button.main`)
	b.until(`document.getElementById("new-link")`)
	link := eval[string](b, `document.getElementById("new-link").value`)
	assert.True(t, strings.HasPrefix(link, w.url+"/l/"), link)
	b.click(`button[data-copy]`)
	b.until(`document.querySelector("button[data-copy]").textContent !== "Copy"`)
	a := w.get(nobody, link).want(200)
	assert.Equal(t, "image/jpeg", a.header.Get("Content-Type"))
	b.click(`td button.bad`)
	b.until(`location.hash === "#links" && document.querySelector("td .chip")?.textContent === "revoked"`)
	w.get(nobody, link).want(410)

	// Delete, with confirmation.
	b.click("details.confirm summary")
	b.click("details.confirm button.bad")
	b.until(`location.search === "?deleted=1" && document.querySelectorAll("#images > li").length === 4`)

	// A token, shown once.
	b.open("/account")
	b.fill(`input[name=name]`, "script")
	b.click(`#content form button.main`)
	b.until(`document.getElementById("new-token")?.value.startsWith("imgf_")`)
	secret := eval[string](b, `document.getElementById("new-token").value`)
	w.get(token(secret), "/v1/me").want(200)
	b.open("/account")
	b.click(`[aria-label="Revoke script"]`)
	b.until(`document.readyState === "complete" && !document.querySelector('[aria-label="Revoke script"]')`)
	w.get(token(secret), "/v1/me").want(401)

	b.quiet()
	b.signOut()
	b.open("/")
	assert.Equal(t, "/api-auth/login?next=%2F", eval[string](b, `location.pathname + location.search`))
}

func tryPaging(t *testing.T, w *world, b *browser, bulk caller) {
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("photo-%03d.jpg", i)
	}
	w.store(bulk, names...)
	b.signIn("bulk")
	b.until(`[...document.querySelectorAll("#images img")].slice(0, 8).every((i) => i.complete)`)
	b.steady("/")
	b.until(`(scrollTo(0, document.documentElement.scrollHeight), document.querySelectorAll("#images > li").length === 200 && !document.querySelector("a[rel=next]"))`)
	assert.Equal(t, 200, eval[int](b, `new Set([...document.querySelectorAll("#images b")].map((e) => e.textContent)).size`))
	assert.Equal(t, "photo-000.jpg", eval[string](b, `document.querySelector("#images > li:last-child b").textContent`))
	b.quiet()
	b.signOut()
}

func tryAdmin(t *testing.T, w *world, b *browser) {
	basil := token(w.token("basil"))
	img := w.upload(basil)
	b.signIn("boss")
	b.open("/admin/tiers")
	b.fill(`input[name=name]`, "Wide")
	b.fill(`input[name=title]`, "Wide pictures")
	b.fill(`input[name=heights]`, "640")
	b.click(`#new button.main`)
	b.until(`location.pathname === "/admin/tiers/Wide" && document.readyState === "complete"`)

	b.open("/admin/users?q=bas")
	b.click(`a[href="/admin/users/basil"]`)
	b.until(`document.querySelector("input[value=Wide]")`)
	b.click(`input[value=Wide]`)
	b.click(`input[value=BasicTierUsers]`)
	b.click(`section[aria-labelledby=may-h] button.main`)
	b.until(`location.search === "?saved=1"`)
	var got imageJSON
	w.get(basil, "/v1/images/"+img.ID).want(200).json(&got)
	assert.Contains(t, got.Thumbnails, "640")
	assert.NotContains(t, got.Thumbnails, "200")

	// What a change will do is said before it is saved.
	b.open("/admin/tiers/Wide")
	b.fill(`input[name=heights]`, "320")
	b.click(`button[value=review]`)
	b.until(`document.getElementById("effect")`)
	effect := eval[string](b, `document.getElementById("effect").innerText`)
	assert.Contains(t, effect, "Thumbnails 640 px high: 1 user will lose it")
	assert.Contains(t, effect, "Thumbnails 320 px high: 1 user will gain it")
	w.get(basil, "/v1/images/"+img.ID).want(200).json(&got)
	assert.NotContains(t, got.Thumbnails, "320")
	b.click(`button[value=save]`)
	b.until(`location.search === "?saved=1"`)
	w.get(basil, "/v1/images/"+img.ID+"/thumbnails/320").want(200)

	// The browsable API's PATCH sends what was changed, and nothing else.
	b.open("/v1/admin/users/basil")
	b.fill(`form[data-method=PATCH] input[name=email]`, "basil@example.com")
	b.click(`form[data-method=PATCH] button`)
	b.until(`document.querySelector("form[data-method=PATCH] .wire b")?.textContent.startsWith("HTTP 200")`)
	var after struct {
		Email string
		Tiers []string
	}
	w.get(token(w.token("boss")), "/v1/admin/users/basil").want(200).json(&after)
	assert.Equal(t, "basil@example.com", after.Email)
	assert.Equal(t, []string{"Wide"}, after.Tiers)
	b.open("/v1/admin/users/basil")
	b.fill(`form[data-method=PATCH] input[name=email]`, "")
	b.click(`form[data-method=PATCH] button`)
	b.until(`document.querySelector("form[data-method=PATCH] .wire b")?.textContent.startsWith("HTTP 200")`)
	w.get(token(w.token("boss")), "/v1/admin/users/basil").want(200).json(&after)
	assert.Empty(t, after.Email)

	// Times are the reader's, the server's are UTC.
	_, err := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"})
	require.NoError(t, err)
	tokyo := time.FixedZone("Tokyo", 9*60*60)
	b.open("/images/" + img.ID)
	shown := eval[string](b, `document.querySelector("time").title.replace(/\u202f/g, " ")`)
	assert.Contains(t, shown, w.clock.now().In(tokyo).Format("Jan 2, 2006, 3:04 PM"))
	b.open("/admin/images?from=2026-01-02T00:00:00Z")
	assert.Equal(t, "2026-01-02T09:00", eval[string](b, `document.getElementById("from").value`))
	b.fill("#to", "2026-01-03T08:30")
	assert.Equal(t, "2026-01-02T23:30:00Z", eval[string](b, `new FormData(document.querySelector("form.filter")).get("to")`))
	_, err = chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{})
	require.NoError(t, err)

	b.open("/admin/explain?image=" + img.ID)
	assert.Contains(t, eval[string](b, `document.body.innerText`), "allowed by tier Wide")
	for _, p := range []string{"/admin/", "/admin/images?user=basil", "/admin/links", "/admin/audit", "/images/" + img.ID} {
		b.open(p)
		assert.Equal(t, "boss", eval[string](b, `document.querySelector(".who .name").textContent`), p)
	}
	b.quiet()
	b.signOut()
	b.signIn("basil")
	b.until(`document.querySelector("#images img")?.getAttribute("src").includes("/thumbnails/320?")`)
	b.open("/admin/")
	assert.Equal(t, "You do not have access", eval[string](b, `document.querySelector("h1").textContent`))
	b.mu.Lock()
	b.troubles = nil // the 403
	b.mu.Unlock()
	b.signOut()
}

func tryBrowsable(t *testing.T, w *world, b *browser) {
	eva := token(w.token("eva"))
	img := w.upload(eva)
	b.signIn("eva")
	b.open("/v1/images")
	b.click(`#body a[href="/v1/images/` + img.ID + `"]`)
	b.until(`location.pathname === "/v1/images/` + img.ID + `" && document.readyState === "complete"`)
	assert.NotNil(t, eval[*string](b, `document.querySelector("form[data-method=DELETE]")?.dataset.path`))
	b.open("/v1/images/" + img.ID + "/links")
	b.fill(`input[name=expires_in]`, "300")
	b.click(`form[data-method=POST] button`)
	b.until(`document.querySelector("form .wire b")?.textContent.startsWith("HTTP 201")`)
	link := eval[string](b, `document.querySelector("form .wire pre a").href`)
	w.get(nobody, link).want(200)
	for _, p := range []string{"/v1/me", "/v1/tokens", "/v1/images/" + img.ID + "/access", "/v1/images?limit=1"} {
		b.open(p)
		assert.Equal(t, "HTTP 200 OK", eval[string](b, `document.querySelector(".headers b").textContent`), p)
	}
	b.open("/v1/me?format=json")
	assert.Equal(t, "application/json", eval[string](b, `document.contentType`))
	b.quiet()
	b.open("/")
	b.signOut()
}

func tryDocs(t *testing.T, _ *world, b *browser) {
	b.signIn("eva")
	b.open("/docs")
	b.click(`#operations-account-getV1Me button.opblock-summary-control`)
	b.click(`#operations-account-getV1Me button.execute`)
	b.until(`document.querySelector("#operations-account-getV1Me .live-responses-table")?.textContent.includes('"username": "eva"')`)
	b.quiet()
	b.open("/")
	b.signOut()
}

// pagesOf are all the pages that somebody signed in may see.
func pagesOf(img string) []string {
	return []string{
		"/", "/images/" + img, "/account", "/v1/images", "/v1/images/" + img + "/links", "/v1/admin/users/eva", "/v1/admin/tiers/" + domain.BasicTier, "/docs",
		"/admin/", "/admin/users?new=1", "/admin/users/eva", "/admin/tiers?new=1", "/admin/tiers/" + domain.EnterpriseTier, "/admin/images", "/admin/links", "/admin/audit",
		"/admin/explain?tier=BasicTierUsers&user=eva&image=" + img, "/api-auth/logout", "/nothing",
	}
}

func tryAccessible(t *testing.T, w *world, b *browser) {
	f, err := os.Open(filepath.Join("pages", "web", "testdata", "axe.min.js.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	axe, err := io.ReadAll(z)
	require.NoError(t, err)
	check := func(what string) {
		if !eval[bool](b, `"axe" in window`) {
			eval[bool](b, string(axe)+"\n;true")
		}
		found := eval[[]string](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map((n) => n.target + " " + n.any.map((a) => a.message).join("; ")).join(" | ")))`)
		assert.Empty(t, found, what)
	}
	both := func(what string) {
		for _, scheme := range []string{"light", "dark"} {
			b.media(scheme)
			// The docs' viewer follows by a script of its own.
			b.until(fmt.Sprintf(`!document.getElementById("swagger-ui") || document.documentElement.classList.contains("dark-mode") === %t`, scheme == "dark"))
			check(what + ", " + scheme)
		}
	}
	b.open("/api-auth/login")
	b.fill("#username", "boss")
	b.fill("#password", "wrong")
	b.click("form button")
	b.until(`document.getElementById("problem")`)
	both("sign-in, refused")
	enterprise := []string{domain.EnterpriseTier}
	_, err = w.svc.UpdateUser(ctx, w.root, "boss", app.UserChange{Tiers: &enterprise})
	require.NoError(t, err)
	b.signIn("boss")
	both("the empty gallery")
	eval[bool](b, `(() => {
		const data = new DataTransfer();
		data.items.add(new File(["not a picture"], "notes.txt", {type: "text/plain"}));
		document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
		return true;
	})()`)
	b.until(`document.querySelector("#uploads .why")`)
	both("an upload that was refused")
	img := w.upload(token(w.token("boss")))
	w.link(token(w.token("boss")), img.ID, `{"expires_in":300}`)
	for _, p := range pagesOf(img.ID) {
		b.open(p)
		if p == "/docs" {
			b.until(`document.querySelector(".opblock")`)
		} else {
			b.steady(p)
		}
		eval[bool](b, `(document.querySelectorAll("main details:not(.confirm)").forEach((d) => { d.open = true }), document.querySelector("details.confirm")?.setAttribute("open", ""), true)`)
		both(p)
		b.phone()
		assert.LessOrEqual(t, eval[int](b, `document.documentElement.scrollWidth`), 390, "%s is wider than a phone", p)
		b.wide()
	}
	b.media("light")
	b.open("/admin/tiers/" + domain.EnterpriseTier)
	b.fill(`input[name=heights]`, "640")
	b.click(`button[value=review]`)
	b.until(`document.getElementById("effect")`)
	both("a review")
	b.open("/images/" + img.ID)
	b.click(`#links form button.main`)
	b.until(`document.getElementById("new-link")`)
	both("a new link")
	b.media("light")
	b.open("/")
	b.signOut()
}

// landscape draws a picture of hills under a sky, of its own colours.
func landscape(n int) []byte {
	const wide, high = 960, 720
	palettes := [][3]color.RGBA{
		{{244, 196, 150, 255}, {120, 110, 150, 255}, {40, 50, 80, 255}},
		{{190, 214, 232, 255}, {235, 240, 245, 255}, {96, 120, 140, 255}},
		{{240, 140, 110, 255}, {90, 60, 100, 255}, {30, 25, 50, 255}},
		{{200, 226, 240, 255}, {150, 180, 90, 255}, {60, 100, 50, 255}},
		{{180, 210, 225, 255}, {70, 130, 150, 255}, {25, 60, 80, 255}},
		{{250, 226, 180, 255}, {222, 170, 110, 255}, {150, 95, 60, 255}},
	}
	p := palettes[n%len(palettes)]
	m := image.NewRGBA(image.Rect(0, 0, wide, high))
	mix := func(a, b color.RGBA, f float64) color.RGBA {
		one := func(x, y uint8) uint8 { return uint8(float64(x)*(1-f) + float64(y)*f) }
		return color.RGBA{one(a.R, b.R), one(a.G, b.G), one(a.B, b.B), 255}
	}
	white := color.RGBA{255, 255, 255, 255}
	for x := range wide {
		fx := float64(x) / wide
		for y := range high {
			fy := float64(y) / high
			c := mix(mix(p[0], p[1], .25), mix(p[0], white, .45), fy*1.2)
			if dx, dy := fx-.2-.06*float64(n%9), (fy-.28)*high/wide; dx*dx+dy*dy < .0045 {
				c = mix(p[0], white, .75)
			}
			for k := range 4 {
				f := float64(k)
				ridge := .45 + .13*f + .09*math.Sin(fx*(4+f*1.7)+f*2.1+float64(n)*1.3) + .025*math.Sin(fx*(17+5*f)+float64(n))
				if fy > ridge {
					c = mix(p[1], p[2], min(1, f/3+.2*(fy-ridge)))
				}
			}
			m.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

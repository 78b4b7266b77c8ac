package ginapi_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// TestScreenshots writes pictures of the pages into the folder that
// IMAGIFY_SCREENSHOTS names; IMAGIFY_SCREENSHOTS_ALL=1 asks for every page in
// light, dark and on a phone, else it writes the few that the README shows.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("IMAGIFY_SCREENSHOTS")
	if folder == "" {
		t.Skip("IMAGIFY_SCREENSHOTS names no folder")
	}
	require.NoError(t, os.MkdirAll(folder, 0o755))
	w := newWorld(t)
	w.user("eva", domain.EnterpriseTier)
	basil := w.user("basil", domain.BasicTier)
	w.user("petra", domain.PremiumTier)
	boss := w.admin("boss")
	enterprise := []string{domain.EnterpriseTier}
	_, err := w.svc.UpdateUser(ctx, w.root, "boss", app.UserChange{Tiers: &enterprise})
	require.NoError(t, err)
	fifty := int64(50)
	_, err = w.svc.UpdateTier(ctx, w.root, domain.EnterpriseTier, app.TierChange{Limits: map[string]*int64{"max_images": &fifty}})
	require.NoError(t, err)
	upload := func(who caller, name string, n int) (img imageJSON) {
		typ, body := form(part{"file", name, string(landscape(n))})
		w.do(with(who, "Content-Type: "+typ), http.MethodPost, "/v1/images", bytes.NewReader(body)).want(201).json(&img)
		return img
	}
	var img imageJSON
	for i, name := range []string{"ridge.jpg", "first snow.jpg", "harbour at dusk.jpg", "field.jpg", "lake.jpg", "dunes.jpg", "evening.jpg", "pass.jpg", "coast.jpg", "hill in May.jpg"} {
		img = upload(boss, name, i)
	}
	poor := upload(basil, "moor.jpg", 4)
	w.link(boss, img.ID, `{"expires_in":3600}`)
	w.link(boss, img.ID, `{"expires_in":300,"max_views":5,"variant":"thumbnail:400"}`)

	b := newBrowser(t, w)
	settle := func() {
		b.until(`[...document.images].filter((i) => i.getBoundingClientRect().top < innerHeight).every((i) => i.complete)`)
		time.Sleep(350 * time.Millisecond) // fades end
	}
	write := func(name string, png []byte, err error) {
		t.Helper()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
	}
	review := func() {
		b.open("/admin/tiers/" + domain.EnterpriseTier)
		b.fill(`input[name=heights]`, "640")
		b.click(`input[value=can_generate_expiring_link]`)
		b.click(`button[value=review]`)
		b.until(`document.getElementById("effect")`)
	}
	if os.Getenv("IMAGIFY_SCREENSHOTS_ALL") == "" {
		shoot := func(name string) {
			settle()
			png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			write(name, png, err)
		}
		b.media("light")
		b.do(chromedp.EmulateViewport(1000, 600))
		b.signIn("boss")
		shoot("gallery")
		b.open("/images/" + img.ID)
		shoot("image")
		b.media("dark")
		review()
		eval[bool](b, `(document.querySelector("details.more").open = false, document.getElementById("effect").scrollIntoView({block: "end"}), scrollBy(0, 120), true)`)
		shoot("tier-dark")
		b.open("/v1/images/" + img.ID)
		shoot("api-dark")
		return
	}
	each := func(name string) {
		for _, look := range []struct {
			name, scheme string
			set          func()
		}{{"light", "light", b.wide}, {"dark", "dark", b.wide}, {"phone", "light", b.phone}} {
			b.media(look.scheme)
			look.set()
			settle()
			png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			write(name+"-"+look.name, png, err)
		}
		b.wide()
	}
	b.open("/api-auth/login")
	each("login")
	b.fill("#username", "eva")
	b.fill("#password", "wrong")
	b.click("form button")
	b.until(`document.getElementById("problem")`)
	each("login-refused")
	b.signIn("eva")
	each("empty")
	eval[bool](b, `(async () => {
		const data = new DataTransfer();
		for (const n of ["notes.txt", "a very long name of a file that nobody can read to its end.png"]) data.items.add(new File(["not a picture"], n, {type: "image/png"}));
		document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
		return true;
	})()`)
	b.until(`document.querySelectorAll("#uploads .why").length === 2`)
	each("uploads")
	b.open("/")
	eval[bool](b, `(document.body.classList.add("dragging"), true)`)
	each("dragging")
	b.open("/")
	b.signOut()
	b.signIn("basil")
	b.open("/images/" + poor.ID)
	each("image-basic")
	b.open("/admin/")
	each("forbidden")
	b.signOut()
	b.signIn("boss")
	for _, p := range pagesOf(img.ID) {
		b.open(p)
		if p == "/docs" {
			b.until(`document.querySelector(".opblock")`)
		}
		each("p_" + strings.NewReplacer("/", "_", "?", "_", "=", "_", img.ID, "id").Replace(strings.Trim(p, "/")))
	}
	review()
	each("review")
	b.open("/admin/users?new=1")
	each("user-new")
	b.open("/admin/explain?tier=BasicTierUsers&image=" + img.ID)
	each("explain-denied")
	b.open("/admin/audit")
	b.click("details.more summary")
	each("audit-open")
	b.open("/v1/admin/users/eva")
	each("api-user")
	b.open("/images/" + img.ID)
	b.click("#delete summary")
	each("image-delete")
	b.open("/admin/images")
	b.click("details.confirm summary")
	each("images-delete")
	b.open("/images/" + img.ID)
	b.click(`#links form button.main`)
	b.until(`document.getElementById("new-link")`)
	each("image-link")
	b.open("/")
	b.do(chromedp.EmulateViewport(1920, 1080))
	settle()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	write("gallery-1920", png, err)
}

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
	w.user("basil", domain.BasicTier)
	w.user("petra", domain.PremiumTier)
	boss := w.admin("boss")
	enterprise := []string{domain.EnterpriseTier}
	_, err := w.svc.UpdateUser(ctx, w.root, "boss", app.UserChange{Tiers: &enterprise})
	require.NoError(t, err)
	fifty := int64(50)
	_, err = w.svc.UpdateTier(ctx, w.root, domain.EnterpriseTier, app.TierChange{Limits: map[string]*int64{"max_images": &fifty}})
	require.NoError(t, err)
	var img imageJSON
	for i, name := range []string{"ridge.jpg", "first snow.jpg", "harbour at dusk.jpg", "field.jpg", "lake.jpg", "dunes.jpg", "evening.jpg", "pass.jpg", "coast.jpg", "hill in May.jpg"} {
		typ, body := form(part{"file", name, string(landscape(i))})
		w.do(with(boss, "Content-Type: "+typ), http.MethodPost, "/v1/images", bytes.NewReader(body)).want(201).json(&img)
	}
	w.link(boss, img.ID, `{"expires_in":3600}`)
	w.link(boss, img.ID, `{"expires_in":300,"max_views":5,"variant":"thumbnail:400"}`)

	b := newBrowser(t, w)
	shoot := func(name string) {
		t.Helper()
		b.until(`[...document.images].filter((i) => i.getBoundingClientRect().top < innerHeight).every((i) => i.complete)`)
		time.Sleep(350 * time.Millisecond) // fades end
		png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
	}
	review := func() {
		b.open("/admin/tiers/" + domain.EnterpriseTier)
		b.fill(`input[name=heights]`, "640")
		b.click(`input[value=can_generate_expiring_link]`)
		b.click(`button[value=review]`)
		b.until(`document.getElementById("effect")`)
		eval[bool](b, `(document.querySelector("details.more").open = false, document.getElementById("effect").scrollIntoView({block: "end"}), scrollBy(0, 120), true)`)
	}
	if os.Getenv("IMAGIFY_SCREENSHOTS_ALL") == "" {
		b.media("light")
		b.do(chromedp.EmulateViewport(1120, 760))
		b.signIn("boss")
		shoot("gallery")
		b.open("/images/" + img.ID)
		shoot("image")
		b.media("dark")
		review()
		shoot("tier-dark")
		b.open("/v1/images/" + img.ID)
		shoot("api-dark")
		return
	}
	each := func(name string) {
		b.media("light")
		shoot(name + "-light")
		b.media("dark")
		shoot(name + "-dark")
		b.phone()
		shoot(name + "-phone")
		b.wide()
		b.media("light")
	}
	b.open("/api-auth/login")
	each("login")
	b.signIn("eva")
	each("empty")
	b.signOut()
	b.signIn("boss")
	for _, p := range pagesOf(img.ID) {
		b.open(p)
		if p == "/docs" {
			b.until(`document.querySelector(".opblock")`)
		}
		name := strings.NewReplacer("/", "_", "?", "_", "=", "_", img.ID, "id").Replace(strings.Trim(p, "/"))
		each("p_" + name)
	}
	review()
	each("review")
}

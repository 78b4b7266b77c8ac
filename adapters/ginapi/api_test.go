package ginapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, o := range map[string]ginapi.Options{
		"no scheme":      {PublicURL: "img.example"},
		"another scheme": {PublicURL: "ftp://img.example"},
		"a query":        {PublicURL: "https://img.example/?x=1"},
		"a path":         {PublicURL: "https://img.example/x"},
		"credentials":    {PublicURL: "https://u:p@img.example"},
		"not a URL":      {PublicURL: "https://%zz"},
		"negative":       {CDNMaxAge: -1},
		"negative too":   {RequestTimeout: -1},
	} {
		_, err := ginapi.New(w.svc, o)
		assert.Error(t, err, name)
	}
	_, err := ginapi.New(nil, ginapi.Options{})
	assert.Error(t, err)
	reg := prometheus.NewRegistry()
	_, err = ginapi.New(w.svc, ginapi.Options{Registry: reg})
	require.NoError(t, err)
	_, err = ginapi.New(w.svc, ginapi.Options{Registry: reg})
	assert.Error(t, err, "two servers on one registry")
}

// What a user's tiers permit is what their answers hold, and no other.
func TestTiersDecideWhatIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss := w.admin("boss")
	w.send(boss, "POST", "/v1/admin/tiers", `{"name":"Custom","title":"Made here","permissions":["thumbnail:200","thumbnail:600","can_generate_expiring_link"]}`).want(201)
	for tier, c := range map[string]struct {
		heights        []string
		original, link bool
	}{
		domain.BasicTier:      {[]string{"200"}, false, false},
		domain.PremiumTier:    {[]string{"200", "400"}, false, false},
		domain.EnterpriseTier: {[]string{"200", "400"}, true, true},
		"Custom":              {[]string{"200", "600"}, false, true},
		"none":                {nil, false, false},
	} {
		t.Run(tier, func(t *testing.T) {
			tiers := []string{}
			if tier != "none" {
				tiers = []string{tier}
			}
			name := "user-" + tier
			body := must(json.Marshal(map[string]any{"username": name, "password": password, "tiers": tiers}))
			w.send(boss, "POST", "/v1/admin/users", string(body)).want(201)
			who := basic(name, password)
			img := w.upload(who)
			var list pageJSON[imageJSON]
			raw := w.get(who, "/v1/images").want(200)
			raw.json(&list)
			require.Len(t, list.Items, 1)
			var one imageJSON
			w.get(who, "/v1/images/"+img.ID).want(200).json(&one)
			for _, seen := range []imageJSON{img, list.Items[0], one} {
				assert.Len(t, seen.Thumbnails, len(c.heights))
				for _, h := range c.heights {
					th := seen.Thumbnails[h]
					a := w.get(nobody, th.URL).want(200)
					assert.Contains(t, th.URL, "/thumbnails/"+h+"?")
					assert.Equal(t, img.Thumbnails[h].URL, th.URL)
					want, err := strconv.Atoi(h)
					require.NoError(t, err)
					assert.Equal(t, min(want, 480), th.Height)
					assert.Equal(t, "image/jpeg", a.header.Get("Content-Type"))
				}
				assert.Equal(t, c.original, seen.Original != "")
			}
			last := -1
			for _, h := range c.heights { // in ascending order
				i := bytes.Index(raw.body, []byte(`"`+h+`":{`))
				assert.Greater(t, i, last)
				last = i
			}
			if c.original {
				assert.Equal(t, photo(), w.get(nobody, img.Original).want(200).body)
			}
			a := w.send(who, "POST", "/v1/images/"+img.ID+"/links", `{"expires_in":300}`)
			var access struct {
				Variants []struct {
					Variant string
					Allowed bool
				}
				Links struct {
					Allowed bool
					By      *struct{ Kind, Name string }
				}
			}
			w.get(who, "/v1/images/"+img.ID+"/access").want(200).json(&access)
			assert.Equal(t, c.link, access.Links.Allowed)
			assert.Len(t, access.Variants, 4)
			if !c.link {
				a.fail(403, domain.Denied)
				assert.Nil(t, access.Links.By)
				return
			}
			assert.Equal(t, tier, access.Links.By.Name)
			a.want(201)
			var l linkJSON
			a.json(&l)
			assert.Equal(t, w.url+"/v1/links/"+l.ID, a.header.Get("Location"))
			shown := w.get(nobody, l.URL).want(200)
			if c.original {
				assert.Equal(t, "original", l.Variant)
				assert.Equal(t, photo(), shown.body)
			} else {
				assert.Equal(t, "thumbnail:600", l.Variant)
			}
			assert.NotContains(t, string(w.get(who, "/v1/images/"+img.ID+"/links").want(200).body), `"url"`)
			w.do(who, "DELETE", "/v1/links/"+l.ID, nil).want(204)
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
				a := w.do(nobody, method, l.URL, nil).want(410)
				if method != "HEAD" {
					assert.Equal(t, "link_expired", a.code())
					assert.Contains(t, string(a.body), "Link has expired")
				}
			}
		})
	}
	var access struct{ Tiers []string }
	who := w.user("whatif", domain.BasicTier)
	img := w.upload(who)
	w.get(who, "/v1/images/"+img.ID+"/access?tier="+domain.EnterpriseTier).want(200).json(&access)
	assert.Equal(t, []string{domain.EnterpriseTier}, access.Tiers)
	w.get(who, "/v1/images/"+img.ID+"/access?tier=nope").fail(400, domain.Invalid)
	w.get(who, "/v1/images/"+img.ID+"/access?user=boss").fail(403, domain.Denied)
	w.get(boss, "/v1/images/"+img.ID+"/access?user=user-Custom").want(200)
}

func TestLinksInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	l := w.link(who, img.ID, `{"expires_in":300,"max_views":2,"variant":"thumbnail:400"}`)
	assert.EqualValues(t, 2, *l.MaxViews)
	views := func() (n int64, state string) {
		var links pageJSON[linkJSON]
		w.get(who, "/v1/images/"+img.ID+"/links").want(200).json(&links)
		for _, it := range links.Items {
			if it.ID == l.ID {
				return it.Views, it.State
			}
		}
		return -1, ""
	}
	a := w.do(nobody, "HEAD", l.URL, nil).want(200)
	assert.Equal(t, "none", a.header.Get("Accept-Ranges"))
	tag := a.header.Get("Etag")
	w.get(with(nobody, "If-None-Match: "+tag), l.URL).want(304)
	n, _ := views()
	assert.Zero(t, n, "HEAD and 304 cost none")
	a = w.get(with(nobody, "Range: bytes=0-9"), l.URL).want(200)
	assert.Greater(t, len(a.body), 10, "Range is ignored")
	n, state := views()
	assert.EqualValues(t, 1, n)
	assert.Equal(t, "active", state)
	w.do(nobody, "POST", l.URL, nil).fail(405, domain.MethodNotAllowed)
	w.get(nobody, l.URL).want(200)
	a = w.get(nobody, l.URL).fail(410, domain.LinkExpired)
	assert.Empty(t, a.header.Get("Etag"))
	assert.Empty(t, a.header.Get("Content-Disposition"))
	w.get(with(nobody, "If-None-Match: "+tag), l.URL).want(410)
	n, state = views()
	assert.EqualValues(t, 2, n)
	assert.Equal(t, "used_up", state)

	l = w.link(who, img.ID, `{"expires_in":30}`)
	w.get(with(nobody, "Range: bytes=0-9"), l.URL).want(206)
	w.clock.advance(29 * time.Second)
	w.get(nobody, l.URL).want(200)
	w.clock.advance(2 * time.Second)
	w.get(nobody, l.URL).want(410)
	_, state = views()
	assert.Equal(t, "expired", state)
	w.get(nobody, "/l/").want(404)
	w.get(nobody, "/l/"+strings.Repeat("A", 32)).fail(404, domain.NotFound)
	w.do(nobody, "DELETE", "/l/"+strings.Repeat("A", 32), nil).want(404)
}

func TestViewsUnderARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	l := w.link(who, w.upload(who).ID, `{"expires_in":300,"max_views":5}`)
	var bodies, gone atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch w.get(nobody, l.URL).status {
			case 200:
				bodies.Add(1)
			case 410:
				gone.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 5, bodies.Load())
	assert.EqualValues(t, 45, gone.Load())
}

func TestDeletedImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	l := w.link(who, img.ID, `{"expires_in":300}`)
	w.get(nobody, img.Thumbnails["200"].URL).want(200)
	w.do(who, "DELETE", "/v1/images/"+img.ID, nil).want(204)
	w.get(nobody, img.Thumbnails["200"].URL).fail(404, domain.NotFound)
	w.get(nobody, img.Original).fail(404, domain.NotFound)
	w.get(nobody, l.URL).fail(410, domain.LinkExpired)
	w.get(who, "/v1/images/"+img.ID).fail(404, domain.NotFound)
	w.do(who, "DELETE", "/v1/images/"+img.ID, nil).fail(404, domain.NotFound)
	assert.Zero(t, w.keys())
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who, boss := w.user("anna", domain.BasicTier), w.admin("boss")
	var want []string
	for range 7 {
		want = append([]string{w.upload(who).ID}, want...)
	}
	for path, caller := range map[string]caller{"/v1/images?limit=3": who, "/v1/admin/images?user=anna&limit=3": boss} {
		var got []string
		next := path
		for next != "" {
			var p pageJSON[imageJSON]
			a := w.get(caller, next).want(200)
			a.json(&p)
			for _, it := range p.Items {
				got = append(got, it.ID)
				assert.Equal(t, strings.Contains(path, "admin"), it.OwnerID != "")
			}
			next = ""
			if m := regexp.MustCompile(`^<(.*)>; rel="next"$`).FindStringSubmatch(a.header.Get("Link")); m != nil {
				next = m[1]
				require.NotNil(t, p.NextCursor)
				assert.Contains(t, next, "cursor="+*p.NextCursor)
				assert.Contains(t, next, "limit=3")
			} else {
				assert.Nil(t, p.NextCursor)
				assert.Contains(t, string(a.body), `"next_cursor":null`)
			}
		}
		assert.Equal(t, want, got)
	}
	for _, path := range []string{"/v1/images", "/v1/tokens", "/v1/images/" + want[0] + "/links"} {
		for _, q := range []string{"limit=0", "limit=101", "limit=x", "limit=", "limit=-1", "limit=03", "limit=1.0", "cursor=", "cursor=x", "cursor=" + strings.Repeat("A", 22), "cursor=" + want[0], "limit=%zz", "a=1;b=2"} {
			w.get(who, path+"?"+q).fail(400, domain.Invalid)
		}
		for _, q := range []string{"limit=1", "limit=100", "unknown=1", "limit=5&limit=99"} {
			w.get(who, path+"?"+q).want(200)
		}
	}
	for _, q := range []string{"from=yesterday", "to=2026-01-02", "limit=0", "cursor=x"} {
		w.get(boss, "/v1/admin/images?"+q).fail(400, domain.Invalid)
	}
	w.get(boss, "/v1/admin/images?user=nobody-here").fail(404, domain.NotFound)
	var p pageJSON[imageJSON]
	w.get(boss, "/v1/admin/images?to=2020-01-01T00:00:00Z").want(200).json(&p)
	assert.Empty(t, p.Items)
	w.get(boss, "/v1/admin/images?from=2020-01-01T00:00:00%2B02:00").want(200).json(&p)
	assert.Len(t, p.Items, 7)
}

func TestAdminAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss := w.admin("boss")
	type tier struct {
		Name, Title string
		Permissions []string
		Limits      map[string]*int64
		Predefined  bool
	}
	var made tier
	a := w.send(boss, "POST", "/v1/admin/tiers", `{"name":"Gold","title":"Gold","permissions":["thumbnail:400","thumbnail:200"],"limits":{"max_images":5,"max_frames":null}}`).want(201)
	assert.Equal(t, w.url+"/v1/admin/tiers/Gold", a.header.Get("Location"))
	a.json(&made)
	assert.Equal(t, []string{"thumbnail:200", "thumbnail:400"}, made.Permissions)
	assert.EqualValues(t, 5, *made.Limits["max_images"])
	assert.Nil(t, made.Limits["max_frames"])
	assert.EqualValues(t, 50<<20, *made.Limits["max_upload_bytes"])
	w.send(boss, "POST", "/v1/admin/tiers", `{"name":"Gold"}`).fail(409, domain.Conflict)
	w.send(boss, "POST", "/v1/admin/tiers", `{"title":"x"}`).fail(400, domain.Invalid)
	for _, body := range []string{
		`{"limits":{"max_images":-1}}`, `{"limits":{"max_images":1.5}}`, `{"limits":{"max_images":"1"}}`, `{"limits":{"nope":1}}`, `{"limits":null}`, `{"limits":[]}`,
		`{"permissions":["thumbnail:0200"]}`, `{"permissions":["all"]}`, `{"permissions":null}`, `{"permissions":"thumbnail:200"}`, `{"permissions":[1]}`, `{"title":null}`, `{"title":1}`, `{"x":1}`, `[]`, ``,
	} {
		w.send(boss, "PATCH", "/v1/admin/tiers/Gold", body).fail(400, domain.Invalid)
	}
	w.send(boss, "PATCH", "/v1/admin/tiers/Gold", `{"limits":{"max_images":null}}`).want(200).json(&made)
	assert.Nil(t, made.Limits["max_images"])
	assert.Equal(t, "Gold", made.Title, "what is left out stays")
	w.send(boss, "PATCH", "/v1/admin/tiers/Nope", `{}`).fail(404, domain.NotFound)
	w.get(boss, "/v1/admin/tiers/Nope").fail(404, domain.NotFound)
	w.do(boss, "DELETE", "/v1/admin/tiers/"+domain.BasicTier, nil).fail(409, domain.Conflict)
	var tiers pageJSON[tier]
	w.get(boss, "/v1/admin/tiers").want(200).json(&tiers)
	assert.Len(t, tiers.Items, 4)

	type user struct {
		Username, Email    string
		Tiers, Permissions []string
		IsAdmin            bool `json:"is_admin"`
		IsActive           bool `json:"is_active"`
	}
	var u user
	a = w.send(boss, "POST", "/v1/admin/users", `{"username":"a.b+c@d","email":"a@b.example","password":"long enough","tiers":["Gold"],"permissions":["can_access_original_image"]}`).want(201)
	a.json(&u)
	assert.Equal(t, user{"a.b+c@d", "a@b.example", []string{"Gold"}, []string{"can_access_original_image"}, false, true}, u)
	assert.NotContains(t, string(a.body), "argon2")
	path := strings.TrimPrefix(a.header.Get("Location"), w.url)
	w.get(boss, path).want(200).json(&u)
	assert.Equal(t, "a.b+c@d", u.Username)
	w.send(boss, "POST", "/v1/admin/users", `{"username":"a.b+c@d"}`).fail(409, domain.Conflict)
	for _, body := range []string{`{"is_active":null}`, `{"is_active":"false"}`, `{"tiers":["nope"]}`, `{"tiers":null}`, `{"email":null}`, `{"email":"x"}`, `{"password":null}`, `{"password":"short"}`, `{"password":"` + strings.Repeat("x", 5000) + `"}`} {
		w.send(boss, "PATCH", path, body).fail(400, domain.Invalid)
	}
	w.send(boss, "PATCH", path, `{"password":"`+strings.Repeat("x", 1<<20)+`"}`).fail(413, domain.TooLarge)
	w.do(with(boss, "Content-Type: text/plain"), "PATCH", path, strings.NewReader(`{}`)).fail(400, domain.Invalid)
	w.do(boss, "PATCH", path, strings.NewReader(`{}`)).fail(400, domain.Invalid)
	w.do(with(boss, "Content-Type: application/json; charset=latin1"), "PATCH", path, strings.NewReader(`{}`)).fail(400, domain.Invalid)
	w.do(with(boss, "Content-Type: application/json; charset=UTF-8"), "PATCH", path, strings.NewReader(`{}`)).want(200)
	var users pageJSON[user]
	w.get(boss, "/v1/admin/users?tier=Gold").want(200).json(&users)
	assert.Len(t, users.Items, 1)
	w.do(boss, "DELETE", "/v1/admin/tiers/Gold", nil).want(204)
	w.get(boss, path).want(200).json(&u)
	assert.Empty(t, u.Tiers)
	w.do(boss, "DELETE", path, nil).want(204)
	w.get(boss, path).fail(404, domain.NotFound)
	w.do(boss, "DELETE", path, nil).fail(404, domain.NotFound)

	type entry struct {
		Actor, Action, Target string
		Before, After         map[string]any
		RequestID             string `json:"request_id"`
		Address               string
	}
	var audit pageJSON[entry]
	a = w.send(boss, "PATCH", "/v1/admin/tiers/"+domain.BasicTier, `{"title":"Plain"}`).want(200)
	w.get(boss, "/v1/admin/audit?user=boss&limit=1").want(200).json(&audit)
	require.Len(t, audit.Items, 1)
	e := audit.Items[0]
	assert.Equal(t, a.header.Get("X-Request-Id"), e.RequestID)
	assert.Equal(t, "127.0.0.1", e.Address)
	assert.Equal(t, []any{"boss", "tier.update", domain.BasicTier, "Basic", "Plain"}, []any{e.Actor, e.Action, e.Target, e.Before["title"], e.After["title"]})

	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	l := w.link(who, img.ID, `{"expires_in":300}`)
	assert.Contains(t, string(w.get(boss, "/v1/admin/links").want(200).body), l.ID)
	w.get(boss, "/v1/images/"+img.ID+"/thumbnails/400").want(200)
	w.get(boss, "/v1/images/"+img.ID+"/thumbnails/401").fail(403, domain.Denied)
	w.send(boss, "POST", "/v1/images/"+img.ID+"/links", `{"expires_in":300}`).fail(403, domain.Denied)
	w.do(boss, "DELETE", "/v1/links/"+l.ID, nil).want(204)
	w.get(nobody, l.URL).want(410)
	w.do(boss, "DELETE", "/v1/images/"+img.ID, nil).want(204)
	w.do(w.admin("second"), "DELETE", "/v1/admin/users/boss", nil).want(204)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.BasicTier)
	for _, body := range []string{
		`{}`, `{"name":""}`, `{"name":null}`, `{"name":1}`, `{"name":"x","expires_in":0}`, `{"name":"x","expires_in":null}`, `{"name":"x","expires_in":"60"}`, `{"name":"x","expires_in":1.5}`,
		`{"name":"x","expires_in":9223372036854775807}`, `{"name":"x","expires_in":9223372037}`, `{"name":"` + strings.Repeat("x", 101) + `"}`,
	} {
		w.send(who, "POST", "/v1/tokens", body).fail(400, domain.Invalid)
	}
	var tok struct {
		ID, Token string
		ExpiresAt *time.Time `json:"expires_at"`
	}
	w.send(who, "POST", "/v1/tokens", `{"name":"x","expires_in":60}`).want(201).json(&tok)
	assert.True(t, strings.HasPrefix(tok.Token, "imgf_"))
	require.NotNil(t, tok.ExpiresAt)
	w.get(token(tok.Token), "/v1/me").want(200)
	w.get(with(nobody, "Authorization: bearer "+tok.Token), "/v1/me").want(200)
	w.clock.advance(time.Minute)
	w.get(token(tok.Token), "/v1/me").fail(401, domain.Unauthenticated)
	for _, bad := range []string{"Digest x", "Bearer", "Basic !!!", "Bearer " + tok.Token[5:], ""} {
		a := w.get(with(nobody, "Authorization: "+bad), "/v1/me").fail(401, domain.Unauthenticated)
		assert.Equal(t, []string{`Bearer realm="imagify"`, `Basic realm="imagify", charset="UTF-8"`}, a.header["Www-Authenticate"])
	}
	w.get(with(token("x"), "Authorization: Bearer y"), "/v1/me").want(401)
}

func TestBrowsersAreSentToSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := with(nobody, "Accept: text/html,application/xhtml+xml,*/*;q=0.8")
	for _, path := range []string{"/v1/images?limit=3", "/v1/admin/users", "/v1/images/x/original"} {
		a := w.get(page, path).want(303)
		assert.Equal(t, "/api-auth/login?next="+url.QueryEscape(path), a.header.Get("Location"))
		assert.Equal(t, "no-store", a.header.Get("Cache-Control"))
	}
	w.get(page, "/v1/images?format=json").want(401)
	assert.Equal(t, "/api-auth/login", w.do(page, "DELETE", "/v1/images/x", nil).want(303).header.Get("Location"))
	w.get(with(nobody, "Accept: application/json, text/html;q=0.9"), "/v1/images").want(401)
	w.user("anna", domain.BasicTier)
	a, _ := w.signIn(page, "anna", "wrong <b>", "/v1/images")
	a.want(401)
	assert.Contains(t, a.header.Get("Content-Type"), "text/html")
	assert.Contains(t, string(a.body), `value="anna"`)
	assert.Contains(t, string(a.body), `role="alert"`)
	assert.NotContains(t, a.header.Values("Www-Authenticate"), "Basic")
	for _, c := range []struct {
		typ, body string
		status    int
	}{
		{"application/x-www-form-urlencoded", "username=anna&password=" + strings.Repeat("x", 20000), 413},
		{"application/x-www-form-urlencoded", "%zz", 400},
		{"application/json", `{"username":"anna","password":"` + password + `"}`, 400},
		{"", "username=anna", 400},
		{"application/x-www-form-urlencoded", "", 401},
	} {
		w.do(with(nobody, "Content-Type: "+c.typ), "POST", "/api-auth/login", strings.NewReader(c.body)).want(c.status)
	}
	w.do(with(nobody, "Content-Type: application/x-www-form-urlencoded"), "POST", "/api-auth/login?username=anna&password="+url.QueryEscape(password), strings.NewReader("")).want(401)
}

func TestWhereNothingIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/nothing", "/v1", "/v1/", "/v1/images/", "/V1/images", "/v1/images/x/y", "/debug/pprof/", "/.env", "/v1/images/../../etc/passwd"} {
		w.get(nobody, path).fail(404, domain.NotFound)
	}
	for path, allow := range map[string]string{
		"/v1/images": "GET, HEAD, POST", "/v1/me": "GET, HEAD", "/v1/admin/tiers/x": "GET, HEAD, PATCH, DELETE", "/healthz": "GET, HEAD", "/api-auth/logout": "GET, HEAD, POST",
	} {
		a := w.do(nobody, "PUT", path, nil).fail(405, domain.MethodNotAllowed)
		assert.Equal(t, allow, a.header.Get("Allow"), path)
	}
	who := w.user("anna")
	for _, id := range []string{"x", "0", strings.ToUpper("01a208f7-45e6-72b7-a0c0-3ae0a81ac533"), "00000000-0000-0000-0000-000000000000"} {
		w.get(who, "/v1/images/"+id).fail(404, domain.NotFound)
	}
	assert.Contains(t, w.logs.String(), `"route":"none"`)
}

func TestHeadAnswersAsGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.admin("boss")
	img := w.upload(who)
	for _, op := range w.operations() {
		if op[0] != "GET" || op[1] == "/metrics" {
			continue
		}
		path := strings.NewReplacer("{id}", img.ID, "{height}", "200", "{token}", "x", "{name}", domain.BasicTier, "{username}", "boss").Replace(op[1])
		got, head := w.get(who, path), w.do(who, "HEAD", path, nil)
		assert.Equal(t, got.status, head.status, path)
		assert.Empty(t, head.body)
		for _, k := range []string{"Content-Type", "Etag", "Content-Length", "Cache-Control"} {
			if k == "Content-Length" && got.status >= 400 {
				continue
			}
			assert.Equal(t, got.header.Get(k), head.header.Get(k), "%s of %s", k, path)
		}
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.svc.CreateTier(ctx, w.root, "Slow", app.TierChange{Permissions: &[]string{"thumbnail:200"}, Limits: map[string]*int64{"requests_per_minute": ptr[int64](4)}})
	require.NoError(t, err)
	who := w.user("anna", "Slow")
	img := w.upload(who)
	for i := range 3 {
		a := w.get(who, "/v1/me").want(200)
		assert.Equal(t, "4", a.header.Get("Ratelimit-Limit"))
		assert.Equal(t, strconv.Itoa(2-i), a.header.Get("Ratelimit-Remaining"))
		assert.NotEmpty(t, a.header.Get("Ratelimit-Reset"))
	}
	a := w.get(who, "/v1/me").fail(429, domain.RateLimited)
	after, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	assert.Positive(t, after)
	assert.Equal(t, "0", a.header.Get("Ratelimit-Remaining"))
	assert.Contains(t, string(a.body), `"limit":4`)
	w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", bytes.NewReader(photo())).want(429)
	for range 10 {
		w.get(nobody, img.Thumbnails["200"].URL).want(200)
		w.get(who, "/v1/images/"+img.ID+"/thumbnails/200").want(200)
	}
	w.clock.advance(time.Minute)
	w.get(who, "/v1/me").want(200)
}

func TestQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.svc.CreateTier(ctx, w.root, "Two", app.TierChange{Limits: map[string]*int64{"max_images": ptr[int64](2)}})
	require.NoError(t, err)
	who := w.user("anna", "Two")
	w.upload(who)
	w.upload(who)
	a := w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", bytes.NewReader(photo())).fail(403, domain.QuotaExceeded)
	var p struct{ Limit, Used int64 }
	a.json(&p)
	assert.Equal(t, struct{ Limit, Used int64 }{2, 2}, p)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.BasicTier)
	send := func(body []byte) answer {
		return w.do(with(who, "Content-Type: image/jpeg", "Idempotency-Key: once"), "POST", "/v1/images", bytes.NewReader(body))
	}
	var first, second imageJSON
	send(photo()).want(201).json(&first)
	send(photo()).want(201).json(&second)
	assert.Equal(t, first, second)
	send(append(photo(), 0)).fail(422, domain.IdempotencyMismatch)
	w.do(who, "DELETE", "/v1/images/"+first.ID, nil).want(204)
	send(photo()).fail(410, domain.Gone)
	w.do(with(who, "Content-Type: image/jpeg", "Idempotency-Key: "+strings.Repeat("x", 256)), "POST", "/v1/images", bytes.NewReader(photo())).fail(400, domain.Invalid)
}

// fileBlobs opens blobs as files, as a store on a disk does.
type fileBlobs struct {
	ports.Blobs
	dir string
	n   atomic.Int64
}

func (f *fileBlobs) Open(ctx context.Context, key string) (ports.Blob, error) {
	b, err := f.Blobs.Open(ctx, key)
	if err != nil {
		return b, err
	}
	defer b.Body.Close()
	file, err := os.Create(filepath.Join(f.dir, strconv.FormatInt(f.n.Add(1), 10)))
	if err != nil {
		return b, err
	}
	if _, err := io.Copy(file, b.Body); err != nil {
		return b, err
	}
	_, err = file.Seek(0, io.SeekStart)
	b.Body = file
	return b, err
}

func TestFilesAreSentWhole(t *testing.T) {
	t.Parallel()
	files := &fileBlobs{dir: t.TempDir()}
	w := newWorld(t, func(s *setup) { files.Blobs, s.app.Blobs = s.app.Blobs, files })
	who := w.user("anna", domain.EnterpriseTier)
	data := must(io.ReadAll(padded(3<<20 + 7)))
	var img imageJSON
	w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", bytes.NewReader(data)).want(201).json(&img)
	assert.True(t, bytes.Equal(data, w.get(nobody, img.Original).want(200).body))
	assert.True(t, bytes.Equal(data[5:], w.get(with(nobody, "Range: bytes=5-"), img.Original).want(206).body))
	a := w.get(with(nobody, "Range: bytes=0-9,1000000-2999999"), img.Original).want(206)
	assert.True(t, bytes.Contains(a.body, data[1000000:3000000]))
	w.do(nobody, "HEAD", img.Original, nil).want(200)
	assert.Contains(t, string(w.get(nobody, "/metrics").want(200).body), `imagify_sent_bytes_total{variant="original"}`)
}

// A body that is under way ends when its reader may no longer have it.
func TestBodyIsCutWhenThePermissionGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	var img imageJSON
	const size = 24 << 20
	w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", padded(size)).want(201).json(&img)
	l := w.link(who, img.ID, `{"expires_in":300}`)
	res := map[string]*http.Response{}
	for _, u := range []string{img.Original, l.URL, w.url + "/v1/images/" + img.ID + "/original"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(64<<10))
		credentials := "" // the signed URL and the link need none
		if strings.HasSuffix(u, "/original") {
			credentials = "Authorization: Bearer " + w.token("anna") + "\r\n"
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", strings.TrimPrefix(u, w.url), credentials)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, 200, r.StatusCode)
		require.EqualValues(t, size, r.ContentLength)
		res[u] = r
	}
	none := []string{}
	_, err := w.svc.UpdateUser(ctx, w.root, "anna", app.UserChange{Tiers: &none})
	require.NoError(t, err)
	for u, r := range res {
		n, err := io.Copy(io.Discard, r.Body)
		assert.ErrorIs(t, err, syscall.ECONNRESET, "what waits in the kernel's buffer must not go out either: %s", u)
		assert.Less(t, n, int64(size))
	}
}

func TestSlowReaderIsLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.api.IdleTimeout, s.api.MaxByteRequests = 200*time.Millisecond, 1 })
	who := w.user("anna", domain.EnterpriseTier)
	var img imageJSON
	w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", padded(24<<20)).want(201).json(&img)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", strings.TrimPrefix(img.Original, w.url))
	_, err = bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	// The one place is taken until the silent reader is let go.
	assert.Eventually(t, func() bool {
		a := w.get(nobody, img.Thumbnails["200"].URL)
		if a.status == 503 {
			assert.NotEmpty(t, a.header.Get("Retry-After"))
		}
		return a.status == 200
	}, 10*time.Second, 20*time.Millisecond)
}

func TestSlowJSONIsTimedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.api.RequestTimeout = 200 * time.Millisecond })
	who := w.user("anna", domain.BasicTier)
	pr, pw := io.Pipe()
	defer pr.Close()
	go pw.Write([]byte(`{"name":`))
	w.do(with(who, "Content-Type: application/json"), "POST", "/v1/tokens", pr).fail(408, domain.Timeout)
}

func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.app.Records.Audit = panicking{} })
	boss := w.admin("boss")
	a := w.get(boss, "/v1/admin/audit").fail(500, domain.Internal)
	assert.NotContains(t, string(a.body), "kaboom")
	assert.Contains(t, w.logs.String(), "kaboom")
	assert.Contains(t, w.logs.String(), "goroutine")
	w.get(boss, "/v1/me").want(200)
}

type panicking struct{}

func (panicking) List(context.Context, string, ports.TimeRange, ports.Page) ([]domain.AuditEntry, error) {
	panic("kaboom")
}

func TestSlowBackendIsUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) {
		s.app.Records.Audit, s.api.RequestTimeout = waiting{}, 50*time.Millisecond
	})
	a := w.get(w.admin("boss"), "/v1/admin/audit").fail(503, domain.Unavailable)
	assert.NotEmpty(t, a.header.Get("Retry-After"))
}

type waiting struct{}

func (waiting) List(ctx context.Context, _ string, _ ports.TimeRange, _ ports.Page) ([]domain.AuditEntry, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestMetricsAndLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	l := w.link(who, img.ID, `{"expires_in":300}`)
	w.get(nobody, l.URL).want(200)
	w.get(nobody, "/l/"+strings.Repeat("B", 32)+"/more").want(404)
	w.get(who, "/v1/images/"+strings.Repeat("x", 5000)).want(404)
	w.get(who, "/v1/images/a%0Ab").want(404)
	text := string(w.get(nobody, "/metrics").want(200).body)
	for _, s := range []string{
		`imagify_http_requests_total{method="GET",route="/l/{token}",status="2xx"} 1`, `imagify_http_requests_total{method="POST",route="/v1/images",status="2xx"} 1`,
		`imagify_http_request_duration_seconds_count{method="POST",route="/v1/images"} 1`, `imagify_build_info{version="test"} 1`, "imagify_http_requests_in_flight 1",
		fmt.Sprintf("imagify_upload_bytes_total %d", len(photo())), "go_goroutines",
	} {
		assert.Contains(t, text, s)
	}
	logs := w.logs.String()
	assert.NotContains(t, logs, strings.Repeat("B", 32))
	assert.NotContains(t, logs, strings.Repeat("x", 300))
	for line := range strings.Lines(logs) {
		assert.True(t, json.Valid([]byte(line)), line)
	}
	assert.Equal(t, 1, strings.Count(logs, `"route":"/l/{token}"`), "one line a request")
}

// A server works where the writer knows neither deadlines nor files, and where the log is off.
func TestPlainWriter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	quiet, err := ginapi.New(w.svc, ginapi.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for _, path := range []string{img.Original, img.Thumbnails["200"].URL} {
		rec := httptest.NewRecorder()
		quiet.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, strings.TrimPrefix(path, w.url), nil))
		assert.Equal(t, 200, rec.Code)
		assert.NotEmpty(t, rec.Body.Bytes())
	}
}

func TestShutdownWaitsForUploads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.BasicTier)
	begun := make(chan struct{})
	hs := ginapi.NewHTTPServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		close(begun)
		w.srv.ServeHTTP(rw, r)
	}), nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go hs.Serve(l)
	pr, pw := io.Pipe()
	done := make(chan answer, 1)
	go func() {
		done <- w.do(with(who, "Content-Type: image/jpeg"), "POST", "http://"+l.Addr().String()+"/v1/images", pr)
	}()
	_, err = pw.Write(photo()[:5000])
	require.NoError(t, err)
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- hs.Shutdown(ctx) }()
	_, err = pw.Write(photo()[5000:])
	require.NoError(t, err)
	pw.Close()
	(<-done).want(201)
	require.NoError(t, <-stopped)
}

// An upload whose client goes away leaves nothing.
func TestUploadThatIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.user("anna", domain.BasicTier)
	c, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(c, http.MethodPost, w.url+"/v1/images", pr)
	require.NoError(t, err)
	with(who, "Content-Type: image/jpeg")(req)
	done := make(chan error, 1)
	go func() {
		_, err := w.http.Do(req)
		done <- err
	}()
	_, err = pw.Write(photo()[:5000])
	require.NoError(t, err)
	cancel()
	pw.CloseWithError(context.Canceled) // the client's transport waits for its body
	assert.Error(t, <-done)
	assert.Eventually(t, func() bool { return strings.Contains(w.logs.String(), `"route":"/v1/images"`) }, 10*time.Second, 10*time.Millisecond)
	assert.Zero(t, w.keys())
	all, _, err := w.svc.AllImages(ctx, w.root, app.Filter{}, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Empty(t, all)
}

// FuzzUpload sends any body as a form: it is refused or kept whole, and nothing else happens.
func FuzzUpload(f *testing.F) {
	typ, body := form(part{"file", "a.jpg", string(photo())})
	boundary := strings.TrimPrefix(typ, "multipart/form-data; boundary=")
	body = bytes.ReplaceAll(body, []byte(boundary), []byte("b"))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\n\r\nGIF89a\r\n--b--\r\n"))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=file; filename*=utf-8''a%20b\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=file\r\n\r\ny\r\n--b--"))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=x\r\n\r\nx\r\n--b--"))
	f.Add([]byte("--b--"))
	f.Add(body)
	w := newWorld(f)
	who := w.user("anna", domain.BasicTier)
	f.Fuzz(func(t *testing.T, b []byte) {
		w.t = t
		before := w.keys()
		r := httptest.NewRequest(http.MethodPost, "/v1/images", bytes.NewReader(b))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		who(r)
		rec := httptest.NewRecorder()
		w.srv.ServeHTTP(rec, r)
		if rec.Code == 201 {
			assert.Equal(t, before+1, w.keys())
			return
		}
		assert.Contains(t, []int{400, 413, 415, 422}, rec.Code)
		assert.Equal(t, before, w.keys())
		assert.Equal(t, "application/problem+json", rec.Header().Get("Content-Type"))
	})
}

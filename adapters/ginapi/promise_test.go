package ginapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// TestPromise tries the project's promises from outside, through HTTP.
func TestPromise(t *testing.T) { promises(t) }

// The same on the embedded default: newWorld sees the test's name.
func TestPromiseEmbedded(t *testing.T) { promises(t) }

func promises(t *testing.T) {
	for id, try := range map[string]func(*testing.T){
		"A1": promiseA1, "A2": promiseA2, "A3": promiseA3, "A4": promiseA4, "A8": promiseA8, "A10": promiseA10,
		"L1": promiseL1, "S1": promiseS1, "S6": promiseS6, "S7": promiseS7, "S8": promiseS8, "S9": promiseS9,
		"T1": promiseT1, "T2": promiseT2, "T3": promiseT3, "T4": promiseT4, "T6": promiseT6, "T7": promiseT7, "T8": promiseT8, "R11": promiseR11, "X5": promiseX5, "X6": promiseX6,
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			try(t)
		})
	}
}

// operations lists the document's methods and paths.
func (w *world) operations() [][2]string {
	w.t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	w.get(nobody, "/openapi.json").want(200).json(&doc)
	var out [][2]string
	for p, item := range doc.Paths {
		for m := range item {
			out = append(out, [2]string{strings.ToUpper(m), p})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i][1]+out[i][0] < out[j][1]+out[j][0] })
	return out
}

// bodies are valid JSON for the routes that want some.
var bodies = map[string]string{
	"POST /v1/images/{id}/links":       `{"expires_in":300}`,
	"POST /v1/tokens":                  `{"name":"x"}`,
	"POST /v1/admin/tiers":             `{"name":"x"}`,
	"PATCH /v1/admin/tiers/{name}":     `{"title":"x"}`,
	"POST /v1/admin/users":             `{"username":"x"}`,
	"PATCH /v1/admin/users/{username}": `{"is_admin":true}`,
	"POST /api-auth/login":             ``,
}

// plain is an answer without what may differ from one request to the next.
func plain(a answer) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range a.header {
			if !yield(k) {
				return
			}
		}
	}) {
		if k != "Date" && k != "X-Request-Id" {
			fmt.Fprintln(&b, k, a.header[k])
		}
	}
	b.WriteString(regexp.MustCompile(`"request_id":"[0-9a-f]+"`).ReplaceAllString(string(a.body), ""))
	return b.String()
}

func promiseA1(t *testing.T) {
	w := newWorld(t)
	owner, stranger, rich := w.user("owner", domain.EnterpriseTier), w.user("stranger", domain.BasicTier), w.user("rich", domain.EnterpriseTier)
	admin := w.admin("boss")
	_, revoked, err := w.svc.CreateTokenFor(ctx, w.root, "owner", "revoked", time.Hour)
	require.NoError(t, err)
	tok, _, err := w.svc.TokensFor(ctx, w.root, "owner", ports.Page{Limit: 1})
	require.NoError(t, err)
	require.NoError(t, w.svc.RevokeTokenFor(ctx, w.root, "owner", tok[0].ID))
	_, expired, err := w.svc.CreateTokenFor(ctx, w.root, "owner", "expired", time.Second)
	require.NoError(t, err)

	img := w.upload(owner)
	link := w.link(owner, img.ID, `{"expires_in":30000}`)
	var ownerToken struct{ ID string }
	w.send(owner, "POST", "/v1/tokens", `{"name":"mine"}`).want(201).json(&ownerToken)
	thumb := w.get(owner, "/v1/images/"+img.ID+"/thumbnails/200").want(200)
	w.clock.advance(2 * time.Second)
	random := domain.ID{1, 0xa2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}.String()

	personas := map[string]caller{
		"nobody": nobody, "stranger": stranger, "enterprise stranger": rich, "expired token": token(expired), "revoked token": token(revoked),
	}
	secrets := [][]byte{photo()[:64], thumb.body[:64], []byte("cat.jpg"), []byte(img.Thumbnails["200"].URL), []byte(link.URL)}
	for _, op := range w.operations() {
		method, path := op[0], op[1]
		for name, who := range personas {
			ask := func(imageID, linkID, tokenID string) answer {
				id := imageID
				switch {
				case strings.HasPrefix(path, "/v1/links"):
					id = linkID
				case strings.HasPrefix(path, "/v1/tokens"):
					id = tokenID
				}
				p := strings.NewReplacer("{id}", id, "{height}", "200", "{token}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "{name}", "nope", "{username}", "owner").Replace(path)
				if b, ok := bodies[method+" "+path]; ok {
					return w.send(who, method, p, b)
				}
				return w.do(who, method, p, nil)
			}
			theirs, none := ask(img.ID, link.ID, ownerToken.ID), ask(random, random, random)
			if strings.Contains(path, "{id}") {
				assert.Equal(t, plain(none), plain(theirs), "%s: %s %s", name, method, path)
				assert.Contains(t, []int{401, 404}, theirs.status)
			}
			for _, s := range secrets {
				assert.NotContains(t, string(theirs.body), string(s), "%s: %s %s", name, method, path)
			}
		}
	}
	// All of it is still there for those who may see it.
	for _, who := range []caller{owner, admin} {
		w.get(who, "/v1/images/"+img.ID).want(200)
		assert.Equal(t, photo(), w.get(who, "/v1/images/"+img.ID+"/original").want(200).body)
		w.get(who, "/v1/images/"+img.ID+"/links").want(200)
	}
	w.get(nobody, link.URL).want(200)
	w.get(token(expired), "/v1/me").fail(401, domain.Unauthenticated)
}

func promiseA2(t *testing.T) {
	w := newWorld(t)
	owner, eve := w.user("owner", domain.EnterpriseTier), w.user("eve", domain.EnterpriseTier)
	img, own := w.upload(owner), w.upload(eve)
	path := "/v1/images/" + img.ID + "/links"
	w.send(eve, "POST", path, `{"expires_in":300}`).fail(404, domain.NotFound)
	w.send(eve, "POST", path+"?id="+own.ID+"&id="+img.ID, `{"expires_in":300}`).fail(404, domain.NotFound)
	for _, field := range []string{"id", "image_id", "image", "owner_id", "owner"} {
		w.send(eve, "POST", "/v1/images/"+own.ID+"/links", `{"expires_in":300,"`+field+`":"`+img.ID+`"}`).fail(400, domain.Invalid)
	}
	// A parameter beside the path is nothing.
	l := w.link(eve, own.ID+"/links?id="+img.ID+"&image_id="+img.ID+"#", `{"expires_in":300}`)
	assert.Equal(t, own.ID, l.ImageID)
	all, _, err := w.svc.AllLinks(ctx, w.root, app.Filter{}, ports.Page{Limit: 100})
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, own.ID, all[0].ImageID.String())
}

func promiseA3(t *testing.T) {
	w := newWorld(t)
	basicUser, rich := w.user("basic", domain.BasicTier), w.user("rich", domain.EnterpriseTier)
	img, theirs := w.upload(basicUser), w.upload(rich)
	sum := sha256.Sum256(photo())
	check := func(a answer) {
		t.Helper()
		assert.NotEqual(t, sum, sha256.Sum256(a.body))
		assert.False(t, len(a.body) > 100 && bytes.Contains(photo(), a.body), "a piece of the original")
	}
	good := img.Thumbnails["200"].URL
	query := good[strings.Index(good, "?"):]
	for _, id := range []string{img.ID, theirs.ID} {
		original := "/v1/images/" + id + "/original"
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
			a := w.do(basicUser, method, original, nil)
			assert.GreaterOrEqual(t, a.status, 400, method)
			check(a)
		}
		for _, headers := range [][]string{
			{"Range: bytes=0-"},
			{"Range: bytes=0-99,200-299"},
			{"If-None-Match: *"},
			{"X-HTTP-Method-Override: GET"},
			{"X-Original-URL: " + original},
			{"X-Forwarded-User: rich"},
			{"X-User: rich"},
			{"X-Forwarded-For: 127.0.0.1"},
			{"Accept: image/jpeg"},
			{"Cookie: imagify_session=x"},
		} {
			check(w.get(with(basicUser, headers...), original).want(map[bool]int{true: 403, false: 404}[id == img.ID]))
		}
		for _, q := range []string{query, query + "&tier=" + domain.EnterpriseTier, "?tier=" + domain.EnterpriseTier, "?user=rich", "?variant=original", "?height=200"} {
			a := w.get(basicUser, original+q)
			assert.GreaterOrEqual(t, a.status, 403)
			check(a)
			a = w.get(nobody, original+q)
			assert.GreaterOrEqual(t, a.status, 401)
			check(a)
		}
		for _, p := range []string{"/thumbnails/original", "/thumbnails/0", "/thumbnails/480", "/thumbnails/4320", "/thumbnails/200/../../original", "/thumbnails/200%2f..%2f..%2foriginal", "//original", "/original/", "/original.jpg", "/ORIGINAL"} {
			a := w.get(basicUser, "/v1/images/"+id+p)
			assert.GreaterOrEqual(t, a.status, 400, p)
			check(a)
		}
	}
	for _, body := range []string{`{"expires_in":300}`, `{"expires_in":300,"variant":"original"}`} {
		w.send(basicUser, "POST", "/v1/images/"+img.ID+"/links", body).fail(403, domain.Denied)
	}
	for _, op := range w.operations() {
		p := strings.NewReplacer("{id}", img.ID, "{height}", "200", "{token}", "x", "{name}", domain.BasicTier, "{username}", "basic").Replace(op[1])
		if op[0] == "GET" || op[0] == "HEAD" {
			check(w.do(basicUser, op[0], p, nil))
		}
	}
	a := w.get(basicUser, "/v1/images/"+img.ID).want(200)
	assert.NotContains(t, string(a.body), `"original"`)
}

func promiseA4(t *testing.T) {
	w := newWorld(t)
	who := w.user("premium", domain.PremiumTier)
	img := w.upload(who)
	before := w.keys()
	path := "/v1/images/" + img.ID + "/thumbnails/"
	for _, h := range []int{1, 199, 201, 399, 401, 600, 4320} {
		w.get(who, path+strconv.Itoa(h)).fail(403, domain.Denied)
		w.do(who, "HEAD", path+strconv.Itoa(h), nil).want(403)
	}
	for _, h := range []string{"0", "0200", "x", "-1", "+200", "4321", "200.0", "1e2", "٢٠٠", "200px", "%20200", "99999999999999999999"} {
		w.get(who, path+h).fail(400, domain.Invalid)
		w.get(nobody, path+h).fail(401, domain.Unauthenticated)
	}
	w.get(nobody, path+"200").fail(401, domain.Unauthenticated)
	query := img.Thumbnails["200"].URL[strings.Index(img.Thumbnails["200"].URL, "?"):]
	w.get(nobody, path+"400"+query).fail(403, domain.Denied)
	w.get(nobody, path+"600"+query).fail(403, domain.Denied)
	w.get(nobody, path+"0200"+query).fail(400, domain.Invalid)
	w.get(nobody, path+"200?signature=x").fail(403, domain.Denied)
	assert.Equal(t, before, w.keys(), "nothing was generated")
	w.get(who, path+"200"+strings.Replace(query, "signature=", "signature=x", 1)).want(200) // valid credentials win
	w.get(nobody, img.Thumbnails["400"].URL).want(200)
	w.get(token("imgf_wrong"), img.Thumbnails["400"].URL).want(200) // a good signature needs none
	w.get(token("imgf_wrong"), path+"200?signature=x").fail(403, domain.Denied)
	w.get(token("imgf_wrong"), path+"200").fail(401, domain.Unauthenticated)
	assert.Equal(t, before+2, w.keys())
}

func promiseA8(t *testing.T) {
	w := newWorld(t)
	who := w.user("anna", domain.BasicTier)
	img := w.upload(who)
	for _, op := range w.operations() {
		if !strings.HasPrefix(op[1], "/v1/admin/") {
			continue
		}
		path := strings.NewReplacer("{name}", domain.BasicTier, "{username}", "anna").Replace(op[1])
		for _, body := range []string{bodies[op[0]+" "+op[1]], `{`, ``} {
			a := w.send(who, op[0], path, body).want(403)
			if op[0] != "HEAD" {
				assert.Equal(t, "permission_denied", a.code())
			}
			w.send(nobody, op[0], path, body).want(401)
		}
	}
	// Unknown and read-only fields are refused, and change nothing.
	boss := w.admin("boss")
	for path, fields := range map[string][]string{
		"/v1/images/" + img.ID + "/links": {"url", "state", "views", "token", "created_at", "owner_id"},
		"/v1/tokens":                      {"user", "user_id", "username", "is_admin", "permissions", "token", "id"},
	} {
		for _, f := range fields {
			var p struct {
				Errors []struct{ Field, Code string }
			}
			w.send(who, "POST", path, `{"expires_in":300,"name":"x","`+f+`":"x"}`).fail(400, domain.Invalid).json(&p)
			assert.Contains(t, p.Errors, struct{ Field, Code string }{f, "unknown"})
		}
	}
	for path, fields := range map[string][]string{
		"/v1/admin/users/anna":           {"username", "id", "password_hash", "created_at", "epoch", "grants"},
		"/v1/admin/tiers/BasicTierUsers": {"name", "predefined", "created_at", "members"},
	} {
		for _, f := range fields {
			w.send(boss, "PATCH", path, `{"`+f+`":"x"}`).fail(400, domain.Invalid)
		}
	}
	// A token can do what its user can, now.
	var me struct {
		User struct {
			IsAdmin bool `json:"is_admin"`
		}
		Permissions []string
	}
	w.get(who, "/v1/me").want(200).json(&me)
	assert.False(t, me.User.IsAdmin)
	assert.Equal(t, []string{"thumbnail:200"}, me.Permissions)
	w.send(boss, "PATCH", "/v1/admin/users/boss", `{"is_admin":false}`).want(200)
	w.get(boss, "/v1/admin/users").fail(403, domain.Denied)
	w.send(boss, "PATCH", "/v1/admin/users/boss", `{"is_admin":true}`).fail(403, domain.Denied)
}

func promiseA10(t *testing.T) {
	w := newWorld(t)
	who, boss := w.user("anna", domain.EnterpriseTier), w.admin("boss")
	img := w.upload(who)
	link := w.link(who, img.ID, `{"expires_in":300}`)
	for _, path := range []string{
		"/v1/images", "/v1/images/" + img.ID, "/v1/images/" + img.ID + "/links", "/v1/images/" + img.ID + "/access", "/v1/me", "/v1/tokens",
	} {
		a := w.get(who, path).want(200)
		assert.Equal(t, "no-store", a.header.Get("Cache-Control"), path)
		assert.Equal(t, "Accept, Cookie, Authorization", a.header.Get("Vary"), path)
	}
	for _, path := range []string{"tiers", "users", "images", "links", "audit"} {
		assert.Equal(t, "no-store", w.get(boss, "/v1/admin/"+path).want(200).header.Get("Cache-Control"))
	}
	for _, path := range []string{"/v1/images/" + img.ID + "/original", "/v1/images/" + img.ID + "/thumbnails/200"} {
		a := w.get(who, path).want(200)
		assert.Equal(t, "private, no-cache", a.header.Get("Cache-Control"))
		assert.Contains(t, a.header.Get("Vary"), "Authorization")
	}
	assert.Equal(t, "no-store", w.get(nobody, link.URL).want(200).header.Get("Cache-Control"))
	assert.Equal(t, "no-store", w.get(nobody, img.Original+"x").want(403).header.Get("Cache-Control"))
	for _, u := range []string{img.Original, img.Thumbnails["200"].URL} {
		cc := w.get(nobody, u).want(200).header.Get("Cache-Control")
		age, ok := strings.CutPrefix(cc, "private, max-age=")
		require.True(t, ok, cc)
		n, err := strconv.Atoi(age)
		require.NoError(t, err)
		parsed, err := url.Parse(u)
		require.NoError(t, err)
		expires, err := strconv.ParseInt(parsed.Query().Get("expires"), 10, 64)
		require.NoError(t, err)
		assert.LessOrEqual(t, n, int(time.Until(time.Unix(expires, 0)).Seconds())+1)
	}
	cdn := newWorld(t, func(s *setup) { s.api.CDNMaxAge = time.Minute })
	who = cdn.user("anna", domain.EnterpriseTier)
	img = cdn.upload(who)
	assert.Equal(t, "public, max-age=60", cdn.get(nobody, img.Thumbnails["200"].URL).want(200).header.Get("Cache-Control"))
	assert.Contains(t, cdn.get(nobody, img.Original).want(200).header.Get("Cache-Control"), "private")
	assert.Contains(t, cdn.get(who, "/v1/images/"+img.ID+"/thumbnails/200").want(200).header.Get("Cache-Control"), "private")
}

func promiseL1(t *testing.T) {
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	path := "/v1/images/" + img.ID + "/links"
	for _, v := range []string{"29", "30001", "0", "-1", "30.5", "300.0", `"30"`, "1e3", "null", "9223372036854775808", "18446744073709551646", "true", "[]", "{}", "030", "+30", ""} {
		body := `{"expires_in":` + v + `}`
		w.send(who, "POST", path, body).fail(400, domain.Invalid)
	}
	w.send(who, "POST", path, `{}`).fail(400, domain.Invalid)
	w.send(who, "POST", path, `{"expires_in":300,"expires_in":300}`).fail(400, domain.Invalid)
	w.send(who, "POST", path+"?expires_in=300", ``).fail(400, domain.Invalid)
	for _, v := range []string{"0", "-1", "1.0", `"1"`, "null", "1e0", "true", "9223372036854775807"} {
		w.send(who, "POST", path, `{"expires_in":300,"max_views":`+v+`}`).fail(400, domain.Invalid)
	}
	for _, v := range []string{`"thumbnail:0"`, `"thumbnail:0200"`, `"Original"`, `""`, "null", "200"} {
		w.send(who, "POST", path, `{"expires_in":300,"variant":`+v+`}`).fail(400, domain.Invalid)
	}
	var links pageJSON[linkJSON]
	w.get(who, path).want(200).json(&links)
	assert.Empty(t, links.Items)
	for _, n := range []int64{30, 30000} {
		l := w.link(who, img.ID, fmt.Sprintf(`{"expires_in":%d}`, n))
		assert.Equal(t, n, l.ExpiresIn)
		assert.Equal(t, time.Duration(n)*time.Second, l.ExpiresAt.Sub(l.CreatedAt))
		assert.Nil(t, l.MaxViews)
		assert.Equal(t, "original", l.Variant)
	}
}

func promiseS1(t *testing.T) {
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(with(who, "X-Nothing: x"))
	link := w.link(who, img.ID, `{"expires_in":300}`)
	check := func(a answer, typ, corp string) {
		t.Helper()
		assert.Equal(t, typ, a.header.Get("Content-Type"))
		assert.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
		assert.Equal(t, "default-src 'none'; sandbox", a.header.Get("Content-Security-Policy"))
		assert.Equal(t, corp, a.header.Get("Cross-Origin-Resource-Policy"))
	}
	for _, u := range []string{img.Original, img.Thumbnails["200"].URL, link.URL} {
		a := w.get(nobody, u).want(200)
		check(a, "image/jpeg", "cross-origin")
		assert.True(t, strings.HasPrefix(a.header.Get("Content-Disposition"), "inline"))
	}
	for _, p := range []string{"/original", "/thumbnails/200"} {
		check(w.get(who, "/v1/images/"+img.ID+p).want(200), "image/jpeg", "same-origin")
	}
	for _, a := range []answer{
		w.get(nobody, img.Original+"x").want(403), w.get(nobody, "/l/nothing").want(404), w.get(nobody, "/nothing").want(404),
		w.do(nobody, "PUT", "/v1/images", nil).want(405), w.get(with(nobody, "Range: bytes=99999999-"), img.Original).want(416),
	} {
		check(a, "application/problem+json", a.header.Get("Cross-Origin-Resource-Policy"))
	}
	// The type is by content, whatever the name and the header claim.
	var odd imageJSON
	w.do(with(who, "Content-Type: image/svg+xml", `Content-Disposition: attachment; filename="x.html"`), "POST", "/v1/images", bytes.NewReader(photo())).want(201).json(&odd)
	assert.Equal(t, "image/jpeg", odd.ContentType)
	a := w.get(nobody, odd.Original).want(200)
	check(a, "image/jpeg", "cross-origin")
	assert.Equal(t, `inline; filename="x.html"`, a.header.Get("Content-Disposition"))
}

func promiseS7(t *testing.T) {
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	data := photo()
	whole := w.get(nobody, img.Original).want(200)
	require.Equal(t, sha256.Sum256(data), sha256.Sum256(whole.body))
	etag, modified := whole.header.Get("Etag"), whole.header.Get("Last-Modified")
	assert.Regexp(t, `^"[^"]+"$`, etag)
	assert.Equal(t, "bytes", whole.header.Get("Accept-Ranges"))
	head := w.do(nobody, "HEAD", img.Original, nil).want(200)
	assert.Empty(t, head.body)
	for _, k := range []string{"Content-Length", "Content-Type", "Etag", "Last-Modified", "Accept-Ranges"} {
		assert.Equal(t, whole.header.Get(k), head.header.Get(k), k)
	}
	for _, u := range []string{img.Original, img.Thumbnails["200"].URL} {
		full := w.get(nobody, u).want(200)
		tag := full.header.Get("Etag")
		for _, h := range []string{"If-None-Match: " + tag, "If-None-Match: *", "If-None-Match: \"x\", W/" + tag, "If-Modified-Since: " + modified} {
			for _, method := range []string{"GET", "HEAD"} {
				a := w.do(with(nobody, h), method, u, nil).want(304)
				assert.Empty(t, a.body)
				assert.Equal(t, tag, a.header.Get("Etag"))
			}
		}
		w.get(with(nobody, `If-None-Match: "x"`, "If-Modified-Since: "+modified), u).want(200)
		for r, want := range map[string][2]int{
			"bytes=0-0": {0, 1}, "bytes=0-99": {0, 100}, "bytes=100-": {100, len(full.body)}, "bytes=-50": {len(full.body) - 50, len(full.body)}, "bytes=1-99999999": {1, len(full.body)},
		} {
			a := w.get(with(nobody, "Range: "+r), u).want(206)
			assert.Equal(t, full.body[want[0]:want[1]], a.body, r)
			assert.Equal(t, fmt.Sprintf("bytes %d-%d/%d", want[0], want[1]-1, len(full.body)), a.header.Get("Content-Range"))
			assert.Equal(t, a.body, w.get(with(nobody, "Range: "+r, "If-Range: "+tag), u).want(206).body)
			assert.Equal(t, full.body, w.get(with(nobody, "Range: "+r, `If-Range: "x"`), u).want(200).body)
		}
		a := w.get(with(nobody, "Range: bytes=0-9,20-29"), u).want(206)
		assert.Contains(t, a.header.Get("Content-Type"), "multipart/byteranges")
		for _, r := range []string{"bytes=" + strconv.Itoa(len(full.body)) + "-", "bytes=9-1", "bytes=x"} {
			a := w.get(with(nobody, "Range: "+r), u).fail(416, domain.RangeNotSatisfiable)
			if !strings.Contains(r, "x") && r != "bytes=9-1" {
				assert.Equal(t, fmt.Sprintf("bytes */%d", len(full.body)), a.header.Get("Content-Range"))
			}
			assert.Empty(t, a.header.Get("Etag"))
		}
		w.get(with(nobody, `If-Match: "x"`), u).want(412)
		w.get(with(nobody, "If-Match: "+tag), u).want(200)
	}
	// A multipart upload keeps the bytes as well.
	typ, body := form(part{"note", "", "hello"}, part{"file", "ü.jpg", string(data)}, part{"after", "", "x"})
	var second imageJSON
	a := w.do(with(who, "Content-Type: "+typ), "POST", "/v1/images", bytes.NewReader(body)).want(201)
	a.json(&second)
	assert.Equal(t, w.url+"/v1/images/"+second.ID, a.header.Get("Location"))
	assert.Equal(t, "ü.jpg", second.Filename)
	assert.Equal(t, data, w.get(nobody, second.Original).want(200).body)
}

// meter counts what the server reads from its connections.
type meter struct {
	net.Listener
	read atomic.Int64
}

func (m *meter) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &meteredConn{c, m}, nil
}

type meteredConn struct {
	net.Conn
	m *meter
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.m.read.Add(int64(n))
	return n, err
}

// padded gives n bytes: a picture and what comes after its end.
func padded(n int) io.Reader {
	return io.MultiReader(bytes.NewReader(photo()), io.LimitReader(zeros{}, int64(n-len(photo()))))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func promiseS8(t *testing.T) {
	m := &meter{}
	w := newWorld(t, func(s *setup) { s.listener = func(l net.Listener) net.Listener { m.Listener = l; return m } })
	const limit = 2 << 20
	limits := map[string]*int64{"max_upload_bytes": ptr[int64](limit), "max_pixels": ptr[int64](640 * 480)}
	_, err := w.svc.CreateTier(ctx, w.root, "Small", app.TierChange{Limits: limits})
	require.NoError(t, err)
	who := w.user("anna", "Small")
	send := func(n int, known bool) answer {
		body := padded(n)
		if known {
			body = bytes.NewReader(must(io.ReadAll(body)))
		}
		return w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", body)
	}
	multi := func(n int) answer {
		pr, pw := io.Pipe()
		go func() {
			io.WriteString(pw, "--b\r\nContent-Disposition: form-data; name=file; filename=a.jpg\r\n\r\n")
			io.Copy(pw, padded(n))
			io.WriteString(pw, "\r\n--b--\r\n")
			pw.Close()
		}()
		defer pr.Close()
		return w.do(with(who, "Content-Type: multipart/form-data; boundary=b"), "POST", "/v1/images", pr)
	}
	send(limit, true).want(201)
	send(limit, false).want(201)
	multi(limit).want(201)
	keys := w.keys()
	for name, over := range map[string]func(n int) answer{
		"with a length": func(n int) answer { return send(n, true) },
		"chunked":       func(n int) answer { return send(n, false) },
		"multipart":     multi,
	} {
		for _, n := range []int{limit + 1, limit + 100, 16 * limit} {
			before := m.read.Load()
			a := over(n).fail(413, domain.TooLarge)
			var p struct{ Limit int64 }
			a.json(&p)
			assert.EqualValues(t, limit, p.Limit)
			assert.LessOrEqual(t, m.read.Load()-before, int64(limit+1<<20), "%s: %d", name, n)
		}
	}
	assert.Equal(t, keys, w.keys(), "nothing refused was kept")
	w.send(w.admin("boss"), "PATCH", "/v1/admin/tiers/Small", `{"limits":{"max_pixels":307199}}`).want(200)
	w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", bytes.NewReader(photo())).fail(413, domain.TooLarge)
	assert.Equal(t, keys, w.keys())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ptr[T any](v T) *T { return &v }

func promiseS9(t *testing.T) {
	w := newWorld(t, func(s *setup) { s.api.IdleTimeout = 300 * time.Millisecond })
	who := w.user("anna", domain.BasicTier)
	w.upload(who)
	keys := w.keys()
	file := string(photo())
	many := make([]part, 10000)
	for i := range many {
		many[i] = part{"x", "", ""}
	}
	someTyp, some := form(part{"file", "a.jpg", file})
	boundary := strings.TrimPrefix(someTyp, "multipart/form-data; boundary=")
	for name, c := range map[string]struct {
		typ  string
		body []byte
		code domain.Code
	}{
		"10,000 parts":            formCase(many...),
		"10,000 parts after":      formCase(append([]part{{"file", "a.jpg", file}}, many...)...),
		"a field of 2 MB":         formCase(part{"x", "", strings.Repeat("x", 2<<20)}, part{"file", "a.jpg", file}),
		"a field of 2 MB after":   formCase(part{"file", "a.jpg", file}, part{"x", "", strings.Repeat("x", 2<<20)}),
		"a header of 2 MB":        {"multipart/form-data; boundary=b", []byte("--b\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n"), domain.Invalid},
		"a name of 2 MB":          formCase(part{strings.Repeat("x", 2<<20), "", "x"}),
		"two files":               formCase(part{"file", "a.jpg", file}, part{"file", "b.jpg", file}),
		"a file and a text field": formCase(part{"file", "a.jpg", file}, part{"file", "", "x"}),
		"a text field":            formCase(part{"file", "", file}),
		"no file":                 formCase(part{"image", "a.jpg", file}),
		"no parts":                {"multipart/form-data; boundary=b", []byte("--b--\r\n"), domain.Invalid},
		"nothing":                 {"multipart/form-data; boundary=b", nil, domain.Invalid},
		"no boundary":             {"multipart/form-data", some, domain.Invalid},
		"an empty boundary":       {`multipart/form-data; boundary=""`, some, domain.Invalid},
		"a long boundary":         {"multipart/form-data; boundary=" + strings.Repeat("b", 71), some, domain.Invalid},
		"another boundary":        {"multipart/form-data; boundary=b", some, domain.Invalid},
		"cut short":               {someTyp, some[:len(some)/2], domain.Invalid},
		"no last boundary":        {someTyp, bytes.TrimSuffix(some, []byte("--"+boundary+"--\r\n")), domain.Invalid},
		"no content type":         {"", []byte(file), domain.Invalid},
		"another content type":    {"application/octet-stream", []byte(file), domain.Invalid},
		"a broken content type":   {"image/", []byte(file), domain.Invalid},
		"an urlencoded form":      {"application/x-www-form-urlencoded", []byte("file=x"), domain.Invalid},
		"an empty file":           formUnsupported(part{"file", "a.jpg", ""}),
		"text":                    formUnsupported(part{"file", "a.jpg", "hello, this is no picture"}),
		"an empty body":           {"image/jpeg", nil, domain.UnsupportedImage},
		"damage":                  {"image/jpeg", photo()[:len(photo())/2], domain.CorruptImage},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do(with(who, "Content-Type: "+c.typ), "POST", "/v1/images", bytes.NewReader(c.body))
			assert.Equal(t, string(c.code), a.code(), "%s", a.body)
			assert.Less(t, a.status, 500)
		})
	}
	w.do(with(who, "Content-Type: image/jpeg", "Content-Encoding: gzip"), "POST", "/v1/images", bytes.NewReader(photo())).fail(400, domain.Invalid)
	w.do(with(who, "Content-Type: image/jpeg", "Idempotency-Key: a", "Idempotency-Key: b"), "POST", "/v1/images", bytes.NewReader(photo())).fail(400, domain.Invalid)

	// Slow clients are timed out; others do not notice.
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			pr, pw := io.Pipe()
			defer pr.Close()
			go func() {
				if i%2 == 0 {
					io.WriteString(pw, "--b\r\nContent-Disposition: form-data; name=file; filename=a.jpg\r\n\r\n")
				}
				pw.Write(photo()[:1000])
			}()
			typ := "multipart/form-data; boundary=b"
			if i%2 == 1 {
				typ = "image/jpeg"
			}
			w.do(with(who, "Content-Type: "+typ), "POST", "/v1/images", pr).fail(408, domain.Timeout)
		})
	}
	w.get(who, "/v1/images").want(200)
	wg.Wait()
	assert.Equal(t, keys, w.keys(), "nothing refused was kept")
	all, _, err := w.svc.AllImages(ctx, w.root, app.Filter{}, ports.Page{Limit: 100})
	require.NoError(t, err)
	assert.Len(t, all, 1)
	w.upload(who)
}

func formCase(parts ...part) struct {
	typ  string
	body []byte
	code domain.Code
} {
	typ, body := form(parts...)
	return struct {
		typ  string
		body []byte
		code domain.Code
	}{typ, body, domain.Invalid}
}

func formUnsupported(parts ...part) struct {
	typ  string
	body []byte
	code domain.Code
} {
	c := formCase(parts...)
	c.code = domain.UnsupportedImage
	return c
}

// signIn signs in with the form and returns the session cookie.
func (w *world) signIn(who caller, name, pass, next string) (answer, *http.Cookie) {
	w.t.Helper()
	a := w.form(who, "/api-auth/login", url.Values{"username": {name}, "password": {pass}, "next": {next}})
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		return a, c
	}
	return a, nil
}

func promiseT1(t *testing.T) {
	w := newWorld(t)
	w.user("anna", domain.BasicTier)
	a, first := w.signIn(nobody, "anna", password, "/v1/images")
	a.want(303)
	assert.Equal(t, "/v1/images", a.header.Get("Location"))
	require.NotNil(t, first)
	fixed := strings.Repeat("A", len(first.Value))
	a, second := w.signIn(cookie(first.Name, fixed), "anna", password, "/")
	a.want(303)
	assert.NotEqual(t, fixed, second.Value, "a session set by the client is never adopted")
	w.get(cookie(first.Name, fixed), "/v1/me").want(401)
	_, third := w.signIn(cookie(first.Name, first.Value), "anna", password, "/")
	assert.NotEqual(t, first.Value, third.Value)
	w.get(cookie(first.Name, first.Value), "/v1/me").want(401) // replaced
	w.get(cookie(first.Name, second.Value), "/v1/me").want(200)
	w.get(cookie(first.Name, third.Value), "/v1/me").want(200)
}

func promiseT2(t *testing.T) {
	w := newWorld(t)
	boss := w.admin("boss")
	sessions := func(name string) (one, two caller) {
		_, a := w.signIn(nobody, name, password, "/")
		_, b := w.signIn(nobody, name, password, "/")
		require.NotNil(t, a)
		require.NotNil(t, b)
		one, two = cookie(a.Name, a.Value), cookie(b.Name, b.Value)
		w.get(one, "/v1/me").want(200)
		w.get(two, "/v1/me").want(200)
		return one, two
	}
	w.user("out", domain.BasicTier)
	one, two := sessions("out")
	a := w.do(one, "POST", "/api-auth/logout", nil).want(204)
	assert.Contains(t, a.header.Get("Set-Cookie"), "Max-Age=0")
	w.get(one, "/v1/me").want(401)
	w.get(two, "/v1/me").want(200)
	w.do(one, "POST", "/api-auth/logout", nil).want(204)
	w.do(with(two, "Accept: text/html"), "POST", "/api-auth/logout", nil).want(303)
	w.get(two, "/v1/me").want(401)
	for name, change := range map[string]string{"passwd": `{"password":"another password"}`, "inactive": `{"is_active":false}`} {
		tok := w.user(name, domain.BasicTier)
		one, two := sessions(name)
		w.get(basic(name, password), "/v1/me").want(200)
		w.send(boss, "PATCH", "/v1/admin/users/"+name, change).want(200)
		w.get(one, "/v1/me").want(401)
		w.get(two, "/v1/me").want(401)
		w.get(basic(name, password), "/v1/me").want(401)
		if name == "inactive" {
			w.get(tok, "/v1/me").want(401)
		}
	}
	// Tokens are revocable one by one.
	who := w.user("tokens", domain.BasicTier)
	type tokenJSON struct{ ID, Token, Name string }
	var t1, t2 tokenJSON
	w.send(who, "POST", "/v1/tokens", `{"name":"one","expires_in":60}`).want(201).json(&t1)
	w.send(who, "POST", "/v1/tokens", `{"name":"two"}`).want(201).json(&t2)
	w.get(token(t1.Token), "/v1/me").want(200)
	w.do(who, "DELETE", "/v1/tokens/"+t1.ID, nil).want(204)
	w.get(token(t1.Token), "/v1/me").want(401)
	w.get(token(t2.Token), "/v1/me").want(200)
	w.do(who, "DELETE", "/v1/tokens/"+t1.ID, nil).want(404)
	list := w.get(who, "/v1/tokens").want(200)
	assert.NotContains(t, string(list.body), t2.Token)
	assert.Contains(t, string(list.body), `"two"`)
}

func promiseT3(t *testing.T) {
	w := newWorld(t)
	w.user("anna", domain.BasicTier)
	w.user("gone", domain.BasicTier)
	no := false
	_, err := w.svc.UpdateUser(ctx, w.root, "gone", app.UserChange{IsActive: &no})
	require.NoError(t, err)
	ask := func(name, pass string) []answer {
		a, c := w.signIn(nobody, name, pass, "/")
		require.Nil(t, c)
		// The page holds the name that was typed: the same letters for all.
		b, _ := w.signIn(with(nobody, "Accept: text/html"), name, pass, "/")
		b.body = bytes.ReplaceAll(b.body, []byte(name), nil)
		b.header.Del("Content-Length")
		return []answer{a.fail(401, domain.Unauthenticated), b.want(401), w.get(basic(name, pass), "/v1/me").fail(401, domain.Unauthenticated)}
	}
	known := ask("anna", "wrong password")
	for name, other := range map[string][]answer{
		"unknown": ask("nobody", "wrong password"), "deactivated": ask("gone", password), "long": ask("anna", strings.Repeat("x", 2000)),
	} {
		for i := range known {
			assert.Equal(t, plain(known[i]), plain(other[i]), "%s %d", name, i)
		}
	}
}

func promiseT4(t *testing.T) {
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		fooled  bool
	}{
		"nobody is trusted":    {nil, false},
		"the proxy is trusted": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.api.TrustedProxies = c.trusted })
			w.user("anna", domain.BasicTier)
			from := func(i int) caller { return with(nobody, fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i)) }
			throttled := false
			for i := range 15 {
				a, _ := w.signIn(from(i), "anna", "wrong password", "/")
				if a.status == 429 {
					throttled = true
					assert.NotEmpty(t, a.header.Get("Retry-After"))
					assert.Equal(t, "0", a.header.Get("Ratelimit-Remaining"))
					b, _ := w.signIn(with(from(i), "Accept: text/html"), "anna", "wrong password", "/")
					b.want(429)
					assert.NotEmpty(t, b.header.Get("Retry-After"))
					break
				}
				a.want(401)
			}
			assert.Equal(t, !c.fooled, throttled)
			if c.fooled {
				for range 15 {
					w.signIn(from(200), "anna", "wrong password", "/")
				}
				a, _ := w.signIn(from(200), "anna", password, "/")
				a.want(429)
				a, _ = w.signIn(from(201), "anna", password, "/") // the owner, elsewhere
				a.want(303)
			}
		})
	}
}

func promiseT6(t *testing.T) {
	w := newWorld(t)
	bearer := w.user("anna", domain.EnterpriseTier)
	_, c := w.signIn(nobody, "anna", password, "/")
	sess := cookie(c.Name, c.Value)
	img := w.upload(bearer)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site", "Origin: " + w.url},
	} {
		for _, op := range w.operations() {
			if op[0] == "GET" || op[0] == "HEAD" {
				continue
			}
			p := strings.NewReplacer("{id}", img.ID, "{name}", domain.BasicTier, "{username}", "anna").Replace(op[1])
			w.send(with(sess, headers...), op[0], p, bodies[op[0]+" "+op[1]]).fail(403, domain.CrossOrigin)
			w.send(with(basic("anna", password), headers...), op[0], p, bodies[op[0]+" "+op[1]]).fail(403, domain.CrossOrigin)
		}
		a, got := w.signIn(with(nobody, headers...), "anna", password, "/")
		a.fail(403, domain.CrossOrigin)
		assert.Nil(t, got)
		w.link(with(bearer, headers...), img.ID, `{"expires_in":300}`) // a Bearer token is sent on purpose
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site: same-origin"}, {"Sec-Fetch-Site: none"}, {"Origin: " + w.url}, nil} {
		w.link(with(sess, headers...), img.ID, `{"expires_in":300}`)
	}
	// A GET changes nothing.
	before := w.get(bearer, "/v1/images/"+img.ID+"/links").want(200).body
	for _, op := range w.operations() {
		if op[0] == "GET" {
			w.get(sess, strings.NewReplacer("{id}", img.ID, "{height}", "200", "{token}", "x", "{name}", "x", "{username}", "x").Replace(op[1]))
		}
	}
	w.get(sess, "/api-auth/logout").want(200) // a page with a form
	assert.Equal(t, string(before), string(w.get(sess, "/v1/images/"+img.ID+"/links").want(200).body))
}

func promiseT7(t *testing.T) {
	w := newWorld(t)
	w.user("anna", domain.EnterpriseTier)
	a, c := w.signIn(nobody, "anna", password, "/")
	assert.Equal(t, "imagify_session", c.Name)
	assert.False(t, c.Secure)
	assert.True(t, c.HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, c.SameSite)
	assert.Empty(t, a.header.Get("Strict-Transport-Security"))
	page := w.get(nobody, "/api-auth/login?next=/x%22").want(200)
	assert.Contains(t, page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	assert.NotContains(t, page.header.Get("Content-Security-Policy"), "unsafe")
	assert.Contains(t, string(page.body), `name="username"`)
	assert.Contains(t, string(page.body), `name="password"`)
	assert.NotContains(t, string(page.body), `/x""`)
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "javascript:alert(1)", "/\t/evil.example"} {
		a, _ := w.signIn(nobody, "anna", password, next)
		assert.Equal(t, "/", a.want(303).header.Get("Location"))
		a = w.get(nobody, "/api-auth/login?next="+url.QueryEscape(next)).want(200)
		assert.Contains(t, string(a.body), `name="next" value="/"`)
	}
	// Without a public URL the request's own host counts.
	img := w.upload(with(token(w.token("anna")), "Host: other.example"))
	assert.True(t, strings.HasPrefix(img.Original, "http://other.example/"), img.Original)
	a = w.do(with(token(w.token("anna")), `Host: a"b`), "GET", "/v1/images", nil)
	assert.Equal(t, 400, a.status)

	for name, change := range map[string]struct {
		setup   func(*setup)
		headers []string
	}{
		"a public URL":    {func(s *setup) { s.api.PublicURL = "https://img.example/" }, nil},
		"a trusted proxy": {func(s *setup) { s.api.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: img.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change.setup)
			w.user("anna", domain.EnterpriseTier)
			a, c := w.signIn(with(nobody, change.headers...), "anna", password, "/")
			a.want(303)
			assert.Equal(t, "__Host-imagify_session", c.Name)
			assert.True(t, c.Secure)
			assert.True(t, c.HttpOnly)
			assert.Equal(t, "/", c.Path)
			assert.Empty(t, c.Domain)
			assert.Equal(t, http.SameSiteLaxMode, c.SameSite)
			assert.NotEmpty(t, a.header.Get("Strict-Transport-Security"))
			sess := with(cookie(c.Name, c.Value), change.headers...)
			w.get(sess, "/v1/me").want(200)
			w.get(with(cookie("imagify_session", c.Value), change.headers...), "/v1/me").want(401)
			img := w.upload(with(sess, "Origin: https://img.example"))
			assert.True(t, strings.HasPrefix(img.Original, "https://img.example/v1/images/"), img.Original)
			if name == "a public URL" {
				img := w.upload(with(sess, "Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http"))
				assert.True(t, strings.HasPrefix(img.Original, "https://img.example/v1/images/"), img.Original)
				l := w.link(with(sess, "Host: evil.example"), img.ID, `{"expires_in":300}`)
				assert.True(t, strings.HasPrefix(l.URL, "https://img.example/l/"), l.URL)
			}
		})
	}
}

// brokenBlobs is a store that fails in words nobody outside should read.
type brokenBlobs struct {
	ports.Blobs
	on atomic.Bool
}

var errSecret = errors.New("dial tcp 10.1.2.3:9000: bucket secret-bucket: /var/lib/imagify: SELECT * FROM users")

func (b *brokenBlobs) Open(ctx context.Context, key string) (ports.Blob, error) {
	if b.on.Load() {
		return ports.Blob{}, errSecret
	}
	return b.Blobs.Open(ctx, key)
}

func (b *brokenBlobs) Put(ctx context.Context, key string, r io.Reader, o ports.PutOptions) error {
	if b.on.Load() {
		return errSecret
	}
	return b.Blobs.Put(ctx, key, r, o)
}

func (b *brokenBlobs) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	if b.on.Load() {
		return nil, errSecret
	}
	return b.Blobs.List(ctx, prefix, after, limit)
}

func promiseR11(t *testing.T) {
	broken := &brokenBlobs{}
	w := newWorld(t, func(s *setup) { broken.Blobs, s.app.Blobs = s.app.Blobs, broken })
	who := w.user("anna", domain.EnterpriseTier)
	img := w.upload(who)
	link := w.link(who, img.ID, `{"expires_in":300}`)
	broken.on.Store(true)
	for name, a := range map[string]answer{
		"original": w.get(nobody, img.Original), "thumbnail": w.get(nobody, img.Thumbnails["200"].URL), "link": w.get(nobody, link.URL),
		"upload": w.do(with(who, "Content-Type: image/jpeg"), "POST", "/v1/images", bytes.NewReader(photo())), "ready": w.get(nobody, "/readyz"),
		"bad JSON": w.send(who, "POST", "/v1/tokens", `{"name":`), "not found": w.get(who, "/v1/images/x"), "method": w.do(who, "PUT", "/v1/me", nil),
	} {
		t.Run(name, func(t *testing.T) {
			require.GreaterOrEqual(t, a.status, 400)
			var p struct {
				RequestID string `json:"request_id"`
				Detail    string
			}
			a.json(&p)
			assert.Equal(t, a.header.Get("X-Request-Id"), p.RequestID)
			assert.NotEmpty(t, p.Detail)
			assert.Contains(t, w.logs.String(), p.RequestID)
			for _, s := range []string{"10.1.2.3", "bucket", "/var", "SELECT", "goroutine", ".go", "dial"} {
				assert.NotContains(t, string(a.body), s)
			}
		})
	}
	assert.Equal(t, 503, w.get(nobody, "/readyz").status)
	assert.Contains(t, string(w.get(nobody, "/readyz").body), "storage")
	w.get(nobody, "/healthz").want(200)
	assert.Contains(t, w.logs.String(), "secret-bucket", "the cause is in the log")
	assert.NotContains(t, w.logs.String(), hex.EncodeToString(photo()[:8]))
	for _, secret := range []string{link.URL[strings.LastIndex(link.URL, "/")+1:], password, "signature="} {
		assert.NotContains(t, w.logs.String(), secret)
	}
}

// Long passwords count in full, and what is longer than any is refused before it is hashed.
func promiseT8(t *testing.T) {
	w := newWorld(t, func(s *setup) { s.app.Argon2 = app.Argon2{} }) // at the real cost
	for name, pass := range map[string]string{"long": strings.Repeat("x", 127) + "y", "unicode": strings.Repeat("☃", 127) + "é"} {
		_, err := w.svc.CreateUser(ctx, w.root, name, app.UserChange{Password: &pass, Tiers: &[]string{domain.BasicTier}})
		require.NoError(t, err)
		require.Equal(t, 128, utf8.RuneCountInString(pass))
		a, c := w.signIn(nobody, name, pass, "/")
		a.want(303)
		require.NotNil(t, c)
		_, last := utf8.DecodeLastRuneInString(pass)
		for _, other := range []string{pass[:len(pass)-last], pass + "x", pass[:72]} {
			a, _ := w.signIn(nobody, name, other, "/")
			a.want(401)
		}
	}
	began := time.Now()
	w.form(nobody, "/api-auth/login", url.Values{"username": {"long"}, "password": {strings.Repeat("x", 1<<20)}}).fail(413, domain.TooLarge)
	w.get(basic("long", strings.Repeat("x", 8<<10)), "/v1/me").fail(401, domain.Unauthenticated)
	t.Logf("two over-long passwords refused in %v", time.Since(began))

	// Sign-ins wait for each other, so that they leave the processors to the images.
	who := w.user("anna", domain.BasicTier)
	thumb := w.upload(who).Thumbnails["200"].URL
	gets := func() time.Duration {
		began := time.Now()
		for range 100 {
			w.get(nobody, thumb).want(200)
		}
		return time.Since(began)
	}
	gets()
	alone := gets()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			a, _ := w.signIn(nobody, fmt.Sprint("nobody", i), "wrong password", "/")
			assert.Contains(t, []int{401, 429}, a.status)
		})
	}
	beside := gets()
	wg.Wait()
	t.Logf("100 thumbnails: %v alone, %v beside 20 sign-ins", alone, beside)
}

// File names are inert: shown, never used, and never able to end a header or a log line.
func promiseS6(t *testing.T) {
	names := []string{
		"../../etc/passwd.jpg", `..\..\boot.jpg`, "x.jpg\x00.php", "x\r\nSet-Cookie: a=b.jpg", `"><svg onload=alert(1)>.png`, "x\nContent-Type: text/html.jpg",
		"\u202egpj.exe", ".htaccess", "CON.jpg", "' OR 1=1 --.jpg", strings.Repeat("ü", 300) + ".jpg", " ", ".", "\xff\xfe.jpg", "图片.jpg",
	}
	corpus := os.Getenv("IMAGIFY_CORPUS")
	if corpus == "" {
		corpus = "../../../shared/corpus"
	}
	if raw, err := os.ReadFile(filepath.Join(corpus, "hostile", "filenames.json")); err == nil {
		var more []string
		require.NoError(t, json.Unmarshal(raw, &more))
		names = append(names, more...)
	} else {
		t.Logf("the corpus of hostile names is not here (set IMAGIFY_CORPUS to its folder): %v", err)
	}
	w := newWorld(t)
	who := w.user("anna", domain.EnterpriseTier)
	var small bytes.Buffer
	require.NoError(t, jpeg.Encode(&small, image.NewGray(image.Rect(0, 0, 8, 8)), nil))
	lines := func() int { return strings.Count(w.logs.String(), `"msg":"request"`) }
	for i, name := range names {
		// As browsers write it: a quote and line ends are escaped, the rest is as it is.
		escaped := strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(name)
		possible := name != "" && !strings.Contains(name, "\x00")
		for what, header := range map[string]string{
			"as browsers do": `form-data; name="file"; filename="` + escaped + `"`,
			"raw":            `form-data; name="file"; filename="` + name + `"`,
			"RFC 5987":       `form-data; name="file"; filename*=UTF-8''` + url.PathEscape(name),
		} {
			body := "--b\r\nContent-Disposition: " + header + "\r\n\r\n" + small.String() + "\r\n--b--\r\n"
			before := lines()
			a := w.do(with(who, "Content-Type: multipart/form-data; boundary=b"), "POST", "/v1/images", strings.NewReader(body))
			if a.status != 201 { // what is not even a header is malformed
				a.fail(400, domain.Invalid)
				assert.False(t, possible && what == "as browsers do", "%q", name)
				continue
			}
			var img imageJSON
			a.json(&img)
			assert.True(t, utf8.ValidString(img.Filename))
			assert.NotEmpty(t, img.Filename)
			assert.LessOrEqual(t, len(img.Filename), domain.MaxFilename)
			assert.NotRegexp(t, `[\x00-\x1f\x7f/\\\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`, img.Filename)
			for _, u := range []string{img.Original, img.Thumbnails["200"].URL} {
				a := w.get(nobody, u).want(200)
				assert.Empty(t, a.header["Set-Cookie"])
				assert.Equal(t, "image/jpeg", a.header.Get("Content-Type"))
				typ, params, err := mime.ParseMediaType(a.header.Get("Content-Disposition"))
				require.NoError(t, err, "%q", a.header.Get("Content-Disposition"))
				assert.Equal(t, "inline", typ)
				if u == img.Original {
					assert.Equal(t, img.Filename, params["filename"])
				}
			}
			assert.Equal(t, before+3, lines(), "%d %q: one line a request", i, name)
		}
	}
	for line := range strings.Lines(w.logs.String()) {
		assert.True(t, json.Valid([]byte(line)), "%q", line)
	}
	infos, err := w.blobs.List(ctx, "images/", "", 100_000)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(infos), 2*len(names))
	for _, info := range infos {
		assert.Regexp(t, `^images/[0-9a-f-]{36}/[0-9a-f-]{36}/(original|thumbnails/[a-z0-9]+-200\.jpg)$`, info.Key)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/domain"
)

// leaseTime is how long another node may go on with what it knew (A6).
const leaseTime = 2 * time.Second

// Somebody else's id and one that never existed get the same answer, on every node.
func (c *cluster) promiseA1(t *testing.T) {
	_, owner := c.user(t, enterprise)
	img, _ := c.nodes[0].picture(t, owner)
	_, link := c.nodes[0].link(t, owner, img.ID, map[string]any{"expires_in": 300})
	none := newUUID()
	compared := 0
	for _, tier := range []string{basic, enterprise} {
		_, stranger := c.user(t, tier)
		for _, n := range c.nodes {
			for _, r := range []struct {
				method, path string
				id           string
				body         any
			}{
				{"GET", "/v1/images/{id}", img.ID, nil},
				{"HEAD", "/v1/images/{id}/original", img.ID, nil},
				{"GET", "/v1/images/{id}/original", img.ID, nil},
				{"GET", "/v1/images/{id}/original?" + strings.SplitN(img.Original, "?", 2)[1] + "0", img.ID, nil},
				{"GET", "/v1/images/{id}/thumbnails/200", img.ID, nil},
				{"GET", "/v1/images/{id}/thumbnails/400", img.ID, nil},
				{"GET", "/v1/images/{id}/access", img.ID, nil},
				{"GET", "/v1/images/{id}/links", img.ID, nil},
				{"POST", "/v1/images/{id}/links", img.ID, map[string]any{"expires_in": 300}},
				{"DELETE", "/v1/images/{id}", img.ID, nil},
				{"DELETE", "/v1/links/{id}", link, nil},
				{"GET", "/l/{id}", link, nil},
			} {
				theirs := anonymous(t, n.send(t, r.method, strings.ReplaceAll(r.path, "{id}", r.id), stranger, r.body), r.id)
				random := anonymous(t, n.send(t, r.method, strings.ReplaceAll(r.path, "{id}", none), stranger, r.body), none)
				assert.Equal(t, random, theirs, "%s %s", r.method, r.path)
				assert.NotContains(t, theirs, "200 ")
				compared++
			}
		}
	}
	t.Logf("%d pairs of answers are the same", compared)
	assert.Equal(t, 200, c.nodes[1].get(t, "/v1/images/"+img.ID, owner).status, "the owner still has it")
}

// anonymous is an answer without what is different in every answer.
func anonymous(t *testing.T, a answer, id string) string {
	t.Helper()
	require.NoError(t, a.err)
	h := a.header.Clone()
	text := string(a.body)
	for _, name := range []string{"Date", "X-Request-Id"} {
		if v := h.Get(name); v != "" {
			text = strings.ReplaceAll(text, v, name)
		}
		h.Del(name)
	}
	return strings.ReplaceAll(fmt.Sprintf("%d %v\n%s", a.status, h, text), id, "ID")
}

func newUUID() string { return domain.FirstIDAt(time.Now()).String() }

// A height that is not permitted is refused, and nothing is made of it.
func (c *cluster) promiseA4(t *testing.T) {
	_, token := c.user(t, basic)
	img, _ := c.nodes[0].picture(t, token)
	require.Equal(t, 200, c.nodes[0].get(t, img.Thumbnails["200"].URL, "").status)
	before := c.keys(t, img.ID)
	require.Equal(t, 2, before)
	for _, n := range c.nodes {
		for _, height := range []string{"1", "33", "199", "201", "400", "1080", "4320"} {
			assert.Equal(t, 403, n.get(t, "/v1/images/"+img.ID+"/thumbnails/"+height, token).status, height)
			forged := strings.Replace(img.Thumbnails["200"].URL, "/200?", "/"+height+"?", 1)
			assert.Equal(t, 403, n.get(t, forged, "").status, height)
		}
		for _, height := range []string{"0", "0200", "x", "-200", "4321", "200.0"} {
			assert.Equal(t, 400, n.get(t, "/v1/images/"+img.ID+"/thumbnails/"+height, token).status, height)
		}
	}
	assert.Equal(t, before, c.keys(t, img.ID))
}

// The bucket itself gives nothing to who has no key, and no node ever sent an ACL.
func (c *cluster) promiseA5(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, _ := c.nodes[0].picture(t, token)
	require.Equal(t, 200, c.nodes[1].get(t, img.Thumbnails["400"].URL, "").status)
	var paths []string
	c.nodes[0].tap.mu.Lock()
	for line := range c.nodes[0].tap.seen {
		if method, path, _ := strings.Cut(line, " "); method == http.MethodPut || method == http.MethodGet {
			paths = append(paths, path)
		}
	}
	c.nodes[0].tap.mu.Unlock()
	require.NotEmpty(t, paths)
	paths = append(paths, "/", "/"+bucket, "/"+bucket+"/?list-type=2", "/"+bucket+"/?uploads", "/"+bucket+"/?versions")
	var refused atomic.Int64
	inTurns(len(paths), 8, func(i int) {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			status, _, _, err := call(t.Context(), method, c.s3.URL+paths[i], "", nil, "")
			if assert.NoError(t, err) && assert.Equal(t, 4, status/100, "%s %s", method, paths[i]) {
				refused.Add(1)
			}
		}
	})
	for _, n := range c.nodes {
		n.tap.mu.Lock()
		assert.Zero(t, n.tap.acls)
		assert.NotEmpty(t, n.tap.seen)
		n.tap.mu.Unlock()
	}
	require.NoError(t, c.backends.Blobs.(*s3blob.Store).Doctor(t.Context()))
	t.Logf("%d anonymous requests refused", refused.Load())
}

// After the 200 of a permission's change no byte leaves that node, and none leaves
// another node two seconds later. Every second round without Redis, whose notices
// make it quicker, but may be lost.
func (c *cluster) promiseA6(t *testing.T) {
	const group = "Changing"
	_, err := c.desk.CreateTier(t.Context(), operator, group, tierOf("thumbnail:400", "can_access_original_image", "can_generate_expiring_link"))
	require.NoError(t, err)
	var longest atomic.Int64
	var gets atomic.Int64
	for round := range scaled(2, 20) {
		here := c.nodes[round%2]
		there := c.other(here)
		_, token := c.user(t, group)
		img, _ := here.picture(t, token)
		link, _ := here.link(t, token, img.ID, map[string]any{"expires_in": 300})
		urls := []string{img.Original, img.Thumbnails["400"].URL, link}
		for _, n := range c.nodes {
			for _, u := range urls {
				require.Equal(t, 200, n.get(t, u, "").status)
			}
		}
		quiet := round%2 == 1
		if quiet {
			there.redis.Cut(t)
		}
		a := here.send(t, http.MethodPatch, "/v1/admin/tiers/"+group, c.admin, map[string]any{"permissions": []string{}})
		require.Equal(t, 200, a.status, a)
		changed := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			atOnce(100, func(i int) {
				gets.Add(1)
				a := here.get(t, urls[i%len(urls)], "")
				assert.NoError(t, a.err)
				assert.False(t, a.served(), "%s on the node of the change: %s", urls[i%len(urls)], a)
			})
		})
		for range 4 {
			wg.Go(func() {
				for i := 0; time.Since(changed) < leaseTime+500*time.Millisecond; i++ {
					gets.Add(1)
					a := there.get(t, urls[i%len(urls)], "")
					assert.NoError(t, a.err)
					if after := a.began.Sub(changed); a.served() {
						for old := longest.Load(); int64(after) > old && !longest.CompareAndSwap(old, int64(after)); old = longest.Load() {
						}
						assert.Less(t, after, leaseTime, "bytes on the other node")
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if quiet {
			there.heal(t)
		}
		a = here.send(t, http.MethodPatch, "/v1/admin/tiers/"+group, c.admin,
			map[string]any{"permissions": []string{"thumbnail:400", "can_access_original_image", "can_generate_expiring_link"}})
		require.Equal(t, 200, a.status, a)
	}
	t.Logf("%d GETs after a change; the last byte left the other node %v after it", gets.Load(), time.Duration(longest.Load()).Round(time.Millisecond))
}

// prey is a user with an image, whose URLs are about to die.
type prey struct {
	name, token string
	img         imageView
	paths       []string
}

// newPrey makes a user with an image, and has both nodes serve every URL of it.
func (c *cluster) newPrey(t *testing.T) prey {
	t.Helper()
	p := prey{}
	p.name, p.token = c.user(t, enterprise)
	n := c.nodes[rand.IntN(2)]
	p.img, _ = n.picture(t, p.token)
	link, _ := n.link(t, p.token, p.img.ID, map[string]any{"expires_in": 300})
	p.paths = []string{p.img.Original, p.img.Thumbnails["200"].URL, p.img.Thumbnails["400"].URL, link}
	for _, n := range c.nodes {
		for _, path := range p.paths {
			a := n.get(t, path, "")
			assert.Equal(t, 200, a.status, a)
		}
	}
	return p
}

// Whatever takes a right away kills the links and the signed URLs that stood on it.
func (c *cluster) promiseA7(t *testing.T) {
	causes := []struct {
		name  string
		apply func(n *node, p prey) answer
	}{
		{"downgrade", func(n *node, p prey) answer {
			return n.send(t, http.MethodPatch, "/v1/admin/users/"+p.name, c.admin, map[string]any{"tiers": []string{}})
		}},
		{"deactivation", func(n *node, p prey) answer {
			return n.send(t, http.MethodPatch, "/v1/admin/users/"+p.name, c.admin, map[string]any{"is_active": false})
		}},
		{"image deleted", func(n *node, p prey) answer {
			return n.do(t, http.MethodDelete, "/v1/images/"+p.img.ID, p.token, nil, nil)
		}},
		{"user deleted", func(n *node, p prey) answer {
			return n.do(t, http.MethodDelete, "/v1/admin/users/"+p.name, c.admin, nil, nil)
		}},
	}
	repeats := scaled(2, 100)
	var late, gets [4]atomic.Int64
	inTurns(repeats*len(causes), 8, func(i int) {
		cause := causes[i%len(causes)]
		p := c.newPrey(t)
		here := c.nodes[i/len(causes)%2]
		there := c.other(here)
		a := cause.apply(here, p)
		if !assert.Equal(t, 2, a.status/100, a) {
			return
		}
		dead := time.Now()
		ask := func(n *node) {
			for _, path := range p.paths {
				a := n.get(t, path, "")
				gets[i%4].Add(1)
				if !a.served() {
					continue
				}
				if after := a.began.Sub(dead); n == there && after < leaseTime {
					late[i%4].Store(max(late[i%4].Load(), int64(after)))
				} else {
					assert.Fail(t, "bytes were served", "%s: %s, %v later: %s", cause.name, path, after, a)
				}
			}
		}
		ask(here)
		for time.Since(dead) < leaseTime {
			ask(there)
			time.Sleep(100 * time.Millisecond)
		}
		ask(there)
		ask(here)
	})
	for i, cause := range causes {
		t.Logf("%-13s %d repeats, %d GETs, 0 bytes where it happened; last byte from the other node after %v",
			cause.name, repeats, gets[i].Load(), time.Duration(late[i].Load()).Round(time.Millisecond))
	}
}

// No shared cache may give one user's answer to another.
func (c *cluster) promiseA10(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, _ := c.nodes[0].picture(t, token)
	link, _ := c.nodes[0].link(t, token, img.ID, map[string]any{"expires_in": 30})
	cdn := c.newNode(t, "node with a CDN", "IMAGIFY_CDN_MAX_AGE=60")
	defer cdn.kill()
	for _, n := range []*node{c.nodes[0], c.nodes[1], cdn} {
		for _, path := range []string{"/v1/images", "/v1/images/" + img.ID, "/v1/me", "/v1/images/" + img.ID + "/links", "/v1/images/" + img.ID + "/access"} {
			a := n.get(t, path, token)
			assert.Equal(t, "no-store", a.header.Get("Cache-Control"), path)
			assert.Contains(t, a.header.Get("Vary"), "Authorization", path)
		}
		for _, path := range []string{"/v1/images/" + img.ID + "/original", "/v1/images/" + img.ID + "/thumbnails/200"} {
			a := n.get(t, path, token)
			assert.Regexp(t, `^private`, a.header.Get("Cache-Control"), path)
			assert.Contains(t, a.header.Get("Vary"), "Authorization", path)
		}
		assert.Equal(t, "no-store", n.get(t, link, "").header.Get("Cache-Control"))
		assert.Regexp(t, `^private`, n.get(t, img.Original, "").header.Get("Cache-Control"))
		thumbnail := n.get(t, img.Thumbnails["200"].URL, "").header.Get("Cache-Control")
		kind, age, _ := strings.Cut(thumbnail, ", max-age=")
		seconds, err := strconv.Atoi(age)
		require.NoError(t, err, thumbnail)
		if n == cdn {
			assert.Equal(t, "public", kind)
			assert.LessOrEqual(t, seconds, 60)
		} else {
			assert.Equal(t, "private", kind)
			assert.LessOrEqual(t, seconds, 7200)
		}
	}
}

// Whole seconds from 30 to 30000, and nothing else.
func (c *cluster) promiseL1(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, _ := c.nodes[0].picture(t, token)
	for _, n := range c.nodes {
		for value, want := range map[string]int{
			"29": 400, "30001": 400, "0": 400, "-1": 400, "30.5": 400, `"30"`: 400, "1e3": 400, "null": 400, "9223372036854775808": 400,
			"true": 400, "[]": 400, "{}": 400, "": 400, "30": 201, "30000": 201,
		} {
			body := `{"expires_in":` + value + `}`
			if value == "" {
				body = "{}"
			}
			a := n.do(t, http.MethodPost, "/v1/images/"+img.ID+"/links", token, []byte(body), map[string]string{"Content-Type": "application/json"})
			assert.Equal(t, want, a.status, "%s: %s", body, a)
		}
	}
}

// max_views holds on two nodes at once.
func (c *cluster) promiseL8(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, data := c.nodes[0].picture(t, token)
	rounds := scaled(3, 50)
	for range rounds {
		link, _ := c.nodes[0].link(t, token, img.ID, map[string]any{"expires_in": 300, "max_views": 5})
		var bodies, dead atomic.Int64
		atOnce(50, func(i int) {
			a := c.nodes[i%2].get(t, link, "")
			switch {
			case a.status == 200 && a.err == nil && bytes.Equal(a.body, data):
				bodies.Add(1)
			case a.status == 410:
				dead.Add(1)
			default:
				t.Errorf("neither a body nor a dead link: %s", a)
			}
		})
		assert.EqualValues(t, 5, bodies.Load())
		assert.EqualValues(t, 45, dead.Load())
	}
	t.Logf("%d rounds of 50 GETs: 5 bodies each", rounds)
}

// clocks are links that are left to die by their time.
type clocks struct {
	watches []*watch
	done    sync.WaitGroup
	path    string // of the first
}

// watch asks a node for a link shortly before and shortly after its end.
type watch struct {
	n             *node
	path          string
	began, made   time.Time // around the link's creation
	before, after answer
}

// startClocks makes links that live for 30 s and watches them die on a node whose
// backends nobody harms meanwhile, and on two whose clocks differ by four minutes.
func (c *cluster) startClocks(t *testing.T) *clocks {
	t.Helper()
	right := c.newNode(t, "node with the right time")
	fast, slow := c.skewed(t, 2*time.Minute), c.skewed(t, -2*time.Minute)
	k := &clocks{}
	ctx, cancel := context.WithCancel(context.Background())
	until := func(at time.Time) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Until(at)):
			return true
		}
	}
	_, token := c.user(t, enterprise)
	img, _ := right.picture(t, token)
	for _, maker := range []*node{right, fast, slow} {
		began := time.Now()
		path, _ := maker.link(t, token, img.ID, map[string]any{"expires_in": 30})
		made := time.Now()
		if k.path == "" {
			k.path = path
		}
		for _, n := range []*node{right, fast, slow} {
			a := n.get(t, path, "")
			require.Equal(t, 200, a.status, "%s: %s", n.name, a)
			w := &watch{n: n, path: path, began: began, made: made}
			k.watches = append(k.watches, w)
			k.done.Go(func() {
				if until(began.Add(29 * time.Second)) {
					w.before = n.get(t, path, "")
				}
				if until(made.Add(31 * time.Second)) {
					w.after = n.get(t, path, "")
				}
			})
		}
	}
	t.Cleanup(func() { cancel(); k.done.Wait() })
	return k
}

// A link lives exactly as said (L2), by one clock for all (L6).
func (k *clocks) check(t *testing.T) {
	k.done.Wait()
	for _, w := range k.watches {
		if w.before.began.Add(w.before.took).Before(w.began.Add(30 * time.Second)) {
			assert.Equal(t, 200, w.before.status, "%s at 29 s: %s", w.n.name, w.before)
		} else {
			t.Logf("%s was too slow to tell at 29 s", w.n.name)
		}
		assert.Equal(t, 410, w.after.status, "%s at 31 s: %s", w.n.name, w.after)
	}
}

// expired is the path of a link that has died by its time.
func (k *clocks) expired() []string {
	k.done.Wait()
	return []string{k.path}
}

// Dead is for ever (L3) and valid survives (L4), whatever becomes of Redis or a node.
func (c *cluster) promiseL3(t *testing.T, dead []string) {
	_, token := c.user(t, enterprise)
	n := c.nodes[0]
	img, data := n.picture(t, token)
	var valid []string
	for range 100 {
		path, _ := n.link(t, token, img.ID, map[string]any{"expires_in": 30000})
		valid = append(valid, path)
	}
	// What Redis dumps here, it finds again when it is killed: all of these alive.
	revoked, id := n.link(t, token, img.ID, map[string]any{"expires_in": 30000})
	used, _ := n.link(t, token, img.ID, map[string]any{"expires_in": 30000, "max_views": 1})
	gone, _ := n.picture(t, token)
	ofGone, _ := n.link(t, token, gone.ID, map[string]any{"expires_in": 30000})
	require.Equal(t, "+OK", c.redis.Command(t, "SAVE"))
	require.Equal(t, 204, n.do(t, http.MethodDelete, "/v1/links/"+id, token, nil, nil).status)
	require.Equal(t, 200, n.get(t, used, "").status)
	require.Equal(t, 204, n.do(t, http.MethodDelete, "/v1/images/"+gone.ID, token, nil, nil).status)
	dead = append(dead, revoked, used, ofGone)

	gets := 0
	check := func(after string) {
		for _, n := range c.nodes {
			n.ready(t)
			inTurns(len(valid), 8, func(i int) {
				a := n.get(t, valid[i], "")
				assert.Equal(t, 200, a.status, "a valid link after %s: %s", after, a)
				assert.True(t, bytes.Equal(data, a.body))
			})
			for _, path := range dead {
				a := n.get(t, path, "")
				assert.Equal(t, 410, a.status, "a dead link after %s: %s", after, a)
				gets++
			}
		}
	}
	check("the beginning")
	require.Equal(t, "+OK", c.redis.Command(t, "FLUSHALL"))
	check("FLUSHALL")
	// A bound of one byte: everything is evicted, and nothing is taken.
	require.Equal(t, "+OK", c.redis.Command(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-random"))
	require.Equal(t, "+OK", c.redis.Command(t, "CONFIG", "SET", "maxmemory", "1"))
	check("eviction")
	require.Equal(t, "+OK", c.redis.Command(t, "CONFIG", "SET", "maxmemory", "0"))
	c.redis.Kill()
	c.redis.Restart(t)
	assert.NotEqual(t, ":0", c.redis.Command(t, "DBSIZE"), "the dump was restored")
	check("a restored dump")
	for _, n := range c.nodes {
		n.kill()
		n.start(t)
	}
	check("new nodes")
	c.db.Kill()
	c.db.Restart(t)
	check("a new database server")
	t.Logf("%d valid links live on; %d dead ones, %d GETs of them, 0 resurrections", len(valid), len(dead), gets)
}

// Without Redis dead links stay dead, and valid ones are answered from the database
// or as 503 within two seconds.
func (c *cluster) promiseL5(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, data := c.nodes[0].picture(t, token)
	var valid, dead []string
	for range scaled(20, 100) {
		path, _ := c.nodes[0].link(t, token, img.ID, map[string]any{"expires_in": 30000})
		valid = append(valid, path)
		path, id := c.nodes[1].link(t, token, img.ID, map[string]any{"expires_in": 30000})
		require.Equal(t, 204, c.nodes[0].do(t, http.MethodDelete, "/v1/links/"+id, token, nil, nil).status)
		dead = append(dead, path)
	}
	for name, harm := range map[string]func(n *node){
		"cut":    func(n *node) { n.redis.Cut(t) },
		"silent": func(n *node) { n.redis.Swallow(t) },
	} {
		for _, n := range c.nodes {
			harm(n)
		}
		var served, unavailable atomic.Int64
		var longest atomic.Int64
		inTurns(len(valid), 8, func(i int) {
			for _, n := range c.nodes {
				a := n.get(t, dead[i], "")
				assert.Contains(t, []int{410, 503}, a.status, "a dead link: %s", a)
				a = n.get(t, valid[i], "")
				longest.Store(max(longest.Load(), int64(a.took)))
				assert.Less(t, a.took, slack*2*time.Second)
				switch {
				case a.status == 200 && bytes.Equal(a.body, data):
					served.Add(1)
				case a.unavailable():
					unavailable.Add(1)
				default:
					t.Errorf("a valid link: %s", a)
				}
			}
		})
		for _, n := range c.nodes {
			n.heal(t)
		}
		t.Logf("Redis %s: %d valid served, %d times 503, the slowest after %v; 0 dead served", name, served.Load(), unavailable.Load(),
			time.Duration(longest.Load()).Round(time.Millisecond))
	}
}

// An answered link works at once, on the other node too, though the node that made it is killed.
func (c *cluster) promiseL7(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, data := c.nodes[0].picture(t, token)
	made := 0
	kills := scaled(4, 100)
	for kill := range kills {
		n := c.nodes[kill%2]
		var mu sync.Mutex
		var links []string
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					a := n.send(t, http.MethodPost, "/v1/images/"+img.ID+"/links", token, map[string]any{"expires_in": 30000})
					if a.err != nil {
						return
					}
					var l struct{ URL string }
					if !assert.Equal(t, 201, a.status, a) || !assert.NoError(t, json.Unmarshal(a.body, &l)) {
						return
					}
					mu.Lock()
					links = append(links, pathOf(l.URL))
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(20+rand.IntN(200)) * time.Millisecond)
		n.kill()
		wg.Wait()
		ask := func(n *node) {
			inTurns(len(links), 4, func(i int) {
				a := n.get(t, links[i], "")
				assert.Equal(t, 200, a.status, a)
				assert.True(t, bytes.Equal(data, a.body))
			})
		}
		ask(c.other(n))
		n.start(t)
		ask(n)
		made += len(links)
	}
	require.Positive(t, made)
	t.Logf("%d kills, %d links acknowledged, all of them work", kills, made)
}

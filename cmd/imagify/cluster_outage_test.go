package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
)

// 200 GETs of one cold thumbnail on two nodes: a node makes it once at the most.
func (c *cluster) promiseR1(t *testing.T) {
	_, token := c.user(t, enterprise)
	for range scaled(1, 20) {
		img := c.nodes[0].kept(t, token, photo(int(c.seed.Add(1)), 1600, 1200))
		bodies := make([][]byte, 200)
		atOnce(len(bodies), func(i int) {
			a := c.nodes[i%2].get(t, img.Thumbnails["400"].URL, "")
			assert.NoError(t, a.err)
			assert.Equal(t, 200, a.status, a)
			bodies[i] = a.body
		})
		for _, b := range bodies {
			require.True(t, bytes.Equal(bodies[0], b), "the bodies differ")
		}
		require.NotEmpty(t, bodies[0])
		made := 0
		for _, n := range c.nodes {
			times := n.tap.count(http.MethodGet, img.ID, "original")
			assert.LessOrEqual(t, times, 1, "%s read the original more than once", n.name)
			assert.LessOrEqual(t, n.tap.count(http.MethodPut, img.ID, "thumbnails"), 1)
			made += times
		}
		assert.Positive(t, made)
		assert.Equal(t, 2, c.keys(t, img.ID), "the original and one thumbnail")
		t.Logf("200 equal bodies of %d bytes, made %d times by two nodes", len(bodies[0]), made)
	}
}

// Redis away: wrong answers never, errors never, back within five seconds.
func (c *cluster) promiseR3(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, data := c.nodes[0].picture(t, token)
	valid, _ := c.nodes[0].link(t, token, img.ID, map[string]any{"expires_in": 30000})
	dead, id := c.nodes[0].link(t, token, img.ID, map[string]any{"expires_in": 30000})
	require.Equal(t, 204, c.nodes[0].do(t, http.MethodDelete, "/v1/links/"+id, token, nil, nil).status)
	ctx, cancel := context.WithCancel(t.Context())
	var good, unavailable, signIns atomic.Int64
	var load sync.WaitGroup
	for worker := range 6 {
		load.Go(func() {
			for i := worker; ctx.Err() == nil; i++ {
				n := c.nodes[i%2]
				var a answer
				switch i / 2 % 6 {
				case 0:
					if a = n.get(t, dead, ""); !assert.Contains(t, []int{410, 503}, a.status, a) {
						return
					}
					continue
				case 1:
					a = n.get(t, valid, "")
				case 2:
					a = n.get(t, img.Original, "")
				case 3:
					a = n.send(t, http.MethodPost, "/v1/images/"+img.ID+"/links", token, map[string]any{"expires_in": 30})
				case 4:
					a = n.upload(t, token, "", photo(int(c.seed.Add(1)), 160, 120))
				case 5:
					// A wrong password: throttled or refused, never let in.
					a = n.do(t, http.MethodGet, "/v1/me", "", nil, map[string]string{"Authorization": "Basic YWRtaW46d3Jvbmc="})
					assert.Contains(t, []int{401, 429, 503}, a.status, a)
					signIns.Add(1)
					time.Sleep(100 * time.Millisecond)
					continue
				}
				switch {
				case a.err == nil && a.served():
					good.Add(1)
					if i/2%6 == 1 || i/2%6 == 2 {
						assert.True(t, bytes.Equal(data, a.body))
					}
				case a.err == nil && a.unavailable():
					unavailable.Add(1)
					time.Sleep(10 * time.Millisecond)
				default:
					t.Errorf("%s", a)
				}
			}
		})
	}
	away := scaled(3, 60)
	for _, n := range c.nodes {
		n.redis.Cut(t)
	}
	time.Sleep(time.Duration(away) * time.Second)
	for _, n := range c.nodes {
		n.notReady(t, "link state")
		assert.Equal(t, 200, n.get(t, "/healthz", "").status)
		n.redis.Heal(t)
	}
	back := time.Now()
	for _, n := range c.nodes {
		n.ready(t)
	}
	took := time.Since(back)
	cancel()
	load.Wait()
	assert.Positive(t, good.Load())
	t.Logf("%d s without Redis: %d good answers, %d times 503, %d sign-ins refused, 0 wrong; ready %v after its return",
		away, good.Load(), unavailable.Load(), signIns.Load(), took.Round(time.Millisecond))
}

// The store away or slow: 503 within ten seconds, and never half an object with 200.
func (c *cluster) promiseR4(t *testing.T) {
	_, token := c.user(t, enterprise)
	n := c.nodes[0]
	data := append(photo(int(c.seed.Add(1)), 640, 480), bytes.Repeat([]byte("more"), 1<<19)...) // 2 MB and more
	img := n.kept(t, token, data)
	var colds []imageView
	for range 3 {
		cold, _ := n.picture(t, token)
		colds = append(colds, cold)
	}
	requests := map[string]func(i int) answer{
		"an original":      func(int) answer { return n.get(t, img.Original, "") },
		"a cold thumbnail": func(i int) answer { return n.get(t, colds[i].Thumbnails["200"].URL, "") },
		"an upload":        func(int) answer { return n.upload(t, token, "", photo(int(c.seed.Add(1)), 160, 120)) },
	}
	for i, harm := range []struct {
		name string
		do   func()
	}{
		{"away", func() { n.s3.Cut(t) }},
		{"silent", func() { n.s3.Swallow(t) }},
		{"slow", func() { n.s3.Latency(t, 30*time.Second) }},
	} {
		if i == 2 && !full {
			break
		}
		harm.do()
		var wg sync.WaitGroup
		for name, request := range requests {
			wg.Go(func() {
				a := request(i)
				assert.True(t, a.err == nil && a.unavailable(), "%s, the store %s: %s", name, harm.name, a)
				assert.Less(t, a.took, slack*10*time.Second)
				t.Logf("the store %s: %s is 503 after %v", harm.name, name, a.took.Round(10*time.Millisecond))
			})
		}
		wg.Go(func() {
			n.notReady(t, "storage")
			a := n.get(t, "/healthz", "")
			assert.Equal(t, 200, a.status)
			assert.Equal(t, 200, n.get(t, "/v1/images/"+img.ID, token).status, "what needs no store goes on")
		})
		wg.Wait()
		n.heal(t)
	}
	// The connection ends in the middle of the bytes.
	cut := 0
	for _, after := range []int{1000, 70_000, 300_000, 1_000_000, 2_000_000} {
		n.s3.ResetDownload(t, after)
		a := n.get(t, img.Original, "")
		switch {
		case a.err != nil: // the client knows that it has a part
			cut++
			assert.True(t, bytes.HasPrefix(data, a.body))
		case a.status == 200:
			assert.True(t, bytes.Equal(data, a.body), "half an object with 200: %d of %d bytes", len(a.body), len(data))
		default:
			assert.True(t, a.unavailable(), a)
		}
		n.s3.Heal(t)
	}
	n.ready(t)
	t.Logf("%d of 5 bodies cut off on their way, each known to the client", cut)
	a := n.get(t, img.Original, "")
	assert.True(t, a.status == 200 && bytes.Equal(data, a.body), a)
}

// The database does not answer: 503 within two seconds, also where all connections are in
// use, and no right that another node took away counts for longer than that.
func (c *cluster) promiseR5(t *testing.T) {
	p := c.newPrey(t)
	here, there := c.nodes[0], c.nodes[1]
	for i, harm := range []struct {
		name string
		do   func()
	}{
		{"silent", func() { there.db.Swallow(t) }},
		{"slow", func() { there.db.Latency(t, 20*time.Second) }},
		{"away", func() { there.db.Cut(t) }},
	} {
		if i > 0 && !full {
			break
		}
		name := harm.name
		for _, path := range p.paths {
			require.Equal(t, 200, there.get(t, path, "").status)
		}
		harm.do()
		a := here.send(t, http.MethodPatch, "/v1/admin/users/"+p.name, c.admin, map[string]any{"tiers": []string{}})
		require.Equal(t, 200, a.status, a)
		changed := time.Now()
		var unavailable, stale atomic.Int64
		var longest atomic.Int64
		until := changed.Add(time.Duration(scaled(3, 10)) * time.Second)
		// More clients than the node has connections.
		atOnce(64, func(i int) {
			for j := i; time.Now().Before(until); j++ {
				var a answer
				switch j % 6 {
				case 4:
					a = there.get(t, "/v1/images", p.token)
				case 5:
					a = there.send(t, http.MethodPost, "/v1/images/"+p.img.ID+"/links", p.token, map[string]any{"expires_in": 30})
				default:
					a = there.get(t, p.paths[j%4], "")
				}
				if !assert.NoError(t, a.err) {
					return
				}
				longest.Store(max(longest.Load(), int64(a.took)))
				assert.Less(t, a.took, slack*2*time.Second, "%s: %s", name, a)
				switch {
				case a.unavailable():
					unavailable.Add(1)
				case a.served():
					stale.Add(1)
					assert.Less(t, a.began.Sub(changed), leaseTime, "the database %s: a right that is gone for longer: %s", name, a)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		assert.Positive(t, unavailable.Load())
		assert.Equal(t, 200, there.get(t, "/healthz", "").status)
		there.notReady(t, "database")
		there.heal(t)
		for _, path := range p.paths {
			assert.Contains(t, []int{403, 410}, there.get(t, path, "").status)
		}
		a = here.send(t, http.MethodPatch, "/v1/admin/users/"+p.name, c.admin, map[string]any{"tiers": []string{enterprise}})
		require.Equal(t, 200, a.status, a)
		for _, path := range p.paths {
			require.Eventually(t, func() bool { return there.get(t, path, "").status == 200 }, slack*leaseTime, 20*time.Millisecond)
		}
		t.Logf("the database %s: %d times 503, the slowest after %v; %d answers within the lease, none later", name, unavailable.Load(),
			time.Duration(longest.Load()).Round(10*time.Millisecond), stale.Load())
	}
}

// SIGTERM under load: what was accepted is answered, and the process ends with 0.
func (c *cluster) promiseR6(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, _ := c.nodes[0].picture(t, token)
	var done, refused atomic.Int64
	var longest time.Duration
	for round := range scaled(2, 20) {
		n := c.nodes[round%2]
		var stopping atomic.Int64 // when, in nanoseconds since 1970
		var load sync.WaitGroup
		// Each on a connection of its own, so that a refused connection is a request
		// that was not accepted, and any other failure one that was.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
		for worker := range 8 {
			load.Go(func() {
				for i := worker; ; i++ {
					method, path, body := http.MethodPost, "/v1/images", photo(int(c.seed.Add(1)), 320, 240)
					if i%3 == 0 {
						method, path, body = http.MethodGet, img.Original, nil
					}
					a := n.doWith(t, client, method, path, token, body, map[string]string{"Content-Type": "image/jpeg"})
					if a.err == nil && a.served() {
						done.Add(1)
						continue
					}
					// A connection in the system's queue when the socket is closed is reset,
					// which a client may notice as it writes.
					late := stopping.Load() != 0 && a.began.UnixNano() > stopping.Load()-int64(50*time.Millisecond)
					if late && (errors.Is(a.err, syscall.ECONNREFUSED) || errors.Is(a.err, syscall.ECONNRESET) ||
						errors.Is(a.err, syscall.EPIPE) || errors.Is(a.err, net.ErrClosed)) {
						refused.Add(1)
						return
					}
					t.Errorf("an accepted request failed: %s", a)
					return
				}
			})
		}
		time.Sleep(time.Duration(300+rand.IntN(400)) * time.Millisecond)
		stopping.Store(time.Now().UnixNano())
		code, took := n.stop(t)
		load.Wait()
		assert.Equal(t, 0, code)
		assert.Less(t, took, 30*time.Second)
		longest = max(longest, took)
		n.start(t)
	}
	t.Logf("%d requests answered, %d not accepted any more, none failed; the slowest exit took %v", done.Load(), refused.Load(), longest.Round(time.Millisecond))
}

// Quotas hold under 50 parallel uploads on two nodes.
func (c *cluster) promiseR7(t *testing.T) {
	size := int64(len(photo(10000, 320, 240)))
	for name, limit := range map[string]int64{"max_images": 5, "max_storage_bytes": size*7 + size/2} {
		tier := "Quota" + fmt.Sprint(c.users.Load())
		change := tierOf("thumbnail:200")
		change.Limits = map[string]*int64{name: &limit}
		_, err := c.desk.CreateTier(t.Context(), operator, tier, change)
		require.NoError(t, err)
		user, token := c.user(t, tier)
		var kept, over atomic.Int64
		atOnce(50, func(i int) {
			a := c.nodes[i%2].patientUpload(t, token, "", photo(10000+i, 320, 240)) // of about the same size
			switch {
			case a.status == 201:
				kept.Add(1)
			case a.status == 403 && strings.Contains(string(a.body), "quota_exceeded"):
				over.Add(1)
			default:
				t.Errorf("%s", a)
			}
		})
		var me struct{ Usage struct{ Images, Bytes int64 } }
		c.nodes[1].get(t, "/v1/me", token).into(t, &me)
		assert.Equal(t, kept.Load(), me.Usage.Images)
		if name == "max_images" {
			assert.Equal(t, limit, kept.Load())
		} else {
			assert.LessOrEqual(t, me.Usage.Bytes, limit)
			assert.Greater(t, me.Usage.Bytes, limit-2*size, "no room was left for one more")
		}
		u, err := c.desk.User(t.Context(), operator, user)
		require.NoError(t, err)
		assert.EqualValues(t, kept.Load(), c.keys(t, u.ID.String()), "what was refused left nothing")
		t.Logf("%s: %d kept, %d refused", name, kept.Load(), over.Load())
	}
}

// The same Idempotency-Key twenty times at once on two nodes makes one image.
func (c *cluster) promiseR8(t *testing.T) {
	name, token := c.user(t, enterprise)
	_, another := c.user(t, enterprise)
	rounds := scaled(2, 20)
	for round := range rounds {
		key, data := fmt.Sprint("key ", round), photo(int(c.seed.Add(1)), 640, 480)
		views := make([]imageView, 20)
		atOnce(len(views), func(i int) {
			a := c.nodes[i%2].patientUpload(t, token, key, data)
			if assert.Equal(t, 201, a.status, a) {
				a.into(t, &views[i])
			}
		})
		for _, v := range views {
			assert.Equal(t, views[0].ID, v.ID)
			assert.Equal(t, pathOf(views[0].Original), pathOf(v.Original))
		}
		var theirs imageView
		a := c.nodes[0].upload(t, another, key, data)
		require.Equal(t, 201, a.status, a)
		a.into(t, &theirs)
		assert.NotEqual(t, views[0].ID, theirs.ID)
		assert.Equal(t, 422, c.nodes[1].upload(t, token, key, photo(int(c.seed.Add(1)), 640, 480)).status)
	}
	var me struct{ Usage struct{ Images int } }
	c.nodes[0].get(t, "/v1/me", token).into(t, &me)
	assert.Equal(t, rounds, me.Usage.Images)
	u, err := c.desk.User(t.Context(), operator, name)
	require.NoError(t, err)
	assert.Equal(t, rounds, c.keys(t, u.ID.String()))
}

// Deletion is complete, even if a thumbnail is made or a node dies meanwhile.
func (c *cluster) promiseR9(t *testing.T) {
	_, token := c.user(t, enterprise)
	here, there := c.nodes[0], c.nodes[1]
	for range scaled(2, 20) {
		img, _ := here.picture(t, token)
		link, _ := here.link(t, token, img.ID, map[string]any{"expires_in": 300})
		require.Equal(t, 200, here.get(t, img.Thumbnails["200"].URL, "").status)
		// The other thumbnail is made, and its bytes are on their way to the store.
		held := there.tap.holdNext(func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.Contains(r.URL.Path, img.ID) && strings.Contains(r.URL.Path, "thumbnails")
		})
		making := make(chan answer, 1)
		go func() { making <- there.get(t, img.Thumbnails["400"].URL, "") }()
		select {
		case <-held:
		case a := <-making:
			t.Fatalf("no thumbnail was put: %s", a)
		}
		require.Equal(t, 204, here.do(t, http.MethodDelete, "/v1/images/"+img.ID, token, nil, nil).status)
		there.tap.release()
		a := <-making
		assert.Equal(t, 404, a.status, a)
		assert.Zero(t, c.keys(t, img.ID), "the thumbnail came back")
		for _, n := range c.nodes {
			for _, path := range []string{img.Original, img.Thumbnails["200"].URL, img.Thumbnails["400"].URL} {
				assert.Equal(t, 404, n.get(t, path, "").status)
			}
			assert.Equal(t, 410, n.get(t, link, "").status)
		}
	}
	// The store is away, and then the node dies: the deletion counts, and the sweep finishes it.
	img, _ := here.picture(t, token)
	link, _ := here.link(t, token, img.ID, map[string]any{"expires_in": 300})
	here.s3.Cut(t)
	require.Equal(t, 204, here.do(t, http.MethodDelete, "/v1/images/"+img.ID, token, nil, nil).status)
	here.kill()
	for _, path := range []string{img.Original, img.Thumbnails["200"].URL} {
		require.Eventually(t, func() bool { return there.get(t, path, "").status == 404 }, slack*leaseTime, 20*time.Millisecond)
	}
	assert.Equal(t, 410, there.get(t, link, "").status)
	assert.Equal(t, 1, c.keys(t, img.ID))
	here.s3.Heal(t)
	here.start(t)
	_, err := c.desk.Sweep(t.Context(), operator, app.SweepOptions{})
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return c.keys(t, img.ID) == 0 }, 30*time.Second, 100*time.Millisecond)
}

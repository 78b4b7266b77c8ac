package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func tierOf(permissions ...string) app.TierChange { return app.TierChange{Permissions: &permissions} }

// census counts what is on record and in the store, straight from both.
type census struct {
	images  map[string]domain.Image // ready, by id
	due     int                     // waiting for the sweep
	orphans int                     // blobs whose image is not ready
	ghosts  int                     // ready images without an original of their size
}

func (c *cluster) census(t *testing.T) census {
	t.Helper()
	ctx := t.Context()
	out := census{images: map[string]domain.Image{}}
	due, err := c.backends.Records.Images.DueDeletions(ctx, time.Now().Add(time.Hour), domain.ID{}, 100_000)
	require.NoError(t, err)
	out.due = len(due)
	// Blobs first: an image that becomes ready meanwhile is then no ghost.
	blobs, err := c.backends.Blobs.List(ctx, "images/", "", 10_000_000)
	require.NoError(t, err)
	for page := (ports.Page{Limit: 1000}); ; {
		images, next, err := c.backends.Records.Images.ListAll(ctx, ports.TimeRange{}, page)
		require.NoError(t, err)
		for _, img := range images {
			out.images[img.ID.String()] = img
		}
		if page.Before = next; next.IsZero() {
			break
		}
	}
	originals := map[string]int64{}
	for _, b := range blobs {
		parts := strings.Split(b.Key, "/")
		require.Greater(t, len(parts), 3, b.Key)
		if parts[3] == "original" {
			originals[parts[2]] = b.Size
		}
		if _, ready := out.images[parts[2]]; !ready {
			out.orphans++
		}
	}
	for id, img := range out.images {
		if size, there := originals[id]; !there || size != img.Size {
			out.ghosts++
		}
	}
	return out
}

// sweepUntilClean sweeps until nothing waits any more: what was under way counts as
// alive until its lease lapses.
func (c *cluster) sweepUntilClean(t *testing.T) (swept app.SweepReport) {
	t.Helper()
	require.Eventually(t, func() bool {
		r, err := c.desk.Sweep(t.Context(), operator, app.SweepOptions{})
		if !assert.NoError(t, err) {
			return true
		}
		swept.Images += r.Images
		swept.Blobs += r.Blobs
		swept.Users += r.Users
		swept.Partial += r.Partial
		swept.Missing += r.Missing
		return !r.AlreadyBusy && c.census(t).due == 0
	}, 2*time.Minute, time.Second)
	return swept
}

// A sweep of any age beside uploads takes none of them, though the clock of the
// machine that sweeps is fast.
func (c *cluster) promiseD2(t *testing.T) {
	sweeper, err := app.New(c.open(t, func() time.Time { return time.Now().Add(2 * time.Minute) }).Config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sweeper.Close()) })
	_, token := c.user(t, enterprise)
	var mu sync.Mutex
	kept := map[string][]byte{}
	ctx, cancel := context.WithCancel(t.Context())
	sweeps := 0
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		for ctx.Err() == nil {
			r, err := sweeper.Sweep(context.WithoutCancel(ctx), operator, app.SweepOptions{})
			assert.NoError(t, err)
			assert.Zero(t, r.Missing)
			if !r.AlreadyBusy {
				sweeps++
			}
		}
	})
	inTurns(scaled(60, 500), 6, func(i int) {
		n := c.nodes[i%2]
		data := photo(int(c.seed.Add(1)), 320, 240)
		a := n.upload(t, token, "", data)
		var img imageView
		if assert.Equal(t, 201, a.status, a) && assert.NoError(t, json.Unmarshal(a.body, &img)) {
			assert.Equal(t, 200, n.get(t, img.Thumbnails["200"].URL, "").status)
			mu.Lock()
			kept[img.ID] = data
			mu.Unlock()
		}
	})
	cancel()
	sweeping.Wait()
	require.Positive(t, sweeps)
	for id, data := range kept {
		a := c.nodes[0].get(t, "/v1/images/"+id+"/original", token)
		assert.True(t, a.status == 200 && bytes.Equal(data, a.body), "the sweep took what was acknowledged: %s", a)
	}
	t.Logf("%d uploads beside %d sweeps, all of them kept", len(kept), sweeps)
}

// victim is what is killed in D1.
type victim struct {
	name string
	kill func(t *testing.T)
}

// 201 means kept (D1), nothing half-written is served meanwhile (D3), and the sweep
// leaves neither orphans nor ghosts (D2): nodes and servers are killed at random
// moments while clients upload and read.
func (c *cluster) promiseD1(t *testing.T, kills int) {
	user, err := c.desk.CreateUser(t.Context(), operator, fmt.Sprint("d1-", c.users.Add(1)), app.UserChange{Tiers: &[]string{enterprise}})
	require.NoError(t, err)
	_, token, err := c.desk.CreateTokenFor(t.Context(), operator, user.Username, "tests", 0)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	var (
		mu                                      sync.Mutex
		acks                                    = map[string][32]byte{}
		sent, unavailable, broken, reads, whole atomic.Int64
		clients                                 sync.WaitGroup
	)
	for worker := range 4 {
		clients.Go(func() {
			for i := worker; ctx.Err() == nil; i++ {
				data := photo(int(c.seed.Add(1)), 160, 120)
				sent.Add(1)
				a := c.nodes[i%2].upload(t, token, "", data)
				var img imageView
				switch {
				case a.err != nil:
					broken.Add(1)
					time.Sleep(20 * time.Millisecond)
				case a.unavailable():
					unavailable.Add(1)
					time.Sleep(20 * time.Millisecond)
				case assert.Equal(t, 201, a.status, a) && assert.NoError(t, json.Unmarshal(a.body, &img)):
					mu.Lock()
					acks[img.ID] = sha256.Sum256(data)
					mu.Unlock()
				}
			}
		})
	}
	// What is listed is whole at every moment, or not to be had for a moment.
	clients.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			n := c.nodes[i%2]
			a := n.get(t, "/v1/images?limit=20", token)
			var page struct {
				Items []struct {
					ID, Original string
					Size         int
					Thumbnails   map[string]struct{ URL string }
				}
			}
			if a.err != nil || a.status != 200 || json.Unmarshal(a.body, &page) != nil {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			for _, img := range page.Items {
				a := n.get(t, img.Original, "")
				reads.Add(1)
				if a.err != nil || a.unavailable() {
					continue
				}
				if assert.Equal(t, 200, a.status, a) && assert.Len(t, a.body, img.Size) {
					whole.Add(1)
				}
				if th := n.get(t, img.Thumbnails["200"].URL, ""); th.err == nil && !th.unavailable() && assert.Equal(t, 200, th.status, th) {
					assert.True(t, bytes.HasSuffix(th.body, []byte{0xff, 0xd9}), "half a thumbnail")
				}
			}
		}
	})

	victims := []victim{
		{"imagify", func(t *testing.T) {
			n := c.nodes[rand.IntN(2)]
			n.kill()
			n.start(t)
		}},
		{"MySQL", func(t *testing.T) { c.db.Restart(t) }},
		{"Redis", func(t *testing.T) { c.redis.Restart(t) }},
		{"S3", func(t *testing.T) { c.s3.Restart(t) }},
	}
	if c.db.MariaDB {
		victims[1].name = "MariaDB"
	}
	pause := func() { time.Sleep(time.Duration(50+rand.IntN(scaled(400, 250))) * time.Millisecond) }
	rows := make([]string, len(victims))
	for i, v := range victims {
		mu.Lock()
		sentBefore, ackBefore := sent.Load(), len(acks)
		mu.Unlock()
		unavailableBefore, brokenBefore := unavailable.Load(), broken.Load()
		for range kills {
			pause()
			v.kill(t) // SIGKILL, and a start on the same files
		}
		pause()
		mu.Lock()
		rows[i] = fmt.Sprintf("| %s | %d | %d | %d | %d | %d |", v.name, kills, sent.Load()-sentBefore, len(acks)-ackBefore,
			unavailable.Load()-unavailableBefore, broken.Load()-brokenBefore)
		mu.Unlock()
	}
	// No fewer than 500 uploads in the full form.
	for enough := scaled(1, 500); ; time.Sleep(50 * time.Millisecond) {
		mu.Lock()
		n := len(acks)
		mu.Unlock()
		if n >= enough {
			break
		}
	}
	cancel()
	clients.Wait()

	for _, n := range c.nodes {
		n.ready(t)
	}
	kept := 0
	for id, want := range acks {
		n := c.nodes[kept%2]
		a := n.get(t, "/v1/images/"+id+"/original", token)
		require.Equal(t, 200, a.status, "acknowledged, and lost: %s", a)
		require.Equal(t, want, sha256.Sum256(a.body), "an acknowledged original came back changed")
		kept++
	}
	swept := c.sweepUntilClean(t)
	after := c.census(t)
	assert.Zero(t, after.orphans, "blobs without a record")
	assert.Zero(t, after.ghosts, "records without their blob")
	assert.Zero(t, swept.Missing)
	unacknowledged := 0
	for id, img := range after.images {
		if _, ok := acks[id]; img.OwnerID == user.ID && !ok {
			unacknowledged++
		}
	}
	for id := range acks {
		_, there := after.images[id]
		assert.True(t, there, "the sweep took what was acknowledged")
	}
	t.Logf("\n| killed | times | uploads sent | acknowledged | answered 503 | cut off |\n|---|---|---|---|---|---|\n%s\n"+
		"in all %d sent, %d acknowledged and kept with their hash, %d kept whose answer was lost, %d unfinished images and %d blobs swept, then %d orphans, %d ghosts\n"+
		"meanwhile %d reads of listed originals: %d whole, the rest unavailable for the moment, none short",
		strings.Join(rows, "\n"), sent.Load(), len(acks), unacknowledged, swept.Images, swept.Blobs, after.orphans, after.ghosts, reads.Load(), whole.Load())
}

// commitCutter is a connection to MySQL that breaks at COMMIT: before the server gets
// it, or before the client gets its answer.
type commitCutter struct {
	addr     string
	upstream string
	mode     atomic.Int32 // 0: pass on
	cuts     atomic.Int64
}

const (
	cutBefore = 1 + iota
	cutAfter
)

func newCommitCutter(t *testing.T, upstream string) *commitCutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &commitCutter{addr: l.Addr().String(), upstream: upstream}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(conn)
		}
	}()
	return c
}

func (c *commitCutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	var mute atomic.Bool
	go func() {
		defer client.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := server.Read(buf)
			if mute.Load() {
				return // the server has done it, and its answer is lost
			}
			if err != nil {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		// It may be the last of several statements in one command.
		if bytes.Contains(buf[:n], []byte("COMMIT")) {
			switch mode := c.mode.Load(); {
			case mode == cutBefore && c.mode.CompareAndSwap(mode, 0):
				c.cuts.Add(1)
				return
			case mode == cutAfter && c.mode.CompareAndSwap(mode, 0):
				c.cuts.Add(1)
				mute.Store(true)
				if _, err := server.Write(buf[:n]); err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, client) // until the other direction ends it
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// The connection to the database breaks at the COMMIT of an upload: the same request
// again makes one image of it.
func (c *cluster) promiseD4(t *testing.T) {
	cutter := newCommitCutter(t, c.db.Addr)
	broken := c.newNode(t, "node with a cutter", "IMAGIFY_DATABASE_URL="+strings.Replace(c.db.URL("imagify"), c.db.Addr, cutter.addr, 1))
	defer broken.kill()
	name, token := c.user(t, enterprise)
	answers := map[int]int{}
	rounds := scaled(3, 50)
	made := 0
	for _, mode := range []int32{cutBefore, cutAfter} {
		for round := range rounds {
			key := fmt.Sprint("key-", mode, "-", round)
			data := photo(int(c.seed.Add(1)), 160, 120)
			cuts := cutter.cuts.Load()
			// The first COMMIT of an upload is that of its beginning, the second that of
			// its end: the cut waits until the bytes are in the store.
			held := broken.tap.holdNext(func(r *http.Request) bool { return r.Method == http.MethodPut })
			done := make(chan answer, 1)
			go func() { done <- broken.upload(t, token, key, data) }()
			<-held
			cutter.mode.Store(mode)
			broken.tap.release()
			first := <-done
			require.NoError(t, first.err)
			assert.True(t, first.status == 201 || first.unavailable(), first)
			assert.Equal(t, cuts+1, cutter.cuts.Load(), "the connection was cut")
			answers[first.status]++
			var img, again imageView
			for _, n := range []*node{c.nodes[0], broken, c.nodes[1]} {
				var a answer
				require.Eventually(t, func() bool { // a 409 says when to come again
					a = n.upload(t, token, key, data)
					return a.status != 409
				}, time.Minute, 200*time.Millisecond)
				require.Equal(t, 201, a.status, a)
				a.into(t, &again)
				if img.ID == "" {
					img = again
				}
				assert.Equal(t, img.ID, again.ID)
			}
			if first.status == 201 {
				first.into(t, &again)
				assert.Equal(t, img.ID, again.ID)
			}
			made++
		}
	}
	u, err := c.desk.User(t.Context(), operator, name)
	require.NoError(t, err)
	usage, err := c.backends.Records.Images.Usage(t.Context(), u.ID)
	require.NoError(t, err)
	assert.EqualValues(t, made, usage.Images)
	images, err := c.backends.Records.Images.List(t.Context(), u.ID, ports.Page{Limit: 1000})
	require.NoError(t, err)
	assert.Len(t, images, made)
	t.Logf("%d connections cut at COMMIT, half before and half after it; first answers %v; %d keys, %d images", cutter.cuts.Load(), answers, made, len(images))
}

// The database restarted under load: nothing but 503 with Retry-After, and back within five seconds.
func (c *cluster) promiseD5(t *testing.T) {
	_, token := c.user(t, enterprise)
	img, _ := c.nodes[0].picture(t, token)
	link, _ := c.nodes[0].link(t, token, img.ID, map[string]any{"expires_in": 30000})
	requests := []func(n *node) answer{
		func(n *node) answer { return n.get(t, "/v1/images/"+img.ID, token) },
		func(n *node) answer { return n.get(t, "/v1/images", token) },
		func(n *node) answer { return n.get(t, img.Original, "") },
		func(n *node) answer { return n.get(t, img.Thumbnails["200"].URL, "") },
		func(n *node) answer { return n.get(t, link, "") },
		func(n *node) answer {
			return n.send(t, http.MethodPost, "/v1/images/"+img.ID+"/links", token, map[string]any{"expires_in": 30})
		},
		func(n *node) answer { return n.patientUpload(t, token, "", photo(int(c.seed.Add(1)), 160, 120)) },
	}
	for _, how := range []string{"SIGKILL", "SIGTERM"} {
		ctx, cancel := context.WithCancel(t.Context())
		var good, unavailable atomic.Int64
		var load sync.WaitGroup
		for worker := range 8 {
			load.Go(func() {
				for i := worker; ctx.Err() == nil; i++ {
					a := requests[i%len(requests)](c.nodes[i/2%2])
					switch {
					case a.err == nil && a.served():
						good.Add(1)
					case a.err == nil && a.unavailable():
						unavailable.Add(1)
						time.Sleep(10 * time.Millisecond)
					default:
						t.Errorf("neither an answer nor a 503 with Retry-After: %s", a)
					}
				}
			})
		}
		var longest time.Duration
		for range scaled(1, 10) {
			time.Sleep(time.Duration(300+rand.IntN(300)) * time.Millisecond)
			if how == "SIGTERM" {
				c.db.Stop()
			}
			c.db.Restart(t)
			back := time.Now()
			for _, n := range c.nodes {
				for i, request := range requests {
					require.Eventually(t, func() bool { return request(n).served() }, slack*5*time.Second, 10*time.Millisecond, "request %d of %s", i, n.name)
				}
			}
			longest = max(longest, time.Since(back))
		}
		cancel()
		load.Wait()
		t.Logf("%s: %d good answers, %d times 503, nothing else; every kind of request answers again %v after the server does",
			how, good.Load(), unavailable.Load(), longest.Round(time.Millisecond))
	}
}

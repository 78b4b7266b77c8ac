package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// full says that the promises are to be tried at their full figures.
var full = os.Getenv("IMAGIFY_FULL") == "1"

func scaled(quick, whole int) int {
	if full {
		return whole
	}
	return quick
}

func TestPromise(t *testing.T) {
	t.Run("D1,D2", promiseD1)
	t.Run("D6", promiseD6)
	t.Run("H1,H5,H6", promiseH1)
	t.Run("H7", promiseH7)
	t.Run("L7", promiseL7)
	t.Run("R2", promiseR2)
	t.Run("R6", promiseR6)
	t.Run("R10", promiseR10)
	t.Run("X1", promiseX1)
	t.Run("X3", promiseX3)
}

// acknowledged is what clients were told is kept.
type acknowledged struct {
	mu   sync.Mutex
	hash map[string][32]byte // by image id
	urls []string            // of links
}

// first waits until something has been acknowledged: on a busy machine that may take longer
// than the random moments before a kill.
func (a *acknowledged) first(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.hash)+len(a.urls) > 0
	}, 30*time.Second, 5*time.Millisecond, "nothing is acknowledged")
}

// 201 means kept, and D2: after a sweep no orphans and no ghosts. The server is killed at random moments.
func promiseD1(t *testing.T) {
	s := newSite(t)
	token := s.user("anna", "--tier", "EnterpriseTierUsers")
	acks := &acknowledged{hash: map[string][32]byte{}}
	var seed atomic.Int64
	for kill := range scaled(5, 50) {
		srv := s.serve()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					data := photo(int(seed.Add(1)), 160, 120)
					status, answer, _, err := call(ctx, http.MethodPost, srv.url+"/v1/images", token, data, "image/jpeg")
					if err != nil {
						return // killed
					}
					var img imageView
					if assert.Equal(t, 201, status, "%s", answer) && assert.NoError(t, json.Unmarshal(answer, &img)) {
						acks.mu.Lock()
						acks.hash[img.ID] = sha256.Sum256(data)
						acks.mu.Unlock()
					}
				}
			})
		}
		acks.first(t)
		time.Sleep(time.Duration(100+rand.IntN(600)) * time.Millisecond)
		srv.kill()
		cancel()
		wg.Wait()
		t.Logf("kill %d: %d acknowledged so far, %d sent", kill+1, len(acks.hash), seed.Load())
	}
	srv := s.serve()
	for id, want := range acks.hash {
		status, body, _, err := call(t.Context(), http.MethodGet, srv.url+"/v1/images/"+id+"/original", token, nil, "")
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, want, sha256.Sum256(body), "an acknowledged original came back changed")
	}
	// What was under way counts as alive until its lease lapses; then the sweep takes it.
	require.Eventually(t, func() bool {
		out := s.must("sweep", "--min-age", "0")
		due, _, _ := s.leftovers()
		t.Logf("%d wait; %s", due, out)
		return due == 0
	}, 60*time.Second, time.Second)
	_, orphans, ghosts := s.leftovers()
	assert.Zero(t, orphans, "blobs without a record")
	assert.Zero(t, ghosts, "records without a blob")
	for id := range acks.hash {
		status, _, _, err := call(t.Context(), http.MethodHead, srv.url+"/v1/images/"+id+"/original", token, nil, "")
		require.NoError(t, err)
		require.Equal(t, 200, status, "the sweep took what was acknowledged")
	}
}

// leftovers counts what waits for the sweep, blobs without a record, and records without a blob.
func (s site) leftovers() (due, orphans, ghosts int) {
	s.t.Helper()
	p := &program{ctx: s.t.Context(), stdio: stdio{err: &bytes.Buffer{}}, getenv: s.env, environ: os.Environ}
	c, err := p.loadConfig(nil)
	require.NoError(s.t, err)
	b, err := c.Open(p.ctx, slog.New(slog.DiscardHandler))
	require.NoError(s.t, err)
	defer b.Close()
	waiting, err := b.Records.Images.DueDeletions(p.ctx, time.Now().Add(time.Hour), domain.ID{}, 10000)
	require.NoError(s.t, err)
	due = len(waiting)
	blobs, err := b.Blobs.List(p.ctx, "images/", "", 1_000_000)
	require.NoError(s.t, err)
	have := map[string]bool{}
	for _, blob := range blobs {
		parts := strings.Split(blob.Key, "/")
		require.Greater(s.t, len(parts), 3, blob.Key)
		owner, err := domain.ParseID(parts[1])
		require.NoError(s.t, err)
		id, err := domain.ParseID(parts[2])
		require.NoError(s.t, err)
		have[parts[2]] = have[parts[2]] || parts[3] == "original"
		if state, err := b.Records.Images.State(p.ctx, owner, id); err != nil || state != domain.ImageReady {
			orphans++
		}
	}
	page := ports.Page{Limit: 1000}
	for {
		imgs, next, err := b.Records.Images.ListAll(p.ctx, ports.TimeRange{}, page)
		require.NoError(s.t, err)
		for _, img := range imgs {
			if !have[img.ID.String()] {
				ghosts++
			}
		}
		if next.IsZero() {
			return due, orphans, ghosts
		}
		page.Before = next
	}
}

// An answered link works, though the server dies the moment after.
func promiseL7(t *testing.T) {
	s := newSite(t)
	token := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	data := photo(1, 160, 120)
	_, img := srv.upload(token, data)
	acks := &acknowledged{}
	for range scaled(5, 100) {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					status, answer, _, err := call(t.Context(), http.MethodPost, srv.url+"/v1/images/"+img.ID+"/links", token, []byte(`{"expires_in":30000}`), "application/json")
					if err != nil {
						return
					}
					var l struct{ URL string }
					if assert.Equal(t, 201, status) && assert.NoError(t, json.Unmarshal(answer, &l)) {
						acks.mu.Lock()
						acks.urls = append(acks.urls, l.URL[strings.Index(l.URL, "/l/"):])
						acks.mu.Unlock()
					}
				}
			})
		}
		acks.first(t)
		time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
		srv.kill()
		wg.Wait()
		srv = s.serve()
		for _, path := range acks.urls[max(0, len(acks.urls)-30):] {
			status, body, _, err := call(t.Context(), http.MethodGet, srv.url+path, "", nil, "")
			require.NoError(t, err)
			require.Equal(t, 200, status)
			require.Equal(t, data, body)
		}
	}
	t.Logf("%d links acknowledged, all of them work", len(acks.urls))
}

// SIGTERM under load: no accepted request fails, and the process ends with 0.
func promiseR6(t *testing.T) {
	s := newSite(t)
	token := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	var done, failed atomic.Int64
	var stopping atomic.Bool
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				status, _, _, err := call(t.Context(), http.MethodPost, srv.url+"/v1/images", token, photo(i*1000+n, 320, 240), "image/jpeg")
				switch {
				case err != nil && stopping.Load() && !strings.Contains(err.Error(), "EOF"):
					return // refused: it was never accepted
				case err != nil && stopping.Load():
					return // an idle connection that was closed as the request was sent
				case err != nil || status != 201:
					failed.Add(1)
					t.Errorf("status %d, %v", status, err)
					return
				}
				done.Add(1)
			}
		})
	}
	time.Sleep(time.Second)
	stopping.Store(true)
	code, took := srv.stop()
	wg.Wait()
	assert.Equal(t, 0, code)
	assert.Less(t, took, 30*time.Second)
	assert.Zero(t, failed.Load())
	assert.Positive(t, done.Load())
	// What was acknowledged before the end is there after it.
	again := s.serve()
	var me struct{ Usage struct{ Images int64 } }
	require.Equal(t, 200, again.json(http.MethodGet, "/v1/me", token, nil, &me))
	assert.GreaterOrEqual(t, me.Usage.Images, done.Load())
}

// No file hurts (H1), accepted means it can be thumbnailed (H5), and the process
// is the same one afterwards (H6): the whole corpus over HTTP.
func promiseH1(t *testing.T) {
	corpus := os.Getenv("IMAGIFY_CORPUS")
	if corpus == "" {
		corpus = "../../../shared/corpus"
	}
	manifest, err := os.ReadFile(filepath.Join(corpus, "manifest.tsv"))
	if err != nil {
		t.Skipf("the corpus of hostile images is not here: set IMAGIFY_CORPUS to its folder (%v)", err)
	}
	s := newSite(t)
	s.must("tier", "create", "Corpus", "--permission", "thumbnail:33", "--permission", "thumbnail:200", "--limit", "max_pixels=60000000")
	token := s.user("anna", "--tier", "Corpus")
	srv := s.serve()
	pid := srv.cmd.Process.Pid
	rows := strings.Split(strings.TrimSpace(string(manifest)), "\n")[1:]
	var accepted, refused atomic.Int64
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, row := range rows {
		if raceEnabled && i%5 != 0 {
			continue // the race detector makes it ten times slower; the whole runs without it
		}
		f := strings.Split(row, "\t")
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			data, err := os.ReadFile(filepath.Join(corpus, f[0]))
			if !assert.NoError(t, err) {
				return
			}
			status, answer, _, err := call(t.Context(), http.MethodPost, srv.url+"/v1/images", token, data, "image/jpeg")
			if !assert.NoError(t, err, f[0]) {
				return
			}
			if status != 201 {
				refused.Add(1)
				assert.Contains(t, []int{400, 413, 415, 422}, status, "%s: %s", f[0], answer)
				return
			}
			accepted.Add(1)
			assert.NotEqual(t, "reject", f[15], "%s was accepted", f[0])
			var img imageView
			if !assert.NoError(t, json.Unmarshal(answer, &img)) {
				return
			}
			for h, th := range img.Thumbnails {
				status, body, _, err := call(t.Context(), http.MethodGet, th.URL, "", nil, "")
				assert.NoError(t, err)
				assert.Equal(t, 200, status, "%s at %s: %s", f[0], h, fmt.Sprintf("%.200s", body))
			}
		})
	}
	wg.Wait()
	t.Logf("%d accepted, %d refused", accepted.Load(), refused.Load())
	require.NoError(t, srv.cmd.Process.Signal(syscall.Signal(0)), "the process is alive")
	assert.Equal(t, pid, srv.cmd.Process.Pid)
	due, orphans, ghosts := s.leftovers()
	assert.Zero(t, due+orphans+ghosts, "what was refused left nothing")
}

// No file makes the service reach out or write: what names other files and
// addresses is refused by its first bytes.
func promiseH7(t *testing.T) {
	var reached atomic.Int64
	bait, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer bait.Close()
	go func() {
		for {
			c, err := bait.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			c.Close()
		}
	}()
	url := "http://" + bait.Addr().String() + "/"
	temp := t.TempDir()
	s := newSite(t)
	token := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve("TMPDIR=" + temp)
	files := s.files()
	write := filepath.Join(temp, "written")
	hostile := map[string]string{
		"SVG":                `<svg xmlns="http://www.w3.org/2000/svg"><image href="` + url + `x.png"/><use href="file:///etc/passwd"/></svg>`,
		"SVG with an entity": `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "` + url + `">]><svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>`,
		"MVG":                "push graphic-context\nviewbox 0 0 640 480\nfill 'url(" + url + "x.jpg\"|touch \"" + write + ")'\npop graphic-context\n",
		"MSL":                `<?xml version="1.0"?><image><read filename="` + url + `x.png"/><write filename="` + write + `"/></image>`,
		"HLS":                "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n" + url + "x.ts\n#EXT-X-ENDLIST\n",
		"PostScript":         "%!PS-Adobe-3.0\n(" + write + ") (w) file closefile\n(%pipe%touch " + write + ") (r) file\nshowpage\n",
	}
	for name, content := range hostile {
		for _, prefix := range []string{"", "\xff\xd8\xff", "GIF89a", "\x89PNG\r\n\x1a\n", "RIFF\x00\x10\x00\x00WEBP"} {
			for _, contentType := range []string{"image/jpeg", "image/svg+xml"} {
				status, answer, _, err := call(t.Context(), http.MethodPost, srv.url+"/v1/images", token, []byte(prefix+content), contentType)
				require.NoError(t, err)
				want := []int{415}
				if prefix != "" { // the beginning of an accepted format, and then none of it
					want = []int{413, 415, 422}
				}
				assert.Contains(t, want, status, "%s after %q: %s", name, prefix, answer)
			}
		}
		// Behind a whole picture it is bytes that nobody reads.
		status, img := srv.upload(token, append(photo(1, 64, 48), content...))
		if assert.Equal(t, 201, status, name) {
			status, body, _, err := call(t.Context(), http.MethodGet, img.Thumbnails["200"].URL, "", nil, "")
			require.NoError(t, err)
			assert.Equal(t, 200, status)
			assert.NotContains(t, string(body), content)
			status, _, _, err = call(t.Context(), http.MethodDelete, srv.url+"/v1/images/"+img.ID, token, nil, "")
			require.NoError(t, err)
			assert.Equal(t, 204, status)
		}
	}
	assert.Zero(t, reached.Load(), "outbound connections")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left, "temporary files")
	assert.Equal(t, files, s.files())
}

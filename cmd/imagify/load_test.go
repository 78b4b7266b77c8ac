package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// costly is a PNG that takes its time to decode, and little room.
func costly(width, height int) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x / 8), uint8(y / 8), uint8((x + y) / 16), 255})
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		panic(err) // into memory: cannot fail
	}
	return b.Bytes()
}

// status reads a line of the server's /proc/PID/status, in KiB.
func (srv *server) status(line string) int {
	srv.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(srv.cmd.Process.Pid) + "/status")
	if err != nil {
		srv.t.Skipf("this promise reads Linux's /proc: %v", err)
	}
	m := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(b)
	require.NotNil(srv.t, m, line)
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(srv.t, err)
	return n
}

// Many different cold thumbnails at once: what the queue cannot hold is told to
// come back and nothing else fails, memory is bounded, warm thumbnails go on.
func promiseR2(t *testing.T) {
	n, width, height := scaled(60, 500), scaled(1200, 4000), scaled(900, 3000)
	s := newSite(t)
	token := s.user("anna", "--tier", "PremiumTierUsers")
	srv := s.serve()
	data := costly(width, height)
	cold := make([]string, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range cold {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			status, answer, _, err := call(t.Context(), http.MethodPost, srv.url+"/v1/images", token, slices.Concat(data, []byte(strconv.Itoa(i))), "image/png")
			var img imageView
			if assert.NoError(t, err) && assert.Equal(t, 201, status, "%s", answer) && assert.NoError(t, json.Unmarshal(answer, &img)) {
				cold[i] = img.Thumbnails["200"].URL
			}
		})
	}
	wg.Wait()
	status, img := srv.upload(token, photo(1, 640, 480))
	require.Equal(t, 201, status)
	warm := img.Thumbnails["400"].URL
	status, _, _, err := call(t.Context(), http.MethodGet, warm, "", nil, "")
	require.NoError(t, err)
	require.Equal(t, 200, status)

	var done, later atomic.Int64
	busy, idle := context.WithCancel(t.Context())
	for _, u := range cold {
		wg.Go(func() {
			status, answer, header, err := call(t.Context(), http.MethodGet, u, "", nil, "")
			if !assert.NoError(t, err) {
				return
			}
			switch status {
			case 200:
				done.Add(1)
			case 503:
				later.Add(1)
				assert.NotEmpty(t, header.Get("Retry-After"))
				assert.Contains(t, string(answer), `"code":"unavailable"`)
			default:
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
	var took []time.Duration
	warming := make(chan struct{})
	go func() {
		defer close(warming)
		for busy.Err() == nil {
			began := time.Now()
			status, _, _, err := call(t.Context(), http.MethodGet, warm, "", nil, "")
			if !assert.NoError(t, err) || !assert.Equal(t, 200, status) {
				return
			}
			took = append(took, time.Since(began))
		}
	}()
	wg.Wait()
	idle()
	<-warming
	slices.Sort(took)
	peak := srv.status("VmHWM") >> 10
	t.Logf("%d cold: %d made, %d told to come back; %d warm meanwhile, p99 %v; peak %d MiB", n, done.Load(), later.Load(), len(took), took[len(took)*99/100], peak)
	assert.Positive(t, done.Load())
	if !raceEnabled { // the race detector's own memory is not the service's
		assert.LessOrEqual(t, peak, 600)
	}
	for _, u := range cold { // who was told to come back gets theirs
		require.Eventually(t, func() bool {
			status, _, _, err := call(t.Context(), http.MethodGet, u, "", nil, "")
			return err == nil && status == 200
		}, 60*time.Second, 100*time.Millisecond)
	}
}

// metric reads a value of /metrics.
func (srv *server) metric(name string) float64 {
	srv.t.Helper()
	_, page, _, err := call(srv.t.Context(), http.MethodGet, srv.url+"/metrics", "", nil, "")
	require.NoError(srv.t, err)
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(page)
	require.NotNil(srv.t, m, name)
	v, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(srv.t, err)
	return v
}

// files counts the files under the data folder.
func (s site) files() (n int) {
	s.t.Helper()
	require.NoError(s.t, filepath.WalkDir(filepath.Join(s.data, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

// Many mixed requests leave memory, descriptors, goroutines and files as they were.
func promiseR10(t *testing.T) {
	s := newSite(t)
	token := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	_, img := srv.upload(token, photo(1, 640, 480))
	var link struct{ URL string }
	require.Equal(t, 201, srv.json(http.MethodPost, "/v1/images/"+img.ID+"/links", token, map[string]int{"expires_in": 30000}, &link))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	ask := func(method, url, token, contentType string, body []byte, want ...int) []byte {
		req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		if !assert.NoError(t, err) {
			return nil
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		res, err := client.Do(req)
		if !assert.NoError(t, err) {
			return nil
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		assert.NoError(t, err)
		assert.Contains(t, want, res.StatusCode, "%s %s: %.200s", method, url, answer)
		return answer
	}
	mix := func(total int) {
		var left atomic.Int64
		left.Store(int64(total))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					i := left.Add(-1)
					if i < 0 || t.Failed() {
						return
					}
					switch i % 16 {
					case 0:
						ask("GET", srv.url+"/v1/images?limit=30", token, "", nil, 200)
					case 1, 2, 3, 4:
						ask("GET", img.Thumbnails["200"].URL, "", "", nil, 200)
					case 5:
						ask("GET", img.Original, "", "", nil, 200)
					case 6, 7:
						ask("GET", link.URL, "", "", nil, 200)
					case 8:
						ask("HEAD", img.Thumbnails["400"].URL, "", "", nil, 200)
					case 9:
						ask("GET", srv.url+"/v1/me", token, "", nil, 200)
					case 10:
						ask("GET", srv.url+"/v1/images/"+strings.Repeat("0", 36), token, "", nil, 404)
					case 11:
						ask("GET", srv.url+"/l/"+strings.Repeat("A", 32), "", "", nil, 404)
					case 12:
						ask("POST", srv.url+"/v1/images", token, "image/jpeg", []byte("%PDF-1.7 no picture at all"), 415)
					case 13:
						ask("POST", srv.url+"/v1/images", token, "image/jpeg", photo(1, 64, 48)[:400], 422)
					case 14:
						ask("GET", srv.url+"/v1/images", "imgf_wrong", "", nil, 401)
					case 15:
						if i%64 != 15 {
							ask("POST", srv.url+"/v1/images/"+img.ID+"/links", token, "application/json", []byte(`{"expires_in":29}`), 400)
							continue
						}
						var made imageView
						if answer := ask("POST", srv.url+"/v1/images", token, "image/jpeg", photo(int(i), 64, 48), 201); assert.NoError(t, json.Unmarshal(answer, &made)) {
							ask("GET", made.Thumbnails["200"].URL, "", "", nil, 200)
							ask("DELETE", srv.url+"/v1/images/"+made.ID, token, "", nil, 204)
						}
					}
				}
			})
		}
		wg.Wait()
		client.CloseIdleConnections()
	}
	total := scaled(2000, 100_000)
	mix(max(total/5, 1000)) // what is filled once, is filled
	http.DefaultClient.CloseIdleConnections()
	files, goroutines, fds, rss := s.files(), srv.metric("go_goroutines"), srv.metric("process_open_fds"), srv.status("VmRSS")
	mix(total)
	var now string
	assert.Eventually(t, func() bool {
		http.DefaultClient.CloseIdleConnections()
		g, f, r := srv.metric("go_goroutines"), srv.metric("process_open_fds"), srv.status("VmRSS")
		now = fmt.Sprintf("goroutines %v, descriptors %v, %d MiB", g, f, r>>10)
		return g <= goroutines+5 && f <= fds+5 && (raceEnabled || r <= rss+64<<10)
	}, 60*time.Second, time.Second)
	t.Logf("%d requests: before goroutines %v, descriptors %v, %d MiB; after %s", total, goroutines, fds, rss>>10, now)
	assert.Equal(t, files, s.files(), "files of blobs and unfinished writes")
	due, orphans, ghosts := s.leftovers()
	assert.Zero(t, due+orphans+ghosts)
}

// Command servebench measures what a request costs the server's CPU: imagify's
// warm signed thumbnail, a list of 30 and an expiring link, beside bare gin
// handlers that check an HMAC-SHA256 and serve the same thumbnail, from memory
// and from a file. Candidates take turns within one run; medians are printed
// with their ratios, because one machine's microseconds are no other's.
//
//	go run ./adapters/ginapi/servebench -imagify bin/imagify
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

func main() {
	imagify := flag.String("imagify", "bin/imagify", "the binary to measure")
	rounds := flag.Int("rounds", 7, "turns of each candidate")
	requests := flag.Int("requests", 5000, "requests a turn")
	clients := flag.Int("clients", 16, "connections")
	bare := flag.String("bare", "", "internal: be the bare gin server of this file")
	flag.Parse()
	err := func() error {
		if *bare != "" {
			return serveBare(*bare)
		}
		return run(*imagify, *rounds, *requests, *clients)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "servebench:", err)
		os.Exit(1)
	}
}

// bareKey signs the bare server's URLs.
var bareKey = []byte("a key of sixteen bytes and more")

func bareURL(path string) string {
	m := hmac.New(sha256.New, bareKey)
	m.Write([]byte(path))
	return path + "?s=" + hex.EncodeToString(m.Sum(nil))
}

// serveBare is what a thumbnail costs at the least: gin, a route, a check of the URL.
func serveBare(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	checked := func(serve gin.HandlerFunc) gin.HandlerFunc {
		return func(c *gin.Context) {
			m := hmac.New(sha256.New, bareKey)
			m.Write([]byte(c.Request.URL.Path))
			got, err := hex.DecodeString(c.Query("s"))
			if err != nil || !hmac.Equal(got, m.Sum(nil)) {
				c.AbortWithStatus(http.StatusForbidden)
				return
			}
			serve(c)
		}
	}
	r := gin.New()
	r.GET("/memory/:id", checked(func(c *gin.Context) { c.Data(http.StatusOK, "image/jpeg", data) }))
	r.GET("/file/:id", checked(func(c *gin.Context) { c.File(file) }))
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	return (&http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
}

// server is a child process that listens.
type server struct {
	cmd *exec.Cmd
	url string
}

func start(ctx context.Context, env []string, name string, args ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = io.Discard
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if _, url, ok := strings.Cut(sc.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &server{cmd, strings.TrimSpace(url)}, nil
		}
	}
	return nil, fmt.Errorf("%s ended before it listened", name)
}

// stop ends the process: a cancelled context would do so too late, once this program has ended.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// cpu is what the process has used so far, to the nanosecond: the run times of all its threads.
func (s *server) cpu() (time.Duration, error) {
	files, err := filepath.Glob("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/task/*/schedstat")
	if err != nil || len(files) == 0 {
		return 0, errors.New("this needs Linux's /proc/PID/task/TID/schedstat")
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a thread that ended meanwhile
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

type candidate struct {
	name   string
	server *server
	url    string
	token  string
	cost   []float64 // µs a request, one a round
}

func run(binary string, rounds, requests, clients int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir, err := os.MkdirTemp("", "servebench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	env := []string{"IMAGIFY_DATA=" + dir, "IMAGIFY_ADMIN_PASSWORD=not-used-by-the-benchmark"}
	im, err := start(ctx, env, binary, "serve", "--addr", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer im.stop()
	command := func(args ...string) (string, error) {
		c := exec.CommandContext(ctx, binary, args...)
		c.Env = append(os.Environ(), env...)
		c.Stderr = os.Stderr
		out, err := c.Output()
		return strings.TrimSpace(string(out)), err
	}
	if _, err := command("user", "create", "bench", "--tier", "EnterpriseTierUsers"); err != nil {
		return fmt.Errorf("user create: %w", err)
	}
	token, err := command("token", "create", "--user", "bench", "--name", "bench")
	if err != nil {
		return fmt.Errorf("token create: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	api := func(method, path string, contentType string, body []byte, into any) error {
		req, err := http.NewRequestWithContext(ctx, method, im.url+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", contentType)
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode >= 300 {
			return fmt.Errorf("%s %s: %s", method, path, res.Status)
		}
		return json.NewDecoder(res.Body).Decode(into)
	}
	var img struct {
		ID         string `json:"id"`
		Thumbnails map[string]struct {
			URL string `json:"url"`
		} `json:"thumbnails"`
	}
	for i := range 30 {
		if err := api(http.MethodPost, "/v1/images", "image/jpeg", photograph(i), &img); err != nil {
			return err
		}
	}
	var link struct {
		URL string `json:"url"`
	}
	if err := api(http.MethodPost, "/v1/images/"+img.ID+"/links", "application/json", []byte(`{"expires_in":30000,"variant":"thumbnail:200"}`), &link); err != nil {
		return err
	}
	thumb := img.Thumbnails["200"].URL
	body, err := get(ctx, client, thumb, "")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "thumbnail.jpg")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bare, err := start(ctx, nil, self, "-bare", file)
	if err != nil {
		return err
	}
	defer bare.stop()
	candidates := []*candidate{
		{name: "bare gin + HMAC, from memory", server: bare, url: bare.url + bareURL("/memory/x")},
		{name: "bare gin + HMAC, from a file", server: bare, url: bare.url + bareURL("/file/x")},
		{name: "imagify, warm signed thumbnail", server: im, url: thumb},
		{name: "imagify, list of 30", server: im, url: im.url + "/v1/images?limit=30", token: token},
		{name: "imagify, link", server: im, url: link.URL},
	}
	for round := range rounds + 1 { // the first warms up
		for _, c := range candidates {
			before, err := c.server.cpu()
			if err != nil {
				return err
			}
			if err := load(ctx, client, c, requests, clients); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			after, err := c.server.cpu()
			if err != nil {
				return err
			}
			if round > 0 {
				c.cost = append(c.cost, float64(after-before)/float64(time.Microsecond)/float64(requests))
			}
		}
	}
	memory, disk := candidates[0].median(), candidates[1].median()
	fmt.Printf("body %d bytes, %d rounds of %d requests on %d connections; CPU of the server, median\n\n", len(body), rounds, requests, clients)
	fmt.Printf("%-34s %10s %14s %12s\n", "", "µs/request", "× bare memory", "× bare file")
	for _, c := range candidates {
		m := c.median()
		fmt.Printf("%-34s %10.1f %14.2f %12.2f\n", c.name, m, m/memory, m/disk)
	}
	return nil
}

func (c *candidate) median() float64 {
	s := slices.Sorted(slices.Values(c.cost))
	return s[len(s)/2]
}

func load(ctx context.Context, client *http.Client, c *candidate, requests, clients int) error {
	var left atomic.Int64
	left.Store(int64(requests))
	errs := make(chan error, clients)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := get(ctx, client, c.url, c.token); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func get(ctx context.Context, client *http.Client, url, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return io.ReadAll(res.Body)
}

// photograph draws a JPEG with enough detail that its 200 px thumbnail has about 12 KB.
func photograph(seed int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 1200, 900))
	for y := range 900 {
		for x := range 1200 {
			fx, fy := float64(x)/40+float64(seed), float64(y)/40
			v := math.Sin(fx*1.7+math.Sin(fy*2.3)*2) + math.Sin(fy*1.3+math.Cos(fx*1.9)*2) + math.Sin((fx+fy)*5)
			m.SetRGBA(x, y, color.RGBA{uint8(128 + 40*v), uint8(128 + 40*math.Sin(v*2)), uint8(128 + 40*math.Cos(v*3)), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		panic(err) // into memory: cannot fail
	}
	return b.Bytes()
}

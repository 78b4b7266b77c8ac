// Command coldbench measures over HTTP what a picture costs the server that nobody
// has asked for yet: the CPU of an upload and of a cold thumbnail of 12 megapixels
// with the fast resizer and with the plain one, in turns, and the memory
// of sixteen cold thumbnails of 24 megapixels at once with the fast one. The servers keep rows in SQLite and bytes in files.
//
// It takes the photographs that make bench-peers prepares.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/cmd/internal/settings"
)

func main() {
	photos := flag.String("photos", defaultPhotos(), "folder with p12.jpg and p24.jpg")
	rounds := flag.Int("rounds", 5, "turns of each resizer")
	serve := flag.String("serve", "", "internal: be the server with this resizer, fast or plain; then DATA-FOLDER")
	flag.Parse()
	err := func() error {
		if *serve != "" {
			return serveWith(context.Background(), *serve, flag.Arg(0))
		}
		return compare(context.Background(), *photos, *rounds)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "coldbench:", err)
		os.Exit(1)
	}
}

func defaultPhotos() string {
	if dir := os.Getenv("IMAGIFY_PEERBENCH_CACHE"); dir != "" {
		return filepath.Join(dir, "in")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "in"
	}
	return filepath.Join(dir, "imagify-peerbench", "in")
}

const password = "the benchmark's own"

// serveWith is imagify serve with a resizer of one's choice.
func serveWith(ctx context.Context, resizer, data string) error {
	cfg, err := settings.Load(func(name string) string { return map[string]string{"IMAGIFY_DATA": data}[name] })
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	b, err := cfg.Open(ctx, log)
	if err != nil {
		return err
	}
	if resizer == "plain" {
		if b.Resizer, err = bildresizer.New(bildresizer.Options{}); err != nil {
			return err
		}
	}
	svc, err := app.New(b.Config)
	if err != nil {
		return err
	}
	if _, err := svc.Bootstrap(ctx, password); err != nil {
		return err
	}
	go svc.Run(ctx)
	api, err := ginapi.New(svc, ginapi.Options{Logger: log})
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	return ginapi.NewHTTPServer(api, log).Serve(l)
}

// server is a child process that serves, and its admin's token.
type server struct {
	resizer string
	cmd     *exec.Cmd
	data    string
	url     string
	token   string
}

func start(ctx context.Context, resizer string) (_ *server, err error) {
	s := &server{resizer: resizer}
	if s.data, err = os.MkdirTemp("", "coldbench"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	var token struct {
		Token string `json:"token"`
	}
	answer, err := s.request(ctx, http.MethodPost, "/v1/tokens", "application/json", []byte(`{"name":"bench"}`))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, &token); err != nil {
		return nil, err
	}
	s.token = token.Token
	return s, nil
}

// run starts the process.
func (s *server) run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.cmd = exec.CommandContext(ctx, self, "-serve", s.resizer, s.data)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.url = ""
	for sc := bufio.NewScanner(out); s.url == "" && sc.Scan(); {
		_, s.url, _ = strings.Cut(sc.Text(), "listening on ")
	}
	if s.url == "" {
		return errors.New("the server ended before it listened")
	}
	return nil
}

func (s *server) restart(ctx context.Context) error {
	s.kill()
	return s.run(ctx)
}

func (s *server) stop() {
	s.kill()
	_ = os.RemoveAll(s.data)
}

func (s *server) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

func (s *server) request(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	} else {
		req.SetBasicAuth("admin", password)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	return answer, err
}

func (s *server) upload(ctx context.Context, photo []byte) (id string, err error) {
	var img struct {
		ID string `json:"id"`
	}
	answer, err := s.request(ctx, http.MethodPost, "/v1/images", "image/jpeg", photo)
	if err == nil {
		err = json.Unmarshal(answer, &img)
	}
	return img.ID, err
}

func (s *server) thumbnail(ctx context.Context, id string) ([]byte, error) {
	return s.request(ctx, http.MethodGet, "/v1/images/"+id+"/thumbnails/200", "", nil)
}

// cpu is what the process has used so far, in milliseconds: the run times of all its threads.
func (s *server) cpu() (ms float64, err error) {
	files, err := filepath.Glob("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/task/*/schedstat")
	if err != nil || len(files) == 0 {
		return 0, errors.New("this needs Linux's /proc/PID/task/TID/schedstat")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a thread that ended meanwhile
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseFloat(first, 64)
		if err != nil {
			return 0, err
		}
		ms += ns / 1e6
	}
	return ms, nil
}

// peak is the greatest resident size of the process so far, in MiB.
func (s *server) peak() (int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest + " ?")[0])
	return kib >> 10, err
}

// perTurn is how many uploads and thumbnails a turn is.
const perTurn = 4

func compare(ctx context.Context, photos string, rounds int) error {
	p12, err := os.ReadFile(filepath.Join(photos, "p12.jpg"))
	if err != nil {
		return fmt.Errorf("%w; make bench-peers prepares the photographs", err)
	}
	p24, err := os.ReadFile(filepath.Join(photos, "p24.jpg"))
	if err != nil {
		return fmt.Errorf("%w; make bench-peers prepares the photographs", err)
	}
	names := []string{"fast", "plain"}
	servers := make([]*server, len(names))
	for i, name := range names {
		if servers[i], err = start(ctx, name); err != nil {
			return err
		}
		defer servers[i].stop()
	}
	uploads, thumbnails := make([][]float64, len(names)), make([][]float64, len(names))
	for round := range rounds + 1 { // the first warms up
		for i, s := range servers {
			var ids []string
			upload, err := s.cost(perTurn, func() error {
				id, err := s.upload(ctx, p12)
				ids = append(ids, id)
				return err
			})
			if err != nil {
				return err
			}
			thumbnail, err := s.cost(perTurn, func() error {
				_, err := s.thumbnail(ctx, ids[0])
				ids = ids[1:]
				return err
			})
			if err != nil {
				return err
			}
			if round > 0 {
				uploads[i], thumbnails[i] = append(uploads[i], upload), append(thumbnails[i], thumbnail)
			}
		}
	}
	fmt.Printf("12 megapixels (%d KB), %d turns of %d; CPU of the server, median\n\n", len(p12)>>10, rounds, perTurn)
	fmt.Printf("%-22s %12s %12s %8s\n", "ms", names[0], names[1], "ratio")
	for _, row := range []struct {
		what string
		ms   [][]float64
	}{{"upload", uploads}, {"cold thumbnail, 200 px", thumbnails}} {
		a, b := median(row.ms[0]), median(row.ms[1])
		fmt.Printf("%-22s %12.1f %12.1f %8.3f\n", row.what, a, b, a/b)
	}

	return crowd(ctx, p24)
}

// cost calls fn n times, one after another, and returns the CPU time of one, in milliseconds.
func (s *server) cost(n int, fn func() error) (ms float64, err error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	for range n {
		if err := fn(); err != nil {
			return 0, err
		}
	}
	after, err := s.cpu()
	return (after - before) / float64(n), err
}

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

// atOnce is how many cold thumbnails a crowd asks for.
const atOnce = 16

// crowd prints the peak of a server that was restarted, so that it is not that of the
// password hash of its first start, before and after it made thumbnails of as many pictures at once.
func crowd(ctx context.Context, photo []byte) error {
	s, err := start(ctx, "fast")
	if err != nil {
		return err
	}
	defer s.stop()
	ids := make([]string, atOnce)
	for i := range ids {
		if ids[i], err = s.upload(ctx, photo); err != nil {
			return err
		}
	}
	uploaded, err := s.peak()
	if err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	if _, err := s.request(ctx, http.MethodGet, "/v1/images", "", nil); err != nil {
		return err
	}
	before, err := s.peak()
	if err != nil {
		return err
	}
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { _, errs[i] = s.thumbnail(ctx, id) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	after, err := s.peak()
	if err != nil {
		return err
	}
	fmt.Printf("\n%d cold thumbnails of 24 megapixels at once: %d MiB at the peak of the process, %d before them; %d after the first start, two password hashes and the uploads\n",
		atOnce, after, before, uploaded)
	return nil
}

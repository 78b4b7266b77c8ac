// Command lambdabench measures the Lambda function on this machine, behind the
// stand-in platform of package lambdatest: the time from a call without an environment
// to the first thumbnail and the warm cost of one, each beside the same work by Pillow
// in a python3 process, what the call adds to resizing in process, the same for the
// whole API behind a function URL, sizes, and the peak memory on 24 megapixels. Where
// control groups can be made, it gives the function the CPU and the memory that Lambda
// gives for a memory size. AWS adds what it takes to fetch the zip file and to start a
// micro VM, which no machine but its own can tell.
//
// The pictures are the photographs that `make bench-peers` prepared, where they are,
// else made. What is missing is skipped by name.
package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/fileblob"
	"github.com/imagify-api/imagify/adapters/lambdaresizer"
	"github.com/imagify-api/imagify/adapters/lambdaresizer/lambdatest"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/ports"
)

// python is the system's, which has Debian's Pillow where it is installed.
const python = "/usr/bin/python3"

// pillow makes a thumbnail for each line "source target height" and answers with the
// seconds that it took, of the clock and of CPU.
const pillow = `
import sys, time
from PIL import Image, ImageOps
print(Image.__version__, flush=True)
for line in sys.stdin:
    src, dst, height = line.split()
    t, c = time.perf_counter(), time.process_time()
    im = Image.open(src)
    h = int(height)
    w = max(1, round(im.width * h / im.height))
    im.draft("RGB", (w, h))
    im = ImageOps.exif_transpose(im)
    im = im.convert("RGB").resize((w, h), Image.LANCZOS)
    im.save(dst, "JPEG", quality=80)
    print(time.perf_counter() - t, time.process_time() - c, flush=True)
`

func main() {
	n := flag.Int("n", 20, "how often each thing is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *n)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lambdabench:", err)
		os.Exit(1)
	}
}

type bench struct {
	out      io.Writer
	n        int
	dir      string // blobs, pictures and the binary
	path     string // of the binary
	blobs    *fileblob.Store
	local    ports.Resizer
	pictures map[string][]byte
	jobs     int
}

func run(ctx context.Context, out io.Writer, n int) error {
	dir, err := os.MkdirTemp("", "lambdabench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	b := &bench{out: out, n: n, dir: dir, pictures: pictures()}
	if b.path, err = lambdatest.Build(ctx, dir); err != nil {
		return err
	}
	if b.blobs, err = fileblob.New(filepath.Join(dir, "blobs")); err != nil {
		return err
	}
	defer func() { _ = b.blobs.Close() }()
	if b.local, err = nativeresizer.New(nativeresizer.Options{}); err != nil {
		return err
	}
	binary, err := os.ReadFile(b.path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "binary %.1f MB, zipped %.1f MB\n", float64(len(binary))/1e6, float64(deflated(binary))/1e6)
	for name, data := range b.pictures {
		if err := b.blobs.Put(ctx, name, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}); err != nil {
			return err
		}
		if err := os.WriteFile(b.file(name), data, 0o600); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{b.starts, b.besidePillow, b.besideLocal, b.api, b.memorySizes, b.peaks} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) file(picture string) string { return filepath.Join(b.dir, picture) }

// The pictures' names.
const (
	tiny = "tiny.jpg" // 16 × 16: next to no resizing
	p12  = "p12.jpg"  // 12 megapixels
)

// function runs the binary, by a path that may differ, and opens its caller.
func (b *bench) function(ctx context.Context, path string) (*lambdatest.Lambda, ports.RemoteResizer, error) {
	l := lambdatest.New(lambdatest.Function{Path: path, Env: []string{"IMAGIFY_STORAGE_URL=file://" + filepath.Join(b.dir, "blobs")}, Timeout: time.Minute})
	r, err := lambdaresizer.Open(ctx, "lambda:imagify?region=eu-central-1&timeout=60s&endpoint="+l.URL)
	if err != nil {
		l.Close()
	}
	return l, r, err
}

// call makes the thumbnail of a picture, 200 pixels high, and tells how long it took.
func (b *bench) call(ctx context.Context, r ports.RemoteResizer, picture string) (time.Duration, error) {
	b.jobs++
	job := ports.RemoteJob{
		Source: picture, Size: int64(len(b.pictures[picture])), Version: b.local.Version(),
		Thumbnails: []ports.RemoteThumbnail{{Height: 200, Key: fmt.Sprintf("thumbnails/%d", b.jobs)}},
	}
	began := time.Now()
	err := r.ResizeRemote(ctx, job)
	return time.Since(began), err
}

// starts measures calls that find no environment, and those after them.
func (b *bench) starts(ctx context.Context) error {
	l, r, err := b.function(ctx, b.path)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, picture := range []string{tiny, p12} {
		var cold, warm []time.Duration
		for range b.n {
			l.Recycle()
			for _, into := range []*[]time.Duration{&cold, &warm} {
				d, err := b.call(ctx, r, picture)
				if err != nil {
					return err
				}
				*into = append(*into, d)
			}
		}
		fmt.Fprintf(b.out, "%-8s  no environment to first thumbnail %s, warm %s\n", picture, round(median(cold)), round(median(warm)))
	}
	return nil
}

// besidePillow takes calls and Pillow's work in turns, so that both see the same machine.
func (b *bench) besidePillow(ctx context.Context) error {
	p, err := startPillow(ctx)
	if err != nil {
		fmt.Fprintf(b.out, "beside Pillow: skipped: %v\n", err)
		return nil
	}
	defer p.close()
	l, r, err := b.function(ctx, b.path)
	if err != nil {
		return err
	}
	defer l.Close()
	var ours, theirs, theirCPU, ourStart, theirStart []time.Duration
	if _, err := b.call(ctx, r, p12); err != nil { // start it
		return err
	}
	before, err := cpuTime(l.Pids()[0])
	if err != nil {
		return err
	}
	for range b.n {
		d, err := b.call(ctx, r, p12)
		if err != nil {
			return err
		}
		wall, cpu, err := p.thumbnail(b.file(p12))
		if err != nil {
			return err
		}
		ours, theirs, theirCPU = append(ours, d), append(theirs, wall), append(theirCPU, cpu)
	}
	after, err := cpuTime(l.Pids()[0])
	if err != nil {
		return err
	}
	ourCPU := (after - before) / time.Duration(b.n)
	fmt.Fprintf(b.out, "%-8s  warm, the call included %s; Pillow %s, without a call %s: %.2f times\n",
		p12, round(median(ours)), p.version, round(median(theirs)), ratio(median(ours), median(theirs)))
	fmt.Fprintf(b.out, "%-8s  CPU of the function's process %s, of Pillow's %s: %.2f times\n", p12, round(ourCPU), round(mean(theirCPU)), ratio(ourCPU, mean(theirCPU)))
	for range b.n {
		l.Recycle()
		d, err := b.call(ctx, r, p12)
		if err != nil {
			return err
		}
		ourStart = append(ourStart, d)
		began := time.Now()
		fresh, err := startPillow(ctx)
		if err != nil {
			return err
		}
		if _, _, err := fresh.thumbnail(b.file(p12)); err != nil {
			return err
		}
		theirStart = append(theirStart, time.Since(began))
		fresh.close()
	}
	fmt.Fprintf(b.out, "%-8s  from no process to the first thumbnail %s; python3 with Pillow, without runtime, SDK and call, %s: %.2f times\n",
		p12, round(median(ourStart)), round(median(theirStart)), ratio(median(ourStart), median(theirStart)))
	return nil
}

// besideLocal takes calls and the same jobs in this process in turns.
func (b *bench) besideLocal(ctx context.Context) error {
	l, r, err := b.function(ctx, b.path)
	if err != nil {
		return err
	}
	defer l.Close()
	here := memory.NewRemoteResizer(b.blobs, b.local)
	var calls, local []time.Duration
	for range b.n + 1 {
		for _, c := range []struct {
			r    ports.RemoteResizer
			into *[]time.Duration
		}{{r, &calls}, {here, &local}} {
			d, err := b.call(ctx, c.r, p12)
			if err != nil {
				return err
			}
			*c.into = append(*c.into, d)
		}
	}
	a, p := median(calls[1:]), median(local[1:])
	fmt.Fprintf(b.out, "%-8s  by a warm function %s, in process %s: a call adds %s\n", p12, round(a), round(p), round(a-p))
	return nil
}

// api measures the whole API behind a function URL, on SQLite and files.
func (b *bench) api(ctx context.Context) error {
	const publicURL = "https://bench.example"
	l := lambdatest.New(lambdatest.Function{Path: b.path, Freeze: true, Env: []string{
		"IMAGIFY_STORAGE_URL=file://" + filepath.Join(b.dir, "api"), "IMAGIFY_DATABASE_URL=sqlite:" + filepath.Join(b.dir, "api.db"),
		"IMAGIFY_SECRET_KEY=a secret key of the bench", "IMAGIFY_ADMIN_PASSWORD=admin password", "IMAGIFY_PUBLIC_URL=" + publicURL,
	}})
	defer l.Close()
	server := httptest.NewServer(l.Handler(lambdatest.FunctionURL))
	defer server.Close()
	do := func(method, path, contentType string, body []byte, want int) ([]byte, time.Duration, error) {
		r, err := http.NewRequestWithContext(ctx, method, server.URL+strings.TrimPrefix(path, publicURL), bytes.NewReader(body))
		if err != nil {
			return nil, 0, err
		}
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
			r.SetBasicAuth("admin", "admin password")
		}
		began := time.Now()
		res, err := server.Client().Do(r)
		if err != nil {
			return nil, 0, err
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != want {
			err = fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, got)
		}
		return got, time.Since(began), err
	}
	const json200 = `{"tiers":["BasicTierUsers"]}`
	if _, _, err := do(http.MethodPatch, "/v1/admin/users/admin", "application/json", []byte(json200), http.StatusOK); err != nil {
		return err
	}
	var img struct {
		Thumbnails map[string]struct{ URL string }
	}
	var first, cold, warm []time.Duration
	for range b.n {
		body, _, err := do(http.MethodPost, "/v1/images", "image/jpeg", b.pictures[p12], http.StatusCreated)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &img); err != nil {
			return err
		}
		for _, step := range []struct {
			recycle bool
			into    *[]time.Duration
		}{{false, &first}, {true, &cold}, {false, &warm}} {
			if step.recycle {
				l.Recycle()
			}
			_, d, err := do(http.MethodGet, img.Thumbnails["200"].URL, "", nil, http.StatusOK)
			if err != nil {
				return err
			}
			*step.into = append(*step.into, d)
		}
	}
	fmt.Fprintf(b.out, "API       GET of a signed thumbnail: made on first access %s, stored %s, stored and without an environment %s\n",
		round(median(first)), round(median(warm)), round(median(cold)))
	return nil
}

// memorySizes gives functions what Lambda gives for their memory sizes, the memory and
// CPU in proportion (one whole at 1769 MB), and calls them in turns.
func (b *bench) memorySizes(ctx context.Context) error {
	type sized struct {
		mb         int64
		lambda     *lambdatest.Lambda
		resizer    ports.RemoteResizer
		cold, warm []time.Duration
	}
	var all []*sized
	for _, mb := range []int64{1024, 1769, 3008} {
		g, err := newGroup(fmt.Sprintf("lambdabench-%d-%d", os.Getpid(), mb), mb)
		if err != nil {
			fmt.Fprintf(b.out, "by memory size: skipped: %v\n", err)
			return nil
		}
		defer g.remove()
		wrapper := filepath.Join(b.dir, fmt.Sprintf("bootstrap-%d", mb))
		if err := os.WriteFile(wrapper, []byte(g.script(b.path, mb)), 0o700); err != nil {
			return err
		}
		l, r, err := b.function(ctx, wrapper)
		if err != nil {
			return err
		}
		defer l.Close()
		all = append(all, &sized{mb: mb, lambda: l, resizer: r})
	}
	for range b.n {
		for _, f := range all {
			f.lambda.Recycle()
			for _, into := range []*[]time.Duration{&f.cold, &f.warm, &f.warm} {
				d, err := b.call(ctx, f.resizer, p12)
				if err != nil {
					return err
				}
				*into = append(*into, d)
			}
		}
	}
	for _, f := range all {
		fmt.Fprintf(b.out, "%-8s  with %d MB and its share of CPU: no environment to first thumbnail %s, warm %s\n", p12, f.mb, round(median(f.cold)), round(median(f.warm)))
	}
	return nil
}

// peaks measures the most memory that a fresh process had after one picture.
func (b *bench) peaks(ctx context.Context) error {
	l, r, err := b.function(ctx, b.path)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, picture := range slices.Sorted(func(yield func(string) bool) {
		for name := range b.pictures {
			if !yield(name) {
				return
			}
		}
	}) {
		l.Recycle()
		if _, err := b.call(ctx, r, picture); err != nil {
			return err
		}
		for _, pid := range l.Pids() {
			peak, err := peakMemory(pid)
			if err != nil {
				fmt.Fprintf(b.out, "peak memory: skipped: %v\n", err)
				return nil
			}
			fmt.Fprintf(b.out, "%-20s  peak memory of the process %d MiB\n", picture, peak>>20)
		}
	}
	return nil
}

// pillowProcess is a python3 that makes thumbnails.
type pillowProcess struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Scanner
	version string
}

func startPillow(ctx context.Context) (*pillowProcess, error) {
	cmd := exec.CommandContext(ctx, python, "-c", pillow)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &pillowProcess{cmd: cmd, in: in, answers: bufio.NewScanner(out)}
	if !p.answers.Scan() {
		p.close()
		return nil, fmt.Errorf("%s has no Pillow (apt-get install python3-pil)", python)
	}
	p.version = p.answers.Text()
	return p, nil
}

func (p *pillowProcess) thumbnail(path string) (wall, cpu time.Duration, err error) {
	if _, err := fmt.Fprintf(p.in, "%s %s.out 200\n", path, path); err != nil {
		return 0, 0, err
	}
	if !p.answers.Scan() {
		return 0, 0, fmt.Errorf("pillow ended: %w", p.answers.Err())
	}
	var w, c float64
	_, err = fmt.Sscan(p.answers.Text(), &w, &c)
	return time.Duration(w * float64(time.Second)), time.Duration(c * float64(time.Second)), err
}

func (p *pillowProcess) close() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// group is a control group, as the folders of its controllers.
type group struct{ cpu, memory string }

// newGroup makes a control group that has the memory, and one CPU for each 1769 MB of it.
func newGroup(name string, mb int64) (group, error) {
	const root, period = "/sys/fs/cgroup", 100_000
	quota := mb * period / 1769
	g := group{cpu: filepath.Join(root, name), memory: filepath.Join(root, name)}
	files := map[string]string{"cpu/cpu.max": fmt.Sprintf("%d %d", quota, period), "memory/memory.max": strconv.FormatInt(mb<<20, 10)}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil { // version 1
		g = group{cpu: filepath.Join(root, "cpu", name), memory: filepath.Join(root, "memory", name)}
		files = map[string]string{"cpu/cpu.cfs_quota_us": strconv.FormatInt(quota, 10), "memory/memory.limit_in_bytes": strconv.FormatInt(mb<<20, 10)}
	}
	for _, dir := range []string{g.cpu, g.memory} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return g, err
		}
	}
	for name, value := range files {
		dir, file := filepath.Split(name)
		path := filepath.Join(map[string]string{"cpu/": g.cpu, "memory/": g.memory}[dir], file)
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			g.remove()
			return g, err
		}
	}
	return g, nil
}

// script is a program that enters the group and becomes the function.
func (g group) script(path string, mb int64) string {
	return fmt.Sprintf("#!/bin/sh\necho $$ >%s/cgroup.procs\necho $$ >%s/cgroup.procs\nAWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d exec %s\n", g.cpu, g.memory, mb, path)
}

func (g group) remove() {
	_ = os.Remove(g.cpu)
	_ = os.Remove(g.memory)
}

// pictures are a tiny one and some of 12 and 24 megapixels.
func pictures() map[string][]byte {
	list := map[string][]byte{tiny: encodeJPEG(picture(16, 16))}
	cache := os.Getenv("IMAGIFY_PEERBENCH_CACHE")
	if dir, err := os.UserCacheDir(); cache == "" && err == nil {
		cache = filepath.Join(dir, "imagify-peerbench")
	}
	for _, name := range []string{p12, "p24.jpg", "p24-progressive.jpg", "p12.png", "p12.webp"} {
		if data, err := os.ReadFile(filepath.Join(cache, "in", name)); err == nil {
			list[name] = data
		}
	}
	if list[p12] == nil {
		list[p12] = encodeJPEG(picture(4000, 3000))
	}
	large := picture(6000, 4000)
	if list["p24.jpg"] == nil {
		list["p24.jpg"] = encodeJPEG(large)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, large); err != nil {
		panic(err) // a buffer takes it all
	}
	list["p24.png"] = b.Bytes()
	return list
}

// picture has some structure and some noise, as a photograph has.
func picture(w, h int) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	r := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		for x := range w {
			m.Y[m.YOffset(x, y)] = uint8(128 + 60*((x/37+y/53)%3-1) + r.IntN(24))
		}
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = uint8(100+i%1500/30), uint8(150-i%900/30)
	}
	return m
}

func encodeJPEG(m image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		panic(err) // a buffer takes it all
	}
	return b.Bytes()
}

func deflated(data []byte) int64 {
	var n counter
	w, err := flate.NewWriter(&n, flate.BestCompression)
	if err == nil {
		_, _ = w.Write(data)
		_ = w.Close()
	}
	return int64(n)
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// peakMemory is the most that a process had in memory, in bytes.
func peakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
}

// cpuTime is the CPU time of a process so far, in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third on; see proc(5)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

func median(list []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

func mean(list []time.Duration) (sum time.Duration) {
	for _, d := range list {
		sum += d
	}
	return sum / time.Duration(len(list))
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

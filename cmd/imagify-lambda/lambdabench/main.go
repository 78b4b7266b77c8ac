// Command lambdabench measures the Lambda function on this machine, behind the
// stand-in platform of package lambdatest: the time from a call without an environment
// to the first thumbnail, the warm cost of a thumbnail beside the same work by Pillow
// in one python3 process (skipped by name where there is none), sizes, and the peak
// memory on a picture of 24 megapixels. AWS adds what it takes to fetch the zip file and
// to start a micro VM, which no machine but its own can tell.
package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
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
	"github.com/imagify-api/imagify/ports"
)

// python is the system's, which has Debian's Pillow where it is installed.
const python = "/usr/bin/python3"

// pillow makes a thumbnail for each line "source target height" and answers with the seconds it took.
const pillow = `
import sys, time
from PIL import Image, ImageOps
print(Image.__version__, flush=True)
for line in sys.stdin:
    src, dst, height = line.split()
    t = time.perf_counter()
    im = Image.open(src)
    h = int(height)
    w = max(1, round(im.width * h / im.height))
    im.draft("RGB", (w, h))
    im = ImageOps.exif_transpose(im)
    im = im.convert("RGB").resize((w, h), Image.LANCZOS)
    im.save(dst, "JPEG", quality=80)
    print(time.perf_counter() - t, flush=True)
`

func main() {
	n := flag.Int("n", 10, "how often each thing is measured")
	pipeline := flag.String("pipeline", "", "the function's pipeline; empty: asked from the function")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *n, *pipeline)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lambdabench:", err)
		os.Exit(1)
	}
}

type bench struct {
	dir      string
	blobs    *fileblob.Store
	lambda   *lambdatest.Lambda
	resizer  *lambdaresizer.Resizer
	pipeline string
	jobs     int
}

func run(ctx context.Context, out io.Writer, n int, pipeline string) error {
	dir, err := os.MkdirTemp("", "lambdabench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := lambdatest.Build(ctx, dir)
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "binary %.1f MB, zipped %.1f MB\n", float64(len(binary))/1e6, float64(deflated(binary))/1e6)

	b := &bench{dir: filepath.Join(dir, "blobs"), pipeline: pipeline}
	if b.blobs, err = fileblob.New(b.dir); err != nil {
		return err
	}
	defer func() { _ = b.blobs.Close() }()
	b.lambda = lambdatest.New(lambdatest.Function{Path: path, Env: []string{"IMAGIFY_STORAGE_URL=file://" + b.dir, "GOMEMLIMIT=850MiB"}, Timeout: time.Minute})
	defer b.lambda.Close()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if b.resizer, err = lambdaresizer.Open(ctx, "lambda:imagify?region=eu-central-1&timeout=60s&endpoint="+b.lambda.URL); err != nil {
		return err
	}
	if b.pipeline == "" {
		if b.pipeline, err = b.ask(ctx); err != nil {
			return err
		}
	}
	tiny, small, large := picture(16, 16), picture(3000, 2000), picture(6000, 4000)
	for key, data := range map[string][]byte{"tiny": tiny, "small": small, "large": large} {
		if err := b.blobs.Put(ctx, key, bytes.NewReader(data), ports.PutOptions{Size: -1}); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, key+".jpg"), data, 0o600); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "pipeline %s; pictures: JPEG of 6 megapixels (%.1f MB) and of 24 (%.1f MB), thumbnails 200 pixels high\n",
		b.pipeline, float64(len(small))/1e6, float64(len(large))/1e6)

	for _, p := range []struct {
		key, name string
		size      int
	}{{"tiny", "16 × 16 pixels, so next to no resizing", len(tiny)}, {"small", "6 megapixels", len(small)}} {
		var cold, warm []time.Duration
		for range n {
			b.lambda.Recycle()
			for _, into := range []*[]time.Duration{&cold, &warm} {
				d, err := b.call(ctx, p.key, int64(p.size))
				if err != nil {
					return err
				}
				*into = append(*into, d)
			}
		}
		fmt.Fprintf(out, "%s: no environment to first thumbnail %s, warm %s (medians of %d)\n", p.name, round(median(cold)), round(median(warm)), n)
	}
	if err := beside(ctx, out, b, filepath.Join(dir, "small.jpg"), int64(len(small)), n); err != nil {
		return err
	}

	b.lambda.Recycle()
	if _, err := b.call(ctx, "large", int64(len(large))); err != nil {
		return err
	}
	for _, pid := range b.lambda.Pids() {
		peak, err := peakMemory(pid)
		if err != nil {
			fmt.Fprintf(out, "peak memory: skipped: %v\n", err)
			continue
		}
		fmt.Fprintf(out, "peak memory of the function on 24 megapixels: %d MiB\n", peak>>20)
	}
	return nil
}

// ask finds the function's pipeline out: it names it when a job is for another one.
func (b *bench) ask(ctx context.Context) (string, error) {
	err := b.resizer.ResizeStored(ctx, ports.StoredJob{Source: "none", Size: 1, Pipeline: "none", Thumbnails: []ports.StoredThumbnail{{Height: 1, Key: "x"}}})
	if err == nil {
		return "", fmt.Errorf("the function does a job of any pipeline")
	}
	parts := strings.Split(err.Error(), `"`)
	if len(parts) < 4 {
		return "", fmt.Errorf("the function does not tell its pipeline (give it by -pipeline): %w", err)
	}
	return parts[3], nil
}

func (b *bench) call(ctx context.Context, source string, size int64) (time.Duration, error) {
	b.jobs++
	job := ports.StoredJob{Source: source, Size: size, Pipeline: b.pipeline, Thumbnails: []ports.StoredThumbnail{{Height: 200, Key: fmt.Sprintf("thumbnails/%d", b.jobs)}}}
	began := time.Now()
	err := b.resizer.ResizeStored(ctx, job)
	return time.Since(began), err
}

// beside measures warm calls and Pillow's work in turns, so that both see the same machine.
func beside(ctx context.Context, out io.Writer, b *bench, path string, size int64, n int) error {
	cmd := exec.CommandContext(ctx, python, "-c", pillow)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(answers)
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(out, "beside Pillow: skipped: %v\n", err)
		return in.Close()
	}
	if !lines.Scan() {
		fmt.Fprintf(out, "beside Pillow: skipped: %s has no Pillow (apt-get install python3-pil)\n", python)
		_ = in.Close()
		_ = cmd.Wait()
		return nil
	}
	version := lines.Text()
	var ours, theirs []time.Duration
	for range n + 1 {
		d, err := b.call(ctx, "small", size)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(in, "%s %s 200\n", path, path+".out"); err != nil {
			return err
		}
		if !lines.Scan() {
			return fmt.Errorf("pillow ended: %w", lines.Err())
		}
		s, err := strconv.ParseFloat(lines.Text(), 64)
		if err != nil {
			return err
		}
		ours, theirs = append(ours, d), append(theirs, time.Duration(s*float64(time.Second)))
	}
	_ = in.Close()
	_ = cmd.Wait()
	a, p := median(ours[1:]), median(theirs[1:])
	fmt.Fprintf(out, "warm, the call included: %s; the same work by Pillow %s without any call: %s; ratio %.2f\n", round(a), version, round(p), float64(a)/float64(p))
	return nil
}

// picture is a JPEG with some structure and some noise, as a photograph has.
func picture(w, h int) []byte {
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

func median(list []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

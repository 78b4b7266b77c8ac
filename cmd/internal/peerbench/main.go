// Command peerbench measures the native resizer against others on real
// photographs and prints a table: CPU time (user and system) of candidates that
// take turns, medians over rounds, and ratios, because a time alone says little
// on a machine that does other things too; peak memory; PSNR and SSIM. It does so
// for each height, since what is cheap at 200 px need not be at 1080.
//
// run.sh beside it installs the peers, prepares the pictures and calls it.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	_ "image/gif" // for the plain candidate and for the reference
	"image/jpeg"
	_ "image/png"
	"log"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"

	"github.com/anthonynsimon/bild/transform"
	_ "golang.org/x/image/webp"

	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func main() {
	log.SetFlags(0)
	once := flag.String("once", "", "run this candidate in this process: ours, all, inspect, bild, std; then FILE HEIGHT COUNT OUT")
	profile := flag.String("cpuprofile", "", "with -once: write a CPU profile to this file")
	dir := flag.String("dir", "", "folder with the prepared pictures, the libvips loop and pillow.py's folder linked in")
	rounds := flag.Int("rounds", 5, "rounds of which the medians are taken")
	heights := flag.String("heights", "200,400,1080", "heights in pixels, a table each")
	quick := flag.Bool("quick", false, "only libvips beside, two rounds of fewer repetitions")
	only := flag.String("only", "", "only pictures whose name contains this")
	flag.Parse()
	if *once != "" {
		if err := child(*once, *profile, flag.Args()); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	b := bench{dir: *dir, rounds: *rounds, repetitions: 8, only: *only, quick: *quick}
	if b.quick {
		b.rounds, b.repetitions = 2, 3
	}
	err := b.run(ctx, *heights)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// cpuMS is the CPU time of a process so far, in milliseconds.
func cpuMS(who int) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(who, &r); err != nil {
		log.Fatal(err)
	}
	return float64(r.Utime.Sec+r.Stime.Sec)*1e3 + float64(r.Utime.Usec+r.Stime.Usec)/1e3
}

// peakKiB is the greatest resident size of this process. (Not getrusage's, which a
// child inherits from its parent.)
func peakKiB() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		log.Fatal(err)
	}
	return n
}

// child makes COUNT thumbnails and prints the mean CPU time and the peak memory.
func child(candidate, profile string, args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("want FILE HEIGHT COUNT OUT")
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	height, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	thumbnail, err := maker(candidate, height)
	if err != nil {
		return err
	}
	if count > 1 { // warm up
		if _, err := thumbnail(data); err != nil {
			return err
		}
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	begin := cpuMS(syscall.RUSAGE_SELF)
	var out []byte
	for range count {
		if out, err = thumbnail(data); err != nil {
			return err
		}
	}
	fmt.Println((cpuMS(syscall.RUSAGE_SELF)-begin)/float64(count), peakKiB())
	return os.WriteFile(args[3], out, 0o644)
}

func maker(candidate string, height int) (func([]byte) ([]byte, error), error) {
	ctx := context.Background()
	switch candidate {
	case "ours", "all", "inspect":
		r, err := nativeresizer.New(nativeresizer.Options{})
		if err != nil {
			return nil, err
		}
		heights := []int{height}
		if candidate == "all" {
			heights = usual
		}
		return func(data []byte) ([]byte, error) {
			if candidate == "inspect" {
				_, err := r.Inspect(ctx, bytes.NewReader(data), ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: domain.NoLimit}})
				return nil, err
			}
			t, err := r.Resize(ctx, bytes.NewReader(data), ports.ResizeRequest{Heights: heights})
			if err != nil {
				return nil, err
			}
			return t[0].Data, nil
		}, nil
	case "bild", "std":
		return func(data []byte) ([]byte, error) {
			m, _, err := image.Decode(bytes.NewReader(data))
			if err != nil || candidate == "std" {
				return nil, err
			}
			w, h := domain.ThumbnailSize(m.Bounds().Dx(), m.Bounds().Dy(), height)
			var b bytes.Buffer
			err = jpeg.Encode(&b, transform.Resize(m, w, h, transform.Lanczos), &jpeg.Options{Quality: ports.ThumbnailQuality})
			return b.Bytes(), err
		}, nil
	}
	return nil, fmt.Errorf("no candidate %q", candidate)
}

// Command peerbench measures the native resizer against others on real
// photographs and prints a table: CPU time (user and system) of candidates that
// take turns, medians over rounds, and ratios, because a time alone says little
// on a machine that does other things too; peak memory; PSNR and SSIM.
//
// run.sh beside it installs the peers, prepares the pictures and calls it.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // for the plain candidate
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/anthonynsimon/bild/transform"
	_ "golang.org/x/image/webp" // for the plain candidate

	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func main() {
	log.SetFlags(0)
	once := flag.String("once", "", "run this candidate in this process: ours, ours2, ours3, inspect, bild, std; then FILE HEIGHT COUNT OUT")
	profile := flag.String("cpuprofile", "", "with -once: write a CPU profile to this file")
	dir := flag.String("dir", "", "folder with the prepared pictures, the libvips loop and pillow.py's folder linked in")
	rounds := flag.Int("rounds", 5, "rounds of which the medians are taken")
	only := flag.String("only", "", "only pictures whose name contains this")
	flag.Parse()
	if *once != "" {
		if err := child(*once, *profile, flag.Args()); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := compare(ctx, *dir, *rounds, *only)
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
	case "ours", "ours2", "ours3", "inspect":
		r, err := nativeresizer.New(nativeresizer.Options{})
		if err != nil {
			return nil, err
		}
		heights := []int{height}
		if candidate == "ours2" {
			heights = append(heights, 2*height)
		}
		if candidate == "ours3" {
			heights = []int{200, 400, 1080}
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

// candidate is one way to make a thumbnail. Those in process print their own
// figures; of the others the whole process counts.
type candidate struct {
	name      string
	command   func(file string, height, count int, out string) []string
	inProcess bool
	slow      bool // few repetitions are enough, and few can be had
	jpegOnly  bool
	quality   bool // its thumbnail is compared
}

func candidates(dir, self string) []candidate {
	own := func(name string) func(string, int, int, string) []string {
		return func(file string, height, count int, out string) []string {
			return []string{self, "-once", name, file, strconv.Itoa(height), strconv.Itoa(count), out}
		}
	}
	peer := func(command ...string) func(string, int, int, string) []string {
		return func(file string, height, count int, out string) []string {
			return append(slices.Clone(command), file, strconv.Itoa(height), strconv.Itoa(count), out)
		}
	}
	return []candidate{
		{name: "ours", command: own("ours"), inProcess: true, quality: true},
		{name: "libvips", command: peer(filepath.Join(dir, "loop")), inProcess: true, quality: true},
		{name: "Pillow", command: peer("/usr/bin/python3", filepath.Join(dir, "pillow.py")), inProcess: true, quality: true},
		{name: "std+bild", command: own("bild"), inProcess: true, slow: true, quality: true},
		{name: "std decode", command: own("std"), inProcess: true, slow: true},
		{name: "ours, upload", command: own("inspect"), inProcess: true},
		{name: "ours 400", command: func(file string, height, count int, out string) []string {
			return own("ours")(file, 2*height, count, out)
		}, inProcess: true},
		{name: "ours 200+400", command: own("ours2"), inProcess: true},
		{name: "ours, process", command: own("ours")},
		{name: "vipsthumbnail", command: func(file string, height, _ int, out string) []string {
			return []string{"vipsthumbnail", file, "-s", "x" + strconv.Itoa(height), "-o", out + ".jpg[Q=80,strip]"}
		}},
		{name: "Pillow, process", command: peer("/usr/bin/python3", filepath.Join(dir, "pillow.py"))},
		{name: "djpeg -scale 1/8", command: func(file string, _, _ int, out string) []string {
			return []string{"djpeg", "-scale", "1/8", "-outfile", out, file}
		}, jpegOnly: true},
	}
}

// result is what a candidate took for a picture.
type result struct {
	cpu       []float64 // ms, a round each
	peak      int       // KiB, of a process that makes one thumbnail; 0 if not known
	psnr, mss float64
	failed    bool
}

const height = 200

// present leaves out the candidates that are not installed, and says which.
func present(ctx context.Context, all []candidate) (here []candidate) {
	for _, c := range all {
		command := c.command("", 0, 0, "")
		if _, err := exec.LookPath(command[0]); err != nil {
			fmt.Printf("missing: %s (%v)\n", c.name, err)
			continue
		}
		if strings.HasPrefix(c.name, "Pillow") && exec.CommandContext(ctx, command[0], "-c", "import PIL").Run() != nil {
			fmt.Printf("missing: %s (this Python has no PIL)\n", c.name)
			continue
		}
		here = append(here, c)
	}
	return here
}

func compare(ctx context.Context, dir string, rounds int, only string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "in", "*"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no pictures in %s: run run.sh", filepath.Join(dir, "in"))
	}
	all := present(ctx, candidates(dir, self))
	table := map[string][]result{} // by picture
	var names []string
	for _, file := range files {
		name := filepath.Base(file)
		if !strings.Contains(name, only) {
			continue
		}
		names = append(names, name)
		rs := make([]result, len(all))
		table[name] = rs
		var want *reference
		for i, c := range all {
			if c.jpegOnly && !strings.HasSuffix(file, ".jpg") {
				continue
			}
			out := filepath.Join(dir, "out", name+"."+strings.NewReplacer(" ", "-", "/", "-").Replace(c.name))
			peak, err := measure(ctx, c, file, 1, out)
			if err != nil {
				fmt.Println("failed:", err)
				rs[i].failed = true
				continue
			}
			rs[i].peak = peak.peak
			if c.quality {
				if want == nil {
					shown := filepath.Join(dir, "shown", name+".png")
					if _, err := os.Stat(shown); err != nil {
						shown = file
					}
					if want, err = newReference(shown, height); err != nil {
						return err
					}
				}
				if rs[i].psnr, rs[i].mss, err = want.compare(out); err != nil {
					return err
				}
			}
		}
		for range rounds {
			for i, c := range all { // in turn
				if c.jpegOnly && !strings.HasSuffix(file, ".jpg") || c.slow && len(rs[i].cpu) >= 2 || rs[i].failed {
					continue
				}
				count := 8
				switch {
				case !c.inProcess:
					count = 1
				case c.slow:
					count = 1
				}
				m, err := measure(ctx, c, file, count, filepath.Join(dir, "out", "round"))
				if err != nil {
					return err
				}
				rs[i].cpu = append(rs[i].cpu, m.cpu)
			}
		}
	}
	printTable(all, names, table)
	return nil
}

type measured struct {
	cpu  float64
	peak int
}

func measure(ctx context.Context, c candidate, file string, count int, out string) (measured, error) {
	args := c.command(file, height, count, out)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return measured{}, fmt.Errorf("%s on %s: %w: %s", c.name, file, err, stderr.String())
	}
	if !c.inProcess {
		s := cmd.ProcessState
		return measured{cpu: float64((s.UserTime() + s.SystemTime()).Microseconds()) / 1e3}, nil
	}
	var m measured
	_, err = fmt.Sscan(string(stdout), &m.cpu, &m.peak)
	return m, err
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func printTable(all []candidate, names []string, table map[string][]result) {
	w := tabwriter.NewWriter(os.Stdout, 2, 8, 2, ' ', tabwriter.AlignRight)
	row := func(first string, cell func(name string) string) {
		fmt.Fprint(w, first, "\t")
		for _, n := range names {
			fmt.Fprint(w, cell(n), "\t")
		}
		fmt.Fprintln(w)
	}
	head := func(title string) {
		fmt.Fprintln(w)
		row(title, func(n string) string { return n })
	}
	at := func(name string) int { return slices.IndexFunc(all, func(c candidate) bool { return c.name == name }) }
	number := func(format string, v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	head("ms of CPU, median")
	for i, c := range all {
		row(c.name, func(n string) string { return number("%.1f", median(table[n][i].cpu)) })
	}
	head("ratios")
	for _, r := range [][2]string{
		{"ours", "libvips"},
		{"ours", "Pillow"},
		{"ours", "std+bild"},
		{"ours", "std decode"},
		{"ours 200+400", "ours 400"},
		{"ours, process", "vipsthumbnail"},
		{"ours, process", "Pillow, process"},
		{"ours, process", "djpeg -scale 1/8"},
	} {
		a, b := at(r[0]), at(r[1])
		row(r[0]+" / "+r[1], func(n string) string {
			if a < 0 || b < 0 {
				return "-"
			}
			below := median(table[n][b].cpu)
			if below == 0 {
				return "-"
			}
			return fmt.Sprintf("%.3f", median(table[n][a].cpu)/below)
		})
	}
	head("MiB at the peak")
	for i, c := range all {
		if c.inProcess {
			row(c.name, func(n string) string { return number("%.0f", float64(table[n][i].peak)/1024) })
		}
	}
	head("PSNR dB / SSIM")
	for i, c := range all {
		if c.quality {
			row(c.name, func(n string) string {
				if table[n][i].failed {
					return "-"
				}
				return fmt.Sprintf("%.2f/%.4f", table[n][i].psnr, table[n][i].mss)
			})
		}
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("\nmean over the pictures:")
	means := map[string][2]float64{}
	for i, c := range all {
		if !c.quality {
			continue
		}
		var p, s, made float64
		for _, n := range names {
			if r := table[n][i]; !r.failed {
				p, s, made = p+r.psnr, s+r.mss, made+1
			}
		}
		fmt.Printf("  %-10s %.2f dB, SSIM %.4f of %.0f\n", c.name, p/made, s/made, made)
		means[c.name] = [2]float64{p / made, s / made}
	}
	fmt.Println("\nthe goals:")
	goals(names, func(candidate, name string) result {
		if i := at(candidate); i >= 0 {
			return table[name][i]
		}
		return result{}
	}, means)
}

// goals prints, of each goal, the worst picture.
func goals(names []string, of func(candidate, name string) result, means map[string][2]float64) {
	ratio := func(a, b string, v func(result) float64) func(string) float64 {
		return func(name string) float64 {
			if below := v(of(b, name)); below > 0 {
				return v(of(a, name)) / below
			}
			return 0
		}
	}
	cpu := func(r result) float64 { return median(r.cpu) }
	peak := func(r result) float64 { return float64(r.peak) }
	baseline := func(name string) bool {
		return strings.HasSuffix(name, ".jpg") && !strings.Contains(name, "progressive")
	}
	for _, g := range []struct {
		what          string
		is            func(name string) bool
		value         func(name string) float64
		commit, reach float64
	}{
		{"baseline JPEG, CPU against libvips", baseline, ratio("ours", "libvips", cpu), 0.50, 0.33},
		{"progressive JPEG against libvips", func(n string) bool { return strings.Contains(n, "progressive") }, ratio("ours", "libvips", cpu), 0.10, 0.07},
		{"PNG against libvips", func(n string) bool { return strings.HasSuffix(n, ".png") }, ratio("ours", "libvips", cpu), 0.60, 0.40},
		{"WebP against libvips", func(n string) bool { return strings.HasSuffix(n, ".webp") }, ratio("ours", "libvips", cpu), 2, 1},
		{"JPEG against std + bild", func(n string) bool { return strings.HasSuffix(n, ".jpg") }, ratio("ours", "std+bild", cpu), 1.0 / 50, 1.0 / 150},
		{"peak memory, 24 MP JPEG, against libvips", func(n string) bool { return strings.HasPrefix(n, "p24") }, ratio("ours", "libvips", peak), 1.0 / 2, 1.0 / 4},
		{"200 and 400 px from one decode, against 400 alone", func(string) bool { return true }, ratio("ours 200+400", "ours 400", cpu), 1.2, 1.1},
	} {
		var lines []string
		worst := 0.0
		for _, n := range names {
			if v := g.value(n); g.is(n) && v > 0 {
				lines = append(lines, fmt.Sprintf("%s %.3f", n, v))
				worst = max(worst, v)
			}
		}
		if len(lines) == 0 {
			continue
		}
		verdict := "missed"
		switch {
		case worst <= g.reach:
			verdict = "reached"
		case worst <= g.commit:
			verdict = "kept"
		}
		fmt.Printf("  %-50s ≤ %.3f (reach for %.3f): %s; %s\n", g.what, g.commit, g.reach, verdict, strings.Join(lines, ", "))
	}
	ours, vips := means["ours"], means["libvips"]
	if vips == ([2]float64{}) {
		return
	}
	verdict := "missed"
	if ours[0] >= vips[0] && ours[1] >= vips[1] {
		verdict = "kept"
	}
	fmt.Printf("  %-50s not lower: %s; %+.2f dB, %+.4f\n", "PSNR and SSIM against libvips, mean", verdict, ours[0]-vips[0], ours[1]-vips[1])
}

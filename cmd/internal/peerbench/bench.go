package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// usual are the heights that the goals are about, in pixels.
var usual = []int{200, 400, 1080}

// candidate is one way to make a thumbnail. Those in process print their own
// figures; of the others the whole process counts.
type candidate struct {
	name      string
	command   func(file string, height, count int, out string) []string
	inProcess bool
	slow      bool // few repetitions are enough, and few can be had
	jpegOnly  bool
	quality   bool // its thumbnail is compared
	quick     bool // measured by -quick too
	tallest   bool // measured beside the tallest of the usual heights alone
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
		{name: "ours", command: own("ours"), inProcess: true, quality: true, quick: true},
		{name: "libvips", command: peer(filepath.Join(dir, "loop")), inProcess: true, quality: true, quick: true},
		{name: "Pillow", command: peer("/usr/bin/python3", filepath.Join(dir, "pillow.py")), inProcess: true, quality: true},
		{name: "std+bild", command: own("bild"), inProcess: true, slow: true, quality: true},
		{name: "std decode", command: own("std"), inProcess: true, slow: true},
		{name: "ours, upload", command: own("inspect"), inProcess: true},
		{name: "ours, all heights", command: own("all"), inProcess: true, quick: true, tallest: true},
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

// present leaves out the candidates that are not installed, and says which.
func present(ctx context.Context, all []candidate, quick bool) (here []candidate) {
	for _, c := range all {
		if quick && !c.quick {
			continue
		}
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

// result is what a candidate took for a picture at a height.
type result struct {
	cpu       []float64 // ms, a round each
	peak      float64   // MiB, of a process that makes one thumbnail
	psnr, mss float64   // dB; 0 where the quality is not compared
}

// cost is the median of the rounds in ms of CPU, 0 if it was not measured.
func (r result) cost() float64 {
	if len(r.cpu) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(r.cpu))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// bench measures every picture at every height by every candidate.
type bench struct {
	dir         string // with the prepared pictures, libvips' loop and pillow.py
	rounds      int
	repetitions int // of a candidate in process, a round
	only        string
	quick       bool
}

func (b bench) run(ctx context.Context, heights string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(b.dir, "in", "*"))
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return !strings.Contains(filepath.Base(f), b.only) })
	if len(files) == 0 {
		return fmt.Errorf("no pictures in %s: run run.sh", filepath.Join(b.dir, "in"))
	}
	all := present(ctx, candidates(b.dir, self), b.quick)
	var tables []table
	for text := range strings.SplitSeq(heights, ",") {
		height, err := strconv.Atoi(text)
		if err != nil || height < 1 {
			return fmt.Errorf("-heights: %q is not a height in pixels", text)
		}
		t := table{height: height, candidates: all, rows: map[string]map[string]result{}}
		for _, file := range files {
			name := filepath.Base(file)
			row, err := b.picture(ctx, all, file, height)
			if err != nil {
				return err
			}
			t.names, t.rows[name] = append(t.names, name), row
		}
		if err := t.print(); err != nil {
			return err
		}
		tables = append(tables, t)
	}
	printGoals(tables)
	return nil
}

// picture measures one picture at one height, the candidates in turn.
func (b bench) picture(ctx context.Context, all []candidate, file string, height int) (map[string]result, error) {
	name := filepath.Base(file)
	row := map[string]result{}
	var want *reference
	for _, c := range all {
		if c.jpegOnly && !strings.HasSuffix(file, ".jpg") || c.tallest && height != slices.Max(usual) {
			continue
		}
		out := filepath.Join(b.dir, "out", fmt.Sprintf("%s-%d.%s", name, height, strings.NewReplacer(" ", "-", "/", "-").Replace(c.name)))
		_, peak, err := measure(ctx, c, file, height, 1, out)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			fmt.Println("failed:", err)
			continue
		}
		r := result{peak: peak}
		if c.quality {
			if want == nil {
				shown := filepath.Join(b.dir, "shown", name+".png")
				if _, err := os.Stat(shown); err != nil {
					shown = file
				}
				if want, err = newReference(shown, height); err != nil {
					return nil, err
				}
			}
			if r.psnr, r.mss, err = want.compare(out); err != nil {
				return nil, err
			}
		}
		row[c.name] = r
	}
	for range b.rounds {
		for _, c := range all {
			r, ok := row[c.name]
			if !ok || c.slow && len(r.cpu) >= 2 {
				continue
			}
			count := b.repetitions
			if !c.inProcess || c.slow {
				count = 1
			}
			cpu, _, err := measure(ctx, c, file, height, count, filepath.Join(b.dir, "out", "round"))
			if err != nil {
				return nil, err
			}
			r.cpu = append(r.cpu, cpu)
			row[c.name] = r
		}
	}
	return row, nil
}

// measure runs a candidate: CPU in ms a thumbnail, and MiB at the peak of those in process.
func measure(ctx context.Context, c candidate, file string, height, count int, out string) (cpu, peak float64, err error) {
	args := c.command(file, height, count, out)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("%s on %s: %w: %s", c.name, file, err, stderr.String())
	}
	if !c.inProcess {
		s := cmd.ProcessState
		return float64((s.UserTime() + s.SystemTime()).Microseconds()) / 1e3, 0, nil
	}
	var kib float64
	if n, err := fmt.Sscan(string(stdout), &cpu, &kib); n != 2 {
		return 0, 0, errors.Join(fmt.Errorf("%s printed %q", c.name, stdout), err)
	}
	return cpu, kib / 1024, nil
}

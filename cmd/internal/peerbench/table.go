package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is what was measured at one height.
type table struct {
	height     int
	names      []string // of the pictures
	candidates []candidate
	rows       map[string]map[string]result // by picture and candidate
}

// ratio is a's cost over b's for a picture, 0 if either was not measured.
func (t table) ratio(name, a, b string) float64 {
	below := t.rows[name][b].cost()
	if below == 0 {
		return 0
	}
	return t.rows[name][a].cost() / below
}

func (t table) print() error {
	fmt.Printf("\n%d px: ms of CPU (median), MiB at the peak, PSNR dB / SSIM\n", t.height)
	w := tabwriter.NewWriter(os.Stdout, 2, 8, 2, ' ', tabwriter.AlignRight)
	line := func(first string, cell func(c candidate) string) {
		fmt.Fprint(w, first, "\t")
		for _, c := range t.candidates {
			fmt.Fprint(w, cmp.Or(cell(c), "-"), "\t")
		}
		fmt.Fprintln(w)
	}
	for _, part := range []struct {
		title string
		cell  func(c candidate, r result) string
	}{
		{"CPU", func(_ candidate, r result) string { return number("%.1f", r.cost()) }},
		{"memory", func(_ candidate, r result) string { return number("%.0f", r.peak) }},
		{"quality", func(c candidate, r result) string {
			if !c.quality || r.psnr == 0 {
				return ""
			}
			return fmt.Sprintf("%.2f/%.4f", r.psnr, r.mss)
		}},
	} {
		line(part.title, func(c candidate) string { return c.name })
		for _, name := range t.names {
			line(name, func(c candidate) string { return part.cell(c, t.rows[name][c.name]) })
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("%d px: ratios\n", t.height)
	pairs := [][2]string{
		{"ours", "libvips"},
		{"ours", "Pillow"},
		{"ours", "std+bild"},
		{"ours", "std decode"},
		{"ours, all heights", "ours"},
		{"ours, process", "vipsthumbnail"},
		{"ours, process", "Pillow, process"},
		{"ours, process", "djpeg -scale 1/8"},
	}
	fmt.Fprint(w, "\t")
	for _, p := range pairs {
		fmt.Fprint(w, p[0]+" / "+p[1], "\t")
	}
	fmt.Fprintln(w)
	for _, name := range t.names {
		fmt.Fprint(w, name, "\t")
		for _, p := range pairs {
			fmt.Fprint(w, cmp.Or(number("%.3f", t.ratio(name, p[0], p[1])), "-"), "\t")
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// number is empty where nothing was measured.
func number(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// kind is a kind of picture with its goals: CPU against libvips by height.
type kind struct {
	name  string
	is    func(name string) bool
	goals map[int]float64
}

var kinds = []kind{
	{"JPEG, baseline", func(n string) bool { return strings.HasSuffix(n, ".jpg") && !strings.Contains(n, "progressive") }, map[int]float64{200: 0.33, 400: 0.50, 1080: 0.70}},
	{"JPEG, progressive", func(n string) bool { return strings.Contains(n, "progressive") }, map[int]float64{200: 0.07, 400: 0.60, 1080: 0.80}},
	{"PNG, RGB and RGBA", func(n string) bool { return strings.HasSuffix(n, ".png") && !strings.Contains(n, "palette") }, map[int]float64{200: 0.45, 400: 0.50, 1080: 0.70}},
	{"PNG with a palette, GIF", func(n string) bool { return strings.Contains(n, "palette") || strings.HasSuffix(n, ".gif") }, map[int]float64{200: 0.60, 400: 0.70, 1080: 0.80}},
	{"WebP", func(n string) bool { return strings.HasSuffix(n, ".webp") }, map[int]float64{200: 1, 400: 1, 1080: 1}},
}

// printGoals prints each goal beside what was reached, every cell.
func printGoals(tables []table) {
	fmt.Println("\nthe goals:")
	goal := func(what string, limit, reached float64, cells string) {
		verdict := "reached"
		if reached > limit {
			verdict = "missed"
		}
		fmt.Printf("  %-48s ≤ %.2f: %s;%s\n", what, limit, verdict, cells)
	}
	for _, t := range tables {
		for _, k := range kinds {
			worst, cells := 0.0, ""
			for _, name := range t.names {
				if v := t.ratio(name, "ours", "libvips"); k.is(name) && v > 0 {
					worst, cells = max(worst, v), cells+fmt.Sprintf(" %s %.2f", name, v)
				}
			}
			if limit := k.goals[t.height]; limit > 0 && cells != "" {
				goal(fmt.Sprintf("%s at %d px, CPU / libvips", k.name, t.height), limit, worst, cells)
			}
		}
		worst, memory, lower := 0.0, "", ""
		for _, name := range t.names {
			ours, vips := t.rows[name]["ours"], t.rows[name]["libvips"]
			if vips.peak == 0 || ours.peak == 0 {
				continue
			}
			if v := ours.peak / vips.peak; v > 0 {
				worst, memory = max(worst, v), memory+fmt.Sprintf(" %s %.2f", name, v)
			}
			if ours.psnr < vips.psnr || ours.mss < vips.mss {
				lower += fmt.Sprintf(" %s %+.2f dB %+.4f", name, ours.psnr-vips.psnr, ours.mss-vips.mss)
			}
		}
		if memory != "" {
			goal(fmt.Sprintf("memory at %d px / libvips", t.height), 0.5, worst, memory)
			fmt.Printf("  quality below libvips at %d px:%s\n", t.height, cmp.Or(lower, " nowhere"))
		}
		if t.height == slices.Max(usual) {
			worst, cells := 0.0, ""
			for _, name := range t.names {
				if v := t.ratio(name, "ours, all heights", "ours"); v > 0 {
					worst, cells = max(worst, v), cells+fmt.Sprintf(" %s %.2f", name, v)
				}
			}
			goal("200, 400 and 1080 px in one / 1080 alone", 1.15, worst, cells)
		}
	}
}

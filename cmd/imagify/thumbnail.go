package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type thumbnailCmd struct {
	Height []string `help:"Height in pixels, 1 to 4320; repeatable or comma-separated." default:"200"`
	Out    string   `short:"o" help:"A file for one result, otherwise a folder; - for standard output. Default: next to the original." placeholder:"OUT"`
	Force  bool     `help:"Overwrite existing files. Sources and other results of the same run are never overwritten."`
	Files  []string `arg:"" name:"file" help:"Pictures; - for standard input."`
}

func (thumbnailCmd) Help() string {
	return "The format is JPEG, or PNG for pictures with alpha; nothing is enlarged. Results in a folder are named cat-200.jpg.\nOUT is a folder if it ends in /, if it exists as one, or if there are several results.\n\nExamples:\n  imagify thumbnail --height 200,400 -o thumbs/ *.jpg\n  imagify thumbnail -o - - < cat.jpg > small.jpg"
}

func (c thumbnailCmd) Run(p *program) error {
	var heights []int
	for _, text := range c.Height {
		h, err := domain.ParseHeight(text)
		if err != nil {
			return usagef("--height %s: %s", text, message(err))
		}
		if !slices.Contains(heights, h) {
			heights = append(heights, h)
		}
	}
	files := distinct(c.Files)
	results := len(heights) * len(files)
	if c.Out == "-" && results > 1 {
		return usagef("-o -: standard output takes one result, but there are %d", results)
	}
	out, err := c.output(files, results > 1)
	if err != nil {
		return err
	}
	r, err := backends.Config{}.NewResizer()
	if err != nil {
		return err
	}
	bars := p.bars()
	if len(files) < 3 {
		bars.pool = nil
	}
	defer bars.wait()
	all := bars.ofFiles("thumbnails", len(files))
	defer all.done()
	var (
		mu     sync.Mutex
		failed int
		wg     sync.WaitGroup
	)
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, file := range files {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := c.one(p, r, file, out, heights)
			all.advance()
			if err != nil {
				mu.Lock()
				failed++
				mu.Unlock()
				bars.say(file+": "+message(err), true)
			}
		})
	}
	wg.Wait()
	if failed > 0 {
		return fmt.Errorf("%d of %d files failed", failed, len(files))
	}
	return nil
}

// distinct leaves out files that are named again.
func distinct(files []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		key := filepath.Clean(file)
		again := seen[key]
		seen[key] = true
		return again
	})
}

// output is where a run writes to, and what it must not write over.
type output struct {
	folder  string // empty: OUT is a file, or results go beside their sources
	force   bool
	sources []os.FileInfo
}

// output settles where the results go, before any is made. Two sources whose results
// could have the same name are refused: one of them would be lost.
func (c thumbnailCmd) output(files []string, many bool) (output, error) {
	o := output{force: c.Force}
	if c.Out != "" && c.Out != "-" {
		info, err := os.Stat(c.Out)
		isFolder := err == nil && info.IsDir()
		if many || isFolder || os.IsPathSeparator(c.Out[len(c.Out)-1]) {
			if err == nil && !isFolder {
				return o, usagef("-o %s: several results need a folder, but this is a file", c.Out)
			}
			if err := os.MkdirAll(c.Out, 0o755); err != nil {
				return o, fmt.Errorf("-o %s: cannot create the folder: %w", c.Out, fileError(err))
			}
			o.folder = c.Out
		} else if _, err := os.Stat(filepath.Dir(c.Out)); err != nil {
			return o, usagef("-o %s: the folder %s does not exist: create it, or end the name in / to have it created", c.Out, filepath.Dir(c.Out))
		}
	}
	names := map[string]string{}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			o.sources = append(o.sources, info)
		}
		name := o.name(file, "")
		if other, taken := names[name]; taken {
			return o, usagef("%s and %s would both become %s-…: rename one, or give each run a folder of its own with -o", other, file, name)
		}
		names[name] = file
	}
	return o, nil
}

// name is a result's path up to its suffix, which tells height and format.
func (o output) name(file, suffix string) string {
	name, folder := baseName(file)+suffix, filepath.Dir(file)
	if file == "-" {
		name = "stdin" + suffix
	}
	if o.folder != "" {
		folder = o.folder
	}
	return filepath.Join(folder, name)
}

// write writes a result, whole or not at all.
func (o output) write(name string, data []byte) error {
	if info, err := os.Stat(name); err == nil {
		if slices.ContainsFunc(o.sources, func(source os.FileInfo) bool { return os.SameFile(source, info) }) {
			return fmt.Errorf("%s is one of the sources and is never overwritten: choose another -o", name)
		}
	}
	err := writeFile(name, data, o.force)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: remove it, choose another -o, or overwrite it with --force", name)
	}
	return err
}

// one makes all thumbnails of one file, from one decode.
func (c thumbnailCmd) one(p *program, r ports.Resizer, file string, out output, heights []int) (err error) {
	defer recovered(&err)
	thumbs, err := resizeFile(p.ctx, r, p.in, file, heights)
	if err != nil {
		return fileError(err)
	}
	for i, t := range thumbs {
		if c.Out == "-" || c.Out == "" && file == "-" {
			if _, err := p.out.Write(t.Data); err != nil {
				return err
			}
			continue
		}
		name := c.Out
		if c.Out == "" || out.folder != "" {
			name = out.name(file, "-"+strconv.Itoa(heights[i])+t.Format.Extension())
		}
		if err := out.write(name, t.Data); err != nil {
			return err
		}
	}
	return nil
}

func resizeFile(ctx context.Context, r ports.Resizer, stdin io.Reader, file string, heights []int) ([]ports.Thumbnail, error) {
	f, err := openSource(stdin, file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	thumbs, err := r.Resize(ctx, f, ports.ResizeRequest{Heights: heights})
	if err == nil && len(thumbs) != len(heights) {
		err = errors.New("the resizer returned the wrong number of thumbnails")
	}
	return thumbs, err
}

// openSource opens a file, or what standard input gives, whole, in a temporary file that is gone once it is closed.
func openSource(stdin io.Reader, file string) (io.ReadSeekCloser, error) {
	if file != "-" {
		return os.Open(file)
	}
	f, err := os.CreateTemp("", "imagify-stdin-")
	if err != nil {
		return nil, err
	}
	temp := removedFile{f}
	if _, err := io.Copy(f, stdin); err != nil {
		return nil, errors.Join(fmt.Errorf("reading standard input: %w", err), temp.Close())
	}
	return temp, nil
}

// removedFile is a temporary file that is removed when it is closed.
type removedFile struct{ *os.File }

func (f removedFile) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }

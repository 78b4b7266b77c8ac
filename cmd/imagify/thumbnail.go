package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/imagify-api/imagify/cmd/internal/wiring"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type thumbnailCmd struct {
	Height []string `help:"Height in pixels, 1 to 4320; may be repeated." default:"200" sep:"none"`
	Out    string   `short:"o" help:"A file for one result, else a folder; - for standard output. Without it: beside the original." placeholder:"OUT"`
	Files  []string `arg:"" name:"file" help:"Pictures; - for standard input."`
}

func (thumbnailCmd) Help() string {
	return "The format is JPEG, or PNG for pictures with alpha; nothing is enlarged. Results in a folder are named cat-200.jpg.\n\nExamples:\n  imagify thumbnail --height 200 --height 400 -o thumbs/ *.jpg\n  imagify thumbnail -o - - < cat.jpg > small.jpg"
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
	many := len(heights)*len(c.Files) > 1
	if c.Out == "-" && many {
		return usagef("-o -: standard output takes one result, there are %d", len(heights)*len(c.Files))
	}
	folder, err := c.folder(many)
	if err != nil {
		return err
	}
	r, err := wiring.NewResizer()
	if err != nil {
		return err
	}
	bars := p.bars()
	if len(c.Files) < 3 {
		bars.pool = nil
	}
	defer bars.wait()
	all := bars.ofFiles("thumbnails", len(c.Files))
	defer all.done()
	var (
		mu     sync.Mutex
		failed int
		wg     sync.WaitGroup
	)
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, file := range c.Files {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := c.one(p, r, file, folder, heights)
			all.advance()
			if err != nil {
				mu.Lock()
				failed++
				mu.Unlock()
				bars.say(file+": "+message(fileError(err)), true)
			}
		})
	}
	wg.Wait()
	if failed > 0 {
		return fmt.Errorf("%d of %d files failed", failed, len(c.Files))
	}
	return nil
}

// folder returns where results go: empty if OUT is a file, or there is none.
func (c thumbnailCmd) folder(many bool) (string, error) {
	if c.Out == "" || c.Out == "-" {
		return "", nil
	}
	info, err := os.Stat(c.Out)
	isFolder := err == nil && info.IsDir()
	if !many && !isFolder && !os.IsPathSeparator(c.Out[len(c.Out)-1]) {
		return "", nil
	}
	if err == nil && !isFolder {
		return "", usagef("-o %s: several results need a folder, this is a file", c.Out)
	}
	return c.Out, os.MkdirAll(c.Out, 0o755)
}

// one makes all thumbnails of one file, from one decode.
func (c thumbnailCmd) one(p *program, r ports.Resizer, file, folder string, heights []int) error {
	thumbs, err := resizeFile(p.ctx, r, p.in, file, heights)
	if err != nil {
		return err
	}
	for i, t := range thumbs {
		name := baseName(file)
		if file == "-" {
			name = "stdin"
		}
		name += "-" + strconv.Itoa(heights[i]) + t.Format.Extension()
		switch {
		case c.Out == "-" || c.Out == "" && file == "-":
			if _, err := p.out.Write(t.Data); err != nil {
				return err
			}
			continue
		case folder != "":
			name = filepath.Join(folder, name)
		case c.Out != "":
			name = c.Out
		default:
			name = filepath.Join(filepath.Dir(file), name)
		}
		if err := writeFile(name, t.Data); err != nil {
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
		err = errors.New("the resizer gave another number of thumbnails")
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

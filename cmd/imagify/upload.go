package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

type uploadCmd struct {
	Server   string   `help:"The server's address." default:"http://127.0.0.1:8080" env:"IMAGIFY_SERVER"`
	Token    string   `help:"An API token; better given as IMAGIFY_TOKEN." env:"IMAGIFY_TOKEN"`
	Parallel int      `short:"j" help:"Number of files to upload at once." default:"4"`
	JSON     bool     `name:"json" help:"Print one JSON object per file."`
	Files    []string `arg:"" name:"file" help:"Pictures to upload."`
}

func (uploadCmd) Help() string {
	return "If the response to an upload is lost, the file is sent again and still makes one image.\n\nExample:\n  IMAGIFY_TOKEN=imgf_… imagify upload --server https://img.example.org holiday/*.jpg"
}

// uploaded is what became of one file.
type uploaded struct {
	File  string `json:"file"`
	ID    string `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
}

// uploadTries bounds how often one file is sent.
const uploadTries = 5

func (c uploadCmd) Run(p *program) error {
	base, err := url.Parse(c.Server)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return usagef("--server %s: write it like https://img.example.org", c.Server)
	}
	if c.Token == "" {
		return usagef("a token is needed: set --token or IMAGIFY_TOKEN ('imagify token create' creates one)")
	}
	if c.Parallel < 1 || c.Parallel > 64 {
		return usagef("--parallel must be from 1 to 64")
	}
	bars := p.bars()
	defer bars.wait()
	target := strings.TrimRight(base.String(), "/") + "/v1/images"
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: c.Parallel, ResponseHeaderTimeout: 2 * time.Minute,
	}}
	var (
		mu     sync.Mutex
		failed int
		wg     sync.WaitGroup
	)
	slots := make(chan struct{}, c.Parallel)
	for _, file := range c.Files {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			id, err := c.send(p.ctx, client, target, file, bars)
			u := uploaded{File: file, ID: id}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				u.Error = err.Error()
			}
			bars.say(c.line(u), err != nil)
		})
	}
	wg.Wait()
	if failed > 0 {
		return fmt.Errorf("%d of %d files were not uploaded", failed, len(c.Files))
	}
	return nil
}

func (c uploadCmd) line(u uploaded) string {
	switch {
	case c.JSON:
		b, _ := json.Marshal(u) // strings: cannot fail
		return string(b)
	case u.Error != "":
		return u.File + ": " + u.Error
	}
	return u.File + " " + u.ID
}

// send uploads one file, again where trying again helps: the same key makes it one image.
func (c uploadCmd) send(ctx context.Context, client *http.Client, target, file string, bars *bars) (id string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fileError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fileError(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a file")
	}
	bar := bars.ofBytes(filepath.Base(file), info.Size())
	defer bar.done()
	key := rand.Text()
	for try := 1; ; try++ {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return "", fileError(err)
		}
		bar.restart()
		var again time.Duration
		id, again, err = c.once(ctx, client, target, file, key, bar.reader(f), info.Size())
		if err == nil || again == 0 || try == uploadTries {
			return id, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(max(again, time.Duration(try*try)*200*time.Millisecond)):
		}
	}
}

// fileError leaves out what the line about the file says already.
func fileError(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// once sends the file once; a positive again says that trying again after it may help.
func (c uploadCmd) once(ctx context.Context, client *http.Client, target, file, key string, body io.Reader, size int64) (id string, again time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, io.NopCloser(body))
	if err != nil {
		return "", 0, err
	}
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Content-Type", "image/*") // the server decides by content
	req.Header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filepath.Base(file)}))
	req.Header.Set("Idempotency-Key", key)
	res, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return "", time.Millisecond, fmt.Errorf("the server cannot be reached: %w", err)
	}
	defer res.Body.Close()
	var answer struct{ ID, Title, Detail string }
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil {
		answer.Title = "the server answered " + res.Status
	}
	if res.StatusCode == http.StatusCreated && answer.ID != "" {
		return answer.ID, 0, nil
	}
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusConflict || res.StatusCode >= 500 {
		again = time.Millisecond
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
			again = min(max(time.Duration(s)*time.Second, again), time.Minute)
		}
	}
	if answer.Detail == "" {
		answer.Detail = answer.Title
	}
	return "", again, errors.New(answer.Detail)
}

// bars are the progress bars of several files, where standard error is a
// terminal; elsewhere they show nothing and only the lines are printed.
type bars struct {
	p    *program
	mu   sync.Mutex
	pool *mpb.Progress // nil: no terminal
}

func (p *program) bars() *bars {
	b := &bars{p: p}
	if f, ok := p.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.pool = mpb.NewWithContext(p.ctx, mpb.WithOutput(f), mpb.WithAutoRefresh(), mpb.WithWidth(48))
	}
	return b
}

func (b *bars) wait() {
	if b.pool != nil {
		b.pool.Wait()
	}
}

// say prints a line, above the bars if there are any.
func (b *bars) say(line string, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	to := b.p.out
	if failed {
		to = b.p.err
	}
	if b.pool != nil {
		if f, ok := to.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			to = b.pool
		}
	}
	fmt.Fprintln(to, line)
}

// bar is one file's; all its methods do nothing where there is no terminal.
type bar struct{ b *mpb.Bar }

// ofBytes is a bar that is as long as a file, ofFiles one that is as long as their number.
func (b *bars) ofBytes(name string, size int64) bar {
	return b.add(name, size, decor.CountersKibiByte("% .1f / % .1f"))
}

func (b *bars) ofFiles(name string, n int) bar {
	return b.add(name, int64(n), decor.CountersNoUnit("%d / %d"))
}

func (b *bars) add(name string, total int64, counters decor.Decorator) bar {
	if b.pool == nil {
		return bar{}
	}
	return bar{b.pool.AddBar(total,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name, decor.WC{W: 28, C: decor.DindentRight | decor.DextraSpace}), counters),
		mpb.AppendDecorators(decor.Percentage()),
	)}
}

func (b bar) reader(r io.Reader) io.Reader {
	if b.b == nil {
		return r
	}
	return b.b.ProxyReader(r)
}

func (b bar) restart() {
	if b.b != nil {
		b.b.SetCurrent(0)
	}
}

func (b bar) advance() {
	if b.b != nil {
		b.b.Increment()
	}
}

func (b bar) done() {
	if b.b != nil {
		b.b.Abort(true)
	}
}

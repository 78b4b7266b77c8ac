package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// memoryLimit is the address space of a test with a mutant, in KiB: one that eats memory ends there.
const memoryLimit = 16 << 20

// testOf is a test without mutants: how long it takes, and which mutants it reaches.
type testOf struct {
	name    string
	took    time.Duration
	reaches map[int]bool
}

// baseline is a package's test binary, and its tests, the quickest first.
type baseline struct {
	p      *pkg
	binary string
	tests  []testOf
}

// baseline builds the package's tests with all mutants in them, off, and runs each alone.
func (p *pkg) baseline(ctx context.Context, o options, dir string) (*baseline, error) {
	b := &baseline{p: p, binary: filepath.Join(dir, strings.NewReplacer("/", "_").Replace(p.path)+".test")}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", o.tags, "-vet=off", "-overlay", filepath.Join(dir, "overlay.json"), "-o", b.binary, p.path)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the mutants do not build: %w\n%s", err, out)
	}
	if _, err := os.Stat(b.binary); errors.Is(err, fs.ErrNotExist) {
		return b, nil // no tests: nothing notices anything
	}
	list, err := b.command(ctx, "-test.list", "^(Test|Example)").Output()
	if err != nil {
		return nil, fmt.Errorf("listing the tests: %w", err)
	}
	names := strings.Fields(string(list))
	b.tests = make([]testOf, len(names))
	failed := make([]error, len(names))
	var wg sync.WaitGroup
	slots := make(chan struct{}, o.parallel)
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			reached := filepath.Join(dir, fmt.Sprintf("reached-%s-%d", filepath.Base(b.binary), i))
			cmd := b.command(ctx, "-test.run", "^"+name+"$", "-test.short")
			cmd.Env = append(cmd.Env, "MUTANTS_REACHED="+reached)
			began := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				failed[i] = fmt.Errorf("%s fails without a mutant: %w\n%s", name, err, tail(out))
				return
			}
			b.tests[i] = testOf{name, time.Since(began), readReached(reached)}
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	slices.SortFunc(b.tests, func(x, y testOf) int { return int(x.took - y.took) })
	return b, nil
}

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }

func readReached(path string) map[int]bool {
	out := map[int]bool{}
	data, _ := os.ReadFile(path) // a test that reaches none writes none
	for line := range bytes.Lines(data) {
		if id, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil {
			out[id] = true
		}
	}
	return out
}

func (b *baseline) command(ctx context.Context, args ...string) *exec.Cmd {
	// The shell sets the limit of memory; exec leaves one process to end.
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, memoryLimit), b.binary}, args...)...)
	cmd.Dir, cmd.Env = b.p.dir, os.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// try switches a mutant on for the tests that reach it until one notices.
func (b *baseline) try(ctx context.Context, o options, m *mutant) (reached, noticed bool) {
	for _, t := range b.tests {
		if !t.reaches[m.id] {
			continue
		}
		reached = true
		if b.fails(ctx, o, t, m.id) && !b.fails(ctx, o, t, 0) {
			return true, true // and the test still passes without it
		}
		if ctx.Err() != nil {
			return reached, false
		}
	}
	return reached, false
}

// fails runs a test with a mutant on; 0 is none.
func (b *baseline) fails(ctx context.Context, o options, t testOf, id int) bool {
	limit := max(o.limit, 10*t.took)
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := b.command(timed, "-test.run", "^"+t.name+"$", "-test.short", "-test.failfast")
	cmd.Env = append(cmd.Env, "MUTANT="+strconv.Itoa(id))
	return cmd.Run() != nil && ctx.Err() == nil
}

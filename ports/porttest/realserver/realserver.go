// Package realserver starts the real servers that an adapter is tried on: each on
// a free port of 127.0.0.1, with its files in a temporary folder, stopped with the
// test that started it. Programs are looked for in the project's cache folder
// (`make servers` fills it) and on the PATH; a test whose program is missing skips
// with a line that names it, and fails under CI=true.
package realserver

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 60 * time.Second

// Find returns the path of the first of the named programs that is there: in
// .cache/bin of the module, then on the PATH. Where none is, the test skips, or
// fails under CI=true.
func Find(t testing.TB, names ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("this test starts %s: run it without -short", names[0])
	}
	for _, name := range names {
		if path := filepath.Join(Cache(t), "bin", name); isProgram(path) {
			return path
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if path := filepath.Join("/usr/sbin", name); isProgram(path) { // Debian keeps servers there, outside a user's PATH
			return path
		}
	}
	Missing(t, strings.Join(names, " or "))
	return ""
}

// Missing skips the test because what is not there; under CI=true it fails it.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: 'make servers' installs what the tests start", what)
	}
	t.Skipf("%s is missing: 'make servers' installs what the tests start", what)
}

// Cache is the module's .cache folder, into which `make servers` installs.
func Cache(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return filepath.Join(dir, ".cache")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			err = errors.New("no go.mod above the test's folder")
		}
		dir = parent
	}
	t.Fatal(err)
	return ""
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// FreeAddr is 127.0.0.1 with a port that is free now, as host:port. The ports are
// given below the system's ephemeral range, so that no client's connection takes
// one before the server does.
func FreeAddr(t testing.TB) string {
	t.Helper()
	nextPort.Lock()
	defer nextPort.Unlock()
	for range 2000 {
		if nextPort.n == 0 {
			nextPort.n = 10000 + os.Getpid()*37%20000
		}
		nextPort.n++
		if nextPort.n >= 32000 {
			nextPort.n = 10000
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", nextPort.n))
		if err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port on 127.0.0.1")
	return ""
}

var nextPort struct {
	sync.Mutex
	n int
}

// Process is a server under test.
type Process struct {
	name, path string
	args, env  []string
	dir        string
	ready      func() error

	cmd  *exec.Cmd
	done chan struct{}
	out  *tail
}

// Start starts the program in dir, waits until ready returns nil, and stops it at
// the test's end. env is added to the test's own environment.
func Start(t testing.TB, dir string, env []string, ready func() error, path string, args ...string) *Process {
	t.Helper()
	p := &Process{name: filepath.Base(path), path: path, args: args, env: env, dir: dir, ready: ready, out: &tail{}}
	t.Cleanup(p.Kill)
	p.Restart(t)
	return p
}

// Restart starts the process again on the same files and address, and waits until it is ready.
func (p *Process) Restart(t testing.TB) {
	t.Helper()
	p.Kill()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = p.out, p.out
	// A server must not outlive a test that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := startLocked(cmd); err != nil {
		t.Fatalf("%s does not start: %v", p.name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	deadline := time.Now().Add(startTimeout)
	for {
		err := p.ready()
		if err == nil {
			return
		}
		select {
		case <-done:
			t.Fatalf("%s ended at its start:\n%s", p.name, p.out)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready after %s: %v\n%s", p.name, startTimeout, err, p.out)
		}
	}
}

// Kill ends the process at once (SIGKILL) and waits until it is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop asks the process to end (SIGTERM) and waits until it is gone.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

// Pause stops the process from running (SIGSTOP) until Resume: a server that hangs.
func (p *Process) Pause() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT) }

// Pid is the id of the running process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is the end of what the process printed, over all of its starts.
func (p *Process) Output() string { return p.out.String() }

func (p *Process) end(sig syscall.Signal) {
	if p.cmd == nil {
		return
	}
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, sig)
	<-p.done
}

// Dialed is a ready function for a server that is ready as soon as it accepts connections.
func Dialed(addr string) func() error {
	return func() error {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// tail keeps the last 16 KiB written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - 16<<10; over > 0 {
		t.b = bytes.Clone(t.b[over:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

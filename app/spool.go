package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// spoolPrefix begins the name of a process's own folder in the spool, and spoolLock
	// names the file in it that the process holds locked for as long as it lives.
	spoolPrefix = "imagify-spool-"
	spoolLock   = "lock"
	// spoolStep is how much room an upload asks for at a time, in bytes: what a client has only
	// announced takes no room from others.
	spoolStep = 1 << 20
	// abandonedAfter is when a folder without a lock, which a process was about to make,
	// counts as left behind.
	abandonedAfter = time.Hour
)

// spool is where uploads wait until they are whole. It is a folder of this process's own
// within the folder that is configured, which several processes may share. What a process
// that died has left there is removed by the next one that opens the spool.
type spool struct {
	parent  string
	minFree int64
	// disks are further folders to whose file systems uploads go at last.
	disks []string

	mu       sync.Mutex
	dir      string   // empty until it is opened
	lock     *os.File // held while the process lives; nil where there are no locks
	unstored int64    // bytes that uploads under way were promised, written or not
	unspool  int64    // of these, the bytes that are not in the spool yet
}

func newSpool(dir string, minFree int64, disks []string) *spool {
	if dir == "" {
		dir = os.TempDir()
	}
	return &spool{parent: dir, minFree: minFree, disks: disks}
}

// open makes the process's own folder unless there is one.
func (s *spool) open() (dir string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		if _, err := os.Lstat(s.dir); err == nil {
			return s.dir, nil
		}
		s.closeLocked() // somebody has cleaned up
	}
	if err := os.MkdirAll(s.parent, 0o700); err != nil {
		return "", noSpool(err)
	}
	sweepSpool(s.parent)
	dir, err = os.MkdirTemp(s.parent, spoolPrefix) // mode 0700
	if err != nil {
		return "", noSpool(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, spoolLock), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = tryLock(f)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", noSpool(err)
	}
	s.dir, s.lock = dir, f
	return dir, nil
}

// sweepSpool removes the folders of processes that are no more.
func sweepSpool(parent string) {
	left, _ := filepath.Glob(filepath.Join(escapeGlob(parent), spoolPrefix+"*"))
	for _, dir := range left {
		f, err := os.OpenFile(filepath.Join(dir, spoolLock), os.O_RDWR, 0)
		if err != nil {
			if info, serr := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && serr == nil && time.Since(info.ModTime()) > abandonedAfter {
				_ = os.RemoveAll(dir)
			}
			continue
		}
		if free, err := tryLock(f); err == nil && free {
			_ = os.RemoveAll(dir)
		}
		_ = f.Close()
	}
}

// escapeGlob makes a pattern that matches a path and nothing else.
func escapeGlob(path string) string {
	var b []rune
	for _, r := range path {
		if r == '*' || r == '?' || r == '[' || r == '\\' && filepath.Separator != '\\' {
			b = append(b, '\\')
		}
		b = append(b, r)
	}
	return string(b)
}

// close removes the folder. Call it after the last upload.
func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked()
}

func (s *spool) closeLocked() {
	if s.dir == "" {
		return
	}
	_ = os.RemoveAll(s.dir)
	if s.lock != nil {
		_ = s.lock.Close()
	}
	s.dir, s.lock = "", nil
}

// CheckSpool reports whether uploads could be taken with a Config's SpoolDir, Caps and Disks.
func CheckSpool(c Config) error {
	if c.Caps.MinFree == 0 {
		c.Caps.MinFree = DefaultCaps().MinFree
	}
	s := newSpool(c.SpoolDir, c.Caps.MinFree, c.Disks)
	defer s.close()
	return s.check()
}

// check reports whether an upload could begin now.
func (s *spool) check() error {
	f, err := s.create(0)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte{0})
	return errors.Join(err, f.Close())
}

// promise takes n bytes of room, where the reserve is left untouched by it.
func (s *spool) promise(dir string, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(dir, s.unspool+n); err != nil {
		return err
	}
	for _, d := range s.disks {
		if sameDisk(dir, d) {
			continue // what is in the spool is renamed
		}
		if err := s.room(d, s.unstored+n); err != nil {
			return err
		}
	}
	s.unspool += n
	s.unstored += n
	return nil
}

// taken reports whether a store on the spool's disk will take a file over, so that it is worth
// to sync it soon.
func (s *spool) taken(f *spoolFile) bool {
	return slices.ContainsFunc(s.disks, func(d string) bool { return sameDisk(f.dir, d) })
}

// room refuses to take n bytes where less than the reserve would be left. A folder that is not
// there yet, or cannot be asked, refuses nothing: writing to it will tell.
func (s *spool) room(dir string, n int64) error {
	free, err := freeBytes(dir)
	if err != nil || s.minFree < 0 || free-n >= s.minFree {
		return nil //nolint:nilerr // see above
	}
	return noRoom(fmt.Errorf("%d bytes are free in %s, %d more are wanted, and %d must be left (IMAGIFY_MIN_FREE)", free, dir, n, s.minFree))
}

func (s *spool) give(unspool, unstored int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unspool -= unspool
	s.unstored -= unstored
}

// noRoomRetry is when it may be worth to try again: somebody has to make room.
const noRoomRetry = time.Minute

// noRoom refuses an upload for want of disk space. The reason is public, the figures are for the log.
func noRoom(cause error) error {
	e := domain.Wrap(domain.Unavailable, fmt.Errorf("the spool: %w", cause), "there is too little disk space for uploads; everything else works, deleting too")
	e.RetryAfter = noRoomRetry
	return e
}

// noSpool refuses an upload because the folder cannot be written.
func noSpool(cause error) error {
	if isFull(cause) {
		return noRoom(cause)
	}
	e := domain.Wrap(domain.Unavailable, fmt.Errorf("the spool: %w; make the folder writable, or choose another by IMAGIFY_SPOOL", cause), "uploads cannot be taken now; everything else works")
	e.RetryAfter = noRoomRetry
	return e
}

// spoolFile is one upload on its way in. It is a ports.Movable. It must be closed.
type spoolFile struct {
	*os.File
	s        *spool
	dir      string
	promised int64 // bytes of room
	written  int64
	synced   bool
}

var _ ports.Movable = (*spoolFile)(nil)

// create makes an empty file. Where its size is known (else -1) it is refused if there is no room for all of it; what
// is taken of the room is what comes.
func (s *spool) create(size int64) (*spoolFile, error) {
	dir, err := s.open()
	if err != nil {
		return nil, err
	}
	f := &spoolFile{s: s, dir: dir}
	if err := s.promise(dir, max(size, 0)); err != nil {
		return nil, err
	}
	s.give(max(size, 0), max(size, 0))
	if f.File, err = os.CreateTemp(dir, "upload-"); err != nil { // mode 0600
		return nil, noSpool(err)
	}
	return f, nil
}

// grow takes room for n bytes more.
func (f *spoolFile) grow(n int64) error {
	if err := f.s.promise(f.dir, n); err != nil {
		return err
	}
	f.promised += n
	return nil
}

// Write adds to the file, having taken the room for it.
func (f *spoolFile) Write(p []byte) (int, error) {
	if more := f.written + int64(len(p)) - f.promised; more > 0 {
		if err := f.grow(max(more, spoolStep)); err != nil {
			return 0, err
		}
	}
	n, err := f.File.Write(p)
	f.written += int64(n)
	f.s.give(int64(n), 0)
	if err != nil {
		return n, noSpool(err)
	}
	return n, nil
}

// Path implements ports.Movable.
func (f *spoolFile) Path() string { return f.Name() }

// Synced implements ports.Movable.
func (f *spoolFile) Synced() bool { return f.synced }

// Sync makes what was written durable. Nothing is written afterwards.
func (f *spoolFile) Sync() error {
	err := f.File.Sync()
	f.synced = err == nil
	return err
}

// Close removes the file, unless it was moved, and gives its room back.
func (f *spoolFile) Close() error {
	err := f.File.Close()
	if rerr := os.Remove(f.Name()); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	f.s.give(f.promised-f.written, f.promised)
	return err
}

// Package fileblob is a ports.Blobs on a folder of files.
//
// A blob is written to a temporary file, synced, and then given its name in one
// step, so a reader or a crash sees all of it or nothing. Everything happens
// within an os.Root: no key, and no symbolic link, leads out of the folder.
package fileblob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// partial is the folder of unfinished writes. No key's path begins with it.
	partial = ".partial~"

	folderMode = 0o700
	fileMode   = 0o600

	// bufferSize is the piece in which blobs are written, in bytes.
	bufferSize = 256 << 10
	// publishAttempts bounds how often a Put makes folders that Deletes take away again.
	publishAttempts = 1000
)

var (
	_ ports.Blobs       = (*Store)(nil)
	_ ports.BlobSweeper = (*Store)(nil)
	_ ports.BlobWalker  = (*Store)(nil)
)

// Store is a ports.Blobs and a ports.BlobSweeper on a folder. Several processes
// may use one folder. The content type is not kept.
type Store struct {
	root    *os.Root
	buffers sync.Pool
	// exclusive makes "not there" and "put it there" one step where the file system has no links.
	exclusive sync.Mutex
	// link is root.Link; a test takes it away.
	link func(from, to string) error
}

// New opens the folder, making it (mode 0700) if it is missing.
func New(dir string) (*Store, error) {
	if dir == "" {
		return nil, errors.New("fileblob: the folder has no name")
	}
	failed := func(err error) error {
		return fmt.Errorf("fileblob: cannot use the folder %s: %w; choose one that can be written, or change its permissions", dir, err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, failed(err)
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, failed(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, failed(err)
	}
	if err := root.Mkdir(partial, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, failed(errors.Join(err, root.Close()))
	}
	s := &Store{root: root, link: root.Link}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	return s, nil
}

// Close closes the folder. Blobs that are open stay readable.
func (s *Store) Close() error { return s.root.Close() }

// Ping reports whether the folder is still there: a disk that was taken away is
// domain.Unavailable, not a store without blobs.
func (s *Store) Ping(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if _, err := s.root.Stat(partial); err != nil {
		return unavailable(err)
	}
	return nil
}

// Put implements ports.Blobs. Besides what the port says, data of another length
// than o.Size is domain.Invalid, and a full or failing disk domain.Unavailable. A body that is a
// ports.Movable on the same file system is renamed into place.
func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if o.Size < 0 {
		return domain.Errorf(domain.Invalid, "a blob's size has to be given")
	}
	p := pathOf(key)
	name := path.Join(p...)
	if o.IfAbsent {
		// Spares the writing; whether the name is free is decided at the end.
		if _, err := s.root.Lstat(name); err == nil {
			return taken()
		}
	}
	temp := path.Join(partial, rand.Text())
	f, synced, err := s.takeOver(body, temp, o.Size)
	if err == nil && f == nil {
		f, err = s.copyIn(ctx, body, temp, o.Size)
	}
	defer s.root.Remove(temp) //nolint:errcheck // renamed, or SweepPartial takes it
	if err != nil {
		return err
	}
	if !synced {
		err = f.Sync()
	}
	if err = fail(errors.Join(err, f.Close())); err == nil {
		err = ended(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.publish(ctx, temp, name, p[:len(p)-1], o.IfAbsent); err != nil {
		return err
	}
	return s.syncFolders(p[:len(p)-1])
}

// takeOver renames the file of a body that may be moved to temp and opens it; nil where
// it cannot be moved, such as from another file system, and has to be copied.
func (s *Store) takeOver(body io.ReadSeeker, temp string, size int64) (f *os.File, synced bool, err error) {
	m, ok := body.(ports.Movable)
	if !ok {
		return nil, false, nil
	}
	from := m.Path()
	given, err := os.Lstat(from)
	if err != nil || !given.Mode().IsRegular() {
		return nil, false, nil //nolint:nilerr // what can still be read is copied
	}
	if given.Size() != size {
		return nil, false, domain.Errorf(domain.Invalid, "there are %d bytes where %d were announced", given.Size(), size)
	}
	// The one path that is not within the root: that it led to where the root is, is looked at.
	if err := os.Rename(from, filepath.Join(s.root.Name(), filepath.FromSlash(temp))); err != nil {
		return nil, false, nil //nolint:nilerr // likewise
	}
	f, err = s.root.OpenFile(temp, os.O_RDWR, fileMode)
	if err != nil {
		return nil, false, fail(err)
	}
	there, err := f.Stat()
	if err == nil && !os.SameFile(given, there) {
		err = errors.New("fileblob: the file that was taken over is another one")
	}
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err != nil {
		return nil, false, fail(errors.Join(err, f.Close()))
	}
	return f, m.Synced(), nil
}

// copyIn copies a body to the file temp.
func (s *Store) copyIn(ctx context.Context, body io.ReadSeeker, temp string, size int64) (*os.File, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("fileblob: read what is to be stored: %w", err)
	}
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, fail(err)
	}
	if err := s.fill(ctx, f, body, size); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// fill copies r into f.
func (s *Store) fill(ctx context.Context, f *os.File, r io.Reader, size int64) error {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	var n int64
	for {
		if err := ended(ctx); err != nil {
			return err
		}
		k, rerr := r.Read(*buf)
		n += int64(k)
		if n > size {
			return domain.Errorf(domain.Invalid, "there are more than the %d bytes announced", size)
		}
		if _, err := f.Write((*buf)[:k]); err != nil {
			return fail(err)
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			return fmt.Errorf("fileblob: read what is to be stored: %w", rerr)
		}
	}
	if n != size {
		return domain.Errorf(domain.Invalid, "there are %d bytes where %d were announced", n, size)
	}
	return nil
}

// publish gives the temporary file its name. A Delete may take the folders away
// again until a file is in them.
func (s *Store) publish(ctx context.Context, temp, name string, folders []string, ifAbsent bool) error {
	for attempt := 1; ; attempt++ {
		err := s.makeFolders(folders)
		if err == nil {
			err = s.rename(temp, name, ifAbsent)
		}
		if !errors.Is(err, fs.ErrNotExist) || attempt == publishAttempts {
			return fail(err)
		}
		if _, serr := s.root.Lstat(temp); serr != nil {
			return fail(serr) // swept away, or the store with it
		}
		if err := ended(ctx); err != nil {
			return err
		}
	}
}

func (s *Store) makeFolders(folders []string) error {
	for i := range folders {
		if err := s.root.Mkdir(path.Join(folders[:i+1]...), folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func (s *Store) rename(temp, name string, ifAbsent bool) error {
	if !ifAbsent {
		return s.root.Rename(temp, name)
	}
	// A link fails where the name exists, whichever process made it.
	err := s.link(temp, name)
	switch {
	case errors.Is(err, fs.ErrExist):
		return taken()
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return err
	}
	// A file system without links: exact among this process's goroutines.
	s.exclusive.Lock()
	defer s.exclusive.Unlock()
	if _, err := s.root.Lstat(name); err == nil {
		return taken()
	}
	return s.root.Rename(temp, name)
}

// syncFolders makes the names on the way to a file durable. Every folder is
// synced each time: one that exists may have been made by a process that died, or
// by another Put that has not come so far; syncing what is clean costs next to nothing.
func (s *Store) syncFolders(folders []string) error {
	for i := len(folders); i >= 0; i-- {
		if err := s.syncFolder(path.Join(folders[:i]...)); err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted since
			return fail(err)
		}
	}
	return nil
}

func (s *Store) syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	if name == "" {
		name = "."
	}
	d, err := s.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open implements ports.Blobs. The body is an *os.File.
func (s *Store) Open(ctx context.Context, key string) (ports.Blob, error) {
	if err := check(ctx, key); err != nil {
		return ports.Blob{}, err
	}
	f, err := s.root.Open(path.Join(pathOf(key)...))
	if errors.Is(err, fs.ErrNotExist) {
		return ports.Blob{}, s.none(ctx)
	}
	if err != nil {
		return ports.Blob{}, fail(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err != nil {
		return ports.Blob{}, fail(errors.Join(err, f.Close()))
	}
	return ports.Blob{Body: f, Size: info.Size(), ModTime: info.ModTime().UTC()}, nil
}

// Delete implements ports.Blobs. Folders that it leaves empty go too.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(ctx, key); err != nil {
			return err
		}
	}
	var parents [][]string // in order, each once if the keys are
	for _, key := range keys {
		if err := ended(ctx); err != nil {
			return err
		}
		p := pathOf(key)
		err := s.root.Remove(path.Join(p...))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		if parent := p[:len(p)-1]; len(parents) == 0 || path.Join(parents[len(parents)-1]...) != path.Join(parent...) {
			parents = append(parents, parent)
		}
	}
	for _, parent := range parents {
		if err := s.leave(parent); err != nil {
			return err
		}
	}
	return nil
}

// SweepPartial implements ports.BlobSweeper. A Put whose temporary file is
// removed under it fails.
func (s *Store) SweepPartial(ctx context.Context, before time.Time, dryRun bool) (int, error) {
	d, err := s.root.OpenRoot(partial)
	if err != nil {
		return 0, unavailable(err)
	}
	defer d.Close() //nolint:errcheck // only read from
	f, err := d.Open(".")
	if err != nil {
		return 0, fail(err)
	}
	defer f.Close()
	n := 0
	for {
		if err := ended(ctx); err != nil {
			return n, err
		}
		names, err := f.Readdirnames(readBatch)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fail(err)
		}
		for _, name := range names {
			info, err := d.Lstat(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // finished meanwhile
			}
			if err != nil {
				return n, fail(err)
			}
			if !info.ModTime().Before(before) {
				continue
			}
			if !dryRun {
				if err := d.Remove(name); err != nil {
					if errors.Is(err, fs.ErrNotExist) {
						continue
					}
					return n, fail(err)
				}
			}
			n++
		}
	}
}

func taken() error { return domain.Errorf(domain.Conflict, "the blob exists already") }

func check(ctx context.Context, key string) error {
	if !ports.ValidKey(key) {
		return domain.Errorf(domain.Invalid, "a blob's key is 1 to %d of the characters a-z 0-9 . _ - and / between elements", ports.MaxKey)
	}
	return ended(ctx)
}

// ended is the error of a context that has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return domain.Wrap(domain.Unavailable, context.Cause(ctx), "the request was given up")
}

// fail gives an error of the file system its code: whatever the kernel refuses (a
// full disk, a read-only one, no permission, too many open files) may be otherwise
// later, and is nobody's fault who sent a request.
func fail(err error) error {
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case domain.CodeOf(err) != domain.Internal:
		return err
	case errors.As(err, &errno):
		return unavailable(err)
	}
	return fmt.Errorf("fileblob: %w", err)
}

func unavailable(err error) error {
	e := domain.Wrap(domain.Unavailable, fmt.Errorf("fileblob: %w", err), "the store does not answer now, try again")
	e.RetryAfter = 5 * time.Second
	return e
}

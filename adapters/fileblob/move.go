package fileblob

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Move implements ports.Blobs by a rename.
func (s *Store) Move(ctx context.Context, from, to string) error {
	for _, key := range []string{from, to} {
		if err := check(ctx, key); err != nil {
			return err
		}
	}
	source, target := pathOf(from), pathOf(to)
	name := path.Join(source...)
	// The time comes before the name: should the process die between the two, a blob
	// that stays where it is looks younger, and none that was moved looks old.
	now := time.Now()
	err := s.root.Chtimes(name, now, now)
	if err == nil {
		err = s.into(ctx, name, target, s.root.Rename)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return s.none(ctx)
	}
	if err != nil {
		return fail(err)
	}
	if err := s.syncFolders(target[:len(target)-1]); err != nil || from == to {
		return err
	}
	// Where both names were one file, as Copy leaves it, a rename does nothing.
	if a, err := s.root.Lstat(name); err == nil {
		if b, err := s.root.Lstat(path.Join(target...)); err == nil && os.SameFile(a, b) {
			if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fail(err)
			}
		}
	}
	return s.leave(source[:len(source)-1])
}

// Copy implements ports.Blobs by a second name of the same file, where the file system
// has such; a blob's file is never written to. What has the name already stays.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	for _, key := range []string{from, to} {
		if err := check(ctx, key); err != nil {
			return err
		}
	}
	name, target := path.Join(pathOf(from)...), pathOf(to)
	if _, err := s.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return s.none(ctx)
	}
	err := s.into(ctx, name, target, s.link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.none(ctx)
	case err == nil || errors.Is(err, fs.ErrExist):
		return s.syncFolders(target[:len(target)-1])
	}
	b, err := s.Open(ctx, from)
	if err != nil {
		return err
	}
	defer b.Body.Close()
	return s.Put(ctx, to, b.Body, ports.PutOptions{Size: b.Size})
}

// into gives a file a name in folders that it makes. A Delete may remove the folders
// again until the file is in them. fs.ErrNotExist: the file is gone.
func (s *Store) into(ctx context.Context, name string, target []string, give func(from, to string) error) error {
	for attempt := 1; ; attempt++ {
		err := s.makeFolders(target[:len(target)-1])
		if err == nil {
			err = give(name, path.Join(target...))
		}
		if !errors.Is(err, fs.ErrNotExist) || attempt == publishAttempts {
			return err
		}
		if _, err := s.root.Lstat(name); err != nil {
			return err
		}
		if err := ended(ctx); err != nil {
			return err
		}
	}
}

// none is the answer where there is no blob; a folder that is unavailable is another thing.
func (s *Store) none(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	return domain.Errorf(domain.NotFound, "no such blob")
}

// leave makes it durable that a name is gone from a folder, and removes the folders
// on the way that are empty now.
func (s *Store) leave(folder []string) error {
	if err := s.syncFolder(path.Join(folder...)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	// It fails if something is in there, or came in this moment: that stays.
	for i := len(folder); i > 0 && s.root.Remove(path.Join(folder[:i]...)) == nil; i-- {
	}
	return nil
}

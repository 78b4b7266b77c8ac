package fileblob

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"time"

	"github.com/imagify-api/imagify/domain"
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
	if errors.Is(err, fs.ErrNotExist) {
		return s.none(ctx)
	}
	if err != nil {
		return fail(err)
	}
	for attempt := 1; ; attempt++ {
		if err = s.makeFolders(target[:len(target)-1]); err == nil {
			err = s.root.Rename(name, path.Join(target...))
		}
		if !errors.Is(err, fs.ErrNotExist) || attempt == publishAttempts {
			break
		}
		if _, serr := s.root.Lstat(name); errors.Is(serr, fs.ErrNotExist) {
			return s.none(ctx) // another was quicker
		}
		if err := ended(ctx); err != nil { // else a Delete removed the folders again
			return err
		}
	}
	if err != nil {
		return fail(err)
	}
	if err := s.syncFolders(target[:len(target)-1]); err != nil || from == to {
		return err
	}
	return s.leave(source[:len(source)-1])
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
	for i := len(folder); i > 0; i-- {
		// It fails if something is in there, or came in this moment: that stays.
		if err := s.root.Remove(path.Join(folder[:i]...)); err != nil {
			break
		}
	}
	return nil
}

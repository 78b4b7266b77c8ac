package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// imagesPrefix begins the keys of all images' blobs.
	imagesPrefix = "images/"
	// trashPrefix stands before the key that a blob in the trash had. Its ModTime is
	// when it came there.
	trashPrefix = "trash/"
	// defaultTrashFor is how long a blob stays in the trash.
	defaultTrashFor = 7 * 24 * time.Hour
	// trashSettles is how long a blob stays in the trash though a record asks for it and
	// it is back where it was: far longer than a sweep, of another copy of the database,
	// may take from seeing the blob in the trash to removing it from its place.
	trashSettles = time.Hour
)

// TrashEntry is a blob in the trash.
type TrashEntry struct {
	// Key is the one that it had, and gets again if it is restored.
	Key  string
	Size int64
	// Since is when it came into the trash, Until when a sweep may remove it for good.
	Since, Until time.Time
}

// Trash gives what is in the trash, by key, for admins.
func (s *Service) Trash(ctx context.Context, actor domain.Actor, each func(TrashEntry) error) error {
	if err := s.requireAdmin(ctx, actor, "trash.list"); err != nil {
		return err
	}
	for b, err := range ports.WalkBlobs(ctx, s.cfg.Blobs, trashPrefix, "", nil) {
		if err != nil {
			return err
		}
		e := TrashEntry{Key: strings.TrimPrefix(b.Key, trashPrefix), Size: b.Size, Since: b.ModTime, Until: b.ModTime.Add(s.cfg.TrashFor)}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// RestoreTrash copies blobs back to where they were, for admins, and reports how many:
// those of the given keys, or all if there are none. A key that ends in a slash means
// all that begin so. A key that is not in the trash is domain.NotFound, before
// anything is copied. What stays in the trash, later sweeps remove.
func (s *Service) RestoreTrash(ctx context.Context, actor domain.Actor, keys ...string) (n int, err error) {
	if err := s.requireAdmin(ctx, actor, "trash.restore"); err != nil {
		return 0, err
	}
	prefixes := []string{trashPrefix}
	if len(keys) > 0 {
		prefixes = nil
		for _, key := range keys {
			prefixes = append(prefixes, trashPrefix+strings.TrimPrefix(key, trashPrefix))
		}
	}
	for i, prefix := range prefixes {
		found, err := s.cfg.Blobs.List(ctx, prefix, "", 1)
		if err != nil {
			return 0, err
		}
		if len(keys) > 0 && (len(found) == 0 || !strings.HasSuffix(prefix, "/") && found[0].Key != prefix) {
			return 0, domain.Errorf(domain.NotFound, "%q is not in the trash: 'imagify sweep --list-trash' shows what is", keys[i])
		}
	}
	for _, prefix := range prefixes {
		for b, err := range ports.WalkBlobs(ctx, s.cfg.Blobs, prefix, "", nil) {
			if err != nil {
				return n, err
			}
			if !strings.HasSuffix(prefix, "/") && b.Key != prefix {
				break
			}
			err := s.cfg.Blobs.Copy(ctx, b.Key, strings.TrimPrefix(b.Key, trashPrefix))
			if err == nil {
				n++
			} else if !errors.Is(err, domain.NotFound) { // else somebody was quicker
				return n, err
			}
		}
	}
	return n, s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		return tx.Record(ctx, s.audit(actor, "trash.restore", strings.Join(keys, ","), nil, map[string]any{"blobs": n}))
	})
}

// EmptyTrash removes for good what is in the trash, whatever its age, for admins; but
// what a record asks for is put back. It refuses as a sweep does where the database
// and the store do not belong together.
func (s *Service) EmptyTrash(ctx context.Context, actor domain.Actor) (SweepReport, error) {
	if err := s.requireAdmin(ctx, actor, "trash.empty"); err != nil {
		return SweepReport{}, err
	}
	r, err := s.leased(ctx, func(ctx context.Context, w *sweeper) error { return w.sweepTrash(ctx, time.Time{}) })
	if err != nil || r.AlreadyBusy {
		return r, err
	}
	return r, s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		return tx.Record(ctx, s.audit(actor, "trash.empty", "", map[string]any{"blobs": r.Purged}, nil))
	})
}

// restoreOriginal gets an image's original out of the trash, if it is there: a sweep
// by an older copy of the database may have put it there. domain.NotFound if it is not.
func (s *Service) restoreOriginal(ctx context.Context, img domain.Image) error {
	key := originalKey(img.OwnerID, img.ID)
	if err := s.cfg.Blobs.Copy(ctx, trashPrefix+key, key); err != nil {
		return err
	}
	s.log.WarnContext(ctx, "an original came back from the trash: another copy of the database has swept this store", "image", img.ID.String())
	// A deletion that ran meanwhile may have looked before the original was back.
	state, err := s.rec.Images.State(ctx, img.OwnerID, img.ID)
	if errors.Is(err, domain.NotFound) || err == nil && state != domain.ImageReady {
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(domain.NoSuchImage(), s.cfg.Blobs.Delete(c, key))
	}
	return err
}

// removeBlobs removes all blobs of an image, the trash's first: one that a reader
// moves back meanwhile is then found where it was moved to.
func (s *Service) removeBlobs(ctx context.Context, ownerID, id domain.ID) error {
	prefix := imagePrefix(ownerID, id)
	for _, p := range []string{trashPrefix + prefix, prefix} {
		if err := s.removeAll(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// removeAll deletes every blob whose key begins with the prefix, in one pass: of a
// store that lists again what was deleted, it does not ask for ever.
func (s *Service) removeAll(ctx context.Context, prefix string) error {
	var keys []string
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := s.cfg.Blobs.Delete(ctx, keys...)
		keys = keys[:0]
		return err
	}
	for b, err := range ports.WalkBlobs(ctx, s.cfg.Blobs, prefix, "", nil) {
		if err != nil {
			return err
		}
		if keys = append(keys, b.Key); len(keys) == sweepBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// trashImage moves all blobs of an image to the trash.
func (s *Service) trashImage(ctx context.Context, ownerID, id domain.ID) error {
	var keys []string
	for b, err := range ports.WalkBlobs(ctx, s.cfg.Blobs, imagePrefix(ownerID, id), "", nil) {
		if err != nil {
			return err
		}
		keys = append(keys, b.Key) // few: an image has an original and a thumbnail for each height
	}
	slices.Reverse(keys) // the original last: while it is there, the image is not half gone
	for _, key := range keys {
		if err := s.cfg.Blobs.Move(ctx, key, trashPrefix+key); err != nil && !errors.Is(err, domain.NotFound) {
			return err
		}
	}
	return nil
}

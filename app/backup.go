package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// backupLease is how long a backup whose process died keeps others out: long enough to
// copy a large database, during which it is not extended.
const backupLease = time.Minute

// BackupTarget is where a backup goes. Its functions are called by one goroutine.
type BackupTarget struct {
	// Copy makes a copy of the database, as it is at one moment, and opens its records.
	// Images that are deleted while their originals are copied are removed from it.
	Copy func(ctx context.Context) (ports.Records, error)
	// Has reports that the target holds the blob already, whole, with this size and
	// SHA-256, and keeps it. A ready image's original never changes.
	Has func(key string, size int64, sum [32]byte) (bool, error)
	// Put stores a blob. Reading body fails where the bytes are not those of the sum.
	Put func(key string, size int64, sum [32]byte, body io.ReadSeeker) error
	// Progress is told the report so far after each image; nil: nobody is.
	Progress func(BackupReport)
	// Commit completes the backup. The records that Copy opened are not used after it is called.
	Commit func(ctx context.Context, r BackupReport) error
}

// BackupReport is what a backup holds.
type BackupReport struct {
	// Installation is the id that the database and the store share.
	Installation domain.ID
	// Of and OfBytes are what the copy of the database names, Images and Bytes what the
	// backup holds of it so far, New how many of them it did not hold before.
	Of, Images, New int
	OfBytes, Bytes  int64
	// Deleted images were there when the database was copied, and gone when their original was.
	Deleted int
	// Missing images are in the database, and the store has lost or damaged their original.
	Missing []domain.ID
	// Busy says that another backup of the installation is under way: nothing was done.
	Busy bool
}

// Backup copies the database and every original to the target, for admins, while others
// upload and delete: each image in the copy has its original there, but for those in
// BackupReport.Missing. Thumbnails are not copied: they are made again. One process backs
// up at a time.
func (s *Service) Backup(ctx context.Context, actor domain.Actor, t BackupTarget) (r BackupReport, err error) {
	if err := s.requireAdmin(ctx, actor, "backup"); err != nil {
		return r, err
	}
	r.Busy, err = s.holding(ctx, "backup", backupLease, func(ctx context.Context, extend func(context.Context) error) error {
		p, err := loadPair(ctx, s.rec, s.cfg.Blobs)
		if err != nil {
			return err
		}
		r.Installation = p.store
		// The database first: an original that it names and that is gone later belongs to an
		// image that was deleted meanwhile, which the live database can tell from a lost one.
		w := &backup{Service: s, BackupTarget: t, r: &r, extend: extend}
		if w.copy, err = t.Copy(ctx); err != nil {
			return err
		}
		if err := w.all(ctx); err != nil {
			return err
		}
		return t.Commit(ctx, r)
	})
	return r, err
}

// backup is one under way.
type backup struct {
	*Service
	BackupTarget
	copy   ports.Records
	r      *BackupReport
	extend func(context.Context) error
}

func (w *backup) all(ctx context.Context) error {
	err := w.each(ctx, func(img domain.Image) error {
		w.r.Of++
		w.r.OfBytes += img.Size
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.copyInstallation(); err != nil {
		return err
	}
	return w.each(ctx, func(img domain.Image) error {
		if err := w.image(ctx, img); err != nil {
			return err
		}
		if w.Progress != nil {
			w.Progress(*w.r)
		}
		return nil
	})
}

// each calls do for every image of the copy.
func (w *backup) each(ctx context.Context, do func(domain.Image) error) error {
	return eachImage(ctx, w.copy.Images, domain.ID{}, domain.ID{}, func(img domain.Image) error {
		if err := errors.Join(ctx.Err(), w.extend(ctx)); err != nil {
			return err
		}
		return do(img)
	})
}

// copyInstallation copies the store's half of the installation's id.
func (w *backup) copyInstallation() error {
	text := installationText(w.r.Installation)
	sum := sha256.Sum256([]byte(text))
	if had, err := w.Has(ports.InstallationKey, int64(len(text)), sum); had || err != nil {
		return err
	}
	return w.Put(ports.InstallationKey, int64(len(text)), sum, strings.NewReader(text))
}

func (w *backup) image(ctx context.Context, img domain.Image) error {
	key := originalKey(img.OwnerID, img.ID)
	had, err := w.Has(key, img.Size, img.SHA256)
	if err != nil {
		return err
	}
	if !had {
		there, err := w.put(ctx, img, key)
		if err != nil || !there {
			return err
		}
		w.r.New++
	}
	w.r.Images++
	w.r.Bytes += img.Size
	return nil
}

// put copies an original, and reports false if there was nothing to copy.
func (w *backup) put(ctx context.Context, img domain.Image, key string) (bool, error) {
	b, err := w.original(ctx, key)
	if errors.Is(err, domain.NotFound) {
		state, err := w.rec.Images.State(ctx, img.OwnerID, img.ID)
		if errors.Is(err, domain.NotFound) || err == nil && state != domain.ImageReady {
			return false, w.removeFromCopy(ctx, img)
		}
		if err != nil {
			return false, err
		}
		// It may have come back from the trash since it was looked for.
		if b, err = w.original(ctx, key); errors.Is(err, domain.NotFound) {
			w.missing(ctx, img, err)
			return false, nil
		} else if err != nil {
			return false, err
		}
	} else if err != nil {
		return false, err
	}
	if b.Size != img.Size {
		w.missing(ctx, img, errors.Join(fmt.Errorf("it has %d bytes where its record says %d", b.Size, img.Size), b.Body.Close()))
		return false, nil
	}
	body := &watched{CheckedBody: ports.NewCheckedBody(b, img.SHA256), goOn: func() error { return errors.Join(ctx.Err(), w.extend(ctx)) }}
	err = w.Put(key, img.Size, img.SHA256, body)
	err = errors.Join(err, body.Close())
	if err != nil && body.failed != nil && ctx.Err() == nil {
		w.missing(ctx, img, body.failed) // the store's fault, not the target's
		return false, nil
	}
	return err == nil, err
}

// original opens an original where it is, or in the trash: another copy of the database may
// have swept it there, and a reader would get it back.
func (w *backup) original(ctx context.Context, key string) (ports.Blob, error) {
	b, err := w.cfg.Blobs.Open(ctx, key)
	if errors.Is(err, domain.NotFound) {
		return w.cfg.Blobs.Open(ctx, trashPrefix+key)
	}
	return b, err
}

func (w *backup) removeFromCopy(ctx context.Context, img domain.Image) error {
	w.r.Deleted++
	now := w.now()
	if err := w.copy.Images.MarkDeleting(ctx, img.OwnerID, img.ID, nil, now); err != nil {
		return fmt.Errorf("remove a deleted image from the copy: %w", err)
	}
	_, err := w.copy.Images.FinishDeletion(ctx, img.OwnerID, img.ID, now)
	return err
}

func (w *backup) missing(ctx context.Context, img domain.Image, cause error) {
	w.r.Missing = append(w.r.Missing, img.ID)
	w.log.ErrorContext(ctx, "an image's original is missing or damaged, the backup is without it", "image", img.ID.String(), "error", cause)
}

// watched is an original on its way: it remembers that reading failed, and asks whether to
// go on, because a large one may take long.
type watched struct {
	*ports.CheckedBody
	goOn   func() error
	failed error
}

func (b *watched) Read(p []byte) (int, error) {
	if err := b.goOn(); err != nil {
		return 0, err
	}
	n, err := b.CheckedBody.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}

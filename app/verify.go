package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// FindingKind says what Verify found.
type FindingKind string

const (
	// FindingMissing is an image whose original is not in the store.
	FindingMissing FindingKind = "missing"
	// FindingDamaged is one whose original has another size or SHA-256 than its record says, or cannot be read.
	FindingDamaged FindingKind = "damaged"
	// FindingOrphan is a blob of an image without a record.
	FindingOrphan FindingKind = "orphan"
	// FindingUsage is a user whose recorded usage does not match their images.
	FindingUsage FindingKind = "usage"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind FindingKind
	// Image and Owner are whose it is; Image is zero for a usage.
	Image, Owner domain.ID
	// Detail says what is wrong.
	Detail string
	// Repaired says that it has been put right.
	Repaired bool
}

// VerifyOptions says what to verify. The zero value is everything, as fast as the store reads.
type VerifyOptions struct {
	// Username restricts it to one user's images; empty: everybody's.
	Username string
	// Rate bounds the bytes of originals that are read in a second; 0: no bound.
	Rate int64
	// Before resumes an interrupted run: only originals of images with a lower id are read.
	Before domain.ID
	// RepairUsage corrects a wrong usage.
	RepairUsage bool
	// Progress is told the report so far after each original; nil: nobody is.
	Progress func(VerifyReport)
}

// VerifyReport counts what Verify did.
type VerifyReport struct {
	Images int
	Bytes  int64 // of originals, read
	// Found is how many things are wrong and not repaired.
	Found int
	// Last is the image that was read last: where to go on, as VerifyOptions.Before.
	Last domain.ID
}

// Verify reads every original again and compares it with its record, looks for blobs without
// a record and for usages that are wrong, and gives what it finds to found, for admins. It
// works beside uploads and deletions. After an error the report says how far it came.
func (s *Service) Verify(ctx context.Context, actor domain.Actor, o VerifyOptions, found func(Finding) error) (VerifyReport, error) {
	w := &verifier{Service: s, VerifyOptions: o, began: time.Now()}
	if err := s.requireAdmin(ctx, actor, "verify"); err != nil {
		return w.r, err
	}
	if o.Rate < 0 {
		return w.r, domain.InvalidField("rate", "range", "must not be negative")
	}
	w.found = func(f Finding) error {
		if !f.Repaired {
			w.r.Found++
		}
		return found(f)
	}
	if err := s.CheckInstallation(ctx); err != nil {
		return w.r, err
	}
	if o.Username != "" {
		u, err := s.userByName(ctx, o.Username)
		if err != nil {
			return w.r, err
		}
		w.owner = u.ID
	}
	for _, step := range []func(context.Context) error{w.originals, w.orphans, w.usages} {
		if err := step(ctx); err != nil {
			return w.r, err
		}
	}
	return w.r, nil
}

type verifier struct {
	*Service
	VerifyOptions
	owner domain.ID // zero: everybody
	found func(Finding) error
	began time.Time
	r     VerifyReport
}

func (w *verifier) originals(ctx context.Context) error {
	return eachImage(ctx, w.rec.Images, w.owner, w.Before, func(img domain.Image) error {
		if err := w.original(ctx, img); err != nil {
			return err
		}
		w.r.Images++
		w.r.Last = img.ID
		if w.Progress != nil {
			w.Progress(w.r)
		}
		return nil
	})
}

func (w *verifier) original(ctx context.Context, img domain.Image) error {
	kind, cause := w.read(ctx, img)
	if cause == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// It may have been deleted since it was listed.
	state, err := w.rec.Images.State(ctx, img.OwnerID, img.ID)
	if errors.Is(err, domain.NotFound) || err == nil && state != domain.ImageReady {
		return nil
	}
	if err != nil {
		return err
	}
	return w.found(Finding{Kind: kind, Image: img.ID, Owner: img.OwnerID, Detail: cause.Error()})
}

// read reads an original to its end, and says what is wrong with it.
func (w *verifier) read(ctx context.Context, img domain.Image) (FindingKind, error) {
	key := originalKey(img.OwnerID, img.ID)
	b, err := w.cfg.Blobs.Open(ctx, key)
	if errors.Is(err, domain.NotFound) {
		if in, err := w.cfg.Blobs.Open(ctx, trashPrefix+key); err == nil {
			_ = in.Body.Close() // it was only looked for
			return FindingMissing, errors.New("its original is in the trash: the next sweep puts it back")
		}
		return FindingMissing, errors.New("its original is not in the storage: restore it from a backup")
	}
	if err != nil {
		return FindingDamaged, fmt.Errorf("its original cannot be opened: %w", cause(err))
	}
	defer b.Body.Close()
	if b.Size != img.Size {
		return FindingDamaged, fmt.Errorf("its original has %d bytes where its record says %d", b.Size, img.Size)
	}
	n, err := io.Copy(io.Discard, struct{ io.Reader }{&bounded{ctx, w, ports.NewCheckedBody(b, img.SHA256)}})
	if err != nil {
		return FindingDamaged, fmt.Errorf("its original after %d bytes: %w", n, cause(err))
	}
	return "", nil
}

// cause is an error's private cause, which says more than what a client is told.
func cause(err error) error {
	if e := domain.AsError(err); e.Err != nil {
		return e.Err
	}
	return err
}

// bounded reads at the verifier's rate.
type bounded struct {
	ctx context.Context
	w   *verifier
	io.Reader
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.w.Rate > 0 {
		due := b.w.began.Add(time.Duration(float64(b.w.r.Bytes) / float64(b.w.Rate) * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-b.ctx.Done():
			case <-time.After(wait):
			}
		}
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.Reader.Read(p)
	b.w.r.Bytes += int64(n)
	return n, err
}

// orphans looks for images' blobs without a record. States are asked for after the blobs
// were listed, and a record outlives its blobs, so none is taken for one by its moment.
func (w *verifier) orphans(ctx context.Context) error {
	sw := &sweeper{Service: w.Service}
	prefix := imagesPrefix
	if !w.owner.IsZero() {
		prefix += w.owner.String() + "/"
	}
	var batch []imageBlob
	flush := func() error {
		if err := sw.judge(ctx, batch); err != nil {
			return err
		}
		for _, b := range batch {
			if b.state != "" {
				continue
			}
			err := w.found(Finding{Kind: FindingOrphan, Image: b.id, Owner: b.owner, Detail: fmt.Sprintf("the blob %s (%d bytes) has no record: a sweep moves it to the trash", b.Key, b.Size)})
			if err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	}
	for b, err := range ports.WalkBlobs(ctx, w.cfg.Blobs, prefix, "", nil) {
		if err != nil {
			return err
		}
		owner, id, ok := imageOfKey(b.Key)
		if !ok {
			continue
		}
		if batch = append(batch, imageBlob{BlobInfo: b, owner: owner, id: id}); len(batch) == sweepBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// usages compares what is counted of each user with what their images are.
func (w *verifier) usages(ctx context.Context) error {
	if !w.owner.IsZero() {
		return w.usage(ctx, w.owner)
	}
	return eachMember(ctx, w.rec.Accounts, "", func(u domain.User) error { return w.usage(ctx, u.ID) })
}

// usageTries is how often the images of a user are added up while uploads and deletions of theirs go on.
const usageTries = 5

func (w *verifier) usage(ctx context.Context, owner domain.ID) error {
	for range usageTries {
		counted, err := w.rec.Images.Usage(ctx, owner)
		if err != nil {
			return err
		}
		var is domain.Usage
		err = eachImage(ctx, w.rec.Images, owner, domain.ID{}, func(img domain.Image) error {
			is.Images++
			is.Bytes += img.Size
			return nil
		})
		if err != nil {
			return err
		}
		again, err := w.rec.Images.Usage(ctx, owner)
		if err != nil {
			return err
		}
		if is == counted {
			return nil
		}
		if again != counted {
			continue // it changed meanwhile
		}
		f := Finding{Kind: FindingUsage, Owner: owner, Detail: fmt.Sprintf("%d images of %d bytes are counted, and there are %d of %d", counted.Images, counted.Bytes, is.Images, is.Bytes)}
		if w.RepairUsage {
			if _, err := w.rec.Images.RecountUsage(ctx, owner); err != nil {
				return err
			}
			f.Repaired = true
		}
		return w.found(f)
	}
	return nil // too busy to be told wrong
}

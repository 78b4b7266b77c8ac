package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// SweepOptions says how to sweep.
type SweepOptions struct {
	// DryRun counts and removes nothing.
	DryRun bool
	// MinAge leaves blobs without a record alone that are younger. The sweep is
	// safe beside uploads at any age, 0 included: a record comes before its blob.
	MinAge time.Duration
}

// SweepReport counts what a sweep removed, or in a dry run would have.
type SweepReport struct {
	Images        int  // deleted or abandoned images whose bytes and records were left
	Users         int  // deleted users
	Blobs         int  // blobs without a record
	Partial       int  // leftovers of interrupted writes
	Links         int  // dead links past their retention
	Sessions      int  // expired
	Missing       int  // ready images whose original is not in the store: reported, never removed
	AlreadyBusy   bool // another node was sweeping: nothing was done
	ImagesChecked int
}

const (
	// sweepLease is how long a sweep whose process died keeps others out: each page extends it.
	sweepLease = 20 * time.Second
	sweepPage  = 100
)

func (s *Service) runSweep(ctx context.Context) {
	t := time.NewTicker(s.cfg.SweepEvery)
	defer t.Stop()
	for {
		r, err := s.sweep(ctx, SweepOptions{MinAge: 15 * time.Minute})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.WarnContext(ctx, "the sweep did not finish", "error", err)
		case r != SweepReport{ImagesChecked: r.ImagesChecked} && !r.AlreadyBusy:
			s.log.InfoContext(ctx, "swept", slog.Any("report", r))
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Sweep removes what no record points at, and records past their time, for
// admins. One node sweeps at a time.
func (s *Service) Sweep(ctx context.Context, actor domain.Actor, o SweepOptions) (SweepReport, error) {
	if err := s.requireAdmin(ctx, actor, "sweep"); err != nil {
		return SweepReport{}, err
	}
	if o.MinAge < 0 {
		return SweepReport{}, domain.InvalidField("min-age", "range", "must not be negative")
	}
	return s.sweep(ctx, o)
}

func (s *Service) sweep(ctx context.Context, o SweepOptions) (r SweepReport, err error) {
	// Leases are judged by the database's clock, also where no Run follows it.
	if err := s.feed.sync(ctx); err != nil {
		return r, err
	}
	holder := s.cfg.NewID().String()
	extend := func() (bool, error) {
		now := s.now()
		return s.rec.Leases.Acquire(ctx, "sweep", holder, now, now.Add(sweepLease))
	}
	if ok, err := extend(); err != nil || !ok {
		return SweepReport{AlreadyBusy: err == nil}, err
	}
	defer func() {
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, s.rec.Leases.Release(c, "sweep", holder))
	}()
	started := s.now()
	for _, step := range []func(context.Context, SweepOptions, time.Time, *SweepReport, func() error) error{
		s.sweepUsers, s.sweepImages, s.sweepBlobs, s.sweepRecords,
	} {
		err := step(ctx, o, started, &r, func() error {
			ok, err := extend()
			if err == nil && !ok {
				err = domain.Errorf(domain.Unavailable, "another node took over the sweep")
			}
			return err
		})
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func (s *Service) sweepUsers(ctx context.Context, o SweepOptions, _ time.Time, r *SweepReport, extend func() error) error {
	if !o.DryRun {
		if err := s.sweepMembers(ctx, extend); err != nil {
			return err
		}
	}
	users, err := s.rec.Users.Deleting(ctx, sweepPage)
	if err != nil {
		return err
	}
	for _, u := range users {
		r.Users++
		if o.DryRun {
			continue
		}
		if err := extend(); err != nil {
			return err
		}
		if err := s.removeUser(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// sweepImages finishes deletions, and uploads whose maker died.
func (s *Service) sweepImages(ctx context.Context, o SweepOptions, now time.Time, r *SweepReport, extend func() error) error {
	var after domain.ID
	for {
		due, err := s.rec.Deletions.Due(ctx, now, after, sweepPage)
		if err != nil || len(due) == 0 {
			return err
		}
		if err := extend(); err != nil {
			return err
		}
		for _, d := range due {
			after = d.ID
			r.Images++
			if o.DryRun {
				continue
			}
			if d.State == domain.ImagePending {
				// The record goes first: a maker that was only slow can then no longer
				// commit an image whose bytes are going.
				ok, err := s.rec.Deletions.Finish(ctx, d.OwnerID, d.ID, s.now())
				if err == nil && ok {
					err = s.removeBlobs(ctx, d.OwnerID, d.ID)
				}
				if err != nil {
					return err
				}
				continue
			}
			if err := s.remove(ctx, d.OwnerID, d.ID); err != nil {
				return err
			}
		}
	}
}

// sweepBlobs walks the store: what belongs to no image goes, and images whose original is not there are counted.
func (s *Service) sweepBlobs(ctx context.Context, o SweepOptions, now time.Time, r *SweepReport, extend func() error) error {
	var (
		after   string
		current string // prefix of the image in hand
		state   domain.ImageState
		known   bool
	)
	for {
		blobs, err := s.cfg.Blobs.List(ctx, "images/", after, sweepPage)
		if err != nil {
			return err
		}
		if len(blobs) == 0 {
			break
		}
		if err := extend(); err != nil {
			return err
		}
		var orphans []string
		for _, b := range blobs {
			after = b.Key
			owner, id, ok := imageOfKey(b.Key)
			if !ok {
				continue // not a key of ours
			}
			if p := imagePrefix(owner, id); p != current {
				current, known = p, true
				r.ImagesChecked++
				state, err = s.rec.Deletions.State(ctx, owner, id)
				if errors.Is(err, domain.NotFound) {
					known = false
				} else if err != nil {
					return err
				}
				if known && state == domain.ImageReady && b.Key != originalKey(owner, id) {
					r.Missing++ // "original" sorts before "thumbnails/"
					s.log.ErrorContext(ctx, "an image's original is missing from the store", "image", id.String())
				}
			}
			if !known && now.Sub(b.ModTime) >= o.MinAge {
				orphans = append(orphans, b.Key)
			}
		}
		r.Blobs += len(orphans)
		if len(orphans) > 0 && !o.DryRun {
			if err := s.cfg.Blobs.Delete(ctx, orphans...); err != nil {
				return err
			}
		}
	}
	if sw, ok := s.cfg.Blobs.(ports.BlobSweeper); ok {
		// A write under way is younger than the longest upload.
		n, err := sw.SweepPartial(ctx, now.Add(-max(o.MinAge, s.cfg.Caps.UploadTime)), o.DryRun)
		r.Partial += n
		return err
	}
	return nil
}

func imageOfKey(key string) (owner, id domain.ID, ok bool) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) != 4 || parts[0] != "images" {
		return owner, id, false
	}
	owner, err := domain.ParseID(parts[1])
	if err != nil {
		return owner, id, false
	}
	id, err = domain.ParseID(parts[2])
	return owner, id, err == nil
}

// sweepRecords removes records past their time.
func (s *Service) sweepRecords(ctx context.Context, o SweepOptions, now time.Time, r *SweepReport, extend func() error) error {
	if o.DryRun {
		return nil
	}
	for {
		n, err := s.rec.Sessions.DeleteExpired(ctx, now, sweepPage)
		if r.Sessions += n; err != nil {
			return err
		}
		if n < sweepPage {
			break
		}
		if err := extend(); err != nil {
			return err
		}
	}
	// A link that was made this long ago is dead for at least its retention.
	old := now.Add(-domain.DeadLinkRetention - domain.MaxLinkSeconds*time.Second)
	for {
		n, err := s.rec.LinkChanges.DeleteOld(ctx, old, sweepPage)
		if r.Links += n; err != nil {
			return err
		}
		if n < sweepPage {
			return nil
		}
		if err := extend(); err != nil {
			return err
		}
	}
}

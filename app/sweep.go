package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// SweepOptions says how to sweep.
type SweepOptions struct {
	// DryRun counts and changes nothing.
	DryRun bool
	// MinAge leaves blobs without a record alone that are younger. The sweep is
	// safe beside uploads at any age, 0 included: a record comes before its blob.
	MinAge time.Duration
	// AllowMany lets it move more to the trash than a sweep may take by itself: more
	// than 100, and more than 1 % of what it saw.
	AllowMany bool
}

// SweepReport counts what a sweep did, or in a dry run would have done.
type SweepReport struct {
	Images    int // deleted or abandoned images whose blobs and records were left
	Users     int // deleted users
	Ownerless int // images whose owner has no record: their records go, their blobs to the trash
	Seen      int // blobs of images, looked at by this walk
	Blobs     int // blobs without a record, moved to the trash
	// Restored were in the trash and are asked for by a record; Purged were there long
	// enough and are gone for good; TrashBlobs and TrashBytes are what is there now.
	Restored, Purged, TrashBlobs int
	TrashBytes                   int64
	Foreign                      int  // objects under a name that no key has: told, never touched
	Partial                      int  // leftovers of interrupted writes
	Links                        int  // dead links past their retention
	Sessions                     int  // expired
	Missing                      int  // ready images whose original is not in the store: told, never removed
	AlreadyBusy                  bool // another node was sweeping: nothing was done
	ImagesChecked                int
	// Refused is how many blobs or ownerless images it did not touch because they are
	// too many; a sweep that is no dry run then ends with an error.
	Refused int
}

const (
	// sweepLease is how long a sweep whose process died keeps others out: the work extends it.
	sweepLease  = 20 * time.Second
	extendEvery = 5 * time.Second
	sweepPage   = 100
	// sweepBatch is how many blobs are judged at once, and how many the walk keeps in mind.
	sweepBatch = 1000

	// A sweep that would take more than both of these is stopped.
	manyBlobs    = 100
	manyFraction = 100 // one of so many

	// walkEvery is how often the store is walked in the background, whatever the number
	// of nodes; the rest of the sweep, which costs little, runs every SweepEvery.
	walkEvery = 24 * time.Hour
	// progressKept is how long an interrupted walk may be continued.
	progressKept = 24 * time.Hour
	// backgroundMinAge is MinAge of the sweeps in the background.
	backgroundMinAge = 15 * time.Minute
)

// beyondShare reports whether n of so many seen may not be taken without being asked.
func beyondShare(n, seen int) bool { return n > manyBlobs && n*manyFraction > seen }

// runSweep sweeps in the background, for the first time after a pause: what a start
// brings about must not depend on what this node happens to be connected to.
func (s *Service) runSweep(ctx context.Context) {
	t := time.NewTicker(s.cfg.SweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		r, err := s.sweep(ctx, SweepOptions{MinAge: backgroundMinAge}, true)
		quiet := SweepReport{ImagesChecked: r.ImagesChecked, Seen: r.Seen, TrashBlobs: r.TrashBlobs, TrashBytes: r.TrashBytes}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.WarnContext(ctx, "the sweep did not finish", "error", err)
		case r != quiet && !r.AlreadyBusy:
			s.log.InfoContext(ctx, "swept", slog.Any("report", r))
		}
	}
}

// Sweep moves what no record points at to the trash, removes what was there long
// enough, puts back what a record asks for, finishes deletions, and removes records
// past their time, for admins. One node sweeps at a time. domain.Conflict, with what
// to do, where the database and the store do not belong together, or where it would
// take more than a small share.
func (s *Service) Sweep(ctx context.Context, actor domain.Actor, o SweepOptions) (SweepReport, error) {
	if err := s.requireAdmin(ctx, actor, "sweep"); err != nil {
		return SweepReport{}, err
	}
	if o.MinAge < 0 {
		return SweepReport{}, domain.InvalidField("min-age", "range", "must not be negative")
	}
	return s.sweep(ctx, o, false)
}

// SweepStatus is the newest walk of the store that this process has made.
type SweepStatus struct {
	// At is when it ended; zero: this process has made none.
	At     time.Time
	Report SweepReport
}

// SweepStatus returns it, for metrics.
func (s *Service) SweepStatus() SweepStatus {
	if st := s.swept.Load(); st != nil {
		return *st
	}
	return SweepStatus{}
}

// sweeper is one sweep under way.
type sweeper struct {
	*Service
	SweepOptions
	began    time.Time // by the database's clock
	r        SweepReport
	extend   func(ctx context.Context) error // the lease, if it is time to
	progress sweepProgress
}

// sweepProgress is what the database keeps of a walk, so that an interrupted one is
// continued, and a finished one not made again too soon.
type sweepProgress struct {
	// Done is when a walk of the whole store last ended, in seconds since 1970.
	Done int64 `json:"done,omitempty"`
	// The rest is of a walk under way: the last key that it has counted, its MinAge in
	// seconds, when it was there, and its counts.
	After  string `json:"after,omitempty"`
	MinAge int64  `json:"min_age,omitempty"`
	At     int64  `json:"at,omitempty"`
	Seen   int    `json:"seen,omitempty"`
	Blobs  int    `json:"blobs,omitempty"`
}

// leased runs work while no other node sweeps, if the database and the store belong together.
func (s *Service) leased(ctx context.Context, work func(ctx context.Context, w *sweeper) error) (SweepReport, error) {
	w := &sweeper{Service: s}
	busy, err := s.holding(ctx, "sweep", sweepLease, func(ctx context.Context, extend func(context.Context) error) error {
		w.began, w.extend = s.now(), extend
		return work(ctx, w)
	})
	w.r.AlreadyBusy = busy
	return w.r, err
}

// holding runs work while no other process holds the lease of this name, if the database
// and the store belong together; busy: another does, and nothing was done. work calls
// extend more often than the lease is long. A process that dies keeps others out for that time.
func (s *Service) holding(ctx context.Context, name string, lease time.Duration, work func(ctx context.Context, extend func(context.Context) error) error) (busy bool, err error) {
	// Leases are judged by the database's clock, also where no Run follows it.
	if err := s.feed.sync(ctx); err != nil {
		return false, err
	}
	if err := s.CheckInstallation(ctx); err != nil {
		return false, err
	}
	holder := s.cfg.NewID().String()
	var extended time.Time
	acquire := func(ctx context.Context) (bool, error) {
		extended = time.Now()
		now := s.now()
		return s.rec.Leases.Acquire(ctx, name, holder, now, now.Add(lease))
	}
	if ok, err := acquire(ctx); err != nil || !ok {
		return err == nil, err
	}
	defer func() {
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, s.rec.Leases.Release(c, name, holder))
	}()
	return false, work(ctx, func(ctx context.Context) error {
		if time.Since(extended) < extendEvery {
			return nil
		}
		ok, err := acquire(ctx)
		if err == nil && !ok {
			err = domain.Errorf(domain.Unavailable, "another node took over the %s", name)
		}
		return err
	})
}

func (s *Service) sweep(ctx context.Context, o SweepOptions, background bool) (SweepReport, error) {
	return s.leased(ctx, func(ctx context.Context, w *sweeper) error {
		w.SweepOptions = o
		record, err := s.rec.Installation.Load(ctx)
		if err != nil {
			return err
		}
		// What cannot be read is another version's; the walk then begins at the beginning.
		_ = json.Unmarshal([]byte(record.Sweep), &w.progress)
		steps := []func(context.Context) error{w.finishUsers, w.finishImages, w.removeOld}
		if !background || w.progress.After != "" || w.began.Sub(time.Unix(w.progress.Done, 0)) >= walkEvery {
			steps = append(steps, w.walkStore)
		}
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// finishUsers finishes the deletion of tiers and of users.
func (w *sweeper) finishUsers(ctx context.Context) error {
	if !w.DryRun {
		if err := w.sweepMembers(ctx, func() error { return w.extend(ctx) }); err != nil {
			return err
		}
	}
	users, err := w.rec.Accounts.DeletingUsers(ctx, sweepPage)
	if err != nil {
		return err
	}
	for _, u := range users {
		w.r.Users++
		if w.DryRun {
			continue
		}
		if err := w.extend(ctx); err != nil {
			return err
		}
		if err := w.removeUser(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// finishImages finishes deletions, and uploads whose maker died.
func (w *sweeper) finishImages(ctx context.Context) error {
	var after domain.ID
	for {
		due, err := w.rec.Images.DueDeletions(ctx, w.began, after, sweepPage)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, d := range due {
			if d.ID.Compare(after) <= 0 {
				return errors.New("app: the list of images to be deleted repeats itself")
			}
			after = d.ID
			w.r.Images++
			if w.DryRun {
				continue
			}
			if err := w.extend(ctx); err != nil {
				return err
			}
			if err := w.finish(ctx, d); err != nil {
				return err
			}
		}
	}
}

func (w *sweeper) finish(ctx context.Context, d ports.DueImage) error {
	if d.State != domain.ImagePending {
		return w.remove(ctx, d.OwnerID, d.ID)
	}
	// The record goes first: a maker that was only slow can then no longer commit an
	// image whose bytes are going. They go to the trash: in a newer copy of this
	// database the upload may have been acknowledged.
	ok, err := w.rec.Images.FinishDeletion(ctx, d.OwnerID, d.ID, w.now())
	if err == nil && ok {
		err = w.trashImage(ctx, d.OwnerID, d.ID)
	}
	return err
}

// surely is a time that both clocks, the database's and this machine's, say has come. What
// goes for good goes by it: a step of one of them must not empty the trash.
func (w *sweeper) surely() time.Time {
	if local := w.cfg.Now().UTC(); local.Before(w.began) {
		return local
	}
	return w.began
}

// walkStore compares the store with the records: the trash first, so that what comes back
// from it is not missed after.
func (w *sweeper) walkStore(ctx context.Context) error {
	err := w.sweepTrash(ctx, w.surely().Add(-w.cfg.TrashFor))
	if err == nil {
		err = errors.Join(w.sweepOwnerless(ctx), w.sweepBlobs(ctx))
	}
	if err == nil {
		err = w.partial(ctx)
	}
	if !w.DryRun && (err == nil || w.r.Refused > 0) {
		w.swept.Store(&SweepStatus{At: w.began, Report: w.r})
	}
	return err
}

// refuse notes, and tells but for a dry run, that n of what is named were too many.
func (w *sweeper) refuse(what string, n int) error {
	w.r.Refused += n
	if w.DryRun {
		return nil
	}
	return domain.Errorf(domain.Conflict, "the sweep stopped, and left them where they are: %s, which is more than 1 %% and more than %d."+
		" If this database is the right one and up to date, go on with 'imagify sweep --allow-many'", what, manyBlobs)
}

func (w *sweeper) refuseBlobs() error {
	return w.refuse(fmt.Sprintf("%d of %d blobs in the store have no record", w.progress.Blobs, w.progress.Seen), w.progress.Blobs)
}

// sweepOwnerless finds images whose owner has no record. A database whose tables were
// copied at different moments has such images too: their blobs go to the trash.
func (w *sweeper) sweepOwnerless(ctx context.Context) error {
	count, seen := 0, 0
	if !w.AllowMany {
		err := w.eachOwnerless(ctx, func(page []ports.DueImage, looked int) error {
			count += len(page)
			seen += looked
			return nil
		})
		if err != nil || count == 0 {
			return err
		}
		if beyondShare(count, seen) {
			return w.refuse(fmt.Sprintf("the owners of %d images have no record", count), count)
		}
	}
	return w.eachOwnerless(ctx, func(page []ports.DueImage, _ int) error {
		for _, d := range page {
			w.r.Ownerless++
			if w.DryRun {
				continue
			}
			if err := w.extend(ctx); err != nil {
				return err
			}
			if err := w.removeOwnerless(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *sweeper) eachOwnerless(ctx context.Context, do func(page []ports.DueImage, looked int) error) error {
	var after domain.ID
	for {
		page, next, err := w.rec.Images.Ownerless(ctx, after, sweepBatch)
		if err == nil {
			err = w.extend(ctx)
		}
		if err != nil {
			return err
		}
		looked := sweepBatch
		if next.IsZero() {
			looked = len(page) // at least: the last page does not say more
		}
		if err := do(page, looked); err != nil || next.IsZero() {
			return err
		}
		if next.Compare(after) <= 0 {
			return errors.New("app: the list of images without an owner repeats itself")
		}
		after = next
	}
}

func (w *sweeper) removeOwnerless(ctx context.Context, d ports.DueImage) error {
	if err := w.trashImage(ctx, d.OwnerID, d.ID); err != nil {
		return err
	}
	if err := w.rec.Images.MarkDeleting(ctx, d.OwnerID, d.ID, nil, w.now()); err != nil && !errors.Is(err, domain.NotFound) {
		return err
	}
	w.syncFeed(ctx)
	if _, err := w.rec.Images.FinishDeletion(ctx, d.OwnerID, d.ID, w.now()); err != nil {
		return err
	}
	// What else is kept by the owner's id, such as the usage.
	return w.changeAccounts(ctx, func(tx ports.AccountsTx) error { return tx.DeleteUser(ctx, d.OwnerID) })
}

// imageBlob is a blob of an image, and what the database says of it.
type imageBlob struct {
	ports.BlobInfo
	owner, id domain.ID
	state     domain.ImageState // empty: there is no record
}

// eachBatch walks the blobs whose keys, behind the prefix root, are an image's, and
// gives them to do in batches, with the states of their images. States are asked for
// after the blobs were listed: a blob without a record then never had one, or has lost it.
func (w *sweeper) eachBatch(ctx context.Context, root, after string, do func([]imageBlob) error) error {
	batch := make([]imageBlob, 0, sweepBatch)
	flush := func() error {
		if err := w.extend(ctx); err != nil {
			return err
		}
		if err := w.judge(ctx, batch); err != nil {
			return err
		}
		err := do(batch)
		batch = batch[:0]
		return err
	}
	foreign := func(name string) {
		if w.r.Foreign++; w.r.Foreign == 1 {
			w.log.WarnContext(ctx, "the store holds an object that is not imagify's; it is left alone", "object", name)
		}
	}
	for b, err := range ports.WalkBlobs(ctx, w.cfg.Blobs, root+imagesPrefix, after, foreign) {
		if err != nil {
			return err
		}
		owner, id, ok := imageOfKey(strings.TrimPrefix(b.Key, root))
		if !ok {
			foreign(b.Key)
			continue
		}
		batch = append(batch, imageBlob{BlobInfo: b, owner: owner, id: id})
		if len(batch) == sweepBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}

// judge asks for the states of a batch's images, one question an owner.
func (w *sweeper) judge(ctx context.Context, batch []imageBlob) error {
	for len(batch) > 0 {
		n := 1
		ids := []domain.ID{batch[0].id}
		for ; n < len(batch) && batch[n].owner == batch[0].owner; n++ {
			if batch[n].id != ids[len(ids)-1] {
				ids = append(ids, batch[n].id)
			}
		}
		states, err := w.rec.Images.States(ctx, batch[0].owner, ids)
		if err != nil {
			return err
		}
		for i := range batch[:n] {
			batch[i].state = states[batch[i].id]
		}
		batch = batch[n:]
	}
	return nil
}

// sweepTrash puts back what a record asks for, and removes what came there before the
// given time; the zero time means everything that no record asks for.
func (w *sweeper) sweepTrash(ctx context.Context, before time.Time) error {
	return w.eachBatch(ctx, trashPrefix, "", func(batch []imageBlob) error {
		var old, settled []string
		for _, b := range batch {
			switch {
			case b.state == domain.ImageReady || b.state == domain.ImagePending:
				if err := w.extend(ctx); err != nil {
					return err
				}
				back, err := w.putBack(ctx, b)
				if err != nil {
					return err
				}
				if back && w.began.Sub(b.ModTime) > trashSettles {
					settled = append(settled, b.Key)
				} else {
					w.r.TrashBlobs++
					w.r.TrashBytes += b.Size
				}
			case before.IsZero() || b.ModTime.Before(before):
				old = append(old, b.Key)
			default:
				w.r.TrashBlobs++
				w.r.TrashBytes += b.Size
			}
		}
		w.r.Purged += len(old)
		if gone := slices.Concat(old, settled); len(gone) > 0 && !w.DryRun {
			return w.cfg.Blobs.Delete(ctx, gone...)
		}
		return nil
	})
}

// putBack copies a blob of the trash to where it was, and reports whether it was there
// already: only then, and not just now, it may leave the trash.
func (w *sweeper) putBack(ctx context.Context, b imageBlob) (was bool, err error) {
	key := strings.TrimPrefix(b.Key, trashPrefix)
	found, err := w.cfg.Blobs.List(ctx, key, "", 1)
	if err != nil {
		return false, err
	}
	if len(found) > 0 && found[0].Key == key && found[0].Size == b.Size {
		return true, nil
	}
	w.r.Restored++
	if w.DryRun {
		return false, nil
	}
	if err := w.cfg.Blobs.Copy(ctx, b.Key, key); !errors.Is(err, domain.NotFound) {
		return false, err
	}
	return false, nil
}

// sweepBlobs counts the blobs without a record, and moves them to the trash if they are
// not too many. What was counted is kept in mind up to a bound; beyond it the store is
// walked a second time.
func (w *sweeper) sweepBlobs(ctx context.Context) error {
	if w.AllowMany && !w.DryRun {
		if err := w.count(ctx, func(found []imageBlob) error { return w.moveToTrash(ctx, found) }); err != nil {
			return err
		}
		return w.done(ctx)
	}
	var orphans []imageBlob
	err := w.count(ctx, func(found []imageBlob) error {
		if len(orphans)+len(found) <= sweepBatch {
			orphans = append(orphans, found...)
		}
		return nil
	})
	count := w.progress.Blobs
	switch {
	case err != nil:
		return err
	case w.DryRun:
		w.r.Blobs = count
		if beyondShare(count, w.progress.Seen) && !w.AllowMany {
			return w.refuseBlobs()
		}
		return nil
	case beyondShare(count, w.progress.Seen):
		return errors.Join(w.refuseBlobs(), w.done(ctx))
	case len(orphans) == count:
		err = w.moveToTrash(ctx, orphans)
	default:
		// No more than were counted: should they be more now, something is wrong.
		err = w.eachBatch(ctx, "", "", func(batch []imageBlob) error {
			found := w.orphansOf(batch)
			return w.moveToTrash(ctx, found[:min(len(found), count-w.r.Blobs)])
		})
	}
	if err != nil {
		return err
	}
	return w.done(ctx)
}

// count walks the images' blobs, from where an interrupted walk was, and gives the
// orphans of each batch to found.
func (w *sweeper) count(ctx context.Context, found func([]imageBlob) error) error {
	p := &w.progress
	if w.DryRun || w.AllowMany || p.MinAge != int64(w.MinAge/time.Second) || w.began.Sub(time.Unix(p.At, 0)) > progressKept || w.began.Before(time.Unix(p.At, 0)) {
		*p = sweepProgress{Done: p.Done}
	}
	current := "" // the image in hand, by the beginning of its keys
	if owner, id, ok := imageOfKey(p.After); ok {
		current = imagePrefix(owner, id)
	}
	return w.eachBatch(ctx, "", p.After, func(batch []imageBlob) error {
		for _, b := range batch {
			w.r.Seen++
			prefix := imagePrefix(b.owner, b.id)
			if prefix == current {
				continue
			}
			current = prefix
			w.r.ImagesChecked++
			if b.state == domain.ImageReady && b.Key != originalKey(b.owner, b.id) {
				w.r.Missing++ // "original" sorts before "thumbnails/"
				w.log.ErrorContext(ctx, "an image's original is missing from the store", "image", b.id.String())
			}
		}
		orphans := w.orphansOf(batch)
		if err := found(orphans); err != nil {
			return err
		}
		p.Seen += len(batch)
		p.Blobs += len(orphans)
		p.After, p.At, p.MinAge = batch[len(batch)-1].Key, w.now().Unix(), int64(w.MinAge/time.Second)
		if w.DryRun || w.AllowMany || len(batch) < sweepBatch {
			return nil
		}
		return w.save(ctx)
	})
}

func (w *sweeper) orphansOf(batch []imageBlob) []imageBlob {
	return slices.DeleteFunc(slices.Clone(batch), func(b imageBlob) bool {
		return b.state != "" || w.began.Sub(b.ModTime) < w.MinAge
	})
}

// moveToTrash moves orphans to the trash, after asking once more whether they are.
func (w *sweeper) moveToTrash(ctx context.Context, orphans []imageBlob) error {
	if err := w.judge(ctx, orphans); err != nil {
		return err
	}
	for _, b := range orphans {
		if b.state != "" {
			continue
		}
		err := w.cfg.Blobs.Move(ctx, b.Key, trashPrefix+b.Key)
		if err == nil {
			w.r.Blobs++
			w.r.TrashBlobs++
			w.r.TrashBytes += b.Size
		} else if !errors.Is(err, domain.NotFound) {
			return err
		}
		if err := w.extend(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *sweeper) save(ctx context.Context) error {
	text, err := json.Marshal(w.progress)
	if err != nil {
		return fmt.Errorf("app: the sweep's progress: %w", err)
	}
	return w.rec.Installation.SaveSweep(ctx, string(text))
}

// done notes that the whole store was walked.
func (w *sweeper) done(ctx context.Context) error {
	w.progress = sweepProgress{Done: w.began.Unix()}
	return w.save(ctx)
}

// partial removes what interrupted writes have left.
func (w *sweeper) partial(ctx context.Context) error {
	sw, ok := w.cfg.Blobs.(ports.BlobSweeper)
	if !ok {
		return nil
	}
	// A write under way is younger than the longest upload.
	n, err := sw.SweepPartial(ctx, w.began.Add(-max(w.MinAge, w.cfg.Caps.UploadTime)), w.DryRun)
	w.r.Partial += n
	return err
}

// imageOfKey tells whose blob a key is: only a key that imagePrefix begins is an image's.
func imageOfKey(key string) (owner, id domain.ID, ok bool) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) != 4 {
		return owner, id, false
	}
	owner, err := domain.ParseID(parts[1])
	if err != nil {
		return owner, id, false
	}
	if id, err = domain.ParseID(parts[2]); err != nil {
		return owner, id, false
	}
	return owner, id, strings.HasPrefix(key, imagePrefix(owner, id))
}

// removeOld removes records past their time.
func (w *sweeper) removeOld(ctx context.Context) error {
	if w.DryRun {
		return nil
	}
	for {
		n, err := w.rec.Accounts.DeleteExpiredSessions(ctx, w.surely(), sweepPage)
		if w.r.Sessions += n; err != nil {
			return err
		}
		if n < sweepPage {
			break
		}
		if err := w.extend(ctx); err != nil {
			return err
		}
	}
	// A link that was made this long ago is dead for at least its retention.
	old := w.surely().Add(-domain.DeadLinkRetention - domain.MaxLinkSeconds*time.Second)
	for {
		n, err := w.rec.Links.DeleteOld(ctx, old, sweepPage)
		if w.r.Links += n; err != nil {
			return err
		}
		if n < sweepPage {
			return nil
		}
		if err := w.extend(ctx); err != nil {
			return err
		}
	}
}

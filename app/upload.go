package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// uploadLease is how long an upload counts as alive after its last sign of life.
	uploadLease = 15 * time.Second
	renewEvery  = uploadLease / 3
	// keyWait is how long a repeated Idempotency-Key waits for the upload that has it.
	keyWait = 10 * time.Second
	// discardTime bounds how long a refusal waits for what it wrote to be removed: with the
	// store's own time-out it stays within the ten seconds in which an outage is told.
	discardTime = time.Second
	// spoolBuffer is the piece in which an upload is hashed and written, in bytes.
	spoolBuffer = 16 << 10
)

// UploadInput is what a client sends.
type UploadInput struct {
	Body io.Reader
	// Size is the number of bytes that Body gives, -1 if it is not known.
	Size     int64
	Filename string
	// FilenameOf is asked for the file name once Body has been read, where it comes with
	// that; nil: Filename it is.
	FilenameOf func() string
	// IdempotencyKey makes repeating the upload safe for 24 h; empty: none. At most 255 printable ASCII characters.
	IdempotencyKey string
}

// Upload keeps a picture for the actor. When it returns without an error the
// original is durable, has been decoded once and can be thumbnailed; after an
// error nothing of it is kept, or, where the database's answer was lost, the
// sweep removes it and a repetition with the same IdempotencyKey is safe.
//
// While it waits for the client it holds a file in the spool and small buffers: no memory to
// decode with, no turn, no row, no connection to a backend. What the client takes its time
// for is decided again when the file is whole, and once more before it is committed.
func (s *Service) Upload(ctx context.Context, actor domain.Actor, in UploadInput) (domain.Image, error) {
	if err := requireSignedIn(actor); err != nil {
		return domain.Image{}, err
	}
	if actor.User.ID.IsZero() {
		return domain.Image{}, domain.Errorf(domain.Denied, "only users can upload")
	}
	if !validKey(in.IdempotencyKey) {
		return domain.Image{}, domain.InvalidField("Idempotency-Key", "format", "1 to 255 printable ASCII characters")
	}
	limits := s.uploadLimits(actor)
	if maxBytes := limits.MaxUploadBytes.Max(); in.Size > maxBytes {
		return domain.Image{}, tooManyBytes(maxBytes)
	}
	share, err := s.uploads.admit(actor.User.ID)
	if err != nil {
		return domain.Image{}, err
	}
	defer share.end()
	if err := s.takeQuota(ctx, share, limits, in); err != nil {
		return domain.Image{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Caps.UploadTime)
	defer cancel()
	file, err := s.spool.create(in.Size)
	if err != nil {
		return domain.Image{}, err
	}
	defer func() {
		if err := file.Close(); err != nil {
			s.log.WarnContext(ctx, "an upload's file could not be removed from the spool", "error", err)
		}
	}()
	scan := s.cfg.Resizer.Scan(imageLimits(limits))
	img := domain.Image{OwnerID: actor.User.ID, State: domain.ImageReady}
	if img.Size, img.SHA256, err = s.receive(ctx, file, share, scan, in, limits); err != nil {
		return domain.Image{}, err
	}
	// The client is not waited for any more.
	if actor, err = s.stillMay(ctx, actor); err != nil {
		return domain.Image{}, err
	}
	if now := s.uploadLimits(actor); now != limits {
		limits = now
		scan = nil // it judged by others
		if maxBytes := limits.MaxUploadBytes.Max(); img.Size > maxBytes {
			return domain.Image{}, tooManyBytes(maxBytes)
		}
	}
	now := s.now()
	img.ID, img.UploadedAt = s.cfg.NewID(), now
	up := ports.Upload{ImageID: img.ID, OwnerID: img.OwnerID, UploadedAt: now, LeaseUntil: now.Add(uploadLease)}
	if in.IdempotencyKey != "" {
		up.Key = hashSecret(in.IdempotencyKey)
	}
	// The row is written, and the file synced, while the picture is decoded: neither needs the other.
	row := s.openRow(ctx, up, file)
	defer row.end()
	img.ImageInfo, err = s.inspect(ctx, file, ports.InspectRequest{
		Limits: imageLimits(limits), Share: actor.User.ID.String(), Scanned: scan,
	})
	reservation, rowErr := row.wait(err != nil)
	if err != nil {
		if rowErr == nil && reservation.State == ports.ReservationWon {
			s.abort(ctx, up)
		}
		if ctx.Err() != nil {
			return domain.Image{}, cutShort(context.Cause(ctx))
		}
		return domain.Image{}, err
	}
	if rowErr != nil {
		return domain.Image{}, rowErr
	}
	if reservation.State == ports.ReservationDone {
		return s.repeated(ctx, actor, reservation, img.SHA256)
	}
	if in.FilenameOf != nil {
		in.Filename = in.FilenameOf()
	}
	img.Filename = domain.CleanFilename(in.Filename, img.Format)
	return s.keep(row.ctx, actor, up, img, file, limits, share)
}

// pendingRow is the record of an upload that is whole, from when it is begun. Its lease is renewed
// until it is ended.
type pendingRow struct {
	// ctx ends, with the reason, when the lease is lost.
	ctx         context.Context
	cancel      context.CancelCauseFunc
	giveUp      context.CancelFunc
	begun       chan struct{}
	done        chan struct{}
	reservation ports.Reservation
	err         error
}

// openRow begins the upload's record in the background, and keeps its lease.
func (s *Service) openRow(ctx context.Context, up ports.Upload, file *spoolFile) *pendingRow {
	r := &pendingRow{begun: make(chan struct{}), done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	var waiting context.Context
	waiting, r.giveUp = context.WithCancel(ctx)
	go func() {
		defer close(r.done)
		r.reservation, r.err = s.beginAndSync(r.ctx, waiting, &up, file)
		close(r.begun)
		if r.err == nil && r.reservation.State == ports.ReservationWon {
			s.keepAlive(r.ctx, r.cancel, up)
		}
	}()
	return r
}

// wait returns what came of it; with refused it does not wait for another upload that has the key.
func (r *pendingRow) wait(refused bool) (ports.Reservation, error) {
	if refused {
		r.giveUp()
	}
	<-r.begun
	return r.reservation, r.err
}

// end stops the lease's renewal. Nothing of the row runs when it returns.
func (r *pendingRow) end() {
	r.giveUp()
	r.cancel(nil)
	<-r.done
}

// beginAndSync is what openRow does; an adapter's panic is an error.
func (s *Service) beginAndSync(ctx, waiting context.Context, up *ports.Upload, file *spoolFile) (reservation ports.Reservation, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "beginning an upload panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = domain.Errorf(domain.Internal, "the upload cannot be recorded")
		}
	}()
	reservation, err = s.begin(ctx, waiting, up)
	if err == nil && reservation.State == ports.ReservationWon && s.spool.taken(file) {
		_ = file.Sync() // where it fails, the store tries and tells
	}
	return reservation, err
}

// keep stores a whole and inspected upload and makes its image ready.
func (s *Service) keep(ctx context.Context, actor domain.Actor, up ports.Upload, img domain.Image, file *spoolFile, limits domain.Limits, share *underWay) (domain.Image, error) {
	if err := s.store(ctx, up, img, file); err != nil {
		s.discard(ctx, up)
		return domain.Image{}, err
	}
	if _, err := s.stillMay(ctx, actor); err != nil {
		s.discard(ctx, up)
		return domain.Image{}, err
	}
	share.committing()
	err := s.rec.Images.CommitUpload(ctx, up, img, ports.Quota{MaxImages: limits.MaxImages, MaxBytes: limits.MaxStorageBytes})
	switch code := domain.CodeOf(err); code {
	case domain.Denied:
		err = notActive()
		fallthrough
	case domain.QuotaExceeded:
		s.discard(ctx, up)
		return domain.Image{}, err
	}
	if err == nil {
		return img, nil
	}
	return s.settle(ctx, up, img, err)
}

// uploadLimits are the actor's limits within the process's caps.
func (s *Service) uploadLimits(actor domain.Actor) domain.Limits {
	l := actor.Entitlements.Limits
	l.MaxUploadBytes = l.MaxUploadBytes.Within(domain.Limit(s.cfg.Caps.UploadBytes))
	l.MaxPixels = l.MaxPixels.Within(domain.Limit(s.cfg.Caps.Pixels))
	return l
}

func imageLimits(l domain.Limits) domain.ImageLimits {
	return domain.ImageLimits{MaxPixels: l.MaxPixels, MaxFrames: l.MaxFrames}
}

func notActive() error { return domain.Errorf(domain.Unauthenticated, "the account is not active") }

// stillMay decides again whether the actor may upload, and by which limits, after a wait.
func (s *Service) stillMay(ctx context.Context, actor domain.Actor) (domain.Actor, error) {
	now, err := s.renew(ctx, credential{actor: &actor})
	if err != nil {
		return domain.Actor{}, err
	}
	return *now.actor, nil
}

// takeQuota counts an image, and its bytes where they are known, against the quota, before anything
// is received. Commit does so exactly; this refuses early, and bounds what is unfinished.
func (s *Service) takeQuota(ctx context.Context, share *underWay, l domain.Limits, in UploadInput) error {
	if l.MaxImages == domain.NoLimit && l.MaxStorageBytes == domain.NoLimit {
		return nil
	}
	err := s.takeBytes(ctx, share, l, 1, max(in.Size, 0))
	if err == nil && in.Size < 0 {
		err = share.take(l, 0, 1) // at least one byte has to fit, or nothing need be sent
	}
	if err == nil || in.IdempotencyKey == "" || domain.CodeOf(err) != domain.QuotaExceeded {
		return err
	}
	// The image that fills the quota may be the one that this request asks for again.
	share.repeats, err = s.repeats(ctx, share.user, in.IdempotencyKey, err)
	return err
}

// takeBytes asks what is stored, and counts this upload beside it.
func (s *Service) takeBytes(ctx context.Context, share *underWay, l domain.Limits, images, bytes int64) error {
	used, err := s.rec.Images.Usage(ctx, share.user)
	if err != nil {
		return err
	}
	share.stored(used)
	return share.take(l, images, bytes)
}

// repeats reports whether the key is that of an upload that was made or is under way, or else returns refusal.
func (s *Service) repeats(ctx context.Context, owner domain.ID, key string, refusal error) (bool, error) {
	now := s.now()
	up := ports.Upload{ImageID: s.cfg.NewID(), OwnerID: owner, UploadedAt: now, LeaseUntil: now.Add(uploadLease), Key: hashSecret(key)}
	reservation, err := s.rec.Images.BeginUpload(ctx, up, now)
	if err != nil {
		return false, err
	}
	if reservation.State == ports.ReservationWon {
		s.abort(ctx, up)
		return false, refusal
	}
	return true, nil
}

// receive takes the body into the spool, hashing and counting, while the scan judges it.
func (s *Service) receive(ctx context.Context, file *spoolFile, share *underWay, scan ports.Scan, in UploadInput, limits domain.Limits) (size int64, digest [32]byte, err error) {
	maxBytes := limits.MaxUploadBytes.Max()
	buf := spoolBuffers.Get().(*[]byte)
	defer spoolBuffers.Put(buf)
	hash := sha256.New()
	counted := max(in.Size, 1) // what takeQuota has counted
	for filled, scanned, sniffed := 0, 0, false; ; {
		if err := ctx.Err(); err != nil {
			return 0, digest, cutShort(context.Cause(ctx))
		}
		n, rerr := in.Body.Read((*buf)[filled:])
		size += int64(n)
		switch {
		case size > maxBytes:
			return 0, digest, tooManyBytes(maxBytes)
		case in.Size >= 0 && size > in.Size:
			return 0, digest, domain.Errorf(domain.Invalid, "the upload has more than the %d bytes announced", in.Size)
		case size > counted:
			if err := share.take(limits, 0, size-counted); err != nil {
				// An image may have been deleted since.
				if err := s.takeBytes(ctx, share, limits, 0, size-counted); err != nil {
					return 0, digest, err
				}
			}
			counted = size
		}
		filled += n
		// What begins no accepted format is refused before anything is written anywhere.
		if !sniffed && (size >= domain.ForeignLength || rerr == io.EOF) {
			head := (*buf)[:min(filled, domain.ForeignLength)]
			if format, ok := domain.Sniff(head); !ok || !slices.Contains(s.cfg.Accept, format) {
				return 0, digest, domain.RefuseFormat(head, s.cfg.Accept)
			}
			sniffed = true
		}
		if sniffed {
			if _, err := scan.Write((*buf)[scanned:filled]); err != nil {
				return 0, digest, err
			}
			scanned = filled
		}
		if filled == len(*buf) || rerr != nil {
			hash.Write((*buf)[:filled])
			if _, err := file.Write((*buf)[:filled]); err != nil {
				return 0, digest, err
			}
			filled, scanned = 0, 0
		}
		if rerr == io.EOF { // a wrapped one is a body that was cut short
			break
		}
		if rerr != nil {
			return 0, digest, cutShort(rerr)
		}
	}
	if in.Size >= 0 && size != in.Size {
		return 0, digest, domain.Errorf(domain.Invalid, "the upload was cut short")
	}
	return size, [32]byte(hash.Sum(nil)), scan.Finish()
}

// spoolBuffers hold what is received until it is worth a write. They are small because one is held
// for each client that is waited for.
var spoolBuffers = sync.Pool{New: func() any { b := make([]byte, spoolBuffer); return &b }}

// inspect asks the resizer. A decoder's panic is this file's failure, never the process's.
func (s *Service) inspect(ctx context.Context, file *spoolFile, r ports.InspectRequest) (info domain.ImageInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "the resizer panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = domain.Errorf(domain.CorruptImage, "the picture cannot be decoded")
		}
	}()
	info, err = s.cfg.Resizer.Inspect(ctx, file, r)
	if err == nil && (info.Width < 1 || info.Height < 1) {
		err = domain.Errorf(domain.CorruptImage, "the picture has no size")
	}
	return info, err
}

// store puts the original. ctx ends where the upload's lease was lost.
func (s *Service) store(ctx context.Context, up ports.Upload, img domain.Image, file *spoolFile) error {
	err := s.cfg.Blobs.Put(ctx, originalKey(up.OwnerID, up.ImageID), file, ports.PutOptions{
		Size: img.Size, SHA256: img.SHA256, IfAbsent: true, ContentType: "application/octet-stream",
	})
	if err != nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
			return cause // the lease was lost
		}
		return cutShort(context.Cause(ctx))
	}
	return err
}

// settle finds out what became of a commit whose answer was lost, or that was refused because
// the record is gone: an earlier try of the same commit may have been what took it.
func (s *Service) settle(ctx context.Context, up ports.Upload, img domain.Image, lost error) (domain.Image, error) {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	switch state, err := s.rec.Images.State(c, up.OwnerID, up.ImageID); {
	case err == nil && state == domain.ImageReady:
		return img, nil
	case err == nil && state == domain.ImagePending, errors.Is(err, domain.NotFound) && domain.CodeOf(lost) == domain.Conflict:
		s.discard(ctx, up)
	}
	// Else nobody knows: the record stays, and the next to come (a repetition,
	// the sweep) finds it pending with a lapsed lease, or ready.
	return domain.Image{}, lost
}

func validKey(key string) bool {
	if len(key) > 255 {
		return false
	}
	for i := 0; i < len(key); i++ {
		if key[i] < ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

func tooManyBytes(limit int64) error {
	return domain.LimitError(domain.TooLarge, limit, "the file is larger than %d bytes", limit)
}

// cutShort is the error of a body that could not be read to its end.
func cutShort(err error) error {
	if e := domain.AsError(err); e.Code != domain.Internal {
		return err // the reader of the request knows better
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return domain.Wrap(domain.Timeout, err, "the upload took too long")
	}
	return domain.Wrap(domain.Invalid, err, "the upload was cut short")
}

// begin writes the pending image; with a key it waits, until waiting ends, for another upload that has it.
func (s *Service) begin(ctx, waiting context.Context, up *ports.Upload) (ports.Reservation, error) {
	deadline := time.Now().Add(keyWait)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		now := s.now()
		up.LeaseUntil = now.Add(uploadLease)
		reservation, err := s.rec.Images.BeginUpload(ctx, *up, now)
		if err != nil || reservation.State != ports.ReservationBusy {
			return reservation, err
		}
		if time.Now().Add(pause).After(deadline) {
			e := domain.Errorf(domain.Conflict, "an upload with this Idempotency-Key is under way")
			e.RetryAfter = 5 * time.Second
			return reservation, e
		}
		select {
		case <-waiting.Done():
			return reservation, domain.Wrap(domain.Unavailable, waiting.Err(), "gave up waiting")
		case <-time.After(pause):
		}
	}
}

// repeated answers an upload whose key has made an image already.
func (s *Service) repeated(ctx context.Context, actor domain.Actor, c ports.Reservation, digest [32]byte) (domain.Image, error) {
	if digest != c.SHA256 {
		return domain.Image{}, domain.Errorf(domain.IdempotencyMismatch, "this Idempotency-Key was used for another file")
	}
	img, err := s.image(ctx, actor.User.ID, c.ImageID)
	if errors.Is(err, domain.NotFound) {
		return domain.Image{}, domain.Errorf(domain.Gone, "the image that this Idempotency-Key made has been deleted")
	}
	return img, err
}

// abort removes the record of an upload that was refused before anything was stored.
func (s *Service) abort(ctx context.Context, up ports.Upload) {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	if err := s.rec.Images.AbortUpload(c, up); err != nil {
		s.log.WarnContext(ctx, "a refused upload's record is left to the sweep", "image", up.ImageID.String(), "error", err)
	}
}

// discard removes what a failed upload has written. What cannot be removed now, the sweep removes.
func (s *Service) discard(ctx context.Context, up ports.Upload) {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	err := s.cfg.Blobs.Delete(c, originalKey(up.OwnerID, up.ImageID))
	if err == nil {
		err = s.rec.Images.AbortUpload(c, up)
	}
	if err != nil {
		s.log.WarnContext(ctx, "a refused upload is left to the sweep", "image", up.ImageID.String(), "error", err)
	}
}

// keepAlive renews the upload's lease until ctx ends; a reservation that was lost ends the upload.
func (s *Service) keepAlive(ctx context.Context, cancel context.CancelCauseFunc, up ports.Upload) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "renewing an upload's lease panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			cancel(domain.Errorf(domain.Internal, "the upload's lease could not be renewed"))
		}
	}()
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			err := s.rec.Images.RenewUpload(ctx, up, s.now().Add(uploadLease))
			if errors.Is(err, domain.Conflict) {
				cancel(domain.Wrap(domain.Unavailable, err, "the upload took too long to store; try again"))
				return
			}
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "could not renew an upload's lease", "error", err)
			}
		}
	}
}

// Accepted returns the formats that are taken at upload.
func (s *Service) Accepted() []domain.Format { return slices.Clone(s.cfg.Accept) }

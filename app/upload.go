package app

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
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
	// copyBuffer is the piece in which an upload is passed on.
	copyBuffer = 256 << 10
)

// UploadInput is what a client sends.
type UploadInput struct {
	Body io.Reader
	// Size is the number of bytes that Body gives, -1 if it is not known.
	Size     int64
	Filename string
	// IdempotencyKey makes repeating the upload safe for 24 h; empty: none. At most 255 printable ASCII characters.
	IdempotencyKey string
}

// Upload keeps a picture for the actor. When it returns without an error the
// original is durable, has been decoded once and can be thumbnailed; after an
// error nothing of it is kept, or, where the database's answer was lost, the
// sweep removes it and a repetition with the same IdempotencyKey is safe.
func (s *Service) Upload(ctx context.Context, actor domain.Actor, in UploadInput) (domain.Image, error) {
	if err := requireSigned(actor); err != nil {
		return domain.Image{}, err
	}
	if actor.User.ID.IsZero() {
		return domain.Image{}, domain.Errorf(domain.Denied, "only users can upload")
	}
	if !validKey(in.IdempotencyKey) {
		return domain.Image{}, domain.InvalidField("Idempotency-Key", "format", "1 to 255 printable ASCII characters")
	}
	limits := actor.Effective.Limits
	maxBytes := limits.MaxUploadBytes.Within(domain.Limit(s.cfg.Caps.UploadBytes)).Max()
	if in.Size > maxBytes {
		return domain.Image{}, tooManyBytes(maxBytes)
	}
	if err := s.checkQuota(ctx, actor, max(in.Size, 1)); err != nil {
		return domain.Image{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Caps.UploadTime)
	defer cancel()

	// What begins no accepted format is refused before anything is written anywhere.
	body := bufio.NewReaderSize(in.Body, 4096)
	head, err := body.Peek(domain.ForeignLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return domain.Image{}, cutShort(err)
	}
	format, ok := domain.Sniff(head)
	if !ok || !slices.Contains(s.cfg.Accept, format) {
		return domain.Image{}, domain.RefuseFormat(head, s.cfg.Accept)
	}

	now := s.now()
	up := ports.Upload{ImageID: s.cfg.NewID(), OwnerID: actor.User.ID, UploadedAt: now, LeaseUntil: now.Add(uploadLease)}
	if in.IdempotencyKey != "" {
		up.Key = hashSecret(in.IdempotencyKey)
	}
	claim, err := s.begin(ctx, &up)
	if err != nil {
		return domain.Image{}, err
	}
	if claim.State == ports.ClaimDone {
		return s.repeated(ctx, actor, claim, body, maxBytes)
	}

	img := domain.Image{ID: up.ImageID, OwnerID: up.OwnerID, State: domain.ImageReady, UploadedAt: up.UploadedAt}
	img.Filename = domain.CleanFilename(in.Filename, format)
	if err := s.receive(ctx, up, &img, body, in.Size, maxBytes, limits); err != nil {
		s.discard(ctx, up)
		return domain.Image{}, err
	}
	if img.Width < 1 || img.Height < 1 {
		s.discard(ctx, up)
		return domain.Image{}, domain.Errorf(domain.CorruptImage, "the picture has no size")
	}
	err = s.rec.Uploads.Commit(ctx, up, img, ports.Quota{MaxImages: limits.MaxImages, MaxBytes: limits.MaxStorageBytes})
	switch code := domain.CodeOf(err); {
	case err == nil:
		return img, nil
	case code == domain.QuotaExceeded, code == domain.Conflict:
		s.discard(ctx, up)
		return domain.Image{}, err
	}
	return s.settle(ctx, up, img, err)
}

// settle finds out what became of a commit whose answer was lost.
func (s *Service) settle(ctx context.Context, up ports.Upload, img domain.Image, lost error) (domain.Image, error) {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	switch state, err := s.rec.Deletions.State(c, up.OwnerID, up.ImageID); {
	case err == nil && state == domain.ImageReady:
		return img, nil
	case err == nil && state == domain.ImagePending:
		s.discard(ctx, up)
	}
	// Else nobody knows: the record stays, and whoever comes next (a repetition,
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
		return err // whoever reads the request knows better
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return domain.Wrap(domain.Timeout, err, "the upload took too long")
	}
	return domain.Wrap(domain.Invalid, err, "the upload was cut short")
}

// checkQuota refuses early what Commit would refuse exactly.
func (s *Service) checkQuota(ctx context.Context, actor domain.Actor, size int64) error {
	l := actor.Effective.Limits
	if l.MaxImages == domain.NoLimit && l.MaxStorageBytes == domain.NoLimit {
		return nil
	}
	u, err := s.rec.Images.Usage(ctx, actor.User.ID)
	if err != nil {
		return err
	}
	over := func(limit domain.Limit, used int64, what string) error {
		e := domain.LimitError(domain.QuotaExceeded, int64(limit), "your tier keeps at most %d %s", int64(limit), what)
		e.Used = &used
		return e
	}
	if !l.MaxImages.Allows(u.Images + 1) {
		return over(l.MaxImages, u.Images, "images")
	}
	if !l.MaxStorageBytes.Allows(u.Bytes + size) {
		return over(l.MaxStorageBytes, u.Bytes, "bytes")
	}
	return nil
}

// begin writes the pending image; with a key it waits for another upload that has it.
func (s *Service) begin(ctx context.Context, up *ports.Upload) (ports.Claim, error) {
	deadline := time.Now().Add(keyWait)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		now := s.now()
		up.LeaseUntil = now.Add(uploadLease)
		claim, err := s.rec.Uploads.Begin(ctx, *up, now)
		if err != nil || claim.State != ports.ClaimBusy {
			return claim, err
		}
		if time.Now().Add(pause).After(deadline) {
			e := domain.Errorf(domain.Conflict, "an upload with this Idempotency-Key is under way")
			e.RetryAfter = 5 * time.Second
			return claim, e
		}
		select {
		case <-ctx.Done():
			return claim, domain.Wrap(domain.Unavailable, ctx.Err(), "gave up waiting")
		case <-time.After(pause):
		}
	}
}

// repeated answers an upload whose key has made an image already.
func (s *Service) repeated(ctx context.Context, actor domain.Actor, c ports.Claim, body io.Reader, maxBytes int64) (domain.Image, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(&ctxReader{ctx, body}, maxBytes+1))
	if err != nil {
		return domain.Image{}, cutShort(err)
	}
	if n > maxBytes {
		return domain.Image{}, tooManyBytes(maxBytes)
	}
	if [32]byte(h.Sum(nil)) != c.SHA256 {
		return domain.Image{}, domain.Errorf(domain.IdempotencyMismatch, "this Idempotency-Key was used for another file")
	}
	img, err := s.image(ctx, actor.User.ID, c.ImageID)
	if errors.Is(err, domain.NotFound) {
		return domain.Image{}, domain.Errorf(domain.Gone, "the image that this Idempotency-Key made has been deleted")
	}
	return img, err
}

// discard removes what a failed upload has written. What cannot be removed now, the sweep removes.
func (s *Service) discard(ctx context.Context, up ports.Upload) {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	err := s.cfg.Blobs.Delete(c, originalKey(up.OwnerID, up.ImageID))
	if err == nil {
		err = s.rec.Uploads.Abort(c, up)
	}
	if err != nil {
		s.log.WarnContext(ctx, "a refused upload is left to the sweep", "image", up.ImageID.String(), "error", err)
	}
}

// receive passes the body to the store and to the resizer at once, hashing and
// counting, and puts what it learns into img. When it returns, nobody reads or writes any more.
func (s *Service) receive(ctx context.Context, up ports.Upload, img *domain.Image, body io.Reader, size, maxBytes int64, limits domain.Limits) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	heart := make(chan struct{})
	go func() { defer close(heart); s.keepAlive(ctx, cancel, up) }()

	stored, inspected := make(chan error, 1), make(chan error, 1)
	toStore, intoStore := io.Pipe()
	toResizer, intoResizer := io.Pipe()
	go func() {
		err := s.cfg.Blobs.Put(ctx, originalKey(up.OwnerID, up.ImageID), toStore, ports.PutOptions{
			Size: size, IfAbsent: true, ContentType: "application/octet-stream",
		})
		if err != nil {
			cancel(err)
		}
		toStore.CloseWithError(errors.Join(errDone, err))
		stored <- err
	}()
	go func() {
		var err error
		defer func() {
			// A decoder's panic is this file's failure, never the process's.
			if p := recover(); p != nil {
				s.log.ErrorContext(ctx, "the resizer panicked", "image", up.ImageID.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				err = domain.Errorf(domain.CorruptImage, "the picture cannot be decoded")
			}
			if err != nil {
				cancel(err)
			}
			toResizer.CloseWithError(errors.Join(errDone, err))
			inspected <- err
		}()
		img.ImageInfo, err = s.cfg.Resizer.Inspect(ctx, toResizer, domain.ImageLimits{
			MaxPixels: limits.MaxPixels.Within(domain.Limit(s.cfg.Caps.Pixels)), MaxFrames: limits.MaxFrames,
		})
	}()

	hash := sha256.New()
	n, err := tee(&ctxReader{ctx, body}, maxBytes, hash, intoStore, intoResizer)
	if err == nil && size >= 0 && n != size {
		err = domain.Errorf(domain.Invalid, "the upload was cut short")
	}
	if err != nil {
		cancel(err)
	}
	intoStore.CloseWithError(err) // nil means EOF
	intoResizer.CloseWithError(err)
	storeErr, inspectErr := <-stored, <-inspected
	cause := context.Cause(ctx)
	cancel(nil)
	<-heart
	// The first thing that went wrong made the others fail: it is the one to tell.
	for _, e := range []error{cause, err, inspectErr, storeErr} {
		if errors.Is(e, context.Canceled) || errors.Is(e, context.DeadlineExceeded) {
			return cutShort(e)
		}
		if e != nil {
			return e
		}
	}
	img.Size, img.SHA256 = n, [32]byte(hash.Sum(nil))
	return nil
}

// errDone closes a pipe whose reader needs no more.
var errDone = errors.New("the reader is done")

// tee copies src to the hash and to both writers, and reports how much. A
// writer whose reader is done is passed over.
func tee(src io.Reader, maxBytes int64, hash io.Writer, writers ...io.Writer) (int64, error) {
	buf := make([]byte, copyBuffer)
	var total int64
	for {
		n, err := src.Read(buf)
		if total += int64(n); total > maxBytes {
			return total, tooManyBytes(maxBytes)
		}
		hash.Write(buf[:n])
		for i, w := range writers {
			if w == nil || n == 0 {
				continue
			}
			if _, werr := w.Write(buf[:n]); werr != nil {
				if !errors.Is(werr, errDone) {
					return total, werr
				}
				writers[i] = nil
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, cutShort(err)
		}
	}
}

// keepAlive renews the upload's lease until ctx ends; a claim that was lost ends the upload.
func (s *Service) keepAlive(ctx context.Context, cancel context.CancelCauseFunc, up ports.Upload) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			err := s.rec.Uploads.Renew(ctx, up, s.now().Add(uploadLease))
			if errors.Is(err, domain.Conflict) {
				cancel(domain.Wrap(domain.Unavailable, err, "the upload took over-long pauses, try again"))
				return
			}
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "could not renew an upload's lease", "error", err)
			}
		}
	}
}

// ctxReader stops reading when ctx ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Accepted returns the formats that are taken at upload.
func (s *Service) Accepted() []domain.Format { return slices.Clone(s.cfg.Accept) }

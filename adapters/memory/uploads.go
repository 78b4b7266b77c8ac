package memory

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type keyRef struct {
	ownerID domain.ID
	key     domain.SecretHash
}

// keyRecord is what an idempotency key stands for.
type keyRecord struct {
	imageID domain.ID
	sha256  [32]byte
	made    time.Time
	lease   time.Time
	done    bool
}

// keyAge remembers when a record was made, so that it can be forgotten.
type keyAge struct {
	ref  keyRef
	made time.Time
}

func refOf(u ports.Upload) (keyRef, bool) {
	return keyRef{u.OwnerID, u.Key}, u.Key != domain.SecretHash{}
}

// holds reports whether the upload has its reservation still. The mutex is held.
func (r *records) holds(u ports.Upload) bool {
	if _, ok := r.find(u.OwnerID, u.ImageID, domain.ImagePending); !ok {
		return false
	}
	ref, keyed := refOf(u)
	if !keyed {
		return true
	}
	k, ok := r.keys[ref]
	return ok && k.imageID == u.ImageID && !k.done
}

func reservationLost() error {
	return domain.Errorf(domain.Conflict, "the upload took too long and was given up; upload again")
}

// BeginUpload implements ports.Images.
func (p images) BeginUpload(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
	if err := ended(ctx); err != nil {
		return ports.Reservation{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.forgetKeys(now)
	ref, keyed := refOf(u)
	if k, ok := p.r.keys[ref]; keyed && ok && now.Sub(k.made) <= ports.KeyRetention {
		if k.done {
			return ports.Reservation{State: ports.ReservationDone, ImageID: k.imageID, SHA256: k.sha256}, nil
		}
		if !k.lease.Before(now) {
			return ports.Reservation{State: ports.ReservationBusy}, nil
		}
	}
	if _, taken := p.r.images[u.ImageID]; taken {
		return ports.Reservation{}, domain.Errorf(domain.Internal, "memory: an image with id %s exists already", u.ImageID)
	}
	if keyed {
		p.r.keys[ref] = keyRecord{imageID: u.ImageID, made: now, lease: u.LeaseUntil}
		p.r.keyAges = append(p.r.keyAges, keyAge{ref, now})
	}
	p.r.images[u.ImageID] = image{
		Image: domain.Image{ID: u.ImageID, OwnerID: u.OwnerID, State: domain.ImagePending, UploadedAt: stored(u.UploadedAt)},
		lease: u.LeaseUntil,
	}
	p.r.unfinished.add(u.ImageID)
	return ports.Reservation{State: ports.ReservationWon}, nil
}

// forgetKeys drops the records that are older than ports.KeyRetention.
func (r *records) forgetKeys(now time.Time) {
	for len(r.keyAges) > 0 && now.Sub(r.keyAges[0].made) > ports.KeyRetention {
		oldest := r.keyAges[0]
		r.keyAges = r.keyAges[1:]
		if r.keys[oldest.ref].made.Equal(oldest.made) {
			delete(r.keys, oldest.ref)
		}
	}
}

// RenewUpload implements ports.Images.
func (p images) RenewUpload(ctx context.Context, u ports.Upload, leaseUntil time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if !p.r.holds(u) {
		return reservationLost()
	}
	i := p.r.images[u.ImageID]
	i.lease = leaseUntil
	p.r.images[u.ImageID] = i
	if ref, keyed := refOf(u); keyed {
		k := p.r.keys[ref]
		k.lease = leaseUntil
		p.r.keys[ref] = k
	}
	return nil
}

// CommitUpload implements ports.Images.
func (p images) CommitUpload(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if !p.r.holds(u) {
		return reservationLost()
	}
	if owner, ok := p.r.users[u.OwnerID]; !ok || owner.Deleting || !owner.IsActive {
		return domain.Errorf(domain.Denied, "the account is not active")
	}
	usage := p.r.usage[u.OwnerID]
	if !q.MaxImages.Allows(usage.Images + 1) {
		return quotaExceeded(q.MaxImages, usage.Images, "images")
	}
	if !q.MaxBytes.Allows(usage.Bytes + img.Size) {
		return quotaExceeded(q.MaxBytes, usage.Bytes, "bytes")
	}
	img = copyImage(img)
	img.ID, img.OwnerID, img.UploadedAt, img.State = u.ImageID, u.OwnerID, stored(u.UploadedAt), domain.ImageReady
	p.r.images[u.ImageID] = image{Image: img}
	p.r.unfinished.remove(u.ImageID)
	p.r.ready.add(u.ImageID)
	p.r.readyOf.add(u.OwnerID, u.ImageID)
	p.r.usage[u.OwnerID] = domain.Usage{Images: usage.Images + 1, Bytes: usage.Bytes + img.Size}
	if ref, keyed := refOf(u); keyed {
		k := p.r.keys[ref]
		k.done, k.sha256 = true, img.SHA256
		p.r.keys[ref] = k
	}
	return nil
}

func quotaExceeded(limit domain.Limit, used int64, what string) error {
	err := domain.LimitError(domain.QuotaExceeded, int64(limit), "your tier allows to keep %d %s; delete some first", limit, what)
	err.Used = &used
	return err
}

// AbortUpload implements ports.Images.
func (p images) AbortUpload(ctx context.Context, u ports.Upload) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if ref, keyed := refOf(u); keyed {
		if k, ok := p.r.keys[ref]; ok && k.imageID == u.ImageID && !k.done {
			delete(p.r.keys, ref)
		}
	}
	if _, ok := p.r.find(u.OwnerID, u.ImageID, domain.ImagePending); ok {
		delete(p.r.images, u.ImageID)
		p.r.unfinished.remove(u.ImageID)
	}
	return nil
}

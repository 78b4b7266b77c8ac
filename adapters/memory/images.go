package memory

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// image is a row in any state.
type image struct {
	domain.Image
	lease time.Time // of a pending one
}

func copyImage(i domain.Image) domain.Image {
	i.Placeholder = bytes.Clone(i.Placeholder)
	i.UploadedAt = stored(i.UploadedAt)
	return i
}

// find returns an owner's image in the state. The mutex is held.
func (r *records) find(ownerID, id domain.ID, state domain.ImageState) (image, bool) {
	i, ok := r.images[id]
	return i, ok && i.OwnerID == ownerID && i.State == state
}

type images struct{ r *records }

// Get implements ports.Images.
func (p images) Get(ctx context.Context, ownerID, id domain.ID) (domain.Image, error) {
	if err := ended(ctx); err != nil {
		return domain.Image{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	i, ok := p.r.find(ownerID, id, domain.ImageReady)
	if !ok {
		return domain.Image{}, domain.NoSuchImage()
	}
	return copyImage(i.Image), nil
}

// Owner implements ports.Images.
func (p images) Owner(ctx context.Context, id domain.ID) (domain.ID, error) {
	if err := ended(ctx); err != nil {
		return domain.ID{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	i, ok := p.r.images[id]
	if !ok || i.State != domain.ImageReady {
		return domain.ID{}, domain.NoSuchImage()
	}
	return i.OwnerID, nil
}

// List implements ports.Images.
func (p images) List(ctx context.Context, ownerID domain.ID, pg ports.Page) ([]domain.Image, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	list, _ := page(p.r.readyOf[ownerID], pg, func(id domain.ID) (domain.Image, bool) {
		return copyImage(p.r.images[id].Image), true
	})
	return list, nil
}

// ListIDs implements ports.Images.
func (p images) ListIDs(ctx context.Context, ownerID domain.ID, pg ports.Page) ([]domain.ID, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	list, _ := page(p.r.readyOf[ownerID], pg, func(id domain.ID) (domain.ID, bool) { return id, true })
	return list, nil
}

// ListAll implements ports.Images.
func (p images) ListAll(ctx context.Context, tr ports.TimeRange, pg ports.Page) ([]domain.Image, domain.ID, error) {
	if err := ended(ctx); err != nil {
		return nil, domain.ID{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	list, more := page(p.r.ready, pg, func(id domain.ID) (domain.Image, bool) {
		i := p.r.images[id].Image
		return copyImage(i), within(tr, i.UploadedAt)
	})
	if !more {
		return list, domain.ID{}, nil
	}
	return list, list[len(list)-1].ID, nil
}

// Usage implements ports.Images.
func (p images) Usage(ctx context.Context, ownerID domain.ID) (domain.Usage, error) {
	if err := ended(ctx); err != nil {
		return domain.Usage{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	return p.r.usage[ownerID], nil
}

// MarkDeleting implements ports.Images.
func (p images) MarkDeleting(ctx context.Context, ownerID, id domain.ID, entry *domain.AuditEntry, _ time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	i, ok := p.r.find(ownerID, id, domain.ImageReady)
	if !ok {
		return domain.NoSuchImage()
	}
	i.State = domain.ImageDeleting
	p.r.images[id] = i
	p.r.ready.remove(id)
	p.r.readyOf.remove(ownerID, id)
	p.r.unfinished.add(id)
	if u := p.r.usage[ownerID]; u.Images > 1 {
		p.r.usage[ownerID] = domain.Usage{Images: u.Images - 1, Bytes: u.Bytes - i.Size}
	} else {
		delete(p.r.usage, ownerID)
	}
	if entry != nil {
		p.r.record(*entry)
	}
	p.r.publish(ports.Change{Kind: ports.ImageDeleted, ID: id})
	return nil
}

// waits reports whether the image waits for Finish.
func (i image) waits(now time.Time) bool {
	return i.State == domain.ImageDeleting || i.State == domain.ImagePending && i.lease.Before(now)
}

// FinishDeletion implements ports.Images.
func (p images) FinishDeletion(ctx context.Context, ownerID, id domain.ID, now time.Time) (bool, error) {
	if err := ended(ctx); err != nil {
		return false, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	i, ok := p.r.images[id]
	if !ok || i.OwnerID != ownerID || !i.waits(now) {
		return false, nil
	}
	delete(p.r.images, id)
	p.r.unfinished.remove(id)
	return true, nil
}

// DueDeletions implements ports.Images.
func (p images) DueDeletions(ctx context.Context, now time.Time, after domain.ID, limit int) ([]ports.DueImage, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	at, found := slices.BinarySearchFunc(p.r.unfinished, after, domain.ID.Compare)
	if found {
		at++
	}
	var due []ports.DueImage
	for _, id := range p.r.unfinished[at:] {
		if len(due) >= limit {
			break
		}
		if i := p.r.images[id]; i.waits(now) {
			due = append(due, ports.DueImage{OwnerID: i.OwnerID, ID: id, State: i.State})
		}
	}
	return due, nil
}

// State implements ports.Images.
func (p images) State(ctx context.Context, ownerID, id domain.ID) (domain.ImageState, error) {
	if err := ended(ctx); err != nil {
		return "", err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	i, ok := p.r.images[id]
	if !ok || i.OwnerID != ownerID {
		return "", domain.NoSuchImage()
	}
	return i.State, nil
}

// States implements ports.Images.
func (p images) States(ctx context.Context, ownerID domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	states := make(map[domain.ID]domain.ImageState, len(ids))
	for _, id := range ids {
		if i, ok := p.r.images[id]; ok && i.OwnerID == ownerID {
			states[id] = i.State
		}
	}
	return states, nil
}

// Ownerless implements ports.Images.
func (p images) Ownerless(ctx context.Context, after domain.ID, limit int) (found []ports.DueImage, next domain.ID, err error) {
	if err := ended(ctx); err != nil {
		return nil, next, err
	}
	if limit < 1 {
		return nil, next, domain.InvalidField("limit", "range", "at least 1")
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	at, there := slices.BinarySearchFunc(p.r.ready, after, domain.ID.Compare)
	if there {
		at++
	}
	seen := p.r.ready[at:min(at+limit, len(p.r.ready))]
	for _, id := range seen {
		if owner := p.r.images[id].OwnerID; p.r.users[owner].ID.IsZero() {
			found = append(found, ports.DueImage{OwnerID: owner, ID: id, State: domain.ImageReady})
		}
	}
	if len(seen) == limit {
		next = seen[limit-1]
	}
	return found, next, nil
}

// RecountUsage implements ports.Images.
func (p images) RecountUsage(ctx context.Context, ownerID domain.ID) (domain.Usage, error) {
	if err := ended(ctx); err != nil {
		return domain.Usage{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	was := p.r.usage[ownerID]
	var is domain.Usage
	for _, i := range p.r.images {
		if i.OwnerID == ownerID && i.State == domain.ImageReady {
			is.Images++
			is.Bytes += i.Size
		}
	}
	if p.r.usage[ownerID] = is; is.Images == 0 {
		delete(p.r.usage, ownerID)
	}
	return was, nil
}

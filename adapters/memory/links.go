package memory

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func copyLink(l domain.Link) domain.Link {
	l.CreatedAt, l.ExpiresAt, l.RevokedAt = stored(l.CreatedAt), stored(l.ExpiresAt), stored(l.RevokedAt)
	return l
}

func noLink() error { return domain.Errorf(domain.NotFound, "no such link") }

type links struct{ r *records }

// Create implements ports.Links.
func (p links) Create(ctx context.Context, l domain.Link, bound int) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	_, hashTaken := p.r.linkByHash[l.Hash]
	_, idTaken := p.r.links[l.ID]
	if hashTaken || idTaken {
		return domain.Errorf(domain.Conflict, "the link exists already")
	}
	if bound > 0 {
		live := 0
		for _, id := range p.r.linksOf[l.OwnerID] {
			if p.r.links[id].Live(l.CreatedAt) {
				live++
			}
		}
		if err := p.r.room(l.OwnerID, live, bound); err != nil {
			return err
		}
	}
	p.r.links[l.ID] = copyLink(l)
	p.r.linkByHash[l.Hash] = l.ID
	p.r.linkOrder.add(l.ID)
	p.r.linksOf.add(l.OwnerID, l.ID)
	p.r.linksOfIn.add([2]domain.ID{l.OwnerID, l.ImageID}, l.ID)
	return nil
}

// ByToken implements ports.Links.
func (p links) ByToken(ctx context.Context, token domain.SecretHash) (domain.Link, error) {
	if err := ended(ctx); err != nil {
		return domain.Link{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	l, ok := p.r.links[p.r.linkByHash[token]]
	if !ok {
		return domain.Link{}, noLink()
	}
	return l, nil
}

// Get implements ports.Links.
func (p links) Get(ctx context.Context, ownerID, id domain.ID) (domain.Link, error) {
	if err := ended(ctx); err != nil {
		return domain.Link{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	l, ok := p.r.links[id]
	if !ok || l.OwnerID != ownerID {
		return domain.Link{}, noLink()
	}
	return l, nil
}

// List implements ports.Links.
func (p links) List(ctx context.Context, ownerID, imageID domain.ID, pg ports.Page) ([]domain.Link, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	ids := p.r.linksOf[ownerID]
	if !imageID.IsZero() {
		ids = p.r.linksOfIn[[2]domain.ID{ownerID, imageID}]
	}
	list, _ := page(ids, pg, func(id domain.ID) (domain.Link, bool) { return p.r.links[id], true })
	return list, nil
}

// ListAll implements ports.Links.
func (p links) ListAll(ctx context.Context, tr ports.TimeRange, pg ports.Page) ([]domain.Link, domain.ID, error) {
	if err := ended(ctx); err != nil {
		return nil, domain.ID{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	list, more := page(p.r.linkOrder, pg, func(id domain.ID) (domain.Link, bool) {
		l := p.r.links[id]
		return l, within(tr, l.CreatedAt)
	})
	if !more {
		return list, domain.ID{}, nil
	}
	return list, list[len(list)-1].ID, nil
}

// room refuses one thing more of a user who has as many as the bound allows, or who is going. The mutex is held.
func (r *records) room(user domain.ID, have, bound int) error {
	if !r.stays(user) {
		return domain.Errorf(domain.NotFound, "no such user")
	}
	if have < bound {
		return nil
	}
	e, used := domain.LimitError(domain.QuotaExceeded, int64(bound), "there are %d already", have), int64(have)
	e.Used = &used
	return e
}

// stays reports whether a user is there and not being deleted.
func (r *records) stays(user domain.ID) bool {
	u, ok := r.users[user]
	return ok && !u.Deleting
}

// Revoke implements ports.Links. Where the link was revoked already nothing
// changes, so that no audit entry is written either.
func (p links) Revoke(ctx context.Context, ownerID, id domain.ID, entry *domain.AuditEntry, now time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	l, ok := p.r.links[id]
	if !ok || l.OwnerID != ownerID {
		return noLink()
	}
	if !l.RevokedAt.IsZero() {
		return nil
	}
	l.RevokedAt = stored(now)
	p.r.links[id] = l
	p.r.publish(ports.Change{Kind: ports.LinkRevoked, ID: id})
	if entry != nil {
		p.r.record(*entry)
	}
	return nil
}

// TakeView implements ports.Links. It reports false for an unknown link
// and for one without a bound.
func (p links) TakeView(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error) {
	if err := ended(ctx); err != nil {
		return false, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	l, ok := p.r.links[p.r.linkByHash[token]]
	if !ok || !l.RevokedAt.IsZero() || !now.Before(l.ExpiresAt) || l.Views >= l.MaxViews {
		return false, nil
	}
	l.Views++
	p.r.links[l.ID] = l
	return true, nil
}

// AddViews implements ports.Links.
func (p links) AddViews(ctx context.Context, b ports.ViewBatch) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if _, done := p.r.viewBatches[b.ID]; done {
		return nil
	}
	p.r.viewBatches[b.ID] = p.r.now()
	for token, n := range b.Views {
		if l, ok := p.r.links[p.r.linkByHash[token]]; ok && l.MaxViews == 0 {
			l.Views += n
			p.r.links[l.ID] = l
		}
	}
	return nil
}

// DeleteOld implements ports.Links.
func (p links) DeleteOld(ctx context.Context, madeBefore time.Time, limit int) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	var old []domain.Link
	for _, id := range p.r.linkOrder {
		if len(old) >= limit {
			break
		}
		if l := p.r.links[id]; l.CreatedAt.Before(madeBefore) {
			old = append(old, l)
		}
	}
	for _, l := range old {
		delete(p.r.links, l.ID)
		delete(p.r.linkByHash, l.Hash)
		p.r.linkOrder.remove(l.ID)
		p.r.linksOf.remove(l.OwnerID, l.ID)
		p.r.linksOfIn.remove([2]domain.ID{l.OwnerID, l.ImageID}, l.ID)
	}
	return len(old), nil
}

// Owner implements ports.Links.
func (p links) Owner(ctx context.Context, id domain.ID) (domain.ID, error) {
	if err := ended(ctx); err != nil {
		return domain.ID{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	l, ok := p.r.links[id]
	if !ok {
		return domain.ID{}, noLink()
	}
	return l.OwnerID, nil
}

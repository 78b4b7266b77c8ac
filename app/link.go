package app

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// LinkInput asks for an expiring link.
type LinkInput struct {
	ExpiresIn int64 // whole seconds
	MaxViews  int64 // 0: no bound
	// Variant is what the link shows; nil: the original if permitted, else the tallest permitted thumbnail.
	Variant *domain.Variant
}

// LinkDetails is a link with its state at this moment.
type LinkDetails struct {
	domain.Link
	State domain.LinkState
}

// maxViews bounds max_views, so that sums never overflow.
const maxViews = 1 << 53

// CreateLink makes an expiring link to an image of the actor's. token is the
// secret of its URL, shown this once.
func (s *Service) CreateLink(ctx context.Context, actor domain.Actor, id domain.ID, in LinkInput) (l LinkDetails, token string, err error) {
	img, err := s.visible(ctx, actor, id)
	if err != nil {
		return l, "", err
	}
	d, err := domain.Decide(actor, img.OwnerID, domain.MakeLink, func() ([]domain.Tier, error) { return s.allTiers(ctx) })
	if err != nil {
		return l, "", err
	}
	if err := d.Err(domain.MakeLink); err != nil {
		s.logRefusal(ctx, credential{actor: &actor}, id, domain.MakeLink.String(), err)
		return l, "", err
	}
	lo, hi := actor.Entitlements.Limits.LinkSeconds()
	if in.ExpiresIn < lo || in.ExpiresIn > hi {
		return l, "", domain.InvalidField("expires_in", "range", "a whole number of seconds from %d to %d", lo, hi)
	}
	if in.MaxViews < 0 || in.MaxViews > maxViews {
		return l, "", domain.InvalidField("max_views", "range", "a whole number of at least 1")
	}
	variant, _ := actor.Entitlements.DefaultLinkVariant() // there is one, or the decision would have been another
	if in.Variant != nil {
		variant = *in.Variant
	}
	// An admin may see more than their tier says; a link shows what its owner's tier says.
	view := domain.Read(variant)
	if err := domain.DecideLinkUse(actor.User, actor.Entitlements, variant).Err(view); err != nil {
		s.logRefusal(ctx, credential{actor: &actor}, id, "link to "+view.String(), err)
		return l, "", err
	}
	now := s.now()
	token = newSecret()
	link := domain.Link{
		ID: s.cfg.NewID(), Hash: hashSecret(token), OwnerID: img.OwnerID, ImageID: img.ID, Variant: variant,
		CreatedAt: now, ExpiresAt: now.Add(time.Duration(in.ExpiresIn) * time.Second), MaxViews: in.MaxViews,
	}
	switch err := s.rec.Links.Create(ctx, link, domain.MaxLiveLinks); {
	case errors.Is(err, domain.NotFound):
		return l, "", domain.NoSuchImage() // its owner was deleted meanwhile
	case errors.Is(err, domain.QuotaExceeded):
		return l, "", tooMany(err, "you have %d live links, which is as many as a user may have: revoke some, or wait until some expire")
	case err != nil:
		return l, "", err
	}
	s.putLink(ctx, link)
	return LinkDetails{Link: link, State: domain.LinkStateActive}, token, nil
}

// tooMany answers what a port refused by a bound that no tier lifts: unlike a tier's quota, waiting or clearing up helps.
func tooMany(err error, format string) error {
	e := domain.AsError(err)
	return rateLimited(*e.Limit, time.Minute, format, *e.Limit)
}

// putLink and markLinkDead tell the fast path. It may be unavailable: the database knows.
func (s *Service) putLink(ctx context.Context, l domain.Link) {
	if ttl := l.ExpiresAt.Sub(s.now()); s.cfg.LinkCache != nil && ttl > 0 {
		s.outages.links.note(ctx, s.log, s.cfg.LinkCache.Put(ctx, l.Hash, ttl))
	}
}

func (s *Service) markLinkDead(ctx context.Context, hash domain.SecretHash) {
	if s.cfg.LinkCache != nil {
		s.outages.links.note(ctx, s.log, s.cfg.LinkCache.MarkDead(ctx, hash, domain.MaxLinkSeconds*time.Second))
	}
}

// OpenLink opens what a link shows, for anybody who has its token. A link that
// never existed is domain.NotFound, a dead one domain.LinkExpired.
func (s *Service) OpenLink(ctx context.Context, token string) (*Content, error) {
	unknown := domain.Errorf(domain.NotFound, "no such link")
	if raw, err := encoding.DecodeString(token); err != nil || len(raw) != 24 {
		return nil, unknown
	}
	hash := hashSecret(token)
	l, err := s.link(ctx, hash)
	if errors.Is(err, domain.NotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	c, err := s.open(ctx, credential{link: &l}, l.ImageID, l.Variant)
	if errors.Is(err, domain.NotFound) {
		err = linkExpired() // deleted while it was being opened
	}
	if err != nil {
		return nil, err
	}
	c.Expires, c.Public, c.Link, c.ViewsBound = l.ExpiresAt, true, true, l.MaxViews > 0
	c.CountView = func(ctx context.Context) error {
		if l.MaxViews == 0 {
			s.views.add(hash)
			return nil
		}
		taken, err := s.rec.Links.TakeView(ctx, hash, s.now())
		if err != nil {
			return err
		}
		if !taken {
			s.markLinkDead(ctx, hash)
			return linkExpired()
		}
		return c.Recheck(ctx) // the database was waited for
	}
	return c, nil
}

func linkExpired() error { return domain.Errorf(domain.LinkExpired, "Link has expired") }

// link returns the link of a token, dead or alive. One without a bound on views is read
// from memory while the change feed vouches for it, so that it costs what a signed URL
// costs; views are counted in the database alone. What the fast path says of a link is
// never believed against the database.
func (s *Service) link(ctx context.Context, hash domain.SecretHash) (domain.Link, error) {
	load := func(ctx context.Context) (domain.Link, error) {
		l, err := s.rec.Links.ByToken(ctx, hash)
		if err != nil {
			return l, err
		}
		// Of a link that expired nothing is remembered: its row says so, at any time that a clock may show.
		switch state := l.State(s.now(), domain.User{}, domain.Entitlements{}); {
		case state == domain.LinkStateRevoked, state == domain.LinkStateUsedUp:
			s.markLinkDead(ctx, hash)
		case !state.Final() && s.checkLink(ctx, hash) == ports.LinkUnknown:
			s.putLink(ctx, l)
		}
		return l, nil
	}
	// A dead one is read each time: after a while its row goes, and with it the 410.
	return s.links.get(ctx, hash, load, func(l domain.Link) bool { return l.MaxViews == 0 && l.Live(s.now()) })
}

// checkLink asks the fast path. It may be unavailable: the database knows.
func (s *Service) checkLink(ctx context.Context, hash domain.SecretHash) ports.LinkStatus {
	if s.cfg.LinkCache == nil {
		return ports.LinkUnknown
	}
	life, err := s.cfg.LinkCache.Get(ctx, hash)
	if s.outages.links.note(ctx, s.log, err); err != nil {
		return ports.LinkUnknown
	}
	return life
}

// Links lists the links to an image that the actor may know of, dead ones included.
func (s *Service) Links(ctx context.Context, actor domain.Actor, id domain.ID, p ports.Page) (items []LinkDetails, next domain.ID, err error) {
	img, err := s.visible(ctx, actor, id)
	if err != nil {
		return nil, next, err
	}
	links, next, err := paged(p, linkID, func(p ports.Page) ([]domain.Link, error) {
		return s.rec.Links.List(ctx, img.OwnerID, img.ID, p)
	})
	if err != nil {
		return nil, next, err
	}
	items, err = s.linkDetails(ctx, links)
	return items, next, err
}

func linkID(l domain.Link) domain.ID { return l.ID }

func (s *Service) linkDetails(ctx context.Context, links []domain.Link) ([]LinkDetails, error) {
	out := make([]LinkDetails, len(links))
	now := s.now()
	for i, l := range links {
		owner, err := s.account(ctx, l.OwnerID)
		if err != nil && !errors.Is(err, domain.NotFound) {
			return nil, err
		}
		l.Views += s.views.pending(l.Hash)
		out[i] = LinkDetails{Link: l, State: l.State(now, owner.user, owner.entitlements)}
	}
	return out, nil
}

// AllLinks lists everybody's links, for admins.
func (s *Service) AllLinks(ctx context.Context, actor domain.Actor, f Filter, p ports.Page) (items []LinkDetails, next domain.ID, err error) {
	if err := s.requireAdmin(ctx, actor, "admin.links"); err != nil {
		return nil, next, err
	}
	ofOwner := func(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.Link, error) {
		return s.rec.Links.List(ctx, owner, domain.ID{}, p)
	}
	links, next, err := browse(ctx, s, f, p, linkID, func(l domain.Link) time.Time { return l.CreatedAt }, ofOwner, s.rec.Links.ListAll)
	if err != nil {
		return nil, next, err
	}
	items, err = s.linkDetails(ctx, links)
	return items, next, err
}

// RevokeLink ends a link at once; domain.NotFound if it is neither the actor's nor the actor an admin.
func (s *Service) RevokeLink(ctx context.Context, actor domain.Actor, id domain.ID) error {
	if err := requireSignedIn(actor); err != nil {
		return err
	}
	none := domain.Errorf(domain.NotFound, "no such link")
	l, err := s.rec.Links.Get(ctx, actor.User.ID, id)
	if errors.Is(err, domain.NotFound) && actor.Admin() {
		var owner domain.ID
		if owner, err = s.rec.Links.Owner(ctx, id); err == nil {
			l, err = s.rec.Links.Get(ctx, owner, id)
		}
	}
	if errors.Is(err, domain.NotFound) {
		return none
	}
	if err != nil {
		return err
	}
	var audit *domain.AuditEntry
	if l.OwnerID != actor.User.ID {
		e := s.audit(actor, "link.revoke", id.String(), map[string]any{"owner": l.OwnerID.String(), "image": l.ImageID.String()}, nil)
		audit = &e
	}
	err = s.rec.Links.Revoke(ctx, l.OwnerID, id, audit, s.now())
	s.syncFeed(ctx)
	if errors.Is(err, domain.NotFound) {
		return none
	}
	if err != nil {
		return err
	}
	s.markLinkDead(ctx, l.Hash)
	return nil
}

// viewCounter counts views of links without a bound in memory; they are written
// every second, so that a link GET costs no write. A crash loses at most that second's count.
type viewCounter struct {
	mu sync.Mutex
	n  map[domain.SecretHash]int64
	// batch is being written. It stays as it is until it is known to be: a second try adds it once.
	batch   ports.ViewBatch
	retried bool // the batch is not new
	writing sync.Mutex
}

func (c *viewCounter) add(h domain.SecretHash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[domain.SecretHash]int64{}
	}
	c.n[h]++
}

func (c *viewCounter) pending(h domain.SecretHash) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[h] + c.batch.Views[h]
}

func (s *Service) runViews(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := s.flushViews(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "could not write view counts, trying again", "error", err)
			}
		}
	}
}

// flushViews writes the batch that could not be written before, if there is one, and then what was counted since.
func (s *Service) flushViews(ctx context.Context) error {
	c := &s.views
	c.writing.Lock()
	defer c.writing.Unlock()
	for c.next() {
		if err := s.rec.Links.AddViews(ctx, c.batch); err != nil {
			return err
		}
		retried := c.retried
		c.done()
		if !retried {
			break
		}
	}
	return nil
}

// next makes sure that there is a batch to write. Only who holds writing calls it.
func (c *viewCounter) next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retried = c.batch.Views != nil; c.retried {
		return true
	}
	if len(c.n) == 0 {
		return false
	}
	c.batch, c.n = ports.ViewBatch{ID: domain.ID(uuid.New()), Views: c.n}, nil
	return true
}

func (c *viewCounter) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batch = ports.ViewBatch{}
}

// audit makes an entry of the audit log; before and after must hold no secret.
func (s *Service) audit(actor domain.Actor, action, target string, before, after any) domain.AuditEntry {
	e := domain.AuditEntry{
		ID: s.cfg.NewID(), At: s.now(), ActorID: actor.User.ID, Actor: actor.User.Username, Action: action, Target: target,
		RequestID: actor.RequestID, Address: actor.Address,
	}
	// Marshalling maps, strings and numbers cannot fail.
	if before != nil {
		e.Before, _ = json.Marshal(before)
	}
	if after != nil {
		e.After, _ = json.Marshal(after)
	}
	return e
}

// Audit lists the audit log, newest first, for admins.
func (s *Service) Audit(ctx context.Context, actor domain.Actor, f Filter, p ports.Page) (items []domain.AuditEntry, next domain.ID, err error) {
	if err := s.requireAdmin(ctx, actor, "admin.audit"); err != nil {
		return nil, next, err
	}
	return paged(p, func(e domain.AuditEntry) domain.ID { return e.ID }, func(p ports.Page) ([]domain.AuditEntry, error) {
		return s.rec.Audit.List(ctx, cleanUsername(f.Username), f.TimeRange, p)
	})
}

package app

import (
	"context"
	"errors"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// account is a user with what their tiers and grants add up to.
type account struct {
	user         domain.User
	entitlements domain.Entitlements
}

// account returns a user as they are now; domain.NotFound if there is none.
func (s *Service) account(ctx context.Context, id domain.ID) (account, error) {
	return s.accounts.get(ctx, id, func(ctx context.Context) (account, error) {
		u, err := s.rec.Accounts.User(ctx, id)
		if err != nil {
			return account{}, err
		}
		e, err := s.unite(ctx, u)
		return account{user: u, entitlements: e}, err
	})
}

// unite adds up a user's tiers and grants. A tier that is gone counts for nothing.
func (s *Service) unite(ctx context.Context, u domain.User) (domain.Entitlements, error) {
	all, err := s.allTiers(ctx)
	if err != nil {
		return domain.Entitlements{}, err
	}
	return uniteFrom(all, u), nil
}

func uniteFrom(all []domain.Tier, u domain.User) domain.Entitlements {
	var mine []domain.Tier
	for _, t := range all {
		for _, name := range u.Tiers {
			if t.Name == name {
				mine = append(mine, t)
			}
		}
	}
	return domain.Unite(mine, u.Grants)
}

// allTiers returns every tier; the slice is shared and must not be changed.
func (s *Service) allTiers(ctx context.Context) ([]domain.Tier, error) {
	return s.tiers.get(ctx, struct{}{}, s.rec.Accounts.Tiers)
}

// image returns an owner's ready image, or domain.NotFound. Another owner's image costs
// the same look-up as one that never existed, though it be in the cache: the time taken
// must not tell that it is there.
func (s *Service) image(ctx context.Context, ownerID, id domain.ID) (domain.Image, error) {
	load := func(ctx context.Context) (domain.Image, error) { return s.rec.Images.Get(ctx, ownerID, id) }
	img, err := s.images.get(ctx, id, load)
	if err == nil && img.OwnerID != ownerID {
		img, err = load(ctx)
	}
	if errors.Is(err, domain.NotFound) {
		return domain.Image{}, domain.NoSuchImage()
	}
	return img, err
}

// visible returns an image that the actor may know of: their own, or for an
// admin anybody's. For everyone else it is domain.NotFound, found by the same
// look-up as for an id that never existed.
func (s *Service) visible(ctx context.Context, actor domain.Actor, id domain.ID) (domain.Image, error) {
	ownerID := actor.User.ID
	if !actor.SignedIn() {
		return domain.Image{}, domain.CanSee(actor, ownerID).Err(domain.Action{})
	}
	img, err := s.image(ctx, ownerID, id)
	if errors.Is(err, domain.NotFound) && actor.Admin() {
		ownerID, err = s.rec.Images.Owner(ctx, id)
		if errors.Is(err, domain.NotFound) {
			return domain.Image{}, domain.NoSuchImage()
		}
		if err != nil {
			return domain.Image{}, err
		}
		img, err = s.image(ctx, ownerID, id)
	}
	if err != nil {
		return domain.Image{}, err
	}
	return img, domain.CanSee(actor, img.OwnerID).Err(domain.Action{})
}

// credential is what a request for an image's bytes presents. Exactly one of its fields is set.
type credential struct {
	actor *domain.Actor // credentials
	link  *domain.Link  // an expiring link
	owner domain.ID     // a signed URL that carries this owner's rights …
	until time.Time     // … up to this moment
}

// renew returns the credential as the records say it is now: the actor and the link in
// it were read when the request began, and a wait or a long body may outlive what they say.
func (s *Service) renew(ctx context.Context, by credential) (credential, error) {
	switch {
	case by.actor != nil:
		actor, err := s.renewActor(ctx, *by.actor)
		return credential{actor: &actor}, err
	case by.link != nil:
		read := s.link
		if by.link.MaxViews > 0 {
			read = s.rec.Links.ByToken // the fast path may know already that the last view was taken: by this body
		}
		l, err := read(ctx, by.link.Hash)
		l.Views = by.link.Views // a view that was taken since may be this body's own
		return credential{link: &l}, err
	}
	return by, nil // its owner and its end are asked about by authorize
}

// renewActor asks again about a credential, as what it is.
func (s *Service) renewActor(ctx context.Context, a domain.Actor) (actor domain.Actor, err error) {
	switch {
	case a.User.ID.IsZero():
		return a, nil // an operator at the machine
	case a.Via == domain.AuthToken:
		actor, err = s.byTokenHash(ctx, a.Credential)
	case a.Via == domain.AuthSession:
		actor, err = s.bySessionHash(ctx, a.Credential)
	default:
		var acc account
		if acc, err = s.account(ctx, a.User.ID); err == nil && acc.user.Epoch != a.User.Epoch {
			err = domain.Errorf(domain.Unauthenticated, "the password has changed, sign in again")
		}
		actor, err = signedIn(acc, a.Via, a.Credential, err)
	}
	actor.RequestID, actor.Address = a.RequestID, a.Address
	return actor, err
}

// authorize is the one gate before any image's bytes: thumbnail, original,
// link, whole or in part. It returns the image if the credential opens the variant now.
func (s *Service) authorize(ctx context.Context, by credential, id domain.ID, v domain.Variant) (domain.Image, error) {
	action := domain.Read(v)
	var (
		img      domain.Image
		decision domain.Decision
		err      error
	)
	switch {
	case by.actor != nil:
		if img, err = s.visible(ctx, *by.actor, id); err != nil {
			break
		}
		actor := *by.actor
		if decision, err = domain.Decide(actor, img.OwnerID, action, func() ([]domain.Tier, error) { return s.allTiers(ctx) }); err == nil {
			err = decision.Err(action)
		}
	case by.link != nil:
		img, err = s.authorizeLink(ctx, *by.link)
	default:
		if !s.now().Before(by.until) {
			err = badSignature()
			break
		}
		if img, err = s.image(ctx, by.owner, id); err != nil {
			break
		}
		var owner account
		if owner, err = s.account(ctx, by.owner); errors.Is(err, domain.NotFound) {
			err = domain.NoSuchImage()
		} else if err == nil {
			decision = domain.DecideOwner(owner.user, owner.entitlements, action)
			err = decision.Err(action)
		}
	}
	if err != nil {
		s.logRefusal(ctx, by, id, action.String(), err)
		return domain.Image{}, err
	}
	return img, nil
}

// authorizeLink is authorize for a link: its state now, then its image.
func (s *Service) authorizeLink(ctx context.Context, l domain.Link) (domain.Image, error) {
	dead := linkExpired()
	owner, err := s.account(ctx, l.OwnerID)
	if errors.Is(err, domain.NotFound) {
		return domain.Image{}, dead
	}
	if err != nil {
		return domain.Image{}, err
	}
	if l.State(s.now(), owner.user, owner.entitlements) != domain.LinkStateActive {
		return domain.Image{}, dead
	}
	img, err := s.image(ctx, l.OwnerID, l.ImageID)
	if errors.Is(err, domain.NotFound) {
		return domain.Image{}, dead
	}
	return img, err
}

// logRefusal notes a refused access, without secrets. What fails for want of a backend is not a refusal.
func (s *Service) logRefusal(ctx context.Context, by credential, id domain.ID, what string, err error) {
	switch code := domain.CodeOf(err); code {
	case domain.Denied, domain.NotFound, domain.LinkExpired, domain.Unauthenticated:
		who, via := "", "signature"
		switch {
		case by.actor != nil:
			who, via = by.actor.User.Username, string(by.actor.Via)
		case by.link != nil:
			via = "link"
		}
		s.log.InfoContext(ctx, "access refused", "image", id.String(), "action", what, "user", who, "via", via, "code", string(code))
	}
}

// requireAdmin refuses everybody else.
func (s *Service) requireAdmin(ctx context.Context, actor domain.Actor, what string) error {
	if actor.Admin() {
		return nil
	}
	if !actor.SignedIn() {
		return domain.Errorf(domain.Unauthenticated, "sign in first")
	}
	s.log.InfoContext(ctx, "access refused", "action", what, "user", actor.User.Username, "via", string(actor.Via), "code", string(domain.Denied))
	return domain.Errorf(domain.Denied, "only admins may do this")
}

func requireSignedIn(actor domain.Actor) error {
	if actor.SignedIn() {
		return nil
	}
	return domain.Errorf(domain.Unauthenticated, "sign in first")
}

// Limit takes one request off the actor's allowance. limit is per minute,
// domain.NoLimit where the tier has none (then the state means nothing). Refused
// requests are domain.RateLimited.
func (s *Service) Limit(ctx context.Context, actor domain.Actor) (limit domain.Limit, st RateState, err error) {
	limit = actor.Entitlements.Limits.RequestsPerMinute
	if limit == domain.NoLimit || actor.Via == domain.AuthSystem {
		return domain.NoLimit, st, nil
	}
	got, err := s.cfg.RateLimits.Allow(ctx, "requests:"+actor.User.ID.String(), perMinute(int64(limit)))
	s.outages.limits.note(ctx, s.log, err)
	if err != nil {
		return domain.NoLimit, st, nil //nolint:nilerr // a limiter that is unavailable must not take the service with it
	}
	st = RateState{Remaining: got.Remaining, Reset: got.Reset}
	if !got.Allowed {
		return limit, st, rateLimited(int64(limit), got.RetryAfter, "more than %d requests a minute", int64(limit))
	}
	return limit, st, nil
}

// RateState is what is left of an allowance.
type RateState struct {
	Remaining int64
	Reset     time.Duration // until all of it is there again
}

func rateLimited(limit int64, retry time.Duration, format string, args ...any) error {
	e := domain.LimitError(domain.RateLimited, limit, format, args...)
	e.RetryAfter = max(retry, time.Second)
	return e
}

package app

import (
	"context"
	"errors"
	"slices"

	"github.com/imagify-api/imagify/domain"
)

// Access tells for each variant of an image, and for links, whether it is
// allowed and why.
type Access struct {
	Image domain.Image
	// User is whose access it is.
	User domain.User
	// Rows are the original, every height that any tier or the owner has, ascending, and links.
	Rows []AccessRow
}

// AccessRow is one action of an Access.
type AccessRow struct {
	Action   domain.Action
	Decision domain.Decision
	// SmallestTier is the tier with the fewest permissions that would allow it; empty if none would.
	SmallestTier string
}

// WhatIf changes the question of Access.
type WhatIf struct {
	// Tier asks as if the user's tiers were this one alone; direct grants stay.
	Tier string
	// Username asks for another user than the image's owner; for admins.
	Username string
}

// Access explains who may do what with an image, for its owner and for admins.
func (s *Service) Access(ctx context.Context, actor domain.Actor, id domain.ID, w WhatIf) (Access, error) {
	img, err := s.visible(ctx, actor, id)
	if err != nil {
		return Access{}, err
	}
	var u domain.User
	if w.Username != "" {
		if err := s.requireAdmin(ctx, actor, "access.user"); err != nil {
			return Access{}, err
		}
		if u, err = s.userByName(ctx, w.Username); errors.Is(err, domain.NotFound) {
			return Access{}, domain.InvalidField("user", "unknown", "there is no user %q", w.Username)
		}
	} else {
		u, err = s.rec.Accounts.User(ctx, img.OwnerID)
	}
	if err != nil {
		return Access{}, err
	}
	all, err := s.allTiers(ctx)
	if err != nil {
		return Access{}, err
	}
	if w.Tier != "" {
		if !slices.ContainsFunc(all, func(t domain.Tier) bool { return t.Name == w.Tier }) {
			return Access{}, domain.InvalidField("tier", "unknown", "there is no tier %q", w.Tier)
		}
		u.SetTiers([]string{w.Tier})
	}
	effective := uniteFrom(all, u)
	known := effective.Permissions
	for _, t := range all {
		known = known.Union(t.Permissions)
	}
	actions := []domain.Action{domain.Read(domain.Original)}
	for _, h := range known.Heights() {
		v, _ := domain.Thumbnail(h)
		actions = append(actions, domain.Read(v))
	}
	actions = append(actions, domain.MakeLink)
	out := Access{Image: img, User: u}
	for _, a := range actions {
		row, err := explain(u, effective, img.OwnerID, a, all)
		if err != nil {
			return Access{}, err
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// explain decides as if the user asked by credentials.
func explain(u domain.User, e domain.Entitlements, ownerID domain.ID, a domain.Action, all []domain.Tier) (AccessRow, error) {
	as := domain.Actor{User: u, Entitlements: e, Via: domain.AuthExplain}
	d, err := domain.Decide(as, ownerID, a, func() ([]domain.Tier, error) { return all, nil })
	return AccessRow{Action: a, Decision: d, SmallestTier: d.SmallestTierFor(a, all)}, err
}

// Explain decides one action of one user on one image, as if they asked, for admins.
func (s *Service) Explain(ctx context.Context, actor domain.Actor, username string, id domain.ID, a domain.Action) (AccessRow, error) {
	if err := s.requireAdmin(ctx, actor, "explain"); err != nil {
		return AccessRow{}, err
	}
	img, err := s.visible(ctx, actor, id)
	if err != nil {
		return AccessRow{}, err
	}
	u, err := s.userByName(ctx, username)
	if err != nil {
		return AccessRow{}, err
	}
	all, err := s.allTiers(ctx)
	if err != nil {
		return AccessRow{}, err
	}
	return explain(u, uniteFrom(all, u), img.OwnerID, a, all)
}

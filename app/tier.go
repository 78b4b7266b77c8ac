package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// TierChange is what to set of a tier; nil leaves a field as it is.
type TierChange struct {
	Title       *string
	Permissions *[]string // codenames
	// Limits sets limits by their contract names; a nil value means none, a
	// missing name leaves the limit as it is.
	Limits map[string]*int64
}

// Tiers lists all tiers by name, for admins.
func (s *Service) Tiers(ctx context.Context, actor domain.Actor) ([]domain.Tier, error) {
	if err := s.requireAdmin(ctx, actor, "tier.list"); err != nil {
		return nil, err
	}
	return s.rec.Accounts.Tiers(ctx)
}

// Tier returns one tier, for admins.
func (s *Service) Tier(ctx context.Context, actor domain.Actor, name string) (domain.Tier, error) {
	if err := s.requireAdmin(ctx, actor, "tier.show"); err != nil {
		return domain.Tier{}, err
	}
	t, err := s.rec.Accounts.Tier(ctx, name)
	return t, noSuchTier(err)
}

func noSuchTier(err error) error {
	if errors.Is(err, domain.NotFound) {
		return domain.Errorf(domain.NotFound, "no such tier")
	}
	return err
}

// CreateTier makes a custom tier; domain.Conflict if the name is taken.
func (s *Service) CreateTier(ctx context.Context, actor domain.Actor, name string, c TierChange) (domain.Tier, error) {
	if err := s.requireAdmin(ctx, actor, "tier.create"); err != nil {
		return domain.Tier{}, err
	}
	now := s.now()
	t := domain.Tier{Name: name, Limits: domain.DefaultLimits(), CreatedAt: now, UpdatedAt: now}
	if err := c.apply(&t); err != nil {
		return t, err
	}
	if err := s.checkCaps(domain.DefaultLimits(), t.Limits); err != nil {
		return t, err
	}
	// Members of a deleted tier of this name, whose removal was interrupted, must not be members of this one.
	if err := s.removeMembers(ctx, name, func() error { return nil }); err != nil {
		return t, err
	}
	err := s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		switch _, err := tx.Tier(ctx, name); {
		case err == nil:
			return domain.Errorf(domain.Conflict, "there is a tier of this name already")
		case !errors.Is(err, domain.NotFound):
			return err
		}
		if left, err := tx.Users(ctx, name, ports.Page{Limit: 1}); err != nil || len(left) > 0 {
			return errors.Join(err, errMembersLeft(left))
		}
		if err := tx.SaveTier(ctx, t); err != nil {
			return err
		}
		return tx.Record(ctx, s.audit(actor, "tier.create", name, nil, tierFacts(t)))
	})
	return t, err
}

// errMembersLeft refuses a tier whose name users still have in their records.
func errMembersLeft(left []domain.User) error {
	if len(left) == 0 {
		return nil
	}
	return domain.Errorf(domain.Unavailable, "a tier of this name is being deleted, try again")
}

// UpdateTier changes a tier for all its members, at once.
func (s *Service) UpdateTier(ctx context.Context, actor domain.Actor, name string, c TierChange) (t domain.Tier, err error) {
	if err := s.requireAdmin(ctx, actor, "tier.update"); err != nil {
		return t, err
	}
	before, err := s.rec.Accounts.Tier(ctx, name)
	if err != nil {
		return t, noSuchTier(err)
	}
	planned := before
	if err := c.apply(&planned); err != nil {
		return t, err
	}
	if len(planned.Permissions.Union(before.Permissions).Heights()) > len(before.Permissions.Heights()) {
		if err := s.checkMembers(ctx, planned); err != nil {
			return t, err
		}
	}
	err = s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		before, err := tx.Tier(ctx, name)
		if err != nil {
			return noSuchTier(err)
		}
		t = before
		if err := c.apply(&t); err != nil {
			return err
		}
		if err := s.checkCaps(before.Limits, t.Limits); err != nil {
			return err
		}
		t.UpdatedAt = s.now()
		if err := tx.SaveTier(ctx, t); err != nil {
			return err
		}
		return tx.Record(ctx, s.audit(actor, "tier.update", name, tierFacts(before), tierFacts(t)))
	})
	return t, err
}

// checkCaps refuses a limit that is set above the process's own cap: it would promise what no upload
// gets. One that was there before the cap stays, and so does none at all, which means the cap.
func (s *Service) checkCaps(before, after domain.Limits) error {
	for _, c := range []struct {
		name, setting string
		was, is       domain.Limit
		limit         int64
	}{
		{"max_upload_bytes", "IMAGIFY_MAX_UPLOAD", before.MaxUploadBytes, after.MaxUploadBytes, s.cfg.Caps.UploadBytes},
		{"max_pixels", "IMAGIFY_MAX_PIXELS", before.MaxPixels, after.MaxPixels, s.cfg.Caps.Pixels},
	} {
		if c.is != c.was && c.is != domain.NoLimit && int64(c.is) > c.limit {
			return domain.InvalidField("limits."+c.name, "range", "at most %d, which is the server's own cap (%s)", c.limit, c.setting)
		}
	}
	return nil
}

// TierEffect is what a change of a tier would do.
type TierEffect struct {
	Before, After domain.Tier
	// Members counts the tier's users.
	Members int
	// Permissions are those that the change adds or takes away, in their usual order.
	Permissions []PermissionEffect
}

// PermissionEffect is a permission that a tier would gain or lose.
type PermissionEffect struct {
	Permission domain.Permission
	Gained     bool
	// Users counts the members for whom that makes a difference: those who have
	// the permission from nowhere else.
	Users int
}

// PreviewTier tells what UpdateTier would do, without doing it; where that would
// refuse the change, this does so with the same error.
func (s *Service) PreviewTier(ctx context.Context, actor domain.Actor, name string, c TierChange) (TierEffect, error) {
	var out TierEffect
	var err error
	if out.Before, err = s.Tier(ctx, actor, name); err != nil {
		return out, err
	}
	out.After = out.Before
	if err := c.apply(&out.After); err != nil {
		return out, err
	}
	if err := s.checkCaps(out.Before.Limits, out.After.Limits); err != nil {
		return out, err
	}
	for _, p := range out.Before.Permissions.Union(out.After.Permissions).All() {
		if gained := out.After.Permissions.Has(p); gained != out.Before.Permissions.Has(p) {
			out.Permissions = append(out.Permissions, PermissionEffect{Permission: p, Gained: gained})
		}
	}
	all, err := s.rec.Accounts.Tiers(ctx)
	if err != nil {
		return out, err
	}
	changed, others := slices.Clone(all), slices.Clone(all)
	others = slices.DeleteFunc(others, func(t domain.Tier) bool { return t.Name == name })
	for i := range changed {
		if changed[i].Name == name {
			changed[i] = out.After
		}
	}
	return out, eachMember(ctx, s.rec.Accounts, name, func(u domain.User) error {
		out.Members++
		elsewhere := uniteFrom(others, u).Permissions
		for i := range out.Permissions {
			if e := &out.Permissions[i]; !elsewhere.Has(e.Permission) {
				e.Users++
			}
		}
		return uniteFrom(changed, u).CheckHeights()
	})
}

// checkMembers refuses heights that would be too many for a member who has others
// besides. It is asked before the change, because a tier may have any number of members,
// and nobody waits for their being read; what a member gets meanwhile is checked as that member's change.
func (s *Service) checkMembers(ctx context.Context, changed domain.Tier) error {
	all, err := s.rec.Accounts.Tiers(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Name == changed.Name {
			all[i] = changed
		}
	}
	return eachMember(ctx, s.rec.Accounts, changed.Name, func(u domain.User) error { return uniteFrom(all, u).CheckHeights() })
}

// eachMember calls fn for every member of a tier; of the tier "", for every user.
func eachMember(ctx context.Context, all ports.AccountsReader, tier string, fn func(domain.User) error) error {
	const page = 200
	var before domain.ID
	for {
		users, err := all.Users(ctx, tier, ports.Page{Before: before, Limit: page})
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := fn(u); err != nil {
				return err
			}
		}
		if len(users) < page {
			return nil
		}
		before = users[page-1].ID
	}
}

// DeleteTier removes a custom tier; its members lose what it gave them, at once.
// A predefined tier is domain.Conflict. That the members' records still name the tier
// means nothing from then on; those that could not be cleaned at once, the sweep cleans.
func (s *Service) DeleteTier(ctx context.Context, actor domain.Actor, name string) error {
	if err := s.requireAdmin(ctx, actor, "tier.delete"); err != nil {
		return err
	}
	err := s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		t, err := tx.Tier(ctx, name)
		if err != nil {
			return noSuchTier(err)
		}
		if t.Predefined {
			return domain.Errorf(domain.Conflict, "a predefined tier can be changed, but not deleted")
		}
		if err := tx.DeleteTier(ctx, name); err != nil {
			return err
		}
		return tx.Record(ctx, s.audit(actor, "tier.delete", name, tierFacts(t), nil))
	})
	if err != nil {
		return err
	}
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.removeMembers(c, name, func() error { return nil }); err != nil {
		s.log.WarnContext(ctx, "a deleted tier's memberships are left to the sweep", "tier", name, "error", err)
	}
	return nil
}

// membersAtOnce is how many memberships one transaction takes away: so few that nobody waits for it.
const membersAtOnce = 200

// removeMembers takes a deleted tier's name out of its members' records, in batches; it
// may be interrupted at any point. It does nothing where there is such a tier.
func (s *Service) removeMembers(ctx context.Context, tier string, goOn func() error) error {
	for {
		var n int
		err := s.rec.Accounts.Change(ctx, func(tx ports.AccountsTx) (err error) {
			n = 0
			switch _, err := tx.Tier(ctx, tier); {
			case err == nil:
				return nil
			case !errors.Is(err, domain.NotFound):
				return err
			}
			n, err = tx.RemoveMembers(ctx, tier, membersAtOnce)
			return err
		})
		if err != nil || n < membersAtOnce {
			s.syncFeed(ctx)
			return err
		}
		if err := goOn(); err != nil {
			return err
		}
	}
}

// sweepMembers goes on where the removal of a tier was interrupted.
func (s *Service) sweepMembers(ctx context.Context, goOn func() error) error {
	names, err := s.rec.Accounts.DeletedTiers(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.removeMembers(ctx, name, goOn); err != nil {
			return err
		}
	}
	return nil
}

// changeAccounts changes who may do what, and lets it act before it returns.
func (s *Service) changeAccounts(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
	err := s.rec.Accounts.Change(ctx, fn)
	s.feed.tried(err)
	s.syncFeed(ctx)
	return err
}

func (c TierChange) apply(t *domain.Tier) error {
	if c.Title != nil {
		t.Title = strings.TrimSpace(*c.Title)
	}
	if c.Permissions != nil {
		ps, err := domain.ParsePermissions(*c.Permissions)
		if err != nil {
			return err
		}
		t.Permissions = ps
	}
	fields := t.Limits.Fields()
	for _, name := range slices.Sorted(maps.Keys(c.Limits)) {
		i := slices.IndexFunc(fields, func(f domain.LimitField) bool { return f.Name == name })
		if i < 0 {
			return domain.InvalidField("limits."+name, "unknown", "no such limit")
		}
		switch v := c.Limits[name]; {
		case v == nil:
			*fields[i].Value = domain.NoLimit
		case *v < 0:
			return domain.InvalidField("limits."+name, "range", "must not be negative; null means none")
		default:
			*fields[i].Value = domain.Limit(*v)
		}
	}
	return t.Validate()
}

func tierFacts(t domain.Tier) map[string]any {
	limits := map[string]any{}
	for _, f := range t.Limits.Fields() {
		limits[f.Name] = nil
		if *f.Value != domain.NoLimit {
			limits[f.Name] = int64(*f.Value)
		}
	}
	return map[string]any{"name": t.Name, "title": t.Title, "permissions": t.Permissions.Codenames(), "limits": limits}
}

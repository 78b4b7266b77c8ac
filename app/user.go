package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// UserChange is what to set of a user; nil leaves a field as it is.
type UserChange struct {
	Email       *string
	Password    *string
	Tiers       *[]string // names
	Permissions *[]string // codenames granted directly
	IsAdmin     *bool
	IsActive    *bool
}

// Users lists users, newest first, for admins; a non-empty tier leaves its members.
func (s *Service) Users(ctx context.Context, actor domain.Actor, tier string, p ports.Page) ([]domain.User, domain.ID, error) {
	if err := s.requireAdmin(ctx, actor, "user.list"); err != nil {
		return nil, domain.ID{}, err
	}
	return paged(p, func(u domain.User) domain.ID { return u.ID }, func(p ports.Page) ([]domain.User, error) {
		return s.rec.Accounts.Users(ctx, tier, p)
	})
}

// User returns one user, for admins.
func (s *Service) User(ctx context.Context, actor domain.Actor, username string) (domain.User, error) {
	if err := s.requireAdmin(ctx, actor, "user.show"); err != nil {
		return domain.User{}, err
	}
	return s.userByName(ctx, username)
}

// UserByID returns one user, for admins: whose an image or a link is.
func (s *Service) UserByID(ctx context.Context, actor domain.Actor, id domain.ID) (domain.User, error) {
	if err := s.requireAdmin(ctx, actor, "user.show"); err != nil {
		return domain.User{}, err
	}
	a, err := s.account(ctx, id)
	return a.user, noSuchUser(err)
}

func (s *Service) userByName(ctx context.Context, username string) (domain.User, error) {
	u, err := s.rec.Accounts.UserByName(ctx, cleanUsername(username))
	return u, noSuchUser(err)
}

func noSuchUser(err error) error {
	if errors.Is(err, domain.NotFound) {
		return domain.Errorf(domain.NotFound, "no such user")
	}
	return err
}

// CreateUser makes an account; domain.Conflict if the name is taken. Without a
// password it cannot sign in until one is set.
func (s *Service) CreateUser(ctx context.Context, actor domain.Actor, username string, c UserChange) (domain.User, error) {
	if err := s.requireAdmin(ctx, actor, "user.create"); err != nil {
		return domain.User{}, err
	}
	now := s.now()
	username = cleanUsername(username)
	u := domain.User{ID: s.cfg.NewID(), Username: username, IsActive: true, CreatedAt: now, UpdatedAt: now}
	if err := u.Validate(); err != nil {
		return u, err
	}
	hash, err := s.newHash(ctx, c)
	if err != nil {
		return u, err
	}
	err = s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		if err := s.applyUser(ctx, tx, &u, c, hash); err != nil {
			return err
		}
		if err := saveUser(ctx, tx, u); err != nil {
			return err
		}
		return tx.Record(ctx, s.audit(actor, "user.create", username, nil, userFacts(u)))
	})
	return u, err
}

// UpdateUser changes an account; what it loses, it loses at once. The last
// active admin stays one (domain.Conflict).
func (s *Service) UpdateUser(ctx context.Context, actor domain.Actor, username string, c UserChange) (u domain.User, err error) {
	if err := s.requireAdmin(ctx, actor, "user.update"); err != nil {
		return u, err
	}
	hash, err := s.newHash(ctx, c)
	if err != nil {
		return u, err
	}
	err = s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		before, err := tx.UserByName(ctx, cleanUsername(username))
		if err != nil {
			return noSuchUser(err)
		}
		u = before
		if err := s.applyUser(ctx, tx, &u, c, hash); err != nil {
			return err
		}
		u.UpdatedAt = s.now()
		// A new password and a deactivation end every session.
		if hash != "" || before.IsActive && !u.IsActive {
			u.Epoch++
		}
		if err := saveUser(ctx, tx, u); err != nil {
			return err
		}
		if err := checkLastAdmin(ctx, tx, before); err != nil {
			return err
		}
		after := userFacts(u)
		if hash != "" {
			after["password"] = "changed"
		}
		return tx.Record(ctx, s.audit(actor, "user.update", u.Username, userFacts(before), after))
	})
	return u, err
}

// DeleteUser deletes an account with its images and links. Everything of it is
// dead when it returns, and its name is free; bytes that could not be removed at
// once, the sweep removes.
func (s *Service) DeleteUser(ctx context.Context, actor domain.Actor, username string) error {
	if err := s.requireAdmin(ctx, actor, "user.delete"); err != nil {
		return err
	}
	var u domain.User
	err := s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		var err error
		if u, err = tx.UserByName(ctx, cleanUsername(username)); err != nil {
			return noSuchUser(err)
		}
		before := u
		u.Deleting, u.IsActive, u.UpdatedAt = true, false, s.now()
		u.Epoch++
		if err := saveUser(ctx, tx, u); err != nil {
			return err
		}
		if err := checkLastAdmin(ctx, tx, before); err != nil {
			return err
		}
		return tx.Record(ctx, s.audit(actor, "user.delete", u.Username, userFacts(before), nil))
	})
	if err != nil {
		return err
	}
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.removeUser(c, u); err != nil {
		s.log.WarnContext(ctx, "a deleted user's images are left to the sweep", "user", u.ID.String(), "error", err)
	}
	return nil
}

// removeUser takes away the images and then the record of a user who is being deleted.
func (s *Service) removeUser(ctx context.Context, u domain.User) error {
	for {
		imgs, err := s.rec.Images.List(ctx, u.ID, ports.Page{Limit: 100})
		if err != nil {
			return err
		}
		if len(imgs) == 0 {
			break
		}
		for _, img := range imgs {
			err := s.rec.Images.MarkDeleting(ctx, u.ID, img.ID, nil, s.now())
			if err != nil && !errors.Is(err, domain.NotFound) {
				return err
			}
		}
		s.syncFeed(ctx)
		for _, img := range imgs {
			if err := s.remove(ctx, u.ID, img.ID); err != nil {
				return err
			}
		}
	}
	return s.changeAccounts(ctx, func(tx ports.AccountsTx) error { return tx.DeleteUser(ctx, u.ID) })
}

func checkLastAdmin(ctx context.Context, tx ports.AccountsTx, before domain.User) error {
	if !before.IsAdmin || !before.IsActive {
		return nil
	}
	n, err := tx.CountAdmins(ctx)
	if err == nil && n == 0 {
		return domain.Errorf(domain.Conflict, "this is the last active admin: make another one first")
	}
	return err
}

// newHash hashes a new password, outside of the transaction because it takes its time.
func (s *Service) newHash(ctx context.Context, c UserChange) (string, error) {
	if c.Password == nil {
		return "", nil
	}
	return s.hasher.hash(ctx, *c.Password)
}

func saveUser(ctx context.Context, tx ports.AccountsTx, u domain.User) error {
	err := tx.SaveUser(ctx, u)
	if errors.Is(err, domain.Conflict) {
		return domain.Wrap(domain.Conflict, err, "there is a user of this name already")
	}
	return err
}

func (s *Service) applyUser(ctx context.Context, tx ports.AccountsTx, u *domain.User, c UserChange, hash string) error {
	if c.Email != nil {
		u.Email = *c.Email
	}
	if hash != "" {
		u.PasswordHash = hash
	}
	if c.IsAdmin != nil {
		u.IsAdmin = *c.IsAdmin
	}
	if c.IsActive != nil {
		u.IsActive = *c.IsActive
	}
	if c.Permissions != nil {
		ps, err := domain.ParsePermissions(*c.Permissions)
		if err != nil {
			return err
		}
		u.Grants = ps
	}
	if c.Tiers != nil {
		u.SetTiers(*c.Tiers)
	}
	if err := u.Validate(); err != nil {
		return err
	}
	if c.Tiers == nil && c.Permissions == nil {
		return nil
	}
	all, err := tx.Tiers(ctx)
	if err != nil {
		return err
	}
	for _, name := range u.Tiers {
		if !slices.ContainsFunc(all, func(t domain.Tier) bool { return t.Name == name }) {
			return domain.InvalidField("tiers", "unknown", "there is no tier %q", name)
		}
	}
	return uniteFrom(all, *u).CheckHeights()
}

func userFacts(u domain.User) map[string]any {
	return map[string]any{
		"username": u.Username, "email": u.Email, "tiers": append([]string{}, u.Tiers...), "permissions": u.Grants.Codenames(),
		"is_admin": u.IsAdmin, "is_active": u.IsActive,
	}
}

// BootstrapTiers makes the predefined tiers that are missing. It also learns the
// database's clock, by which this node judges expiry until Run asks again.
func (s *Service) BootstrapTiers(ctx context.Context) error {
	if err := s.feed.sync(ctx); err != nil {
		return err
	}
	if all, err := s.rec.Accounts.Tiers(ctx); err == nil && hasPredefined(all) {
		return nil // the usual start: no transaction
	}
	return s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		for _, t := range domain.PredefinedTiers(s.now()) {
			_, err := tx.Tier(ctx, t.Name)
			if err == nil {
				continue
			}
			if !errors.Is(err, domain.NotFound) {
				return err
			}
			if err := tx.SaveTier(ctx, t); err != nil {
				return err
			}
			if err := tx.Record(ctx, s.audit(firstStart, "tier.create", t.Name, nil, tierFacts(t))); err != nil {
				return err
			}
		}
		return nil
	})
}

// firstStart is who makes what a first start needs.
var firstStart = domain.SystemActor("first start")

// Bootstrap compares the installation ids of the database and the store
// (CheckInstallation), and makes what a first start needs: the predefined tiers and,
// where there is no admin, one named "admin". It returns the admin's password if it
// generated one; safe to run on many nodes at once. A store that does not answer keeps
// nobody from starting: the ids are compared again before anything is swept.
func (s *Service) Bootstrap(ctx context.Context, adminPassword string) (generated string, err error) {
	if err := s.CheckInstallation(ctx); errors.Is(err, domain.Unavailable) {
		s.log.WarnContext(ctx, "whether the database and the store belong together is not known yet", "error", err)
	} else if err != nil {
		return "", err
	}
	if err := s.BootstrapTiers(ctx); err != nil {
		return "", err
	}
	if n, err := s.rec.Accounts.CountAdmins(ctx); err == nil && n > 0 {
		return "", nil // the usual start: no transaction, no password hash
	}
	password := adminPassword
	if password == "" {
		password = GeneratePassword()
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return "", err
	}
	made := false
	err = s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		made = false
		if n, err := tx.CountAdmins(ctx); err != nil || n > 0 {
			return err
		}
		now := s.now()
		u := domain.User{
			ID: s.cfg.NewID(), Username: "admin", PasswordHash: hash, IsAdmin: true, IsActive: true, CreatedAt: now, UpdatedAt: now,
		}
		made = true
		if err := saveUser(ctx, tx, u); err != nil {
			return err
		}
		return tx.Record(ctx, s.audit(firstStart, "user.create", u.Username, nil, userFacts(u)))
	})
	if err != nil || !made || adminPassword != "" {
		return "", err
	}
	return password, nil
}

func hasPredefined(all []domain.Tier) bool {
	for _, want := range domain.PredefinedTiers(time.Time{}) {
		if !slices.ContainsFunc(all, func(t domain.Tier) bool { return t.Name == want.Name }) {
			return false
		}
	}
	return true
}

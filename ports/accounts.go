package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Accounts keeps users and tiers, which decide who may do what, and what users sign in
// with: sessions and tokens.
type Accounts interface {
	AccountsReader

	// Change runs fn in one transaction, the only way to change users and tiers. Changes
	// are serial: of two at once the second sees all that the first wrote, so that fn may
	// read, judge and write. Where fn returns an error nothing is written and Change
	// returns that error. Else the writes, the audit entries and one entry of the change
	// feed for each user and tier written become visible together. fn may run more than once.
	Change(ctx context.Context, fn func(tx AccountsTx) error) error

	// CreateSession keeps a browser's sign-in; domain.Conflict if its hash is taken. A bound
	// above 0 is how many sessions the user may have, expired ones and the new one included:
	// the oldest by CreatedAt are removed in the same step to make room, exact under any
	// number of racers; domain.NotFound where the user is not there or is being
	// deleted. Where many more are there than the bound, as from before there was one,
	// each CreateSession may remove a part of them.
	CreateSession(ctx context.Context, s domain.Session, bound int) error
	// Session returns a session by its secret's hash, or domain.NotFound; it does not judge its expiry.
	Session(ctx context.Context, hash domain.SecretHash) (domain.Session, error)
	// DeleteSession removes a session; an unknown one is no error.
	DeleteSession(ctx context.Context, hash domain.SecretHash) error
	// DeleteExpiredSessions removes up to limit sessions that expired before now, and reports how many.
	DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error)

	// CreateToken keeps an API token; domain.Conflict if its hash or id is taken. A bound
	// above 0 is how many tokens the user may have, expired ones and the new one included:
	// domain.QuotaExceeded, with Limit and Used set, where it would be one too many,
	// exact under any number of racers; domain.NotFound where the user is not there or
	// is being deleted.
	CreateToken(ctx context.Context, t domain.Token, bound int) error
	// Token returns a token by its secret's hash, or domain.NotFound; it does not judge its expiry.
	Token(ctx context.Context, hash domain.SecretHash) (domain.Token, error)
	// Tokens returns a user's tokens, newest first.
	Tokens(ctx context.Context, userID domain.ID, p Page) ([]domain.Token, error)
	// DeleteToken removes a user's token and writes the change to the feed;
	// domain.NotFound also where the token is another user's.
	DeleteToken(ctx context.Context, userID, id domain.ID) error
}

// AccountsReader reads users and tiers: Accounts as they are now, AccountsTx within its
// transaction. A user who is being deleted is found by User and DeletingUsers alone.
type AccountsReader interface {
	// User returns a user by id, or domain.NotFound.
	User(ctx context.Context, id domain.ID) (domain.User, error)
	// UserByName returns a user by the exact name, or domain.NotFound.
	UserByName(ctx context.Context, username string) (domain.User, error)
	// Users returns users, newest first; a non-empty tier leaves only its members.
	Users(ctx context.Context, tier string, p Page) ([]domain.User, error)
	// DeletingUsers returns up to limit users that are being deleted.
	DeletingUsers(ctx context.Context, limit int) ([]domain.User, error)
	// CountAdmins counts the users that are admins, active and not being deleted.
	CountAdmins(ctx context.Context) (int, error)

	// Tier returns a tier by name, or domain.NotFound.
	Tier(ctx context.Context, name string) (domain.Tier, error)
	// Tiers returns all tiers, by name in byte order.
	Tiers(ctx context.Context) ([]domain.Tier, error)
	// DeletedTiers returns the names of tiers that no longer exist but that users' records
	// still contain: what RemoveMembers has left to do.
	DeletedTiers(ctx context.Context) ([]string, error)
}

// AccountsTx is a transaction of Accounts.Change. It is used by one goroutine, within fn
// only. What it reads includes its own writes.
type AccountsTx interface {
	AccountsReader

	// SaveUser writes a user as given, new or not; domain.Conflict if another user
	// has the name. A user who is being deleted has none any more: their name is free.
	SaveUser(ctx context.Context, u domain.User) error
	// DeleteUser removes a user, with sessions and tokens; an unknown one is no error.
	DeleteUser(ctx context.Context, id domain.ID) error
	// SaveTier writes a tier as given, new or not.
	SaveTier(ctx context.Context, t domain.Tier) error
	// DeleteTier removes a tier; an unknown one is no error. Its members' records go on naming it.
	DeleteTier(ctx context.Context, name string) error
	// RemoveMembers takes a tier's name out of up to limit users' records, writes the
	// change of each to the feed, and reports of how many. A user who is being deleted is no member.
	RemoveMembers(ctx context.Context, tier string, limit int) (int, error)
	// Record adds an audit entry.
	Record(ctx context.Context, e domain.AuditEntry) error
}

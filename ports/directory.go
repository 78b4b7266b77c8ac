package ports

import (
	"context"

	"github.com/imagify-api/imagify/domain"
)

// Users reads accounts. One that is being deleted is found by Get alone.
type Users interface {
	// Get returns a user by id, or domain.NotFound.
	Get(ctx context.Context, id domain.ID) (domain.User, error)
	// ByUsername returns a user by the exact name, or domain.NotFound.
	ByUsername(ctx context.Context, username string) (domain.User, error)
	// List returns users, newest first; a non-empty tier leaves only its members.
	List(ctx context.Context, tier string, p Page) ([]domain.User, error)
	// Deleting returns up to limit users that are being deleted.
	Deleting(ctx context.Context, limit int) ([]domain.User, error)
	// CountAdmins counts the users that are admins, active and not being deleted.
	CountAdmins(ctx context.Context) (int, error)
}

// Tiers reads tiers.
type Tiers interface {
	// Get returns a tier by name, or domain.NotFound.
	Get(ctx context.Context, name string) (domain.Tier, error)
	// List returns all tiers, by name in byte order.
	List(ctx context.Context) ([]domain.Tier, error)
	// Gone returns the names of which there is no tier, but that users' records have
	// still: what RemoveMembers has left to do.
	Gone(ctx context.Context) ([]string, error)
}

// Directory changes users and tiers: what decides who may do what.
type Directory interface {
	// Change runs fn in one transaction. Changes are serial: of two at once the
	// second sees all that the first wrote, so that fn may read, judge and write.
	// Where fn returns an error nothing is written and Change returns that error.
	// Else the writes, the audit entries and one entry of the change feed for each
	// user and tier written become visible together. fn may run more than once.
	Change(ctx context.Context, fn func(tx DirectoryTx) error) error
}

// DirectoryTx is a Directory's transaction. It is used by one goroutine, within fn only.
type DirectoryTx interface {
	// Users and Tiers read within the transaction, its own writes included.
	Users() Users
	Tiers() Tiers
	// SaveUser writes a user as given, new or not; domain.Conflict if another user
	// has the name. A user who is being deleted has none any more: their name is free.
	SaveUser(ctx context.Context, u domain.User) error
	// SaveTier writes a tier as given, new or not.
	SaveTier(ctx context.Context, t domain.Tier) error
	// Removal removes rows for good.
	Removal
	// Record adds an audit entry.
	Record(ctx context.Context, e domain.AuditEntry) error
}

// Removal removes users and tiers within a Directory's transaction.
type Removal interface {
	// DeleteUser removes a user, with sessions and tokens; an unknown one is no error.
	DeleteUser(ctx context.Context, id domain.ID) error
	// DeleteTier removes a tier; an unknown one is no error. Its members' records go on naming it.
	DeleteTier(ctx context.Context, name string) error
	// RemoveMembers takes a tier's name out of up to limit users' records, writes the
	// change of each to the feed, and reports of how many. Who is being deleted is no member.
	RemoveMembers(ctx context.Context, tier string, limit int) (int, error)
}

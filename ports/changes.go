package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Changes is the feed by which every node hears of what may end an access: a
// change of a user or a tier, the deletion of an image or a token, the revocation of a
// link. Versions grow
// by one with each entry, in the order in which the entries became visible: who
// has seen version n never sees a new entry of n or lower.
type Changes interface {
	// Since returns the entries after a version, oldest first, the newest version
	// and the backend's clock. Where entries after the version were already
	// forgotten, or are more than a thousand, Lost is set and Entries is empty:
	// the caller forgets all that it remembers.
	Since(ctx context.Context, version int64) (Feed, error)
	// Forget removes entries that are older than the given time.
	Forget(ctx context.Context, before time.Time) error
}

// Feed is an answer of Changes.
type Feed struct {
	// Version is the newest one that Entries, or Lost, covers.
	Version int64
	Entries []Change
	Lost    bool
	// Now is the backend's clock when it answered: nodes judge expiry by it.
	Now time.Time
}

// Change is one entry of the feed.
type Change struct {
	Kind ChangeKind
	// ID is the user's, image's, token's or link's; zero for a tier.
	ID domain.ID
	// Name is the tier's.
	Name string
}

// ChangeKind says what changed.
type ChangeKind string

// The kinds.
const (
	UserChanged  ChangeKind = "user"
	TierChanged  ChangeKind = "tier"
	ImageDeleted ChangeKind = "image"
	TokenDeleted ChangeKind = "token"
	LinkRevoked  ChangeKind = "link"
)

package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Changes is the feed by which every node hears of what may end an access: a
// change of a user or a tier, the deletion of an image or a token, the revocation of a
// link. It also tells what time it is.
type Changes interface {
	// Since returns the entries after a cursor that Since handed out before, and a
	// cursor behind them. Entries of one owner come in the order in which they became
	// visible, and none becomes visible behind a cursor. Lost is set and Entries is
	// empty where the caller cannot be told what it missed and has to forget all that
	// it remembers: with the zero cursor; where entries after the cursor were
	// forgotten, or are more than a thousand; and where the cursor is not of this
	// history, such as that of a database in whose place an older copy was put, however
	// far that copy has come since.
	Since(ctx context.Context, c Cursor) (Feed, error)
	// Forget removes entries that are older than the given time, and what the adapter
	// keeps for the repetition of writes and needs no more.
	Forget(ctx context.Context, before time.Time) error
	// Raise moves the mark of time on. An earlier mark than the one that is there
	// changes nothing.
	Raise(ctx context.Context, mark time.Time) error
}

// Cursor is a place in the feed. What is in it is the adapter's. The zero value has seen nothing.
type Cursor string

// Feed is an answer of Changes.
type Feed struct {
	// Cursor is the place behind Entries, or behind what is Lost.
	Cursor  Cursor
	Entries []Change
	Lost    bool
	// Now is the backend's clock when it answered, which may be wrong or step.
	Now time.Time
	// Mark is the latest mark that Raise was given, zero before the first: nodes judge
	// expiry by a time that is never before it.
	Mark time.Time
	// Shared says that Now is not this machine's own clock.
	Shared bool
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

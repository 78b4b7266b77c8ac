package domain

import "time"

// Link is an expiring link: a public, unguessable URL to one variant of an image.
type Link struct {
	ID               ID
	Hash             SecretHash // of the token in the URL
	OwnerID, ImageID ID
	Variant          Variant
	CreatedAt        time.Time
	ExpiresAt        time.Time
	MaxViews         int64 // 0: no bound
	Views            int64
	RevokedAt        time.Time // zero: not revoked
}

// LinkState is a link's state at a moment.
type LinkState string

// The states. Suspended ends when its cause does; expired, revoked and used up are final.
const (
	LinkStateActive    LinkState = "active"
	LinkStateSuspended LinkState = "suspended"
	LinkStateExpired   LinkState = "expired"
	LinkStateRevoked   LinkState = "revoked"
	LinkStateUsedUp    LinkState = "used_up"
)

// Final reports whether the state never changes again.
func (s LinkState) Final() bool {
	return s == LinkStateExpired || s == LinkStateRevoked || s == LinkStateUsedUp
}

// Live reports whether the link is neither revoked nor used up nor expired at now. It may be suspended.
func (l Link) Live(now time.Time) bool { return !l.State(now, User{}, Entitlements{}).Final() }

// MaxLiveLinks is how many live links a user may have, whatever their tier says.
const MaxLiveLinks = 10_000

// State tells the link's state at now, given its owner as they are now. A link
// lives while its owner is active and has both the link permission and that of
// the link's variant.
func (l Link) State(now time.Time, owner User, e Entitlements) LinkState {
	switch {
	case !l.RevokedAt.IsZero():
		return LinkStateRevoked
	case l.MaxViews > 0 && l.Views >= l.MaxViews:
		return LinkStateUsedUp
	case !now.Before(l.ExpiresAt):
		return LinkStateExpired
	case !DecideLinkUse(owner, e, l.Variant).Allowed:
		return LinkStateSuspended
	}
	return LinkStateActive
}

// DeadLinkRetention is how long a dead link's row stays (410) before the sweep takes it (404).
const DeadLinkRetention = 90 * 24 * time.Hour

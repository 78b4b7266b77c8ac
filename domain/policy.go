package domain

import "fmt"

// Action is something done to an image that a permission guards.
type Action struct {
	variant Variant
	link    bool
}

// Read is seeing a variant's bytes.
func Read(v Variant) Action { return Action{variant: v} }

// MakeLink is making an expiring link to the image.
var MakeLink = Action{link: true}

// ParseAction reads "thumbnail:{height}", "original" or "link".
func ParseAction(s string) (Action, error) {
	if s == "link" {
		return MakeLink, nil
	}
	v, err := ParseVariant(s)
	if err != nil {
		return Action{}, Errorf(Invalid, `an action is "thumbnail:{height}" (1 to %d), "original" or "link"`, MaxHeight)
	}
	return Read(v), nil
}

// String returns what ParseAction reads.
func (a Action) String() string {
	if a.link {
		return "link"
	}
	return a.variant.String()
}

// Permission is the one that the action needs.
func (a Action) Permission() Permission {
	if a.link {
		return GenerateLink
	}
	return a.variant.Permission()
}

// Reason says why a decision fell as it did.
type Reason string

// The reasons.
const (
	ByTier      Reason = "tier"        // a tier of the owner has the permission
	ByGrant     Reason = "grant"       // the permission was given to the owner directly
	ByAdmin     Reason = "admin"       // the actor is an admin
	NotOwner    Reason = "not_owner"   // the image is somebody else's
	NotSignedIn Reason = "not_signed"  // nobody is signed in
	Inactive    Reason = "inactive"    // the account is deactivated or being deleted
	Missing     Reason = "missing"     // no tier and no grant has the permission
	NoTierHas   Reason = "no_tier_has" // an admin asks for a height that no tier has
	NoVariant   Reason = "no_variant"  // a link is permitted, but nothing that it could show
	OwnersOnly  Reason = "owners_only" // an admin may see the image, but only its owner makes links to it
)

// Decision is the answer to "may they?", with its reason.
type Decision struct {
	Allowed bool
	Reason  Reason
	// Source is the tier's name if a tier decides, else empty.
	Source string
}

// Err is nil for an allowed decision. A foreign image is NotFound, so that it
// cannot be told from one that never existed.
func (d Decision) Err(a Action) error {
	if d.Allowed {
		return nil
	}
	switch d.Reason {
	case NotSignedIn:
		return Errorf(Unauthenticated, "sign in first")
	case NotOwner:
		return NoSuchImage()
	case OwnersOnly:
		return Errorf(Denied, "only the owner of an image can make links to it")
	case NoVariant:
		return Errorf(Denied, "your tier permits no variant of the image that a link could show")
	}
	return Errorf(Denied, "your tier does not include %s", a.Permission())
}

// NoSuchImage is the one answer for an image that is not there or not theirs.
func NoSuchImage() *Error { return Errorf(NotFound, "no such image") }

// String says the decision in words.
func (d Decision) String() string {
	verb := "denied"
	if d.Allowed {
		verb = "allowed"
	}
	switch d.Reason {
	case ByTier:
		return fmt.Sprintf("%s by tier %s", verb, d.Source)
	case ByGrant:
		return verb + " by a permission granted to the user directly"
	case ByAdmin:
		return verb + " because the user is an admin"
	case NotOwner:
		return verb + ": the image is somebody else's"
	case NotSignedIn:
		return verb + ": nobody is signed in"
	case Inactive:
		return verb + ": the account is deactivated"
	case NoTierHas:
		return verb + ": no tier has this height"
	case NoVariant:
		return verb + ": links are permitted, but no variant that a link could show"
	case OwnersOnly:
		return verb + ": only the owner makes links to an image"
	}
	return verb + ": no tier of the user and no direct grant includes it"
}

// DecideOwner says whether an owner, as they are now, has an action on their own image.
func DecideOwner(owner User, e Entitlements, a Action) Decision {
	if !owner.IsActive || owner.Deleting {
		return Decision{Reason: Inactive}
	}
	return e.decide(a)
}

func (e Entitlements) decide(a Action) Decision {
	d := e.decidePermission(a.Permission())
	if _, some := e.DefaultLinkVariant(); d.Allowed && a.link && !some {
		return Decision{Reason: NoVariant}
	}
	return d
}

func (e Entitlements) decidePermission(p Permission) Decision {
	for _, t := range e.Tiers {
		if t.Permissions.Has(p) {
			return Decision{Allowed: true, Reason: ByTier, Source: t.Name}
		}
	}
	if e.Grants.Has(p) {
		return Decision{Allowed: true, Reason: ByGrant}
	}
	return Decision{Reason: Missing}
}

// Decide says whether the actor may do a to an image of owner ownerID, by
// credentials. tiers are all that exist: an admin may fetch any height that some
// tier has. It reads the actor's own permissions only where the actor is the owner.
func Decide(actor Actor, ownerID ID, a Action, tiers func() ([]Tier, error)) (Decision, error) {
	switch {
	case actor.Via == "":
		return Decision{Reason: NotSignedIn}, nil
	case !actor.SignedIn():
		return Decision{Reason: Inactive}, nil
	case !actor.User.ID.IsZero() && actor.User.ID == ownerID:
		d := DecideOwner(actor.User, actor.Entitlements, a)
		if d.Allowed || !actor.Admin() || a.link {
			return d, nil
		}
	case !actor.Admin():
		return Decision{Reason: NotOwner}, nil
	}
	// From here on an admin.
	if a.link {
		return Decision{Reason: OwnersOnly}, nil
	}
	if a.variant.IsOriginal() {
		return Decision{Allowed: true, Reason: ByAdmin}, nil
	}
	all, err := tiers()
	if err != nil {
		return Decision{}, err
	}
	for _, t := range all {
		if t.Permissions.Has(a.Permission()) {
			return Decision{Allowed: true, Reason: ByAdmin}, nil
		}
	}
	return Decision{Reason: NoTierHas}, nil
}

// CanSee says whether the actor may know of an image of owner ownerID at all:
// its facts, its access table, its deletion.
func CanSee(actor Actor, ownerID ID) Decision {
	switch {
	case actor.Via == "":
		return Decision{Reason: NotSignedIn}
	case !actor.SignedIn():
		return Decision{Reason: Inactive}
	case !actor.User.ID.IsZero() && actor.User.ID == ownerID:
		return Decision{Allowed: true}
	case actor.Admin():
		return Decision{Allowed: true, Reason: ByAdmin}
	}
	return Decision{Reason: NotOwner}
}

// DecideLinkUse says whether a link of the owner to the variant serves: the
// owner needs the link permission and that of the variant, now.
func DecideLinkUse(owner User, e Entitlements, v Variant) Decision {
	if d := DecideOwner(owner, e, MakeLink); !d.Allowed {
		return d
	}
	return DecideOwner(owner, e, Read(v))
}

// DefaultLinkVariant is what a link shows unless told: the original if
// permitted, else the tallest permitted thumbnail; false if neither.
func (e Entitlements) DefaultLinkVariant() (Variant, bool) {
	if e.Permissions.Has(AccessOriginal) {
		return Original, true
	}
	hs := e.Permissions.Heights()
	if len(hs) == 0 {
		return Variant{}, false
	}
	return Thumbnail(hs[len(hs)-1])
}

// SmallestTierFor names the tier with the fewest permissions that alone would
// decide so that the action is allowed, by name where several have as few; empty
// if none would, as where it is not a tier that is missing.
func (d Decision) SmallestTierFor(a Action, tiers []Tier) string {
	switch d.Reason {
	case NotSignedIn, NotOwner, OwnersOnly, Inactive:
		return ""
	}
	best := -1
	for i, t := range tiers {
		if !Unite([]Tier{t}, Permissions{}).decide(a).Allowed {
			continue
		}
		if best < 0 || t.Permissions.Len() < tiers[best].Permissions.Len() ||
			t.Permissions.Len() == tiers[best].Permissions.Len() && t.Name < tiers[best].Name {
			best = i
		}
	}
	if best < 0 {
		return ""
	}
	return tiers[best].Name
}

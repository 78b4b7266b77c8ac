package domain

import (
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// Tier is a named bundle of permissions and limits.
type Tier struct {
	// Name is the key: 1 to 64 letters, digits, '-', '_' and '.', beginning with a letter or a digit.
	Name        string
	Title       string // for people; at most 100 characters
	Permissions Permissions
	Limits      Limits
	// Predefined tiers may be edited and not deleted.
	Predefined           bool
	CreatedAt, UpdatedAt time.Time
}

// The names of the predefined tiers.
const (
	BasicTier      = "BasicTierUsers"
	PremiumTier    = "PremiumTierUsers"
	EnterpriseTier = "EnterpriseTierUsers"
)

// PredefinedTiers are those that the first start makes.
func PredefinedTiers(now time.Time) []Tier {
	thumb := func(h int) Permission { return Permission{kind: permThumbnail, height: h} }
	tier := func(name, title string, ps ...Permission) Tier {
		return Tier{
			Name: name, Title: title, Permissions: NewPermissions(ps...), Limits: DefaultLimits(),
			Predefined: true, CreatedAt: now, UpdatedAt: now,
		}
	}
	return []Tier{
		tier(BasicTier, "Basic", thumb(200)),
		tier(PremiumTier, "Premium", thumb(200), thumb(400)),
		tier(EnterpriseTier, "Enterprise", thumb(200), thumb(400), AccessOriginal, GenerateLink),
	}
}

// validTierName reports whether a name is 1 to 64 letters, digits, '.', '_' or '-', and
// begins with a letter or a digit.
func validTierName(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// Validate refuses a tier that may not be kept.
func (t Tier) Validate() error {
	if !validTierName(t.Name) {
		return InvalidField("name", "format", "1 to 64 of the letters a to z and A to Z, digits, '.', '_' and '-', beginning with a letter or a digit")
	}
	if err := validText("title", t.Title, 100); err != nil {
		return err
	}
	if n := len(t.Permissions.Heights()); n > MaxHeightsPerUser {
		return InvalidField("permissions", "range", "%d thumbnail heights, at most %d are allowed", n, MaxHeightsPerUser)
	}
	return t.Limits.Validate()
}

func validText(field, s string, maxRunes int) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxRunes {
		return InvalidField(field, "range", "at most %d characters of UTF-8", maxRunes)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return InvalidField(field, "format", "no control characters")
		}
	}
	return nil
}

// Entitlements are what a user may do: the union over their tiers and direct grants.
type Entitlements struct {
	Permissions Permissions
	Limits      Limits
	// Tiers are those that were united, by name.
	Tiers []Tier
	// Grants are the permissions given to the user directly.
	Grants Permissions
}

// Unite adds up tiers and direct grants: the union of the permissions and, of
// each limit, the most generous value. Grants bring no limits; without a tier the
// defaults hold.
func Unite(tiers []Tier, grants Permissions) Entitlements {
	tiers = slices.Clone(tiers)
	slices.SortFunc(tiers, func(a, b Tier) int {
		if a.Name < b.Name {
			return -1
		}
		if a.Name > b.Name {
			return 1
		}
		return 0
	})
	e := Entitlements{Permissions: grants, Limits: DefaultLimits(), Tiers: tiers, Grants: grants}
	for i, t := range tiers {
		e.Permissions = e.Permissions.Union(t.Permissions)
		if i == 0 {
			e.Limits = t.Limits
		} else {
			e.Limits = e.Limits.Union(t.Limits)
		}
	}
	return e
}

// CheckHeights refuses more different heights than one user may have.
func (e Entitlements) CheckHeights() error {
	if n := len(e.Permissions.Heights()); n > MaxHeightsPerUser {
		return InvalidField("permissions", "range", "the tiers and grants add up to %d thumbnail heights, a user may have at most %d", n, MaxHeightsPerUser)
	}
	return nil
}

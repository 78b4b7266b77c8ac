package domain_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/imagify-api/imagify/domain"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func thumb(h int) domain.Permission {
	p, ok := domain.ThumbnailPermission(h)
	if !ok {
		panic("no such height")
	}
	return p
}

func view(h int) domain.Action {
	v, _ := domain.Thumbnail(h)
	return domain.Read(v)
}

func tiersByName(names ...string) []domain.Tier {
	var out []domain.Tier
	for _, t := range domain.PredefinedTiers(t0) {
		for _, n := range names {
			if t.Name == n {
				out = append(out, t)
			}
		}
	}
	return out
}

var owner = domain.User{ID: domain.ID{1}, Username: "owner", IsActive: true}

func actorIn(u domain.User, tiers ...string) domain.Actor {
	return domain.Actor{User: u, Entitlements: domain.Unite(tiersByName(tiers...), u.Grants), Via: domain.AuthToken}
}

func allTiers() ([]domain.Tier, error) { return domain.PredefinedTiers(t0), nil }

func TestDecide(t *testing.T) {
	stranger := domain.User{ID: domain.ID{2}, IsActive: true}
	admin := domain.User{ID: domain.ID{3}, IsActive: true, IsAdmin: true}
	inactive := owner
	inactive.IsActive = false
	deleting := owner
	deleting.Deleting = true
	granted := owner
	granted.Grants = domain.NewPermissions(thumb(600), domain.GenerateLink)
	ownAdmin := owner
	ownAdmin.IsAdmin = true

	for name, c := range map[string]struct {
		actor  domain.Actor
		action domain.Action
		allow  bool
		reason domain.Reason
		source string
		code   domain.Code
	}{
		"nobody":                        {domain.Actor{}, view(200), false, domain.NotSignedIn, "", domain.Unauthenticated},
		"basic 200":                     {actorIn(owner, domain.BasicTier), view(200), true, domain.ByTier, domain.BasicTier, ""},
		"basic 201":                     {actorIn(owner, domain.BasicTier), view(201), false, domain.Missing, "", domain.Denied},
		"basic 400":                     {actorIn(owner, domain.BasicTier), view(400), false, domain.Missing, "", domain.Denied},
		"basic original":                {actorIn(owner, domain.BasicTier), domain.Read(domain.Original), false, domain.Missing, "", domain.Denied},
		"basic link":                    {actorIn(owner, domain.BasicTier), domain.MakeLink, false, domain.Missing, "", domain.Denied},
		"premium 400":                   {actorIn(owner, domain.PremiumTier), view(400), true, domain.ByTier, domain.PremiumTier, ""},
		"premium original":              {actorIn(owner, domain.PremiumTier), domain.Read(domain.Original), false, domain.Missing, "", domain.Denied},
		"enterprise original":           {actorIn(owner, domain.EnterpriseTier), domain.Read(domain.Original), true, domain.ByTier, domain.EnterpriseTier, ""},
		"enterprise link":               {actorIn(owner, domain.EnterpriseTier), domain.MakeLink, true, domain.ByTier, domain.EnterpriseTier, ""},
		"two tiers: the first by name":  {actorIn(owner, domain.PremiumTier, domain.BasicTier), view(200), true, domain.ByTier, domain.BasicTier, ""},
		"granted height":                {actorIn(granted), view(600), true, domain.ByGrant, "", ""},
		"granted link":                  {actorIn(granted), domain.MakeLink, true, domain.ByGrant, "", ""},
		"no tier":                       {actorIn(owner), view(200), false, domain.Missing, "", domain.Denied},
		"stranger":                      {actorIn(stranger, domain.EnterpriseTier), view(200), false, domain.NotOwner, "", domain.NotFound},
		"stranger link":                 {actorIn(stranger, domain.EnterpriseTier), domain.MakeLink, false, domain.NotOwner, "", domain.NotFound},
		"admin original":                {actorIn(admin), domain.Read(domain.Original), true, domain.ByAdmin, "", ""},
		"admin a height of some tier":   {actorIn(admin), view(400), true, domain.ByAdmin, "", ""},
		"admin a height of no tier":     {actorIn(admin), view(333), false, domain.NoTierHas, "", domain.Denied},
		"admin links another's":         {actorIn(admin, domain.EnterpriseTier), domain.MakeLink, false, domain.OwnersOnly, "", domain.Denied},
		"admin's own, by the tier":      {actorIn(ownAdmin, domain.BasicTier), view(200), true, domain.ByTier, domain.BasicTier, ""},
		"admin's own, beyond the tier":  {actorIn(ownAdmin, domain.BasicTier), view(400), true, domain.ByAdmin, "", ""},
		"admin's own link needs a tier": {actorIn(ownAdmin, domain.BasicTier), domain.MakeLink, false, domain.Missing, "", domain.Denied},
		"deactivated":                   {actorIn(inactive, domain.EnterpriseTier), view(200), false, domain.Inactive, "", domain.Denied},
		"being deleted":                 {actorIn(deleting, domain.EnterpriseTier), view(200), false, domain.Inactive, "", domain.Denied},
		"system":                        {domain.SystemActor("cli"), domain.Read(domain.Original), true, domain.ByAdmin, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := domain.Decide(c.actor, owner.ID, c.action, allTiers)
			require.NoError(t, err)
			assert.Equal(t, domain.Decision{Allowed: c.allow, Reason: c.reason, Source: c.source}, d)
			assert.Equal(t, c.code, domain.CodeOf(d.Err(c.action)))
			assert.NotEmpty(t, d.String())
		})
	}
	_, err := domain.Decide(actorIn(admin), owner.ID, view(200), func() ([]domain.Tier, error) { return nil, errors.New("unavailable") })
	assert.Error(t, err, "an unknown world allows nothing")
}

// A zero id is nobody's: the system actor owns nothing, and an image without an owner is not its.
func TestZeroIDOwnsNothing(t *testing.T) {
	a := domain.Actor{User: domain.User{IsActive: true}, Via: domain.AuthToken, Entitlements: domain.Unite(tiersByName(domain.EnterpriseTier), domain.Permissions{})}
	d, err := domain.Decide(a, domain.ID{}, view(200), allTiers)
	require.NoError(t, err)
	assert.False(t, d.Allowed)
	assert.False(t, domain.CanSee(a, domain.ID{}).Allowed)
}

func TestCanSee(t *testing.T) {
	inactive := owner
	inactive.IsActive = false
	assert.True(t, domain.CanSee(actorIn(owner), owner.ID).Allowed, "facts need no permission")
	assert.Equal(t, domain.NotOwner, domain.CanSee(actorIn(owner), domain.ID{9}).Reason)
	assert.Equal(t, domain.NotSignedIn, domain.CanSee(domain.Actor{}, owner.ID).Reason)
	assert.Equal(t, domain.Inactive, domain.CanSee(actorIn(inactive), owner.ID).Reason)
	assert.True(t, domain.CanSee(domain.SystemActor("cli"), owner.ID).Allowed)
}

func drawTier(t *rapid.T) domain.Tier {
	return domain.Tier{
		Name:        rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name"),
		Permissions: drawPermissions(t, "tier"),
		Limits:      drawLimits(t),
	}
}

func drawAction(t *rapid.T) domain.Action {
	return rapid.SampledFrom([]domain.Action{
		domain.MakeLink, domain.Read(domain.Original), view(1), view(100), view(200), view(201), view(400), view(600), view(4320),
	}).Draw(t, "action")
}

func TestPolicyAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tiers := rapid.SliceOfN(rapid.Custom(drawTier), 0, 4).Draw(t, "tiers")
		grants := drawPermissions(t, "grants")
		action := drawAction(t)
		e := domain.Unite(tiers, grants)
		d := domain.DecideOwner(owner, e, action)

		want := e.Permissions.Has(action.Permission())
		if action == domain.MakeLink {
			want = want && (e.Permissions.Has(domain.AccessOriginal) || len(e.Permissions.Heights()) > 0)
		}
		assert.Equal(t, want, d.Allowed, "explain agrees with allow")
		switch d.Reason {
		case domain.ByTier:
			found := false
			for _, tier := range tiers {
				found = found || tier.Name == d.Source && tier.Permissions.Has(action.Permission())
			}
			assert.True(t, found, "the tier that decides has the permission")
		case domain.ByGrant:
			assert.True(t, grants.Has(action.Permission()))
		default:
			assert.False(t, d.Allowed)
		}
		// More never takes away; revoking what allowed it denies it.
		more := domain.Unite(append([]domain.Tier{drawTier(t)}, tiers...), grants)
		if d.Allowed {
			assert.True(t, domain.DecideOwner(owner, more, action).Allowed, "union is monotone")
		}
		var without []domain.Tier
		for _, tier := range tiers {
			if !tier.Permissions.Has(action.Permission()) {
				without = append(without, tier)
			}
		}
		if !grants.Has(action.Permission()) {
			assert.False(t, domain.DecideOwner(owner, domain.Unite(without, grants), action).Allowed, "revoked everywhere is denied")
		}
		off, leaving := owner, owner
		off.IsActive, leaving.Deleting = false, true
		assert.False(t, domain.DecideOwner(off, e, action).Allowed)
		assert.False(t, domain.DecideOwner(leaving, e, action).Allowed)

		for i := range tiers {
			tiers[i].Name = strconv.Itoa(i) // as in the database, each once
		}
		name := domain.Decision{Reason: domain.Missing}.SmallestTierFor(action, tiers)
		smallest := -1
		for _, tier := range tiers {
			alone := domain.DecideOwner(owner, domain.Unite([]domain.Tier{tier}, domain.Permissions{}), action).Allowed
			if tier.Name == name {
				assert.True(t, alone, "the tier that is named would allow it")
				smallest = tier.Permissions.Len()
			}
			if alone {
				assert.NotEmpty(t, name, "some tier would allow it")
			}
		}
		for _, tier := range tiers {
			if domain.DecideOwner(owner, domain.Unite([]domain.Tier{tier}, domain.Permissions{}), action).Allowed {
				assert.LessOrEqual(t, smallest, tier.Permissions.Len(), "no other has fewer permissions")
			}
		}
	})
}

func TestSmallestTierFor(t *testing.T) {
	all := domain.PredefinedTiers(t0)
	missing := domain.Decision{Reason: domain.Missing}
	view := func(h int) domain.Action {
		v, _ := domain.Thumbnail(h)
		return domain.Read(v)
	}
	assert.Equal(t, domain.BasicTier, missing.SmallestTierFor(view(200), all))
	assert.Equal(t, domain.PremiumTier, missing.SmallestTierFor(view(400), all))
	assert.Equal(t, domain.EnterpriseTier, missing.SmallestTierFor(domain.Read(domain.Original), all))
	assert.Empty(t, missing.SmallestTierFor(view(333), all))
	twins := []domain.Tier{{Name: "z", Permissions: domain.NewPermissions(thumb(9))}, {Name: "y", Permissions: domain.NewPermissions(thumb(9))}}
	assert.Equal(t, "y", missing.SmallestTierFor(view(9), twins))
	// A tier whose links could show nothing would not allow any.
	all = append(all, domain.Tier{Name: "LinksAlone", Permissions: domain.NewPermissions(domain.GenerateLink)})
	assert.Equal(t, domain.EnterpriseTier, missing.SmallestTierFor(domain.MakeLink, all))
	assert.Equal(t, domain.EnterpriseTier, domain.Decision{Reason: domain.NoVariant}.SmallestTierFor(domain.MakeLink, all))
	// Where it is not a tier that is missing, no tier helps.
	for _, r := range []domain.Reason{domain.NotOwner, domain.NotSignedIn, domain.OwnersOnly, domain.Inactive} {
		assert.Empty(t, domain.Decision{Reason: r}.SmallestTierFor(view(200), all), r)
	}
}

func TestDefaultLinkVariant(t *testing.T) {
	for name, c := range map[string]struct {
		ps   []domain.Permission
		want string
		ok   bool
	}{
		"original":       {[]domain.Permission{thumb(200), domain.AccessOriginal}, "original", true},
		"tallest":        {[]domain.Permission{thumb(200), thumb(600), thumb(40)}, "thumbnail:600", true},
		"nothing to see": {[]domain.Permission{domain.GenerateLink}, "original", false},
	} {
		t.Run(name, func(t *testing.T) {
			v, ok := domain.Unite(nil, domain.NewPermissions(c.ps...)).DefaultLinkVariant()
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.want, v.String())
		})
	}
}

func TestLinkState(t *testing.T) {
	e := domain.Unite(tiersByName(domain.EnterpriseTier), domain.Permissions{})
	onlyThumbs := domain.Unite(tiersByName(domain.PremiumTier), domain.NewPermissions(domain.GenerateLink))
	noLink := domain.Unite(tiersByName(domain.PremiumTier), domain.NewPermissions(domain.AccessOriginal))
	off := owner
	off.IsActive = false
	link := domain.Link{CreatedAt: t0, ExpiresAt: t0.Add(30 * time.Second)}
	revoked, used, bounded := link, link, link
	revoked.RevokedAt = t0.Add(time.Second)
	used.MaxViews, used.Views = 5, 5
	bounded.MaxViews, bounded.Views = 5, 4
	for name, c := range map[string]struct {
		link  domain.Link
		after time.Duration
		user  domain.User
		e     domain.Entitlements
		want  domain.LinkState
	}{
		"new":                         {link, 0, owner, e, domain.LinkStateActive},
		"last moment":                 {link, 30*time.Second - 1, owner, e, domain.LinkStateActive},
		"expired":                     {link, 30 * time.Second, owner, e, domain.LinkStateExpired},
		"revoked":                     {revoked, time.Second, owner, e, domain.LinkStateRevoked},
		"revoked stays revoked":       {revoked, time.Hour, owner, e, domain.LinkStateRevoked},
		"used up":                     {used, 0, owner, e, domain.LinkStateUsedUp},
		"views left":                  {bounded, 0, owner, e, domain.LinkStateActive},
		"owner off":                   {link, 0, off, e, domain.LinkStateSuspended},
		"variant no longer permitted": {link, 0, owner, onlyThumbs, domain.LinkStateSuspended},
		"links no longer permitted":   {link, 0, owner, noLink, domain.LinkStateSuspended},
		"dead beats suspended":        {link, time.Hour, off, noLink, domain.LinkStateExpired},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.link.State(t0.Add(c.after), c.user, c.e)
			assert.Equal(t, c.want, got)
			assert.Equal(t, got != domain.LinkStateActive && got != domain.LinkStateSuspended, got.Final())
		})
	}
}

func TestParseAction(t *testing.T) {
	for _, s := range []string{"link", "original", "thumbnail:400"} {
		a, err := domain.ParseAction(s)
		require.NoError(t, err)
		assert.Equal(t, s, a.String())
	}
	for _, s := range []string{"", "links", "thumbnail:0", "delete"} {
		_, err := domain.ParseAction(s)
		assert.ErrorIs(t, err, domain.Invalid, s)
	}
}

package app_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func TestBootstrap(t *testing.T) {
	w := newWorld(t)
	tiers, err := w.svc.Tiers(ctx, w.root)
	require.NoError(t, err)
	require.Len(t, tiers, 3)
	a, err := w.svc.ByPassword(ctx, "admin", "admin password", "192.0.2.1")
	require.NoError(t, err)
	assert.True(t, a.Admin())
	// A second start makes nothing, and keeps what was edited.
	_, err = w.svc.UpdateTier(ctx, w.root, domain.BasicTier, app.TierChange{Title: ptr("Free")})
	require.NoError(t, err)
	generated, err := w.node().Bootstrap(ctx, "another password")
	require.NoError(t, err)
	assert.Empty(t, generated)
	tier, err := w.svc.Tier(ctx, w.root, domain.BasicTier)
	require.NoError(t, err)
	assert.Equal(t, "Free", tier.Title)
}

func TestBootstrapGenerates(t *testing.T) {
	// Many nodes start at once on an empty database: one of them makes the admin.
	cfg := newWorld(t).cfg
	cfg.Records, cfg.Blobs = memory.NewRecords(memory.Options{}), memory.NewBlobs(memory.Options{})
	cfg.Now = nil
	var mu sync.Mutex
	var made []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			svc, err := app.New(cfg)
			if !assert.NoError(t, err) {
				return
			}
			p, err := svc.Bootstrap(ctx, "")
			assert.NoError(t, err)
			if p != "" {
				mu.Lock()
				made = append(made, p)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, made, 1)
	assert.Len(t, made[0], 20)
	svc, err := app.New(cfg)
	require.NoError(t, err)
	_, err = svc.ByPassword(ctx, "admin", made[0], "192.0.2.1")
	assert.NoError(t, err)
	_, err = svc.Bootstrap(ctx, "short")
	assert.NoError(t, err, "nothing to make: the password is not looked at")
}

func TestTiersAdministration(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	for name, do := range map[string]func(a domain.Actor) error{
		"list":   func(a domain.Actor) error { _, err := w.svc.Tiers(ctx, a); return err },
		"show":   func(a domain.Actor) error { _, err := w.svc.Tier(ctx, a, domain.BasicTier); return err },
		"create": func(a domain.Actor) error { _, err := w.svc.CreateTier(ctx, a, "Mine", app.TierChange{}); return err },
		"update": func(a domain.Actor) error {
			_, err := w.svc.UpdateTier(ctx, a, domain.BasicTier, app.TierChange{Permissions: &[]string{"can_access_original_image"}})
			return err
		},
		"delete":      func(a domain.Actor) error { return w.svc.DeleteTier(ctx, a, "Custom") },
		"users":       func(a domain.Actor) error { _, _, err := w.svc.Users(ctx, a, "", ports.Page{Limit: 1}); return err },
		"user":        func(a domain.Actor) error { _, err := w.svc.User(ctx, a, "anna"); return err },
		"create user": func(a domain.Actor) error { _, err := w.svc.CreateUser(ctx, a, "x", app.UserChange{}); return err },
		"update user": func(a domain.Actor) error {
			_, err := w.svc.UpdateUser(ctx, a, "anna", app.UserChange{IsAdmin: ptr(true)})
			return err
		},
		"delete user": func(a domain.Actor) error { return w.svc.DeleteUser(ctx, a, "anna") },
		"all images": func(a domain.Actor) error {
			_, _, err := w.svc.AllImages(ctx, a, app.Filter{}, ports.Page{Limit: 1})
			return err
		},
		"all links": func(a domain.Actor) error {
			_, _, err := w.svc.AllLinks(ctx, a, app.Filter{}, ports.Page{Limit: 1})
			return err
		},
		"audit": func(a domain.Actor) error {
			_, _, err := w.svc.Audit(ctx, a, app.Filter{}, ports.Page{Limit: 1})
			return err
		},
		"explain": func(a domain.Actor) error {
			_, err := w.svc.Explain(ctx, a, "anna", domain.ID{1}, domain.MakeLink)
			return err
		},
	} {
		t.Run("A8 "+name, func(t *testing.T) {
			assert.ErrorIs(t, do(anna), domain.Denied)
			assert.ErrorIs(t, do(domain.Actor{}), domain.Unauthenticated)
		})
	}

	tier, err := w.svc.CreateTier(ctx, w.root, "Gold", app.TierChange{
		Title: ptr(" Gold "), Permissions: &[]string{"thumbnail:600", "thumbnail:600"}, Limits: map[string]*int64{"max_images": ptr(int64(5)), "max_pixels": nil},
	})
	require.NoError(t, err)
	assert.Equal(t, "Gold", tier.Title)
	assert.Equal(t, 1, tier.Permissions.Len())
	assert.EqualValues(t, 5, tier.Limits.MaxImages)
	assert.Equal(t, domain.NoLimit, tier.Limits.MaxPixels)
	assert.EqualValues(t, 50<<20, tier.Limits.MaxUploadBytes)
	_, err = w.svc.CreateTier(ctx, w.root, "Gold", app.TierChange{})
	assert.ErrorIs(t, err, domain.Conflict)
	for name, c := range map[string]app.TierChange{
		"bad permission": {Permissions: &[]string{"thumbnail:0"}},
		"bad limit":      {Limits: map[string]*int64{"max_fun": nil}},
		"negative limit": {Limits: map[string]*int64{"max_images": ptr(int64(-1))}},
		"bad range":      {Limits: map[string]*int64{"link_ttl_min_seconds": ptr(int64(29))}},
		"bad title":      {Title: ptr("a\x00")},
	} {
		_, err := w.svc.UpdateTier(ctx, w.root, "Gold", c)
		assert.ErrorIs(t, err, domain.Invalid, name)
	}
	_, err = w.svc.UpdateTier(ctx, w.root, "nope", app.TierChange{})
	assert.ErrorIs(t, err, domain.NotFound)
	_, err = w.svc.Tier(ctx, w.root, "nope")
	assert.ErrorIs(t, err, domain.NotFound)
	assert.ErrorIs(t, w.svc.DeleteTier(ctx, w.root, domain.BasicTier), domain.Conflict)
	assert.ErrorIs(t, w.svc.DeleteTier(ctx, w.root, "nope"), domain.NotFound)

	// A deleted tier takes with it what it gave.
	w.setTiers("anna", domain.BasicTier, "Gold")
	anna = w.actor("anna")
	assert.Equal(t, []int{200, 600}, anna.Entitlements.Permissions.Heights())
	require.NoError(t, w.svc.DeleteTier(ctx, w.root, "Gold"))
	assert.Equal(t, []int{200}, w.actor("anna").Entitlements.Permissions.Heights())
	u, err := w.svc.User(ctx, w.root, "anna")
	require.NoError(t, err)
	assert.Equal(t, []string{domain.BasicTier}, u.Tiers)
}

func TestUsersAdministration(t *testing.T) {
	w := newWorld(t)
	u, err := w.svc.CreateUser(ctx, w.root, "anna", app.UserChange{
		Email: ptr("anna@example.org"), Tiers: &[]string{domain.PremiumTier, domain.BasicTier}, Permissions: &[]string{"thumbnail:33"},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{domain.BasicTier, domain.PremiumTier}, u.Tiers)
	_, err = w.svc.ByPassword(ctx, "anna", "", "192.0.2.1")
	assert.ErrorIs(t, err, domain.Unauthenticated, "no password signs in")
	_, err = w.svc.CreateUser(ctx, w.root, "anna", app.UserChange{})
	assert.ErrorIs(t, err, domain.Conflict)
	for name, c := range map[string]app.UserChange{
		"no such tier":   {Tiers: &[]string{"nope"}},
		"bad permission": {Permissions: &[]string{"root"}},
		"bad e-mail":     {Email: ptr("x")},
		"short password": {Password: ptr("short")},
	} {
		_, err := w.svc.CreateUser(ctx, w.root, "new", c)
		assert.ErrorIs(t, err, domain.Invalid, name)
		_, err = w.svc.UpdateUser(ctx, w.root, "anna", c)
		assert.ErrorIs(t, err, domain.Invalid, name)
	}
	_, err = w.svc.CreateUser(ctx, w.root, "no spaces", app.UserChange{})
	assert.ErrorIs(t, err, domain.Invalid)
	_, err = w.svc.User(ctx, w.root, "new")
	assert.ErrorIs(t, err, domain.NotFound, "nothing was left")
	_, err = w.svc.UpdateUser(ctx, w.root, "nobody", app.UserChange{})
	assert.ErrorIs(t, err, domain.NotFound)
	assert.ErrorIs(t, w.svc.DeleteUser(ctx, w.root, "nobody"), domain.NotFound)
	members, _, err := w.svc.Users(ctx, w.root, domain.PremiumTier, ports.Page{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, members, 1)

	// At most 32 heights, however they come together.
	var heights []string
	for h := range 31 {
		heights = append(heights, "thumbnail:"+strconv.Itoa(1000+h))
	}
	w.change("anna", app.UserChange{Tiers: &[]string{domain.BasicTier}, Permissions: &heights})
	_, err = w.svc.UpdateUser(ctx, w.root, "anna", app.UserChange{Tiers: &[]string{domain.PremiumTier}})
	assert.ErrorIs(t, err, domain.Invalid)
	_, err = w.svc.UpdateTier(ctx, w.root, domain.BasicTier, app.TierChange{Permissions: &[]string{"thumbnail:200", "thumbnail:201"}})
	assert.ErrorIs(t, err, domain.Invalid, "a member would have 33")
	_, err = w.svc.UpdateTier(ctx, w.root, domain.BasicTier, app.TierChange{Permissions: &[]string{"thumbnail:201"}})
	assert.NoError(t, err)
}

func TestPreviewTellsWhatAChangeOfATierWillDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("anna", domain.PremiumTier)
	w.user("ben", domain.PremiumTier, domain.BasicTier)
	w.user("carl", domain.PremiumTier)
	w.change("carl", app.UserChange{Permissions: &[]string{"can_access_original_image"}})
	before, err := w.svc.Tier(ctx, w.root, domain.PremiumTier)
	require.NoError(t, err)

	e, err := w.svc.PreviewTier(ctx, w.root, domain.PremiumTier, app.TierChange{
		Permissions: &[]string{"thumbnail:400", "can_access_original_image"}, Limits: map[string]*int64{"max_images": ptr(int64(3))},
	})
	require.NoError(t, err)
	assert.Equal(t, before, e.Before)
	assert.EqualValues(t, 3, e.After.Limits.MaxImages)
	assert.Equal(t, 3, e.Members)
	got := map[string]app.PermissionEffect{}
	for _, p := range e.Permissions {
		got[p.Permission.String()] = p
	}
	require.Len(t, got, 2, "what stays is no effect")
	assert.False(t, got["thumbnail:200"].Gained)
	assert.Equal(t, 2, got["thumbnail:200"].Users, "ben has it from another tier")
	assert.True(t, got["can_access_original_image"].Gained)
	assert.Equal(t, 2, got["can_access_original_image"].Users, "carl has it already")
	after, err := w.svc.Tier(ctx, w.root, domain.PremiumTier)
	require.NoError(t, err)
	assert.Equal(t, before, after, "nothing is done")

	_, err = w.svc.PreviewTier(ctx, w.root, "nope", app.TierChange{})
	require.ErrorIs(t, err, domain.NotFound)
	_, err = w.svc.PreviewTier(ctx, w.root, domain.PremiumTier, app.TierChange{Permissions: &[]string{"thumbnail:0"}})
	require.ErrorIs(t, err, domain.Invalid)
	var many []string
	for h := range 32 {
		many = append(many, "thumbnail:"+strconv.Itoa(1000+h))
	}
	for _, try := range []func(domain.Actor, app.TierChange) error{
		func(a domain.Actor, c app.TierChange) error {
			_, err := w.svc.PreviewTier(ctx, a, domain.PremiumTier, c)
			return err
		},
		func(a domain.Actor, c app.TierChange) error {
			_, err := w.svc.UpdateTier(ctx, a, domain.PremiumTier, c)
			return err
		},
	} {
		require.ErrorIs(t, try(w.root, app.TierChange{Permissions: &many}), domain.Invalid, "ben would have 33 heights")
		require.ErrorIs(t, try(domain.Actor{}, app.TierChange{}), domain.Unauthenticated)
	}
}

func TestUserByID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	u, err := w.svc.UserByID(ctx, w.root, anna.User.ID)
	require.NoError(t, err)
	assert.Equal(t, "anna", u.Username)
	_, err = w.svc.UserByID(ctx, w.root, domain.ID{1})
	require.ErrorIs(t, err, domain.NotFound)
	_, err = w.svc.UserByID(ctx, anna, anna.User.ID)
	assert.ErrorIs(t, err, domain.Denied)
}

// No default password; the last admin cannot remove themselves, not even two at once.
func promiseT9(t *testing.T) {
	w := newWorld(t)
	for _, p := range []string{"admin", "password", "", "imagify"} {
		_, err := w.svc.ByPassword(ctx, "admin", p, "192.0.2.200")
		assert.ErrorIs(t, err, domain.Unauthenticated)
	}
	for name, do := range map[string]func() error{
		"demote": func() error {
			_, err := w.svc.UpdateUser(ctx, w.root, "admin", app.UserChange{IsAdmin: ptr(false)})
			return err
		},
		"deactivate": func() error {
			_, err := w.svc.UpdateUser(ctx, w.root, "admin", app.UserChange{IsActive: ptr(false)})
			return err
		},
		"delete": func() error { return w.svc.DeleteUser(ctx, w.root, "admin") },
	} {
		assert.ErrorIs(t, do(), domain.Conflict, name)
	}
	for round := range 20 {
		second := fmt.Sprint("second", round)
		w.user(second)
		w.change(second, app.UserChange{IsAdmin: ptr(true)})
		var wg sync.WaitGroup
		for _, name := range []string{"admin", second} {
			wg.Go(func() { w.svc.UpdateUser(ctx, w.root, name, app.UserChange{IsAdmin: ptr(false)}) }) // one of them fails
		}
		wg.Wait()
		n, err := w.cfg.Records.Accounts.CountAdmins(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		w.change("admin", app.UserChange{IsAdmin: ptr(true)})
		w.change(second, app.UserChange{IsAdmin: ptr(false)})
	}
}

// Every admin change is in the audit log with who, when, before and after.
func promiseR12(t *testing.T) {
	w := newWorld(t)
	boss := w.root
	boss.RequestID, boss.Address = "req-1", "192.0.2.7"
	_, err := w.svc.CreateTier(ctx, boss, "Gold", app.TierChange{})
	require.NoError(t, err)
	_, err = w.svc.UpdateTier(ctx, boss, "Gold", app.TierChange{Title: ptr("G")})
	require.NoError(t, err)
	_, err = w.svc.CreateUser(ctx, boss, "anna", app.UserChange{Password: ptr(password), Tiers: &[]string{"Gold", domain.EnterpriseTier}})
	require.NoError(t, err)
	_, err = w.svc.UpdateUser(ctx, boss, "anna", app.UserChange{Password: ptr("the next one")})
	require.NoError(t, err)
	anna, err := w.svc.ByPassword(ctx, "anna", "the next one", "192.0.2.1")
	require.NoError(t, err)
	img := w.upload(anna)
	l, _, err := w.svc.CreateLink(ctx, anna, img.ID, app.LinkInput{ExpiresIn: 300})
	require.NoError(t, err)
	require.NoError(t, w.svc.RevokeLink(ctx, boss, l.ID))
	require.NoError(t, w.svc.DeleteImage(ctx, boss, img.ID))
	require.NoError(t, w.svc.DeleteTier(ctx, boss, "Gold"))
	require.NoError(t, w.svc.DeleteUser(ctx, boss, "anna"))
	_, err = w.svc.CreateTier(ctx, boss, domain.BasicTier, app.TierChange{})
	require.ErrorIs(t, err, domain.Conflict, "a change that failed is not in the log")

	entries, _, err := w.svc.Audit(ctx, w.root, app.Filter{Username: "test"}, ports.Page{Limit: 100})
	require.NoError(t, err)
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Action)
		assert.Equal(t, []string{"test", "req-1", "192.0.2.7"}, []string{e.Actor, e.RequestID, e.Address})
		assert.False(t, e.At.IsZero())
	}
	assert.Equal(t, []string{
		"user.delete", "tier.delete", "image.delete", "link.revoke", "user.update", "user.create", "tier.update", "tier.create",
	}, actions)
	var before, after map[string]any
	require.NoError(t, json.Unmarshal(entries[6].Before, &before))
	require.NoError(t, json.Unmarshal(entries[6].After, &after))
	assert.Equal(t, []any{"", "G"}, []any{before["title"], after["title"]})
	require.NoError(t, json.Unmarshal(entries[4].After, &after))
	assert.Equal(t, "changed", after["password"])

	// A refused access is logged, without secrets.
	eve := w.user("eve")
	_, err = w.svc.Tiers(ctx, eve)
	require.Error(t, err)
	assert.Contains(t, w.logs.String(), `"user":"eve"`)
}

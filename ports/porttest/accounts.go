package porttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Accounts is the suite of ports.Accounts.
func Accounts(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	group(t, "Accounts", newRecords, users, tiers, accountChanges, sessions, tokens)
}

// users is the suite of reading users.
func users(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Users", newRecords, []story{
		{"Unknown", usersUnknown},
		{"RoundTrip", usersRoundTrip},
		{"NamesToTheLetter", usersNames},
		{"Paging", usersPaging},
		{"Deleting", usersDeleting},
		{"CountAdmins", usersCountAdmins},
		{"Copies", usersCopies},
		{"EndedContext", usersEnded},
	})
}

func usersUnknown(w *world) {
	_, err := w.Accounts.User(w.ctx, w.id(epoch))
	wantCode(w.t, domain.NotFound, err)
	_, err = w.Accounts.User(w.ctx, domain.ID{})
	wantCode(w.t, domain.NotFound, err)
	for _, name := range []string{"nobody", ""} {
		_, err = w.Accounts.UserByName(w.ctx, name)
		wantCode(w.t, domain.NotFound, err)
	}
	list, err := w.Accounts.Users(w.ctx, "", ports.Page{Limit: 10})
	require.NoError(w.t, err)
	require.Empty(w.t, list)
	n, err := w.Accounts.CountAdmins(w.ctx)
	require.NoError(w.t, err)
	require.Zero(w.t, n)
}

func usersRoundTrip(w *world) {
	plain := domain.User{ID: w.id(epoch), Username: "plain", CreatedAt: epoch, UpdatedAt: epoch}
	full := w.user(longUsername, "gold", "Gold", "a_c")
	full.Email, full.IsAdmin, full.Epoch, full.Deleting = longEmail, true, 1<<62, false
	full.Grants = domain.NewPermissions(thumb(1), thumb(4320), domain.AccessOriginal, domain.GenerateLink)
	inactive := w.user("inactive")
	inactive.IsActive, inactive.PasswordHash, inactive.Grants = false, "", domain.NewPermissions()
	zoned := w.user("zoned")
	zoned.CreatedAt = time.Date(2026, 7, 8, 9, 10, 11, 123456789, time.FixedZone("", 5*3600+1800))
	zoned.UpdatedAt = time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.FixedZone("", -8*3600))
	many := w.user("many")
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("Tier-%02d.of_the_sixty-that-this-user-is-in", i))
	}
	many.SetTiers(names)

	all := []domain.User{plain, full, inactive, zoned, many}
	w.save(all...)
	for _, u := range all {
		got, err := w.Accounts.User(w.ctx, u.ID)
		require.NoError(w.t, err)
		wantUser(w.t, u, got)
		got, err = w.Accounts.UserByName(w.ctx, u.Username)
		require.NoError(w.t, err)
		wantUser(w.t, u, got)
	}
	list, err := w.Accounts.Users(w.ctx, "", ports.Page{Limit: 10})
	require.NoError(w.t, err)
	require.Len(w.t, list, len(all))
	for i, u := range all {
		wantUser(w.t, u, list[len(all)-1-i])
	}

	// A user is written as given: all that was there before is replaced.
	full.Username, full.Email, full.PasswordHash, full.IsAdmin, full.IsActive = "renamed", "", "", false, false
	full.Epoch, full.Grants, full.UpdatedAt = 0, domain.NewPermissions(thumb(50)), moment(999)
	full.SetTiers([]string{"silver"})
	w.save(full)
	w.save(full) // and the same again is no error
	got, err := w.Accounts.User(w.ctx, full.ID)
	require.NoError(w.t, err)
	wantUser(w.t, full, got)
	_, err = w.Accounts.UserByName(w.ctx, longUsername)
	wantCode(w.t, domain.NotFound, err, "the old name of a renamed user")
	list, err = w.Accounts.Users(w.ctx, "gold", ports.Page{Limit: 10})
	require.NoError(w.t, err)
	require.Empty(w.t, list, "a user that left the tier")
}

func usersNames(w *world) {
	lower, upper := w.user("alice"), w.user("Alice")
	w.save(lower, upper)
	for _, u := range []domain.User{lower, upper} {
		got, err := w.Accounts.UserByName(w.ctx, u.Username)
		require.NoError(w.t, err)
		require.Equal(w.t, u.ID, got.ID)
	}
	for _, name := range []string{"ALICE", "alice ", " alice", "alic_", "alic%", "a", "alice\x00", "álice"} {
		_, err := w.Accounts.UserByName(w.ctx, name)
		wantCode(w.t, domain.NotFound, err, name)
	}
}

func usersPaging(w *world) {
	var all, gold, wild []domain.ID
	for i := range 9 {
		var in []string
		if i%2 == 0 {
			in = append(in, "Gold", "other")
		} else {
			in = append(in, "gold", "Goldish", "aXc")
		}
		if i%3 == 0 {
			in = append(in, "a_c")
		}
		u := w.user(fmt.Sprintf("user%d", 9-i), in...)
		w.save(u)
		all = append(all, u.ID)
		if i%2 == 0 {
			gold = append(gold, u.ID)
		}
		if i%3 == 0 {
			wild = append(wild, u.ID)
		}
	}
	for tier, want := range map[string][]domain.ID{"": all, "Gold": gold, "a_c": wild, "nobody": nil, "Gol": nil, "GOLD": nil, "%": nil} {
		wantPages(w.t, backwards(want), userID, func(p ports.Page) ([]domain.User, error) { return w.Accounts.Users(w.ctx, tier, p) })
	}
}

func usersDeleting(w *world) {
	stays, goes, goesToo := w.user("stays", "gold"), w.user("goes", "gold"), w.user("goes.too", "gold")
	goes.IsAdmin, goesToo.IsAdmin = true, true
	w.save(stays, goes, goesToo)
	goes.Deleting, goesToo.Deleting = true, true
	w.save(goes, goesToo)

	got, err := w.Accounts.User(w.ctx, goes.ID)
	require.NoError(w.t, err, "Get finds a user that is being deleted")
	wantUser(w.t, goes, got)
	_, err = w.Accounts.UserByName(w.ctx, "goes")
	wantCode(w.t, domain.NotFound, err)
	for _, tier := range []string{"", "gold"} {
		wantPages(w.t, []domain.ID{stays.ID}, userID, func(p ports.Page) ([]domain.User, error) { return w.Accounts.Users(w.ctx, tier, p) })
	}
	n, err := w.Accounts.CountAdmins(w.ctx)
	require.NoError(w.t, err)
	require.Zero(w.t, n, "those being deleted do not count")

	list, err := w.Accounts.DeletingUsers(w.ctx, 5)
	require.NoError(w.t, err)
	require.Len(w.t, list, 2)
	require.ElementsMatch(w.t, texts([]domain.ID{goes.ID, goesToo.ID}), texts([]domain.ID{list[0].ID, list[1].ID}))
	list, err = w.Accounts.DeletingUsers(w.ctx, 1)
	require.NoError(w.t, err)
	require.Len(w.t, list, 1)

	// A user who is being deleted has no name any more.
	heir := w.user("goes", "gold")
	w.save(heir)
	goes.Epoch++
	w.save(goes) // and is written without a look at who has the name
	got, err = w.Accounts.UserByName(w.ctx, "goes")
	require.NoError(w.t, err)
	wantUser(w.t, heir, got)
	heir.Deleting = true
	w.save(heir)
	second := w.user("goes")
	w.save(second)
	for _, u := range []domain.User{goes, heir} {
		got, err = w.Accounts.User(w.ctx, u.ID)
		require.NoError(w.t, err)
		wantUser(w.t, u, got)
		back := u
		back.Deleting = false
		err = w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error { return tx.SaveUser(w.ctx, back) })
		wantCode(w.t, domain.Conflict, err, "its name is another's by now")
		w.change(func(tx ports.AccountsTx) error { return tx.DeleteUser(w.ctx, u.ID) })
	}
	got, err = w.Accounts.UserByName(w.ctx, "goes")
	require.NoError(w.t, err)
	wantUser(w.t, second, got)
}

func usersCountAdmins(w *world) {
	for i := range 8 {
		u := w.user(fmt.Sprintf("u%d", i))
		u.IsAdmin, u.IsActive, u.Deleting = i&1 != 0, i&2 != 0, i&4 != 0
		w.save(u)
	}
	n, err := w.Accounts.CountAdmins(w.ctx)
	require.NoError(w.t, err)
	require.Equal(w.t, 1, n, "only who is an admin, active and not being deleted counts")
}

func usersCopies(w *world) {
	u := w.user("u", "a", "b")
	given := u
	given.Tiers = []string{"a", "b"}
	w.save(given)
	given.Tiers[0] = "changed"
	read := func() []domain.User {
		a, err := w.Accounts.User(w.ctx, u.ID)
		require.NoError(w.t, err)
		b, err := w.Accounts.UserByName(w.ctx, "u")
		require.NoError(w.t, err)
		c, err := w.Accounts.Users(w.ctx, "", ports.Page{Limit: 1})
		require.NoError(w.t, err)
		return append(c, a, b)
	}
	for _, got := range read() {
		wantUser(w.t, u, got)
		got.Tiers[1] = "changed"
	}
	for _, got := range read() {
		wantUser(w.t, u, got)
	}
}

func usersEnded(w *world) {
	u := w.user("u")
	w.save(u)
	wantAllEnded(w.t, []call{
		{"Get", func(ctx context.Context) error { _, err := w.Accounts.User(ctx, u.ID); return err }},
		{"Get unknown", func(ctx context.Context) error { _, err := w.Accounts.User(ctx, domain.ID{1}); return err }},
		{"ByUsername", func(ctx context.Context) error { _, err := w.Accounts.UserByName(ctx, "u"); return err }},
		{"List", func(ctx context.Context) error { _, err := w.Accounts.Users(ctx, "", ports.Page{Limit: 1}); return err }},
		{"Deleting", func(ctx context.Context) error { _, err := w.Accounts.DeletingUsers(ctx, 1); return err }},
		{"CountAdmins", func(ctx context.Context) error { _, err := w.Accounts.CountAdmins(ctx); return err }},
	})
}

// tiers is the suite of reading tiers.
func tiers(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Tiers", newRecords, []story{
		{"RoundTrip", tiersRoundTrip},
		{"ByteOrder", tiersOrder},
		{"EndedContext", tiersEnded},
	})
}

func tiersRoundTrip(w *world) {
	_, err := w.Accounts.Tier(w.ctx, "none")
	wantCode(w.t, domain.NotFound, err)
	list, err := w.Accounts.Tiers(w.ctx)
	require.NoError(w.t, err)
	require.Empty(w.t, list)

	empty := domain.Tier{Name: "empty", CreatedAt: epoch, UpdatedAt: epoch}
	full := tier("A0123456789.0123456789-0123456789_0123456789.0123456789-012345678", domain.AccessOriginal, domain.GenerateLink, thumb(1), thumb(4320), thumb(200))
	full.Title, full.Predefined = longTitle, true
	for i, f := range full.Limits.Fields() {
		*f.Value = []domain.Limit{domain.NoLimit, 0, 1, 1<<63 - 1, domain.NoLimit, 60, 30, 30000}[i]
	}
	w.saveTier(empty, full)
	for _, want := range []domain.Tier{empty, full} {
		got, err := w.Accounts.Tier(w.ctx, want.Name)
		require.NoError(w.t, err)
		wantTier(w.t, want, got)
	}
	full.Title, full.Predefined, full.Permissions, full.Limits = "", false, domain.NewPermissions(), domain.DefaultLimits()
	w.saveTier(full)
	w.saveTier(full) // the same again is no error
	got, err := w.Accounts.Tier(w.ctx, full.Name)
	require.NoError(w.t, err)
	wantTier(w.t, full, got)
	for _, name := range []string{"Empty", "empty ", "emp_y", "%", ""} {
		_, err := w.Accounts.Tier(w.ctx, name)
		wantCode(w.t, domain.NotFound, err, name)
	}
}

func tiersOrder(w *world) {
	sorted := []string{"0", "9a", "A", "Ab", "B", "Z", "a", "a-b", "a.b", "aB", "a_b", "ab", "b"}
	for i := range sorted {
		w.saveTier(tier(sorted[(i*5)%len(sorted)]))
	}
	list, err := w.Accounts.Tiers(w.ctx)
	require.NoError(w.t, err)
	var got []string
	for _, t := range list {
		got = append(got, t.Name)
		wantTier(w.t, tier(t.Name), t)
	}
	require.Equal(w.t, sorted, got)
}

func tiersEnded(w *world) {
	w.saveTier(tier("gold"))
	wantAllEnded(w.t, []call{
		{"Get", func(ctx context.Context) error { _, err := w.Accounts.Tier(ctx, "gold"); return err }},
		{"Get unknown", func(ctx context.Context) error { _, err := w.Accounts.Tier(ctx, "none"); return err }},
		{"List", func(ctx context.Context) error { _, err := w.Accounts.Tiers(ctx); return err }},
	})
}

// accountChanges is the suite of Accounts.Change, its transaction and Removal.
func accountChanges(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Change", newRecords, []story{
		{"ReadsItsWrites", changeReads},
		{"NameTaken", changeNameTaken},
		{"NameRacers", changeNameRacers},
		{"Serial", changeSerial},
		{"LastAdmin", changeLastAdmin},
		{"ErrorWritesNothing", changeError},
		{"Feed", changeFeed},
		{"Audit", changeAudit},
		{"DeleteUser", changeDeleteUser},
		{"DeleteTier", changeDeleteTier},
		{"RemoveMembers", changeRemoveMembers},
		{"VisibleTogether", changeTogether},
		{"EndedContext", changeEnded},
	})
}

func changeReads(w *world) {
	old, fresh := w.user("old", "gold"), w.user("fresh", "gold")
	w.save(old)
	w.saveTier(tier("gold"))
	w.change(func(tx ports.AccountsTx) error {
		got, err := tx.UserByName(w.ctx, "old")
		require.NoError(w.t, err)
		wantUser(w.t, old, got)
		renamed := old
		renamed.Username, renamed.IsAdmin = "renamed", true
		require.NoError(w.t, tx.SaveUser(w.ctx, renamed))
		require.NoError(w.t, tx.SaveUser(w.ctx, fresh))
		_, err = tx.UserByName(w.ctx, "old")
		wantCode(w.t, domain.NotFound, err)
		got, err = tx.UserByName(w.ctx, "renamed")
		require.NoError(w.t, err)
		wantUser(w.t, renamed, got)
		got, err = tx.User(w.ctx, fresh.ID)
		require.NoError(w.t, err)
		wantUser(w.t, fresh, got)
		wantPages(w.t, []domain.ID{fresh.ID, old.ID}, userID, func(p ports.Page) ([]domain.User, error) { return tx.Users(w.ctx, "gold", p) })
		n, err := tx.CountAdmins(w.ctx)
		require.NoError(w.t, err)
		require.Equal(w.t, 1, n)

		silver := tier("silver", thumb(33))
		require.NoError(w.t, tx.SaveTier(w.ctx, silver))
		gotTier, err := tx.Tier(w.ctx, "silver")
		require.NoError(w.t, err)
		wantTier(w.t, silver, gotTier)
		require.NoError(w.t, tx.DeleteTier(w.ctx, "gold"))
		list, err := tx.Tiers(w.ctx)
		require.NoError(w.t, err)
		require.Len(w.t, list, 1)
		require.NoError(w.t, tx.DeleteUser(w.ctx, fresh.ID))
		_, err = tx.User(w.ctx, fresh.ID)
		wantCode(w.t, domain.NotFound, err)
		// A name that became free in the transaction may be taken in it.
		require.NoError(w.t, tx.SaveUser(w.ctx, w.user("fresh")))
		require.NoError(w.t, tx.SaveUser(w.ctx, w.user("old")))
		return nil
	})
	list, err := w.Accounts.Users(w.ctx, "", ports.Page{Limit: 10})
	require.NoError(w.t, err)
	require.Len(w.t, list, 3)
	_, err = w.Accounts.Tier(w.ctx, "gold")
	wantCode(w.t, domain.NotFound, err)
}

func changeNameTaken(w *world) {
	holder, other := w.user("name"), w.user("other")
	w.save(holder, other)
	since := w.cursor()
	for _, u := range []domain.User{w.user("name"), {ID: other.ID, Username: "name"}} {
		err := w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error { return tx.SaveUser(w.ctx, u) })
		wantCode(w.t, domain.Conflict, err)
	}
	got, err := w.Accounts.UserByName(w.ctx, "name")
	require.NoError(w.t, err)
	wantUser(w.t, holder, got)
	got, err = w.Accounts.User(w.ctx, other.ID)
	require.NoError(w.t, err)
	wantUser(w.t, other, got)
	w.wantFeed(since)
}

func changeNameRacers(w *world) {
	users := make([]domain.User, racers)
	for i := range users {
		users[i] = w.user("name")
	}
	errs := make([]error, racers)
	race(racers, func(i int) {
		errs[i] = w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error { return tx.SaveUser(w.ctx, users[i]) })
	})
	wantOneWinner(w.t, errs, domain.Conflict)
	list, err := w.Accounts.Users(w.ctx, "", ports.Page{Limit: racers})
	require.NoError(w.t, err)
	require.Len(w.t, list, 1)
	for i, err := range errs {
		if err == nil {
			wantUser(w.t, users[i], list[0])
		}
	}
}

// changeSerial has racers read, add one and write: a lost update shows in the sum.
func changeSerial(w *world) {
	u := w.user("counter")
	u.Epoch = 0
	w.save(u)
	const rounds = 4
	errs := make([]error, racers)
	race(racers, func(i int) {
		for range rounds {
			errs[i] = errors.Join(errs[i], w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error {
				now, err := tx.User(w.ctx, u.ID)
				if err != nil {
					return err
				}
				now.Epoch++
				return tx.SaveUser(w.ctx, now)
			}))
		}
	})
	require.NoError(w.t, errors.Join(errs...))
	got, err := w.Accounts.User(w.ctx, u.ID)
	require.NoError(w.t, err)
	require.EqualValues(w.t, racers*rounds, got.Epoch, "an update was lost")
}

// changeLastAdmin has every admin resign unless they are the last: each reads
// what the others write (write skew), and one must remain.
func changeLastAdmin(w *world) {
	const admins = 10
	users := make([]domain.User, admins)
	for i := range users {
		users[i] = w.user(fmt.Sprintf("admin%d", i))
		users[i].IsAdmin = true
	}
	w.save(users...)
	last := errors.New("the last admin stays")
	errs := make([]error, admins)
	race(admins, func(i int) {
		errs[i] = w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error {
			n, err := tx.CountAdmins(w.ctx)
			if err != nil {
				return err
			}
			if n <= 1 {
				return last
			}
			u := users[i]
			u.IsAdmin = false
			return tx.SaveUser(w.ctx, u)
		})
	})
	refused := 0
	for _, err := range errs {
		if errors.Is(err, last) {
			refused++
			continue
		}
		require.NoError(w.t, err)
	}
	n, err := w.Accounts.CountAdmins(w.ctx)
	require.NoError(w.t, err)
	require.Equal(w.t, 1, n)
	require.Equal(w.t, 1, refused)
}

func changeError(w *world) {
	kept, gone := w.user("kept", "gold"), w.user("gone")
	w.save(kept, gone)
	gold := tier("gold", thumb(10))
	w.saveTier(gold)
	session, token := w.session(gone.ID, moment(9)), w.token(gone.ID, moment(1))
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, session, 0))
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, token, 0))
	since := w.cursor()

	boom := errors.New("boom")
	err := w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error {
		changed := kept
		changed.Username, changed.IsActive = "changed", false
		changedTier := gold
		changedTier.Title = "changed"
		return errors.Join(
			tx.SaveUser(w.ctx, w.user("fresh")), tx.SaveUser(w.ctx, changed), tx.DeleteUser(w.ctx, gone.ID),
			tx.SaveTier(w.ctx, tier("fresh")), tx.SaveTier(w.ctx, changedTier), tx.DeleteTier(w.ctx, "gold"),
			tx.Record(w.ctx, w.entry("admin", epoch)), boom)
	})
	require.ErrorIs(w.t, err, boom, "Change returns fn's error")

	list, err := w.Accounts.Users(w.ctx, "", ports.Page{Limit: 10})
	require.NoError(w.t, err)
	require.Len(w.t, list, 2)
	wantUser(w.t, gone, list[0])
	wantUser(w.t, kept, list[1])
	byName, err := w.Accounts.UserByName(w.ctx, "kept")
	require.NoError(w.t, err)
	wantUser(w.t, kept, byName)
	tiers, err := w.Accounts.Tiers(w.ctx)
	require.NoError(w.t, err)
	require.Len(w.t, tiers, 1)
	wantTier(w.t, gold, tiers[0])
	_, err = w.Accounts.Session(w.ctx, session.Hash)
	require.NoError(w.t, err)
	_, err = w.Accounts.Token(w.ctx, token.Hash)
	require.NoError(w.t, err)
	tokens, err := w.Accounts.Tokens(w.ctx, gone.ID, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Len(w.t, tokens, 1)
	w.wantAudit()
	w.wantFeed(since)
	// And the next change works.
	w.save(w.user("fresh"))
}

func changeFeed(w *world) {
	a, b := w.user("a"), w.user("b")
	since := w.cursor()
	w.change(func(tx ports.AccountsTx) error {
		return errors.Join(tx.SaveUser(w.ctx, a), tx.SaveUser(w.ctx, b), tx.SaveUser(w.ctx, a), tx.SaveTier(w.ctx, tier("gold")), tx.SaveTier(w.ctx, tier("gold")))
	})
	w.wantFeed(since,
		ports.Change{Kind: ports.UserChanged, ID: a.ID}, ports.Change{Kind: ports.UserChanged, ID: b.ID},
		ports.Change{Kind: ports.TierChanged, Name: "gold"})

	since = w.cursor()
	w.change(func(tx ports.AccountsTx) error {
		return errors.Join(tx.DeleteUser(w.ctx, a.ID), tx.DeleteTier(w.ctx, "gold"))
	})
	w.wantFeed(since, ports.Change{Kind: ports.UserChanged, ID: a.ID}, ports.Change{Kind: ports.TierChanged, Name: "gold"})

	since = w.cursor()
	w.change(func(ports.AccountsTx) error { return nil })
	w.change(func(tx ports.AccountsTx) error { return tx.Record(w.ctx, w.entry("admin", epoch)) })
	w.wantFeed(since)
}

func changeAudit(w *world) {
	first, second, third := w.entry("admin", moment(1)), w.entry("admin", moment(2)), w.entry("other", moment(3))
	w.change(func(tx ports.AccountsTx) error {
		return errors.Join(tx.SaveUser(w.ctx, w.user("u")), tx.Record(w.ctx, first), tx.Record(w.ctx, second))
	})
	w.change(func(tx ports.AccountsTx) error { return tx.Record(w.ctx, third) })
	w.wantAudit(third, second, first)
}

func changeDeleteUser(w *world) {
	gone, stays := w.user("gone"), w.user("stays")
	w.save(gone, stays)
	sessions := map[domain.ID]domain.Session{}
	tokens := map[domain.ID]domain.Token{}
	for _, u := range []domain.User{gone, stays} {
		s, k := w.session(u.ID, moment(100)), w.token(u.ID, moment(1))
		require.NoError(w.t, w.Accounts.CreateSession(w.ctx, s, 0))
		require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
		sessions[u.ID], tokens[u.ID] = s, k
	}
	w.change(func(tx ports.AccountsTx) error {
		return errors.Join(tx.DeleteUser(w.ctx, gone.ID), tx.DeleteUser(w.ctx, w.id(epoch)))
	})
	_, err := w.Accounts.User(w.ctx, gone.ID)
	wantCode(w.t, domain.NotFound, err)
	_, err = w.Accounts.UserByName(w.ctx, "gone")
	wantCode(w.t, domain.NotFound, err)
	_, err = w.Accounts.Session(w.ctx, sessions[gone.ID].Hash)
	wantCode(w.t, domain.NotFound, err, "sessions go with their user")
	_, err = w.Accounts.Token(w.ctx, tokens[gone.ID].Hash)
	wantCode(w.t, domain.NotFound, err, "tokens go with their user")
	list, err := w.Accounts.Tokens(w.ctx, gone.ID, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Empty(w.t, list)

	_, err = w.Accounts.User(w.ctx, stays.ID)
	require.NoError(w.t, err)
	_, err = w.Accounts.Session(w.ctx, sessions[stays.ID].Hash)
	require.NoError(w.t, err, "another user's session stays")
	_, err = w.Accounts.Token(w.ctx, tokens[stays.ID].Hash)
	require.NoError(w.t, err, "another user's token stays")
	w.save(w.user("gone")) // the name is free again
}

// changeRemoveMembers takes a deleted tier out of its members' records, some at a time.
func changeRemoveMembers(w *world) {
	w.saveTier(tier("gold"), tier("silver"))
	users := make([]domain.User, 7)
	for i := range users {
		users[i] = w.user(fmt.Sprintf("member%d", i), "gold", "silver", "Gold")
		if i == 3 {
			users[i].SetTiers([]string{"silver"})
		}
	}
	w.save(users...)
	going := w.user("going", "gold")
	w.save(going)
	going.Deleting = true
	w.save(going)
	wantGone := func(want ...string) {
		w.t.Helper()
		got, err := w.Accounts.DeletedTiers(w.ctx)
		require.NoError(w.t, err)
		require.ElementsMatch(w.t, want, got)
	}
	wantGone("Gold") // there never was one
	w.change(func(tx ports.AccountsTx) error { return tx.DeleteTier(w.ctx, "gold") })
	wantGone("Gold", "gold")
	base := w.cursor()
	total := 0
	for _, want := range []int{4, 2, 0} {
		w.change(func(tx ports.AccountsTx) error {
			n, err := tx.RemoveMembers(w.ctx, "gold", 4)
			require.NoError(w.t, err)
			require.Equal(w.t, want, n)
			left, err := tx.Users(w.ctx, "gold", ports.Page{Limit: 9})
			require.NoError(w.t, err)
			require.Len(w.t, left, 6-total-n, "seen in the same transaction")
			return nil
		})
		total += want
	}
	wantGone("Gold")
	var told []ports.Change
	for i, u := range users {
		if i != 3 {
			told = append(told, ports.Change{Kind: ports.UserChanged, ID: u.ID})
			u.SetTiers([]string{"silver", "Gold"})
		}
		got, err := w.Accounts.User(w.ctx, u.ID)
		require.NoError(w.t, err)
		require.ElementsMatch(w.t, u.Tiers, got.Tiers)
	}
	w.wantFeed(base, told...)
	for tier, want := range map[string]int{"gold": 0, "silver": 7, "Gold": 6} {
		list, err := w.Accounts.Users(w.ctx, tier, ports.Page{Limit: 9})
		require.NoError(w.t, err)
		require.Len(w.t, list, want, tier)
	}
}

func changeDeleteTier(w *world) {
	w.saveTier(tier("gold"), tier("silver"))
	member := w.user("member", "gold")
	w.save(member)
	w.change(func(tx ports.AccountsTx) error {
		return errors.Join(tx.DeleteTier(w.ctx, "gold"), tx.DeleteTier(w.ctx, "none"))
	})
	list, err := w.Accounts.Tiers(w.ctx)
	require.NoError(w.t, err)
	require.Len(w.t, list, 1)
	require.Equal(w.t, "silver", list[0].Name)
	_, err = w.Accounts.User(w.ctx, member.ID)
	require.NoError(w.t, err)
}

// changeTogether has a writer count up two users, an audit entry and the feed
// in each change, and readers look: who sees one of them sees all.
func changeTogether(w *world) {
	a, b := w.user("a"), w.user("b")
	a.Epoch, b.Epoch = 0, 0
	w.save(a, b)
	since := w.cursor()
	const rounds = 30
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for n := int64(1); n <= rounds; n++ {
				err := w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error {
					a, b := a, b
					a.Epoch, b.Epoch = n, n
					return errors.Join(tx.SaveUser(w.ctx, a), tx.Record(w.ctx, w.entry("admin", moment(int(n)))), tx.SaveUser(w.ctx, b))
				})
				if err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	for ended := false; !ended; {
		select {
		case err := <-done:
			require.NoError(w.t, err)
			ended = true
		default:
		}
		// What is read later must be at least as new.
		f, err := w.Changes.Since(w.ctx, since)
		require.NoError(w.t, err)
		require.Zero(w.t, len(f.Entries)%2, "a change shows half of its entries")
		first, err := w.Accounts.User(w.ctx, a.ID)
		require.NoError(w.t, err)
		entries, err := w.Audit.List(w.ctx, "", ports.TimeRange{}, ports.Page{Limit: rounds + 1})
		require.NoError(w.t, err)
		second, err := w.Accounts.User(w.ctx, b.ID)
		require.NoError(w.t, err)
		last, err := w.Changes.Since(w.ctx, since)
		require.NoError(w.t, err)
		seen := []int64{int64(len(f.Entries) / 2), first.Epoch, int64(len(entries)), second.Epoch, int64(len(last.Entries) / 2)}
		require.IsNonDecreasing(w.t, seen, "feed, user, audit, other user, feed")
	}
}

func changeEnded(w *world) {
	u := w.user("u")
	since := w.cursor()
	wantAllEnded(w.t, []call{{"Change", func(ctx context.Context) error {
		return w.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
			return tx.SaveUser(w.ctx, u)
		})
	}}})
	_, err := w.Accounts.User(w.ctx, u.ID)
	wantCode(w.t, domain.NotFound, err)

	// A context that ends within fn: an error, and nothing written.
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	err = w.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
		if err := tx.SaveUser(ctx, u); err != nil {
			return err
		}
		cancel()
		_, err := tx.User(ctx, u.ID)
		return err
	})
	wantEnded(w.t, err)
	_, err = w.Accounts.User(w.ctx, u.ID)
	wantCode(w.t, domain.NotFound, err)
	w.wantFeed(since)
	w.save(u)
}

package porttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Links is the suite of ports.Links.
func Links(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Links", newRecords, []story{
		{"RoundTrip", linksRoundTrip},
		{"Taken", linksTaken},
		{"TakenRacers", linksTakenRacers},
		{"Bound", linksBound},
		{"BoundRacers", linksBoundRacers},
		{"OwnersAreApart", linksOwners},
		{"Paging", linksPaging},
		{"ListAll", linksListAll},
		{"Revoke", linkRevoke},
		{"RevokeRacers", linkRevokeRacers},
		{"TakeView", linkTakeView},
		{"TakeViewRacers", linkTakeViewRacers},
		{"TakeViewOrRevoke", linkTakeViewOrRevoke},
		{"AddViews", linkAddViews},
		{"AddViewsRacers", linkAddViewsRacers},
		{"DeleteOld", linkDeleteOld},
		{"Owner", linkOwner},
		{"ChangesEndedContext", linkChangesEnded},
		{"EndedContext", linksEnded},
	})
}

func linksRoundTrip(w *world) {
	owner, image := w.id(epoch), w.id(epoch)
	small, _ := domain.Thumbnail(1)
	tall, _ := domain.Thumbnail(4320)
	plain := w.link(owner, image, moment(1))
	viewed := w.link(owner, image, moment(2).Add(123456*time.Microsecond))
	viewed.Variant, viewed.MaxViews, viewed.ExpiresAt = tall, 1<<62, viewed.CreatedAt.Add(30000*time.Second)
	long := w.link(owner, image, moment(3))
	long.Variant, long.MaxViews = small, 1
	long.CreatedAt = time.Date(2026, 5, 6, 7, 8, 9, 987654321, time.FixedZone("", 3600))
	long.ExpiresAt = time.Date(2026, 5, 6, 7, 8, 39, 987654321, time.FixedZone("", 7200))
	all := []domain.Link{plain, viewed, long}
	w.linked(all...)
	list, err := w.Links.List(w.ctx, owner, image, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Len(w.t, list, len(all))
	every, _, err := w.Links.ListAll(w.ctx, ports.TimeRange{}, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Len(w.t, every, len(all))
	for i, l := range all {
		got, err := w.Links.ByToken(w.ctx, l.Hash)
		require.NoError(w.t, err)
		wantLink(w.t, l, got)
		got, err = w.Links.Get(w.ctx, owner, l.ID)
		require.NoError(w.t, err)
		wantLink(w.t, l, got)
		wantLink(w.t, l, list[len(all)-1-i])
		wantLink(w.t, l, every[len(all)-1-i])
	}
	for _, h := range []domain.SecretHash{{}, w.hash()} {
		_, err = w.Links.ByToken(w.ctx, h)
		wantCode(w.t, domain.NotFound, err)
	}
	for _, id := range []domain.ID{{}, w.id(epoch)} {
		_, err = w.Links.Get(w.ctx, owner, id)
		wantCode(w.t, domain.NotFound, err)
	}
}

func linksTaken(w *world) {
	owner, image := w.id(epoch), w.id(epoch)
	l := w.link(owner, image, moment(1))
	w.linked(l)
	for name, change := range map[string]func(other *domain.Link){
		"hash":                     func(o *domain.Link) { o.Hash = l.Hash },
		"id":                       func(o *domain.Link) { o.ID = l.ID },
		"both":                     func(o *domain.Link) { o.ID, o.Hash = l.ID, l.Hash },
		"another owner, same hash": func(o *domain.Link) { o.OwnerID, o.Hash = w.id(epoch), l.Hash },
		"another owner, same id":   func(o *domain.Link) { o.OwnerID, o.ID = w.id(epoch), l.ID },
	} {
		other := w.link(owner, w.id(epoch), moment(2))
		other.MaxViews = 9
		change(&other)
		wantCode(w.t, domain.Conflict, w.Links.Create(w.ctx, other, 0), name)
		if other.Hash != l.Hash {
			_, err := w.Links.ByToken(w.ctx, other.Hash)
			wantCode(w.t, domain.NotFound, err, name)
		}
		got, err := w.Links.ByToken(w.ctx, l.Hash)
		require.NoError(w.t, err)
		wantLink(w.t, l, got)
		every, _, err := w.Links.ListAll(w.ctx, ports.TimeRange{}, ports.Page{Limit: 5})
		require.NoError(w.t, err)
		require.Len(w.t, every, 1, name)
	}
}

func linksTakenRacers(w *world) {
	links := make([]domain.Link, racers)
	for i := range links {
		links[i] = w.link(w.id(epoch), w.id(epoch), moment(1))
		links[i].Hash = links[0].Hash
	}
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Links.Create(w.ctx, links[i], 0) })
	wantOneWinner(w.t, errs, domain.Conflict)
}

// wantFull requires that one more was refused, with the bound and how many there are.
func wantFull(t *testing.T, bound int, err error) {
	t.Helper()
	wantCode(t, domain.QuotaExceeded, err)
	e := domain.AsError(err)
	require.NotNil(t, e.Limit)
	require.NotNil(t, e.Used)
	require.EqualValues(t, bound, *e.Limit)
	require.EqualValues(t, bound, *e.Used)
}

// linksBound fills an owner's allowance of live links, and makes room in each of the ways in which a link dies.
func linksBound(w *world) {
	owner, other := w.user("owner"), w.user("other")
	w.save(owner, other)
	image := w.id(epoch)
	const bound = 4
	create := func(l domain.Link) error { return w.Links.Create(w.ctx, l, bound) }
	short, viewed := w.link(owner.ID, image, moment(1)), w.link(owner.ID, image, moment(1))
	short.ExpiresAt = moment(2)
	viewed.MaxViews = 1
	dies, stays := w.link(owner.ID, w.id(epoch), moment(1)), w.link(owner.ID, image, moment(1))
	for _, l := range []domain.Link{short, viewed, dies, stays} {
		require.NoError(w.t, create(l))
	}
	full := func(at time.Time) {
		w.t.Helper()
		l := w.link(owner.ID, image, at)
		wantFull(w.t, bound, create(l))
		_, err := w.Links.ByToken(w.ctx, l.Hash)
		wantCode(w.t, domain.NotFound, err)
	}
	full(moment(1))
	require.NoError(w.t, create(w.link(other.ID, image, moment(1))), "another owner's are not counted")
	require.NoError(w.t, create(w.link(owner.ID, image, moment(2))), "one has expired at that very moment")
	full(moment(2))
	require.NoError(w.t, w.Links.Revoke(w.ctx, owner.ID, dies.ID, nil, moment(2)))
	require.NoError(w.t, create(w.link(owner.ID, image, moment(2))), "one was revoked")
	full(moment(2))
	taken, err := w.Links.TakeView(w.ctx, viewed.Hash, moment(2))
	require.NoError(w.t, err)
	require.True(w.t, taken)
	require.NoError(w.t, create(w.link(owner.ID, image, moment(2))), "one was used up")
	full(moment(2))
	require.NoError(w.t, w.Links.Create(w.ctx, w.link(owner.ID, image, moment(2)), 0), "0 is no bound")

	owner.Deleting = true
	w.save(owner)
	for _, id := range []domain.ID{owner.ID, w.id(epoch)} {
		l := w.link(id, image, moment(900))
		wantCode(w.t, domain.NotFound, create(l), "an owner who is going, or is not there")
		_, err := w.Links.ByToken(w.ctx, l.Hash)
		wantCode(w.t, domain.NotFound, err)
	}
}

// linksBoundRacers has more links made at once than there is room for.
func linksBoundRacers(w *world) {
	owner := w.user("owner")
	w.save(owner)
	links, errs := make([]domain.Link, racers), make([]error, racers)
	for i := range links {
		links[i] = w.link(owner.ID, w.id(epoch), moment(1))
	}
	const bound = racers / 2
	race(racers, func(i int) { errs[i] = w.Links.Create(w.ctx, links[i], bound) })
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		wantFull(w.t, bound, err)
	}
	require.Equal(w.t, bound, made)
}

func linksOwners(w *world) {
	a, b, image := w.id(epoch), w.id(epoch), w.id(epoch)
	ofA, ofB := w.link(a, image, moment(1)), w.link(b, w.id(epoch), moment(1))
	w.linked(ofA, ofB)
	_, err := w.Links.Get(w.ctx, b, ofA.ID)
	wantCode(w.t, domain.NotFound, err)
	_, err = w.Links.Get(w.ctx, domain.ID{}, ofA.ID)
	wantCode(w.t, domain.NotFound, err)
	list, err := w.Links.List(w.ctx, b, image, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Empty(w.t, list, "links to another owner's image")
	for _, l := range []domain.Link{ofA, ofB} {
		list, err = w.Links.List(w.ctx, l.OwnerID, domain.ID{}, ports.Page{Limit: 5})
		require.NoError(w.t, err)
		require.Len(w.t, list, 1)
		wantLink(w.t, l, list[0])
	}
}

func linksPaging(w *world) {
	owner, one, two := w.id(epoch), w.id(epoch), w.id(epoch)
	var all, ofOne []domain.ID
	for i := range 8 {
		image := two
		if i%2 == 0 {
			image = one
		}
		l := w.link(owner, image, moment(i/3))
		w.linked(l)
		w.linked(w.link(w.id(epoch), image, moment(i/3))) // another owner's
		all = append(all, l.ID)
		if i%2 == 0 {
			ofOne = append(ofOne, l.ID)
		}
	}
	// Dead ones are in the list, too.
	require.NoError(w.t, w.Links.Revoke(w.ctx, owner, ofOne[1], nil, moment(9)))
	wantPages(w.t, backwards(ofOne), linkID, func(p ports.Page) ([]domain.Link, error) { return w.Links.List(w.ctx, owner, one, p) })
	wantPages(w.t, backwards(all), linkID, func(p ports.Page) ([]domain.Link, error) { return w.Links.List(w.ctx, owner, domain.ID{}, p) })
	wantPages(w.t, nil, linkID, func(p ports.Page) ([]domain.Link, error) { return w.Links.List(w.ctx, owner, w.id(epoch), p) })
}

func linksListAll(w *world) {
	var all []domain.ID
	owners := []domain.ID{w.id(epoch), w.id(epoch), w.id(epoch)}
	for i := range 9 {
		l := w.link(owners[i%3], w.id(epoch), moment(i))
		w.linked(l)
		all = append(all, l.ID)
	}
	require.NoError(w.t, w.Links.Revoke(w.ctx, owners[1], all[4], nil, moment(9)))
	for _, c := range ranges {
		w.t.Log(c.name)
		wantAllPages(w.t, backwards(all[c.from:c.to]), linkID, func(p ports.Page) ([]domain.Link, domain.ID, error) {
			return w.Links.ListAll(w.ctx, c.r, p)
		})
	}
}

func linksEnded(w *world) {
	l := w.link(w.id(epoch), w.id(epoch), epoch)
	fresh := w.link(l.OwnerID, l.ImageID, epoch)
	w.linked(l)
	page := ports.Page{Limit: 1}
	wantAllEnded(w.t, []call{
		{"Create", func(ctx context.Context) error { return w.Links.Create(ctx, fresh, 0) }},
		{"Create taken", func(ctx context.Context) error { return w.Links.Create(ctx, l, 0) }},
		{"ByToken", func(ctx context.Context) error { _, err := w.Links.ByToken(ctx, l.Hash); return err }},
		{"ByToken unknown", func(ctx context.Context) error { _, err := w.Links.ByToken(ctx, w.hash()); return err }},
		{"Get", func(ctx context.Context) error { _, err := w.Links.Get(ctx, l.OwnerID, l.ID); return err }},
		{"List", func(ctx context.Context) error { _, err := w.Links.List(ctx, l.OwnerID, l.ImageID, page); return err }},
		{"ListAll", func(ctx context.Context) error {
			_, _, err := w.Links.ListAll(ctx, ports.TimeRange{}, page)
			return err
		}},
	})
	_, err := w.Links.ByToken(w.ctx, fresh.Hash)
	wantCode(w.t, domain.NotFound, err)
}

func (w *world) wantLinkNow(want domain.Link) {
	w.t.Helper()
	got, err := w.Links.ByToken(w.ctx, want.Hash)
	require.NoError(w.t, err)
	wantLink(w.t, want, got)
	got, err = w.Links.Get(w.ctx, want.OwnerID, want.ID)
	require.NoError(w.t, err)
	wantLink(w.t, want, got)
}

func linkRevoke(w *world) {
	owner, image := w.id(epoch), w.id(epoch)
	l, other := w.link(owner, image, moment(1)), w.link(owner, image, moment(2))
	w.linked(l, other)
	entry, since := w.entry("admin", moment(3)), w.cursor()
	for _, c := range []struct{ owner, id domain.ID }{{w.id(epoch), l.ID}, {owner, w.id(epoch)}, {domain.ID{}, l.ID}} {
		wantCode(w.t, domain.NotFound, w.Links.Revoke(w.ctx, c.owner, c.id, &entry, moment(3)))
	}
	w.wantLinkNow(l)
	w.wantAudit()
	w.wantFeed(since)

	at := moment(3).Add(654321 * time.Microsecond)
	require.NoError(w.t, w.Links.Revoke(w.ctx, owner, l.ID, &entry, at))
	l.RevokedAt = at
	w.wantLinkNow(l)
	w.wantLinkNow(other)
	w.wantAudit(entry)
	require.NoError(w.t, w.Links.Revoke(w.ctx, owner, l.ID, nil, moment(9)), "revoked already")
	w.wantLinkNow(l)
	require.NoError(w.t, w.Links.Revoke(w.ctx, owner, other.ID, nil, moment(9000)), "one that is expired")
	other.RevokedAt = moment(9000)
	w.wantLinkNow(other)
	w.wantAudit(entry)
	w.wantFeed(since, ports.Change{Kind: ports.LinkRevoked, ID: l.ID}, ports.Change{Kind: ports.LinkRevoked, ID: other.ID})
}

func linkRevokeRacers(w *world) {
	l := w.link(w.id(epoch), w.id(epoch), moment(1))
	w.linked(l)
	errs := make([]error, racers)
	seen, since := make([]domain.Link, racers), w.cursor()
	race(racers, func(i int) {
		errs[i] = w.Links.Revoke(w.ctx, l.OwnerID, l.ID, nil, moment(10+i))
		if errs[i] == nil {
			seen[i], errs[i] = w.Links.ByToken(w.ctx, l.Hash)
		}
	})
	require.NoError(w.t, errors.Join(errs...))
	for _, s := range seen {
		wantLink(w.t, seen[0], s) // once revoked, it stays as it is
		require.False(w.t, s.RevokedAt.IsZero())
	}
	w.wantFeed(since, ports.Change{Kind: ports.LinkRevoked, ID: l.ID})
}

func linkTakeView(w *world) {
	owner, image := w.id(epoch), w.id(epoch)
	take := func(h domain.SecretHash, now time.Time) bool {
		w.t.Helper()
		ok, err := w.Links.TakeView(w.ctx, h, now)
		require.NoError(w.t, err)
		return ok
	}
	l := w.link(owner, image, moment(1))
	l.MaxViews = 3
	other := w.link(owner, image, moment(1))
	other.MaxViews = 1
	w.linked(l, other)
	for i := range 5 {
		require.Equal(w.t, i < 3, take(l.Hash, moment(2)), "view %d of 3", i+1)
		l.Views = min(int64(i)+1, 3)
		w.wantLinkNow(l)
	}
	w.wantLinkNow(other)

	expiring := w.link(owner, image, moment(1))
	expiring.MaxViews, expiring.ExpiresAt = 5, moment(31)
	w.linked(expiring)
	require.True(w.t, take(expiring.Hash, moment(31).Add(-time.Microsecond)), "the last microsecond")
	require.False(w.t, take(expiring.Hash, moment(31)), "a link is dead at its expiry")
	require.False(w.t, take(expiring.Hash, moment(32)))
	expiring.Views = 1
	w.wantLinkNow(expiring)

	revoked := w.link(owner, image, moment(1))
	revoked.MaxViews = 5
	w.linked(revoked)
	require.NoError(w.t, w.Links.Revoke(w.ctx, owner, revoked.ID, nil, moment(2)))
	require.False(w.t, take(revoked.Hash, moment(3)))
	revoked.RevokedAt = moment(2)
	w.wantLinkNow(revoked)

	unbounded := w.link(owner, image, moment(1))
	w.linked(unbounded)
	require.False(w.t, take(unbounded.Hash, moment(2)), "views are taken of links with a bound only")
	w.wantLinkNow(unbounded)
	require.False(w.t, take(w.hash(), moment(2)), "unknown")
}

func linkTakeViewRacers(w *world) {
	l := w.link(w.id(epoch), w.id(epoch), moment(1))
	l.MaxViews = 7
	w.linked(l)
	const each = 3
	taken, errs := make([]int, racers), make([]error, racers)
	race(racers, func(i int) {
		for range each {
			ok, err := w.Links.TakeView(w.ctx, l.Hash, moment(2))
			if ok {
				taken[i]++
			}
			errs[i] = errors.Join(errs[i], err)
		}
	})
	require.NoError(w.t, errors.Join(errs...))
	sum := 0
	for _, n := range taken {
		sum += n
	}
	require.Equal(w.t, 7, sum, "views that were granted")
	l.Views = 7
	w.wantLinkNow(l)
}

// linkTakeViewOrRevoke has views taken while the link is revoked: none after.
func linkTakeViewOrRevoke(w *world) {
	l := w.link(w.id(epoch), w.id(epoch), moment(1))
	l.MaxViews = 1 << 40
	w.linked(l)
	taken, errs := make([]int64, racers), make([]error, racers)
	race(racers, func(i int) {
		if i == 0 {
			errs[i] = w.Links.Revoke(w.ctx, l.OwnerID, l.ID, nil, moment(2))
			return
		}
		for range 5 {
			ok, err := w.Links.TakeView(w.ctx, l.Hash, moment(2))
			if ok {
				taken[i]++
			}
			errs[i] = errors.Join(errs[i], err)
		}
	})
	require.NoError(w.t, errors.Join(errs...))
	l.RevokedAt = moment(2)
	for _, n := range taken {
		l.Views += n
	}
	w.wantLinkNow(l)
	ok, err := w.Links.TakeView(w.ctx, l.Hash, moment(2))
	require.NoError(w.t, err)
	require.False(w.t, ok)
}

func linkAddViews(w *world) {
	owner, image := w.id(epoch), w.id(epoch)
	links := make([]domain.Link, 30)
	views := map[domain.SecretHash]int64{}
	for i := range links {
		links[i] = w.link(owner, image, moment(i))
		if i > 0 { // the first gets none
			views[links[i].Hash] = int64(i)
		}
	}
	w.linked(links...)
	require.NoError(w.t, w.Links.Revoke(w.ctx, owner, links[3].ID, nil, moment(50)))
	links[3].RevokedAt = moment(50)
	for range 1500 { // more than a statement can hold
		views[w.hash()] = 5
	}
	for range 2 {
		batch := ports.ViewBatch{ID: w.id(epoch), Views: views}
		require.NoError(w.t, w.Links.AddViews(w.ctx, batch))
		require.NoError(w.t, w.Links.AddViews(w.ctx, batch), "the same batch again is added once")
		for i := range links {
			links[i].Views += int64(i)
		}
	}
	for _, l := range links {
		w.wantLinkNow(l)
	}
	require.NoError(w.t, w.Links.AddViews(w.ctx, ports.ViewBatch{ID: w.id(epoch)}))
	big := ports.ViewBatch{ID: w.id(epoch), Views: map[domain.SecretHash]int64{links[0].Hash: 1 << 40}}
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Links.AddViews(w.ctx, big) })
	require.NoError(w.t, errors.Join(errs...))
	links[0].Views = 1 << 40
	w.wantLinkNow(links[0])
}

func linkAddViewsRacers(w *world) {
	links := []domain.Link{w.link(w.id(epoch), w.id(epoch), epoch), w.link(w.id(epoch), w.id(epoch), epoch), w.link(w.id(epoch), w.id(epoch), epoch)}
	w.linked(links...)
	errs := make([]error, racers)
	race(racers, func(i int) {
		for range 3 {
			views := map[domain.SecretHash]int64{}
			for n, l := range links {
				views[l.Hash] = int64(n + 1)
			}
			errs[i] = errors.Join(errs[i], w.Links.AddViews(w.ctx, ports.ViewBatch{ID: w.id(epoch), Views: views}))
		}
	})
	require.NoError(w.t, errors.Join(errs...))
	for n, l := range links {
		l.Views = racers * 3 * int64(n+1)
		w.wantLinkNow(l)
	}
}

func linkDeleteOld(w *world) {
	owner, image := w.id(epoch), w.id(epoch)
	links := make([]domain.Link, 9)
	for i := range links {
		links[i] = w.link(owner, image, moment(i))
	}
	w.linked(links...)
	n, err := w.Links.DeleteOld(w.ctx, moment(0), 100)
	require.NoError(w.t, err)
	require.Zero(w.t, n)
	n, err = w.Links.DeleteOld(w.ctx, moment(6), 4)
	require.NoError(w.t, err)
	require.LessOrEqual(w.t, n, 4)
	left, err := w.Links.List(w.ctx, owner, image, ports.Page{Limit: 20})
	require.NoError(w.t, err)
	require.Len(w.t, left, 9-n)
	removed := n
	for n > 0 {
		n, err = w.Links.DeleteOld(w.ctx, moment(6), 4)
		require.NoError(w.t, err)
		removed += n
	}
	require.Equal(w.t, 6, removed)
	for i, l := range links {
		if i >= 6 { // made at that time or later
			w.wantLinkNow(l)
			continue
		}
		_, err := w.Links.ByToken(w.ctx, l.Hash)
		wantCode(w.t, domain.NotFound, err)
		_, err = w.Links.Get(w.ctx, owner, l.ID)
		wantCode(w.t, domain.NotFound, err)
	}
	wantPages(w.t, []domain.ID{links[8].ID, links[7].ID, links[6].ID}, linkID, func(p ports.Page) ([]domain.Link, error) {
		return w.Links.List(w.ctx, owner, domain.ID{}, p)
	})
}

func linkOwner(w *world) {
	l := w.link(w.id(epoch), w.id(epoch), epoch)
	w.linked(l, w.link(w.id(epoch), w.id(epoch), epoch))
	owner, err := w.Links.Owner(w.ctx, l.ID)
	require.NoError(w.t, err)
	require.Equal(w.t, l.OwnerID, owner)
	for _, id := range []domain.ID{{}, w.id(epoch), l.ImageID} {
		_, err = w.Links.Owner(w.ctx, id)
		wantCode(w.t, domain.NotFound, err)
	}
}

func linkChangesEnded(w *world) {
	l := w.link(w.id(epoch), w.id(epoch), epoch)
	l.MaxViews = 2
	free := w.link(l.OwnerID, l.ImageID, epoch)
	w.linked(l, free)
	entry := w.entry("admin", epoch)
	wantAllEnded(w.t, []call{
		{"Revoke", func(ctx context.Context) error { return w.Links.Revoke(ctx, l.OwnerID, l.ID, &entry, epoch) }},
		{"TakeView", func(ctx context.Context) error { _, err := w.Links.TakeView(ctx, l.Hash, epoch); return err }},
		{"AddViews", func(ctx context.Context) error {
			return w.Links.AddViews(ctx, ports.ViewBatch{ID: w.id(epoch), Views: map[domain.SecretHash]int64{free.Hash: 1}})
		}},
		{"DeleteOld", func(ctx context.Context) error { _, err := w.Links.DeleteOld(ctx, moment(9), 9); return err }},
		{"Owner", func(ctx context.Context) error { _, err := w.Links.Owner(ctx, l.ID); return err }},
		{"Owner unknown", func(ctx context.Context) error { _, err := w.Links.Owner(ctx, domain.ID{1}); return err }},
	})
	w.wantLinkNow(l)
	w.wantLinkNow(free)
	w.wantAudit()
}

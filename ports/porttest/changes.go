package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Changes is the suite of ports.Changes.
func Changes(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Changes", newRecords, []story{
		{"EverySuffix", changesSuffix},
		{"Thousand", changesThousand},
		{"Clock", changesClock},
		{"Mark", changesMark},
		{"Forget", changesForget},
		{"ForgetSome", changesForgetSome},
		{"NoGap", changesNoGap},
		{"AnotherHistory", changesHistory},
		{"StoppedWriter", changesStopped},
		{"EndedContext", changesEnded},
	})
}

func (w *world) since(c ports.Cursor) ports.Feed {
	w.t.Helper()
	f, err := w.Changes.Since(w.ctx, c)
	require.NoError(w.t, err)
	return f
}

func changesSuffix(w *world) {
	u := w.user("u")
	w.owner(u.ID)
	img := w.ready(u.ID, moment(1))
	k := w.token(u.ID, moment(1))
	base := w.cursor()
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
	w.wantFeed(base) // uploads and new tokens end no access
	cursors := []ports.Cursor{base}
	var want []ports.Change
	did := func(c ports.Change) {
		want, cursors = append(want, c), append(cursors, w.cursor())
	}
	w.save(u)
	did(ports.Change{Kind: ports.UserChanged, ID: u.ID})
	w.mark(img)
	did(ports.Change{Kind: ports.ImageDeleted, ID: img.ID})
	w.save(u)
	did(ports.Change{Kind: ports.UserChanged, ID: u.ID})
	require.NoError(w.t, w.Accounts.DeleteToken(w.ctx, u.ID, k.ID))
	did(ports.Change{Kind: ports.TokenDeleted, ID: k.ID})
	w.saveTier(tier("gold")) // nobody's own, and so at any place
	for i, c := range cursors {
		f := w.since(c)
		require.False(w.t, f.Lost)
		tiers := 0
		got := slices.DeleteFunc(slices.Clone(f.Entries), func(c ports.Change) bool {
			if c == (ports.Change{Kind: ports.TierChanged, Name: "gold"}) {
				tiers++
			}
			return c.Kind == ports.TierChanged
		})
		require.Equal(w.t, append([]ports.Change{}, want[i:]...), append([]ports.Change{}, got...), "one owner's in order, after cursor %d", i)
		require.Equal(w.t, 1, tiers)
		w.wantFeed(f.Cursor)
	}
}

// changesThousand fills an answer to the brim, and over.
func changesThousand(w *world) {
	base := w.cursor()
	users := make([]domain.User, 999)
	for i := range users {
		users[i] = w.user(fmt.Sprintf("user%d", i))
	}
	u := w.user("first")
	w.save(u)
	one := w.cursor()
	w.save(users...)
	f := w.since(base)
	require.False(w.t, f.Lost, "a thousand entries are not too many")
	require.Len(w.t, f.Entries, 1000)
	seen := map[domain.ID]bool{}
	for _, e := range f.Entries {
		seen[e.ID] = true
	}
	require.Len(w.t, seen, 1000)

	w.saveTier(tier("gold"))
	f = w.since(base)
	require.True(w.t, f.Lost, "more than a thousand are")
	require.Empty(w.t, f.Entries)
	w.wantFeed(f.Cursor)
	f = w.since(one)
	require.False(w.t, f.Lost)
	require.Len(w.t, f.Entries, 1000)
}

func changesClock(w *world) {
	last := w.since("").Now
	require.Equal(w.t, time.UTC, last.Location())
	require.WithinDuration(w.t, time.Now(), last, clockTolerance, "the backend's clock")
	eventually(w.t, func() bool { return w.since("").Now.After(last) }, "the backend's clock stands still")
}

// changesMark raises the mark of time, which never falls.
func changesMark(w *world) {
	require.True(w.t, w.since("").Mark.IsZero(), "no mark yet")
	base := w.cursor()
	for _, c := range []struct{ raise, want int }{{50, 50}, {20, 50}, {50, 50}, {51, 51}, {0, 51}} {
		require.NoError(w.t, w.Changes.Raise(w.ctx, moment(c.raise)))
		for _, at := range []ports.Cursor{"", base} {
			wantTime(w.t, moment(c.want), w.since(at).Mark, "Mark")
		}
	}
	w.wantFeed(base) // a mark is no entry
	highest := 0
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Changes.Raise(w.ctx, moment(100+i*7%racers)) })
	for i := range racers {
		highest = max(highest, 100+i*7%racers)
	}
	require.NoError(w.t, errors.Join(errs...))
	wantTime(w.t, moment(highest), w.since("").Mark, "the highest of all racers'")
}

func changesForget(w *world) {
	base := w.cursor()
	a, b := w.user("a"), w.user("b")
	w.save(a)
	one := w.cursor()
	w.save(b)
	require.NoError(w.t, w.Changes.Forget(w.ctx, epoch.AddDate(-20, 0, 0)))
	require.Len(w.t, w.since(base).Entries, 2, "nothing is as old as that")
	end := w.cursor()

	require.NoError(w.t, w.Changes.Forget(w.ctx, w.since(base).Now.Add(time.Hour)))
	for i, seen := range []ports.Cursor{base, one} {
		f := w.since(seen)
		require.True(w.t, f.Lost, "entries after cursor %d were forgotten", i)
		require.Empty(w.t, f.Entries)
		require.Equal(w.t, end, f.Cursor, "the feed goes on where it was")
	}
	w.wantFeed(end) // who has seen all has lost nothing

	u := w.user("c")
	w.save(u, a, b)
	w.wantFeed(end, ports.Change{Kind: ports.UserChanged, ID: u.ID}, ports.Change{Kind: ports.UserChanged, ID: a.ID}, ports.Change{Kind: ports.UserChanged, ID: b.ID})
	require.True(w.t, w.since(base).Lost)
}

func changesForgetSome(w *world) {
	base := w.cursor()
	a, b := w.user("a"), w.user("b")
	w.save(a)
	one := w.cursor()
	after := w.since(base).Now
	eventually(w.t, func() bool { return w.since(base).Now.Sub(after) > 40*time.Millisecond }, "the backend's clock stands still")
	between := after.Add(20 * time.Millisecond)
	w.save(b)
	require.NoError(w.t, w.Changes.Forget(w.ctx, between))
	require.True(w.t, w.since(base).Lost)
	w.wantFeed(one, ports.Change{Kind: ports.UserChanged, ID: b.ID})
}

// changesHistory asks one database with a cursor of another, as happens when a backup is
// restored under a running node: whether the other has fewer entries, as many or more, of
// the same owners even, what was missed is not known.
func changesHistory(w *world) {
	other := &world{Records: w.another(), t: w.t, ctx: w.ctx}
	users := make([]domain.User, 40) // some in every part that an adapter may split its feed into
	for i := range users {
		users[i] = w.user(fmt.Sprintf("user%d", i))
	}
	w.save(users...)
	same := w.cursor()
	other.save(users...)
	wantLost := func(c ports.Cursor, what string) {
		w.t.Helper()
		f := other.since(c)
		require.True(w.t, f.Lost, what)
		require.Empty(w.t, f.Entries)
		other.wantFeed(f.Cursor)
	}
	wantLost(same, "as many")
	other.save(users...)
	wantLost(same, "and more that follow those")
	w.save(users...)
	w.save(users...)
	wantLost(w.cursor(), "fewer")
	for _, c := range []ports.Cursor{"x", same + "x"} {
		require.True(w.t, w.since(c).Lost, "no cursor of anybody's: %q", c)
	}
	w.wantFeed(w.cursor())
}

// changesStopped has a writer stop in the middle of its change. It is not told, and
// neither hides nor delays for good what others change.
func changesStopped(w *world) {
	base := w.cursor()
	u, v := w.user("stops"), w.user("goes.on")
	at, goOn := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var once sync.Once
		done <- w.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
			err := tx.SaveUser(ctx, u)
			once.Do(func() { close(at) })
			<-goOn
			return err
		})
	}()
	<-at
	other := make(chan error, 1)
	go func() {
		other <- w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error { return tx.SaveUser(w.ctx, v) })
	}()
	cancel() // the writer's time is over, though it does not know
	close(goOn)
	require.Error(w.t, <-done)
	require.NoError(w.t, <-other)
	w.wantFeed(base, ports.Change{Kind: ports.UserChanged, ID: v.ID})
	_, err := w.Accounts.User(w.ctx, u.ID)
	wantCode(w.t, domain.NotFound, err)
}

// changesNoGap has writers of every kind at work while a reader polls: it must
// hear of each change, once, and find it done when it hears of it.
func changesNoGap(w *world) {
	const writers, rounds = 8, 8
	want := map[ports.Change]int{}
	work := make([]func(round int) error, writers)
	users := map[domain.ID]int{} // the epoch that was announced
	for i := range writers {
		u := w.user(fmt.Sprintf("writer%d", i))
		u.Epoch = 0
		w.owner(u.ID)
		images, tokens := make([]domain.Image, rounds), make([]domain.Token, rounds)
		for r := range rounds {
			switch i % 4 {
			case 0:
				images[r] = w.ready(u.ID, moment(r))
				want[ports.Change{Kind: ports.ImageDeleted, ID: images[r].ID}]++
			case 1:
				tokens[r] = w.token(u.ID, moment(r))
				require.NoError(w.t, w.Accounts.CreateToken(w.ctx, tokens[r], 0))
				want[ports.Change{Kind: ports.TokenDeleted, ID: tokens[r].ID}]++
			default:
				want[ports.Change{Kind: ports.UserChanged, ID: u.ID}]++
			}
		}
		work[i] = func(r int) error {
			switch i % 4 {
			case 0:
				return w.Images.MarkDeleting(w.ctx, u.ID, images[r].ID, nil, moment(r))
			case 1:
				return w.Accounts.DeleteToken(w.ctx, u.ID, tokens[r].ID)
			}
			u.Epoch++
			return w.Accounts.Change(w.ctx, func(tx ports.AccountsTx) error { return tx.SaveUser(w.ctx, u) })
		}
	}
	at := w.cursor()
	done := make(chan error, 1)
	go func() {
		errs := make([]error, writers)
		race(writers, func(i int) {
			for r := range rounds {
				errs[i] = errors.Join(errs[i], work[i](r))
			}
		})
		done <- errors.Join(errs...)
	}()

	seen := map[ports.Change]int{}
	for ended := false; ; {
		f := w.since(at)
		require.False(w.t, f.Lost)
		at = f.Cursor
		for _, e := range f.Entries {
			seen[e]++
			switch e.Kind {
			case ports.UserChanged:
				users[e.ID]++
				u, err := w.Accounts.User(w.ctx, e.ID)
				require.NoError(w.t, err)
				require.GreaterOrEqual(w.t, u.Epoch, int64(users[e.ID]), "the entry was visible before its change")
			case ports.ImageDeleted:
				// Dead for every reader after the entry.
				all, _, err := w.Images.ListAll(w.ctx, ports.TimeRange{}, ports.Page{Limit: writers * rounds})
				require.NoError(w.t, err)
				for _, img := range all {
					require.NotEqual(w.t, e.ID, img.ID, "the entry was visible before its change")
				}
			}
		}
		if ended {
			break
		}
		select {
		case err := <-done:
			require.NoError(w.t, err)
			ended = true // and once more, for what came last
		default:
		}
	}
	require.Equal(w.t, want, seen)
}

func changesEnded(w *world) {
	base := w.cursor()
	w.save(w.user("u"))
	wantAllEnded(w.t, []call{
		{"Since", func(ctx context.Context) error { _, err := w.Changes.Since(ctx, base); return err }},
		{"Forget", func(ctx context.Context) error { return w.Changes.Forget(ctx, time.Now().Add(time.Hour)) }},
		{"Raise", func(ctx context.Context) error { return w.Changes.Raise(ctx, moment(1)) }},
	})
	require.Len(w.t, w.since(base).Entries, 1)
}

// Leases is the suite of ports.Leases.
func Leases(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Leases", newRecords, []story{
		{"AcquireAndRelease", leasesAcquire},
		{"Extension", leasesExtension},
		{"Names", leasesNames},
		{"Racers", leasesRacers},
		{"LapsedRacers", leasesLapsedRacers},
		{"EndedContext", leasesEnded},
	})
}

func (w *world) acquire(name, holder string, now, until int) bool {
	w.t.Helper()
	ok, err := w.Leases.Acquire(w.ctx, name, holder, moment(now), moment(until))
	require.NoError(w.t, err)
	return ok
}

func leasesAcquire(w *world) {
	require.NoError(w.t, w.Leases.Release(w.ctx, "sweep", "a"), "nothing to release is no error")
	require.True(w.t, w.acquire("sweep", "a", 0, 60))
	require.False(w.t, w.acquire("sweep", "b", 1, 61))
	require.False(w.t, w.acquire("sweep", "b", 59, 120))
	require.NoError(w.t, w.Leases.Release(w.ctx, "sweep", "b"), "not b's: nothing happens")
	require.False(w.t, w.acquire("sweep", "b", 2, 62))
	require.NoError(w.t, w.Leases.Release(w.ctx, "sweep", "a"))
	require.True(w.t, w.acquire("sweep", "b", 3, 63))
	require.False(w.t, w.acquire("sweep", "a", 4, 64))
	// b dies, and a takes over.
	require.True(w.t, w.acquire("sweep", "a", 64, 124))
	require.False(w.t, w.acquire("sweep", "b", 65, 125))
	require.NoError(w.t, w.Leases.Release(w.ctx, "sweep", "b"))
	require.False(w.t, w.acquire("sweep", "c", 66, 126))
}

func leasesExtension(w *world) {
	require.True(w.t, w.acquire("sweep", "a", 0, 60))
	require.True(w.t, w.acquire("sweep", "a", 0, 60), "the same again")
	require.True(w.t, w.acquire("sweep", "a", 50, 110))
	require.False(w.t, w.acquire("sweep", "b", 100, 160))
	require.True(w.t, w.acquire("sweep", "a", 200, 260), "its own, though it lapsed")
	require.False(w.t, w.acquire("sweep", "b", 259, 300))
	require.True(w.t, w.acquire("sweep", "b", 261, 300))
	require.False(w.t, w.acquire("sweep", "a", 262, 322))
}

func leasesNames(w *world) {
	for _, name := range []string{"sweep", "Sweep", "sweep2", "swee_", "migrate"} {
		require.True(w.t, w.acquire(name, "holder of "+name, 0, 60), name)
	}
	require.NoError(w.t, w.Leases.Release(w.ctx, "sweep", "holder of sweep"))
	require.False(w.t, w.acquire("Sweep", "other", 1, 61))
	require.False(w.t, w.acquire("sweep2", "other", 1, 61))
	require.True(w.t, w.acquire("sweep", "A", 1, 61))
	require.False(w.t, w.acquire("sweep", "a", 2, 62), "holders are told apart to the letter")
	require.NoError(w.t, w.Leases.Release(w.ctx, "sweep", "a"))
	require.False(w.t, w.acquire("sweep", "b", 3, 63))
}

func (w *world) raceLease(now, until int) {
	w.t.Helper()
	got, errs := make([]bool, racers), make([]error, racers)
	race(racers, func(i int) {
		got[i], errs[i] = w.Leases.Acquire(w.ctx, "sweep", fmt.Sprintf("racer%d", i), moment(now), moment(until))
	})
	require.NoError(w.t, errors.Join(errs...))
	won := 0
	for i := range got {
		if got[i] {
			won++
			require.True(w.t, w.acquire("sweep", fmt.Sprintf("racer%d", i), now, until), "the winner has it")
		}
	}
	require.Equal(w.t, 1, won, "of any number of racers one gets it")
}

func leasesRacers(w *world) { w.raceLease(0, 60) }

func leasesLapsedRacers(w *world) {
	require.True(w.t, w.acquire("sweep", "dead", 0, 60))
	w.raceLease(61, 121)
	w.raceLease(122, 182)
}

func leasesEnded(w *world) {
	require.True(w.t, w.acquire("held", "a", 0, 60))
	wantAllEnded(w.t, []call{
		{"Acquire", func(ctx context.Context) error {
			_, err := w.Leases.Acquire(ctx, "free", "a", moment(0), moment(60))
			return err
		}},
		{"Acquire held", func(ctx context.Context) error {
			_, err := w.Leases.Acquire(ctx, "held", "b", moment(0), moment(60))
			return err
		}},
		{"Release", func(ctx context.Context) error { return w.Leases.Release(ctx, "held", "a") }},
	})
	require.True(w.t, w.acquire("free", "b", 1, 61))
	require.False(w.t, w.acquire("held", "b", 1, 61))
}

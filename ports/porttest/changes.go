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

// Changes is the suite of ports.Changes.
func Changes(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Changes", newRecords, []story{
		{"EverySuffix", changesSuffix},
		{"Thousand", changesThousand},
		{"Clock", changesClock},
		{"Forget", changesForget},
		{"ForgetSome", changesForgetSome},
		{"NoGap", changesNoGap},
		{"EndedContext", changesEnded},
	})
}

func (w *world) since(version int64) ports.Feed {
	w.t.Helper()
	f, err := w.Changes.Since(w.ctx, version)
	require.NoError(w.t, err)
	return f
}

func changesSuffix(w *world) {
	base := w.version()
	var want []ports.Change
	u := w.user("u")
	img := w.ready(u.ID, moment(1))
	k := w.token(u.ID, moment(1))
	require.NoError(w.t, w.Tokens.Create(w.ctx, k, 0))
	w.wantFeed(base) // uploads and new tokens end no access
	for range 2 {
		w.save(u)
		w.saveTier(tier("gold"))
		want = append(want, ports.Change{Kind: ports.UserChanged, ID: u.ID}, ports.Change{Kind: ports.TierChanged, Name: "gold"})
	}
	w.mark(img)
	require.NoError(w.t, w.Tokens.Delete(w.ctx, u.ID, k.ID))
	want = append(want, ports.Change{Kind: ports.ImageDeleted, ID: img.ID}, ports.Change{Kind: ports.TokenDeleted, ID: k.ID})
	for i := range len(want) + 1 {
		f := w.since(base + int64(i))
		require.False(w.t, f.Lost)
		require.Equal(w.t, base+int64(len(want)), f.Version)
		require.Equal(w.t, append([]ports.Change{}, want[i:]...), append([]ports.Change{}, f.Entries...), "in order, after version %d", i)
	}
}

// changesThousand fills an answer to the brim, and over.
func changesThousand(w *world) {
	base := w.version()
	users := make([]domain.User, 1000)
	for i := range users {
		users[i] = w.user(fmt.Sprintf("user%d", i))
	}
	w.save(users...)
	f := w.since(base)
	require.False(w.t, f.Lost, "a thousand entries are not too many")
	require.Len(w.t, f.Entries, 1000)
	require.Equal(w.t, base+1000, f.Version)
	seen := map[domain.ID]bool{}
	for _, e := range f.Entries {
		seen[e.ID] = true
	}
	require.Len(w.t, seen, 1000)

	w.saveTier(tier("gold"))
	f = w.since(base)
	require.True(w.t, f.Lost, "more than a thousand are")
	require.Empty(w.t, f.Entries)
	require.Equal(w.t, base+1001, f.Version)
	f = w.since(base + 1)
	require.False(w.t, f.Lost)
	require.Len(w.t, f.Entries, 1000)
}

func changesClock(w *world) {
	last := w.since(0).Now
	require.Equal(w.t, time.UTC, last.Location())
	require.WithinDuration(w.t, time.Now(), last, clockTolerance, "the backend's clock")
	eventually(w.t, func() bool { return w.since(0).Now.After(last) }, "the backend's clock stands still")
}

func changesForget(w *world) {
	base := w.version()
	w.save(w.user("a"), w.user("b"))
	require.NoError(w.t, w.Changes.Forget(w.ctx, epoch.AddDate(-20, 0, 0)))
	require.Len(w.t, w.since(base).Entries, 2, "nothing is as old as that")

	require.NoError(w.t, w.Changes.Forget(w.ctx, w.since(base).Now.Add(time.Hour)))
	for _, seen := range []int64{base, base + 1} {
		f := w.since(seen)
		require.True(w.t, f.Lost, "entries after %d were forgotten", seen)
		require.Empty(w.t, f.Entries)
		require.Equal(w.t, base+2, f.Version, "versions go on where they were")
	}
	f := w.since(base + 2)
	require.False(w.t, f.Lost, "who has seen all has lost nothing")
	require.Empty(w.t, f.Entries)
	require.Equal(w.t, base+2, f.Version)

	u := w.user("c")
	w.save(u)
	w.wantFeed(base+2, ports.Change{Kind: ports.UserChanged, ID: u.ID})
	require.True(w.t, w.since(base).Lost)
}

func changesForgetSome(w *world) {
	base := w.version()
	a, b := w.user("a"), w.user("b")
	w.save(a)
	after := w.since(base).Now
	eventually(w.t, func() bool { return w.since(base).Now.Sub(after) > 40*time.Millisecond }, "the backend's clock stands still")
	between := after.Add(20 * time.Millisecond)
	w.save(b)
	require.NoError(w.t, w.Changes.Forget(w.ctx, between))
	require.True(w.t, w.since(base).Lost)
	w.wantFeed(base+1, ports.Change{Kind: ports.UserChanged, ID: b.ID})
}

// changesNoGap has writers of every kind at work while a reader polls: it must
// hear of each change, once, and find it done when it hears of it.
func changesNoGap(w *world) {
	const writers, rounds = 8, 8
	base := w.version()
	want := map[ports.Change]int{}
	work := make([]func(round int) error, writers)
	users := map[domain.ID]int{} // the epoch that was announced
	for i := range writers {
		u := w.user(fmt.Sprintf("writer%d", i))
		u.Epoch = 0
		images, tokens := make([]domain.Image, rounds), make([]domain.Token, rounds)
		for r := range rounds {
			switch i % 4 {
			case 0:
				images[r] = w.ready(u.ID, moment(r))
				want[ports.Change{Kind: ports.ImageDeleted, ID: images[r].ID}]++
			case 1:
				tokens[r] = w.token(u.ID, moment(r))
				require.NoError(w.t, w.Tokens.Create(w.ctx, tokens[r], 0))
				want[ports.Change{Kind: ports.TokenDeleted, ID: tokens[r].ID}]++
			default:
				want[ports.Change{Kind: ports.UserChanged, ID: u.ID}]++
			}
		}
		work[i] = func(r int) error {
			switch i % 4 {
			case 0:
				return w.Deletions.Mark(w.ctx, u.ID, images[r].ID, nil, moment(r))
			case 1:
				return w.Tokens.Delete(w.ctx, u.ID, tokens[r].ID)
			}
			u.Epoch++
			return w.Directory.Change(w.ctx, func(tx ports.DirectoryTx) error { return tx.SaveUser(w.ctx, u) })
		}
	}
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

	seen, version := map[ports.Change]int{}, base
	for ended := false; ; {
		f := w.since(version)
		require.False(w.t, f.Lost)
		require.Equal(w.t, version+int64(len(f.Entries)), f.Version, "every version has its entry, and is seen with it")
		version = f.Version
		for _, e := range f.Entries {
			seen[e]++
			switch e.Kind {
			case ports.UserChanged:
				users[e.ID]++
				u, err := w.Users.Get(w.ctx, e.ID)
				require.NoError(w.t, err)
				require.GreaterOrEqual(w.t, u.Epoch, int64(users[e.ID]), "the entry was visible before its change")
			case ports.ImageDeleted:
				// Dead for whoever reads it after the entry.
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
	require.Equal(w.t, base+writers*rounds, version)
}

func changesEnded(w *world) {
	base := w.version()
	w.save(w.user("u"))
	wantAllEnded(w.t, []call{
		{"Since", func(ctx context.Context) error { _, err := w.Changes.Since(ctx, base); return err }},
		{"Forget", func(ctx context.Context) error { return w.Changes.Forget(ctx, time.Now().Add(time.Hour)) }},
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

package porttest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// deletions is the suite of deletions.
func deletions(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Deletions", newRecords, []story{
		{"MarkAndFinish", deletionsMark},
		{"MarkOnlyReady", deletionsMarkOnlyReady},
		{"MarkRacers", deletionsMarkRacers},
		{"FinishRacers", deletionsFinishRacers},
		{"FinishOnlyDue", deletionsFinishOnlyDue},
		{"Due", deletionsDue},
		{"State", deletionsState},
		{"States", deletionsStates},
		{"Ownerless", deletionsOwnerless},
		{"EndedContext", deletionsEnded},
	})
}

func deletionsMark(w *world) {
	owner := w.id(epoch)
	img, other := w.ready(owner, moment(1)), w.ready(owner, moment(2))
	since := w.cursor()
	entry := w.entry("admin", moment(3))
	require.NoError(w.t, w.Images.MarkDeleting(w.ctx, owner, img.ID, &entry, moment(3)))
	w.wantState(owner, img.ID, domain.ImageDeleting)
	w.wantUsage(owner, 1, other.Size)
	w.wantAudit(entry)
	w.wantFeed(since, ports.Change{Kind: ports.ImageDeleted, ID: img.ID})

	// A second time there is nothing to mark, and nothing is written.
	again := w.entry("admin", moment(4))
	wantCode(w.t, domain.NotFound, w.Images.MarkDeleting(w.ctx, owner, img.ID, &again, moment(4)))
	w.wantUsage(owner, 1, other.Size)
	w.wantAudit(entry)

	done, err := w.Images.FinishDeletion(w.ctx, owner, img.ID, moment(5))
	require.NoError(w.t, err)
	require.True(w.t, done)
	w.wantState(owner, img.ID, "")
	wantCode(w.t, domain.NotFound, w.Images.MarkDeleting(w.ctx, owner, img.ID, nil, moment(6)))
	w.wantUsage(owner, 1, other.Size)

	// Without an audit entry none is written.
	require.NoError(w.t, w.Images.MarkDeleting(w.ctx, owner, other.ID, nil, moment(7)))
	w.wantAudit(entry)
	w.wantUsage(owner, 0, 0)
	w.wantFeed(since, ports.Change{Kind: ports.ImageDeleted, ID: img.ID}, ports.Change{Kind: ports.ImageDeleted, ID: other.ID})
}

func deletionsMarkOnlyReady(w *world) {
	owner := w.id(epoch)
	pending, img := w.upload(owner, moment(1)), w.ready(owner, moment(2))
	w.begin(pending)
	since := w.cursor()
	entry := w.entry("admin", moment(3))
	for name, c := range map[string]struct{ owner, id domain.ID }{
		"pending": {owner, pending.ImageID}, "foreign": {w.id(epoch), img.ID}, "unknown": {owner, w.id(epoch)},
	} {
		wantCode(w.t, domain.NotFound, w.Images.MarkDeleting(w.ctx, c.owner, c.id, &entry, moment(3)), name)
	}
	w.wantState(owner, pending.ImageID, domain.ImagePending)
	w.wantState(owner, img.ID, domain.ImageReady)
	w.wantUsage(owner, 1, img.Size)
	w.wantAudit()
	w.wantFeed(since)
}

func deletionsMarkRacers(w *world) {
	owner := w.id(epoch)
	img, other := w.ready(owner, moment(1)), w.ready(owner, moment(2))
	entries := make([]domain.AuditEntry, racers)
	for i := range entries {
		entries[i] = w.entry("admin", moment(3))
	}
	since := w.cursor()
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Images.MarkDeleting(w.ctx, owner, img.ID, &entries[i], moment(3)) })
	wantOneWinner(w.t, errs, domain.NotFound)
	w.wantUsage(owner, 1, other.Size)
	w.wantFeed(since, ports.Change{Kind: ports.ImageDeleted, ID: img.ID})
	for i, err := range errs {
		if err == nil {
			w.wantAudit(entries[i])
		}
	}
}

func deletionsFinishRacers(w *world) {
	img := w.ready(w.id(epoch), moment(1))
	w.mark(img)
	done, errs := make([]bool, racers), make([]error, racers)
	race(racers, func(i int) { done[i], errs[i] = w.Images.FinishDeletion(w.ctx, img.OwnerID, img.ID, moment(2)) })
	won := 0
	for i := range done {
		require.NoError(w.t, errs[i])
		if done[i] {
			won++
		}
	}
	require.Equal(w.t, 1, won)
}

func deletionsFinishOnlyDue(w *world) {
	owner, stranger := w.id(epoch), w.id(epoch)
	img, marked, pending := w.ready(owner, moment(1)), w.ready(owner, moment(2)), w.upload(owner, moment(3)) // until moment 63
	w.mark(marked)
	w.begin(pending)
	finish := func(owner, id domain.ID, second int) bool {
		done, err := w.Images.FinishDeletion(w.ctx, owner, id, moment(second))
		require.NoError(w.t, err)
		return done
	}
	require.False(w.t, finish(owner, img.ID, 9999), "ready")
	require.False(w.t, finish(owner, w.id(epoch), 9999), "unknown")
	require.False(w.t, finish(owner, pending.ImageID, 62), "pending and alive")
	require.False(w.t, finish(stranger, marked.ID, 9999), "another owner's")
	require.False(w.t, finish(stranger, pending.ImageID, 9999), "another owner's")
	w.wantState(owner, img.ID, domain.ImageReady)
	w.wantState(owner, marked.ID, domain.ImageDeleting)
	w.wantState(owner, pending.ImageID, domain.ImagePending)
	w.wantUsage(owner, 1, img.Size)

	require.True(w.t, finish(owner, pending.ImageID, 64), "pending, its lease lapsed")
	require.True(w.t, finish(owner, marked.ID, 0), "marked, whatever the time")
	w.wantState(owner, pending.ImageID, "")
	w.wantState(owner, marked.ID, "")
	require.False(w.t, finish(owner, marked.ID, 9999), "finished already")
	w.wantUsage(owner, 1, img.Size)
}

func deletionsDue(w *world) {
	owners := []domain.ID{w.id(epoch), w.id(epoch)}
	var want []ports.DueImage
	for i := range 9 {
		owner := owners[i%2]
		switch i % 3 {
		case 0: // lapsed at moment 200
			u := w.upload(owner, moment(i))
			w.begin(u)
			want = append(want, ports.DueImage{OwnerID: owner, ID: u.ImageID, State: domain.ImagePending})
		case 1:
			img := w.ready(owner, moment(i))
			w.mark(img)
			want = append(want, ports.DueImage{OwnerID: owner, ID: img.ID, State: domain.ImageDeleting})
		case 2: // neither
			w.ready(owner, moment(i))
			u := w.upload(owner, moment(i))
			u.LeaseUntil = moment(300)
			w.begin(u)
		}
	}
	for limit := 1; limit <= len(want)+2; limit++ {
		var got []ports.DueImage
		var after domain.ID
		for {
			due, err := w.Images.DueDeletions(w.ctx, moment(200), after, limit)
			require.NoError(w.t, err)
			require.LessOrEqual(w.t, len(due), limit)
			if len(due) == 0 {
				break
			}
			got = append(got, due...)
			require.LessOrEqual(w.t, len(got), len(want), "limit %d", limit)
			after = due[len(due)-1].ID
		}
		require.Equal(w.t, want, got, "limit %d", limit)
	}
	// Before any lease lapsed, only what is being deleted is due.
	due, err := w.Images.DueDeletions(w.ctx, moment(50), domain.ID{}, 20)
	require.NoError(w.t, err)
	require.Len(w.t, due, 3)
	for _, d := range due {
		require.Equal(w.t, domain.ImageDeleting, d.State)
	}
	for _, d := range want {
		done, err := w.Images.FinishDeletion(w.ctx, d.OwnerID, d.ID, moment(200))
		require.NoError(w.t, err)
		require.True(w.t, done)
	}
	due, err = w.Images.DueDeletions(w.ctx, moment(200), domain.ID{}, 20)
	require.NoError(w.t, err)
	require.Empty(w.t, due)
}

func deletionsState(w *world) {
	owner := w.id(epoch)
	u := w.upload(owner, moment(1))
	stranger := w.id(epoch)
	for _, step := range []struct {
		do   func()
		want domain.ImageState
	}{
		{func() {}, ""},
		{func() { w.begin(u) }, domain.ImagePending},
		{func() { require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota)) }, domain.ImageReady},
		{func() { w.mark(w.image(u)) }, domain.ImageDeleting},
		{func() {
			_, err := w.Images.FinishDeletion(w.ctx, owner, u.ImageID, moment(2))
			require.NoError(w.t, err)
		}, ""},
	} {
		step.do()
		w.wantState(owner, u.ImageID, step.want)
		w.wantState(stranger, u.ImageID, "")
	}
}

func deletionsStates(w *world) {
	owner, stranger := w.id(epoch), w.id(epoch)
	pending, ready, marked, foreign := w.upload(owner, moment(1)), w.ready(owner, moment(2)), w.ready(owner, moment(3)), w.ready(stranger, moment(4))
	w.begin(pending)
	w.mark(marked)
	ids := []domain.ID{pending.ImageID, ready.ID, marked.ID, foreign.ID, w.id(epoch)}
	for range 1200 { // more than a statement may name
		ids = append(ids, w.id(epoch))
	}
	last := w.ready(owner, moment(5))
	ids = append(ids, ready.ID, last.ID)
	got, err := w.Images.States(w.ctx, owner, ids)
	require.NoError(w.t, err)
	require.Equal(w.t, map[domain.ID]domain.ImageState{
		pending.ImageID: domain.ImagePending, ready.ID: domain.ImageReady, marked.ID: domain.ImageDeleting, last.ID: domain.ImageReady,
	}, got)
	got, err = w.Images.States(w.ctx, owner, nil)
	require.NoError(w.t, err)
	require.Empty(w.t, got)
}

func deletionsOwnerless(w *world) {
	u, deleting := w.user("anna"), w.user("bert")
	deleting.Deleting, deleting.IsActive = true, false
	w.save(u)
	gone := []domain.ID{w.id(epoch), w.id(epoch)}
	var want []ports.DueImage
	for i := range 12 {
		switch i % 4 {
		case 0:
			w.ready(u.ID, moment(i))
		case 1:
			w.ready(deleting.ID, moment(i))
		case 2:
			img := w.ready(gone[i%8/4], moment(i))
			want = append(want, ports.DueImage{OwnerID: img.OwnerID, ID: img.ID, State: domain.ImageReady})
		case 3: // no ready images
			w.begin(w.upload(gone[0], moment(i)))
			w.mark(w.ready(gone[1], moment(i)))
		}
	}
	w.save(deleting) // since its images came
	for _, id := range gone {
		w.change(func(tx ports.AccountsTx) error { return tx.DeleteUser(w.ctx, id) })
	}
	for limit := 1; limit <= 13; limit++ {
		var got []ports.DueImage
		var after domain.ID
		for calls := 0; ; calls++ {
			require.Less(w.t, calls, 20, "limit %d: it does not end", limit)
			found, next, err := w.Images.Ownerless(w.ctx, after, limit)
			require.NoError(w.t, err)
			require.LessOrEqual(w.t, len(found), limit)
			got = append(got, found...)
			if next.IsZero() {
				break
			}
			require.Positive(w.t, next.Compare(after))
			after = next
		}
		require.Equal(w.t, want, got, "limit %d", limit)
	}
	_, _, err := w.Images.Ownerless(w.ctx, domain.ID{}, 0)
	wantCode(w.t, domain.Invalid, err)
}

func deletionsEnded(w *world) {
	owner := w.id(epoch)
	img, marked := w.ready(owner, moment(1)), w.ready(owner, moment(2))
	w.mark(marked)
	since := w.cursor()
	entry := w.entry("admin", moment(3))
	wantAllEnded(w.t, []call{
		{"Mark", func(ctx context.Context) error { return w.Images.MarkDeleting(ctx, owner, img.ID, &entry, moment(3)) }},
		{"Finish", func(ctx context.Context) error {
			_, err := w.Images.FinishDeletion(ctx, owner, marked.ID, moment(3))
			return err
		}},
		{"Due", func(ctx context.Context) error {
			_, err := w.Images.DueDeletions(ctx, moment(3), domain.ID{}, 1)
			return err
		}},
		{"State", func(ctx context.Context) error { _, err := w.Images.State(ctx, owner, img.ID); return err }},
		{"States", func(ctx context.Context) error {
			_, err := w.Images.States(ctx, owner, []domain.ID{img.ID, marked.ID})
			return err
		}},
		{"Ownerless", func(ctx context.Context) error { _, _, err := w.Images.Ownerless(ctx, domain.ID{}, 5); return err }},
		{"State unknown", func(ctx context.Context) error { _, err := w.Images.State(ctx, owner, owner); return err }},
	})
	w.wantState(owner, img.ID, domain.ImageReady)
	w.wantState(owner, marked.ID, domain.ImageDeleting)
	w.wantUsage(owner, 1, img.Size)
	w.wantAudit()
	w.wantFeed(since)
}

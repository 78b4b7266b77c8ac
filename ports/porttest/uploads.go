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

// uploads is the suite of uploads.
func uploads(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Uploads", newRecords, []story{
		{"WithoutKey", uploadsPlain},
		{"Key", uploadsKey},
		{"KeysOfOwnersAreApart", uploadsKeyOwners},
		{"KeyRetention", uploadsKeyRetention},
		{"KeyOutlivesImage", uploadsKeyOutlives},
		{"LeaseTakeover", uploadsTakeover},
		{"Renew", uploadsRenew},
		{"RenewAfterSweep", uploadsRenewSwept},
		{"Abort", uploadsAbort},
		{"AbortAfterTakeover", uploadsAbortTakenOver},
		{"QuotaOfImages", uploadsQuotaImages},
		{"QuotaOfBytes", uploadsQuotaBytes},
		{"QuotaRacers", uploadsQuotaRacers},
		{"QuotaOfBytesRacers", uploadsQuotaBytesRacers},
		{"BeginRacers", uploadsBeginRacers},
		{"TakeoverRacers", uploadsTakeoverRacers},
		{"CommitRacers", uploadsCommitRacers},
		{"CommitOrTakeover", uploadsCommitOrTakeover},
		{"CommitOrSweep", uploadsCommitOrSweep},
		{"OtherOwner", uploadsOtherOwner},
		{"OwnerGone", uploadsOwnerGone},
		{"OwnerGoneRacers", uploadsOwnerGoneRacers},
		{"EndedContext", uploadsEnded},
	})
}

func (w *world) reservation(u ports.Upload, now time.Time) ports.Reservation {
	w.t.Helper()
	c, err := w.Images.BeginUpload(w.ctx, u, now)
	require.NoError(w.t, err)
	return c
}

func uploadsPlain(w *world) {
	owner := w.id(epoch)
	u := w.upload(owner, moment(1))
	w.wantState(owner, u.ImageID, "")
	w.begin(u)
	w.wantState(owner, u.ImageID, domain.ImagePending)
	w.wantUsage(owner, 0, 0)
	img := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
	w.wantState(owner, u.ImageID, domain.ImageReady)
	w.wantUsage(owner, 1, img.Size)

	// Once ready it is not pending any more.
	wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, u, img, noQuota))
	wantCode(w.t, domain.Conflict, w.Images.RenewUpload(w.ctx, u, moment(500)))
	w.wantUsage(owner, 1, img.Size)
	got, err := w.Images.Get(w.ctx, owner, u.ImageID)
	require.NoError(w.t, err)
	wantImage(w.t, img, got)

	// Without a key, uploads do not meet.
	for range 2 {
		w.begin(w.upload(owner, moment(1)))
	}
	// What never began cannot be committed.
	ghost := w.upload(owner, moment(2))
	wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, ghost, w.image(ghost), noQuota))
	wantCode(w.t, domain.Conflict, w.Images.RenewUpload(w.ctx, ghost, moment(500)))
	w.wantState(owner, ghost.ImageID, "")
}

func uploadsKey(w *world) {
	owner, key := w.id(epoch), w.hash()
	first := w.keyed(owner, moment(1), key)
	w.begin(first)
	second := w.keyed(owner, moment(2), key)
	require.Equal(w.t, ports.ReservationBusy, w.reservation(second, moment(2)).State)
	w.wantState(owner, second.ImageID, "")
	wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, second, w.image(second), noQuota))

	// Another key is another upload.
	w.begin(w.keyed(owner, moment(2), w.hash()))

	img := w.image(first)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, first, img, noQuota))
	// Also long after the lease: it was completed.
	for _, now := range []time.Time{moment(3), moment(3600), epoch.Add(ports.KeyRetention)} {
		require.Equal(w.t, ports.Reservation{State: ports.ReservationDone, ImageID: img.ID, SHA256: img.SHA256}, w.reservation(second, now))
		w.wantState(owner, second.ImageID, "")
	}
	w.wantUsage(owner, 1, img.Size)
	wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, first, img, noQuota), "a second Commit")
}

func uploadsKeyOwners(w *world) {
	key := w.hash()
	a, b := w.keyed(w.id(epoch), moment(1), key), w.keyed(w.id(epoch), moment(1), key)
	w.begin(a)
	w.begin(b)
	imgA, imgB := w.image(a), w.image(b)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, a, imgA, noQuota))
	require.Equal(w.t, ports.ReservationBusy, w.reservation(w.keyed(b.OwnerID, moment(2), key), moment(2)).State)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, b, imgB, noQuota))
	for _, img := range []domain.Image{imgA, imgB} {
		require.Equal(w.t, ports.Reservation{State: ports.ReservationDone, ImageID: img.ID, SHA256: img.SHA256},
			w.reservation(w.keyed(img.OwnerID, moment(3), key), moment(3)))
	}
}

func uploadsKeyRetention(w *world) {
	owner, key := w.id(epoch), w.hash()
	u := w.keyed(owner, epoch, key)
	w.begin(u)
	first := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, first, noQuota))
	late := epoch.Add(ports.KeyRetention - time.Second)
	require.Equal(w.t, ports.ReservationDone, w.reservation(w.keyed(owner, late, key), late).State)

	later := epoch.Add(ports.KeyRetention + time.Second)
	u = w.keyed(owner, later, key)
	w.begin(u)
	require.Equal(w.t, ports.ReservationBusy, w.reservation(w.keyed(owner, later, key), later).State)
	second := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, second, noQuota))
	require.Equal(w.t, ports.Reservation{State: ports.ReservationDone, ImageID: second.ID, SHA256: second.SHA256}, w.reservation(w.keyed(owner, later, key), later))
	_, err := w.Images.Get(w.ctx, owner, first.ID)
	require.NoError(w.t, err, "the key is forgotten, its image is not")
	w.wantUsage(owner, 2, first.Size+second.Size)
}

func uploadsKeyOutlives(w *world) {
	u := w.keyed(w.id(epoch), epoch, w.hash())
	w.begin(u)
	img := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
	want := ports.Reservation{State: ports.ReservationDone, ImageID: img.ID, SHA256: img.SHA256}
	w.mark(img)
	require.Equal(w.t, want, w.reservation(w.keyed(u.OwnerID, moment(5), u.Key), moment(5)))
	done, err := w.Images.FinishDeletion(w.ctx, u.OwnerID, img.ID, moment(5))
	require.NoError(w.t, err)
	require.True(w.t, done)
	require.Equal(w.t, want, w.reservation(w.keyed(u.OwnerID, moment(6), u.Key), moment(6)))
}

func uploadsTakeover(w *world) {
	owner, key := w.id(epoch), w.hash()
	dead := w.keyed(owner, moment(0), key) // its lease ends at moment 60
	w.begin(dead)
	early := w.keyed(owner, moment(59), key)
	require.Equal(w.t, ports.ReservationBusy, w.reservation(early, moment(59)).State)

	heir := w.keyed(owner, moment(61), key)
	w.begin(heir)
	w.wantState(owner, heir.ImageID, domain.ImagePending)
	require.Equal(w.t, ports.ReservationBusy, w.reservation(early, moment(62)).State, "the lease is the heir's now")

	// The first has lost its reservation and can do no harm.
	wantCode(w.t, domain.Conflict, w.Images.RenewUpload(w.ctx, dead, moment(900)))
	wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, dead, w.image(dead), noQuota))
	w.wantUsage(owner, 0, 0)
	_, err := w.Images.Get(w.ctx, owner, dead.ImageID)
	wantCode(w.t, domain.NotFound, err)
	require.Equal(w.t, ports.ReservationBusy, w.reservation(early, moment(70)).State)

	img := w.image(heir)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, heir, img, noQuota))
	wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, dead, w.image(dead), noQuota))
	require.Equal(w.t, ports.Reservation{State: ports.ReservationDone, ImageID: img.ID, SHA256: img.SHA256}, w.reservation(early, moment(71)))
	w.wantUsage(owner, 1, img.Size)

	// What the first left waits for the sweep.
	due, err := w.Images.DueDeletions(w.ctx, moment(100), domain.ID{}, 10)
	require.NoError(w.t, err)
	require.Equal(w.t, []ports.DueImage{{OwnerID: owner, ID: dead.ImageID, State: domain.ImagePending}}, due)
}

func uploadsRenew(w *world) {
	owner := w.id(epoch)
	for _, key := range []domain.SecretHash{{}, w.hash()} {
		u := w.keyed(owner, moment(0), key) // its lease ends at moment 60
		w.begin(u)
		for range 2 { // the same again is no loss
			require.NoError(w.t, w.Images.RenewUpload(w.ctx, u, moment(300)))
		}
		due, err := w.Images.DueDeletions(w.ctx, moment(299), domain.ID{}, 10)
		require.NoError(w.t, err)
		require.Empty(w.t, due, "the sweep leaves a renewed upload alone")
		done, err := w.Images.FinishDeletion(w.ctx, owner, u.ImageID, moment(299))
		require.NoError(w.t, err)
		require.False(w.t, done)
		if key != (domain.SecretHash{}) {
			require.Equal(w.t, ports.ReservationBusy, w.reservation(w.keyed(owner, moment(299), key), moment(299)).State)
		}
		// A lease that lapsed but was not taken over is not lost.
		require.NoError(w.t, w.Images.RenewUpload(w.ctx, u, moment(600)))
		require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota))
	}
	w.wantUsage(owner, 2, 2000)
}

func uploadsRenewSwept(w *world) {
	for _, key := range []domain.SecretHash{{}, w.hash()} {
		u := w.keyed(w.id(epoch), moment(0), key)
		w.begin(u)
		done, err := w.Images.FinishDeletion(w.ctx, u.OwnerID, u.ImageID, moment(61))
		require.NoError(w.t, err)
		require.True(w.t, done)
		wantCode(w.t, domain.Conflict, w.Images.RenewUpload(w.ctx, u, moment(300)))
		wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota))
		w.wantState(u.OwnerID, u.ImageID, "")
		w.wantUsage(u.OwnerID, 0, 0)
		require.NoError(w.t, w.Images.AbortUpload(w.ctx, u))
		if key != (domain.SecretHash{}) {
			w.begin(w.keyed(u.OwnerID, moment(62), key))
		}
	}
}

func uploadsAbort(w *world) {
	owner, key := w.id(epoch), w.hash()
	for i := range 3 {
		u := w.keyed(owner, moment(i), key)
		w.begin(u)
		for range 2 {
			require.NoError(w.t, w.Images.AbortUpload(w.ctx, u))
		}
		w.wantState(owner, u.ImageID, "")
		wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota))
	}
	plain := w.upload(owner, moment(5))
	require.NoError(w.t, w.Images.AbortUpload(w.ctx, plain), "nothing to abort is no error")
	w.begin(plain)
	other := w.upload(owner, moment(5))
	w.begin(other)
	require.NoError(w.t, w.Images.AbortUpload(w.ctx, plain))
	w.wantState(owner, plain.ImageID, "")
	w.wantState(owner, other.ImageID, domain.ImagePending)

	// What is ready, and its key, stay.
	u := w.keyed(owner, moment(6), key)
	w.begin(u)
	img := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
	require.NoError(w.t, w.Images.AbortUpload(w.ctx, u))
	w.wantState(owner, u.ImageID, domain.ImageReady)
	w.wantUsage(owner, 1, img.Size)
	require.Equal(w.t, ports.ReservationDone, w.reservation(w.keyed(owner, moment(7), key), moment(7)).State)
	w.mark(img)
	require.NoError(w.t, w.Images.AbortUpload(w.ctx, u))
	w.wantState(owner, u.ImageID, domain.ImageDeleting)
}

func uploadsAbortTakenOver(w *world) {
	owner, key := w.id(epoch), w.hash()
	dead, heir := w.keyed(owner, moment(0), key), w.keyed(owner, moment(61), key)
	w.begin(dead)
	w.begin(heir)
	require.NoError(w.t, w.Images.AbortUpload(w.ctx, dead))
	w.wantState(owner, dead.ImageID, "")
	w.wantState(owner, heir.ImageID, domain.ImagePending)
	require.Equal(w.t, ports.ReservationBusy, w.reservation(w.keyed(owner, moment(62), key), moment(62)).State, "the key is the heir's, not to be freed")
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, heir, w.image(heir), noQuota))
}

func wantQuota(t *testing.T, err error, limit, used int64) {
	t.Helper()
	wantCode(t, domain.QuotaExceeded, err)
	e := domain.AsError(err)
	require.NotNil(t, e.Limit, "Limit says which bound was hit")
	require.NotNil(t, e.Used, "Used says how much of it is taken")
	require.Equal(t, limit, *e.Limit)
	require.Equal(t, used, *e.Used)
}

func uploadsQuotaImages(w *world) {
	owner := w.id(epoch)
	none := w.keyed(owner, moment(0), w.hash())
	w.begin(none)
	wantQuota(w.t, w.Images.CommitUpload(w.ctx, none, w.image(none), ports.Quota{MaxImages: 0, MaxBytes: domain.NoLimit}), 0, 0)
	// Nothing was written: still pending, still busy, and still to be committed.
	w.wantState(owner, none.ImageID, domain.ImagePending)
	w.wantUsage(owner, 0, 0)
	require.Equal(w.t, ports.ReservationBusy, w.reservation(w.keyed(owner, moment(1), none.Key), moment(1)).State)
	two := ports.Quota{MaxImages: 2, MaxBytes: domain.NoLimit}
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, none, w.image(none), two))

	second, third := w.upload(owner, moment(2)), w.upload(owner, moment(3))
	w.begin(second)
	w.begin(third)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, second, w.image(second), two))
	wantQuota(w.t, w.Images.CommitUpload(w.ctx, third, w.image(third), two), 2, 2)
	w.wantUsage(owner, 2, 2000)
	// A deletion makes room at once.
	w.mark(w.image(second))
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, third, w.image(third), two))
	// Another owner's images do not count.
	foreign := w.upload(w.id(epoch), moment(4))
	w.begin(foreign)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, foreign, w.image(foreign), ports.Quota{MaxImages: 1, MaxBytes: domain.NoLimit}))
}

func uploadsQuotaBytes(w *world) {
	owner := w.id(epoch)
	const big = 1 << 40
	q := ports.Quota{MaxImages: domain.NoLimit, MaxBytes: big + 10}
	commit := func(size int64) error {
		u := w.upload(owner, moment(1))
		w.begin(u)
		img := w.image(u)
		img.Size = size
		return w.Images.CommitUpload(w.ctx, u, img, q)
	}
	wantQuota(w.t, commit(big+11), big+10, 0)
	require.NoError(w.t, commit(big))
	wantQuota(w.t, commit(11), big+10, big)
	require.NoError(w.t, commit(10))
	wantQuota(w.t, commit(1), big+10, big+10)
	w.wantUsage(owner, 2, big+10)
}

func uploadsQuotaRacers(w *world) {
	owner := w.id(epoch)
	w.raceCommits(owner, ports.Quota{MaxImages: 5, MaxBytes: domain.NoLimit}, 5)
}

func uploadsQuotaBytesRacers(w *world) {
	owner := w.id(epoch)
	w.raceCommits(owner, ports.Quota{MaxImages: domain.NoLimit, MaxBytes: 7999}, 7)
}

// raceCommits has racers commit images of 1000 bytes each.
func (w *world) raceCommits(owner domain.ID, q ports.Quota, winners int) {
	w.t.Helper()
	ups, imgs := make([]ports.Upload, racers), make([]domain.Image, racers)
	for i := range ups {
		ups[i] = w.upload(owner, moment(i))
		imgs[i] = w.image(ups[i])
		w.begin(ups[i])
	}
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Images.CommitUpload(w.ctx, ups[i], imgs[i], q) })
	wantWinners(w.t, winners, errs, domain.QuotaExceeded)
	w.wantUsage(owner, int64(winners), int64(winners)*1000)
	for i, err := range errs {
		want := domain.ImageReady
		if err != nil {
			want = domain.ImagePending
		}
		w.wantState(owner, imgs[i].ID, want)
	}
}

// raceBegins has racers begin uploads with one key.
func (w *world) raceBegins(ups []ports.Upload, now time.Time) {
	w.t.Helper()
	reservations, errs := make([]ports.Reservation, len(ups)), make([]error, len(ups))
	race(len(ups), func(i int) { reservations[i], errs[i] = w.Images.BeginUpload(w.ctx, ups[i], now) })
	won := 0
	for i, c := range reservations {
		require.NoError(w.t, errs[i])
		if c.State == ports.ReservationWon {
			won++
			w.wantState(ups[i].OwnerID, ups[i].ImageID, domain.ImagePending)
			continue
		}
		require.Equal(w.t, ports.ReservationBusy, c.State)
		w.wantState(ups[i].OwnerID, ups[i].ImageID, "")
	}
	require.Equal(w.t, 1, won, "of any number of racers exactly one gets the reservation")
}

func uploadsBeginRacers(w *world) {
	owner, key := w.id(epoch), w.hash()
	ups := make([]ports.Upload, racers)
	for i := range ups {
		ups[i] = w.keyed(owner, moment(1), key)
	}
	w.raceBegins(ups, moment(1))
}

func uploadsTakeoverRacers(w *world) {
	owner, key := w.id(epoch), w.hash()
	w.begin(w.keyed(owner, moment(0), key))
	ups := make([]ports.Upload, racers)
	for i := range ups {
		ups[i] = w.keyed(owner, moment(61), key)
	}
	w.raceBegins(ups, moment(61))
}

func uploadsCommitRacers(w *world) {
	u := w.keyed(w.id(epoch), moment(0), w.hash())
	w.begin(u)
	img := w.image(u)
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Images.CommitUpload(w.ctx, u, img, noQuota) })
	wantOneWinner(w.t, errs, domain.Conflict)
	w.wantUsage(u.OwnerID, 1, img.Size)
}

// uploadsCommitOrTakeover lets a late uploader and an heir race: one of them has it.
func uploadsCommitOrTakeover(w *world) {
	owner := w.id(epoch)
	images := int64(0)
	for range 10 {
		key := w.hash()
		late, heir := w.keyed(owner, moment(0), key), w.keyed(owner, moment(61), key)
		img := w.image(late)
		w.begin(late)
		var commit, begin error
		var reservation ports.Reservation
		race(2, func(i int) {
			if i == 0 {
				commit = w.Images.CommitUpload(w.ctx, late, img, noQuota)
			} else {
				reservation, begin = w.Images.BeginUpload(w.ctx, heir, moment(61))
			}
		})
		require.NoError(w.t, begin)
		if commit == nil {
			images++
			require.Equal(w.t, ports.Reservation{State: ports.ReservationDone, ImageID: img.ID, SHA256: img.SHA256}, reservation)
			w.wantState(owner, late.ImageID, domain.ImageReady)
			w.wantState(owner, heir.ImageID, "")
		} else {
			wantCode(w.t, domain.Conflict, commit)
			require.Equal(w.t, ports.ReservationWon, reservation.State)
			w.wantState(owner, heir.ImageID, domain.ImagePending)
		}
		w.wantUsage(owner, images, images*img.Size)
	}
}

// uploadsCommitOrSweep lets a late uploader and the sweep race.
func uploadsCommitOrSweep(w *world) {
	owner := w.id(epoch)
	images := int64(0)
	for range 10 {
		u := w.upload(owner, moment(0))
		img := w.image(u)
		w.begin(u)
		var commit, finish error
		var swept bool
		race(2, func(i int) {
			if i == 0 {
				commit = w.Images.CommitUpload(w.ctx, u, img, noQuota)
			} else {
				swept, finish = w.Images.FinishDeletion(w.ctx, owner, u.ImageID, moment(61))
			}
		})
		require.NoError(w.t, finish)
		if commit == nil {
			images++
			require.False(w.t, swept, "an image that is ready was swept")
			w.wantState(owner, u.ImageID, domain.ImageReady)
		} else {
			wantCode(w.t, domain.Conflict, commit)
			require.True(w.t, swept)
			w.wantState(owner, u.ImageID, "")
		}
		w.wantUsage(owner, images, images*img.Size)
	}
}

func uploadsOtherOwner(w *world) {
	u := w.upload(w.id(epoch), moment(0))
	w.begin(u)
	foreign := u
	foreign.OwnerID = w.id(epoch)
	wantCode(w.t, domain.Conflict, w.Images.RenewUpload(w.ctx, foreign, moment(900)))
	wantCode(w.t, domain.Conflict, w.Images.CommitUpload(w.ctx, foreign, w.image(foreign), noQuota))
	require.NoError(w.t, w.Images.AbortUpload(w.ctx, foreign))
	w.wantState(u.OwnerID, u.ImageID, domain.ImagePending)
	w.wantUsage(foreign.OwnerID, 0, 0)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota))
}

// ownerEnds are the ways in which an owner comes to have no business uploading.
var ownerEnds = map[string]func(w *world, u domain.User) func(tx ports.AccountsTx) error{
	"deactivated": func(w *world, u domain.User) func(tx ports.AccountsTx) error {
		u.IsActive = false
		return func(tx ports.AccountsTx) error { return tx.SaveUser(w.ctx, u) }
	},
	"being deleted": func(w *world, u domain.User) func(tx ports.AccountsTx) error {
		u.Deleting = true
		return func(tx ports.AccountsTx) error { return tx.SaveUser(w.ctx, u) }
	},
	"deleted": func(w *world, u domain.User) func(tx ports.AccountsTx) error {
		return func(tx ports.AccountsTx) error { return tx.DeleteUser(w.ctx, u.ID) }
	},
}

// uploadsOwnerGone commits for an owner who ended while the upload came in.
func uploadsOwnerGone(w *world) {
	for name, end := range ownerEnds {
		for _, key := range []domain.SecretHash{{}, w.hash()} {
			u := w.keyed(w.id(epoch), moment(0), key)
			w.begin(u)
			owner, err := w.Accounts.User(w.ctx, u.OwnerID)
			require.NoError(w.t, err)
			w.change(end(w, owner))
			err = w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota)
			if name == "deleted" && key != (domain.SecretHash{}) {
				// The key's record went with the owner: that the reservation was lost says as much.
				require.Contains(w.t, []domain.Code{domain.Denied, domain.Conflict}, domain.CodeOf(err), "%s: %v", name, err)
			} else {
				wantCode(w.t, domain.Denied, err, name)
			}
			w.wantState(u.OwnerID, u.ImageID, domain.ImagePending)
			w.wantUsage(u.OwnerID, 0, 0)
			_, err = w.Images.Get(w.ctx, u.OwnerID, u.ImageID)
			wantCode(w.t, domain.NotFound, err, name)
			require.NoError(w.t, w.Images.AbortUpload(w.ctx, u))
			w.wantState(u.OwnerID, u.ImageID, "")
		}
	}
}

// uploadsOwnerGoneRacers lets a commit and the owner's end race: after the end there is
// no commit, so that the deletion of a user finds every image.
func uploadsOwnerGoneRacers(w *world) {
	for range 10 {
		u := w.upload(w.id(epoch), moment(0))
		w.begin(u)
		img := w.image(u)
		owner, err := w.Accounts.User(w.ctx, u.OwnerID)
		require.NoError(w.t, err)
		var commit, change error
		var found int
		race(2, func(i int) {
			if i == 0 {
				commit = w.Images.CommitUpload(w.ctx, u, img, noQuota)
				return
			}
			change = w.Accounts.Change(w.ctx, ownerEnds["being deleted"](w, owner))
			list, err := w.Images.List(w.ctx, u.OwnerID, ports.Page{Limit: 10})
			found, change = len(list), errors.Join(change, err)
		})
		require.NoError(w.t, change)
		if commit != nil {
			wantCode(w.t, domain.Denied, commit)
			require.Zero(w.t, found)
			w.wantState(u.OwnerID, u.ImageID, domain.ImagePending)
			continue
		}
		require.Equal(w.t, 1, found, "an image was committed for a user after the user's end")
	}
}

func uploadsEnded(w *world) {
	u, fresh := w.keyed(w.id(epoch), epoch, w.hash()), w.keyed(w.id(epoch), epoch, w.hash())
	w.begin(u)
	wantAllEnded(w.t, []call{
		{"Begin", func(ctx context.Context) error { _, err := w.Images.BeginUpload(ctx, fresh, epoch); return err }},
		{"Renew", func(ctx context.Context) error { return w.Images.RenewUpload(ctx, u, moment(900)) }},
		{"Commit", func(ctx context.Context) error { return w.Images.CommitUpload(ctx, u, w.image(u), noQuota) }},
		{"Abort", func(ctx context.Context) error { return w.Images.AbortUpload(ctx, u) }},
	})
	w.wantState(fresh.OwnerID, fresh.ImageID, "")
	w.wantState(u.OwnerID, u.ImageID, domain.ImagePending)
	due, err := w.Images.DueDeletions(w.ctx, moment(61), domain.ID{}, 5)
	require.NoError(w.t, err)
	require.Len(w.t, due, 1, "the lease is as it was")
	w.begin(fresh)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota))
}

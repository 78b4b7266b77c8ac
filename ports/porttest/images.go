package porttest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Images is the suite of ports.Images.
func Images(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	group(t, "Images", newRecords, imageReads, uploads, deletions)
}

// imageReads is the suite of reading images.
func imageReads(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Reads", newRecords, []story{
		{"RoundTrip", imagesRoundTrip},
		{"OnlyReady", imagesOnlyReady},
		{"OwnersAreApart", imagesOwners},
		{"Paging", imagesPaging},
		{"IDs", imagesIDs},
		{"ListAll", imagesListAll},
		{"Usage", imagesUsage},
		{"Copies", imagesCopies},
		{"EndedContext", imagesEnded},
	})
}

func imagesRoundTrip(w *world) {
	owner := w.id(epoch)
	var want []domain.Image
	for i, change := range []func(i *domain.Image){
		func(i *domain.Image) { *i = domain.Image{ID: i.ID, OwnerID: i.OwnerID, UploadedAt: i.UploadedAt} },
		func(i *domain.Image) { i.Filename, i.Format, i.Alpha, i.Frames = longFilename, domain.GIF, true, 1000 },
		func(i *domain.Image) { i.Size, i.Width, i.Height = 1<<40, 1<<20, 1 },
		func(i *domain.Image) { i.Format, i.Placeholder = domain.WebP, make([]byte, 25) },
		func(i *domain.Image) {
			i.Format, i.SHA256, i.State = domain.PNG, [32]byte{31: 0xff}, domain.ImagePending
		},
	} {
		u := w.upload(owner, moment(i).Add(123456*time.Microsecond))
		img := w.image(u)
		change(&img)
		w.begin(u)
		require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
		img.State = domain.ImageReady
		want = append(want, img)
	}
	list, err := w.Images.List(w.ctx, owner, ports.Page{Limit: 10})
	require.NoError(w.t, err)
	all, _, err := w.Images.ListAll(w.ctx, ports.TimeRange{}, ports.Page{Limit: 10})
	require.NoError(w.t, err)
	require.Len(w.t, list, len(want))
	require.Len(w.t, all, len(want))
	for i, img := range want {
		got, err := w.Images.Get(w.ctx, owner, img.ID)
		require.NoError(w.t, err)
		wantImage(w.t, img, got)
		wantImage(w.t, img, list[len(want)-1-i])
		wantImage(w.t, img, all[len(want)-1-i])
	}

	u := w.upload(owner, time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("", -7*3600)))
	w.begin(u)
	img := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
	got, err := w.Images.Get(w.ctx, owner, img.ID)
	require.NoError(w.t, err)
	wantImage(w.t, img, got)
}

func (w *world) wantNoImage(owner, id domain.ID) {
	w.t.Helper()
	_, err := w.Images.Get(w.ctx, owner, id)
	wantCode(w.t, domain.NotFound, err)
	list, err := w.Images.List(w.ctx, owner, ports.Page{Limit: 100})
	require.NoError(w.t, err)
	for _, i := range list {
		require.NotEqual(w.t, id, i.ID)
	}
	all, _, err := w.Images.ListAll(w.ctx, ports.TimeRange{}, ports.Page{Limit: 100})
	require.NoError(w.t, err)
	for _, i := range all {
		require.NotEqual(w.t, id, i.ID)
	}
}

func imagesOnlyReady(w *world) {
	owner := w.id(epoch)
	_, err := w.Images.Owner(w.ctx, w.id(epoch))
	wantCode(w.t, domain.NotFound, err)
	u := w.upload(owner, moment(1))
	w.wantNoImage(owner, u.ImageID)
	w.begin(u)
	w.wantNoImage(owner, u.ImageID)
	img := w.image(u)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
	_, err = w.Images.Get(w.ctx, owner, img.ID)
	require.NoError(w.t, err)
	w.mark(img)
	w.wantNoImage(owner, img.ID)
	_, err = w.Images.FinishDeletion(w.ctx, owner, img.ID, moment(2))
	require.NoError(w.t, err)
	w.wantNoImage(owner, img.ID)
}

func imagesOwners(w *world) {
	a, b := w.id(epoch), w.id(epoch)
	ofA, ofB := w.ready(a, moment(1)), w.ready(b, moment(2))
	for _, c := range []struct{ owner, image domain.ID }{{a, ofB.ID}, {b, ofA.ID}, {domain.ID{}, ofA.ID}, {w.id(epoch), ofA.ID}, {ofA.ID, a}} {
		_, err := w.Images.Get(w.ctx, c.owner, c.image)
		wantCode(w.t, domain.NotFound, err)
	}
	for _, img := range []domain.Image{ofA, ofB} {
		owner, err := w.Images.Owner(w.ctx, img.ID)
		require.NoError(w.t, err)
		require.Equal(w.t, img.OwnerID, owner)
		list, err := w.Images.List(w.ctx, img.OwnerID, ports.Page{Limit: 5})
		require.NoError(w.t, err)
		require.Len(w.t, list, 1)
		wantImage(w.t, img, list[0])
	}
	list, err := w.Images.List(w.ctx, domain.ID{}, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Empty(w.t, list, "the zero id owns nothing")
}

func imagesPaging(w *world) {
	a, b := w.id(epoch), w.id(epoch)
	var ofA, ofB []domain.ID
	for i := range 7 {
		// Three at a time are of one millisecond.
		ofA = append(ofA, w.ready(a, moment(i/3)).ID)
		if i%3 == 0 {
			ofB = append(ofB, w.ready(b, moment(i/3)).ID)
		}
	}
	gone := w.ready(a, moment(9))
	w.mark(gone)
	w.begin(w.upload(a, moment(10)))
	wantPages(w.t, backwards(ofA), imageID, func(p ports.Page) ([]domain.Image, error) { return w.Images.List(w.ctx, a, p) })
	wantPages(w.t, backwards(ofB), imageID, func(p ports.Page) ([]domain.Image, error) { return w.Images.List(w.ctx, b, p) })
	// One that is gone still marks a place.
	list, err := w.Images.List(w.ctx, a, ports.Page{Before: gone.ID, Limit: 1})
	require.NoError(w.t, err)
	require.Len(w.t, list, 1)
	require.Equal(w.t, ofA[len(ofA)-1], list[0].ID)
}

// ranges are time ranges over what was made at moments 0 to 8, and which of them each leaves.
var ranges = []struct {
	name     string
	r        ports.TimeRange
	from, to int
}{
	{"all", ports.TimeRange{}, 0, 9},
	{"from", ports.TimeRange{From: moment(3)}, 3, 9},
	{"to", ports.TimeRange{To: moment(3)}, 0, 3},
	{"both", ports.TimeRange{From: moment(2), To: moment(7)}, 2, 7},
	{"one", ports.TimeRange{From: moment(4), To: moment(5)}, 4, 5},
	{"between", ports.TimeRange{From: moment(4).Add(time.Millisecond), To: moment(5)}, 5, 5},
	{"just above", ports.TimeRange{From: moment(4).Add(time.Millisecond), To: moment(5).Add(time.Millisecond)}, 5, 6},
	{"zoned", ports.TimeRange{From: moment(2).In(time.FixedZone("", 9*3600)), To: moment(4).In(time.FixedZone("", -9*3600))}, 2, 4},
	{"before all", ports.TimeRange{To: moment(0)}, 0, 0},
	{"after all", ports.TimeRange{From: moment(100)}, 0, 0},
}

func imagesListAll(w *world) {
	owners := []domain.ID{w.id(epoch), w.id(epoch), w.id(epoch)}
	var all []domain.ID
	for i := range 9 {
		all = append(all, w.ready(owners[i%3], moment(i)).ID)
	}
	w.mark(w.ready(owners[0], moment(4)))
	w.begin(w.upload(owners[0], moment(5)))
	for _, c := range ranges {
		w.t.Log(c.name)
		wantAllPages(w.t, backwards(all[c.from:c.to]), imageID, func(p ports.Page) ([]domain.Image, domain.ID, error) {
			return w.Images.ListAll(w.ctx, c.r, p)
		})
	}
}

func imagesUsage(w *world) {
	a, b := w.id(epoch), w.id(epoch)
	w.wantUsage(a, 0, 0)
	var kept []domain.Image
	for i := range 3 {
		u := w.upload(a, moment(i))
		w.begin(u)
		w.wantUsage(a, int64(i), int64(i)*(1<<33))
		img := w.image(u)
		img.Size = 1 << 33
		require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, img, noQuota))
		kept = append(kept, img)
	}
	w.ready(b, moment(5))
	w.wantUsage(a, 3, 3<<33)
	w.wantUsage(b, 1, 1000)
	for i, img := range kept {
		w.mark(img)
		w.wantUsage(a, int64(2-i), int64(2-i)*(1<<33))
		_, err := w.Images.FinishDeletion(w.ctx, a, img.ID, moment(100))
		require.NoError(w.t, err)
		w.wantUsage(a, int64(2-i), int64(2-i)*(1<<33))
	}
	w.wantUsage(b, 1, 1000)

	// Counting again changes nothing that is right, also where there is nothing.
	for owner, want := range map[domain.ID]domain.Usage{a: {}, b: {Images: 1, Bytes: 1000}, w.id(epoch): {}} {
		was, err := w.Images.RecountUsage(w.ctx, owner)
		require.NoError(w.t, err)
		require.Equal(w.t, want, was)
		w.wantUsage(owner, want.Images, want.Bytes)
	}
	w.ready(a, moment(6))
	w.wantUsage(a, 1, 1000)
}

func imagesCopies(w *world) {
	u := w.upload(w.id(epoch), epoch)
	w.begin(u)
	img := w.image(u)
	given := img
	given.Placeholder = append([]byte{}, img.Placeholder...)
	require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, given, noQuota))
	given.Placeholder[0] ^= 0xff
	read := func() []domain.Image {
		got, err := w.Images.Get(w.ctx, u.OwnerID, u.ImageID)
		require.NoError(w.t, err)
		list, err := w.Images.List(w.ctx, u.OwnerID, ports.Page{Limit: 1})
		require.NoError(w.t, err)
		all, _, err := w.Images.ListAll(w.ctx, ports.TimeRange{}, ports.Page{Limit: 1})
		require.NoError(w.t, err)
		return append(append(list, all...), got)
	}
	for range 2 {
		for _, got := range read() {
			wantImage(w.t, img, got)
			got.Placeholder[1] ^= 0xff
		}
	}
}

func imagesEnded(w *world) {
	img := w.ready(w.id(epoch), epoch)
	wantAllEnded(w.t, []call{
		{"Get", func(ctx context.Context) error { _, err := w.Images.Get(ctx, img.OwnerID, img.ID); return err }},
		{"Get unknown", func(ctx context.Context) error { _, err := w.Images.Get(ctx, img.OwnerID, img.OwnerID); return err }},
		{"Owner", func(ctx context.Context) error { _, err := w.Images.Owner(ctx, img.ID); return err }},
		{"List", func(ctx context.Context) error {
			_, err := w.Images.List(ctx, img.OwnerID, ports.Page{Limit: 1})
			return err
		}},
		{"ListAll", func(ctx context.Context) error {
			_, _, err := w.Images.ListAll(ctx, ports.TimeRange{}, ports.Page{Limit: 1})
			return err
		}},
		{"Usage", func(ctx context.Context) error { _, err := w.Images.Usage(ctx, img.OwnerID); return err }},
	})
}

func imagesIDs(w *world) {
	owner, other := w.id(epoch), w.id(epoch)
	for i := range 7 {
		for _, o := range []domain.ID{owner, other} {
			u := w.upload(o, moment(i))
			w.begin(u)
			if i != 3 { // that one stays pending
				require.NoError(w.t, w.Images.CommitUpload(w.ctx, u, w.image(u), noQuota))
			}
		}
	}
	all, err := w.Images.List(w.ctx, owner, ports.Page{Limit: 10})
	require.NoError(w.t, err)
	require.Len(w.t, all, 6)
	require.NoError(w.t, w.Images.MarkDeleting(w.ctx, owner, all[2].ID, nil, epoch))
	befores := []domain.ID{{}, w.id(epoch.Add(-time.Hour))}
	for _, img := range all {
		befores = append(befores, img.ID)
	}
	for _, o := range []domain.ID{owner, other, w.id(epoch)} {
		for _, before := range befores {
			for limit := 1; limit <= 8; limit++ {
				p := ports.Page{Before: before, Limit: limit}
				list, err := w.Images.List(w.ctx, o, p)
				require.NoError(w.t, err)
				want := []domain.ID{}
				for _, img := range list {
					want = append(want, img.ID)
				}
				ids, err := w.Images.ListIDs(w.ctx, o, p)
				require.NoError(w.t, err)
				require.Equal(w.t, want, append([]domain.ID{}, ids...))
			}
		}
	}
	wantAllEnded(w.t, []call{
		{"ListIDs", func(ctx context.Context) error {
			_, err := w.Images.ListIDs(ctx, owner, ports.Page{Limit: 1})
			return err
		}},
	})
}

package app_test

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func nthID(n int) (id domain.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

func keyOf(owner, id domain.ID, name string) string {
	return "images/" + owner.String() + "/" + id.String() + "/" + name
}

// putBlob puts a small blob.
func (w *world) putBlob(key string) {
	w.t.Helper()
	require.NoError(w.t, w.blobs.Put(ctx, key, strings.NewReader("x"), ports.PutOptions{Size: 1}))
}

// ready writes the record of an image, and its original.
func (w *world) ready(owner, id domain.ID) {
	w.t.Helper()
	now := w.clock.now()
	up := ports.Upload{ImageID: id, OwnerID: owner, UploadedAt: now, LeaseUntil: now.Add(time.Minute)}
	_, err := w.cfg.Records.Images.BeginUpload(ctx, up, now)
	require.NoError(w.t, err)
	w.putBlob(keyOf(owner, id, "original"))
	img := domain.Image{ID: id, OwnerID: owner, State: domain.ImageReady, Size: 1, Filename: "a.jpg", UploadedAt: now}
	change := func(fn func(tx ports.AccountsTx) error) {
		require.NoError(w.t, w.cfg.Records.Accounts.Change(ctx, fn))
	}
	_, err = w.cfg.Records.Accounts.User(ctx, owner)
	if errors.Is(err, domain.NotFound) { // the owner is there as long as it takes
		change(func(tx ports.AccountsTx) error {
			return tx.SaveUser(ctx, domain.User{ID: owner, Username: owner.String(), IsActive: true})
		})
		defer change(func(tx ports.AccountsTx) error { return tx.DeleteUser(ctx, owner) })
	}
	require.NoError(w.t, w.cfg.Records.Images.CommitUpload(ctx, up, img, ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit}))
}

// What an upload left that raced with the deletion of its user (the record, the usage,
// the blobs) the sweep finds; and nothing is left when the trash is emptied.
func TestPromiseDeletedUsersImages(t *testing.T) {
	t.Run("X9", func(t *testing.T) {
		w := newWorld(t)
		anna, gone := w.user("anna", domain.BasicTier), nthID(7)
		kept := w.upload(anna)
		w.ready(gone, nthID(1))
		w.putBlob(keyOf(gone, nthID(1), "thumbnails/x-200.jpg"))
		w.putBlob(keyOf(gone, nthID(2), "original")) // no record
		late := ports.Upload{ImageID: nthID(3), OwnerID: gone, LeaseUntil: w.clock.now().Add(-time.Minute)}
		_, err := w.cfg.Records.Images.BeginUpload(ctx, late, w.clock.now()) // its maker died
		require.NoError(t, err)
		w.putBlob(keyOf(gone, nthID(3), "original"))

		dry, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{DryRun: true})
		require.NoError(t, err)
		assert.Equal(t, 1, dry.Ownerless)
		require.Equal(t, 5, w.keys())
		r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
		require.NoError(t, err)
		assert.Equal(t, 1, r.Ownerless)
		assert.Equal(t, 1, w.keys(), "anna's")
		assert.Equal(t, 4, w.trashed())
		usage, err := w.cfg.Records.Images.Usage(ctx, gone)
		require.NoError(t, err)
		assert.Zero(t, usage)
		states, err := w.cfg.Records.Images.States(ctx, gone, []domain.ID{nthID(1), nthID(2), nthID(3)})
		require.NoError(t, err)
		assert.Empty(t, states)
		_, err = w.svc.EmptyTrash(ctx, w.root)
		require.NoError(t, err)
		assert.Zero(t, w.trashed())
		_, err = read(w.svc.Open(ctx, anna, kept.ID, thumbnail(200)))
		assert.NoError(t, err)
	})
}

// An orphan waits in the trash; what a record asks for comes back; a deletion leaves
// nothing there; and after its days it is gone.
func TestTrash(t *testing.T) {
	w := newWorld(t, func(c *app.Config) { c.TrashFor = 48 * time.Hour })
	anna := w.user("anna", domain.EnterpriseTier)
	one, two := w.upload(anna), w.upload(anna)
	orphan := keyOf(anna.User.ID, nthID(5), "original")
	w.putBlob(orphan)
	for _, img := range []domain.Image{one, two} {
		key := keyOf(anna.User.ID, img.ID, "original")
		require.NoError(t, w.blobs.Move(ctx, key, "trash/"+key)) // as an older copy's sweep does
	}
	data, err := read(w.node().Open(ctx, anna, one.ID, domain.Variant{}))
	require.NoError(t, err)
	assert.Len(t, data, int(one.Size))
	require.NoError(t, w.svc.DeleteImage(ctx, anna, two.ID))
	assert.Equal(t, 1, w.trashed(), "a deletion is complete: nothing of it is left in the trash either")

	r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Blobs)
	var entries []app.TrashEntry
	require.NoError(t, w.svc.Trash(ctx, w.root, func(e app.TrashEntry) error { entries = append(entries, e); return nil }))
	require.Len(t, entries, 2)
	assert.Equal(t, 48*time.Hour, entries[0].Until.Sub(entries[0].Since))

	_, err = w.svc.RestoreTrash(ctx, w.root, "images/none")
	require.ErrorIs(t, err, domain.NotFound)
	n, err := w.svc.RestoreTrash(ctx, w.root, orphan)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, 2, w.keys())
	n, err = w.svc.RestoreTrash(ctx, w.root)
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	n, err = w.svc.RestoreTrash(ctx, w.root, "images/"+anna.User.ID.String()+"/")
	require.NoError(t, err)
	assert.Equal(t, 2, n)

	w.clock.advance(47 * time.Hour)
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Zero(t, r.Purged)
	w.clock.advance(49 * time.Hour)
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Purged)
	assert.Zero(t, w.trashed())
	_, err = read(w.node().Open(ctx, anna, one.ID, domain.Variant{}))
	assert.NoError(t, err)
	for name, err := range map[string]error{
		"list":    w.svc.Trash(ctx, anna, func(app.TrashEntry) error { return nil }),
		"restore": func() error { _, err := w.svc.RestoreTrash(ctx, anna); return err }(),
		"empty":   func() error { _, err := w.svc.EmptyTrash(ctx, anna); return err }(),
		"adopt":   func() error { _, err := w.svc.AdoptStorage(ctx, anna); return err }(),
	} {
		assert.ErrorIs(t, err, domain.Denied, name)
	}
}

// A clock that is ahead, the database's or a node's, removes nothing for good: both must say that its time is over.
func TestPromiseX13ClockAheadRemovesNothing(t *testing.T) {
	var ahead atomic.Int64                     // the database's clock, in days
	start := time.Now().UTC().Add(time.Minute) // after the blobs of the world
	w := newWorld(t, func(c *app.Config) {
		c.Records = memory.NewRecords(memory.Options{Now: func() time.Time { return start.AddDate(0, 0, int(ahead.Load())) }})
	})
	orphan := keyOf(nthID(1), nthID(2), "original")
	w.putBlob(orphan)
	_, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, w.trashed())
	for _, c := range []struct {
		database, node int
		left           int
	}{{365, 0, 1}, {0, 365, 1}, {8, 8, 0}} {
		ahead.Store(int64(c.database))
		cfg := w.cfg
		cfg.Now = func() time.Time { return start.AddDate(0, 0, c.node) }
		node, err := app.New(cfg) // as a command, which believes the first time that it is told
		require.NoError(t, err)
		_, err = node.Sweep(ctx, w.root, app.SweepOptions{MinAge: time.Hour})
		require.NoError(t, err)
		assert.Equal(t, c.left, w.trashed(), "the database's clock %d days ahead, the node's %d", c.database, c.node)
		require.NoError(t, node.Close())
	}
}

// A sweep that would take more than 1 % and more than 100 stops, and goes on when told.
func TestSweepStopsAtMany(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	for i := range 101 {
		w.putBlob(keyOf(anna.User.ID, nthID(i), "original"))
	}
	r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, 101, r.Refused)
	for range 2 {
		r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
		require.ErrorIs(t, err, domain.Conflict)
		require.ErrorContains(t, err, "101 of 101 blobs in the store have no record")
		assert.Equal(t, 101, r.Refused)
		assert.Equal(t, 101, w.keys())
		assert.Equal(t, 101, w.svc.SweepStatus().Report.Refused)
	}
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{AllowMany: true})
	require.NoError(t, err)
	assert.Equal(t, 101, r.Blobs)
	assert.Equal(t, 101, w.trashed())

	for i := range 100 {
		w.putBlob(keyOf(anna.User.ID, nthID(i), "original"))
	}
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err, "a hundred are not many")
	assert.Equal(t, 100, r.Blobs)

	// Images without an owner count the same way.
	for i := range 101 {
		w.ready(nthID(1_000_000), nthID(2000+i))
	}
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.ErrorContains(t, err, "the owners of 101 images have no record")
	assert.Zero(t, r.Ownerless)
	assert.Equal(t, 101, w.keys())
	r, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{AllowMany: true})
	require.NoError(t, err)
	assert.Equal(t, 101, r.Ownerless)
	assert.Zero(t, w.keys())
}

// work counts what a sweep asks of the store and of the database.
type work struct {
	mu              sync.Mutex
	calls, rows     int
	stopAfter       int // calls beyond so many fail, if positive
	errStop         error
	statesWereAsked int
}

func (c *work) add(rows int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	c.rows += rows
	if c.stopAfter > 0 && c.calls > c.stopAfter {
		return c.errStop
	}
	return nil
}

type countedBlobs struct {
	ports.Blobs
	*work
}

func (b countedBlobs) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	list, err := b.Blobs.List(ctx, prefix, after, limit)
	return list, errors.Join(err, b.add(len(list)))
}

type countedDeletions struct {
	ports.Images
	*work
}

func (d countedDeletions) States(ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
	d.mu.Lock()
	d.statesWereAsked += len(ids)
	d.mu.Unlock()
	states, err := d.Images.States(ctx, owner, ids)
	return states, errors.Join(err, d.add(len(ids)))
}

func (d countedDeletions) Ownerless(ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
	found, next, err := d.Images.Ownerless(ctx, after, limit)
	return found, next, errors.Join(err, d.add(limit))
}

func (w *world) counted() *work {
	c := &work{errStop: domain.Errorf(domain.Unavailable, "interrupted")}
	w.cfg.Blobs = countedBlobs{w.cfg.Blobs, c}
	w.cfg.Records.Images = countedDeletions{w.cfg.Records.Images, c}
	return c
}

// Ten times the blobs and records of one owner are at most ten and a half times the work.
func TestSweepIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	measure := func(n int) (calls, rows int) {
		w := newWorld(t)
		anna := w.user("anna", domain.BasicTier)
		for i := range n {
			if w.ready(anna.User.ID, nthID(i)); i%3 == 0 {
				w.putBlob(keyOf(anna.User.ID, nthID(i), "thumbnails/x-200.jpg"))
			}
		}
		for i := range n / 200 {
			w.putBlob(keyOf(anna.User.ID, nthID(n+i), "original"))
		}
		c := w.counted()
		r, err := w.node().Sweep(ctx, w.root, app.SweepOptions{})
		require.NoError(t, err)
		require.Equal(t, n/200, r.Blobs)
		require.Equal(t, n+n/200, r.ImagesChecked)
		require.Zero(t, r.Missing)
		return c.calls, c.rows
	}
	smallCalls, smallRows := measure(6000)
	largeCalls, largeRows := measure(60000)
	t.Logf("6,000 images: %d calls, %d rows; 60,000: %d calls, %d rows", smallCalls, smallRows, largeCalls, largeRows)
	assert.LessOrEqual(t, float64(largeCalls), 10.5*float64(smallCalls))
	assert.LessOrEqual(t, float64(largeRows), 10.5*float64(smallRows))
	assert.Less(t, largeCalls, 60000/100, "pages, not single questions")
}

// A walk that was interrupted goes on where it was, by another node; one that is
// finished is not made again in the background for a day.
func TestSweepGoesOn(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	const n = 5000
	for i := range n {
		w.ready(anna.User.ID, nthID(1+i))
	}
	orphan := keyOf(anna.User.ID, nthID(0), "original") // the first of all keys
	w.putBlob(orphan)
	c := w.counted()
	c.stopAfter = 12
	_, err := w.node().Sweep(ctx, w.root, app.SweepOptions{})
	require.ErrorIs(t, err, domain.Unavailable)
	require.Equal(t, n+1, w.keys())
	before := c.statesWereAsked
	require.Greater(t, before, 1000)
	require.Less(t, before, n)

	c.stopAfter, c.statesWereAsked = 0, 0
	r, err := w.node().Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Blobs, "what the first had counted is not forgotten")
	assert.Less(t, r.Seen, n, "only the rest was counted")
	assert.Equal(t, n, w.keys())
	assert.Zero(t, r.Missing)

	c.calls = 0
	w.cfg.SweepEvery = 5 * time.Millisecond
	w.node()
	time.Sleep(100 * time.Millisecond)
	c.mu.Lock()
	assert.Zero(t, c.calls, "the store was walked a moment ago")
	c.mu.Unlock()
	w.putBlob(orphan)
	w.clock.advance(25 * time.Hour)
	require.Eventually(t, func() bool { return w.keys() == n }, 10*time.Second, 5*time.Millisecond)
}

// badListing lists as a store may that is broken.
type badListing struct {
	ports.Blobs
	list func(list func(prefix, after string, limit int) ([]ports.BlobInfo, error), prefix, after string, limit int) ([]ports.BlobInfo, error)
	n    int
}

func (b *badListing) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	if b.n++; b.n > 50 {
		return nil, errors.New("it does not end")
	}
	inner := func(prefix, after string, limit int) ([]ports.BlobInfo, error) {
		return b.Blobs.List(ctx, prefix, after, limit)
	}
	return b.list(inner, prefix, after, limit)
}

// A listing that repeats itself or goes backwards ends with an error, and one that goes
// on showing what was deleted does no harm: nothing loops, and nothing is lost.
func TestLoopsEnd(t *testing.T) {
	type lister = func(prefix, after string, limit int) ([]ports.BlobInfo, error)
	for name, list := range map[string]func(l lister, prefix, after string, limit int) ([]ports.BlobInfo, error){
		"the first page again": func(l lister, prefix, _ string, limit int) ([]ports.BlobInfo, error) { return l(prefix, "", limit) },
		"a key twice": func(l lister, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			page, err := l(prefix, after, limit)
			if len(page) > 1 {
				page[1] = page[0]
			}
			return page, err
		},
		"backwards": func(l lister, prefix, after string, limit int) ([]ports.BlobInfo, error) {
			page, err := l(prefix, after, limit)
			for i, j := 0, len(page)-1; i < j; i, j = i+1, j-1 {
				page[i], page[j] = page[j], page[i]
			}
			return page, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad := &badListing{list: func(l func(string, string, int) ([]ports.BlobInfo, error), prefix, after string, limit int) ([]ports.BlobInfo, error) {
				return l(prefix, after, limit)
			}}
			w := newWorld(t, func(c *app.Config) { bad.Blobs, c.Blobs = c.Blobs, bad })
			anna := w.user("anna", domain.EnterpriseTier)
			img := w.upload(anna)
			for i := range 1500 {
				w.ready(anna.User.ID, nthID(i))
			}
			before := len(all(t, bad.Blobs))
			bad.list, bad.n = func(l func(string, string, int) ([]ports.BlobInfo, error), prefix, after string, limit int) ([]ports.BlobInfo, error) {
				return list(l, prefix, after, limit)
			}, 0
			_, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
			require.ErrorIs(t, err, domain.Unavailable)
			require.ErrorContains(t, err, "repeats itself or is out of order")
			assert.Len(t, all(t, bad.Blobs), before)
			_, err = read(w.svc.Open(ctx, anna, img.ID, domain.Variant{}))
			assert.NoError(t, err)
		})
	}
	t.Run("shows what is gone", func(t *testing.T) {
		var kept []ports.BlobInfo
		bad := &badListing{}
		bad.list = func(l func(string, string, int) ([]ports.BlobInfo, error), prefix, after string, limit int) ([]ports.BlobInfo, error) {
			if strings.HasPrefix(prefix, "images/") && after == "" && kept != nil {
				return kept, nil
			}
			return l(prefix, after, limit)
		}
		w := newWorld(t, func(c *app.Config) { bad.Blobs, c.Blobs = c.Blobs, bad })
		anna := w.user("anna", domain.EnterpriseTier)
		img := w.upload(anna)
		kept = []ports.BlobInfo{{Key: keyOf(anna.User.ID, img.ID, "original"), Size: img.Size, ModTime: w.clock.now()}}
		bad.n = 0
		require.NoError(t, w.svc.DeleteImage(ctx, anna, img.ID))
		assert.Less(t, bad.n, 5)
		for range 3 {
			bad.n = 0
			_, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
			require.NoError(t, err)
			assert.Less(t, bad.n, 10)
		}
		kept = nil // the listing has caught up
		assert.Zero(t, w.keys())
	})
}

// all is every blob of a store.
func all(t *testing.T, b ports.Blobs) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for info, err := range ports.WalkBlobs(t.Context(), b, "", "", nil) {
		require.NoError(t, err)
		out[info.Key] = true
	}
	return out
}

// walker is a store that lists in one go, some of it not imagify's.
type walker struct {
	ports.Blobs
	foreign []string
}

func (b walker) Walk(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error] {
	for _, name := range b.foreign {
		if foreign != nil && strings.HasPrefix(name, prefix) {
			foreign(name)
		}
	}
	return ports.WalkBlobs(ctx, b.Blobs, prefix, after, nil)
}

// What is in the store under a name that no key has is ignored, and told.
func TestForeignObjectsAreTold(t *testing.T) {
	w := newWorld(t, func(c *app.Config) { c.Blobs = walker{c.Blobs, []string{"images/a(/(b!", "images/A"}} })
	w.putBlob("images/notes.txt")
	w.putBlob("images/" + strings.ToUpper(nthID(255).String()[:8]) + "0" + "/x") // no id either
	r, err := w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Equal(t, 4, r.Foreign)
	assert.Contains(t, w.logs.String(), "not imagify's")
	assert.Equal(t, 1, strings.Count(w.logs.String(), "not imagify's"), "once, not for each")
	assert.Equal(t, 2, w.keys())
}

// Ten nodes that start at once on an empty database and an empty store agree on one id.
func TestNodesAgreeOnTheInstallation(t *testing.T) {
	cfg := newWorld(t).cfg
	cfg.Records, cfg.Blobs = memory.NewRecords(memory.Options{}), memory.NewBlobs(memory.Options{})
	other := cfg
	other.Records = memory.NewRecords(memory.Options{}) // another database on the same store
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := map[bool]int{}
	for i := range 20 {
		wg.Go(func() {
			c := cfg
			if i%2 == 1 {
				c = other
			}
			svc, err := app.New(c)
			if assert.NoError(t, err) {
				_, err := svc.Bootstrap(ctx, "a password")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					refused[i%2 == 1]--
				} else {
					assert.ErrorIs(t, err, domain.Conflict)
					refused[i%2 == 1]++
				}
			}
		})
	}
	wg.Wait()
	assert.ElementsMatch(t, []int{-10, 10}, []int{refused[false], refused[true]}, "all nodes of one database, and none of the other's: %v", maps.Clone(refused))
}

// Where a database and a store do not belong together nothing starts or sweeps, and
// the reason and the way out are told.
func TestInstallationMismatch(t *testing.T) {
	inspect := func(w *world) (domain.ID, error) { return app.InspectInstallation(ctx, w.cfg.Records, w.cfg.Blobs) }
	start := func(w *world) error { _, err := w.node().Bootstrap(ctx, "a password"); return err }
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	img := w.upload(anna)
	id, err := inspect(w)
	require.NoError(t, err)
	require.False(t, id.IsZero())

	for name, c := range map[string]struct {
		change func(w *world)
		says   string
	}{
		"a store emptied by hand": {func(w *world) { w.cfg.Blobs = memory.NewBlobs(memory.Options{}) }, "the store is empty"},
		"a store whose id was deleted": {func(w *world) {
			w.cfg.Blobs = copyBlobs(t, w.blobs)
			require.NoError(t, w.cfg.Blobs.Delete(ctx, ports.InstallationKey))
		}, "blobs of an unknown one"},
		"a store with another id": {func(w *world) {
			w.cfg.Blobs = copyBlobs(t, w.blobs)
			require.NoError(t, w.cfg.Blobs.Put(ctx, ports.InstallationKey, strings.NewReader(nthID(3).String()), ports.PutOptions{Size: int64(len(nthID(3).String()))}))
		}, "of installation " + nthID(3).String()},
		"a store whose id is no id": {func(w *world) {
			w.cfg.Blobs = copyBlobs(t, w.blobs)
			require.NoError(t, w.cfg.Blobs.Put(ctx, ports.InstallationKey, strings.NewReader("<html>"), ports.PutOptions{Size: 6}))
		}, "does not hold an installation id"},
		"an empty database": {func(w *world) { w.cfg.Records = memory.NewRecords(memory.Options{}) }, "has not been part of an installation"},
		"an empty database on a store without id": {func(w *world) {
			w.cfg.Records, w.cfg.Blobs = memory.NewRecords(memory.Options{}), copyBlobs(t, w.blobs)
			require.NoError(t, w.cfg.Blobs.Delete(ctx, ports.InstallationKey))
		}, "the database has no images"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := *w
			c.change(&bad)
			bad.blobs = bad.cfg.Blobs
			before := all(t, bad.blobs)
			_, err := inspect(&bad)
			require.ErrorIs(t, err, domain.Conflict)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "serve --adopt-storage")
			require.ErrorIs(t, start(&bad), domain.Conflict)
			_, err = bad.node().Sweep(ctx, w.root, app.SweepOptions{AllowMany: true})
			require.ErrorIs(t, err, domain.Conflict)
			assert.Equal(t, before, all(t, bad.blobs))
		})
	}

	// The way out, taken: the database that had the store is refused from then on.
	taker := *w
	taker.cfg.Records = memory.NewRecords(memory.Options{Now: w.clock.now})
	svc := taker.node()
	adopted, err := svc.AdoptStorage(ctx, w.root)
	require.NoError(t, err)
	assert.True(t, adopted)
	adopted, err = svc.AdoptStorage(ctx, w.root)
	require.NoError(t, err)
	assert.False(t, adopted, "the flag may stay: a second time changes nothing")
	require.NoError(t, start(&taker))
	require.ErrorIs(t, start(w), domain.Conflict)
	_, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.ErrorIs(t, err, domain.Conflict)
	_, err = read(w.svc.Open(ctx, anna, img.ID, thumbnail(200)))
	require.NoError(t, err, "it serves what it has")
}

// A pair from a version before ids gets one at its first start, if the store holds the
// database's images.
func TestInstallationOfAVersionBefore(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.BasicTier)
	w.upload(anna)
	before := *w
	before.cfg.Records.Installation = memory.NewRecords(memory.Options{}).Installation // no row yet
	before.cfg.Blobs = copyBlobs(t, w.blobs)
	before.blobs = before.cfg.Blobs
	require.NoError(t, before.blobs.Delete(ctx, ports.InstallationKey))
	foreign := before
	foreign.cfg.Blobs = memory.NewBlobs(memory.Options{})
	require.NoError(t, foreign.cfg.Blobs.Put(ctx, keyOf(nthID(1), nthID(2), "original"), strings.NewReader("x"), ports.PutOptions{Size: 1}))

	_, err := foreign.node().Bootstrap(ctx, "a password")
	require.ErrorContains(t, err, "newest images are not in the store")
	_, err = before.node().Bootstrap(ctx, "a password")
	require.NoError(t, err)
	id, err := app.InspectInstallation(ctx, before.cfg.Records, before.cfg.Blobs)
	require.NoError(t, err)
	assert.False(t, id.IsZero())
	r, err := before.node().Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	assert.Zero(t, r.Blobs)

	// An interrupted first start, between the two halves, goes on by itself.
	half := before
	half.cfg.Records.Installation = memory.NewRecords(memory.Options{}).Installation
	half.cfg.Blobs = copyBlobs(t, before.blobs)
	require.NoError(t, half.cfg.Blobs.Delete(ctx, ports.InstallationKey))
	_, err = half.cfg.Records.Installation.Ensure(ctx, nthID(4))
	require.NoError(t, err)
	_, err = half.node().Bootstrap(ctx, "a password")
	require.NoError(t, err)
	id, err = app.InspectInstallation(ctx, half.cfg.Records, half.cfg.Blobs)
	require.NoError(t, err)
	assert.Equal(t, nthID(4), id)
}

// A store that does not answer keeps nobody from starting, and nothing is swept.
func TestInstallationOfAStoreThatIsUnavailable(t *testing.T) {
	w := newWorld(t)
	down := *w
	down.cfg.Blobs = unavailableBlobs{w.blobs}
	svc := down.node()
	_, err := svc.Bootstrap(ctx, "a password")
	require.NoError(t, err)
	assert.Contains(t, w.logs.String(), "not known yet")
	_, err = svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.ErrorIs(t, err, domain.Unavailable)
}

type unavailableBlobs struct{ ports.Blobs }

func (unavailableBlobs) Open(context.Context, string) (ports.Blob, error) {
	return ports.Blob{}, domain.Errorf(domain.Unavailable, "the store does not answer now")
}

func copyBlobs(t *testing.T, from ports.Blobs) *memory.Blobs {
	t.Helper()
	to := memory.NewBlobs(memory.Options{})
	for info, err := range ports.WalkBlobs(t.Context(), from, "", "", nil) {
		require.NoError(t, err)
		b, err := from.Open(t.Context(), info.Key)
		require.NoError(t, err)
		require.NoError(t, to.Put(t.Context(), info.Key, b.Body, ports.PutOptions{Size: b.Size}))
		require.NoError(t, b.Body.Close())
	}
	return to
}

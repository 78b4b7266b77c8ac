package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// patient is a store that keeps an original until it is told to stop.
type patient struct{ ports.Blobs }

func (p patient) Put(ctx context.Context, key string, r io.ReadSeeker, o ports.PutOptions) error {
	if key == ports.InstallationKey {
		return p.Blobs.Put(ctx, key, r, o)
	}
	<-ctx.Done()
	return ctx.Err()
}

// renewals answers each renewal of a lease.
type renewals struct {
	ports.Images
	answer func(n int64) error
	n      atomic.Int64
}

func (r *renewals) RenewUpload(context.Context, ports.Upload, time.Time) error {
	return r.answer(r.n.Add(1))
}

// An upload that takes long in the store renews its lease; one whose lease was lost stops, and says so.
func TestUploadEndsWithItsLease(t *testing.T) {
	lost := domain.Errorf(domain.Conflict, "the sweep has it")
	for name, c := range map[string]struct {
		answer   func(n int64) error
		renewals int64
		says     string
	}{
		"lost":                   {func(int64) error { return lost }, 1, "took too long to store"},
		"unavailable, then lost": {func(n int64) error { return []error{fmt.Errorf("connection refused"), nil, lost}[n-1] }, 3, "took too long to store"},
		"panic":                  {func(int64) error { panic("index out of range") }, 1, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &renewals{answer: c.answer}
				w := newWorld(t, func(cfg *app.Config) {
					cfg.Blobs = patient{cfg.Blobs}
					r.Images, cfg.Records.Images = cfg.Records.Images, r
				})
				_, err := w.svc.Upload(t.Context(), w.user("anna"), app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
				require.Error(t, err)
				assert.Contains(t, err.Error(), c.says)
				assert.Equal(t, c.renewals, r.n.Load())
				assert.Zero(t, w.keys())
				w.svc.Close()
			})
		})
	}
}

// commitsTwice commits, and answers as a second try of the same commit is answered whose
// receipt is gone: after a step of the database's clock, or a restored copy.
type commitsTwice struct{ ports.Images }

func (c commitsTwice) CommitUpload(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
	if err := c.Images.CommitUpload(ctx, u, img, q); err != nil {
		return err
	}
	return c.Images.CommitUpload(ctx, u, img, q)
}

// The bytes of an image whose record is ready are never taken for those of a refused upload.
func TestUploadThatWasCommittedIsKept(t *testing.T) {
	w := newWorld(t, func(cfg *app.Config) { cfg.Records.Images = commitsTwice{cfg.Records.Images} })
	anna := w.user("anna", domain.EnterpriseTier)
	for _, key := range []string{"", "a key"} {
		img, err := w.svc.Upload(ctx, anna, app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: key})
		require.NoError(t, err)
		data, err := read(w.svc.Open(ctx, anna, img.ID, domain.Variant{}))
		require.NoError(t, err)
		assert.Equal(t, photo(), data)
	}
}

// An upload that takes too long in all is a 408 by its own clock, wherever it is.
func TestUploadTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(cfg *app.Config) {
			cfg.Blobs = patient{cfg.Blobs}
			cfg.Caps.UploadTime = time.Minute
		})
		_, err := w.svc.Upload(t.Context(), w.user("anna"), app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
		assert.Equal(t, domain.Timeout, domain.CodeOf(err), "%v", err)
		w.svc.Close()
	})
}

// An Idempotency-Key that is under way elsewhere is waited for, and then told.
func TestKeyUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(cfg *app.Config) { cfg.Blobs = patient{cfg.Blobs} })
		anna := w.user("anna")
		first, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		in := func() app.UploadInput {
			return app.UploadInput{Body: bytes.NewReader(photo()), Size: -1, IdempotencyKey: "one"}
		}
		go func() {
			_, err := w.svc.Upload(first, anna, in())
			done <- err
		}()
		synctest.Wait()
		_, err := w.svc.Upload(t.Context(), anna, in())
		e := domain.AsError(err)
		assert.Equal(t, domain.Conflict, e.Code, "%v", err)
		assert.Equal(t, 5*time.Second, e.RetryAfter)
		cancel()
		require.Error(t, <-done)
		w.svc.Close()
	})
}

// dying is an Accounts whose node dies after so many batches of a tier's members.
type dying struct {
	ports.Accounts
	batches atomic.Int64
}

func (d *dying) Change(ctx context.Context, fn func(tx ports.AccountsTx) error) error {
	return d.Accounts.Change(ctx, func(tx ports.AccountsTx) error { return fn(dyingTx{tx, d}) })
}

type dyingTx struct {
	ports.AccountsTx
	d *dying
}

func (t dyingTx) RemoveMembers(ctx context.Context, tier string, limit int) (int, error) {
	if t.d.batches.Add(-1) < 0 {
		return 0, domain.Errorf(domain.Unavailable, "the node has died")
	}
	return t.AccountsTx.RemoveMembers(ctx, tier, limit)
}

// A deleted tier gives nothing from then on, though its members' records name it until the
// sweep has cleaned them; its name is taken until then.
func TestDeletedTierIsCleanedByTheSweep(t *testing.T) {
	d := &dying{}
	w := newWorld(t, func(cfg *app.Config) { d.Accounts, cfg.Records.Accounts = cfg.Records.Accounts, d })
	d.batches.Store(1) // a new tier looks whether any are left of one of its name
	_, err := w.svc.CreateTier(ctx, w.root, "Gold", app.TierChange{Permissions: &[]string{"can_access_original_image"}})
	require.NoError(t, err)
	anna := w.user("anna", "Gold")
	img := w.upload(anna)
	_, err = w.svc.Open(ctx, anna, img.ID, domain.Original)
	require.NoError(t, err)

	require.NoError(t, w.svc.DeleteTier(ctx, w.root, "Gold"))
	assert.Contains(t, w.logs.String(), "left to the sweep")
	_, err = w.svc.Open(ctx, w.actor("anna"), img.ID, domain.Original)
	assert.ErrorIs(t, err, domain.Denied)
	_, err = w.svc.CreateTier(ctx, w.root, "Gold", app.TierChange{})
	assert.ErrorIs(t, err, domain.Unavailable)

	_, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.ErrorIs(t, err, domain.Unavailable, "the sweep's node dies as well")
	d.batches.Store(10)
	_, err = w.svc.Sweep(ctx, w.root, app.SweepOptions{})
	require.NoError(t, err)
	u, err := w.svc.User(ctx, w.root, "anna")
	require.NoError(t, err)
	assert.Empty(t, u.Tiers)
	_, err = w.svc.CreateTier(ctx, w.root, "Gold", app.TierChange{Permissions: &[]string{"can_access_original_image"}})
	require.NoError(t, err)
	_, err = w.svc.Open(ctx, w.actor("anna"), img.ID, domain.Original)
	assert.ErrorIs(t, err, domain.Denied, "a member of the deleted tier is not a member of the new one")
}

// fullOfLinks refuses one more link than a user may have.
type fullOfLinks struct{ ports.Links }

func (fullOfLinks) Create(context.Context, domain.Link, int) error {
	return domain.LimitError(domain.QuotaExceeded, domain.MaxLiveLinks, "as many as there may be")
}

func TestTooManyLinks(t *testing.T) {
	w := newWorld(t, func(cfg *app.Config) { cfg.Records.Links = fullOfLinks{cfg.Records.Links} })
	anna := w.user("anna", domain.EnterpriseTier)
	_, _, err := w.svc.CreateLink(ctx, anna, w.upload(anna).ID, app.LinkInput{ExpiresIn: 300})
	e := domain.AsError(err)
	assert.Equal(t, domain.RateLimited, e.Code, "%v", err)
	require.NotNil(t, e.Limit)
	assert.EqualValues(t, domain.MaxLiveLinks, *e.Limit)
	assert.NotZero(t, e.RetryAfter)
}

// A process that stands still between requests follows the changes of others by Step.
func TestStepFollowsTheFeed(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	node := w.node()
	require.NoError(t, node.Step(ctx))
	_, err := node.Open(ctx, anna, img.ID, domain.Original)
	require.NoError(t, err)
	w.setTiers("anna", domain.BasicTier)
	w.clock.advance(time.Minute)
	require.NoError(t, node.Step(ctx))
	_, err = node.Open(ctx, w.actor("anna"), img.ID, domain.Original)
	assert.ErrorIs(t, err, domain.Denied)
}

// A body can be read from wherever its reader wants, what was read ahead included.
func TestBodySeeks(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	c, err := w.svc.Open(ctx, anna, w.upload(anna).ID, domain.Original)
	require.NoError(t, err)
	defer c.Body.Close()
	require.NoError(t, c.Ready())
	require.NoError(t, c.Ready(), "twice is once")
	whole := photo()
	head := make([]byte, 10)
	_, err = io.ReadFull(c.Body, head)
	require.NoError(t, err)
	for _, s := range []struct {
		offset int64
		whence int
		want   int
	}{{5, io.SeekStart, 5}, {3, io.SeekCurrent, 8 + 10}, {-20, io.SeekEnd, len(whole) - 20}} {
		at, err := c.Body.Seek(s.offset, s.whence)
		require.NoError(t, err)
		if s.whence == io.SeekCurrent {
			assert.EqualValues(t, s.want, at, "from where the reader is, not from what was read ahead")
		} else {
			assert.EqualValues(t, s.want, at)
		}
		got := make([]byte, 10)
		_, err = io.ReadFull(c.Body, got)
		require.NoError(t, err)
		assert.Equal(t, whole[at:at+10], got)
	}
	at, err := c.Body.Seek(0, io.SeekStart)
	require.NoError(t, err)
	require.Zero(t, at)
	require.NoError(t, c.Ready())
	all, err := io.ReadAll(c.Body)
	require.NoError(t, err)
	assert.Equal(t, whole, all)
}

// A store that breaks off before the first byte is told by Ready, while a status can still say it.
func TestReadyTellsOfABrokenStore(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	w.cfg.Blobs = breaking{w.cfg.Blobs}
	c, err := w.node().Open(ctx, anna, img.ID, domain.Original)
	require.NoError(t, err)
	defer c.Body.Close()
	require.ErrorIs(t, c.Ready(), io.ErrClosedPipe)
	_, err = c.Body.Read(make([]byte, 10))
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

// breaking is a store whose originals break off at once.
type breaking struct{ ports.Blobs }

func (b breaking) Open(ctx context.Context, key string) (ports.Blob, error) {
	blob, err := b.Blobs.Open(ctx, key)
	if err == nil && strings.HasSuffix(key, "/original") {
		blob.Body = brokenBody{blob.Body}
	}
	return blob, err
}

type brokenBody struct{ io.ReadSeekCloser }

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// uploadsThat are uploads whose Begin or Commit do something else.
type uploadsThat struct {
	ports.Images
	begin  func()
	commit error
}

func (u uploadsThat) BeginUpload(ctx context.Context, up ports.Upload, now time.Time) (ports.Reservation, error) {
	u.begin()
	return u.Images.BeginUpload(ctx, up, now)
}

func (u uploadsThat) CommitUpload(ctx context.Context, up ports.Upload, img domain.Image, q ports.Quota) error {
	if u.commit != nil {
		return u.commit
	}
	return u.Images.CommitUpload(ctx, up, img, q)
}

// Neither a record that cannot be begun nor a commit that is refused leaves anything, and an adapter's panic ends one upload.
func TestUploadWhoseRecordFails(t *testing.T) {
	for name, c := range map[string]struct {
		u    uploadsThat
		want domain.Code
	}{
		"panic":        {uploadsThat{begin: func() { panic("nil map") }}, domain.Internal},
		"owner gone":   {uploadsThat{begin: func() {}, commit: domain.Errorf(domain.Denied, "the account is not active")}, domain.Unauthenticated},
		"quota filled": {uploadsThat{begin: func() {}, commit: domain.LimitError(domain.QuotaExceeded, 1, "full")}, domain.QuotaExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *app.Config) {
				c.u.Images = cfg.Records.Images
				cfg.Records.Images = c.u
			})
			_, err := w.svc.Upload(ctx, w.user("anna"), app.UploadInput{Body: bytes.NewReader(photo()), Size: -1})
			assert.Equal(t, c.want, domain.CodeOf(err), "%v", err)
			assert.Zero(t, w.keys())
		})
	}
}

func TestAcceptedIsACopy(t *testing.T) {
	w := newWorld(t)
	all := w.svc.Accepted()
	require.NotEmpty(t, all)
	first := all[0]
	all[0] = "nothing"
	assert.Equal(t, first, w.svc.Accepted()[0])
}

// closedStore opens no original.
type closedStore struct{ ports.Blobs }

func (c closedStore) Open(ctx context.Context, key string) (ports.Blob, error) {
	if strings.HasSuffix(key, "/original") {
		return ports.Blob{}, domain.Wrap(domain.Unavailable, io.ErrClosedPipe, "the store does not answer")
	}
	return c.Blobs.Open(ctx, key)
}

// An operator is told the cause that clients are not.
func TestVerifyTellsTheCause(t *testing.T) {
	w := newWorld(t)
	w.upload(w.user("anna"))
	w.cfg.Blobs = closedStore{w.cfg.Blobs}
	var found []app.Finding
	_, err := w.node().Verify(ctx, w.root, app.VerifyOptions{}, func(f app.Finding) error {
		found = append(found, f)
		return nil
	})
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, app.FindingDamaged, found[0].Kind)
	assert.Contains(t, found[0].Detail, io.ErrClosedPipe.Error())
}

// failingTiers, failingUsers and failingSessions fail at one question of the sweep.
type failingTiers struct{ ports.Accounts }

func (failingTiers) DeletedTiers(context.Context) ([]string, error) {
	return nil, domain.Errorf(domain.Unavailable, "no tiers")
}

type failingUsers struct{ ports.Accounts }

func (failingUsers) DeletingUsers(context.Context, int) ([]domain.User, error) {
	return nil, domain.Errorf(domain.Unavailable, "no users")
}

type failingSessions struct{ ports.Accounts }

func (failingSessions) DeleteExpiredSessions(context.Context, time.Time, int) (int, error) {
	return 0, domain.Errorf(domain.Unavailable, "no sessions")
}

// A sweep that the database fails in the middle says so, and the next one goes on.
func TestSweepWhoseDatabaseFails(t *testing.T) {
	for name, breaks := range map[string]func(r *ports.Records){
		"no tiers":    func(r *ports.Records) { r.Accounts = failingTiers{r.Accounts} },
		"no users":    func(r *ports.Records) { r.Accounts = failingUsers{r.Accounts} },
		"no sessions": func(r *ports.Records) { r.Accounts = failingSessions{r.Accounts} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			whole := w.cfg.Records
			breaks(&w.cfg.Records)
			_, err := w.node().Sweep(ctx, w.root, app.SweepOptions{})
			require.ErrorContains(t, err, name)
			w.cfg.Records = whole
			_, err = w.node().Sweep(ctx, w.root, app.SweepOptions{})
			require.NoError(t, err)
		})
	}
}

// waitedBody lets something happen before its first bytes come.
type waitedBody struct {
	io.ReadSeekCloser
	meanwhile func()
}

func (b *waitedBody) Read(p []byte) (int, error) {
	b.meanwhile()
	return b.ReadSeekCloser.Read(p)
}

type waitedStore struct {
	ports.Blobs
	meanwhile func()
}

func (s waitedStore) Open(ctx context.Context, key string) (ports.Blob, error) {
	blob, err := s.Blobs.Open(ctx, key)
	if err == nil && strings.HasSuffix(key, "/original") {
		blob.Body = &waitedBody{blob.Body, s.meanwhile}
	}
	return blob, err
}

// What happens while a store's first bytes are waited for is told by an error before the answer begins.
func TestReadyDecidesAgain(t *testing.T) {
	w := newWorld(t)
	anna := w.user("anna", domain.EnterpriseTier)
	img := w.upload(anna)
	w.cfg.Blobs = waitedStore{w.cfg.Blobs, func() { w.setTiers("anna", domain.BasicTier) }}
	w.svc = w.node()
	c, err := w.svc.Open(ctx, anna, img.ID, domain.Original)
	require.NoError(t, err)
	defer c.Body.Close()
	require.ErrorIs(t, c.Ready(), domain.Denied)
}

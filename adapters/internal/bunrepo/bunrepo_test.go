package bunrepo_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
	"github.com/imagify-api/imagify/adapters/sqliterepo"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// open returns the ports on a fresh SQLite file with options of the test's, and the database beneath.
func open(t *testing.T, o bunrepo.Options) (ports.Records, *bun.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	made, err := sqliterepo.Open(t.Context(), path, sqliterepo.Options{})
	require.NoError(t, err)
	_, err = made.MigrateUp(t.Context())
	require.NoError(t, errors.Join(err, made.Close()))
	pool, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	db := bun.NewDB(pool, sqlitedialect.New())
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	if o.Classify == nil {
		o.Classify = func(err error) bunrepo.Class {
			if strings.Contains(err.Error(), "UNIQUE constraint") {
				return bunrepo.Duplicate
			}
			return bunrepo.Other
		}
	}
	return bunrepo.New(db, o), db
}

func newID() domain.ID { return domain.ID(uuid.Must(uuid.NewV7())) }

func saveTier(t *testing.T, r ports.Records, tier domain.Tier) {
	t.Helper()
	require.NoError(t, r.Accounts.Change(t.Context(), func(tx ports.AccountsTx) error { return tx.SaveTier(t.Context(), tier) }))
}

var errDeadlock = errors.New("deadlock")

func classifyDeadlock(err error) bunrepo.Class {
	if errors.Is(err, errDeadlock) {
		return bunrepo.Retry
	}
	return bunrepo.Other
}

func TestChangeIsTriedAgainAfterADeadlock(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{Classify: classifyDeadlock})
	before := end(t, r)
	tries := 0
	require.NoError(t, r.Accounts.Change(t.Context(), func(tx ports.AccountsTx) error {
		tries++
		require.NoError(t, tx.SaveTier(t.Context(), domain.Tier{Name: "gold"}))
		if tries < 3 {
			return errDeadlock
		}
		return nil
	}))
	assert.Equal(t, 3, tries)
	assert.Equal(t, []ports.Change{{Kind: ports.TierChanged, Name: "gold"}}, whole(t, r, before).Entries, "only the last try counts")
}

// All connections are in use: who waits for one is told so after the timeout, by
// reads, single statements and transactions.
func TestTimeout(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{Timeout: 50 * time.Millisecond})
	saveTier(t, r, domain.Tier{Name: "gold"})
	require.NoError(t, r.Accounts.Change(t.Context(), func(ports.AccountsTx) error { // has the only connection
		_, err := r.Accounts.Tiers(t.Context())
		require.ErrorIs(t, err, domain.Unavailable)
		_, err = r.Changes.Since(t.Context(), "")
		require.ErrorIs(t, err, domain.Unavailable)
		_, err = r.Images.List(t.Context(), newID(), ports.Page{Limit: 10})
		require.ErrorIs(t, err, domain.Unavailable)
		_, err = r.Links.TakeView(t.Context(), domain.SecretHash{1}, time.Now())
		require.ErrorIs(t, err, domain.Unavailable)
		err = r.Accounts.Change(t.Context(), func(ports.AccountsTx) error { return nil })
		require.ErrorIs(t, err, domain.Unavailable)
		return nil
	}))
	require.NoError(t, r.Accounts.Change(t.Context(), func(tx ports.AccountsTx) error {
		time.Sleep(100 * time.Millisecond) // a transaction that has begun has its time
		return tx.SaveTier(t.Context(), domain.Tier{Name: "silver"})
	}))
	tiers, err := r.Accounts.Tiers(t.Context())
	require.NoError(t, err)
	assert.Len(t, tiers, 2)
}

func TestChangeGivesUp(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{Classify: classifyDeadlock})
	tries := 0
	err := r.Accounts.Change(t.Context(), func(ports.AccountsTx) error { tries++; return errDeadlock })
	require.ErrorIs(t, err, errDeadlock)
	assert.Equal(t, 10, tries)

	ctx, cancel := context.WithCancel(t.Context())
	tries = 0
	err = r.Accounts.Change(ctx, func(ports.AccountsTx) error { tries++; cancel(); return errDeadlock })
	require.Error(t, err)
	assert.Equal(t, 1, tries)
}

// An error of the caller's own ends the change and comes back as it is.
func TestChangeReturnsTheCallersError(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{})
	own := errors.New("own")
	err := r.Accounts.Change(t.Context(), func(tx ports.AccountsTx) error {
		require.NoError(t, tx.SaveTier(t.Context(), domain.Tier{Name: "gold"}))
		return own
	})
	assert.Same(t, own, err)
	_, err = r.Accounts.Tier(t.Context(), "gold")
	assert.ErrorIs(t, err, domain.NotFound)
}

// A panic in fn must not keep the transaction, and with it the database, locked.
func TestChangePanics(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{})
	assert.Panics(t, func() { _ = r.Accounts.Change(t.Context(), func(ports.AccountsTx) error { panic("oh") }) })
	saveTier(t, r, domain.Tier{Name: "gold"})
}

func TestCodesOfTheDriversErrors(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone away")
	for name, c := range map[string]struct {
		err  error
		code domain.Code
	}{
		"away":     {gone, domain.Unavailable},
		"bad conn": {driver.ErrBadConn, domain.Unavailable},
		"net":      {&net.OpError{Op: "read", Err: errors.New("reset")}, domain.Unavailable},
		"deadline": {context.DeadlineExceeded, domain.Unavailable},
		"other":    {errors.New("syntax error near SECRET"), domain.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connector := failingConnector{c.err}
			db := bun.NewDB(sql.OpenDB(connector), sqlitedialect.New())
			t.Cleanup(func() { assert.NoError(t, db.Close()) })
			r := bunrepo.New(db, bunrepo.Options{Classify: func(err error) bunrepo.Class {
				if errors.Is(err, gone) {
					return bunrepo.Unavailable
				}
				return bunrepo.Other
			}})
			_, read := r.Images.Get(t.Context(), newID(), newID())
			_, feed := r.Changes.Since(t.Context(), "")
			for _, err := range []error{
				read, feed, r.Accounts.DeleteSession(t.Context(), domain.SecretHash{}), r.Images.AbortUpload(t.Context(), ports.Upload{}),
			} {
				require.ErrorIs(t, err, c.err)
				assert.Equal(t, c.code, domain.CodeOf(err))
				assert.NotContains(t, domain.AsError(err).Msg, "SECRET")
				assert.Equal(t, c.code == domain.Unavailable, domain.AsError(err).RetryAfter > 0)
			}
		})
	}
}

type failingConnector struct{ err error }

func (c failingConnector) Connect(context.Context) (driver.Conn, error) { return nil, c.err }
func (c failingConnector) Driver() driver.Driver                        { return nil }

// One statement outside of a transaction is run again after a deadlock, which took it
// back, and after a lost connection: it is one that may be done twice.
func TestSingleStatementsAreTriedAgain(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		err   error
		tries int
	}{"deadlock": {errDeadlock, 10}, "lost": {lost, 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connector := &countingConnector{failingConnector: failingConnector{c.err}}
			db := bun.NewDB(sql.OpenDB(connector), sqlitedialect.New())
			t.Cleanup(func() { assert.NoError(t, db.Close()) })
			r := bunrepo.New(db, bunrepo.Options{Classify: func(err error) bunrepo.Class {
				if errors.Is(err, lost) {
					return bunrepo.Lost
				}
				return classifyDeadlock(err)
			}})
			now := time.Now()
			for what, f := range map[string]func() error{
				"lease":   func() error { _, err := r.Leases.Acquire(t.Context(), "sweep", "me", now, now); return err },
				"session": func() error { return r.Accounts.DeleteSession(t.Context(), domain.SecretHash{1}) },
			} {
				connector.n = 0
				require.ErrorIs(t, f(), domain.Unavailable, what)
				assert.Equal(t, c.tries, connector.n, what)
			}
		})
	}
}

type countingConnector struct {
	failingConnector
	n int
}

func (c *countingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c.n++
	return c.failingConnector.Connect(ctx)
}

// A row that this program cannot read is an error, never a wider permission or an absence.
func TestUnreadableRows(t *testing.T) {
	t.Parallel()
	r, db := open(t, bunrepo.Options{})
	ctx := t.Context()
	id, link := newID(), domain.Link{ID: newID(), Hash: domain.SecretHash{1}, OwnerID: newID(), ImageID: newID()}
	saveTier(t, r, domain.Tier{Name: "gold"})
	require.NoError(t, r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
		return tx.SaveUser(ctx, domain.User{ID: id, Username: "u", Tiers: []string{"gold"}})
	}))
	require.NoError(t, r.Links.Create(ctx, link, 0))
	read := map[string][]func() error{
		"tier": {
			func() error { _, err := r.Accounts.Tier(ctx, "gold"); return err },
			func() error { _, err := r.Accounts.Tiers(ctx); return err },
		},
		"user": {
			func() error { _, err := r.Accounts.User(ctx, id); return err },
			func() error { _, err := r.Accounts.Users(ctx, "gold", ports.Page{Limit: 1}); return err },
		},
		"link": {
			func() error { _, err := r.Links.ByToken(ctx, link.Hash); return err },
			func() error {
				_, err := r.Links.List(ctx, link.OwnerID, link.ImageID, ports.Page{Limit: 1})
				return err
			},
			func() error { _, _, err := r.Links.ListAll(ctx, ports.TimeRange{}, ports.Page{Limit: 1}); return err },
		},
	}
	for _, c := range []struct{ what, spoil, mend string }{
		{"tier", "UPDATE tiers SET permissions = 'x'", "UPDATE tiers SET permissions = '[]'"},
		{"tier", `UPDATE tiers SET permissions = '["can_fly"]'`, "UPDATE tiers SET permissions = '[]'"},
		{"tier", "UPDATE tiers SET limits = '[]'", "UPDATE tiers SET limits = '{}'"},
		{"user", "UPDATE users SET permissions = '{}'", "UPDATE users SET permissions = '[]'"},
		{"user", "UPDATE users SET tiers = ''", "UPDATE users SET tiers = '[]'"},
		{"link", "UPDATE links SET height = 9999", "UPDATE links SET height = 0"},
	} {
		_, err := db.ExecContext(ctx, c.spoil)
		require.NoError(t, err)
		for _, f := range read[c.what] {
			err := f()
			require.Error(t, err, c.spoil)
			assert.Equal(t, domain.Internal, domain.CodeOf(err), c.spoil)
		}
		_, err = db.ExecContext(ctx, c.mend)
		require.NoError(t, err)
		for _, f := range read[c.what] {
			require.NoError(t, f(), c.mend)
		}
	}
	tier, err := r.Accounts.Tier(ctx, "gold")
	require.NoError(t, err)
	assert.Equal(t, domain.DefaultLimits(), tier.Limits, "a limit that a row does not know has its default")
}

// What a database would change on its way is refused; only the audit log takes anything.
func TestTextsAreKeptToTheLetterOrRefused(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{})
	ctx := t.Context()
	for _, bad := range []string{"a\x00b", "a\xffb"} {
		change := func(fn func(tx ports.AccountsTx) error) error { return r.Accounts.Change(ctx, fn) }
		_, acquire := r.Leases.Acquire(ctx, bad, "h", time.Now(), time.Now())
		for i, err := range []error{
			change(func(tx ports.AccountsTx) error { return tx.SaveUser(ctx, domain.User{ID: newID(), Username: bad}) }),
			change(func(tx ports.AccountsTx) error {
				return tx.SaveUser(ctx, domain.User{ID: newID(), Username: "u", Tiers: []string{bad}})
			}),
			change(func(tx ports.AccountsTx) error { return tx.SaveTier(ctx, domain.Tier{Name: "t", Title: bad}) }),
			r.Images.CommitUpload(ctx, ports.Upload{}, domain.Image{Filename: bad}, ports.Quota{}),
			r.Accounts.CreateToken(ctx, domain.Token{ID: newID(), Name: bad}, 0),
			acquire,
			r.Leases.Release(ctx, "sweep", bad),
		} {
			assert.ErrorIs(t, err, domain.Invalid, "%q %d", bad, i)
		}
		_, err := r.Accounts.UserByName(ctx, bad)
		assert.ErrorIs(t, err, domain.NotFound)
		_, err = r.Accounts.Tier(ctx, bad)
		assert.ErrorIs(t, err, domain.NotFound)
		users, err := r.Accounts.Users(ctx, bad, ports.Page{Limit: 1})
		assert.NoError(t, err)
		assert.Empty(t, users)
		require.NoError(t, change(func(tx ports.AccountsTx) error {
			if err := tx.DeleteTier(ctx, bad); err != nil {
				return err
			}
			return tx.Record(ctx, domain.AuditEntry{ID: newID(), Actor: bad, Target: bad, RequestID: bad, Before: []byte(bad)})
		}))
		entries, err := r.Audit.List(ctx, bad, ports.TimeRange{}, ports.Page{Limit: 1})
		assert.NoError(t, err)
		assert.Empty(t, entries)
	}
	entries, err := r.Audit.List(ctx, "", ports.TimeRange{}, ports.Page{Limit: 9})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for _, e := range entries {
		for _, s := range []string{e.Actor, e.Target, e.RequestID, string(e.Before)} {
			assert.Equal(t, "a\uFFFDb", s)
		}
		assert.Nil(t, e.After)
	}
}

func TestLimitsMustBePositive(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{})
	ctx, p, all := t.Context(), ports.Page{}, ports.TimeRange{}
	var id domain.ID
	for name, f := range map[string]func() error{
		"users":    func() error { _, err := r.Accounts.Users(ctx, "", p); return err },
		"deleting": func() error { _, err := r.Accounts.DeletingUsers(ctx, 0); return err },
		"images":   func() error { _, err := r.Images.List(ctx, id, p); return err },
		"all":      func() error { _, _, err := r.Images.ListAll(ctx, all, p); return err },
		"due":      func() error { _, err := r.Images.DueDeletions(ctx, time.Now(), id, 0); return err },
		"links":    func() error { _, err := r.Links.List(ctx, id, id, p); return err },
		"allLinks": func() error { _, _, err := r.Links.ListAll(ctx, all, p); return err },
		"old":      func() error { _, err := r.Links.DeleteOld(ctx, time.Now(), 0); return err },
		"audit":    func() error { _, err := r.Audit.List(ctx, "", all, p); return err },
		"expired":  func() error { _, err := r.Accounts.DeleteExpiredSessions(ctx, time.Now(), 0); return err },
		"tokens":   func() error { _, err := r.Accounts.Tokens(ctx, id, p); return err },
	} {
		assert.ErrorIs(t, f(), domain.Invalid, name)
	}
}

// whole is an answer of the feed that lost nothing.
func whole(t *testing.T, r ports.Records, c ports.Cursor) ports.Feed {
	t.Helper()
	f, err := r.Changes.Since(t.Context(), c)
	require.NoError(t, err)
	require.False(t, f.Lost)
	return f
}

// end is the end of the feed.
func end(t *testing.T, r ports.Records) ports.Cursor {
	t.Helper()
	f, err := r.Changes.Since(t.Context(), "")
	require.NoError(t, err)
	return f.Cursor
}

// A feed that does not continue what the caller has seen says so, whatever became of its rows.
func TestFeedThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil string
		// mended says that the next change puts the feed right.
		mended bool
	}{
		"an older number":         {"UPDATE change_versions SET version = version - 1", true},
		"a newer number":          {"UPDATE change_versions SET version = version + 1", true},
		"far too many":            {"UPDATE change_versions SET version = version + 5000", true},
		"the same, another stamp": {"UPDATE change_versions SET stamp = stamp + 1", true},
		"a null stamp":            {"UPDATE change_versions SET stamp = NULL", false},
		"a zero stamp":            {"UPDATE change_versions SET stamp = 0", false},
		"no row":                  {"DELETE FROM change_versions", true},
		"no row of the old feed":  {"DELETE FROM change_version", false},
		"another old feed":        {"UPDATE change_version SET version = version + 1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, db := open(t, bunrepo.Options{})
			for i := range 40 {
				saveTier(t, r, domain.Tier{Name: fmt.Sprint("tier", i)})
			}
			seen := end(t, r)
			require.Empty(t, whole(t, r, seen).Entries)
			_, err := db.ExecContext(t.Context(), c.spoil)
			require.NoError(t, err)
			f, err := r.Changes.Since(t.Context(), seen)
			require.NoError(t, err)
			assert.True(t, f.Lost)
			assert.Empty(t, f.Entries)
			assert.WithinDuration(t, time.Now(), f.Now, time.Minute)
			for i := range 40 { // one in each shard at least
				saveTier(t, r, domain.Tier{Name: fmt.Sprint("tier", i), Title: "changed"})
			}
			f, err = r.Changes.Since(t.Context(), seen)
			require.NoError(t, err)
			assert.True(t, f.Lost, "what was missed is not known, though the feed goes on")
			if !c.mended {
				return
			}
			saveTier(t, r, domain.Tier{Name: "gold"})
			assert.Len(t, whole(t, r, f.Cursor).Entries, 1)
		})
	}
}

// Forgotten entries do not make what came after them unknown: an entry says itself what it follows.
func TestFeedGoesOnAfterItWasTrimmed(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{})
	saveTier(t, r, domain.Tier{Name: "gold"})
	seen := end(t, r)
	require.NoError(t, r.Changes.Forget(t.Context(), time.Now().Add(time.Hour)))
	assert.Empty(t, whole(t, r, seen).Entries)
	saveTier(t, r, domain.Tier{Name: "gold"})
	assert.Len(t, whole(t, r, seen).Entries, 1)
}

// While nodes of the version before are replaced, either version hears of the other's changes.
func TestFeedDuringARollOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		until time.Time
		told  bool
	}{
		"during": {time.Now().Add(time.Hour), true}, "after": {time.Now().Add(-time.Hour), false}, "a new installation": {time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, db := open(t, bunrepo.Options{})
			ctx := t.Context()
			_, err := db.ExecContext(ctx, "UPDATE feed_state SET rollout_until = ?", max(0, c.until.UnixMicro()))
			require.NoError(t, err)
			old := func() (version int64) {
				require.NoError(t, db.QueryRowContext(ctx, "SELECT version FROM change_version WHERE id = 1").Scan(&version))
				return version
			}
			before := old()
			saveTier(t, r, domain.Tier{Name: "gold"})
			if !c.told {
				assert.Equal(t, before, old())
				return
			}
			assert.Greater(t, old(), before+1000, "the version before takes more than a thousand for lost")

			// What the version before does in a change.
			seen := end(t, r)
			require.NoError(t, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				var version int64
				if err := tx.NewRaw("SELECT version, 0 FROM change_version WHERE id = 1").Scan(ctx, &version, new(int64)); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "INSERT INTO changes (version, kind, id, name, at) VALUES (?, 'tier', X'00', 'gold', 0)", version+1)
				if err != nil {
					return err
				}
				_, err = tx.ExecContext(ctx, "UPDATE change_version SET version = ? WHERE id = 1", version+1)
				return err
			}))
			f, err := r.Changes.Since(ctx, seen)
			require.NoError(t, err)
			assert.True(t, f.Lost)
			assert.Empty(t, whole(t, r, f.Cursor).Entries)
		})
	}
}

// How long nodes of the version before may run is told by the database's clock, whatever this node's says.
func TestRollOutIsJudgedByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	const now = int64(1_700_000_000_000_000) // years ago by this node's clock
	for name, c := range map[string]struct {
		until int64
		told  bool
	}{"during": {now + 3600e6, true}, "after": {now - 1, false}} {
		r, db := open(t, bunrepo.Options{Clock: strconv.FormatInt(now, 10)})
		_, err := db.ExecContext(t.Context(), "UPDATE feed_state SET rollout_until = ?", c.until)
		require.NoError(t, err)
		old := func() (version int64) {
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT version FROM change_version WHERE id = 1").Scan(&version))
			return version
		}
		before := old()
		saveTier(t, r, domain.Tier{Name: "gold"})
		assert.Equal(t, c.told, old() > before, name)
	}
}

// A start mends what is missing of the feed, before any change has to.
func TestMendFeed(t *testing.T) {
	t.Parallel()
	r, db := open(t, bunrepo.Options{})
	saveTier(t, r, domain.Tier{Name: "gold"})
	count := func(where string) (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM change_versions WHERE "+where).Scan(&n))
		return n
	}
	require.Equal(t, 16, count("stamp <> 0"))
	seen := end(t, r)
	require.NoError(t, bunrepo.MendFeed(t.Context(), r))
	f, err := r.Changes.Since(t.Context(), seen)
	require.NoError(t, err)
	assert.False(t, f.Lost, "what is whole stays as it is")
	_, err = db.ExecContext(t.Context(), "DELETE FROM change_versions WHERE shard IN (3, 7)")
	require.NoError(t, err)
	require.NoError(t, bunrepo.MendFeed(t.Context(), r))
	assert.Equal(t, 16, count("stamp <> 0"))
	f, err = r.Changes.Since(t.Context(), seen)
	require.NoError(t, err)
	assert.True(t, f.Lost, "its history is another")
	assert.Empty(t, whole(t, r, f.Cursor).Entries)
}

// The database's own clock is asked where there is one.
func TestClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	r, db := open(t, bunrepo.Options{Clock: "1700000000123456", Now: func() time.Time { panic("not asked") }})
	feed, err := r.Changes.Since(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, time.UnixMicro(1700000000123456).UTC(), feed.Now)
	saveTier(t, r, domain.Tier{Name: "gold"})
	var at int64
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT at FROM change_entries").Scan(&at))
	assert.EqualValues(t, 1700000000123456, at)
}

// Old keys do not pile up, and a deleted user leaves none.
func TestIdempotencyKeysAreForgotten(t *testing.T) {
	t.Parallel()
	r, db := open(t, bunrepo.Options{})
	ctx, owner, now := t.Context(), newID(), time.Now()
	begin := func(n byte, at time.Time) {
		u := ports.Upload{ImageID: newID(), OwnerID: owner, Key: domain.SecretHash{1, n}, LeaseUntil: at.Add(time.Minute)}
		reservation, err := r.Images.BeginUpload(ctx, u, at)
		require.NoError(t, err)
		require.Equal(t, ports.ReservationWon, reservation.State)
	}
	count := func() (n int) {
		require.NoError(t, db.QueryRowContext(ctx, "SELECT COUNT(*) FROM idempotency").Scan(&n))
		return n
	}
	for i := range byte(30) {
		begin(i, now.Add(-ports.KeyRetention-time.Hour))
	}
	require.Equal(t, 30, count())
	begin(100, now)
	begin(101, now)
	assert.Equal(t, 2, count(), "each new key takes some old ones along")
	require.NoError(t, r.Accounts.Change(ctx, func(tx ports.AccountsTx) error { return tx.DeleteUser(ctx, owner) }))
	assert.Zero(t, count())
}

// An id carries the clock of the node that made it: minutes of difference hide nothing from a range of times.
func TestRangesAreByTheRecordsTime(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{})
	ctx, at := t.Context(), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i, skew := range []time.Duration{-50 * time.Minute, 0, 50 * time.Minute} {
		id := domain.FirstIDAt(at.Add(skew))
		id[15] = byte(i)
		require.NoError(t, r.Links.Create(ctx, domain.Link{ID: id, Hash: domain.SecretHash{9, byte(i)}, OwnerID: newID(), CreatedAt: at}, 0))
	}
	for _, c := range []struct {
		r    ports.TimeRange
		want int
	}{
		{ports.TimeRange{From: at, To: at.Add(time.Microsecond)}, 3},
		{ports.TimeRange{From: at.Add(time.Microsecond)}, 0},
		{ports.TimeRange{To: at}, 0},
		{ports.TimeRange{}, 3},
	} {
		links, next, err := r.Links.ListAll(ctx, c.r, ports.Page{Limit: 5})
		require.NoError(t, err)
		assert.Len(t, links, c.want)
		assert.True(t, next.IsZero())
	}
}

// Many of everything, so that lists of values are sent in parts.
func TestManyLinksAtOnce(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{})
	ctx, owner, image, at := t.Context(), newID(), newID(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	views := map[domain.SecretHash]int64{{0xff}: 5, {0xfe}: 0}
	const n = 1100
	for i := range n {
		l := domain.Link{ID: newID(), Hash: domain.SecretHash{1, byte(i), byte(i >> 8)}, OwnerID: owner, ImageID: image, CreatedAt: at}
		require.NoError(t, r.Links.Create(ctx, l, 0))
		views[l.Hash] = int64(1 + i%2)
	}
	require.NoError(t, r.Links.AddViews(ctx, ports.ViewBatch{ID: newID(), Views: views}))
	links, err := r.Links.List(ctx, owner, domain.ID{}, ports.Page{Limit: n + 1})
	require.NoError(t, err)
	require.Len(t, links, n)
	for _, l := range links {
		require.Equal(t, views[l.Hash], l.Views)
	}
	removed, err := r.Links.DeleteOld(ctx, at.Add(time.Second), n+1)
	require.NoError(t, err)
	assert.Equal(t, n, removed)
	left, _, err := r.Links.ListAll(ctx, ports.TimeRange{}, ports.Page{Limit: 5})
	require.NoError(t, err)
	assert.Empty(t, left)
}

// MySQL's share of the statements, without a server: what the dialect would send.
func TestLockingReads(t *testing.T) {
	t.Parallel()
	r, _ := open(t, bunrepo.Options{ForUpdate: "FOR UPDATE"}) // no SQLite understands it
	err := r.Images.MarkDeleting(t.Context(), newID(), newID(), nil, time.Now())
	require.Error(t, err)
	assert.True(t, strings.Contains(err.Error(), "FOR") || strings.Contains(err.Error(), "syntax"), err.Error())
}

// A broken connection is harmless before the COMMIT is sent.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r, _ := open(t, bunrepo.Options{Classify: func(err error) bunrepo.Class {
		if errors.Is(err, broken) || errors.Is(err, sql.ErrTxDone) {
			return bunrepo.Lost
		}
		return bunrepo.Other
	}})
	tries := 0
	require.NoError(t, r.Accounts.Change(t.Context(), func(tx ports.AccountsTx) error {
		if tries++; tries == 1 {
			return broken
		}
		return tx.SaveTier(t.Context(), domain.Tier{Name: "gold"})
	}))
	assert.Equal(t, 2, tries)
}

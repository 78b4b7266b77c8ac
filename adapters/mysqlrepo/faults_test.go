package mysqlrepo

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

func TestParse(t *testing.T) {
	t.Parallel()
	cfg, err := parse("mysql://me:p%40ss%3A%2Fw@db.example.org/imagify?tls=true")
	require.NoError(t, err)
	assert.Equal(t, "me", cfg.User)
	assert.Equal(t, "p@ss:/w", cfg.Passwd)
	assert.Equal(t, "db.example.org:3306", cfg.Addr)
	assert.Equal(t, "imagify", cfg.DBName)
	assert.Equal(t, "true", cfg.TLSConfig)
	assert.True(t, cfg.ClientFoundRows)
	assert.True(t, cfg.InterpolateParams)
	cfg, err = parse("mysql://me@[::1]:3307/imagify")
	require.NoError(t, err)
	assert.Equal(t, "[::1]:3307", cfg.Addr)
	assert.Empty(t, cfg.TLSConfig)

	for _, c := range []struct{ address, says string }{
		{"postgres://me:SECRET@host/name", "mysql://"},
		{"mysql:me:SECRET@host/name", "mysql://"},
		{"mysql://me:SEC/RET@host/name", "malformed"},
		{"mysql://me:SECRET@/name", "no host"},
		{"mysql://host/name", "no user"},
		{"mysql://me:SECRET@host", "no database"},
		{"mysql://me:SECRET@host/a/b", "no database"},
		{"mysql://me:SECRET@host/name?tls=yes", "tls is one of"},
		{"mysql://me:SECRET@host/name?tls=true&tls=false", "twice"},
		{"mysql://me:SECRET@host/name?sslmode=require", `unknown parameter "sslmode"`},
		{"mysql://me:SECRET@host/name#x", "#"},
	} {
		_, err := Open(t.Context(), c.address, Options{})
		require.ErrorContains(t, err, c.says, c.address)
		assert.NotContains(t, err.Error(), "SEC")
	}
	_, err = Open(t.Context(), "mysql://me@127.0.0.1/name", Options{MaxConns: 2})
	require.ErrorContains(t, err, "at least 4")
	_, err = Open(t.Context(), "mysql://me@127.0.0.1/name", Options{ConnectTimeout: -1})
	require.ErrorContains(t, err, "negative")
	_, err = Open(t.Context(), "mysql://me@127.0.0.1/name", Options{Timeout: -1})
	require.ErrorContains(t, err, "negative")
	_, err = Open(t.Context(), "mysql://me:SECRET@127.0.0.1:1/name", Options{})
	require.ErrorContains(t, err, "check the host")
	assert.NotContains(t, err.Error(), "SECRET")
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for want, all := range map[bunrepo.Class][]error{
		bunrepo.Duplicate: {&mysql.MySQLError{Number: 1062}},
		bunrepo.Retry:     {&mysql.MySQLError{Number: 1213}, &mysql.MySQLError{Number: 1205}},
		bunrepo.Lost:      {driver.ErrBadConn, mysql.ErrInvalidConn, io.ErrUnexpectedEOF, &mysql.MySQLError{Number: 1053}, &mysql.MySQLError{Number: 1159}, &mysql.MySQLError{Number: 1180}, &mysql.MySQLError{Number: 3100}, mysql.ErrMalformPkt},
		bunrepo.Unavailable: {
			&mysql.MySQLError{Number: 1040}, &mysql.MySQLError{Number: 1290}, &net.OpError{Err: errors.New("refused")},
			// Galera without its cluster, Vitess, a storage engine, rights that were taken away, and what no version has yet.
			&mysql.MySQLError{Number: 1047}, &mysql.MySQLError{Number: 1105}, &mysql.MySQLError{Number: 1030}, &mysql.MySQLError{Number: 1045},
			&mysql.MySQLError{Number: 1142}, &mysql.MySQLError{Number: 65000}, errConnect,
		},
		bunrepo.Other: {
			&mysql.MySQLError{Number: 1064}, &mysql.MySQLError{Number: 1054}, &mysql.MySQLError{Number: 1146}, &mysql.MySQLError{Number: 1048},
			&mysql.MySQLError{Number: 1406}, &mysql.MySQLError{Number: 1264}, errors.New("x"),
		},
	} {
		for _, err := range all {
			assert.Equal(t, want, classify(fmt.Errorf("wrapped: %w", err)), err)
		}
	}
}

// What the server says about a wrong address comes with what to do.
func TestOpenFails(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		_, err := Open(t.Context(), s.URL("nosuch"), Options{})
		require.ErrorContains(t, err, "CREATE DATABASE")
		u, err := url.Parse(s.empty(t))
		require.NoError(t, err)
		u.User = url.UserPassword("root", "SECRET")
		_, err = Open(t.Context(), u.String(), Options{})
		require.ErrorContains(t, err, "check the user")
		assert.NotContains(t, err.Error(), "SECRET")
		_, err = s.admin.ExecContext(t.Context(), "CREATE USER IF NOT EXISTS nobody IDENTIFIED BY 'SECRET'")
		require.NoError(t, err)
		u.User = url.UserPassword("nobody", "SECRET")
		_, err = Open(t.Context(), u.String(), Options{})
		require.ErrorContains(t, err, "GRANT the user rights")
		_, err = Open(t.Context(), u.String()+"?tls=true", Options{})
		if s.MariaDB { // 10.11 has no certificate unless told so
			require.ErrorContains(t, err, "leave tls out")
		} else {
			require.ErrorContains(t, err, "by the parameter ca")
		}
	})
}

func tier(name string) func(ports.AccountsTx) error {
	return func(tx ports.AccountsTx) error { return tx.SaveTier(context.Background(), domain.Tier{Name: name}) }
}

// A deadlock ends one of the two; a lock that another keeps for too long ends the
// transaction. Either is run again.
func TestDeadlockAndLockWait(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		db := s.fresh(t)
		ctx := t.Context()
		before, err := db.Records().Changes.Since(ctx, "")
		require.NoError(t, err)
		require.NoError(t, db.Records().Accounts.Change(ctx, tier("gold")))
		require.NoError(t, db.Records().Accounts.Change(ctx, tier("zinc")))

		// An outsider holds one tier, the change another; then each wants the other's.
		outside, err := db.db.DB.BeginTx(ctx, nil)
		require.NoError(t, err)
		_, err = outside.ExecContext(ctx, "UPDATE tiers SET title = 'x' WHERE name = 'gold'")
		require.NoError(t, err)
		tries := 0
		var outsiders error
		waited := make(chan struct{})
		require.NoError(t, db.Records().Accounts.Change(ctx, func(tx ports.AccountsTx) error {
			if tries++; tries == 1 {
				if err := tier("zinc")(tx); err != nil {
					return err
				}
				go func() {
					defer close(waited)
					_, outsiders = outside.ExecContext(ctx, "UPDATE tiers SET title = 'x' WHERE name = 'zinc'")
					outsiders = errors.Join(outsiders, outside.Rollback())
				}()
			}
			return tier("gold")(tx)
		}))
		<-waited
		if outsiders == nil {
			assert.Greater(t, tries, 1, "one of the two was ended")
		} else {
			assert.Equal(t, bunrepo.Retry, classify(outsiders))
		}

		holder, err := db.db.DB.BeginTx(ctx, nil)
		require.NoError(t, err)
		_, err = holder.ExecContext(ctx, "UPDATE tiers SET title = 'x' WHERE name = 'gold'")
		require.NoError(t, err)
		tries = 0
		require.NoError(t, db.Records().Accounts.Change(ctx, func(tx ports.AccountsTx) error {
			if tries++; tries == 2 {
				assert.NoError(t, holder.Rollback())
			}
			return tier("gold")(tx)
		}))
		assert.Equal(t, 2, tries, "the lock wait ended the first")
		feed, err := db.Records().Changes.Since(ctx, before.Cursor)
		require.NoError(t, err)
		assert.False(t, feed.Lost)
		assert.GreaterOrEqual(t, len(feed.Entries), 4, "only tries that were committed count")
	})
}

// A transaction whose connection is killed before its COMMIT is run again.
func TestConnectionKilled(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		db := s.fresh(t)
		ctx := t.Context()
		tries := 0
		require.NoError(t, db.Records().Accounts.Change(ctx, func(tx ports.AccountsTx) error {
			require.NoError(t, tier(fmt.Sprintf("try%d", tries))(tx))
			if tries++; tries == 1 {
				kill(t, s)
			}
			return tier("gold")(tx)
		}))
		assert.Equal(t, 2, tries)
		tiers, err := db.Records().Accounts.Tiers(ctx)
		require.NoError(t, err)
		var names []string
		for _, found := range tiers {
			names = append(names, found.Name)
		}
		assert.Equal(t, []string{"gold", "try1"}, names)
	})
}

// kill ends every connection to the server but its own.
func kill(t *testing.T, s *server) {
	t.Helper()
	ctx := t.Context()
	conn, err := s.admin.Conn(ctx)
	require.NoError(t, err)
	defer conn.Close()
	rows, err := conn.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'root'")
	require.NoError(t, err)
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, ids)
	for _, id := range ids {
		_, err := conn.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
		if !is(err, 1094) { // gone already
			require.NoError(t, err)
		}
	}
}

// Racers for one key, one link and one lease: one of each wins.
func TestDuplicateKeyRaces(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		db := s.fresh(t)
		ctx, now := t.Context(), time.Now()
		for round := range 5 {
			owner := newID()
			link := domain.Link{ID: newID(), Hash: domain.SecretHash{byte(round + 1)}, OwnerID: owner, ImageID: newID(), CreatedAt: now}
			var reservations, made, leased atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					u := ports.Upload{
						ImageID: newID(), OwnerID: owner, UploadedAt: now, LeaseUntil: now.Add(time.Minute), Key: domain.SecretHash{9},
					}
					reservation, err := db.Records().Images.BeginUpload(ctx, u, now)
					if assert.NoError(t, err) && reservation.State == ports.ReservationWon {
						reservations.Add(1)
					}
					if err := db.Records().Links.Create(ctx, link, 0); err == nil {
						made.Add(1)
					} else {
						assert.ErrorIs(t, err, domain.Conflict)
					}
					got, err := db.Records().Leases.Acquire(ctx, fmt.Sprint("sweep", round), u.ImageID.String(), now, now.Add(time.Minute))
					if assert.NoError(t, err) && got {
						leased.Add(1)
					}
				})
			}
			wg.Wait()
			assert.EqualValues(t, 1, reservations.Load())
			assert.EqualValues(t, 1, made.Load())
			assert.EqualValues(t, 1, leased.Load())
		}
	})
}

// The server is killed under load and comes back: every upload that was
// acknowledged is there, the others failed as Unavailable, and the same handle goes on.
func TestRestartLosesNothing(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		db := s.fresh(t)
		ctx := t.Context()
		owner := newID()
		var mu sync.Mutex
		var kept []domain.ID
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					img, err := upload(ctx, db, owner)
					switch {
					case err == nil:
						mu.Lock()
						kept = append(kept, img.ID)
						mu.Unlock()
					case domain.CodeOf(err) == domain.Conflict:
						// A COMMIT whose answer was lost is not run again; nothing else may conflict here.
						assert.Fail(t, "an upload met its own", err.Error())
					default:
						assert.ErrorIs(t, err, domain.Unavailable)
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(kept)
		}
		for range 2 {
			before := count()
			require.Eventually(t, func() bool { return count() >= before+20 }, time.Minute, time.Millisecond)
			s.Restart(t) // SIGKILL, then a start
		}
		after := count()
		require.Eventually(t, func() bool { return count() >= after+20 }, time.Minute, time.Millisecond)
		close(stop)
		wg.Wait()
		for _, id := range kept {
			_, err := db.Records().Images.Get(ctx, owner, id)
			require.NoError(t, err)
		}
		usage, err := db.Records().Images.Usage(ctx, owner)
		require.NoError(t, err)
		all, err := db.Records().Images.List(ctx, owner, ports.Page{Limit: 1_000_000})
		require.NoError(t, err)
		assert.EqualValues(t, len(all), usage.Images)
	})
}

// A server that is not there answers Unavailable.
func TestServerAway(t *testing.T) {
	t.Parallel()
	s := newServer(t, realserver.StartMariaDB(t))
	db := s.fresh(t)
	s.Kill()
	_, err := db.Records().Accounts.User(t.Context(), newID())
	require.ErrorIs(t, err, domain.Unavailable)
	_, err = upload(t.Context(), db, newID())
	require.ErrorIs(t, err, domain.Unavailable)
	require.Error(t, db.Ping(t.Context()))
}

// A server that has become silent answers Unavailable within the bounds, more
// callers than connections too, and is used again when it answers again.
func TestServerSilent(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		proxy := realserver.ToxiProxy(t, s.Addr)
		u, err := url.Parse(s.empty(t))
		require.NoError(t, err)
		u.Host = proxy.Addr
		db, err := Open(t.Context(), u.String(), Options{MaxConns: minConns})
		require.NoError(t, err)
		defer db.Close()
		_, err = db.MigrateUp(t.Context())
		require.NoError(t, err)
		owner := newID()
		img, err := upload(t.Context(), db, owner)
		require.NoError(t, err)

		within := func(bound time.Duration, what string, fn func() error) {
			began := time.Now()
			assert.ErrorIs(t, fn(), domain.Unavailable, what)
			assert.Less(t, time.Since(began), 3*bound, what)
		}
		proxy.Swallow(t)
		var wg sync.WaitGroup
		for range 3 * minConns {
			wg.Go(func() {
				within(defaultTimeout, "a read", func() error {
					_, err := db.Records().Images.Get(t.Context(), owner, img.ID)
					return err
				})
				within(defaultTimeout, "a write", func() error {
					return db.Records().Accounts.Change(t.Context(), tier("gold"))
				})
			})
		}
		wg.Wait()
		proxy.Heal(t)
		require.NoError(t, db.Records().Accounts.Change(t.Context(), tier("gold")))

		// It becomes silent between the last statement and the COMMIT.
		within(answerTimeout, "a COMMIT", func() error {
			return db.Records().Accounts.Change(t.Context(), func(tx ports.AccountsTx) error {
				defer proxy.Swallow(t)
				return tier("silver")(tx)
			})
		})
		proxy.Heal(t)
		_, err = db.Records().Images.Get(t.Context(), owner, img.ID)
		require.NoError(t, err)
	})
}

// What the server's operator has set for everybody changes nothing that a node relies on.
func TestServersSettings(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		for _, setting := range []string{
			"sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'", "autocommit = 0", "completion_type = 1", "completion_type = 2",
			"sql_select_limit = 1", "sql_safe_updates = 1", "max_join_size = 1", "time_zone = '+09:00'", "innodb_lock_wait_timeout = 1", "wait_timeout = 1",
		} {
			t.Run(setting, func(t *testing.T) {
				address := s.empty(t)
				name, _, _ := strings.Cut(setting, " ")
				var before string
				require.NoError(t, s.admin.QueryRowContext(t.Context(), "SELECT @@GLOBAL."+name).Scan(&before))
				if _, err := strconv.ParseUint(before, 10, 64); err != nil {
					before = "'" + before + "'"
				}
				set := func(setting string) {
					_, err := s.admin.ExecContext(context.Background(), "SET GLOBAL "+setting)
					require.NoError(t, err)
				}
				set(setting)
				defer set(name + " = " + before)
				one, other := s.open(t, address, Options{MaxConns: 4}), s.open(t, address, Options{MaxConns: 4})
				for range 2 { // the second time there is nothing to do
					_, err := one.MigrateUp(t.Context())
					require.NoError(t, err)
				}
				ctx, here, there := t.Context(), one.Records(), other.Records()
				name = `o'neill "\\" || x`
				require.NoError(t, here.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
					return errors.Join(tx.SaveTier(ctx, domain.Tier{Name: "gold", Title: name}), tx.SaveTier(ctx, domain.Tier{Name: "silver"}))
				}))
				tiers, err := there.Accounts.Tiers(ctx)
				require.NoError(t, err)
				require.Len(t, tiers, 2)
				assert.Equal(t, name, tiers[0].Title)

				// A sign-out is one statement, on a connection that has ended a transaction.
				session := domain.Session{Hash: domain.SecretHash{1}, UserID: newID(), CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
				for range 4 {
					require.NoError(t, here.Accounts.CreateSession(ctx, session, 0))
					require.NoError(t, here.Accounts.DeleteSession(ctx, session.Hash))
					_, err = there.Accounts.Session(ctx, session.Hash)
					require.ErrorIs(t, err, domain.NotFound)
				}
				mark := time.Now().UTC().Truncate(time.Microsecond)
				require.NoError(t, here.Changes.Raise(ctx, mark))
				f, err := there.Changes.Since(ctx, "")
				require.NoError(t, err)
				assert.Equal(t, mark, f.Mark)
				assert.WithinDuration(t, time.Now(), f.Now, time.Minute)
			})
		}
	})
}

package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Audit is the suite of ports.Audit.
func Audit(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Audit", newRecords, []story{
		{"RoundTrip", auditRoundTrip},
		{"Paging", auditPaging},
		{"Copies", auditCopies},
		{"EndedContext", auditEnded},
	})
}

func (w *world) recorded(entries ...domain.AuditEntry) {
	w.t.Helper()
	w.change(func(tx ports.AccountsTx) error {
		for _, e := range entries {
			if err := tx.Record(w.ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func auditRoundTrip(w *world) {
	w.wantAudit()
	bare := domain.AuditEntry{ID: w.id(moment(1)), At: moment(1)}
	full := w.entry(longUsername, moment(2).Add(123456*time.Microsecond))
	full.Target, full.Action = longTitle, "user.update"
	full.Before = fmt.Appendf(nil, `{ "b":1,  "a":2, "title": %q, "n": 1.50 }`, longTitle)
	full.After = fmt.Appendf(nil, `{"long":"%s"}`, strings.Repeat("🖼", 30000))
	made := w.entry("a", moment(3))
	made.Before, made.At = nil, time.Date(2026, 1, 2, 8, 4, 8, 123456789, time.FixedZone("", 5*3600))
	w.recorded(bare, full, made)
	w.wantAudit(made, full, bare)
}

func auditPaging(w *world) {
	var all []domain.AuditEntry
	for i := range 9 {
		e := w.entry([]string{"alice", "Alice", "al_ce"}[i%3], moment(i))
		w.recorded(e)
		all = append(all, e)
	}
	for _, actor := range []string{"", "alice", "Alice", "al_ce", "ALICE", "alice ", "%"} {
		for _, c := range ranges {
			w.t.Logf("actor %q, range %s", actor, c.name)
			var want []domain.ID
			for i := c.to - 1; i >= c.from; i-- {
				if actor == "" || all[i].Actor == actor {
					want = append(want, all[i].ID)
				}
			}
			wantPages(w.t, want, entryID, func(p ports.Page) ([]domain.AuditEntry, error) { return w.Audit.List(w.ctx, actor, c.r, p) })
		}
	}
}

func auditCopies(w *world) {
	e := w.entry("admin", epoch)
	given := e
	given.Before, given.After = bytes.Clone(e.Before), bytes.Clone(e.After)
	w.change(func(tx ports.AccountsTx) error {
		if err := tx.Record(w.ctx, given); err != nil {
			return err
		}
		given.Before[0] = 'X' // before the commit: it was copied already
		given.Before = bytes.Clone(e.Before)
		return nil
	})
	given.After[0] = 'X'
	for range 2 {
		got, err := w.Audit.List(w.ctx, "", ports.TimeRange{}, ports.Page{Limit: 1})
		require.NoError(w.t, err)
		require.Len(w.t, got, 1)
		wantEntry(w.t, e, got[0])
		got[0].Before[0], got[0].After[0] = 'Y', 'Y'
	}
}

func auditEnded(w *world) {
	w.recorded(w.entry("admin", epoch))
	wantAllEnded(w.t, []call{{"List", func(ctx context.Context) error {
		_, err := w.Audit.List(ctx, "", ports.TimeRange{}, ports.Page{Limit: 1})
		return err
	}}})
}

// sessions is the suite of sessions.
func sessions(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Sessions", newRecords, []story{
		{"RoundTrip", sessionsRoundTrip},
		{"Taken", sessionsTaken},
		{"Bound", sessionsBound},
		{"BoundRacers", sessionsBoundRacers},
		{"Delete", sessionsDelete},
		{"DeleteExpired", sessionsDeleteExpired},
		{"EndedContext", sessionsEnded},
	})
}

func sessionsRoundTrip(w *world) {
	_, err := w.Accounts.Session(w.ctx, w.hash())
	wantCode(w.t, domain.NotFound, err)
	_, err = w.Accounts.Session(w.ctx, domain.SecretHash{})
	wantCode(w.t, domain.NotFound, err)
	zoned := w.session(w.id(epoch), time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.FixedZone("", 3600)))
	zoned.Epoch = 1 << 62
	for _, s := range []domain.Session{
		w.session(w.id(epoch), time.Date(2099, 1, 1, 0, 0, 0, 999999000, time.UTC)),
		w.session(w.id(epoch), time.Date(2001, 1, 1, 0, 0, 0, 1000, time.UTC)), // long expired: Get does not judge
		zoned,
	} {
		require.NoError(w.t, w.Accounts.CreateSession(w.ctx, s, 0))
		got, err := w.Accounts.Session(w.ctx, s.Hash)
		require.NoError(w.t, err)
		wantSession(w.t, s, got)
	}
}

func sessionsTaken(w *world) {
	s := w.session(w.id(epoch), moment(9))
	other := w.session(w.id(epoch), moment(99))
	other.Hash = s.Hash
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, s, 0))
	wantCode(w.t, domain.Conflict, w.Accounts.CreateSession(w.ctx, other, 0))
	got, err := w.Accounts.Session(w.ctx, s.Hash)
	require.NoError(w.t, err)
	wantSession(w.t, s, got)

	other.Hash = w.hash()
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Accounts.CreateSession(w.ctx, other, 0) })
	wantOneWinner(w.t, errs, domain.Conflict)
}

// haveSessions is which of some sessions are there.
func (w *world) haveSessions(all []domain.Session) (there []bool) {
	w.t.Helper()
	for _, s := range all {
		_, err := w.Accounts.Session(w.ctx, s.Hash)
		if err != nil {
			wantCode(w.t, domain.NotFound, err)
		}
		there = append(there, err == nil)
	}
	return there
}

func sessionsBound(w *world) {
	user, other := w.user("user"), w.user("other")
	w.save(user, other)
	const bound = 3
	at := func(u domain.User, second int) domain.Session {
		s := w.session(u.ID, moment(100))
		s.CreatedAt = moment(second)
		return s
	}
	theirs := at(other, 0)
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, theirs, bound))
	// The oldest is neither the first that was made nor the first by its hash.
	all := []domain.Session{at(user, 3), at(user, 1), at(user, 2)}
	for _, s := range all {
		require.NoError(w.t, w.Accounts.CreateSession(w.ctx, s, bound))
	}
	require.Equal(w.t, []bool{true, true, true}, w.haveSessions(all))
	taken := at(user, 4)
	taken.Hash = theirs.Hash
	wantCode(w.t, domain.Conflict, w.Accounts.CreateSession(w.ctx, taken, bound))
	require.Equal(w.t, []bool{true, true, true}, w.haveSessions(all), "what fails ends no session")
	for i, want := range [][]bool{{true, false, true, true}, {true, false, false, true, true}, {false, false, false, true, true, true}} {
		all = append(all, at(user, 4+i))
		require.NoError(w.t, w.Accounts.CreateSession(w.ctx, all[len(all)-1], bound), "one more is never refused")
		require.Equal(w.t, want, w.haveSessions(all), "the oldest ends")
	}
	for i := range 3 { // as before there was a bound
		all = append(all, at(user, 10+i))
		require.NoError(w.t, w.Accounts.CreateSession(w.ctx, all[len(all)-1], 0), "0 is no bound")
	}
	require.Equal(w.t, []bool{false, false, false, true, true, true, true, true, true}, w.haveSessions(all))
	all = append(all, at(user, 20))
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, all[len(all)-1], bound))
	require.Equal(w.t, []bool{false, false, false, false, false, false, false, true, true, true}, w.haveSessions(all), "as many as are too many")
	_, err := w.Accounts.Session(w.ctx, theirs.Hash)
	require.NoError(w.t, err, "another user's are not counted")

	other.Deleting = true
	w.save(other)
	wantCode(w.t, domain.NotFound, w.Accounts.CreateSession(w.ctx, at(other, 1), bound), "of a user who is going")
	wantCode(w.t, domain.NotFound, w.Accounts.CreateSession(w.ctx, w.session(w.id(epoch), moment(1)), bound), "of nobody")
}

func sessionsBoundRacers(w *world) {
	user := w.user("user")
	w.save(user)
	all, errs := make([]domain.Session, racers), make([]error, racers)
	for i := range all {
		all[i] = w.session(user.ID, moment(100))
	}
	const bound = racers / 2
	race(racers, func(i int) { errs[i] = w.Accounts.CreateSession(w.ctx, all[i], bound) })
	require.NoError(w.t, errors.Join(errs...))
	left := 0
	for _, there := range w.haveSessions(all) {
		if there {
			left++
		}
	}
	require.Equal(w.t, bound, left)
}

func sessionsDelete(w *world) {
	user := w.id(epoch)
	a, b := w.session(user, moment(9)), w.session(user, moment(9))
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, a, 0))
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, b, 0))
	for range 2 {
		require.NoError(w.t, w.Accounts.DeleteSession(w.ctx, a.Hash))
		_, err := w.Accounts.Session(w.ctx, a.Hash)
		wantCode(w.t, domain.NotFound, err)
	}
	_, err := w.Accounts.Session(w.ctx, b.Hash)
	require.NoError(w.t, err)
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, a, 0), "its hash is free again")
}

func sessionsDeleteExpired(w *world) {
	all := make([]domain.Session, 9)
	for i := range all {
		all[i] = w.session(w.id(epoch), moment(i*10))
		require.NoError(w.t, w.Accounts.CreateSession(w.ctx, all[i], 0))
	}
	removed := 0
	for {
		n, err := w.Accounts.DeleteExpiredSessions(w.ctx, moment(55), 4)
		require.NoError(w.t, err)
		require.LessOrEqual(w.t, n, 4)
		removed += n
		left := 0
		for _, s := range all {
			if _, err := w.Accounts.Session(w.ctx, s.Hash); err == nil {
				left++
			}
		}
		require.Equal(w.t, len(all)-removed, left, "as many as it reports")
		if n == 0 {
			break
		}
	}
	require.Equal(w.t, 6, removed)
	for i, s := range all {
		_, err := w.Accounts.Session(w.ctx, s.Hash)
		if i < 6 {
			wantCode(w.t, domain.NotFound, err)
		} else {
			require.NoError(w.t, err, "not expired yet")
		}
	}
}

func sessionsEnded(w *world) {
	s, fresh := w.session(w.id(epoch), moment(1)), w.session(w.id(epoch), moment(1))
	require.NoError(w.t, w.Accounts.CreateSession(w.ctx, s, 0))
	wantAllEnded(w.t, []call{
		{"Create", func(ctx context.Context) error { return w.Accounts.CreateSession(ctx, fresh, 0) }},
		{"Get", func(ctx context.Context) error { _, err := w.Accounts.Session(ctx, s.Hash); return err }},
		{"Get unknown", func(ctx context.Context) error { _, err := w.Accounts.Session(ctx, fresh.Hash); return err }},
		{"Delete", func(ctx context.Context) error { return w.Accounts.DeleteSession(ctx, s.Hash) }},
		{"DeleteExpired", func(ctx context.Context) error {
			_, err := w.Accounts.DeleteExpiredSessions(ctx, moment(9), 9)
			return err
		}},
	})
	_, err := w.Accounts.Session(w.ctx, s.Hash)
	require.NoError(w.t, err)
	_, err = w.Accounts.Session(w.ctx, fresh.Hash)
	wantCode(w.t, domain.NotFound, err)
}

// tokens is the suite of tokens.
func tokens(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Tokens", newRecords, []story{
		{"RoundTrip", tokensRoundTrip},
		{"Taken", tokensTaken},
		{"Bound", tokensBound},
		{"BoundRacers", tokensBoundRacers},
		{"Paging", tokensPaging},
		{"Delete", tokensDelete},
		{"DeleteRacers", tokensDeleteRacers},
		{"EndedContext", tokensEnded},
	})
}

func tokensRoundTrip(w *world) {
	for _, h := range []domain.SecretHash{{}, w.hash()} {
		_, err := w.Accounts.Token(w.ctx, h)
		wantCode(w.t, domain.NotFound, err)
	}
	user := w.id(epoch)
	forever, named, expired := w.token(user, moment(1)), w.token(user, moment(2)), w.token(user, moment(3))
	named.Name, named.ExpiresAt = longTitle, moment(2).Add(720*time.Hour+123456*time.Microsecond)
	expired.ExpiresAt = time.Date(2001, 1, 1, 0, 0, 0, 123456789, time.FixedZone("", 3600)) // ByHash does not judge
	all := []domain.Token{forever, named, expired}
	for _, k := range all {
		require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
	}
	list, err := w.Accounts.Tokens(w.ctx, user, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Len(w.t, list, 3)
	for i, k := range all {
		got, err := w.Accounts.Token(w.ctx, k.Hash)
		require.NoError(w.t, err)
		wantToken(w.t, k, got)
		wantToken(w.t, k, list[2-i])
	}
}

func tokensTaken(w *world) {
	k := w.token(w.id(epoch), epoch)
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
	sameHash, sameID := w.token(w.id(epoch), epoch), w.token(k.UserID, epoch)
	sameHash.Hash, sameID.ID = k.Hash, k.ID
	wantCode(w.t, domain.Conflict, w.Accounts.CreateToken(w.ctx, sameHash, 0))
	wantCode(w.t, domain.Conflict, w.Accounts.CreateToken(w.ctx, sameID, 0))
	got, err := w.Accounts.Token(w.ctx, k.Hash)
	require.NoError(w.t, err)
	wantToken(w.t, k, got)
	_, err = w.Accounts.Token(w.ctx, sameID.Hash)
	wantCode(w.t, domain.NotFound, err)
	list, err := w.Accounts.Tokens(w.ctx, sameHash.UserID, ports.Page{Limit: 5})
	require.NoError(w.t, err)
	require.Empty(w.t, list)
}

func tokensBound(w *world) {
	user, other := w.user("user"), w.user("other")
	w.save(user, other)
	const bound = 3
	create := func(k domain.Token) error { return w.Accounts.CreateToken(w.ctx, k, bound) }
	all := make([]domain.Token, bound)
	for i := range all {
		all[i] = w.token(user.ID, epoch)
		all[i].ExpiresAt = moment(1) // expired ones are counted
		require.NoError(w.t, create(all[i]))
	}
	k := w.token(user.ID, moment(9))
	wantFull(w.t, bound, create(k))
	_, err := w.Accounts.Token(w.ctx, k.Hash)
	wantCode(w.t, domain.NotFound, err)
	require.NoError(w.t, create(w.token(other.ID, epoch)), "another user's are not counted")
	require.NoError(w.t, w.Accounts.DeleteToken(w.ctx, user.ID, all[1].ID))
	require.NoError(w.t, create(k))
	wantFull(w.t, bound, create(w.token(user.ID, moment(9))))
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, w.token(user.ID, epoch), 0), "0 is no bound")

	other.Deleting = true
	w.save(other)
	wantCode(w.t, domain.NotFound, create(w.token(other.ID, epoch)), "of a user who is going")
	wantCode(w.t, domain.NotFound, create(w.token(w.id(epoch), epoch)), "of nobody")
}

func tokensBoundRacers(w *world) {
	user := w.user("user")
	w.save(user)
	tokens, errs := make([]domain.Token, racers), make([]error, racers)
	for i := range tokens {
		tokens[i] = w.token(user.ID, epoch)
	}
	const bound = racers / 2
	race(racers, func(i int) { errs[i] = w.Accounts.CreateToken(w.ctx, tokens[i], bound) })
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

func tokensPaging(w *world) {
	a, b := w.id(epoch), w.id(epoch)
	var ofA, ofB []domain.ID
	for i := range 7 {
		k := w.token(a, moment(i/3))
		require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
		ofA = append(ofA, k.ID)
		if i%2 == 0 {
			k = w.token(b, moment(i/3))
			require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
			ofB = append(ofB, k.ID)
		}
	}
	wantPages(w.t, backwards(ofA), tokenID, func(p ports.Page) ([]domain.Token, error) { return w.Accounts.Tokens(w.ctx, a, p) })
	wantPages(w.t, backwards(ofB), tokenID, func(p ports.Page) ([]domain.Token, error) { return w.Accounts.Tokens(w.ctx, b, p) })
	wantPages(w.t, nil, tokenID, func(p ports.Page) ([]domain.Token, error) { return w.Accounts.Tokens(w.ctx, w.id(epoch), p) })
}

func tokensDelete(w *world) {
	k, other := w.token(w.id(epoch), epoch), w.token(w.id(epoch), epoch)
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, other, 0))
	since := w.cursor()
	wantCode(w.t, domain.NotFound, w.Accounts.DeleteToken(w.ctx, other.UserID, k.ID), "another user's")
	wantCode(w.t, domain.NotFound, w.Accounts.DeleteToken(w.ctx, domain.ID{}, k.ID), "nobody's")
	wantCode(w.t, domain.NotFound, w.Accounts.DeleteToken(w.ctx, k.UserID, w.id(epoch)), "unknown")
	_, err := w.Accounts.Token(w.ctx, k.Hash)
	require.NoError(w.t, err)
	w.wantFeed(since)

	require.NoError(w.t, w.Accounts.DeleteToken(w.ctx, k.UserID, k.ID))
	_, err = w.Accounts.Token(w.ctx, k.Hash)
	wantCode(w.t, domain.NotFound, err)
	list, err := w.Accounts.Tokens(w.ctx, k.UserID, ports.Page{Limit: 1})
	require.NoError(w.t, err)
	require.Empty(w.t, list)
	_, err = w.Accounts.Token(w.ctx, other.Hash)
	require.NoError(w.t, err)
	wantCode(w.t, domain.NotFound, w.Accounts.DeleteToken(w.ctx, k.UserID, k.ID), "a second time")
	w.wantFeed(since, ports.Change{Kind: ports.TokenDeleted, ID: k.ID})
}

func tokensDeleteRacers(w *world) {
	k := w.token(w.id(epoch), epoch)
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
	since := w.cursor()
	errs := make([]error, racers)
	race(racers, func(i int) { errs[i] = w.Accounts.DeleteToken(w.ctx, k.UserID, k.ID) })
	wantOneWinner(w.t, errs, domain.NotFound)
	w.wantFeed(since, ports.Change{Kind: ports.TokenDeleted, ID: k.ID})
}

func tokensEnded(w *world) {
	k, fresh := w.token(w.id(epoch), epoch), w.token(w.id(epoch), epoch)
	require.NoError(w.t, w.Accounts.CreateToken(w.ctx, k, 0))
	since := w.cursor()
	wantAllEnded(w.t, []call{
		{"Create", func(ctx context.Context) error { return w.Accounts.CreateToken(ctx, fresh, 0) }},
		{"ByHash", func(ctx context.Context) error { _, err := w.Accounts.Token(ctx, k.Hash); return err }},
		{"ByHash unknown", func(ctx context.Context) error { _, err := w.Accounts.Token(ctx, fresh.Hash); return err }},
		{"List", func(ctx context.Context) error {
			_, err := w.Accounts.Tokens(ctx, k.UserID, ports.Page{Limit: 1})
			return err
		}},
		{"Delete", func(ctx context.Context) error { return w.Accounts.DeleteToken(ctx, k.UserID, k.ID) }},
		{"Delete unknown", func(ctx context.Context) error { return w.Accounts.DeleteToken(ctx, k.UserID, fresh.ID) }},
	})
	_, err := w.Accounts.Token(w.ctx, k.Hash)
	require.NoError(w.t, err)
	_, err = w.Accounts.Token(w.ctx, fresh.Hash)
	wantCode(w.t, domain.NotFound, err)
	w.wantFeed(since)
}

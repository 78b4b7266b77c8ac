// Package bunrepo keeps imagify's records in an SQL database through bun. The
// statements are what SQLite, MySQL 8+ and MariaDB 10.11 share; Options carries
// the little in which they differ. The schema belongs to the adapters that use
// this package.
//
// Rules of the statements:
//
//   - No foreign keys, triggers, stored routines or JSON functions, and no upserts.
//   - images, usages, idempotency and owner_links are sharded by owner_id, links
//     by token_hash: every statement on one of them has its shard key in an
//     equality or an IN. image_owners and link_owners find the shard of an id.
//   - images holds ready images alone; pending ones and those that are being
//     deleted are in the small table unfinished. So a page of a user's images is
//     one range of the primary key, whatever else goes on, and the sweep never
//     walks images.
//   - Transactions lock in one order: change_version first where the feed is
//     written, then the rest.
//   - Ids and hashes are binary; times are whole microseconds since 1970, 0 for
//     the zero time.
package bunrepo

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Class says what an error of the database means.
type Class int

// The classes.
const (
	// Other errors come from a wrong statement, a broken schema or a bug.
	Other Class = iota
	// Duplicate: a unique key is taken; the statement had no effect.
	Duplicate
	// Retry: the whole transaction, or the one statement outside of one, was rolled
	// back for the sake of another (a deadlock), so that running it again is safe and likely to succeed.
	Retry
	// Lost: the connection broke. A transaction whose COMMIT was not yet sent is rolled
	// back by that and is run again; after a COMMIT, or outside of a transaction, nobody
	// knows what happened, and it means the same as Away.
	Lost
	// Away: the database is not there, is locked by others for too long, or has no room.
	Away
)

// Options is what differs between databases. The zero value of each field but
// Classify has a working meaning.
type Options struct {
	// Read is where reads outside of a transaction go; nil: to the same database handle as writes.
	Read *bun.DB
	// Classify tells what a driver's error means. It sees wrapped errors too. Required.
	Classify func(error) Class
	// Timeout bounds each call but a transaction, and how long a transaction waits until it
	// has begun: whoever asks a database that is slow hears so. 0: the context alone
	// does. What the connection makes of an answer that does not come is the driver's.
	Timeout time.Duration
	// Isolation is that of write transactions. Where the database locks rows rather
	// than itself, sql.LevelReadCommitted.
	Isolation sql.IsolationLevel
	// ForUpdate ends a SELECT that must lock what it reads until the transaction
	// ends, such as "FOR UPDATE"; empty where a write transaction locks everything.
	ForUpdate string
	// Clock is an SQL expression of the database's time in whole microseconds since
	// 1970; empty: Now is asked.
	Clock string
	// Now is the clock of a database that has none of its own; nil: time.Now.
	Now func() time.Time
}

// New returns the record ports on db. An UPDATE must report the rows that it
// matched, changed or not (clientFoundRows on MySQL). The pages name the index
// that they need on a MySQL dialect, because MariaDB's planner takes a worse one.
func New(db *bun.DB, o Options) ports.Records {
	if o.Read == nil {
		o.Read = db
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &repo{db: db, o: o}
	return ports.Records{
		Users:        users{r, o.Read},
		Tiers:        tiers{r, o.Read},
		Directory:    directory{r},
		Images:       images{r},
		Uploads:      uploads{r},
		Deletions:    deletions{r},
		Links:        links{r},
		LinkChanges:  linkChanges{r},
		Audit:        audit{r},
		Sessions:     sessions{r},
		Tokens:       tokens{r},
		Changes:      changes{r},
		Leases:       leases{r},
		Installation: installation{r},
	}
}

// Hooks is several hooks as one.
type Hooks []bun.QueryHook

// BeforeQuery implements bun.QueryHook.
func (hs Hooks) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	for _, h := range hs {
		ctx = h.BeforeQuery(ctx, e)
	}
	return ctx
}

// AfterQuery implements bun.QueryHook, the last hook first.
func (hs Hooks) AfterQuery(ctx context.Context, e *bun.QueryEvent) {
	for i := len(hs) - 1; i >= 0; i-- {
		hs[i].AfterQuery(ctx, e)
	}
}

type repo struct {
	db *bun.DB
	o  Options
}

const (
	// attempts is how often something is tried that loses to others, and tryFor for
	// how long another try may begin.
	attempts = 10
	tryFor   = 5 * time.Second
	// chunk bounds the values of one IN.
	chunk = 500
)

// errLostRace makes write run the transaction again: another one wrote between its look and its write.
var errLostRace = errors.New("another transaction was quicker")

// write runs fn in one transaction, again where that is known to be safe.
func (r *repo) write(ctx context.Context, fn func(ctx context.Context, tx bun.Tx) error) error {
	return r.fail(r.again(ctx, func() (undone bool, err error) {
		committing := false
		err = r.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
			err := fn(ctx, tx)
			committing = err == nil
			return err
		})
		return !committing, err
	}))
}

// exec runs one statement outside of a transaction and reports how many rows it
// matched. A deadlock takes it back whole, so it is run again; after a lost connection
// nobody knows, and it is not.
func (r *repo) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = r.again(ctx, func() (bool, error) {
		n, err = exec(ctx, r.db, query, args...)
		return false, err
	})
	return n, err
}

// insert adds one row outside of a transaction, as exec does.
func (r *repo) insert(ctx context.Context, model any) error {
	return r.again(ctx, func() (bool, error) {
		_, err := r.db.NewInsert().Model(model).Exec(ctx)
		return false, err
	})
}

// again runs try until it succeeds or trying is of no use. undone says that what
// failed has left nothing even if the connection broke.
func (r *repo) again(ctx context.Context, try func() (undone bool, err error)) error {
	began := time.Now()
	for attempt := 1; ; attempt++ {
		undone, err := try()
		if err == nil {
			return nil
		}
		class := r.o.Classify(err)
		worth := errors.Is(err, errLostRace) || class == Retry || class == Lost && undone
		if !worth || attempt == attempts || time.Since(began) > tryFor {
			return err
		}
		pause := time.Millisecond << min(attempt, 6)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// inTx runs fn in a transaction, once. The wait for a connection and for its BEGIN is bounded.
func (r *repo) inTx(ctx context.Context, fn func(ctx context.Context, tx bun.Tx) error) error {
	begun := func() {}
	if r.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		late := time.AfterFunc(r.o.Timeout, cancel)
		begun = func() { late.Stop() }
		defer begun()
	}
	return r.db.RunInTx(ctx, &sql.TxOptions{Isolation: r.o.Isolation}, func(ctx context.Context, tx bun.Tx) error {
		begun()
		return fn(ctx, tx)
	})
}

// bounded gives a call its time.
func (r *repo) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.o.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, r.o.Timeout)
}

// fail gives an error its code. One that has a code already stays as it is.
func (r *repo) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case domain.CodeOf(err) != domain.Internal:
		return err
	}
	if Unavailable(r.o.Classify, err) || errors.Is(err, context.Canceled) || errors.Is(err, errLostRace) || r.o.Classify(err) == Retry {
		e := domain.Wrap(domain.Unavailable, err, "the database does not answer now, try again")
		e.RetryAfter = time.Second
		return e
	}
	return fmt.Errorf("database: %w", err)
}

// Unavailable reports whether an error means that the database did not answer.
func Unavailable(classify func(error) Class, err error) bool {
	var network net.Error
	class := classify(err)
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.As(err, &network) || class == Away || class == Lost
}

func (r *repo) duplicate(err error) bool { return err != nil && r.o.Classify(err) == Duplicate }

// exec runs a statement and reports how many rows it matched.
func exec(ctx context.Context, db bun.IDB, query string, args ...any) (int64, error) {
	res, err := db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// lock makes a SELECT hold its rows until the transaction ends.
func (r *repo) lock(query string) string {
	if r.o.ForUpdate == "" {
		return query
	}
	return query + " " + r.o.ForUpdate
}

// notFound turns an empty result into domain.NotFound and codes any other error.
func (r *repo) notFound(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Errorf(domain.NotFound, "no such %s", what)
	}
	return r.fail(err)
}

func checkLimit(n int) error {
	if n < 1 {
		return domain.InvalidField("limit", "range", "at least 1")
	}
	return nil
}

// page adds a keyset to a query: ids below p.Before, newest first, at most p.Limit.
func page(q *bun.SelectQuery, column string, p ports.Page) *bun.SelectQuery {
	if !p.Before.IsZero() {
		q = q.Where("? < ?", bun.Ident(column), p.Before[:])
	}
	return q.OrderBy(column, bun.OrderDesc).Limit(int64(p.Limit))
}

// idSlack is how far an id's time may be off its record's: ids carry the clock
// of the node that made them, records the database's.
const idSlack = time.Hour

// within adds a range of a record's time to a query in order of ids. The bound on the
// ids is wider than the range; it keeps the database from reading what is far outside.
func within(q *bun.SelectQuery, idColumn, timeColumn string, t ports.TimeRange) *bun.SelectQuery {
	if !t.From.IsZero() {
		first := domain.FirstIDAt(t.From.Add(-idSlack))
		q = q.Where("? >= ?", bun.Ident(timeColumn), toMicros(t.From)).Where("? >= ?", bun.Ident(idColumn), first[:])
	}
	if !t.To.IsZero() {
		last := domain.FirstIDAt(t.To.Add(idSlack))
		q = q.Where("? < ?", bun.Ident(timeColumn), toMicros(t.To)).Where("? < ?", bun.Ident(idColumn), last[:])
	}
	return q
}

func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func toTime(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func toID(b []byte) (id domain.ID) {
	copy(id[:], b)
	return id
}

func toHash(b []byte) (h domain.SecretHash) {
	copy(h[:], b)
	return h
}

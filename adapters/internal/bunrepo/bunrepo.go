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
//   - What decides who may do what is read with locks on the rows it was read from, so
//     that changes of one thing are serial. The feed's rows are locked last, by statements
//     that go to the server with the COMMIT.
//   - Every write may be tried again after a lost answer: a transaction leaves a receipt,
//     a single statement is one that may be done twice.
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
	"strings"
	"sync/atomic"
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
	// back by that and is run again; after a COMMIT its receipt is looked for.
	Lost
	// Unavailable: the database is not there, is locked by others for too long, or has no room.
	Unavailable
)

// Options is what differs between databases. The zero value of each field but
// Classify has a working meaning.
type Options struct {
	// Read is where reads outside of a transaction go; nil: to the same database handle as writes.
	Read *bun.DB
	// Classify tells what a driver's error means. It sees wrapped errors too. Required.
	Classify func(error) Class
	// Timeout bounds each call but a transaction, and how long a transaction waits until it
	// has begun: a caller of a slow database is told so. 0: the context alone
	// does. What the connection makes of an answer that does not come is the driver's.
	Timeout time.Duration
	// Begin, Commit and Rollback are the statements of a transaction, of READ COMMITTED,
	// where the driver takes several statements in one text and one connection's
	// transactions run beside another's. Empty: database/sql's, one statement a text.
	Begin, Commit, Rollback string
	// ForUpdate and ForShare end a SELECT that must lock what it reads until the
	// transaction ends, against readers of either kind and against writers; empty where a
	// write transaction locks everything.
	ForUpdate, ForShare string
	// Writers is how many transactions write at once, the others wait: fewer than there
	// are connections, so that writers never keep readers waiting. 0: one.
	Writers int
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
	r := &repo{db: db, o: o, writers: make(chan struct{}, max(1, o.Writers))}
	return ports.Records{
		Accounts:     accounts{accountsReader{repo: r, in: o.Read}},
		Images:       images{r},
		Links:        links{r},
		Audit:        audit{r},
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
	db      *bun.DB
	o       Options
	writers chan struct{} // a place for each transaction under way
	// rollOutEnds is until when nodes of the version before may run; nil: not read yet.
	rollOutEnds atomic.Pointer[time.Time]
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

// exec runs one statement outside of a transaction and reports how many rows it
// matched. It may be done twice: after a lost answer it is run again.
func (r *repo) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = r.again(ctx, func() (bool, error) {
		n, err = exec(ctx, r.db, query, args...)
		return true, err
	})
	return n, err
}

// insert adds one row outside of a transaction. After a lost answer it is run again, and
// may then find its own row.
func (r *repo) insert(ctx context.Context, model any) error {
	return r.again(ctx, func() (bool, error) {
		_, err := r.db.NewInsert().Model(model).Exec(ctx)
		return true, err
	})
}

// again runs try until it succeeds or trying is of no use. safe says that what
// failed may be run again even if the connection broke.
func (r *repo) again(ctx context.Context, try func() (safe bool, err error)) error {
	began := time.Now()
	for attempt := 1; ; attempt++ {
		safe, err := try()
		if err == nil {
			return nil
		}
		class := r.o.Classify(err)
		uncertain := errors.Is(err, errUncertain)
		worth := errors.Is(err, errLostRace) || class == Retry || safe && (class == Lost || uncertain)
		if !worth || attempt == attempts || time.Since(began) > tryFor && !(uncertain && attempt == 1) {
			return err
		}
		pause := time.Millisecond << min(attempt, 6)
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
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
	if IsUnavailable(r.o.Classify, err) || errors.Is(err, context.Canceled) || errors.Is(err, errLostRace) || r.o.Classify(err) == Retry {
		e := domain.Wrap(domain.Unavailable, err, "the database does not answer now, try again")
		e.RetryAfter = time.Second
		return e
	}
	return fmt.Errorf("database: %w", err)
}

// IsUnavailable reports whether an error means that the database did not answer.
func IsUnavailable(classify func(error) Class, err error) bool {
	var network net.Error
	class := classify(err)
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.As(err, &network) || class == Unavailable || class == Lost
}

func (r *repo) duplicate(err error) bool { return err != nil && r.o.Classify(err) == Duplicate }

// taken makes a duplicate a conflict, and says of what.
func (r *repo) taken(what string, err error) error {
	if r.duplicate(err) {
		return domain.Wrap(domain.Conflict, err, what)
	}
	return err
}

// exec runs a statement and reports how many rows it matched.
func exec(ctx context.Context, db bun.IDB, query string, args ...any) (int64, error) {
	res, err := db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// forUpdate makes a SELECT within a transaction hold its rows until that ends.
func (r *repo) forUpdate(q *bun.SelectQuery) *bun.SelectQuery {
	if r.o.ForUpdate == "" {
		return q
	}
	return q.For(strings.TrimPrefix(r.o.ForUpdate, "FOR "))
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

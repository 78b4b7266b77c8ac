package bunrepo

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// tx is a write transaction. What it defers, the feed's entries and its receipt go to
// the database with the COMMIT: in one packet where Options.Begin is set.
type tx struct {
	bun.IDB
	r *repo
	// packed says that what is deferred is sent with the COMMIT rather than at once.
	packed bool
	// begun is false for a packed transaction that has sent nothing yet.
	begun   bool
	later   []string
	size    int
	entries []entry
	rollOut bool
}

// maxPacked is how many bytes of deferred statements are collected before they are sent.
const maxPacked = 256 << 10

// exec runs a statement after those that were deferred, and reports how many rows it matched.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.flush(ctx); err != nil {
		return 0, err
	}
	return exec(ctx, t.IDB, query, args...)
}

// deferExec runs a statement whose outcome nothing depends on: at the latest with the COMMIT.
func (t *tx) deferExec(ctx context.Context, query string, args ...any) error {
	return t.deferText(ctx, t.r.db.QueryGen().FormatQuery(query, args...))
}

// deferInsert adds rows that are known not to be there yet, as deferExec does.
func (t *tx) deferInsert(ctx context.Context, model any) error {
	text, err := t.r.db.NewInsert().Model(model).AppendQuery(t.r.db.QueryGen(), nil)
	if err != nil {
		return err
	}
	return t.deferText(ctx, string(text))
}

func (t *tx) deferText(ctx context.Context, text string) error {
	if !t.packed {
		_, err := t.ExecContext(ctx, text)
		return err
	}
	t.later = append(t.later, text)
	if t.size += len(text); t.size < maxPacked {
		return nil
	}
	return t.flush(ctx)
}

// flush sends what was deferred, for what reads or writes after it. What begins with its
// first packet waits for that.
func (t *tx) flush(ctx context.Context) error {
	if len(t.later) == 0 || !t.begun {
		return nil
	}
	text := strings.Join(t.later, "; ")
	t.later, t.size = nil, 0
	_, err := t.ExecContext(ctx, text)
	return err
}

// receipt is a random number that a transaction leaves behind: who does not know
// whether it was committed finds out by it.
type receipt [16]byte

func newReceipt() (id receipt) {
	rand.Read(id[:])
	return id
}

// receiptKept is for how long a receipt is kept: longer than anybody tries again.
const receiptKept = time.Minute

// errDone ends a transaction whose receipt is there: an earlier try was committed.
var errDone = errors.New("the transaction was committed already")

// leaveReceipt writes the receipt before anything else; errDone if it is there already.
// Where the earlier try is still being committed this waits for its outcome.
func (t *tx) leaveReceipt(ctx context.Context, id receipt, kept time.Duration) error {
	_, err := t.exec(ctx, "INSERT INTO receipts (id, keep_until) VALUES (?, "+t.r.clock()+" + ?)", id[:], kept.Microseconds())
	if t.r.duplicate(err) {
		return errDone
	}
	return err
}

// transaction is how a write is made.
type transaction struct {
	// fn makes the changes. It may run more than once.
	fn func(ctx context.Context, t *tx) error
	// feed says that fn writes to the change feed.
	feed bool
	// blind says that fn only defers: the whole transaction is one packet.
	blind bool
	// receipt is the transaction's own, for a caller who tries again by itself; zero: a random one.
	receipt receipt
	kept    time.Duration
}

// write runs fn in one transaction, again where that is known to be safe.
func (r *repo) write(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return r.run(ctx, transaction{fn: fn})
}

// change is write for what is told on the change feed.
func (r *repo) change(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return r.run(ctx, transaction{fn: fn, feed: true})
}

func (r *repo) run(ctx context.Context, w transaction) error {
	// first says that the receipt is looked at before anything else.
	first := w.receipt != receipt{}
	if !first {
		w.receipt, w.kept = newReceipt(), receiptKept
	}
	receipts := r.o.Begin != "" || first
	var rollOut bool
	if w.feed {
		var err error
		if rollOut, err = r.rollingOut(ctx); err != nil {
			return r.fail(err)
		}
	}
	return r.fail(r.again(ctx, func() (safe bool, err error) {
		telling, committing := false, false
		err = r.inTx(ctx, w.blind && !first, func(ctx context.Context, t *tx) error {
			if first {
				if err := t.leaveReceipt(ctx, w.receipt, w.kept); err != nil {
					return err
				}
			}
			if rollOut {
				if err := t.lockOldFeed(ctx); err != nil {
					return err
				}
			}
			if err := w.fn(ctx, t); err != nil {
				return err
			}
			if receipts && !first {
				err := t.deferExec(ctx, "INSERT INTO receipts (id, keep_until) VALUES (?, "+r.clock()+" + ?)", w.receipt[:], w.kept.Microseconds())
				if err != nil {
					return err
				}
			}
			telling = len(t.entries) > 0
			return t.publish(ctx)
		}, func() { committing = true })
		switch {
		case errors.Is(err, errDone):
			return true, nil
		case err == nil:
			return true, nil
		case telling && ctx.Err() == nil && (r.duplicate(err) || r.o.Classify(err) == Other):
			// Where a shard's row is missing or wrong the change fails rather than to go untold.
			if mended, mend := r.mendFeed(ctx); mend == nil && mended {
				err = errLostRace
			}
			return true, err
		case !committing:
			return true, err
		case receipts && r.uncertain(err):
			first = true // the next try finds out
			return true, errors.Join(errUncertain, err)
		}
		return r.o.Classify(err) == Retry, err
	}))
}

// errUncertain is a COMMIT whose outcome is not known.
var errUncertain = errors.New("the answer to the COMMIT did not come")

// uncertain reports that an error of a COMMIT may hide that it happened.
func (r *repo) uncertain(err error) bool {
	class := r.o.Classify(err)
	return class == Lost || class == Unavailable || IsUnavailable(r.o.Classify, err)
}

// inTx runs fn in a transaction, once. The wait for its turn, for a connection and for its BEGIN
// is bounded. committing is called when the COMMIT is about to be sent. A blind transaction
// begins with its first and only packet.
func (r *repo) inTx(ctx context.Context, blind bool, fn func(ctx context.Context, t *tx) error, committing func()) error {
	begun := func() {}
	if r.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		late := time.AfterFunc(r.o.Timeout, cancel)
		begun = func() { late.Stop() }
		defer begun()
	}
	select {
	case r.writers <- struct{}{}:
		defer func() { <-r.writers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.o.Begin == "" {
		return r.db.RunInTx(ctx, nil, func(ctx context.Context, in bun.Tx) error {
			begun()
			if err := fn(ctx, &tx{IDB: in, r: r, begun: true}); err != nil {
				return err
			}
			committing()
			return nil
		})
	}
	return r.packed(ctx, blind, fn, begun, committing)
}

// packed is inTx on a connection of its own, whose transaction is begun and ended by
// statements: the deferred ones and the COMMIT are one packet, so that what it locks last
// it locks for no round trip. A client that stops then holds nothing that everybody needs.
func (r *repo) packed(ctx context.Context, blind bool, fn func(ctx context.Context, t *tx) error, begun, committing func()) (err error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole { // the server takes back what a connection that ends has not committed
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		_ = conn.Close()
	}()
	t := &tx{IDB: conn, r: r, packed: true, begun: !blind}
	if blind {
		t.later = append(t.later, r.o.Begin)
	} else if _, err := conn.ExecContext(ctx, r.o.Begin); err != nil {
		return err
	}
	begun()
	if err = fn(ctx, t); err == nil {
		err = ctx.Err()
	}
	if err == nil {
		committing()
		// The caller may leave: what was sent is waited for, for the driver's time.
		_, err = conn.ExecContext(context.WithoutCancel(ctx), strings.Join(append(t.later, r.o.Commit), "; "))
		if err == nil {
			whole = true
			return nil
		}
	}
	if class := r.o.Classify(err); class != Lost && class != Unavailable && ctx.Err() == nil {
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		_, rollback := conn.ExecContext(c, r.o.Rollback)
		whole = rollback == nil
	}
	return err
}

// rollbackTime is how long a ROLLBACK may take before the connection is given up.
const rollbackTime = time.Second

// clock is an SQL expression of the time in microseconds.
func (r *repo) clock() string {
	if r.o.Clock != "" {
		return r.o.Clock
	}
	return r.db.QueryGen().FormatQuery("?", toMicros(r.o.Now()))
}

// announce tells the feed of a change. owner says in whose row of the feed: entries of
// one owner are told in their order.
func (t *tx) announce(owner domain.ID, c ports.Change) {
	e := entry{shard: shardOf(owner, c), change: c}
	for _, other := range t.entries {
		if other == e {
			return
		}
	}
	t.entries = append(t.entries, e)
}

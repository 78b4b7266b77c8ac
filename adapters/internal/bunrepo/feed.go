package bunrepo

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// The feed is sixteen logs, so that changes of different owners do not wait for each
// other. change_versions has a row for each: how many entries it has had, and a random
// stamp of the transaction that wrote the last ones. An entry that is the first of its
// transaction carries the stamp before it. So a reader who has seen (version, stamp)
// knows whether what follows continues the history that it knows, or another one: that of
// a backup that was restored and has come to the same number again.
const (
	shards = 16
	// maxEntries is how many entries one answer of the feed has at the most.
	maxEntries = 1000

	// rowOldFeed and rowState are the two other rows that a poll reads, numbered as if they were shards.
	rowOldFeed = shards
	rowState   = shards + 1
)

// entry is an entry that a transaction is going to write.
type entry struct {
	shard  int
	change ports.Change
}

// shardOf is the shard of a change: the owner's, of a tier its name's.
func shardOf(owner domain.ID, c ports.Change) int {
	if owner.IsZero() {
		h := fnv.New32a()
		_, _ = h.Write([]byte(c.Name))
		return int(h.Sum32() % shards)
	}
	return int(owner[15] % shards)
}

// publish writes the entries, as the last thing before the COMMIT. Shards are locked in
// their order, so that two transactions never wait for each other.
func (t *tx) publish(ctx context.Context) error {
	if len(t.entries) == 0 {
		return nil
	}
	if t.rollOut {
		if err := t.tellOldFeed(ctx); err != nil {
			return err
		}
	}
	slices.SortStableFunc(t.entries, func(a, b entry) int { return cmp.Compare(a.shard, b.shard) })
	clock := t.r.clock()
	for rest := t.entries; len(rest) > 0; {
		shard, n := rest[0].shard, 1
		for n < len(rest) && n < chunk && rest[n].shard == shard {
			n++
		}
		// prev first: MySQL assigns from the left to the right.
		err := t.deferExec(ctx, "UPDATE change_versions SET prev = stamp, stamp = ?, version = version + ? WHERE shard = ?", newStamp(), n, shard)
		if err != nil {
			return err
		}
		gen := t.r.db.QueryGen()
		var b strings.Builder
		b.WriteString("INSERT INTO change_entries (shard, version, kind, id, name, at, prev) VALUES ")
		for i, e := range rest[:n] {
			prev := "NULL"
			if i == 0 {
				prev = gen.FormatQuery("(SELECT prev FROM change_versions WHERE shard = ?)", shard)
			} else {
				b.WriteString(", ")
			}
			// Where the shard's row is missing there is no version, and the change fails.
			b.WriteString(gen.FormatQuery("(?, (SELECT version FROM change_versions WHERE shard = ?) - ?, ?, ?, ?, ",
				shard, shard, n-1-i, string(e.change.Kind), e.change.ID[:], e.change.Name))
			b.WriteString(clock + ", " + prev + ")")
		}
		if err := t.deferText(ctx, b.String()); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// newStamp is never 0.
func newStamp() int64 { return 1 + rand.Int64N(1<<62) }

// MendFeed puts right what is missing of the feed in records of New. A schema that was brought to its
// version is whole by it; else the first change of an owner whose row is gone would have to find out.
func MendFeed(ctx context.Context, records ports.Records) error {
	c, ok := records.Changes.(changes)
	if !ok {
		return errors.New("bunrepo: records of another adapter")
	}
	_, err := c.mendFeed(ctx)
	return c.fail(err)
}

// mendFeed puts right rows of change_versions that are missing or behind their entries,
// with stamps that nobody has seen, and reports whether there were any.
func (r *repo) mendFeed(ctx context.Context) (mended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, mendTime)
	defer cancel()
	var rows []struct {
		Shard   int
		Version int64
	}
	if err := r.db.NewRaw("SELECT shard, version FROM change_versions WHERE shard BETWEEN 0 AND 15").Scan(ctx, &rows); err != nil {
		return false, err
	}
	there := make(map[int]int64, len(rows))
	for _, row := range rows {
		there[row.Shard] = row.Version
	}
	for shard := range shards {
		var last int64
		err := r.db.NewRaw("SELECT version FROM change_entries WHERE shard = ? ORDER BY version DESC LIMIT 1", shard).Scan(ctx, &last)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return mended, err
		}
		version, ok := there[shard]
		switch {
		case !ok:
			_, err = exec(ctx, r.db, "INSERT INTO change_versions (shard, version, stamp, prev) VALUES (?, ?, ?, NULL)", shard, last+1, newStamp())
		case version < last:
			_, err = exec(ctx, r.db, "UPDATE change_versions SET version = ?, stamp = ?, prev = NULL WHERE shard = ? AND version = ?",
				last+1, newStamp(), shard, version)
		default:
			continue
		}
		mended = true
		if err != nil && !r.duplicate(err) {
			return mended, err
		}
	}
	return mended, nil
}

// mendTime bounds mendFeed.
const mendTime = 2 * time.Second

// While nodes of the version before are being replaced, both versions run on one schema.
// Those follow the feed's old form, one row that each change locks first, and its
// table of entries. So for a day after the schema of a used database has grown the new
// form, a change locks that row too, before it reads anything, and moves it on by so much
// that those nodes forget all that they remember. What they change, nodes of this version
// see by the old row and forget everything, too.

// oldFeedStep is more than the entries that a node of the version before would look for.
const oldFeedStep = 1001

// rollingOut reports whether nodes of the version before may run. What the database's clock
// leaves of that day is measured here, so that no node's wall clock, wrong or stepping, ends it.
func (r *repo) rollingOut(ctx context.Context) (bool, error) {
	ends := r.rollOutEnds.Load()
	if ends == nil {
		ctx, cancel := r.bounded(ctx)
		defer cancel()
		var until, now int64
		err := r.o.Read.NewRaw("SELECT rollout_until, "+r.clock()+" FROM feed_state WHERE id = 1").Scan(ctx, &until, &now)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		ends = new(time.Now().Add(time.Duration(max(0, until-now)) * time.Microsecond)) // with its monotonic part
		r.rollOutEnds.Store(ends)
	}
	return time.Now().Before(*ends), nil
}

func (t *tx) lockOldFeed(ctx context.Context) error {
	t.rollOut = true
	var version int64
	err := t.NewRaw(t.r.lock("SELECT version FROM change_version WHERE id = 1")).Scan(ctx, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func (t *tx) tellOldFeed(ctx context.Context) error {
	return t.deferExec(ctx, "UPDATE change_version SET version = version + ? WHERE id = 1", oldFeedStep)
}

// position is how far a shard was read.
type position struct{ version, stamp int64 }

// positions are the shards' and, last, the old feed's.
type positions [shards + 1]position

func (p positions) cursor() ports.Cursor {
	b := make([]byte, 0, len(p)*16)
	for _, at := range p {
		b = binary.BigEndian.AppendUint64(b, uint64(at.version))
		b = binary.BigEndian.AppendUint64(b, uint64(at.stamp))
	}
	return ports.Cursor(b)
}

func parseCursor(c ports.Cursor) (p positions, ok bool) {
	if len(c) != len(p)*16 {
		return p, false
	}
	b := []byte(c)
	for i := range p {
		p[i] = position{int64(binary.BigEndian.Uint64(b[i*16:])), int64(binary.BigEndian.Uint64(b[i*16+8:]))}
	}
	return p, true
}

type changes struct{ *repo }

// poll reads where the feed stands: every shard, the old feed's row, the clock and its mark, in one statement.
func (s changes) poll(ctx context.Context) (now positions, whole bool, f ports.Feed, err error) {
	clock := s.clock()
	rows, err := s.o.Read.QueryContext(ctx, "SELECT shard, version, stamp, "+clock+" FROM change_versions WHERE shard BETWEEN 0 AND 15"+
		" UNION ALL SELECT 16, version, 1, "+clock+" FROM change_version WHERE id = 1"+
		" UNION ALL SELECT 17, mark, rollout_until, "+clock+" FROM feed_state WHERE id = 1")
	if err != nil {
		return now, false, f, err
	}
	seen := 0
	for err == nil && rows.Next() {
		var row int
		var at int64
		var version, stamp sql.NullInt64
		if err = rows.Scan(&row, &version, &stamp, &at); err != nil {
			break
		}
		f.Now = toTime(at)
		switch {
		case row == rowState:
			f.Mark = toTime(version.Int64)
		case row >= 0 && row <= rowOldFeed && stamp.Valid && stamp.Int64 != 0:
			now[row] = position{version.Int64, stamp.Int64}
			seen++
		}
	}
	err = errors.Join(err, rows.Err(), rows.Close())
	if f.Now.IsZero() {
		f.Now = s.o.Now().UTC().Truncate(time.Microsecond) // nothing is left of the feed
	}
	f.Cursor, f.Shared = now.cursor(), s.o.Clock != ""
	return now, seen == len(now), f, err
}

func (s changes) Since(ctx context.Context, c ports.Cursor) (ports.Feed, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	now, whole, f, err := s.poll(ctx)
	if err != nil {
		return ports.Feed{}, s.fail(err)
	}
	seen, ok := parseCursor(c)
	if !ok || !whole || seen[rowOldFeed] != now[rowOldFeed] {
		f.Lost = true
		return f, nil
	}
	if seen == now {
		return f, nil
	}
	var parts []string
	var args []any
	var count int64
	for shard := range shards {
		was, is := seen[shard], now[shard]
		switch {
		case was == is:
			continue
		case is.version <= was.version, is.version-was.version > maxEntries:
			f.Lost = true // another history, or too many to tell
			return f, nil
		}
		count += is.version - was.version
		parts = append(parts, "SELECT shard, version, kind, id, name, prev FROM change_entries WHERE shard = ? AND version > ? AND version <= ?")
		args = append(args, shard, was.version, is.version)
	}
	if count > maxEntries {
		f.Lost = true
		return f, nil
	}
	var rows []entryRow
	if err := s.o.Read.NewRaw(strings.Join(parts, " UNION ALL "), args...).Scan(ctx, &rows); err != nil {
		return ports.Feed{}, s.fail(err)
	}
	slices.SortFunc(rows, func(a, b entryRow) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Version, b.Version))
	})
	// Versions have no gaps: if one is missing it was forgotten. The first new one continues what was seen.
	if int64(len(rows)) != count {
		f.Lost = true
		return f, nil
	}
	f.Entries = make([]ports.Change, len(rows))
	for i, row := range rows {
		was := seen[row.Shard]
		if row.Version == was.version+1 && (!row.Prev.Valid || row.Prev.Int64 != was.stamp) {
			f.Lost, f.Entries = true, nil
			return f, nil
		}
		f.Entries[i] = ports.Change{Kind: ports.ChangeKind(row.Kind), ID: toID(row.ID), Name: row.Name}
	}
	return f, nil
}

// Raise moves the mark of time on. No transaction and no receipt: to do it twice is to do it once.
func (s changes) Raise(ctx context.Context, mark time.Time) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := s.exec(ctx, "UPDATE feed_state SET mark = ? WHERE id = 1 AND mark < ?", toMicros(mark), toMicros(mark))
	if err != nil || n > 0 {
		return s.fail(err)
	}
	// It is as high already, or the row is missing.
	err = s.insert(ctx, &stateRow{ID: 1, Mark: toMicros(mark)})
	if s.duplicate(err) {
		return nil
	}
	return s.fail(err)
}

// forgetAtOnce bounds what one statement of Forget removes, so that nobody waits for it.
const forgetAtOnce = 500

func (s changes) Forget(ctx context.Context, before time.Time) error {
	for {
		n, err := s.forgetSome(ctx, before)
		if err != nil {
			return s.fail(err)
		}
		if n < forgetAtOnce {
			break
		}
	}
	for {
		n, err := s.forgetReceipts(ctx)
		if err != nil || n < forgetAtOnce {
			return s.fail(err)
		}
	}
}

func (s changes) forgetSome(ctx context.Context, before time.Time) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var rows []entryRow
	err := s.o.Read.NewSelect().Model(&rows).Column("shard", "version").Where("at < ?", toMicros(before)).
		OrderBy("at", bun.OrderAsc).Limit(forgetAtOnce).Scan(ctx)
	if err != nil {
		return 0, err
	}
	versions := make(map[int][]int64)
	for _, row := range rows {
		versions[row.Shard] = append(versions[row.Shard], row.Version)
	}
	for shard, some := range versions {
		if _, err := s.exec(ctx, "DELETE FROM change_entries WHERE shard = ? AND version IN (?)", shard, bun.List(some)); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

func (s changes) forgetReceipts(ctx context.Context) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var ids [][]byte
	err := s.o.Read.NewRaw("SELECT id FROM receipts WHERE keep_until < "+s.clock()+" ORDER BY keep_until LIMIT ?", forgetAtOnce).Scan(ctx, &ids)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	_, err = s.exec(ctx, "DELETE FROM receipts WHERE id IN (?)", bun.List(ids))
	return len(ids), err
}

package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxEntries is how many entries one answer of the feed has at the most.
const maxEntries = 1000

// feed collects a transaction's entries. Its row stays locked from lockFeed to
// the commit, so that versions have no gaps and become visible in their order.
type feed struct {
	version int64
	at      int64
	entries []ports.Change
}

// feedColumns is the column list that reads the version and, where the database has one, its clock.
func (r *repo) feedColumns() string {
	if r.o.Clock == "" {
		return "version, 0"
	}
	return "version, " + r.o.Clock
}

func (r *repo) readFeed(ctx context.Context, in bun.IDB, query string) (version, at int64, err error) {
	err = in.NewRaw(query).Scan(ctx, &version, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("the schema is incomplete: change_version has no row")
	}
	if r.o.Clock == "" {
		at = toMicros(r.o.Now())
	}
	return version, at, err
}

func (r *repo) lockFeed(ctx context.Context, tx bun.Tx) (*feed, error) {
	version, at, err := r.readFeed(ctx, tx, r.lock("SELECT "+r.feedColumns()+" FROM change_version WHERE id = 1"))
	return &feed{version: version, at: at}, err
}

// add notes an entry, once.
func (f *feed) add(c ports.Change) {
	for _, e := range f.entries {
		if e == c {
			return
		}
	}
	f.entries = append(f.entries, c)
}

// publish writes the entries.
func (f *feed) publish(ctx context.Context, tx bun.Tx) error {
	if len(f.entries) == 0 {
		return nil
	}
	rows := make([]changeRow, len(f.entries))
	for i, e := range f.entries {
		rows[i] = changeRow{Version: f.version + int64(i) + 1, Kind: string(e.Kind), ID: e.ID[:], Name: e.Name, At: f.at}
	}
	for len(rows) > 0 {
		part := rows[:min(len(rows), chunk)]
		rows = rows[len(part):]
		if _, err := tx.NewInsert().Model(&part).Exec(ctx); err != nil {
			return err
		}
	}
	_, err := exec(ctx, tx, "UPDATE change_version SET version = ? WHERE id = 1", f.version+int64(len(f.entries)))
	return err
}

type changes struct{ *repo }

func (s changes) Since(ctx context.Context, version int64) (ports.Feed, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	newest, at, err := s.readFeed(ctx, s.o.Read, "SELECT "+s.feedColumns()+" FROM change_version WHERE id = 1")
	if err != nil {
		return ports.Feed{}, s.fail(err)
	}
	out := ports.Feed{Version: newest, Now: toTime(at)}
	switch {
	case newest == version:
		return out, nil
	case newest < version, newest-version > maxEntries:
		out.Lost = true // an older backup was restored, or too many to tell
		return out, nil
	}
	var rows []changeRow
	err = s.o.Read.NewSelect().Model(&rows).Where("version > ?", version).Where("version <= ?", newest).
		OrderBy("version", bun.OrderAsc).Scan(ctx)
	if err != nil {
		return ports.Feed{}, s.fail(err)
	}
	// Versions have no gaps: if one is missing it was forgotten.
	if int64(len(rows)) != newest-version {
		out.Lost = true
		return out, nil
	}
	out.Entries = make([]ports.Change, len(rows))
	for i, row := range rows {
		out.Entries[i] = ports.Change{Kind: ports.ChangeKind(row.Kind), ID: toID(row.ID), Name: row.Name}
	}
	return out, nil
}

func (s changes) Forget(ctx context.Context, before time.Time) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.exec(ctx, "DELETE FROM changes WHERE at < ?", toMicros(before))
	return s.fail(err)
}

type audit struct{ *repo }

func (s audit) List(ctx context.Context, actor string, t ports.TimeRange, p ports.Page) ([]domain.AuditEntry, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(p.Limit); err != nil {
		return nil, err
	}
	if !isText(actor) {
		return nil, nil
	}
	var rows []auditRow
	q := s.o.Read.NewSelect().Model(&rows)
	if actor == "" {
		q = q.ForceIndex("PRIMARY")
	} else {
		q = q.ForceIndex("audit_actor").Where("actor = ?", actor)
	}
	if err := page(within(q, "id", "at", t), "id", p).Scan(ctx); err != nil {
		return nil, s.fail(err)
	}
	out := make([]domain.AuditEntry, len(rows))
	for i, row := range rows {
		out[i] = row.entry()
	}
	return out, nil
}

// record writes an audit entry, if there is one.
func (r *repo) record(ctx context.Context, tx bun.Tx, e *domain.AuditEntry) error {
	if e == nil {
		return nil
	}
	row := newAuditRow(*e)
	_, err := tx.NewInsert().Model(&row).Exec(ctx)
	return err
}

type leases struct{ *repo }

func (s leases) Acquire(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkText(name, holder); err != nil {
		return false, err
	}
	n, err := s.exec(ctx, "UPDATE leases SET holder = ?, lease_until = ? WHERE name = ? AND (holder = ? OR lease_until < ?)",
		holder, toMicros(until), name, holder, toMicros(now))
	if err != nil || n > 0 {
		return err == nil, s.fail(err)
	}
	// Somebody has it, or nobody has: of the racers for a new row one gets it.
	err = s.insert(ctx, &leaseRow{Name: name, Holder: holder, LeaseUntil: toMicros(until)})
	if s.duplicate(err) {
		return false, nil
	}
	return err == nil, s.fail(err)
}

func (s leases) Release(ctx context.Context, name, holder string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkText(name, holder); err != nil {
		return err
	}
	_, err := s.exec(ctx, "DELETE FROM leases WHERE name = ? AND holder = ?", name, holder)
	return s.fail(err)
}

package bunrepo

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

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
func (t *tx) record(ctx context.Context, e *domain.AuditEntry) error {
	if e == nil {
		return nil
	}
	row := newAuditRow(*e)
	return t.deferInsert(ctx, &row)
}

type leases struct{ *repo }

func (s leases) Acquire(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkText(name, holder); err != nil {
		return false, err
	}
	take := func() (bool, error) {
		n, err := s.exec(ctx, "UPDATE leases SET holder = ?, lease_until = ? WHERE name = ? AND (holder = ? OR lease_until < ?)",
			holder, toMicros(until), name, holder, toMicros(now))
		return n > 0, err
	}
	ok, err := take()
	if err != nil || ok {
		return ok, s.fail(err)
	}
	// Somebody has it, or nobody has: of the racers for a new row one gets it.
	err = s.insert(ctx, &leaseRow{Name: name, Holder: holder, LeaseUntil: toMicros(until)})
	if s.duplicate(err) {
		ok, err = take() // the row may be its own, of a try whose answer was lost
		return ok, s.fail(err)
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

package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxFeed is how many entries one answer of the feed holds; see ports.Changes.
const maxFeed = 1000

type feedEntry struct {
	at     time.Time
	change ports.Change
}

// publish adds an entry to the feed. The mutex is held.
func (r *records) publish(c ports.Change) {
	r.version++
	r.feed = append(r.feed, feedEntry{at: stored(r.now()), change: c})
}

type changes struct{ r *records }

// cursor is where the feed of this database ends.
func (r *records) cursor(version int64) ports.Cursor {
	return ports.Cursor(r.history + ":" + strconv.FormatInt(version, 10))
}

// Since implements ports.Changes. A cursor of another database is Lost, too.
func (p changes) Since(ctx context.Context, c ports.Cursor) (ports.Feed, error) {
	if err := ended(ctx); err != nil {
		return ports.Feed{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	f := ports.Feed{Cursor: p.r.cursor(p.r.version), Now: stored(p.r.now()), Mark: p.r.mark}
	history, number, _ := strings.Cut(string(c), ":")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil || history != p.r.history || version < p.r.forgotten || version > p.r.version || p.r.version-version > maxFeed {
		f.Lost = true
		return f, nil
	}
	for _, e := range p.r.feed[version-p.r.forgotten:] {
		f.Entries = append(f.Entries, e.change)
	}
	return f, nil
}

// Raise implements ports.Changes.
func (p changes) Raise(ctx context.Context, mark time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if mark = stored(mark); mark.After(p.r.mark) {
		p.r.mark = mark
	}
	return nil
}

// Forget implements ports.Changes.
func (p changes) Forget(ctx context.Context, before time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	n := 0
	for n < len(p.r.feed) && p.r.feed[n].at.Before(before) {
		n++
	}
	p.r.feed = slices.Clone(p.r.feed[n:])
	p.r.forgotten += int64(n)
	day := p.r.now().Add(-24 * time.Hour)
	maps.DeleteFunc(p.r.viewBatches, func(_ domain.ID, at time.Time) bool { return at.Before(day) })
	return nil
}

func copyEntry(e domain.AuditEntry) domain.AuditEntry {
	e.At = stored(e.At)
	e.Before, e.After = bytes.Clone(e.Before), bytes.Clone(e.After)
	return e
}

// record adds an audit entry. The mutex is held.
func (r *records) record(e domain.AuditEntry) {
	r.audit[e.ID] = copyEntry(e)
	r.auditOrder.add(e.ID)
}

type audit struct{ r *records }

// List implements ports.Audit.
func (p audit) List(ctx context.Context, actor string, tr ports.TimeRange, pg ports.Page) ([]domain.AuditEntry, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	list, _ := page(p.r.auditOrder, pg, func(id domain.ID) (domain.AuditEntry, bool) {
		e := p.r.audit[id]
		return copyEntry(e), within(tr, e.At) && (actor == "" || e.Actor == actor)
	})
	return list, nil
}

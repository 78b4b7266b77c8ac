package memory

import (
	"slices"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// order is a set of ids, ascending. New ids are the highest, so that adding one
// is nearly always an append.
type order []domain.ID

func (o *order) add(id domain.ID) {
	if at, found := slices.BinarySearchFunc(*o, id, domain.ID.Compare); !found {
		*o = slices.Insert(*o, at, id)
	}
}

func (o *order) remove(id domain.ID) {
	if at, found := slices.BinarySearchFunc(*o, id, domain.ID.Compare); found {
		*o = slices.Delete(*o, at, at+1)
	}
}

// index is an order for each key. A key without ids takes no room.
type index[K comparable] map[K]order

func (x index[K]) add(key K, id domain.ID) {
	o := x[key]
	o.add(id)
	x[key] = o
}

func (x index[K]) remove(key K, id domain.ID) {
	o := x[key]
	o.remove(id)
	if len(o) == 0 {
		delete(x, key)
		return
	}
	x[key] = o
}

// page walks the order from the newest id before p.Before and collects the rows
// that get wants, at most p.Limit. more says that at least one more follows.
func page[V any](o order, p ports.Page, get func(domain.ID) (V, bool)) (rows []V, more bool) {
	at := len(o)
	if !p.Before.IsZero() {
		at, _ = slices.BinarySearchFunc(o, p.Before, domain.ID.Compare)
	}
	for at--; at >= 0; at-- {
		row, ok := get(o[at])
		if !ok {
			continue
		}
		if len(rows) >= p.Limit {
			return rows, true
		}
		rows = append(rows, row)
	}
	return rows, false
}

// within reports whether a creation time is in the range.
func within(r ports.TimeRange, created time.Time) bool {
	return (r.From.IsZero() || !created.Before(r.From)) && (r.To.IsZero() || created.Before(r.To))
}

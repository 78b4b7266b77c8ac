package pages

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// changeRow is an entry of the audit log.
type changeRow struct {
	domain.AuditEntry
	Changed []changedFact
}

// changedFact is what an entry changed; empty: it was not there, or none.
type changedFact struct{ Name, Before, After string }

func newChangeRow(e domain.AuditEntry) changeRow {
	before, after := map[string]string{}, map[string]string{}
	flatten(e.Before, "", before)
	flatten(e.After, "", after)
	names := maps.Clone(before)
	maps.Copy(names, after)
	row := changeRow{AuditEntry: e}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if before[n] != after[n] {
			row.Changed = append(row.Changed, changedFact{n, before[n], after[n]})
		}
	}
	return row
}

// flatten writes the facts of a JSON object by their dotted names.
func flatten(raw json.RawMessage, name string, out map[string]string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) == nil && fields != nil {
		for k, v := range fields {
			flatten(v, strings.TrimPrefix(name+"."+k, "."), out)
		}
		return
	}
	var text string
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || bytes.Equal(raw, []byte("null")) || bytes.Equal(raw, []byte("[]")):
	case json.Unmarshal(raw, &text) == nil:
		out[name] = text
	default:
		out[name] = string(raw)
	}
}

func (h *Handlers) changes(q *request.Request, f app.Filter, p ports.Page) ([]changeRow, domain.ID, error) {
	items, next, err := q.Service.Audit(q.Context(), q.Actor, f, p)
	rows := make([]changeRow, len(items))
	for i, e := range items {
		rows[i] = newChangeRow(e)
	}
	return rows, next, err
}

func (h *Handlers) getAuditPage(q *request.Request) error {
	return listingPage(h, q, "adminaudit", "Audit log", "", func(f app.Filter, p ports.Page) ([]changeRow, domain.ID, error) { return h.changes(q, f, p) })
}

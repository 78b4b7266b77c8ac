package pages

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// listing is an admin's table with its filter.
type listing[R any] struct {
	User, From, To string
	Rows           []R
	Next           string
}

// listingPage answers with a table; a filter that is wrong is said, above an empty table.
func listingPage[R any](h *Handlers, q *request.Request, template, title, notice string, load func(app.Filter, ports.Page) ([]R, domain.ID, error)) error {
	v, f, p, err := q.Filter()
	d := listing[R]{User: v.Get("user"), From: v.Get("from"), To: v.Get("to")}
	pd := h.newPage(q, title, "admin", nil)
	if v.Has("deleted") || v.Has("revoked") {
		pd.Notice = notice
	}
	if err == nil {
		var next domain.ID
		d.Rows, next, err = load(f, p)
		d.Next = nextPage(q, v, next)
	}
	pd.Data = d
	if err != nil {
		return h.refused(q, err, func(status int, words string) error {
			pd.Problem = words
			return h.html(q, status, template, pd)
		})
	}
	return h.html(q, http.StatusOK, template, pd)
}

// username is whose an image or a link is; empty: the account is gone.
func (h *Handlers) username(q *request.Request, id domain.ID) (string, error) {
	u, err := q.Service.UserByID(q.Context(), q.Actor, id)
	if errors.Is(err, domain.NotFound) {
		return "", nil
	}
	return u.Username, err
}

type imageRow struct {
	tile
	Owner      string
	Size       int64
	UploadedAt time.Time
}

func (h *Handlers) getImagesPage(q *request.Request) error {
	return listingPage(h, q, "adminimages", "Everybody's images", "The image is gone, and with it its thumbnails and links.", func(f app.Filter, p ports.Page) ([]imageRow, domain.ID, error) {
		items, next, err := q.Service.AllImages(q.Context(), q.Actor, f, p)
		if err != nil {
			return nil, next, err
		}
		rows := make([]imageRow, len(items))
		for i, v := range items {
			rows[i] = imageRow{tile: newTile(v), Size: v.Size, UploadedAt: v.UploadedAt}
			if rows[i].Owner, err = h.username(q, v.OwnerID); err != nil {
				return nil, next, err
			}
		}
		return rows, next, nil
	})
}

// ownedLink is a link with whose it is and what it shows.
type ownedLink struct {
	linkRow
	Owner string
	Tile  tile // empty: the image is deleted
}

func (h *Handlers) getLinksPage(q *request.Request) error {
	return listingPage(h, q, "adminlinks", "Everybody's links", "The link is revoked: it shows nothing any more.", func(f app.Filter, p ports.Page) ([]ownedLink, domain.ID, error) {
		items, next, err := q.Service.AllLinks(q.Context(), q.Actor, f, p)
		if err != nil {
			return nil, next, err
		}
		rows := make([]ownedLink, len(items))
		for i, l := range items {
			rows[i].linkRow = newLinkRow(l)
			if rows[i].Owner, err = h.username(q, l.OwnerID); err != nil {
				return nil, next, err
			}
			switch img, err := q.Service.Image(q.Context(), q.Actor, l.ImageID); {
			case err == nil:
				rows[i].Tile = newTile(img)
			case !errors.Is(err, domain.NotFound):
				return nil, next, err
			}
		}
		return rows, next, nil
	})
}

func (h *Handlers) postLinksPage(q *request.Request) error {
	form, err := q.Form()
	if err != nil {
		return err
	}
	id, err := domain.ParseID(form.Get("link"))
	if err != nil {
		return domain.Errorf(domain.NotFound, "no such link")
	}
	if err := q.Service.RevokeLink(q.Context(), q.Actor, id); err != nil {
		return err
	}
	return q.Redirect("/admin/links?revoked=1")
}

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

type explainRow struct {
	Action  string
	Allowed bool
	Why     string
	Tier    string
}

type explainData struct {
	Image, User, Tier, Who, Filename string
	In                               []string
	Tiers                            []tierRow
	Rows                             []explainRow
}

func (h *Handlers) getExplainPage(q *request.Request) error {
	v, err := q.Query()
	if err != nil {
		return err
	}
	d := explainData{Image: strings.TrimSpace(v.Get("image")), User: strings.TrimSpace(v.Get("user")), Tier: v.Get("tier")}
	if d.Tiers, err = h.tierRows(q, false); err != nil {
		return err
	}
	pd := h.newPage(q, "Explain", "admin", d)
	if d.Image == "" {
		return h.html(q, http.StatusOK, "explain", pd)
	}
	id, err := domain.ParseID(d.Image)
	if err != nil {
		err = domain.NoSuchImage()
	}
	var a app.Access
	if err == nil {
		a, err = q.Service.Access(q.Context(), q.Actor, id, app.WhatIf{Tier: d.Tier, Username: d.User})
	}
	if err != nil {
		return h.refused(q, err, func(status int, words string) error {
			pd.Problem = words
			return h.html(q, status, "explain", pd)
		})
	}
	d.Who, d.In, d.Filename = a.User.Username, a.User.Tiers, a.Image.Filename
	for _, r := range a.Rows {
		d.Rows = append(d.Rows, explainRow{r.Action.String(), r.Decision.Allowed, r.Decision.String(), r.SmallestTier})
	}
	pd.Data = d
	return h.html(q, http.StatusOK, "explain", pd)
}

package pages

import (
	"errors"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// ownedLink is a link with whose it is and what it shows.
type ownedLink struct {
	linkRow
	Owner string
	Tile  tile // empty: the image is deleted
}

func (h *Handlers) getLinksPage(q *request.Request) error {
	return listingPage(h, q, "adminlinks", "Everybody's links", "Link revoked.", func(f app.Filter, p ports.Page) ([]ownedLink, domain.ID, error) {
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

package ginapi

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/app"
)

func getAllImages(q *request.Request) error {
	v, f, p, err := q.Filter()
	if err != nil {
		return err
	}
	items, next, err := q.Service.AllImages(q.Context(), q.Actor, f, p)
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, imageListJSON{items: items, base: q.BaseURL(), owner: true, next: nextCursor(q, v, next)})
}

func getAllLinks(q *request.Request) error {
	v, f, p, err := q.Filter()
	if err != nil {
		return err
	}
	items, next, err := q.Service.AllLinks(q.Context(), q.Actor, f, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, func(l app.LinkDetails) response.Link {
		view := response.NewLink(l)
		view.OwnerID = l.OwnerID.String()
		return view
	})
}

func getAudit(q *request.Request) error {
	v, f, p, err := q.Filter()
	if err != nil {
		return err
	}
	items, next, err := q.Service.Audit(q.Context(), q.Actor, f, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, response.NewAuditEntry)
}

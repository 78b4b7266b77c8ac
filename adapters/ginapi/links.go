package ginapi

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
)

func postLink(q *request.Request) error {
	id, err := q.ImageID()
	if err != nil {
		return err
	}
	o, err := q.Object()
	if err != nil {
		return err
	}
	in, err := request.ReadLink(o)
	if err != nil {
		return err
	}
	l, token, err := q.Service.CreateLink(q.Context(), q.Actor, id, in)
	if err != nil {
		return err
	}
	view := response.NewLink(l)
	view.URL = q.BaseURL() + "/l/" + token
	q.Set("Location", q.BaseURL()+"/v1/links/"+view.ID)
	return q.JSON(http.StatusCreated, view)
}

func getLinks(q *request.Request) error {
	id, err := q.ImageID()
	if err != nil {
		return err
	}
	v, p, err := q.Pagination()
	if err != nil {
		return err
	}
	items, next, err := q.Service.Links(q.Context(), q.Actor, id, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, response.NewLink)
}

func deleteLink(q *request.Request) error {
	id, err := q.ID("no such link")
	if err != nil {
		return err
	}
	if err := q.Service.RevokeLink(q.Context(), q.Actor, id); err != nil {
		return err
	}
	return q.NoContent()
}

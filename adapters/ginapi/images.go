package ginapi

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/app"
)

func postImage(q *request.Request) error {
	img, err := q.Upload()
	if err != nil {
		return err
	}
	v, err := q.Service.ImageDetails(q.Context(), img)
	if err != nil {
		return err
	}
	view := imageJSON{v, q.BaseURL(), false}
	q.Set("Location", view.base+"/v1/images/"+img.ID.String())
	return q.JSON(http.StatusCreated, view)
}

func getImages(q *request.Request) error {
	v, p, err := q.Pagination()
	if err != nil {
		return err
	}
	items, next, err := q.Service.Images(q.Context(), q.Actor, p)
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, imageListJSON{items: items, base: q.BaseURL(), next: nextCursor(q, v, next)})
}

func getImage(q *request.Request) error {
	id, err := q.ImageID()
	if err != nil {
		return err
	}
	img, err := q.Service.Image(q.Context(), q.Actor, id)
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, imageJSON{img, q.BaseURL(), false})
}

func deleteImage(q *request.Request) error {
	id, err := q.ImageID()
	if err != nil {
		return err
	}
	if err := q.Service.DeleteImage(q.Context(), q.Actor, id); err != nil {
		return err
	}
	return q.NoContent()
}

func getAccess(q *request.Request) error {
	id, err := q.ImageID()
	if err != nil {
		return err
	}
	v, err := q.Query()
	if err != nil {
		return err
	}
	a, err := q.Service.Access(q.Context(), q.Actor, id, app.WhatIf{Tier: v.Get("tier"), Username: v.Get("user")})
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewAccess(a))
}

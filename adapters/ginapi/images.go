package ginapi

import (
	"net/http"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// idParam reads the path parameter that is an id. What cannot be one names nothing.
func (q *request) idParam(notFound string) (domain.ID, error) {
	id, err := domain.ParseID(q.c.Param("id"))
	if err != nil {
		return id, domain.Errorf(domain.NotFound, "%s", notFound)
	}
	return id, nil
}

func (q *request) imageID() (domain.ID, error) { return q.idParam(domain.NoSuchImage().Msg) }

func getImages(q *request) error {
	v, p, err := q.paged()
	if err != nil {
		return err
	}
	items, next, err := q.s.svc.Images(q.ctx(), q.actor, p)
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, imageList{items: items, base: q.base(), next: q.next(v, next)})
}

func getImage(q *request) error {
	id, err := q.imageID()
	if err != nil {
		return err
	}
	img, err := q.s.svc.Image(q.ctx(), q.actor, id)
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, imageView{img, q.base(), false})
}

func deleteImage(q *request) error {
	id, err := q.imageID()
	if err != nil {
		return err
	}
	if err := q.s.svc.DeleteImage(q.ctx(), q.actor, id); err != nil {
		return err
	}
	return q.noContent()
}

func getAccess(q *request) error {
	id, err := q.imageID()
	if err != nil {
		return err
	}
	v, err := q.query()
	if err != nil {
		return err
	}
	a, err := q.s.svc.Access(q.ctx(), q.actor, id, app.WhatIf{Tier: v.Get("tier"), Username: v.Get("user")})
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, viewAccess(a))
}

// linkInput reads what a link shall be.
func linkInput(o *object) (app.LinkInput, error) {
	var in app.LinkInput
	o.require("expires_in")
	expires, maxViews, variant := o.integer("expires_in"), o.integer("max_views"), o.str("variant")
	if maxViews != nil {
		if in.MaxViews = *maxViews; in.MaxViews < 1 {
			o.wrong("max_views", "range", "must be at least 1; leave it out for no bound")
		}
	}
	if variant != nil {
		v, err := domain.ParseVariant(*variant)
		if err != nil {
			o.wrong("variant", "format", domain.AsError(err).Msg)
		}
		in.Variant = &v
	}
	if err := o.done(); err != nil {
		return in, err
	}
	in.ExpiresIn = *expires
	return in, nil
}

func postLink(q *request) error {
	id, err := q.imageID()
	if err != nil {
		return err
	}
	o, err := q.object()
	if err != nil {
		return err
	}
	in, err := linkInput(o)
	if err != nil {
		return err
	}
	l, token, err := q.s.svc.CreateLink(q.ctx(), q.actor, id, in)
	if err != nil {
		return err
	}
	view := viewLink(l)
	view.URL = q.base() + "/l/" + token
	q.set("Location", q.base()+"/v1/links/"+view.ID)
	return q.json(http.StatusCreated, view)
}

func getLinks(q *request) error {
	id, err := q.imageID()
	if err != nil {
		return err
	}
	v, p, err := q.paged()
	if err != nil {
		return err
	}
	items, next, err := q.s.svc.Links(q.ctx(), q.actor, id, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, viewLink)
}

func deleteLink(q *request) error {
	id, err := q.idParam("no such link")
	if err != nil {
		return err
	}
	if err := q.s.svc.RevokeLink(q.ctx(), q.actor, id); err != nil {
		return err
	}
	return q.noContent()
}

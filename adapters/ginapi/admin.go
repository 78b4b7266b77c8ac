package ginapi

import (
	"net/http"
	"net/url"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func getTiers(q *request) error {
	tiers, err := q.s.svc.Tiers(q.ctx(), q.actor)
	if err != nil {
		return err
	}
	return list(q, url.Values{}, tiers, domain.ID{}, viewTier)
}

// tierChange takes what a tier's POST and PATCH share.
func tierChange(o *object) app.TierChange {
	return app.TierChange{Title: o.str("title"), Permissions: o.strs("permissions"), Limits: o.integers("limits")}
}

func postTier(q *request) error {
	o, err := q.object()
	if err != nil {
		return err
	}
	o.require("name")
	name, change := o.str("name"), tierChange(o)
	if err := o.done(); err != nil {
		return err
	}
	t, err := q.s.svc.CreateTier(q.ctx(), q.actor, *name, change)
	if err != nil {
		return err
	}
	q.set("Location", q.base()+"/v1/admin/tiers/"+url.PathEscape(t.Name))
	return q.json(http.StatusCreated, viewTier(t))
}

func getTier(q *request) error {
	t, err := q.s.svc.Tier(q.ctx(), q.actor, q.c.Param("name"))
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, viewTier(t))
}

func patchTier(q *request) error {
	o, err := q.object()
	if err != nil {
		return err
	}
	change := tierChange(o)
	if err := o.done(); err != nil {
		return err
	}
	t, err := q.s.svc.UpdateTier(q.ctx(), q.actor, q.c.Param("name"), change)
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, viewTier(t))
}

func deleteTier(q *request) error {
	if err := q.s.svc.DeleteTier(q.ctx(), q.actor, q.c.Param("name")); err != nil {
		return err
	}
	return q.noContent()
}

func getUsers(q *request) error {
	v, p, err := q.paged()
	if err != nil {
		return err
	}
	items, next, err := q.s.svc.Users(q.ctx(), q.actor, v.Get("tier"), p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, viewUser)
}

// userChange takes what a user's POST and PATCH share.
func userChange(o *object) app.UserChange {
	return app.UserChange{
		Email: o.str("email"), Password: o.str("password"), Tiers: o.strs("tiers"), Permissions: o.strs("permissions"),
		IsAdmin: o.boolean("is_admin"), IsActive: o.boolean("is_active"),
	}
}

func postUser(q *request) error {
	o, err := q.object()
	if err != nil {
		return err
	}
	o.require("username")
	name, change := o.str("username"), userChange(o)
	if err := o.done(); err != nil {
		return err
	}
	u, err := q.s.svc.CreateUser(q.ctx(), q.actor, *name, change)
	if err != nil {
		return err
	}
	q.set("Location", q.base()+"/v1/admin/users/"+url.PathEscape(u.Username))
	return q.json(http.StatusCreated, viewUser(u))
}

func getUser(q *request) error {
	u, err := q.s.svc.User(q.ctx(), q.actor, q.c.Param("username"))
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, viewUser(u))
}

func patchUser(q *request) error {
	o, err := q.object()
	if err != nil {
		return err
	}
	change := userChange(o)
	if err := o.done(); err != nil {
		return err
	}
	u, err := q.s.svc.UpdateUser(q.ctx(), q.actor, q.c.Param("username"), change)
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, viewUser(u))
}

func deleteUser(q *request) error {
	if err := q.s.svc.DeleteUser(q.ctx(), q.actor, q.c.Param("username")); err != nil {
		return err
	}
	return q.noContent()
}

func getAllImages(q *request) error {
	v, f, p, err := q.browse()
	if err != nil {
		return err
	}
	items, next, err := q.s.svc.AllImages(q.ctx(), q.actor, f, p)
	if err != nil {
		return err
	}
	return q.json(http.StatusOK, imageList{items: items, base: q.base(), owner: true, next: q.next(v, next)})
}

func getAllLinks(q *request) error {
	v, f, p, err := q.browse()
	if err != nil {
		return err
	}
	items, next, err := q.s.svc.AllLinks(q.ctx(), q.actor, f, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, func(l app.LinkView) linkView {
		view := viewLink(l)
		view.OwnerID = l.OwnerID.String()
		return view
	})
}

func getAudit(q *request) error {
	v, f, p, err := q.browse()
	if err != nil {
		return err
	}
	items, next, err := q.s.svc.Audit(q.ctx(), q.actor, f, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, viewAudit)
}

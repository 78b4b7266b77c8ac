package ginapi

import (
	"net/http"
	"net/url"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func getTiers(q *request.Request) error {
	tiers, err := q.Service.Tiers(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	return list(q, url.Values{}, tiers, domain.ID{}, viewTier)
}

// tierChange takes what a tier's POST and PATCH share.
func tierChange(o *strictjson.Object) app.TierChange {
	return app.TierChange{Title: o.String("title"), Permissions: o.Strings("permissions"), Limits: o.Integers("limits")}
}

func postTier(q *request.Request) error {
	o, err := q.Object()
	if err != nil {
		return err
	}
	o.Require("name")
	name, change := o.String("name"), tierChange(o)
	if err := o.Done(); err != nil {
		return err
	}
	t, err := q.Service.CreateTier(q.Context(), q.Actor, *name, change)
	if err != nil {
		return err
	}
	q.Set("Location", q.BaseURL()+"/v1/admin/tiers/"+url.PathEscape(t.Name))
	return q.JSON(http.StatusCreated, viewTier(t))
}

func getTier(q *request.Request) error {
	t, err := q.Service.Tier(q.Context(), q.Actor, q.Param("name"))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, viewTier(t))
}

func patchTier(q *request.Request) error {
	o, err := q.Object()
	if err != nil {
		return err
	}
	change := tierChange(o)
	if err := o.Done(); err != nil {
		return err
	}
	t, err := q.Service.UpdateTier(q.Context(), q.Actor, q.Param("name"), change)
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, viewTier(t))
}

func deleteTier(q *request.Request) error {
	if err := q.Service.DeleteTier(q.Context(), q.Actor, q.Param("name")); err != nil {
		return err
	}
	return q.NoContent()
}

func getUsers(q *request.Request) error {
	v, p, err := q.Pagination()
	if err != nil {
		return err
	}
	items, next, err := q.Service.Users(q.Context(), q.Actor, v.Get("tier"), p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, viewUser)
}

// userChange takes what a user's POST and PATCH share.
func userChange(o *strictjson.Object) app.UserChange {
	return app.UserChange{
		Email: o.String("email"), Password: o.String("password"), Tiers: o.Strings("tiers"), Permissions: o.Strings("permissions"),
		IsAdmin: o.Bool("is_admin"), IsActive: o.Bool("is_active"),
	}
}

func postUser(q *request.Request) error {
	o, err := q.Object()
	if err != nil {
		return err
	}
	o.Require("username")
	name, change := o.String("username"), userChange(o)
	if err := o.Done(); err != nil {
		return err
	}
	u, err := q.Service.CreateUser(q.Context(), q.Actor, *name, change)
	if err != nil {
		return err
	}
	q.Set("Location", q.BaseURL()+"/v1/admin/users/"+url.PathEscape(u.Username))
	return q.JSON(http.StatusCreated, viewUser(u))
}

func getUser(q *request.Request) error {
	u, err := q.Service.User(q.Context(), q.Actor, q.Param("username"))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, viewUser(u))
}

func patchUser(q *request.Request) error {
	o, err := q.Object()
	if err != nil {
		return err
	}
	change := userChange(o)
	if err := o.Done(); err != nil {
		return err
	}
	u, err := q.Service.UpdateUser(q.Context(), q.Actor, q.Param("username"), change)
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, viewUser(u))
}

func deleteUser(q *request.Request) error {
	if err := q.Service.DeleteUser(q.Context(), q.Actor, q.Param("username")); err != nil {
		return err
	}
	return q.NoContent()
}

func getAllImages(q *request.Request) error {
	v, f, p, err := q.Filter()
	if err != nil {
		return err
	}
	items, next, err := q.Service.AllImages(q.Context(), q.Actor, f, p)
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, imageList{items: items, base: q.BaseURL(), owner: true, next: nextCursor(q, v, next)})
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
	return list(q, v, items, next, func(l app.LinkDetails) linkView {
		view := viewLink(l)
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
	return list(q, v, items, next, viewAudit)
}

package ginapi

import (
	"net/http"
	"net/url"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func getTiers(q *request.Request) error {
	tiers, err := q.Service.Tiers(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	return list(q, url.Values{}, tiers, domain.ID{}, response.NewTier)
}

func postTier(q *request.Request) error {
	var body request.NewTier
	if err := q.Body(&body); err != nil {
		return err
	}
	t, err := q.Service.CreateTier(q.Context(), q.Actor, body.Name, app.TierChange(body.TierChange))
	if err != nil {
		return err
	}
	q.Set("Location", q.BaseURL()+"/v1/admin/tiers/"+url.PathEscape(t.Name))
	return q.JSON(http.StatusCreated, response.NewTier(t))
}

func getTier(q *request.Request) error {
	t, err := q.Service.Tier(q.Context(), q.Actor, q.Param("name"))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewTier(t))
}

func patchTier(q *request.Request) error {
	var body request.TierChange
	if err := q.Body(&body); err != nil {
		return err
	}
	t, err := q.Service.UpdateTier(q.Context(), q.Actor, q.Param("name"), app.TierChange(body))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewTier(t))
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
	return list(q, v, items, next, response.NewUser)
}

func postUser(q *request.Request) error {
	var body request.NewUser
	if err := q.Body(&body); err != nil {
		return err
	}
	u, err := q.Service.CreateUser(q.Context(), q.Actor, body.Username, app.UserChange(body.UserChange))
	if err != nil {
		return err
	}
	q.Set("Location", q.BaseURL()+"/v1/admin/users/"+url.PathEscape(u.Username))
	return q.JSON(http.StatusCreated, response.NewUser(u))
}

func getUser(q *request.Request) error {
	u, err := q.Service.User(q.Context(), q.Actor, q.Param("username"))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewUser(u))
}

func patchUser(q *request.Request) error {
	var body request.UserChange
	if err := q.Body(&body); err != nil {
		return err
	}
	u, err := q.Service.UpdateUser(q.Context(), q.Actor, q.Param("username"), app.UserChange(body))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewUser(u))
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
	return list(q, v, items, next, func(l app.LinkView) response.Link {
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

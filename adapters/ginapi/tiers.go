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

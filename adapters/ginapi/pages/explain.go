package pages

import (
	"net/http"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

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
	pd := h.newPage(q, "Explain access", "admin", d)
	pd.ProblemTitle = "Could not explain."
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

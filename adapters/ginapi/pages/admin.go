package pages

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func (h *Handlers) adminRoutes() []request.Route {
	const get, post = http.MethodGet, http.MethodPost
	return []request.Route{
		{Method: get, Path: "/admin", Access: request.Admins, Page: true, Handle: func(q *request.Request) error { return q.Redirect("/admin/") }},
		{Method: get, Path: "/admin/", Access: request.Admins, Page: true, Handle: h.getAdmin},
		{Method: get, Path: "/admin/users", Access: request.Admins, Page: true, Handle: h.getUsersPage},
		{Method: post, Path: "/admin/users", Access: request.Admins, Page: true, Handle: h.postUsersPage},
		{Method: get, Path: "/admin/users/{username}", Access: request.Admins, Page: true, Handle: h.getUserPage},
		{Method: post, Path: "/admin/users/{username}", Access: request.Admins, Page: true, Handle: h.postUserPage},
		{Method: get, Path: "/admin/tiers", Access: request.Admins, Page: true, Handle: h.getTiersPage},
		{Method: post, Path: "/admin/tiers", Access: request.Admins, Page: true, Handle: h.postTiersPage},
		{Method: get, Path: "/admin/tiers/{name}", Access: request.Admins, Page: true, Handle: h.getTierPage},
		{Method: post, Path: "/admin/tiers/{name}", Access: request.Admins, Page: true, Handle: h.postTierPage},
		{Method: get, Path: "/admin/images", Access: request.Admins, Page: true, Handle: h.getImagesPage},
		{Method: get, Path: "/admin/links", Access: request.Admins, Page: true, Handle: h.getLinksPage},
		{Method: post, Path: "/admin/links", Access: request.Admins, Page: true, Handle: h.postLinksPage},
		{Method: get, Path: "/admin/audit", Access: request.Admins, Page: true, Handle: h.getAuditPage},
		{Method: get, Path: "/admin/explain", Access: request.Admins, Page: true, Handle: h.getExplainPage},
	}
}

func (h *Handlers) getAdmin(q *request.Request) error {
	var d struct {
		Tiers   []tierRow
		Users   []domain.User
		Tiles   []tile
		Changes []changeRow
	}
	var err error
	if d.Tiers, err = h.tierRows(q, true); err != nil {
		return err
	}
	if d.Users, _, err = q.Service.Users(q.Context(), q.Actor, "", ports.Page{Limit: 6}); err != nil {
		return err
	}
	images, _, err := q.Service.AllImages(q.Context(), q.Actor, app.Filter{}, ports.Page{Limit: 6})
	if err != nil {
		return err
	}
	for _, v := range images {
		d.Tiles = append(d.Tiles, newTile(v))
	}
	if d.Changes, _, err = h.changes(q, app.Filter{}, ports.Page{Limit: 6}); err != nil {
		return err
	}
	pd := h.newPage(q, "Administration", "admin", d)
	return h.html(q, http.StatusOK, "admin", pd)
}

// nextPage is the path of the page that goes on before an id; empty at the end.
func nextPage(q *request.Request, v url.Values, next domain.ID) string {
	if next.IsZero() {
		return ""
	}
	v.Set("cursor", request.Cursor(next))
	return q.HTTP.URL.EscapedPath() + "?" + v.Encode()
}

// includes says permissions in few words.
func includes(ps domain.Permissions) string {
	var parts []string
	if hs := ps.Heights(); len(hs) > 0 {
		parts = append(parts, joinInts(hs)+" px")
	}
	if ps.Has(domain.AccessOriginal) {
		parts = append(parts, "original")
	}
	if ps.Has(domain.GenerateLink) {
		parts = append(parts, "links")
	}
	return strings.Join(parts, " · ")
}

func joinInts(ns []int) string {
	s := make([]string, len(ns))
	for i, n := range ns {
		s[i] = itoa(n)
	}
	return strings.Join(s, ", ")
}

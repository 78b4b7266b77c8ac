package ginapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func adminPageRoutes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{method: get, path: "/admin", access: admins, page: true, handle: func(q *request) error { return q.redirect("/admin/") }},
		{method: get, path: "/admin/", access: admins, page: true, handle: getAdmin},
		{method: get, path: "/admin/users", access: admins, page: true, handle: getUsersPage},
		{method: post, path: "/admin/users", access: admins, page: true, handle: postUsersPage},
		{method: get, path: "/admin/users/{username}", access: admins, page: true, handle: getUserPage},
		{method: post, path: "/admin/users/{username}", access: admins, page: true, handle: postUserPage},
		{method: get, path: "/admin/tiers", access: admins, page: true, handle: getTiersPage},
		{method: post, path: "/admin/tiers", access: admins, page: true, handle: postTiersPage},
		{method: get, path: "/admin/tiers/{name}", access: admins, page: true, handle: getTierPage},
		{method: post, path: "/admin/tiers/{name}", access: admins, page: true, handle: postTierPage},
		{method: get, path: "/admin/images", access: admins, page: true, handle: getImagesPage},
		{method: get, path: "/admin/links", access: admins, page: true, handle: getLinksPage},
		{method: post, path: "/admin/links", access: admins, page: true, handle: postLinksPage},
		{method: get, path: "/admin/audit", access: admins, page: true, handle: getAuditPage},
		{method: get, path: "/admin/explain", access: admins, page: true, handle: getExplainPage},
	}
}

func getAdmin(q *request) error {
	var d struct {
		Tiers   []tierRow
		Users   []domain.User
		Tiles   []tile
		Changes []changeRow
	}
	var err error
	if d.Tiers, err = q.tierRows(true); err != nil {
		return err
	}
	if d.Users, _, err = q.s.svc.Users(q.ctx(), q.actor, "", ports.Page{Limit: 6}); err != nil {
		return err
	}
	images, _, err := q.s.svc.AllImages(q.ctx(), q.actor, app.Filter{}, ports.Page{Limit: 6})
	if err != nil {
		return err
	}
	for _, v := range images {
		d.Tiles = append(d.Tiles, newTile(v))
	}
	if d.Changes, _, err = q.changes(app.Filter{}, ports.Page{Limit: 6}); err != nil {
		return err
	}
	pd := q.newPage("Administration", "admin", d)
	return q.html(http.StatusOK, "admin", pd)
}

// nextPage is the path of the page that goes on before an id; empty at the end.
func nextPage(q *request, v url.Values, next domain.ID) string {
	if next.IsZero() {
		return ""
	}
	v.Set("cursor", encodeCursor(next))
	return q.r.URL.EscapedPath() + "?" + v.Encode()
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

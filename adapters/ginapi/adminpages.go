package ginapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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

// maxCounted bounds how many members a page counts: beyond it says "2000+".
const maxCounted = 2000

// members calls fn for a tier's members, the newest maxCounted; more says that there are others.
func (q *request) members(tier string, fn func(domain.User)) (more bool, err error) {
	p := ports.Page{Limit: maxPage}
	for range maxCounted / maxPage {
		users, next, err := q.s.svc.Users(q.ctx(), q.actor, tier, p)
		if err != nil {
			return false, err
		}
		for _, u := range users {
			fn(u)
		}
		if next.IsZero() {
			return false, nil
		}
		p.Before = next
	}
	return true, nil
}

func countText(n int, more bool) string {
	if more {
		return itoa(n) + "+"
	}
	return itoa(n)
}

// tierRow is a tier in a list.
type tierRow struct {
	Name, Title string
	Permissions []string
	Members     string
	On          bool
	Includes    string
}

func (q *request) tierRows(count bool) ([]tierRow, error) {
	tiers, err := q.s.svc.Tiers(q.ctx(), q.actor)
	if err != nil {
		return nil, err
	}
	out := make([]tierRow, len(tiers))
	for i, t := range tiers {
		out[i] = tierRow{Name: t.Name, Title: t.Title, Permissions: t.Permissions.Codenames(), Includes: includes(t.Permissions)}
		if count {
			n := 0
			more, err := q.members(t.Name, func(domain.User) { n++ })
			if err != nil {
				return nil, err
			}
			out[i].Members = countText(n, more)
		}
	}
	return out, nil
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
	if len(parts) == 0 {
		return "nothing"
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

func getAdmin(q *request) error {
	var d struct {
		Tiers  []tierRow
		Users  []domain.User
		Images []app.ImageView
		Audit  []domain.AuditEntry
	}
	var err error
	few := ports.Page{Limit: 8}
	if d.Tiers, err = q.tierRows(true); err != nil {
		return err
	}
	if d.Users, _, err = q.s.svc.Users(q.ctx(), q.actor, "", few); err != nil {
		return err
	}
	if d.Images, _, err = q.s.svc.AllImages(q.ctx(), q.actor, app.Filter{}, few); err != nil {
		return err
	}
	if d.Audit, _, err = q.s.svc.Audit(q.ctx(), q.actor, app.Filter{}, few); err != nil {
		return err
	}
	return q.html(http.StatusOK, "admin", q.newPage("Administration", "admin", d))
}

type usersData struct {
	Query, Tier       string
	Tiers             []tierRow
	Users             []domain.User
	Next              string
	NewName, NewEmail string
}

func getUsersPage(q *request) error { return q.usersPage(http.StatusOK, usersData{}, "") }

func (q *request) usersPage(status int, d usersData, said string) error {
	v, err := q.query()
	if err != nil {
		return err
	}
	p, err := page(v)
	if err != nil {
		return err
	}
	if d.Tiers, err = q.tierRows(false); err != nil {
		return err
	}
	d.Query, d.Tier = strings.TrimSpace(v.Get("q")), v.Get("tier")
	wanted := p.Limit
	if d.Query != "" {
		p.Limit = maxPage
	}
	word := strings.ToLower(d.Query)
	// A search looks through so many users at a time; the next page goes on from there.
	for scanned := 0; scanned < maxCounted; scanned += p.Limit {
		users, next, err := q.s.svc.Users(q.ctx(), q.actor, d.Tier, p)
		if err != nil {
			return err
		}
		for _, u := range users {
			if strings.Contains(strings.ToLower(u.Username), word) || strings.Contains(strings.ToLower(u.Email), word) {
				d.Users = append(d.Users, u)
			}
		}
		if p.Before = next; d.Query == "" || next.IsZero() || len(d.Users) >= wanted {
			break
		}
	}
	d.Next = nextPage(q, v, p.Before)
	pd := q.newPage("Users", "admin", d)
	if pd.Problem = said; v.Has("deleted") {
		pd.Notice = "The user is gone, with all images and links."
	}
	return q.html(status, "users", pd)
}

// nextPage is the path of the page that goes on before an id; empty at the end.
func nextPage(q *request, v url.Values, next domain.ID) string {
	if next.IsZero() {
		return ""
	}
	v.Set("cursor", encodeCursor(next))
	return q.r.URL.EscapedPath() + "?" + v.Encode()
}

func postUsersPage(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	tiers, admin, email := slices.Clone(form["tiers"]), form.Get("is_admin") == "true", form.Get("email")
	c := app.UserChange{Email: &email, Tiers: &tiers, IsAdmin: &admin}
	if pw := form.Get("password"); pw != "" {
		c.Password = &pw
	}
	u, err := q.s.svc.CreateUser(q.ctx(), q.actor, form.Get("username"), c)
	if err == nil {
		return q.redirect("/admin/users/" + url.PathEscape(u.Username))
	}
	words, status, ok := say(err)
	if !ok {
		return err
	}
	q.err = err
	return q.usersPage(status, usersData{NewName: form.Get("username"), NewEmail: email}, words)
}

type userData struct {
	Subject                  domain.User
	Tiers                    []tierRow
	GrantOriginal, GrantLink bool
	GrantHeights             string
	Effective                []string
}

func getUserPage(q *request) error { return q.userPage(http.StatusOK, "") }

func (q *request) userPage(status int, said string) error {
	u, err := q.s.svc.User(q.ctx(), q.actor, q.c.Param("username"))
	if err != nil {
		return err
	}
	tiers, err := q.s.svc.Tiers(q.ctx(), q.actor)
	if err != nil {
		return err
	}
	d := userData{Subject: u, GrantOriginal: u.Grants.Has(domain.AccessOriginal), GrantLink: u.Grants.Has(domain.GenerateLink), GrantHeights: joinInts(u.Grants.Heights())}
	for _, t := range tiers {
		d.Tiers = append(d.Tiers, tierRow{Name: t.Name, Title: t.Title, On: slices.Contains(u.Tiers, t.Name), Includes: includes(t.Permissions)})
	}
	d.Effective = domain.Unite(tiersOf(u, tiers), u.Grants).Permissions.Codenames()
	pd := q.newPage(u.Username, "admin", d)
	if pd.Problem = said; said == "" && q.r.URL.Query().Has("saved") {
		pd.Notice = "Saved. It holds from this moment."
	}
	return q.html(status, "user", pd)
}

func tiersOf(u domain.User, all []domain.Tier) []domain.Tier {
	var mine []domain.Tier
	for _, t := range all {
		if slices.Contains(u.Tiers, t.Name) {
			mine = append(mine, t)
		}
	}
	return mine
}

func postUserPage(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	name := q.c.Param("username")
	switch form.Get("action") {
	case "save":
		var c app.UserChange
		var ps []string
		if ps, err = permissionsOfForm(form); err != nil {
			break
		}
		tiers, email := slices.Clone(form["tiers"]), form.Get("email")
		admin, active := form.Get("is_admin") == "true", form.Get("is_active") == "true"
		c = app.UserChange{Email: &email, Tiers: &tiers, Permissions: &ps, IsAdmin: &admin, IsActive: &active}
		_, err = q.s.svc.UpdateUser(q.ctx(), q.actor, name, c)
	case "password":
		pw := form.Get("password")
		_, err = q.s.svc.UpdateUser(q.ctx(), q.actor, name, app.UserChange{Password: &pw})
	case "delete":
		if err = q.s.svc.DeleteUser(q.ctx(), q.actor, name); err == nil {
			return q.redirect("/admin/users?deleted=1")
		}
	default:
		err = noSuchAction()
	}
	if err == nil {
		return q.redirect("/admin/users/" + url.PathEscape(name) + "?saved=1")
	}
	words, status, ok := say(err)
	if !ok || errors.Is(err, domain.NotFound) {
		return err
	}
	q.err = err
	return q.userPage(status, words)
}

// permissionsOfForm reads what is picked and what is typed: codenames, and heights in pixels.
func permissionsOfForm(form url.Values) ([]string, error) {
	out := slices.Clone(form["permissions"])
	typed := strings.FieldsFunc(form.Get("heights"), func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
	for _, h := range slices.Concat(form["height"], typed) {
		n, err := domain.ParseHeight(strings.TrimSuffix(h, "px"))
		if err != nil {
			return nil, domain.InvalidField("heights", "format", "%q: %s", h, domain.AsError(err).Msg)
		}
		out = append(out, "thumbnail:"+itoa(n))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

type commonHeight struct {
	Height int
	On     bool
}

type limitInput struct{ Name, Label, Value string }

type tierForm struct {
	Title          string
	Common         []commonHeight
	Other          string
	Original, Link bool
	Limits         []limitInput
	LimitsOpen     bool
}

// commonHeights are those to pick; any other can be typed.
var commonHeights = []int{100, 200, 400, 720, 1080}

func formOf(t domain.Tier) tierForm {
	f := tierForm{Title: t.Title, Original: t.Permissions.Has(domain.AccessOriginal), Link: t.Permissions.Has(domain.GenerateLink), LimitsOpen: t.Limits != domain.DefaultLimits()}
	var other []int
	hs := t.Permissions.Heights()
	for _, h := range commonHeights {
		f.Common = append(f.Common, commonHeight{h, slices.Contains(hs, h)})
	}
	for _, h := range hs {
		if !slices.Contains(commonHeights, h) {
			other = append(other, h)
		}
	}
	f.Other = joinInts(other)
	for _, l := range t.Limits.Fields() {
		in := limitInput{Name: l.Name, Label: limitLabels[l.Name]}
		if *l.Value != domain.NoLimit {
			in.Value = strconv.FormatInt(int64(*l.Value), 10)
		}
		f.Limits = append(f.Limits, in)
	}
	return f
}

// tierOfForm reads a tier's form. tier is what the form says, for showing it again.
func tierOfForm(form url.Values, tier domain.Tier) (domain.Tier, app.TierChange, error) {
	title := form.Get("title")
	c := app.TierChange{Title: &title, Limits: map[string]*int64{}}
	tier.Title = title
	ps, err := permissionsOfForm(form)
	if err != nil {
		return tier, c, err
	}
	if tier.Permissions, err = domain.ParsePermissions(ps); err != nil {
		return tier, c, err
	}
	c.Permissions = &ps
	for _, f := range tier.Limits.Fields() {
		if !form.Has(f.Name) {
			continue
		}
		text := strings.TrimSpace(form.Get(f.Name))
		if text == "" {
			*f.Value, c.Limits[f.Name] = domain.NoLimit, nil
			continue
		}
		n, ok := digits(text)
		if !ok {
			return tier, c, domain.InvalidField("limits."+f.Name, "type", "must be a whole number, written in digits, or empty for none")
		}
		*f.Value, c.Limits[f.Name] = domain.Limit(n), &n
	}
	return tier, c, nil
}

type tiersData struct {
	Tiers   []tierRow
	NewName string
	Form    tierForm
}

func getTiersPage(q *request) error {
	return q.tiersPage(http.StatusOK, tiersData{Form: formOf(domain.Tier{Limits: domain.DefaultLimits()})}, "")
}

func (q *request) tiersPage(status int, d tiersData, said string) error {
	var err error
	if d.Tiers, err = q.tierRows(true); err != nil {
		return err
	}
	pd := q.newPage("Tiers", "admin", d)
	if pd.Problem = said; said == "" && q.r.URL.Query().Has("deleted") {
		pd.Notice = "The tier is gone; its members lost what it gave them."
	}
	return q.html(status, "tiers", pd)
}

func postTiersPage(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	t, c, err := tierOfForm(form, domain.Tier{Limits: domain.DefaultLimits()})
	if err == nil {
		if _, err = q.s.svc.CreateTier(q.ctx(), q.actor, form.Get("name"), c); err == nil {
			return q.redirect("/admin/tiers/" + url.PathEscape(form.Get("name")) + "?saved=1")
		}
	}
	words, status, ok := say(err)
	if !ok {
		return err
	}
	q.err = err
	return q.tiersPage(status, tiersData{NewName: form.Get("name"), Form: formOf(t)}, words)
}

type tierData struct {
	Tier    domain.Tier
	Members string
	Users   []string
	Form    tierForm
	Effect  []string
}

func getTierPage(q *request) error {
	t, err := q.s.svc.Tier(q.ctx(), q.actor, q.c.Param("name"))
	if err != nil {
		return err
	}
	return q.tierPage(http.StatusOK, t, nil, "")
}

// tierPage answers with a tier's page; a changed tier is shown with what the change will do.
func (q *request) tierPage(status int, t domain.Tier, changed *domain.Tier, said string) error {
	var users []domain.User
	more, err := q.members(t.Name, func(u domain.User) { users = append(users, u) })
	if err != nil {
		return err
	}
	d := tierData{Tier: t, Members: countText(len(users), more), Form: formOf(t)}
	for _, u := range users[:min(len(users), 60)] {
		d.Users = append(d.Users, u.Username)
	}
	if changed != nil {
		d.Form = formOf(*changed)
		if said == "" {
			all, err := q.s.svc.Tiers(q.ctx(), q.actor)
			if err != nil {
				return err
			}
			d.Effect = effects(t, *changed, users, more, all)
		}
	}
	title := t.Title
	if title == "" {
		title = t.Name
	}
	pd := q.newPage(title, "admin", d)
	if pd.Problem = said; said == "" && q.r.URL.Query().Has("saved") {
		pd.Notice = "Saved. It holds for all members from this moment."
	}
	return q.html(status, "tier", pd)
}

// effects says what a change of a tier will do to its members, permission by
// permission: who has a permission from elsewhere keeps it, and gains nothing new.
func effects(before, after domain.Tier, users []domain.User, more bool, all []domain.Tier) []string {
	others := slices.DeleteFunc(slices.Clone(all), func(t domain.Tier) bool { return t.Name == before.Name })
	elsewhere := make([]domain.Permissions, len(users))
	for i, u := range users {
		elsewhere[i] = domain.Unite(tiersOf(u, others), u.Grants).Permissions
	}
	touched := func(p domain.Permission) string {
		n := 0
		for _, e := range elsewhere {
			if !e.Has(p) {
				n++
			}
		}
		if n == 1 && !more {
			return "1 user"
		}
		return countText(n, more) + " users"
	}
	var out []string
	for _, p := range before.Permissions.Union(after.Permissions).All() {
		switch was, is := before.Permissions.Has(p), after.Permissions.Has(p); {
		case was && !is:
			line := fmt.Sprintf("%s: %s will lose it, at once.", inWords(p), touched(p))
			if p == domain.GenerateLink || p == domain.AccessOriginal || p.Height() > 0 {
				line += " Their links that need it are suspended."
			}
			out = append(out, line)
		case !was && is:
			out = append(out, fmt.Sprintf("%s: %s will gain it.", inWords(p), touched(p)))
		}
	}
	was, is := before.Limits.Fields(), after.Limits.Fields()
	for i := range was {
		if *was[i].Value != *is[i].Value {
			out = append(out, fmt.Sprintf("%s: from %s to %s, for %s members.", limitLabels[is[i].Name], limitText(*was[i].Value), limitText(*is[i].Value), countText(len(users), more)))
		}
	}
	if before.Title != after.Title {
		out = append(out, "The title changes; what anybody may do does not.")
	}
	if len(out) == 0 {
		out = append(out, "Nothing: the form says what holds already.")
	}
	return out
}

func limitText(l domain.Limit) string {
	if l == domain.NoLimit {
		return "no limit"
	}
	return strconv.FormatInt(int64(l), 10)
}

func inWords(p domain.Permission) string {
	switch p {
	case domain.AccessOriginal:
		return "Download of originals"
	case domain.GenerateLink:
		return "Expiring links"
	}
	return "Thumbnails " + itoa(p.Height()) + " px high"
}

func postTierPage(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	t, err := q.s.svc.Tier(q.ctx(), q.actor, q.c.Param("name"))
	if err != nil {
		return err
	}
	path := "/admin/tiers/" + url.PathEscape(t.Name)
	changed, c, err := tierOfForm(form, t)
	switch action := form.Get("action"); {
	case action == "delete":
		if err = q.s.svc.DeleteTier(q.ctx(), q.actor, t.Name); err == nil {
			return q.redirect("/admin/tiers?deleted=1")
		}
	case err != nil:
	case action == "save":
		if _, err = q.s.svc.UpdateTier(q.ctx(), q.actor, t.Name, c); err == nil {
			return q.redirect(path + "?saved=1")
		}
	case action == "review" || action == "":
		if err = changed.Validate(); err == nil {
			return q.tierPage(http.StatusOK, t, &changed, "")
		}
	default:
		err = noSuchAction()
	}
	words, status, ok := say(err)
	if !ok {
		return err
	}
	q.err = err
	return q.tierPage(status, t, &changed, words)
}

// listing is an admin's table with its filter.
type listing[T any] struct {
	User, From, To string
	Rows           []T
	Next           string
}

// listingPage answers with a table; a filter that is wrong is said, above an empty table.
func listingPage[M, R any](q *request, template, title string, load func(app.Filter, ports.Page) ([]M, domain.ID, error), row func(M) R, notice string) error {
	v, f, p, err := q.browse()
	d := listing[R]{User: v.Get("user"), From: v.Get("from"), To: v.Get("to")}
	pd := q.newPage(title, "admin", nil)
	var items []M
	var next domain.ID
	if err == nil {
		items, next, err = load(f, p)
	}
	status := http.StatusOK
	if err != nil {
		words, failed, ok := say(err)
		if !ok || errors.Is(err, domain.Denied) {
			return err
		}
		q.err, pd.Problem, status = err, words, failed
	}
	for _, it := range items {
		d.Rows = append(d.Rows, row(it))
	}
	d.Next = nextPage(q, v, next)
	if v.Has("deleted") || v.Has("revoked") {
		pd.Notice = notice
	}
	pd.Data = d
	return q.html(status, template, pd)
}

type imageRow struct {
	tile
	Size       int64
	UploadedAt time.Time
}

func getImagesPage(q *request) error {
	return listingPage(q, "adminimages", "Everybody's images", func(f app.Filter, p ports.Page) ([]app.ImageView, domain.ID, error) {
		return q.s.svc.AllImages(q.ctx(), q.actor, f, p)
	}, func(v app.ImageView) imageRow { return imageRow{newTile(v), v.Size, v.UploadedAt} }, "The image is gone, and with it its thumbnails and links.")
}

func getLinksPage(q *request) error {
	return listingPage(q, "adminlinks", "Everybody's links", func(f app.Filter, p ports.Page) ([]app.LinkView, domain.ID, error) {
		return q.s.svc.AllLinks(q.ctx(), q.actor, f, p)
	}, newLinkRow, "The link is revoked: it shows nothing any more.")
}

func postLinksPage(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	id, err := domain.ParseID(form.Get("link"))
	if err != nil {
		return domain.Errorf(domain.NotFound, "no such link")
	}
	if err := q.s.svc.RevokeLink(q.ctx(), q.actor, id); err != nil {
		return err
	}
	return q.redirect("/admin/links?revoked=1")
}

func getAuditPage(q *request) error {
	return listingPage(q, "adminaudit", "Audit log", func(f app.Filter, p ports.Page) ([]domain.AuditEntry, domain.ID, error) {
		return q.s.svc.Audit(q.ctx(), q.actor, f, p)
	}, func(e domain.AuditEntry) domain.AuditEntry { return e }, "")
}

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

func getExplainPage(q *request) error {
	v, err := q.query()
	if err != nil {
		return err
	}
	d := explainData{Image: strings.TrimSpace(v.Get("image")), User: strings.TrimSpace(v.Get("user")), Tier: v.Get("tier")}
	if d.Tiers, err = q.tierRows(false); err != nil {
		return err
	}
	pd := q.newPage("Explain", "admin", nil)
	status := http.StatusOK
	if d.Image != "" {
		id, err := domain.ParseID(d.Image)
		if err != nil {
			err = domain.NoSuchImage()
		}
		var a app.Access
		if err == nil {
			a, err = q.s.svc.Access(q.ctx(), q.actor, id, app.WhatIf{Tier: d.Tier, Username: d.User})
		}
		if err != nil {
			words, failed, ok := say(err)
			if !ok {
				return err
			}
			q.err, pd.Problem, status = err, words, failed
		}
		d.Who, d.In, d.Filename = a.User.Username, a.User.Tiers, a.Image.Filename
		for _, r := range a.Rows {
			d.Rows = append(d.Rows, explainRow{r.Action.String(), r.Decision.Allowed, r.Decision.String(), r.SmallestTier})
		}
	}
	pd.Data = d
	return q.html(status, "explain", pd)
}

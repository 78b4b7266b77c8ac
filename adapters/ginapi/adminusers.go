package ginapi

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// maxSearched bounds how many users one page of a search looks through.
const maxSearched = 2000

// userRow is a user in a list.
type userRow struct {
	domain.User
	Granted string
}

type usersData struct {
	Query, Tier       string
	Tiers             []tierRow
	Users             []userRow
	Next              string
	New               bool // the form is open
	NewName, NewEmail string
	NewTiers          []string
	NewAdmin          bool
}

func getUsersPage(q *request) error {
	return q.usersPage(http.StatusOK, usersData{New: q.r.URL.Query().Has("new")}, "")
}

func (q *request) usersPage(status int, d usersData, said string) error {
	v, err := q.query()
	if err != nil {
		return err
	}
	if d.Tiers, err = q.tierRows(false); err != nil {
		return err
	}
	for i := range d.Tiers {
		d.Tiers[i].On = slices.Contains(d.NewTiers, d.Tiers[i].Name)
	}
	d.Query, d.Tier = strings.TrimSpace(v.Get("q")), v.Get("tier")
	users, next, err := q.searchUsers(v, d.Query, d.Tier)
	if err != nil {
		return err
	}
	for _, u := range users {
		d.Users = append(d.Users, userRow{u, includes(u.Grants)})
	}
	d.Next = nextPage(q, v, next)
	pd := q.newPage("Users", "admin", d)
	if pd.Problem = said; v.Has("deleted") {
		pd.Notice = "The user is gone, with all images and links."
	}
	return q.html(status, "users", pd)
}

// searchUsers lists users, newest first, whose name or e-mail address holds the
// word. The one of exactly that name comes first, however old the account is; the
// others are looked for among so many at a time, and the next page goes on from there.
func (q *request) searchUsers(v url.Values, word, tier string) (found []domain.User, next domain.ID, err error) {
	p, err := page(v)
	if err != nil {
		return nil, next, err
	}
	if word == "" {
		return q.s.svc.Users(q.ctx(), q.actor, tier, p)
	}
	exact, err := q.s.svc.User(q.ctx(), q.actor, word)
	switch {
	case err == nil && p.Before.IsZero() && (tier == "" || slices.Contains(exact.Tiers, tier)):
		found = append(found, exact)
	case err != nil && !errors.Is(err, domain.NotFound):
		return nil, next, err
	}
	word = strings.ToLower(word)
	wanted := p.Limit
	p.Limit = maxPage
	for range maxSearched / maxPage {
		users, next, err := q.s.svc.Users(q.ctx(), q.actor, tier, p)
		if err != nil {
			return nil, next, err
		}
		for _, u := range users {
			if u.ID != exact.ID && (strings.Contains(strings.ToLower(u.Username), word) || strings.Contains(strings.ToLower(u.Email), word)) {
				found = append(found, u)
			}
		}
		if p.Before = next; next.IsZero() || len(found) >= wanted {
			break
		}
	}
	return found, p.Before, nil
}

func postUsersPage(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	d := usersData{
		New: true, NewName: form.Get("username"), NewEmail: form.Get("email"), NewTiers: slices.Clone(form["tiers"]), NewAdmin: form.Get("is_admin") == "true",
	}
	c := app.UserChange{Email: &d.NewEmail, Tiers: &d.NewTiers, IsAdmin: &d.NewAdmin}
	if pw := form.Get("password"); pw != "" {
		c.Password = &pw
	}
	u, err := q.s.svc.CreateUser(q.ctx(), q.actor, d.NewName, c)
	if err != nil {
		return q.refused(err, func(status int, words string) error { return q.usersPage(status, d, words) })
	}
	return q.redirect("/admin/users/" + url.PathEscape(u.Username))
}

// grantsForm are permissions as a form shows them.
type grantsForm struct {
	Original, Link bool
	Heights        string
}

func newGrantsForm(ps domain.Permissions) grantsForm {
	return grantsForm{ps.Has(domain.AccessOriginal), ps.Has(domain.GenerateLink), joinInts(ps.Heights())}
}

type userData struct {
	Subject           domain.User
	Tiers             []tierRow
	Grants            grantsForm
	Email             string
	IsAdmin, IsActive bool
	Effective         []string
}

func getUserPage(q *request) error { return q.userPage(http.StatusOK, nil, "") }

// userPage answers with a user's page; a form that was refused is shown as it was sent.
func (q *request) userPage(status int, sent url.Values, said string) error {
	u, err := q.s.svc.User(q.ctx(), q.actor, q.c.Param("username"))
	if err != nil {
		return err
	}
	tiers, err := q.s.svc.Tiers(q.ctx(), q.actor)
	if err != nil {
		return err
	}
	d := userData{Subject: u, Grants: newGrantsForm(u.Grants), Email: u.Email, IsAdmin: u.IsAdmin, IsActive: u.IsActive}
	in := u.Tiers
	if sent != nil {
		in = sent["tiers"]
		d.Grants = grantsForm{
			slices.Contains(sent["permissions"], domain.AccessOriginal.String()), slices.Contains(sent["permissions"], domain.GenerateLink.String()), sent.Get("heights"),
		}
		d.Email, d.IsAdmin, d.IsActive = sent.Get("email"), sent.Get("is_admin") == "true", sent.Get("is_active") == "true"
	}
	var mine []domain.Tier
	for _, t := range tiers {
		d.Tiers = append(d.Tiers, tierRow{Name: t.Name, Title: t.Title, On: slices.Contains(in, t.Name), Includes: includes(t.Permissions)})
		if slices.Contains(u.Tiers, t.Name) {
			mine = append(mine, t)
		}
	}
	d.Effective = domain.Unite(mine, u.Grants).Permissions.Codenames()
	pd := q.newPage(u.Username, "admin", d)
	if pd.Problem = said; said == "" && q.r.URL.Query().Has("saved") {
		pd.Notice = "Saved. It holds from this moment."
	}
	return q.html(status, "user", pd)
}

func postUserPage(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	name := q.c.Param("username")
	var shown url.Values
	var c app.UserChange
	switch form.Get("action") {
	case "save":
		shown = form
		ps, parseErr := permissionsOfForm(form)
		if err = parseErr; err != nil {
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
	if errors.Is(err, domain.NotFound) {
		return err
	}
	if err != nil {
		return q.refused(err, func(status int, words string) error { return q.userPage(status, shown, words) })
	}
	return q.redirect("/admin/users/" + url.PathEscape(name) + "?saved=1")
}

// permissionsOfForm reads what is picked and what is typed: codenames, and heights in pixels.
func permissionsOfForm(form url.Values) ([]string, error) {
	out := slices.Clone(form["permissions"])
	typed := strings.FieldsFunc(form.Get("heights"), func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
	for _, h := range slices.Concat(form["height"], typed) {
		if h == "px" { // "640 px"
			continue
		}
		n, err := domain.ParseHeight(strings.TrimSuffix(h, "px"))
		if err != nil {
			return nil, domain.InvalidField("heights", "format", "%q: %s", h, domain.AsError(err).Msg)
		}
		out = append(out, "thumbnail:"+itoa(n))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

package pages

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
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

func (h *Handlers) getUsersPage(q *request.Request) error {
	return h.usersPage(q, http.StatusOK, usersData{New: q.HTTP.URL.Query().Has("new")}, "")
}

func (h *Handlers) usersPage(q *request.Request, status int, d usersData, said string) error {
	v, p, err := q.Pagination()
	if err != nil {
		return err
	}
	if d.Tiers, err = h.tierRows(q, false); err != nil {
		return err
	}
	for i := range d.Tiers {
		d.Tiers[i].On = slices.Contains(d.NewTiers, d.Tiers[i].Name)
	}
	d.Query, d.Tier = strings.TrimSpace(v.Get("q")), v.Get("tier")
	users, next, err := h.searchUsers(q, p, d.Query, d.Tier)
	if err != nil {
		return err
	}
	for _, u := range users {
		d.Users = append(d.Users, userRow{u, includes(u.Grants)})
	}
	d.Next = nextPage(q, v, next)
	pd := h.newPage(q, "Users", "admin", d)
	if pd.Problem = said; v.Has("deleted") {
		pd.Notice = "User deleted, with all images and links."
	}
	return h.html(q, status, "users", pd)
}

// searchUsers lists users, newest first, whose name or e-mail address holds the
// word. The one of exactly that name comes first, however old the account is; the
// others are looked for among so many at a time, and the next page goes on from there.
func (h *Handlers) searchUsers(q *request.Request, p ports.Page, word, tier string) (found []domain.User, next domain.ID, err error) {
	if word == "" {
		return q.Service.Users(q.Context(), q.Actor, tier, p)
	}
	exact, err := q.Service.User(q.Context(), q.Actor, word)
	switch {
	case err == nil && p.Before.IsZero() && (tier == "" || slices.Contains(exact.Tiers, tier)):
		found = append(found, exact)
	case err != nil && !errors.Is(err, domain.NotFound):
		return nil, next, err
	}
	word = strings.ToLower(word)
	wanted := p.Limit
	p.Limit = request.MaxPage
	for range maxSearched / request.MaxPage {
		users, next, err := q.Service.Users(q.Context(), q.Actor, tier, p)
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

func (h *Handlers) postUsersPage(q *request.Request) error {
	form, err := q.Form()
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
	u, err := q.Service.CreateUser(q.Context(), q.Actor, d.NewName, c)
	if err != nil {
		return h.refused(q, err, func(status int, words string) error { return h.usersPage(q, status, d, words) })
	}
	return q.Redirect("/admin/users/" + url.PathEscape(u.Username))
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

func (h *Handlers) getUserPage(q *request.Request) error {
	return h.userPage(q, http.StatusOK, nil, "")
}

// userPage answers with a user's page; a form that was refused is shown as it was sent.
func (h *Handlers) userPage(q *request.Request, status int, sent url.Values, said string) error {
	u, err := q.Service.User(q.Context(), q.Actor, q.Param("username"))
	if err != nil {
		return err
	}
	tiers, err := q.Service.Tiers(q.Context(), q.Actor)
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
	pd := h.newPage(q, u.Username, "admin", d)
	if pd.Problem = said; said == "" && q.HTTP.URL.Query().Has("saved") {
		pd.Notice = "Saved."
	}
	return h.html(q, status, "user", pd)
}

func (h *Handlers) postUserPage(q *request.Request) error {
	form, err := q.Form()
	if err != nil {
		return err
	}
	name := q.Param("username")
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
		_, err = q.Service.UpdateUser(q.Context(), q.Actor, name, c)
	case "password":
		pw := form.Get("password")
		_, err = q.Service.UpdateUser(q.Context(), q.Actor, name, app.UserChange{Password: &pw})
	case "delete":
		if err = q.Service.DeleteUser(q.Context(), q.Actor, name); err == nil {
			return q.Redirect("/admin/users?deleted=1")
		}
	default:
		err = noSuchAction()
	}
	if errors.Is(err, domain.NotFound) {
		return err
	}
	if err != nil {
		return h.refused(q, err, func(status int, words string) error { return h.userPage(q, status, shown, words) })
	}
	return q.Redirect("/admin/users/" + url.PathEscape(name) + "?saved=1")
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

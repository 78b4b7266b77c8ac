package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// maxCounted bounds how many members a list of tiers counts of each: beyond it says "2000+".
const maxCounted = 2000

// shownMembers is how many members a tier's page names.
const shownMembers = 60

func (h *Handlers) countMembers(q *request.Request, tier string) (string, error) {
	p := ports.Page{Limit: request.MaxPage}
	n := 0
	for range maxCounted / request.MaxPage {
		users, next, err := q.Service.Users(q.Context(), q.Actor, tier, p)
		if err != nil {
			return "", err
		}
		n += len(users)
		if p.Before = next; next.IsZero() {
			return itoa(n), nil
		}
	}
	return itoa(n) + "+", nil
}

// tierRow is a tier in a list.
type tierRow struct {
	Name, Title string
	Permissions []string
	Members     string
	On          bool
	Includes    string
}

func (h *Handlers) tierRows(q *request.Request, count bool) ([]tierRow, error) {
	tiers, err := q.Service.Tiers(q.Context(), q.Actor)
	if err != nil {
		return nil, err
	}
	out := make([]tierRow, len(tiers))
	for i, t := range tiers {
		out[i] = tierRow{Name: t.Name, Title: t.Title, Permissions: t.Permissions.Codenames(), Includes: includes(t.Permissions)}
		if !count {
			continue
		}
		if out[i].Members, err = h.countMembers(q, t.Name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type commonHeight struct {
	Height int
	On     bool
}

type limitInput struct{ Name, Label, Unit, Value string }

// tierForm is what a tier's form shows.
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

func formOfTier(t domain.Tier) tierForm {
	f := tierForm{Title: t.Title, Original: t.Permissions.Has(domain.AccessOriginal), Link: t.Permissions.Has(domain.GenerateLink), LimitsOpen: t.Limits != domain.DefaultLimits()}
	hs := t.Permissions.Heights()
	for _, h := range commonHeights {
		f.Common = append(f.Common, commonHeight{h, slices.Contains(hs, h)})
	}
	f.Other = joinInts(slices.DeleteFunc(hs, func(h int) bool { return slices.Contains(commonHeights, h) }))
	for _, l := range t.Limits.Fields() {
		in := limitInput{Name: l.Name, Label: limitLabels[l.Name], Unit: limitUnit(l.Name)}
		if *l.Value != domain.NoLimit {
			in.Value = strconv.FormatInt(int64(*l.Value), 10)
		}
		f.Limits = append(f.Limits, in)
	}
	return f
}

// formAsSent is the form as it came, to be mended by who sent it.
func formAsSent(form url.Values) tierForm {
	f := tierForm{
		Title: form.Get("title"), Other: form.Get("heights"), LimitsOpen: true,
		Original: slices.Contains(form["permissions"], domain.AccessOriginal.String()), Link: slices.Contains(form["permissions"], domain.GenerateLink.String()),
	}
	for _, h := range commonHeights {
		f.Common = append(f.Common, commonHeight{h, slices.Contains(form["height"], itoa(h))})
	}
	limits := domain.DefaultLimits()
	for _, l := range limits.Fields() {
		f.Limits = append(f.Limits, limitInput{Name: l.Name, Label: limitLabels[l.Name], Unit: limitUnit(l.Name), Value: form.Get(l.Name)})
	}
	return f
}

// tierChangeOf reads a tier's form.
func tierChangeOf(form url.Values) (app.TierChange, error) {
	title := form.Get("title")
	c := app.TierChange{Title: &title, Limits: map[string]*int64{}}
	ps, err := permissionsOfForm(form)
	if err != nil {
		return c, err
	}
	c.Permissions = &ps
	limits := domain.DefaultLimits()
	for _, f := range limits.Fields() {
		if !form.Has(f.Name) {
			continue
		}
		text := strings.TrimSpace(form.Get(f.Name))
		if text == "" {
			c.Limits[f.Name] = nil
			continue
		}
		n, ok := strictjson.Digits(text)
		if !ok {
			return c, domain.InvalidField("limits."+f.Name, "type", "must be a whole number, written in digits, or empty for none")
		}
		c.Limits[f.Name] = &n
	}
	return c, nil
}

type tiersData struct {
	Tiers   []tierRow
	New     bool // the form is open
	NewName string
	Form    tierForm
}

func (h *Handlers) getTiersPage(q *request.Request) error {
	d := tiersData{New: q.HTTP.URL.Query().Has("new"), Form: formOfTier(domain.Tier{Limits: domain.DefaultLimits()})}
	return h.tiersPage(q, http.StatusOK, d, "")
}

func (h *Handlers) tiersPage(q *request.Request, status int, d tiersData, said string) error {
	var err error
	if d.Tiers, err = h.tierRows(q, true); err != nil {
		return err
	}
	pd := h.newPage(q, "Tiers", "admin", d)
	if pd.Problem = said; said == "" && q.HTTP.URL.Query().Has("deleted") {
		pd.Notice = "Tier deleted. Its members no longer have its permissions."
	}
	return h.html(q, status, "tiers", pd)
}

func (h *Handlers) postTiersPage(q *request.Request) error {
	form, err := q.Form()
	if err != nil {
		return err
	}
	c, err := tierChangeOf(form)
	if err == nil {
		_, err = q.Service.CreateTier(q.Context(), q.Actor, form.Get("name"), c)
	}
	if err != nil {
		return h.refused(q, err, func(status int, words string) error {
			return h.tiersPage(q, status, tiersData{New: true, NewName: form.Get("name"), Form: formAsSent(form)}, words)
		})
	}
	return q.Redirect("/admin/tiers/" + url.PathEscape(form.Get("name")) + "?saved=1")
}

type tierData struct {
	Tier      domain.Tier
	Members   string
	Users     []string
	MoreUsers bool
	Form      tierForm
	Effect    []string
}

func (h *Handlers) getTierPage(q *request.Request) error {
	return h.tierPage(q, http.StatusOK, nil, nil, "")
}

// tierPage answers with a tier's page; a form that was sent is shown as it came,
// with what it will do, or with why it cannot be.
func (h *Handlers) tierPage(q *request.Request, status int, sent url.Values, effect []string, said string) error {
	t, err := q.Service.Tier(q.Context(), q.Actor, q.Param("name"))
	if err != nil {
		return err
	}
	d := tierData{Tier: t, Form: formOfTier(t), Effect: effect}
	if sent != nil {
		d.Form = formAsSent(sent)
	}
	if d.Members, err = h.countMembers(q, t.Name); err != nil {
		return err
	}
	users, next, err := q.Service.Users(q.Context(), q.Actor, t.Name, ports.Page{Limit: shownMembers})
	if err != nil {
		return err
	}
	for _, u := range users {
		d.Users = append(d.Users, u.Username)
	}
	d.MoreUsers = !next.IsZero()
	title := t.Title
	if title == "" {
		title = t.Name
	}
	pd := h.newPage(q, title, "admin", d)
	if pd.Problem = said; said == "" && q.HTTP.URL.Query().Has("saved") {
		pd.Notice = "Saved."
	}
	return h.html(q, status, "tier", pd)
}

// effectLines says what a change of a tier will do.
func effectLines(e app.TierEffect) []string {
	var out []string
	for _, p := range e.Permissions {
		users := countOf(p.Users, "user", "users")
		if p.Gained {
			out = append(out, fmt.Sprintf("%s: %s will gain it.", inWords(p.Permission), users))
		} else {
			out = append(out, fmt.Sprintf("%s: %s will lose it immediately. Links that need it are suspended.", inWords(p.Permission), users))
		}
	}
	was, is := e.Before.Limits.Fields(), e.After.Limits.Fields()
	for i := range was {
		if *was[i].Value != *is[i].Value {
			out = append(out, fmt.Sprintf("%s: from %s to %s, for %s.", limitLabels[is[i].Name], limitText(was[i]), limitText(is[i]), countOf(e.Members, "member", "members")))
		}
	}
	if e.Before.Title != e.After.Title {
		out = append(out, "Only the title changes; permissions stay as they are.")
	}
	if len(out) == 0 {
		out = append(out, "No changes: this is what is saved already.")
	}
	return out
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + many
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

func (h *Handlers) postTierPage(q *request.Request) error {
	form, err := q.Form()
	if err != nil {
		return err
	}
	name := q.Param("name")
	var c app.TierChange
	action := form.Get("action")
	if action != "delete" {
		c, err = tierChangeOf(form)
	}
	switch {
	case err != nil:
	case action == "delete":
		if err = q.Service.DeleteTier(q.Context(), q.Actor, name); err == nil {
			return q.Redirect("/admin/tiers?deleted=1")
		}
		form = nil
	case action == "save":
		if _, err = q.Service.UpdateTier(q.Context(), q.Actor, name, c); err == nil {
			return q.Redirect("/admin/tiers/" + url.PathEscape(name) + "?saved=1")
		}
	case action == "review" || action == "":
		var effect app.TierEffect
		if effect, err = q.Service.PreviewTier(q.Context(), q.Actor, name, c); err == nil {
			return h.tierPage(q, http.StatusOK, form, effectLines(effect), "")
		}
	default:
		err = noSuchAction()
	}
	return h.refused(q, err, func(status int, words string) error { return h.tierPage(q, status, form, nil, words) })
}

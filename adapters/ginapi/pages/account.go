package pages

import (
	"net/http"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/internal/strictjson"
	"github.com/imagify-api/imagify/adapters/ginapi/pages/web"
	"github.com/imagify-api/imagify/domain"
)

type limitRow struct{ Label, Value string }

// limitLabels are the limits' names for people, by their contract names.
var limitLabels = map[string]string{
	"max_upload_bytes": "Largest file", "max_pixels": "Max pixels", "max_frames": "Max frames", "max_images": "Images", "max_storage_bytes": "Storage",
	"requests_per_minute": "Requests per minute", "link_ttl_min_seconds": "Shortest link", "link_ttl_max_seconds": "Longest link",
}

func limitRows(l domain.Limits) []limitRow {
	var out []limitRow
	for _, f := range l.Fields() {
		out = append(out, limitRow{limitLabels[f.Name], limitText(f)})
	}
	return out
}

// limitText is a limit for people.
func limitText(f domain.LimitField) string {
	n := int64(*f.Value)
	switch {
	case *f.Value == domain.NoLimit:
		return "no limit"
	case strings.HasSuffix(f.Name, "_bytes"):
		return web.Bytes(n)
	case strings.HasSuffix(f.Name, "_seconds"):
		return web.Duration(n)
	}
	return web.Number(n)
}

// limitUnit is what a limit's field is filled with.
func limitUnit(name string) string {
	switch {
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	case strings.HasSuffix(name, "_seconds"):
		return "seconds"
	}
	return "a number"
}

type accountData struct {
	Tiers            []string
	Heights          []int
	Original, Links  bool
	LinkFrom, LinkTo string
	Usage            usageData
	Limits           []limitRow
	Tokens           []domain.Token
	NextTokens       string
	NewToken         string
	TokenName        string
}

func (h *Handlers) getAccount(q *request.Request) error {
	return h.accountPage(q, http.StatusOK, accountData{}, "")
}

func (h *Handlers) accountPage(q *request.Request, status int, d accountData, said string) error {
	_, p, err := q.Pagination()
	if err != nil {
		return err
	}
	tokens, next, err := q.Service.Tokens(q.Context(), q.Actor, p)
	if err != nil {
		return err
	}
	e := q.Actor.Entitlements
	for _, t := range e.Tiers {
		title := t.Title
		if title == "" {
			title = t.Name
		}
		d.Tiers = append(d.Tiers, title)
	}
	lo, hi := e.Limits.LinkSeconds()
	d.Heights, d.Original, d.Links = e.Permissions.Heights(), e.Permissions.Has(domain.AccessOriginal), e.Permissions.Has(domain.GenerateLink)
	d.LinkFrom, d.LinkTo, d.Limits, d.Tokens = web.Duration(lo), web.Duration(hi), limitRows(e.Limits), tokens
	if !next.IsZero() {
		d.NextTokens = request.Cursor(next)
	}
	if d.Usage, err = h.usage(q); err != nil {
		return err
	}
	pd := h.newPage(q, "Your account", "account", d)
	pd.Problem = said
	return h.html(q, status, "account", pd)
}

func (h *Handlers) postAccount(q *request.Request) error {
	form, err := q.Form()
	if err != nil {
		return err
	}
	var d accountData
	switch form.Get("action") {
	case "token":
		var name string
		var ttl time.Duration
		if name, ttl, err = request.ReadToken(strictjson.FromForm(form, "expires_in")); err == nil {
			_, d.NewToken, err = q.Service.CreateToken(q.Context(), q.Actor, name, ttl)
		}
		if err == nil {
			return h.accountPage(q, http.StatusCreated, d, "")
		}
		d.TokenName = form.Get("name")
	case "revoke":
		id, parseErr := domain.ParseID(form.Get("token"))
		if parseErr != nil {
			return domain.Errorf(domain.NotFound, "no such token")
		}
		if err = q.Service.RevokeToken(q.Context(), q.Actor, id); err == nil {
			return q.Redirect("/account")
		}
	default:
		err = noSuchAction()
	}
	return h.refused(q, err, func(status int, words string) error { return h.accountPage(q, status, d, words) })
}

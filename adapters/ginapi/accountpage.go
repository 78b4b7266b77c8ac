package ginapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi/web"
	"github.com/imagify-api/imagify/domain"
)

type limitRow struct{ Label, Value string }

// limitLabels are the limits' names for people, by their contract names.
var limitLabels = map[string]string{
	"max_upload_bytes": "Largest file", "max_pixels": "Most pixels", "max_frames": "Most frames", "max_images": "Images", "max_storage_bytes": "Storage",
	"requests_per_minute": "Requests a minute", "link_ttl_min_seconds": "Shortest link", "link_ttl_max_seconds": "Longest link",
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

func getAccount(q *request) error { return q.accountPage(http.StatusOK, accountData{}, "") }

func (q *request) accountPage(status int, d accountData, said string) error {
	_, p, err := q.paged()
	if err != nil {
		return err
	}
	tokens, next, err := q.s.svc.Tokens(q.ctx(), q.actor, p)
	if err != nil {
		return err
	}
	e := q.actor.Effective
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
		d.NextTokens = encodeCursor(next)
	}
	if d.Usage, err = q.usage(); err != nil {
		return err
	}
	pd := q.newPage("Your account", "account", d)
	pd.Problem = said
	return q.html(status, "account", pd)
}

func postAccount(q *request) error {
	form, err := q.form()
	if err != nil {
		return err
	}
	var d accountData
	switch form.Get("action") {
	case "token":
		var name string
		var ttl time.Duration
		if name, ttl, err = tokenInput(formObject(form, "expires_in")); err == nil {
			_, d.NewToken, err = q.s.svc.CreateToken(q.ctx(), q.actor, name, ttl)
		}
		if err == nil {
			return q.accountPage(http.StatusCreated, d, "")
		}
		d.TokenName = form.Get("name")
	case "revoke":
		id, parseErr := domain.ParseID(form.Get("token"))
		if parseErr != nil {
			return domain.Errorf(domain.NotFound, "no such token")
		}
		if err = q.s.svc.RevokeToken(q.ctx(), q.actor, id); err == nil {
			return q.redirect("/account")
		}
	default:
		err = noSuchAction()
	}
	return q.refused(err, func(status int, words string) error { return q.accountPage(status, d, words) })
}

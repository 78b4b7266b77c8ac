package ginapi

import (
	"net/http"
	"time"
)

func getMe(q *request) error {
	u, err := q.s.svc.Usage(q.ctx(), q.actor)
	if err != nil {
		return err
	}
	e := q.actor.Effective
	user := viewUser(q.actor.User)
	return q.json(http.StatusOK, meView{
		User: user, Tiers: user.Tiers, Permissions: e.Permissions.Codenames(), Limits: limitsView{e.Limits}, Usage: usageView(u),
	})
}

// maxTokenSeconds keeps a token's life within a time.Duration; the app's own bound is lower.
const maxTokenSeconds = int64(1<<63-1) / int64(time.Second)

// tokenInput reads what a token shall be.
func tokenInput(o *object) (name string, ttl time.Duration, err error) {
	o.require("name")
	given, expires := o.str("name"), o.integer("expires_in")
	if expires != nil {
		if *expires < 1 || *expires > maxTokenSeconds {
			o.wrong("expires_in", "range", "must be a positive number of seconds; leave it out for a token that does not expire")
		}
		ttl = time.Duration(*expires) * time.Second
	}
	if err := o.done(); err != nil {
		return "", 0, err
	}
	return *given, ttl, nil
}

func postToken(q *request) error {
	o, err := q.object()
	if err != nil {
		return err
	}
	name, ttl, err := tokenInput(o)
	if err != nil {
		return err
	}
	t, secret, err := q.s.svc.CreateToken(q.ctx(), q.actor, name, ttl)
	if err != nil {
		return err
	}
	v := viewToken(t)
	v.Token = secret
	q.set("Location", q.base()+"/v1/tokens/"+v.ID)
	return q.json(http.StatusCreated, v)
}

func getTokens(q *request) error {
	v, p, err := q.paged()
	if err != nil {
		return err
	}
	items, next, err := q.s.svc.Tokens(q.ctx(), q.actor, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, viewToken)
}

func deleteToken(q *request) error {
	id, err := q.idParam("no such token")
	if err != nil {
		return err
	}
	if err := q.s.svc.RevokeToken(q.ctx(), q.actor, id); err != nil {
		return err
	}
	return q.noContent()
}

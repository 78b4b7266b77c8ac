package ginapi

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
)

func getMe(q *request.Request) error {
	u, err := q.Service.Usage(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewMe(q.Actor, u))
}

func postToken(q *request.Request) error {
	o, err := q.Object()
	if err != nil {
		return err
	}
	name, ttl, err := request.ReadToken(o)
	if err != nil {
		return err
	}
	t, secret, err := q.Service.CreateToken(q.Context(), q.Actor, name, ttl)
	if err != nil {
		return err
	}
	v := response.NewToken(t)
	v.Token = secret
	q.Set("Location", q.BaseURL()+"/v1/tokens/"+v.ID)
	return q.JSON(http.StatusCreated, v)
}

func getTokens(q *request.Request) error {
	v, p, err := q.Pagination()
	if err != nil {
		return err
	}
	items, next, err := q.Service.Tokens(q.Context(), q.Actor, p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, response.NewToken)
}

func deleteToken(q *request.Request) error {
	id, err := q.ID("no such token")
	if err != nil {
		return err
	}
	if err := q.Service.RevokeToken(q.Context(), q.Actor, id); err != nil {
		return err
	}
	return q.NoContent()
}

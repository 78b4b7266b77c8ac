package ginapi

import (
	"net/http"
	"net/url"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/app"
)

func getUsers(q *request.Request) error {
	v, p, err := q.Pagination()
	if err != nil {
		return err
	}
	items, next, err := q.Service.Users(q.Context(), q.Actor, v.Get("tier"), p)
	if err != nil {
		return err
	}
	return list(q, v, items, next, response.NewUser)
}

func postUser(q *request.Request) error {
	var body request.NewUser
	if err := q.Body(&body); err != nil {
		return err
	}
	u, err := q.Service.CreateUser(q.Context(), q.Actor, body.Username, app.UserChange(body.UserChange))
	if err != nil {
		return err
	}
	q.Set("Location", q.BaseURL()+"/v1/admin/users/"+url.PathEscape(u.Username))
	return q.JSON(http.StatusCreated, response.NewUser(u))
}

func getUser(q *request.Request) error {
	u, err := q.Service.User(q.Context(), q.Actor, q.Param("username"))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewUser(u))
}

func patchUser(q *request.Request) error {
	var body request.UserChange
	if err := q.Body(&body); err != nil {
		return err
	}
	u, err := q.Service.UpdateUser(q.Context(), q.Actor, q.Param("username"), app.UserChange(body))
	if err != nil {
		return err
	}
	return q.JSON(http.StatusOK, response.NewUser(u))
}

func deleteUser(q *request.Request) error {
	if err := q.Service.DeleteUser(q.Context(), q.Actor, q.Param("username")); err != nil {
		return err
	}
	return q.NoContent()
}

package pages

import (
	"errors"
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// listing is an admin's table with its filter.
type listing[R any] struct {
	User, From, To string
	Rows           []R
	Next           string
}

// listingPage answers with a table; a filter that is wrong is said, above an empty table.
func listingPage[R any](h *Handlers, q *request.Request, template, title, notice string, load func(app.Filter, ports.Page) ([]R, domain.ID, error)) error {
	v, f, p, err := q.Filter()
	d := listing[R]{User: v.Get("user"), From: v.Get("from"), To: v.Get("to")}
	pd := h.newPage(q, title, "admin", nil)
	pd.ProblemTitle = "Could not filter."
	if v.Has("deleted") || v.Has("revoked") {
		pd.Notice = notice
	}
	if err == nil {
		var next domain.ID
		d.Rows, next, err = load(f, p)
		d.Next = nextPage(q, v, next)
	}
	pd.Data = d
	if err != nil {
		return h.refused(q, err, func(status int, words string) error {
			pd.Problem = words
			return h.html(q, status, template, pd)
		})
	}
	return h.html(q, http.StatusOK, template, pd)
}

// username is whose an image or a link is; empty: the account is gone.
func (h *Handlers) username(q *request.Request, id domain.ID) (string, error) {
	u, err := q.Service.UserByID(q.Context(), q.Actor, id)
	if errors.Is(err, domain.NotFound) {
		return "", nil
	}
	return u.Username, err
}

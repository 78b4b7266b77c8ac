package pages

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
)

func (h *Handlers) getDocs(q *request.Request) error {
	q.Identify() // the docs are for everybody; who is signed in is only shown
	d := h.newPage(q, "API documentation", "docs", nil)
	d.policy = docsPolicy
	return h.html(q, http.StatusOK, "docs", d)
}

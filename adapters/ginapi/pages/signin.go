package pages

import (
	"net/http"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/domain"
)

func (h *Handlers) getSignIn(q *request.Request) error {
	v, err := q.Query()
	if err != nil {
		return err
	}
	return h.signInPage(q, http.StatusOK, signInData{Next: request.LocalPath(v.Get("next"))})
}

func (h *Handlers) postSignIn(q *request.Request) error {
	if err := q.SameOrigin(); err != nil {
		return err
	}
	form, err := q.Form()
	if err != nil {
		return err
	}
	next := request.LocalPath(form.Get("next"))
	username := form.Get("username")
	secret, session, err := q.Service.SignIn(q.Context(), username, form.Get("password"), q.Address())
	if err != nil {
		if !q.WantsHTML() {
			return err
		}
		q.LogError(err)
		e := domain.AsError(err)
		switch {
		case e.Code == domain.Unauthenticated:
			// Not Basic: the browser would open a box of its own over the page.
			q.Set("WWW-Authenticate", `Bearer realm="imagify"`)
		case e.RetryAfter > 0:
			q.SetRetryAfter(e.RetryAfter)
		}
		return h.signInPage(q, request.StatusOf(e.Code), signInData{Next: next, Username: request.Clip(username, maxShownName), Message: request.Words(e)})
	}
	// A session that was there before ends: nobody else goes on with it.
	if old := q.SessionSecret(); old != "" {
		if err := q.Service.SignOut(q.Context(), old); err != nil {
			return err
		}
	}
	q.SetSessionCookie(secret, session.ExpiresAt)
	return q.Redirect(next)
}

func (h *Handlers) postSignOut(q *request.Request) error {
	if err := q.SameOrigin(); err != nil {
		return err
	}
	if secret := q.SessionSecret(); secret != "" {
		if err := q.Service.SignOut(q.Context(), secret); err != nil {
			return err
		}
	}
	q.DeleteSessionCookie()
	if q.WantsHTML() {
		return q.Redirect("/api-auth/login")
	}
	return q.NoContent()
}

func (h *Handlers) getSignOut(q *request.Request) error {
	q.Identify()
	d := h.newPage(q, "Sign out", "", nil)
	d.Width = "narrow"
	return h.html(q, http.StatusOK, "logout", d)
}

// maxShownName bounds the name that a refused sign-in shows again, in bytes.
const maxShownName = 512

type signInData struct{ Next, Username, Message string }

func (h *Handlers) signInPage(q *request.Request, status int, d signInData) error {
	return h.html(q, status, "login", &pageData{Title: "Sign in", Data: d})
}

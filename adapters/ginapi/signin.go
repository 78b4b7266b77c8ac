package ginapi

import (
	"mime"
	"net/http"
	"net/url"

	"github.com/imagify-api/imagify/domain"
)

// maxForm bounds the sign-in form, in bytes; the longest password has 1024.
const maxForm = 16 << 10

func getSignIn(q *request) error {
	v, err := q.query()
	if err != nil {
		return err
	}
	return q.signInPage(http.StatusOK, signInData{Next: localPath(v.Get("next"))})
}

func postSignIn(q *request) error {
	if err := q.sameOrigin(); err != nil {
		return err
	}
	form, err := q.form()
	if err != nil {
		return err
	}
	next := localPath(form.Get("next"))
	username := form.Get("username")
	secret, session, err := q.s.svc.SignIn(q.ctx(), username, form.Get("password"), q.address)
	if err != nil {
		if !q.wantsHTML() {
			return err
		}
		q.err = err
		e := domain.AsError(err)
		message := e.Msg
		if e.Code == domain.Internal || message == "" {
			message = plainDetails[e.Code]
		}
		h := q.w.Header()
		switch {
		case e.Code == domain.Unauthenticated:
			// Not Basic: the browser would open a box of its own over the page.
			h["Www-Authenticate"] = bearerAlone
		case e.RetryAfter > 0:
			q.set("Retry-After", seconds(e.RetryAfter))
		}
		return q.signInPage(statusOf(e.Code), signInData{Next: next, Username: clip(username, maxDetail), Message: upperFirst(message) + "."})
	}
	// A session that was there before ends: nobody else goes on with it.
	if old := q.sessionSecret(); old != "" {
		if err := q.s.svc.SignOut(q.ctx(), old); err != nil {
			return err
		}
	}
	q.setCookie(secret, session.ExpiresAt)
	return q.redirect(next)
}

func postSignOut(q *request) error {
	if err := q.sameOrigin(); err != nil {
		return err
	}
	if secret := q.sessionSecret(); secret != "" {
		if err := q.s.svc.SignOut(q.ctx(), secret); err != nil {
			return err
		}
	}
	q.deleteCookie()
	if q.wantsHTML() {
		return q.redirect("/api-auth/login")
	}
	return q.noContent()
}

// form reads an HTML form from the body alone: parameters of the URL end up in logs and histories.
func (q *request) form() (url.Values, error) {
	if typ, _, err := mime.ParseMediaType(q.r.Header.Get("Content-Type")); err != nil || typ != "application/x-www-form-urlencoded" {
		return nil, domain.Errorf(domain.Invalid, "send the form as application/x-www-form-urlencoded, with username and password")
	}
	b, err := q.readAll(maxForm)
	if err != nil {
		return nil, err
	}
	v, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, domain.Wrap(domain.Invalid, err, "the form is malformed")
	}
	return v, nil
}

type signInData struct{ Next, Username, Message string }

func (q *request) signInPage(status int, d signInData) error {
	return q.html(status, "login", &pageData{Title: "Sign in", Data: d})
}

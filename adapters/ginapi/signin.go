package ginapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
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
		return q.signInPage(statusOf(e.Code), signInData{Next: next, Username: username, Message: message})
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

const signInStyle = `
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 22rem; margin: 4rem auto; padding: 0 1rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input, button { margin: .25rem 0 1rem; padding: .6rem }
`

// signInPolicy lets the page have that style and send its form, no script, and no frame around it.
var signInPolicy = []string{"default-src 'none'; style-src 'sha256-" + styleHash() + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"}

func styleHash() string {
	sum := sha256.Sum256([]byte(signInStyle))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var signInTemplate = template.Must(template.New("sign-in").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in – imagify</title>
<style>` + signInStyle + `</style>
</head>
<body>
<main>
<h1>Sign in</h1>
{{with .Message}}<p role="alert" id="problem">{{.}}</p>
{{end}}<form method="post" action="/api-auth/login">
<input type="hidden" name="next" value="{{.Next}}">
<label for="username">User name</label>
<input id="username" name="username" value="{{.Username}}" autocomplete="username" autocapitalize="none" spellcheck="false" required{{if not .Username}} autofocus{{end}}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{{if .Username}} autofocus{{end}}{{if .Message}} aria-describedby="problem"{{end}}>
<button>Sign in</button>
</form>
</main>
</body>
</html>
`))

func (q *request) signInPage(status int, d signInData) error {
	var b bytes.Buffer
	if err := signInTemplate.Execute(&b, d); err != nil {
		return err
	}
	h := q.w.Header()
	h["Content-Type"] = htmlType
	h["Content-Security-Policy"] = signInPolicy
	h["Cache-Control"] = noStore
	h["Vary"] = varyOnCaller
	h["Referrer-Policy"] = sameOrigin
	h["X-Frame-Options"] = frameDeny
	q.write(status, b.Bytes())
	return nil
}

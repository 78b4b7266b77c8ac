// Package pages answers people: the gallery, an image's page, the account, the administration, the
// sign-in, the API's documentation, and the page that a browser gets around the JSON of the API
// (the browsable API). It asks the same app.Service as the JSON API does and decides nothing about
// who may do what; templates and assets are in package web.
package pages

import (
	"net/http"
	"strconv"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/pages/web"
	"github.com/imagify-api/imagify/domain"
)

// Handlers answer with pages. They are never changed and may be shared.
type Handlers struct {
	site *web.Site
	// api are the routes of the API, which the browsable API makes its forms of.
	api []request.Route
}

// New returns the pages of a server.
func New() (*Handlers, error) {
	site, err := web.Load()
	if err != nil {
		return nil, err
	}
	return &Handlers{site: site}, nil
}

// Browse gives the browsable API the routes of the API.
func (h *Handlers) Browse(api []request.Route) { h.api = api }

// Routes are the pages that are no part of the API, and not in its document.
func (h *Handlers) Routes() []request.Route {
	const get, post = http.MethodGet, http.MethodPost
	return append([]request.Route{
		{Method: get, Path: "/", Access: request.SignedIn, Page: true, Handle: h.getGallery},
		{Method: post, Path: "/", Access: request.SignedIn, Page: true, Long: true, Handle: h.postGallery},
		{Method: get, Path: "/images/{id}", Access: request.SignedIn, Page: true, Handle: h.getImagePage},
		{Method: post, Path: "/images/{id}", Access: request.SignedIn, Page: true, Handle: h.postImagePage},
		{Method: get, Path: "/account", Access: request.SignedIn, Page: true, Handle: h.getAccount},
		{Method: post, Path: "/account", Access: request.SignedIn, Page: true, Handle: h.postAccount},
		{Method: get, Path: web.AssetPath + "{file}", Handle: h.getAsset},
	}, h.adminRoutes()...)
}

// DocumentedRoutes are those that stand in the API's document, too.
func (h *Handlers) DocumentedRoutes() []request.Route {
	const get, post = http.MethodGet, http.MethodPost
	return []request.Route{
		{Method: get, Path: "/api-auth/login", Page: true, Handle: h.getSignIn, Doc: request.Operation{
			Tag: "sign-in", Summary: "The sign-in page", Params: []string{"next"}, Status: 200, Answer: request.HTML, Errors: []int{400},
		}},
		{Method: post, Path: "/api-auth/login", Page: true, Handle: h.postSignIn, Doc: request.Operation{
			Tag: "sign-in", Summary: "Sign in", Description: "Sets the session cookie and leads to `next`.", Body: request.SignIn{},
			Status: 303, Page: true, Errors: []int{400, 401, 403, 408, 413, 429},
		}},
		{Method: get, Path: "/api-auth/logout", Page: true, Handle: h.getSignOut, Doc: request.Operation{
			Tag: "sign-in", Summary: "The sign-out page", Description: "It holds a form; a GET signs nobody out.", Status: 200, Answer: request.HTML,
		}},
		{Method: post, Path: "/api-auth/logout", Page: true, Handle: h.postSignOut, Doc: request.Operation{
			Tag: "sign-in", Summary: "Sign out", Description: "Ends the session. A browser is led to the sign-in page.", Status: 204, Errors: []int{403},
		}},
		{Method: get, Path: "/docs", Page: true, Handle: h.getDocs, Doc: request.Operation{
			Tag: "service", Summary: "This document as an interactive page", Status: 200, Answer: request.HTML,
		}},
	}
}

func noSuchAction() error {
	return domain.Errorf(domain.Invalid, "the form has no such action")
}

func itoa(n int) string { return strconv.Itoa(n) }

// Package ginapi is imagify's HTTP front end on gin: it decodes a request, asks
// the app.Service once, and encodes its answer. It decides nothing about who may
// do what.
//
// Every route is one line of the table in routes.go, which is also what the
// OpenAPI document is made of. Errors become application/problem+json (RFC 9457)
// in problem.go, JSON answers are written by request.json, and image bytes leave
// through request.sendContent alone.
//
// The pages for people (pages.go, gallery.go, imagepage.go, accountpage.go,
// admin*.go, browse.go) ask the same Service; their templates and assets are in
// package web.
package ginapi

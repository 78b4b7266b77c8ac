// Package ginapi is imagify's HTTP front end on gin. New mounts all of it: the JSON API, which is this
// package, the pages for people (package pages) and the document of the API (package openapi).
//
// A handler decodes a request, asks the app.Service once, and encodes its answer; it decides nothing
// about who may do what. What every request has in common is in internal/request: who asks, what was
// sent, the limits, problem+json, and the one exit for image bytes, Request.SendContent.
//
// Every route is one line of a table, which is also what the OpenAPI document is made of: those of the
// JSON API in routes.go, those of the pages in pages.Handlers. A new JSON route is a line in routes.go,
// a handler beside those of its noun, and its answer's shape in package response, which the document
// describes by its tags and the command line prints.
//
// Of gin, ginapi uses the router: its tree, its parameters, its answers for other paths and methods.
// It binds, renders and recovers by itself. gin's binding takes the last of two fields of a name and
// ignores unknown ones, which internal/strictjson refuses; its rendering and its recovery know nothing
// of problem+json, of the pages, or of an answer that must be cut off; and gin.Context hides the
// server's own ResponseWriter, which sends files and sets deadlines.
package ginapi

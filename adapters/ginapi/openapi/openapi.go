// Package openapi makes the OpenAPI 3.1 document of the routes, so that the two cannot differ.
package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/domain"
)

// obj is a JSON object of the document.
type obj = map[string]any

func ref(kind, name string) obj     { return obj{"$ref": "#/components/" + kind + "/" + name} }
func text() obj                     { return obj{"type": "string"} }
func natural() obj                  { return obj{"type": "integer", "minimum": 0} }
func content(typ string, s obj) obj { return obj{typ: obj{"schema": s}} }
func stamp() obj                    { return obj{"type": "string", "format": "date-time"} }

// Document builds the OpenAPI 3.1 document of the routes. server is the base of its paths; empty: where it is read from.
func Document(routes []request.Route, version, server string) ([]byte, error) {
	paths, named := obj{}, schemas{}
	for i := range routes {
		rt := &routes[i]
		item, ok := paths[rt.Path].(obj)
		if !ok {
			item = obj{}
			paths[rt.Path] = item
		}
		op := named.operation(rt)
		item[strings.ToLower(rt.Method)] = op
		if rt.Method == http.MethodGet {
			item["head"] = headOf(rt, op)
		}
	}
	if server == "" {
		server = "/"
	}
	doc := obj{
		"openapi": "3.1.0",
		"info": obj{
			"title": "imagify", "version": version, "license": obj{"name": "MIT", "identifier": "MIT"},
			"description": "Image hosting: uploads, thumbnails by tier, expiring links.",
		},
		"servers": []obj{{"url": server}},
		"tags": []obj{
			{"name": "images"}, {"name": "bytes"}, {"name": "links"}, {"name": "account"}, {"name": "admin"}, {"name": "sign-in"}, {"name": "service"},
		},
		"paths": paths,
		"components": obj{
			"securitySchemes": obj{
				"token":   obj{"type": "http", "scheme": "bearer", "description": "An API token, imgf_…"},
				"basic":   obj{"type": "http", "scheme": "basic"},
				"session": obj{"type": "apiKey", "in": "cookie", "name": request.PlainCookie, "description": "Set by the sign-in; " + request.SecureCookie + " on https."},
			},
			"parameters": parameters(),
			"schemas":    named,
			"responses":  obj{"Problem": obj{"description": "A problem", "content": content("application/problem+json", named.of(response.Problem{}))}},
		},
	}
	return json.Marshal(doc)
}

func (named schemas) operation(rt *request.Route) obj {
	d := rt.Doc
	op := obj{"operationId": operationID(rt.Method, rt.Path), "tags": []string{d.Tag}, "summary": d.Summary}
	if d.Description != "" {
		op["description"] = d.Description
	}
	switch {
	case rt.Access != request.Open:
		op["security"] = []obj{{"token": []string{}}, {"basic": []string{}}, {"session": []string{}}}
	case d.Answer == request.Bytes && rt.Path != "/l/{token}":
		op["security"] = []obj{{}, {"token": []string{}}, {"basic": []string{}}, {"session": []string{}}}
	default:
		op["security"] = []obj{}
	}
	var params []obj
	for _, part := range strings.Split(rt.Path, "/") {
		if strings.HasPrefix(part, "{") {
			params = append(params, ref("parameters", "path_"+strings.Trim(part, "{}")))
		}
	}
	for _, p := range d.Params {
		params = append(params, ref("parameters", p))
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	switch d.Body.(type) {
	case nil:
	case request.Media:
		op["requestBody"] = obj{"required": true, "content": obj{
			"multipart/form-data": obj{"schema": object(obj{"file": obj{"type": "string", "contentMediaType": "application/octet-stream"}}, "file")},
			"image/*":             obj{},
		}}
	case request.SignIn:
		op["requestBody"] = obj{"required": true, "content": content("application/x-www-form-urlencoded", named.of(d.Body))}
	default:
		op["requestBody"] = obj{"required": true, "content": content("application/json", named.of(d.Body))}
	}
	op["responses"] = named.responses(rt)
	return op
}

func (named schemas) responses(rt *request.Route) obj {
	d := rt.Doc
	out := obj{"default": ref("responses", "Problem")}
	success := obj{"description": http.StatusText(d.Status)}
	switch d.Answer {
	case nil:
	case request.Bytes:
		part := obj{"multipart/byteranges": obj{}}
		whole := obj{}
		for _, f := range domain.Formats() {
			whole[f.ContentType()], part[f.ContentType()] = obj{}, obj{}
		}
		success["content"] = whole
		out["206"] = obj{"description": "A part of the bytes", "content": part}
		out["304"] = obj{"description": "What the client has is current"}
	case request.HTML:
		success["content"] = obj{"text/html": obj{}}
	case request.Text:
		success["content"] = obj{"text/plain": obj{}}
	case request.AnyJSON:
		success["content"] = content("application/json", obj{"type": "object"})
	default:
		success["content"] = content("application/json", named.of(d.Answer))
		if rt.Browsable() {
			success["content"].(obj)["text/html"] = obj{}
		}
	}
	headers := obj{}
	if d.Location || d.Status == http.StatusSeeOther {
		headers["Location"] = obj{"required": true, "schema": text()}
	}
	if rt.Access != request.Open {
		for _, n := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
			headers[n] = obj{"description": "Where the caller's tier limits requests", "schema": natural()}
		}
	}
	if len(headers) > 0 {
		success["headers"] = headers
	}
	out[strconv.Itoa(d.Status)] = success
	for _, status := range d.Errors {
		r := obj{"description": http.StatusText(status), "content": content("application/problem+json", named.of(response.Problem{}))}
		if d.Page || rt.Browsable() || rt.Path == "/l/{token}" {
			r["content"] = obj{"application/problem+json": obj{"schema": named.of(response.Problem{})}, "text/html": obj{}}
		}
		switch status {
		case http.StatusUnauthorized:
			r["headers"] = obj{"WWW-Authenticate": obj{"required": true, "schema": text()}}
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			r["headers"] = obj{"Retry-After": obj{"required": true, "schema": natural()}}
		}
		out[strconv.Itoa(status)] = r
	}
	retry := obj{"Retry-After": obj{"required": true, "schema": natural()}}
	problem := content("application/problem+json", named.of(response.Problem{}))
	if rt.Browsable() {
		problem["text/html"] = obj{}
	}
	if rt.Access != request.Open {
		out["429"] = obj{"description": "Too many requests", "content": problem, "headers": retry}
	}
	if _, there := out["503"]; !there && !d.Page {
		out["503"] = obj{"description": "A backend is unavailable, or the server is busy", "content": problem, "headers": retry}
	}
	if out["401"] != nil && !d.Page || d.Tag == "sign-in" && rt.Method == http.MethodPost {
		out["303"] = obj{"description": "A browser is led to the sign-in page, or on from it", "headers": obj{"Location": obj{"required": true, "schema": text()}}}
	}
	return out
}

// headOf is an operation's HEAD: the same, without bodies.
func headOf(rt *request.Route, op obj) obj {
	out := obj{
		"operationId": "head" + strings.TrimPrefix(operationID(rt.Method, rt.Path), "get"), "tags": op["tags"],
		"summary": rt.Doc.Summary + ": the headers alone", "security": op["security"],
		"responses": obj{strconv.Itoa(rt.Doc.Status): obj{"description": http.StatusText(rt.Doc.Status)}, "default": obj{"description": "As GET answers"}},
	}
	if p, ok := op["parameters"]; ok {
		out["parameters"] = p
	}
	return out
}

// operationID names an operation by its method and path, such as getV1ImagesIdLinks.
func operationID(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/{}.-", r) }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func parameters() obj {
	in := func(where, name, description string, s obj) obj {
		p := obj{"in": where, "name": name, "description": description, "schema": s}
		if where == "path" {
			p["required"] = true
		}
		return p
	}
	query := func(name, description string, s obj) obj { return in("query", name, description, s) }
	return obj{
		"path_id":         in("path", "id", "A UUID in canonical text", text()),
		"path_height":     in("path", "height", fmt.Sprintf("Pixels, %d to %d, without sign or leading zero", domain.MinHeight, domain.MaxHeight), obj{"type": "integer", "minimum": domain.MinHeight, "maximum": domain.MaxHeight}),
		"path_token":      in("path", "token", "The link's secret", text()),
		"path_name":       in("path", "name", "A tier's name", text()),
		"path_username":   in("path", "username", "A user's name", text()),
		"limit":           query("limit", "Items of a page", obj{"type": "integer", "minimum": 1, "maximum": request.MaxPage, "default": request.DefaultPage}),
		"cursor":          query("cursor", "The next_cursor of an earlier answer", text()),
		"expires":         query("expires", "Of a signed URL", text()),
		"owner":           query("owner", "Of a signed URL", text()),
		"signature":       query("signature", "Of a signed URL", text()),
		"tier":            query("tier", "Only members of this tier", text()),
		"whatIfTier":      query("tier", "As if the user were in this tier alone", text()),
		"whatIfUser":      query("user", "Ask for this user instead of the owner; for admins", text()),
		"user":            query("user", "Only of this user", text()),
		"from":            query("from", "Not before this time", stamp()),
		"to":              query("to", "Before this time", stamp()),
		"next":            query("next", "A path on this server to go on to", text()),
		"Idempotency-Key": in("header", "Idempotency-Key", "Makes repeating the upload safe for 24 hours", obj{"type": "string", "minLength": 1, "maxLength": 255}),
		"Range":           in("header", "Range", "A part of the bytes", text()),
		"If-None-Match":   in("header", "If-None-Match", "ETags that the client has", text()),
	}
}

// Package openapi makes the OpenAPI 3.1 document of the routes, so that the two cannot differ.
package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/domain"
)

// obj is a JSON object of the document.
type obj = map[string]any

func ref(kind, name string) obj     { return obj{"$ref": "#/components/" + kind + "/" + name} }
func schema(name string) obj        { return ref("schemas", name) }
func array(of any) obj              { return obj{"type": "array", "items": of} }
func orNull(typ string) obj         { return obj{"type": []string{typ, "null"}} }
func text() obj                     { return obj{"type": "string"} }
func natural() obj                  { return obj{"type": "integer", "minimum": 0} }
func content(typ string, s obj) obj { return obj{typ: obj{"schema": s}} }
func stamp() obj                    { return obj{"type": "string", "format": "date-time"} }

func object31(required []string, props obj) obj {
	o := obj{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// all returns an object schema whose properties are all required.
func all(props obj, optional ...string) obj {
	var required []string
	for _, k := range sortedKeys(props) {
		keep := true
		for _, o := range optional {
			keep = keep && k != o
		}
		if keep {
			required = append(required, k)
		}
	}
	return object31(required, props)
}

func page31(of string) obj {
	return all(obj{"items": array(schema(of)), "next_cursor": orNull("string")})
}

// Document builds the OpenAPI 3.1 document of the routes. server is the base of its paths; empty: where it is read from.
func Document(routes []request.Route, version, server string) ([]byte, error) {
	paths := obj{}
	for i := range routes {
		rt := &routes[i]
		item, ok := paths[rt.Path].(obj)
		if !ok {
			item = obj{}
			paths[rt.Path] = item
		}
		op := operationOf(rt)
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
			"schemas":    Schemas(),
			"responses":  responses(),
		},
	}
	return json.Marshal(doc)
}

func operationOf(rt *request.Route) obj {
	d := rt.Doc
	op := obj{"operationId": operationID(rt.Method, rt.Path), "tags": []string{d.Tag}, "summary": d.Summary}
	if d.Description != "" {
		op["description"] = d.Description
	}
	switch {
	case rt.Access != request.Open:
		op["security"] = []obj{{"token": []string{}}, {"basic": []string{}}, {"session": []string{}}}
	case d.Answer == "bytes" && rt.Path != "/l/{token}":
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
	switch d.Body {
	case "":
	case "upload":
		op["requestBody"] = obj{"required": true, "content": obj{
			"multipart/form-data": obj{"schema": object31([]string{"file"}, obj{"file": obj{"type": "string", "contentMediaType": "application/octet-stream"}})},
			"image/*":             obj{},
		}}
	case "SignIn":
		op["requestBody"] = obj{"required": true, "content": content("application/x-www-form-urlencoded", schema(d.Body))}
	default:
		op["requestBody"] = obj{"required": true, "content": content("application/json", schema(d.Body))}
	}
	op["responses"] = responsesOf(rt)
	return op
}

func responsesOf(rt *request.Route) obj {
	d := rt.Doc
	out := obj{"default": ref("responses", "Problem")}
	success := obj{"description": http.StatusText(d.Status)}
	switch d.Answer {
	case "":
	case "bytes":
		part := obj{"multipart/byteranges": obj{}}
		whole := obj{}
		for _, f := range domain.Formats() {
			whole[f.ContentType()], part[f.ContentType()] = obj{}, obj{}
		}
		success["content"] = whole
		out["206"] = obj{"description": "A part of the bytes", "content": part}
		out["304"] = obj{"description": "What the client has is current"}
	case "page":
		success["content"] = obj{"text/html": obj{}}
	case "text":
		success["content"] = obj{"text/plain": obj{}}
	case "any":
		success["content"] = content("application/json", obj{"type": "object"})
	default:
		success["content"] = content("application/json", schema(d.Answer))
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
		r := obj{"description": http.StatusText(status), "content": content("application/problem+json", schema("Problem"))}
		if d.Page || rt.Browsable() || rt.Path == "/l/{token}" {
			r["content"] = obj{"application/problem+json": obj{"schema": schema("Problem")}, "text/html": obj{}}
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
	problem := content("application/problem+json", schema("Problem"))
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

func responses() obj {
	return obj{"Problem": obj{"description": "A problem", "content": content("application/problem+json", schema("Problem"))}}
}

func limits31(required bool) obj {
	props := obj{}
	l := domain.DefaultLimits()
	for _, f := range l.Fields() {
		props[f.Name] = obj{"type": []string{"integer", "null"}, "minimum": 0, "description": "null: none"}
	}
	if required {
		return all(props)
	}
	return object31(nil, props)
}

// Schemas are the document's, by name.
func Schemas() map[string]any {
	strs := array(text())
	positive := obj{"type": "integer", "minimum": 1}
	image := all(obj{
		"id": text(), "owner_id": text(), "filename": text(), "content_type": obj{"enum": []string{"image/jpeg", "image/png", "image/webp", "image/gif", "image/heic"}},
		"width": positive, "height": positive, "size": natural(), "uploaded_at": stamp(),
		"placeholder": obj{"type": "string", "contentEncoding": "base64", "description": "A ThumbHash"},
		"thumbnails": obj{
			"type": "object", "description": "By the height asked for: what the owner's tiers permit", "propertyNames": obj{"pattern": "^[1-9][0-9]{0,3}$"},
			"additionalProperties": all(obj{"url": obj{"type": "string", "format": "uri"}, "width": positive, "height": positive}),
		},
		"original": obj{"type": "string", "format": "uri", "description": "Absent without the permission"},
	}, "owner_id", "original")
	link := all(obj{
		"id": text(), "owner_id": text(), "image_id": text(), "variant": text(), "url": obj{"type": "string", "format": "uri", "description": "On creation only"},
		"created_at": stamp(), "expires_at": stamp(), "expires_in": positive, "max_views": obj{"type": []string{"integer", "null"}, "minimum": 1}, "views": natural(),
		"state": obj{"enum": []string{"active", "suspended", "expired", "revoked", "used_up"}},
	}, "owner_id", "url")
	user := obj{
		"id": text(), "username": text(), "email": text(), "tiers": strs, "permissions": strs, "is_admin": obj{"type": "boolean"}, "is_active": obj{"type": "boolean"},
		"created_at": stamp(), "updated_at": stamp(),
	}
	newUser := obj{
		"username": text(), "email": text(), "password": obj{"type": "string", "writeOnly": true}, "tiers": strs, "permissions": strs,
		"is_admin": obj{"type": "boolean"}, "is_active": obj{"type": "boolean"},
	}
	userChange := obj{}
	for k, v := range newUser {
		if k != "username" {
			userChange[k] = v
		}
	}
	decision := obj{
		"allowed": obj{"type": "boolean"}, "reason": text(), "message": text(), "smallest_tier": orNull("string"),
		"by": obj{"oneOf": []obj{{"type": "null"}, all(obj{"kind": obj{"enum": []string{"tier", "grant", "admin"}}, "name": orNull("string")})}},
	}
	variantAccess := obj{"variant": text()}
	for k, v := range decision {
		variantAccess[k] = v
	}
	codes := make([]string, 0, len(domain.Codes()))
	for _, c := range domain.Codes() {
		codes = append(codes, string(c))
	}
	return obj{
		"Image": image, "ImageList": page31("Image"),
		"Link": link, "LinkList": page31("Link"),
		"NewLink": object31([]string{"expires_in"}, obj{
			"expires_in": obj{"type": "integer", "minimum": domain.MinLinkSeconds, "maximum": domain.MaxLinkSeconds, "description": "Seconds; a tier may allow less"},
			"max_views":  positive,
			"variant":    obj{"type": "string", "pattern": "^(original|thumbnail:[1-9][0-9]{0,3})$"},
		}),
		"Access": all(obj{
			"image_id": text(), "user": text(), "tiers": strs, "variants": array(all(variantAccess)), "links": all(decision),
		}),
		"Me": all(obj{
			"user": schema("User"), "tiers": strs, "permissions": strs, "limits": schema("Limits"), "usage": all(obj{"images": natural(), "bytes": natural()}),
		}),
		"Limits": limits31(true),
		"Token": all(obj{
			"id": text(), "name": text(), "created_at": stamp(), "expires_at": obj{"type": []string{"string", "null"}, "format": "date-time"},
			"token": obj{"type": "string", "description": "On creation only"},
		}, "token"),
		"TokenList": page31("Token"),
		"NewToken":  object31([]string{"name"}, obj{"name": text(), "expires_in": obj{"type": "integer", "minimum": 1, "description": "Seconds; left out: for ever"}}),
		"Tier": all(obj{
			"name": text(), "title": text(), "permissions": strs, "limits": schema("Limits"), "predefined": obj{"type": "boolean"},
			"created_at": stamp(), "updated_at": stamp(),
		}),
		"TierList":   page31("Tier"),
		"NewTier":    object31([]string{"name"}, obj{"name": text(), "title": text(), "permissions": strs, "limits": limits31(false)}),
		"TierChange": object31(nil, obj{"title": text(), "permissions": strs, "limits": limits31(false)}),
		"User":       all(user), "UserList": page31("User"),
		"NewUser":    object31([]string{"username"}, newUser),
		"UserChange": object31(nil, userChange),
		"AuditEntry": all(obj{
			"id": text(), "at": stamp(), "actor": text(), "actor_id": orNull("string"), "action": text(), "target": text(),
			"before": orNull("object"), "after": orNull("object"), "request_id": text(), "address": text(),
		}),
		"AuditList": page31("AuditEntry"),
		"SignIn":    object31([]string{"username", "password"}, obj{"username": text(), "password": obj{"type": "string", "writeOnly": true}, "next": text()}),
		"Status":    all(obj{"status": text()}),
		"Problem": all(obj{
			"type": text(), "title": text(), "status": natural(), "detail": text(), "code": obj{"enum": codes}, "request_id": text(),
			"errors": array(all(obj{"field": text(), "code": text(), "message": text()})), "limit": obj{"type": "integer"}, "used": obj{"type": "integer"},
		}, "errors", "limit", "used"),
	}
}

func sortedKeys(o obj) []string { return slices.Sorted(maps.Keys(o)) }

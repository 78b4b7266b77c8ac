package pages

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/openapi"
	"github.com/imagify-api/imagify/domain"
)

// piece is a run of characters of a body as it is shown.
type piece struct{ Text, Class, URL string }

type crumb struct{ Name, URL string }

type formField struct {
	Name, Kind, Hint string
	Value            string // what holds now
	Required, Secret bool
}

type methodForm struct {
	Method, Path, Summary, Description string
	Upload                             bool
	Fields                             []formField
}

type browsableData struct {
	Path, JSON, Description string
	Status                  int
	StatusText              string
	Headers                 []choice
	Body                    []piece
	Crumbs                  []crumb
	Elsewhere               []choice
	Forms                   []methodForm
}

// Browsable answers with a page around a JSON body and the headers that are set by now.
func (h *Handlers) Browsable(q *request.Request, status int, body []byte, contentType string) error {
	d := browsableData{
		Path: q.HTTP.URL.RequestURI(), Description: q.Route.Doc.Description, Status: status, StatusText: http.StatusText(status),
		JSON: h.asJSON(q), Headers: h.shownHeaders(q, contentType), Body: h.pieces(q, body), Crumbs: h.crumbs(q), Elsewhere: h.elsewhere(q), Forms: h.forms(q, body),
	}
	title := q.Route.Doc.Summary
	if title == "" {
		title = "API"
	}
	return h.html(q, status, "browsable", h.newPage(q, title, "api", d))
}

func (h *Handlers) asJSON(q *request.Request) string {
	v := q.HTTP.URL.Query()
	v.Set("format", "json")
	return q.HTTP.URL.EscapedPath() + "?" + v.Encode()
}

func (h *Handlers) shownHeaders(q *request.Request, contentType string) []choice {
	out := []choice{{"Content-Type", contentType}}
	header := q.Header()
	for _, name := range []string{"Link", "Location", "Retry-After", "Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset", "Www-Authenticate", "X-Request-Id"} {
		for _, v := range header[name] {
			out = append(out, choice{shownNames[name], v})
		}
	}
	allow := []string{http.MethodGet, http.MethodHead}
	for _, rt := range h.api {
		if rt.Path == q.Route.Path && rt.Method != http.MethodGet {
			allow = append(allow, rt.Method)
		}
	}
	return append(out, choice{"Allow", strings.Join(allow, ", ")})
}

// shownNames are headers as people write them.
var shownNames = map[string]string{
	"Link": "Link", "Location": "Location", "Retry-After": "Retry-After", "Ratelimit-Limit": "RateLimit-Limit", "Ratelimit-Remaining": "RateLimit-Remaining",
	"Ratelimit-Reset": "RateLimit-Reset", "Www-Authenticate": "WWW-Authenticate", "X-Request-Id": "X-Request-Id",
}

func (h *Handlers) crumbs(q *request.Request) []crumb {
	var out []crumb
	path := ""
	parts := strings.Split(strings.Trim(q.HTTP.URL.EscapedPath(), "/"), "/")
	for i, p := range parts {
		path += "/" + p
		name, err := url.PathUnescape(p)
		if err != nil {
			name = p
		}
		c := crumb{Name: name}
		if i < len(parts)-1 && slices.Contains([]string{"/v1/images", "/v1/tokens", "/v1/admin/tiers", "/v1/admin/users"}, "/"+strings.Join(parts[:i+1], "/")) {
			c.URL = path
		}
		if i == 2 && len(parts) > 3 && parts[1] == "images" {
			c.URL = path
		}
		out = append(out, c)
	}
	return out
}

// elsewhere are the collections and what belongs to the image at hand.
func (h *Handlers) elsewhere(q *request.Request) []choice {
	out := []choice{{"/v1/me", "me"}, {"/v1/images", "images"}, {"/v1/tokens", "tokens"}}
	if id := q.Param("id"); id != "" && strings.HasPrefix(q.Route.Path, "/v1/images/") {
		base := "/v1/images/" + url.PathEscape(id)
		out = append(out, choice{base + "/access", "this image's access"}, choice{base + "/links", "this image's links"})
	}
	if q.Actor.Admin() {
		for _, n := range []string{"tiers", "users", "images", "links", "audit"} {
			out = append(out, choice{"/v1/admin/" + n, "admin/" + n})
		}
	}
	return out
}

// forms are the methods that the caller may use at this path, besides GET.
// A PATCH begins with what holds now, as the answer's body says it.
func (h *Handlers) forms(q *request.Request, body []byte) []methodForm {
	var out []methodForm
	var now map[string]json.RawMessage
	_ = json.Unmarshal(body, &now) // an answer is an object
	for i := range h.api {
		rt := &h.api[i]
		if rt.Path != q.Route.Path || rt.Method == http.MethodGet || rt.Access == request.Admins && !q.Actor.Admin() {
			continue
		}
		if _, link := rt.Doc.Body.(request.NewLink); link && !q.Actor.Entitlements.Permissions.Has(domain.GenerateLink) {
			continue
		}
		f := methodForm{Method: rt.Method, Path: q.HTTP.URL.EscapedPath(), Summary: rt.Doc.Summary, Description: rt.Doc.Description}
		switch rt.Doc.Body {
		case nil:
		case request.Upload:
			f.Upload, f.Fields = true, []formField{{Name: "file", Kind: "file", Required: true}}
		default:
			f.Fields = fieldsOf(rt.Doc.Body)
		}
		if rt.Method == http.MethodPatch {
			for i := range f.Fields {
				f.Fields[i].Value = fieldText(now[f.Fields[i].Name])
			}
		}
		out = append(out, f)
	}
	return out
}

// fieldText is a JSON value as a form's field has it.
func fieldText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, ", ")
	}
	return string(raw)
}

// fieldsOf makes a form's fields of a body, those that are required first.
func fieldsOf(body any) []formField {
	var out []formField
	for _, f := range openapi.Fields(body) {
		field := formField{Name: f.Name, Kind: f.Type, Hint: f.Description, Required: f.Required, Secret: f.WriteOnly}
		if f.Type == "array" {
			field.Hint = "Several: separate them with spaces or commas"
		}
		out = append(out, field)
	}
	slices.SortStableFunc(out, func(a, b formField) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return out
}

// pieces cuts a JSON body into what is shown of it: indented, its addresses and ids as links.
func (h *Handlers) pieces(q *request.Request, body []byte) []piece {
	var in bytes.Buffer
	if json.Indent(&in, bytes.TrimSpace(body), "", "  ") != nil {
		return []piece{{Text: string(body)}}
	}
	b := in.Bytes()
	var out []piece
	key := ""
	for i := 0; i < len(b); {
		start := i
		switch c := b[i]; {
		case c == '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			i++
			raw := string(b[start:i])
			if i < len(b) && b[i] == ':' {
				key = strings.Trim(raw, `"`)
				out = append(out, piece{Text: raw, Class: "k"})
				break
			}
			var text string
			_ = json.Unmarshal(b[start:i], &text) // it was indented: it is a string
			out = append(out, piece{Text: raw, Class: "s", URL: h.linkOf(q, key, text)})
		case c == '-' || '0' <= c && c <= '9' || c == 't' || c == 'f' || c == 'n':
			for i < len(b) && strings.IndexByte(",]} \n", b[i]) < 0 {
				i++
			}
			out = append(out, piece{Text: string(b[start:i]), Class: "n"})
		default:
			for i < len(b) && strings.IndexByte(`"-0123456789tfn`, b[i]) < 0 {
				i++
			}
			out = append(out, piece{Text: string(b[start:i])})
		}
	}
	return out
}

// itemPages are where the items of a list have pages of their own, by the list's path and their key.
var itemPages = map[string]struct{ key, path string }{
	"/v1/images":       {"id", "/v1/images/"},
	"/v1/admin/images": {"id", "/v1/images/"},
	"/v1/admin/tiers":  {"name", "/v1/admin/tiers/"},
	"/v1/admin/users":  {"username", "/v1/admin/users/"},
}

// linkOf is where a value leads, of this server alone; empty: nowhere.
func (h *Handlers) linkOf(q *request.Request, key, text string) string {
	if base := q.BaseURL() + "/"; strings.HasPrefix(text, base) {
		return text
	}
	if text == "" {
		return ""
	}
	if key == "next_cursor" {
		v := q.HTTP.URL.Query()
		v.Set("cursor", text)
		return q.HTTP.URL.EscapedPath() + "?" + v.Encode()
	}
	if p, ok := itemPages[q.Route.Path]; ok && p.key == key {
		return p.path + url.PathEscape(text)
	}
	if key == "image_id" {
		return "/v1/images/" + url.PathEscape(text)
	}
	return ""
}

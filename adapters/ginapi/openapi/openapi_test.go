package openapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/ginapi/response"
	"github.com/imagify-api/imagify/domain"
)

// answers are those of the API, with all that may be left out.
func answers() []any {
	name, at, n := "x", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), int64(3)
	decided := response.Decision{Allowed: true, Reason: "tier", Message: "m", By: &response.Decider{Kind: "tier", Name: &name}, SmallestTier: &name}
	image := response.Image{
		ID: "i", OwnerID: "o", Filename: "f", ContentType: "image/png", Width: 1, Height: 1, UploadedAt: at, Placeholder: []byte{1},
		Thumbnails: response.Thumbnails{{Requested: 200, URL: "https://x/", Width: 1, Height: 1}}, Original: "https://x/",
	}
	link := response.Link{ID: "i", OwnerID: "o", ImageID: "i", Variant: "original", URL: "https://x/", CreatedAt: at, ExpiresAt: at, ExpiresIn: 30, MaxViews: &n, State: domain.LinkStateUsedUp}
	user := response.User{ID: "i", Username: "u", Tiers: []string{"t"}, Permissions: []string{"p"}, CreatedAt: at, UpdatedAt: at}
	limits := response.Limits{Limits: domain.DefaultLimits()}
	return []any{
		image, link, user,
		response.List[response.Image]{Items: []response.Image{image}, NextCursor: &name},
		response.List[response.Link]{Items: []response.Link{}},
		response.Tier{Name: "n", Permissions: []string{}, Limits: limits, CreatedAt: at, UpdatedAt: at},
		response.Me{User: user, Tiers: []string{}, Permissions: []string{}, Limits: limits},
		response.Token{ID: "i", Name: "n", CreatedAt: at, ExpiresAt: &at, Token: "t"},
		response.Token{ID: "i", Name: "n", CreatedAt: at},
		response.Access{ImageID: "i", User: "u", Tiers: []string{}, Variants: []response.VariantAccess{{Variant: "original", Decision: decided}}, Links: response.Decision{Reason: "none"}},
		response.AuditEntry{ID: "i", At: at, ActorID: &name, Before: json.RawMessage(`{"a":1}`)},
		response.Status{Status: "ok"},
		response.Problem{Type: "about:blank", Code: domain.TooLarge, Errors: []response.FieldError{{Field: "f"}}, Limit: &n, Used: &n},
	}
}

// loaded is a document whose components are the schemas.
func loaded(t *testing.T, s schemas) *openapi3.T {
	t.Helper()
	text, err := json.Marshal(obj{"openapi": "3.1.0", "info": obj{"title": "t", "version": "1"}, "paths": obj{}, "components": obj{"schemas": s}})
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()))
	return doc
}

// Every answer fits the schema of its type; one field more, or one required field less, does not.
func TestAnswersFitTheirSchemas(t *testing.T) {
	t.Parallel()
	named := schemas{}
	for _, a := range answers() {
		named.of(a)
	}
	doc := loaded(t, named)
	for _, a := range answers() {
		name := nameOf(reflect.TypeOf(a))
		schema := doc.Components.Schemas[name].Value
		text, err := json.Marshal(a)
		require.NoError(t, err)
		var v map[string]any
		require.NoError(t, json.Unmarshal(text, &v))
		assert.NoError(t, schema.VisitJSON(v), "%s: %s", name, text)
		v["unheard_of"] = 1
		assert.Error(t, schema.VisitJSON(v), name)
		delete(v, "unheard_of")
		for _, field := range schema.Required {
			was := v[field]
			delete(v, field)
			assert.Error(t, schema.VisitJSON(v), "%s without %s", name, field)
			v[field] = was
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{"Image": response.Image{}, "ImageList": response.List[response.Image]{}, "AuditEntryList": response.List[response.AuditEntry]{}, "NewLink": request.NewLink{}} {
		assert.Equal(t, name, nameOf(reflect.TypeOf(v)))
		assert.Equal(t, ref("schemas", name), schemas{}.of(v))
	}
	assert.PanicsWithValue(t, "openapi: no schema of chan int", func() { schemas{}.of(make(chan int)) })
}

// The bounds in the tags are the domain's.
func TestTagsSayWhatHolds(t *testing.T) {
	t.Parallel()
	named := schemas{}
	named.of(request.NewLink{})
	seconds := named["NewLink"].(obj)["properties"].(obj)["expires_in"].(obj)
	assert.EqualValues(t, domain.MinLinkSeconds, seconds["minimum"])
	assert.EqualValues(t, domain.MaxLinkSeconds, seconds["maximum"])
	named.of(response.Link{})
	states := named["Link"].(obj)["properties"].(obj)["state"].(obj)["enum"]
	assert.Equal(t, []string{string(domain.LinkStateActive), string(domain.LinkStateSuspended), string(domain.LinkStateExpired), string(domain.LinkStateRevoked), string(domain.LinkStateUsedUp)}, states)
}

func TestFieldsOfABody(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []Field{
		{Name: "email", Type: "string"},
		{Name: "is_active", Type: "boolean"},
		{Name: "is_admin", Type: "boolean"},
		{Name: "password", Type: "string", WriteOnly: true},
		{Name: "permissions", Type: "array"},
		{Name: "tiers", Type: "array"},
		{Name: "username", Type: "string", Required: true},
	}, Fields(request.NewUser{}))
	for _, f := range Fields(request.NewTier{}) {
		if f.Name == "limits" {
			assert.Equal(t, "object", f.Type)
		}
	}
	assert.True(t, strings.HasPrefix(Fields(request.NewLink{})[0].Description, "Seconds"))
}

package ginapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/ginapi/internal/request"
	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/app"
)

func TestDocumentIsTheRoutes(t *testing.T) {
	t.Parallel()
	resizer, err := bildresizer.New(bildresizer.Options{})
	require.NoError(t, err)
	svc, err := app.New(app.Config{
		Records: memory.NewRecords(memory.Options{}), Blobs: memory.NewBlobs(memory.Options{}), Resizer: resizer,
		RateLimits: memory.NewRateLimits(memory.Options{}), SecretKeys: [][]byte{[]byte("a secret key of the tests")},
	})
	require.NoError(t, err)
	defer svc.Close()
	s, err := New(svc, Options{Logger: slog.New(slog.DiscardHandler), PublicURL: "https://img.example"})
	require.NoError(t, err)

	doc, err := openapi3.NewLoader().LoadFromData(s.document)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()))
	assert.Equal(t, "3.1.0", doc.OpenAPI)
	assert.Equal(t, "https://img.example", doc.Servers[0].URL)
	var documented, routed []string
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented = append(documented, method+" "+path)
			assert.False(t, ids[op.OperationID], op.OperationID)
			ids[op.OperationID] = true
			assert.NotEmpty(t, op.Summary)
			for _, part := range strings.Split(path, "/") {
				if name, ok := strings.CutPrefix(part, "{"); ok {
					assert.NotNil(t, op.Parameters.GetByInAndName("path", strings.TrimSuffix(name, "}")), "%s %s", method, path)
				}
			}
		}
	}
	pages := map[string]bool{} // no part of the API
	for _, p := range s.pages {
		pages[ginPath(p.Path)] = true
	}
	for _, r := range s.engine.Routes() {
		if pages[r.Path] {
			continue
		}
		parts := strings.Split(r.Path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		routed = append(routed, r.Method+" "+strings.Join(parts, "/"))
	}
	slices.Sort(documented)
	slices.Sort(routed)
	assert.Equal(t, routed, documented)
	for _, rt := range s.api {
		if rt.Access == request.Admins {
			assert.True(t, strings.HasPrefix(rt.Path, "/v1/admin/"), rt.Path)
			assert.Contains(t, rt.Doc.Errors, http.StatusForbidden)
		}
		if strings.HasPrefix(rt.Path, "/v1/admin/") {
			assert.Equal(t, request.Admins, rt.Access, rt.Path)
		}
	}
	assert.True(t, json.Valid(s.document))
}

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hugePNG is 69 bytes that claim 65536 × 65536 pixels.
func hugePNG() []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(typ string, data []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		b = append(append(b, typ...), data...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[len(b)-len(typ)-len(data):]))
	}
	chunk("IHDR", []byte{0, 1, 0, 0, 0, 1, 0, 0, 8, 6, 0, 0, 0})
	chunk("IDAT", []byte{0x78, 0x9c, 0x63, 0x60, 0x60, 0x60, 0x60, 0, 0, 0, 4, 0})
	chunk("IEND", nil)
	return b
}

// formOf is a multipart form with one part: a file if it has a name.
func formOf(field, filename, content string) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	create := w.CreateFormField
	if filename != "" {
		create = func(field string) (io.Writer, error) { return w.CreateFormFile(field, filename) }
	}
	part, err := create(field)
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	if err != nil {
		panic(err) // into memory: cannot fail
	}
	w.Close()
	return b.Bytes(), w.FormDataContentType()
}

// What is wrong gets the contract's clear answer from the real program, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	s := newSite(t)
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	boss := s.user("boss", "--admin")
	srv := s.serve()
	status, img := srv.upload(anna, photo(1, 320, 240))
	require.Equal(t, 201, status)
	require.Len(t, hugePNG(), 69)
	state := func() string {
		var images, links, tiers, users, tokens struct{ Items []json.RawMessage }
		for path, into := range map[string]any{
			"/v1/admin/images": &images, "/v1/admin/links": &links, "/v1/admin/tiers": &tiers, "/v1/admin/users": &users, "/v1/tokens": &tokens,
		} {
			require.Equal(t, 200, srv.json(http.MethodGet, path, boss, nil, into))
		}
		due, orphans, ghosts := s.leftovers()
		b, err := json.Marshal([]any{images.Items, links.Items, tiers.Items, users.Items, tokens.Items, s.files(), due, orphans, ghosts})
		require.NoError(t, err)
		return string(b)
	}
	before := state()

	type request struct {
		who, method, path, contentType string
		body                           []byte
	}
	form := func(field, filename, content string) request {
		body, contentType := formOf(field, filename, content)
		return request{anna, "POST", "/v1/images", contentType, body}
	}
	raw := func(contentType string, body []byte) request {
		return request{anna, "POST", "/v1/images", contentType, body}
	}
	link := func(body string) request {
		return request{anna, "POST", "/v1/images/" + img.ID + "/links", "application/json", []byte(body)}
	}
	admin := func(method, path, body string) request {
		return request{boss, method, "/v1/admin" + path, "application/json", []byte(body)}
	}
	get := func(path string) request { return request{who: anna, method: "GET", path: path} }
	whole := string(photo(2, 320, 240))
	for name, c := range map[string]struct {
		request
		status int
		code   string
	}{
		"a form without a file field":   {form("image", "cat.jpg", whole), 400, "invalid_request"},
		"a text field called file":      {form("file", "", "hello"), 400, "invalid_request"},
		"no body":                       {raw("", nil), 400, "invalid_request"},
		"an empty file in a form":       {form("file", "cat.jpg", ""), 415, "unsupported_image"},
		"an empty file":                 {raw("image/jpeg", nil), 415, "unsupported_image"},
		"a PDF named .jpg":              {form("file", "cat.jpg", "%PDF-1.7 this is no picture, whatever its name says"), 415, "unsupported_image"},
		"a PDF as image/jpeg":           {raw("image/jpeg", []byte("%PDF-1.7 this is no picture")), 415, "unsupported_image"},
		"a truncated JPEG":              {form("file", "cat.jpg", whole[:len(whole)/2]), 422, "corrupt_image"},
		"a PNG of 65536 × 65536":        {form("file", "cat.png", string(hugePNG())), 413, "too_large"},
		"an unknown field":              {link(`{"expires_in":300,"colour":"red"}`), 400, "invalid_request"},
		"no object":                     {link(`[300]`), 400, "invalid_request"},
		"no JSON":                       {link(`expires_in=300`), 400, "invalid_request"},
		"a wrong type":                  {admin("POST", "/tiers", `{"name":"Gold","permissions":"thumbnail:200"}`), 400, "invalid_request"},
		"expires_in \"300\"":            {link(`{"expires_in":"300"}`), 400, "invalid_request"},
		"expires_in 1e3":                {link(`{"expires_in":1e3}`), 400, "invalid_request"},
		"expires_in 300.5":              {link(`{"expires_in":300.5}`), 400, "invalid_request"},
		"expires_in null":               {link(`{"expires_in":null}`), 400, "invalid_request"},
		"expires_in -1":                 {link(`{"expires_in":-1}`), 400, "invalid_request"},
		"expires_in 0":                  {link(`{"expires_in":0}`), 400, "invalid_request"},
		"expires_in 30001":              {link(`{"expires_in":30001}`), 400, "invalid_request"},
		"a link to an unknown image":    {request{anna, "POST", "/v1/images/01a2091b-d402-72ac-a865-15c201b03f6d/links", "application/json", []byte(`{"expires_in":300}`)}, 404, "not_found"},
		"a bad cursor":                  {get("/v1/images?cursor=nonsense"), 400, "invalid_request"},
		"an id that is no UUID":         {get("/v1/images/42"), 404, "not_found"},
		"a height of 0":                 {get("/v1/images/" + img.ID + "/thumbnails/0"), 400, "invalid_request"},
		"a height of 0200":              {get("/v1/images/" + img.ID + "/thumbnails/0200"), 400, "invalid_request"},
		"a height of -1":                {get("/v1/images/" + img.ID + "/thumbnails/-1"), 400, "invalid_request"},
		"a height of 1e9":               {get("/v1/images/" + img.ID + "/thumbnails/1e9"), 400, "invalid_request"},
		"a height in a permission":      {admin("POST", "/tiers", `{"name":"Gold","permissions":["thumbnail:0200"]}`), 400, "invalid_request"},
		"a tier's name that is taken":   {admin("POST", "/tiers", `{"name":"BasicTierUsers"}`), 409, "conflict"},
		"a user's name that is taken":   {admin("POST", "/users", `{"username":"anna"}`), 409, "conflict"},
		"a tier that does not exist":    {admin("PATCH", "/users/anna", `{"tiers":["Gold"]}`), 400, "invalid_request"},
		"a change of a tier that isn't": {admin("PATCH", "/tiers/Gold", `{"title":"Gold"}`), 404, "not_found"},
		"a predefined tier deleted":     {admin("DELETE", "/tiers/BasicTierUsers", ``), 409, "conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer, header, err := call(t.Context(), c.method, srv.url+c.path, c.who, c.body, c.contentType)
			require.NoError(t, err)
			assert.Equal(t, c.status, status, "%s", answer)
			assert.Equal(t, "application/problem+json", header.Get("Content-Type"))
			var p struct {
				Type, Title, Detail, Code string
				Status                    int
				RequestID                 string `json:"request_id"`
				Limit                     *int64
				Errors                    []struct{ Field, Code, Message string }
			}
			require.NoError(t, json.Unmarshal(answer, &p), "%s", answer)
			assert.Equal(t, c.code, p.Code)
			assert.Equal(t, c.status, p.Status)
			assert.NotEmpty(t, p.Detail)
			assert.Equal(t, header.Get("X-Request-Id"), p.RequestID)
			if strings.Contains(name, "expires_in") {
				if assert.Len(t, p.Errors, 1) {
					assert.Equal(t, "expires_in", p.Errors[0].Field)
				}
			}
			if p.Code == "too_large" {
				assert.NotNil(t, p.Limit)
			}
		})
	}
	assert.Equal(t, before, state(), "something was left behind")
}

package request

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPrefersHTML(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"":                   false,
		"*/*":                false,
		"application/json":   false,
		"text/html":          true,
		"TEXT/HTML":          true,
		"text/*":             true,
		"text/html;q=0":      false,
		"text/html;q=0.5":    true,
		"text/html, */*":     true,
		"text/html;q=x":      false,
		"text/html;q=2":      false,
		"text/html;q=0.1234": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": true,
		"application/json, text/html":              false,
		"application/json;q=0.9, text/html":        true,
		"application/json, text/html;q=0.9":        false,
		"text/html;level=1;q=0.4, */*;q=0.5":       false,
		"image/avif,image/webp,*/*;q=0.8":          false,
		"application/*;q=0.2, text/html ; q = 0.3": true,
		"garbage": false,
		",,;;,":   false,
	} {
		assert.Equal(t, want, prefersHTML(accept), accept)
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/":                             "/",
		"/v1/images?limit=3#x":          "/v1/images?limit=3#x",
		"":                              "/",
		"relative":                      "/",
		"//evil.example":                "/",
		"/\\evil.example":               "/",
		"/%5cevil.example":              "/",
		"/%2f/evil.example":             "/",
		"https://evil.example/":         "/",
		"javascript:alert(1)":           "/",
		"/\t/evil.example":              "/",
		"/\n/evil.example":              "/",
		" /x":                           "/",
		"/%zz":                          "/",
		"/api-auth/logout":              "/",
		"/" + strings.Repeat("a", 3000): "/",
	} {
		assert.Equal(t, want, LocalPath(next), next)
	}
}

func FuzzPrefersHTML(f *testing.F) {
	for _, s := range []string{"text/html", "*/*;q=0.8", "a/b;q=;q=1,", "text/html;q=1.000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if prefersHTML(s) {
			assert.Contains(t, strings.ToLower(s), "/")
			assert.False(t, prefersHTML("application/json,"+s+",text/html;q=0.0") && !strings.Contains(strings.ToLower(s), "json"),
				"JSON of full weight comes first")
		}
	})
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//x", "/\\x", "/a?b=//c", "/%2f%2fx"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := LocalPath(s)
		assert.True(t, strings.HasPrefix(got, "/") && !strings.HasPrefix(got, "//") && !strings.ContainsAny(got, "\\\r\n\t"), got)
	})
}

package ginapi

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

func TestEveryCodeHasAStatusAndWords(t *testing.T) {
	t.Parallel()
	for _, c := range domain.Codes() {
		assert.Contains(t, statuses, c)
		assert.NotEmpty(t, plainDetails[c], c)
	}
	assert.Len(t, statuses, len(domain.Codes()))
	assert.Equal(t, 500, statusOf("never heard of"))
}

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
		assert.Equal(t, want, localPath(next), next)
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		peer    string
		headers []string
		address string
		secure  bool
		host    string
	}{
		"direct":                  {nil, "192.0.2.1:5", nil, "192.0.2.1", false, "h"},
		"direct, IPv6":            {nil, "[2001:db8::1]:5", nil, "2001:db8::1", false, "h"},
		"mapped":                  {nil, "[::ffff:192.0.2.1]:5", nil, "192.0.2.1", false, "h"},
		"no port":                 {nil, "pipe", nil, "pipe", false, "h"},
		"nobody is trusted":       {nil, "10.0.0.1:5", []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, "10.0.0.1", false, "h"},
		"an untrusted peer":       {proxies, "192.0.2.1:5", []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, "192.0.2.1", false, "h"},
		"a proxy":                 {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: img.example"}, "1.1.1.1", true, "img.example"},
		"what the client wrote":   {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 9.9.9.9, 1.1.1.1"}, "1.1.1.1", false, "h"},
		"two proxies":             {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 9.9.9.9, 1.1.1.1, 10.0.0.2"}, "1.1.1.1", false, "h"},
		"two header lines":        {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 1.1.1.1,10.3.3.3"}, "1.1.1.1", false, "h"},
		"with ports and brackets": {proxies, "[fd00::1]:5", []string{"X-Forwarded-For: [2001:db8::7]:99, [fd00::2]"}, "2001:db8::7", false, "h"},
		"garbage":                 {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 1.1.1.1, what"}, "10.0.0.1", false, "h"},
		"garbage behind a proxy":  {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: what, 10.0.0.9"}, "10.0.0.9", false, "h"},
		"proxies alone":           {proxies, "10.0.0.1:5", []string{"X-Forwarded-For: 10.0.0.3"}, "10.0.0.3", false, "h"},
		"no header":               {proxies, "10.0.0.1:5", nil, "10.0.0.1", false, "h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Server{o: Options{TrustedProxies: c.trusted}}
			r := &http.Request{RemoteAddr: c.peer, Host: "h", Header: http.Header{}}
			for _, h := range c.headers {
				n, v, _ := strings.Cut(h, ": ")
				r.Header.Add(n, v)
			}
			address, secure := s.client(r)
			assert.Equal(t, c.address, address)
			assert.Equal(t, c.secure, secure)
			q := &request{s: s, r: r, secure: secure}
			scheme := "http://"
			if secure {
				scheme = "https://"
			}
			assert.Equal(t, scheme+c.host, q.base())
			s.publicURL, s.publicSecure = "https://public.example", true
			_, secure = s.client(r)
			assert.True(t, secure)
			assert.Equal(t, "https://public.example", q.base())
		})
	}
}

func TestValidHost(t *testing.T) {
	t.Parallel()
	for h, want := range map[string]bool{
		"localhost": true, "h:80": true, "[::1]:80": true, "a-b_c.example": true,
		"": false, `h"><script>`: false, "h/x": false, "u@h": false, "h h": false, "h,i": false, "h?x": false,
	} {
		assert.Equal(t, want, validHost(h), h)
	}
}

func TestSignatureOfQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]app.SignatureText{
		"":                                   {},
		"x=1&expiresx=2":                     {},
		"expires=1&owner=o&signature=s":      {Expires: "1", Owner: "o", Signature: "s"},
		"signature=s&a=b&&owner=o&expires=1": {Expires: "1", Owner: "o", Signature: "s"},
		"expires=1&expires=2":                {Expires: "1"},
		"owner=%41B&signature=%zz":           {Owner: "AB"},
		"expires":                            {},
	} {
		assert.Equal(t, want, signature(raw), raw)
	}
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	thumb, _ := domain.Thumbnail(200)
	for name, want := range map[string][2]string{
		"cat.jpg":       {`inline; filename="cat.jpg"`, `inline; filename="cat-200.png"`},
		"a cat":         {`inline; filename="a cat"`, `inline; filename="a cat-200.png"`},
		".hidden":       {`inline; filename=".hidden"`, `inline; filename=".hidden-200.png"`},
		`q"\;x.jpg`:     {`inline; filename="q\"\\;x.jpg"`, `inline; filename="q\"\\;x-200.png"`},
		"100%.jpg":      {`inline; filename="100%.jpg"`, `inline; filename="100%-200.png"`},
		"żółw.jpg":      {`inline; filename*=utf-8''%C5%BC%C3%B3%C5%82w.jpg`, `inline; filename*=utf-8''%C5%BC%C3%B3%C5%82w-200.png`},
		"bad\xff.jpg":   {"inline", "inline"},
		"two\r\nX: y.x": {"inline; filename*=utf-8''two%0D%0AX%3A%20y.x", "inline; filename*=utf-8''two%0D%0AX%3A%20y-200.png"},
	} {
		img := domain.Image{Filename: name, ImageInfo: domain.ImageInfo{Format: domain.WebP, Alpha: true}}
		for i, v := range []domain.Variant{domain.Original, thumb} {
			got := disposition(&app.Content{Image: img, Variant: v})
			assert.Equal(t, want[i], got, name)
			assert.NotContains(t, got, "\n")
		}
	}
}

func TestSignedCaching(t *testing.T) {
	t.Parallel()
	now := time.Now()
	thumb, _ := domain.Thumbnail(200)
	for name, c := range map[string]struct {
		cdn, left time.Duration
		v         domain.Variant
		want      string
	}{
		"private":             {0, time.Hour, thumb, "private, max-age=3600"},
		"public":              {time.Minute, time.Hour, thumb, "public, max-age=60"},
		"public, ending soon": {time.Hour, 59 * time.Second, thumb, "public, max-age=59"},
		"an original":         {time.Minute, time.Hour, domain.Original, "private, max-age=3600"},
		"over":                {time.Minute, -time.Second, thumb, "public, max-age=0"},
	} {
		s := &Server{o: Options{CDNMaxAge: c.cdn}}
		assert.Equal(t, c.want, s.signedCaching(&app.Content{Variant: c.v, Expires: now.Add(c.left)}, now), name)
	}
}

func TestParseObject(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``:                          "has no body",
		`  `:                        "has no body",
		`[]`:                        "must be a JSON object",
		`null`:                      "must be a JSON object",
		`"x"`:                       "must be a JSON object",
		`{`:                         "not valid JSON",
		`{"i":1}{}`:                 "not valid JSON",
		`{"i":1} x`:                 "not valid JSON",
		"{\"s\":\"\xff\"}":          "not UTF-8",
		"\ufeff{}":                  "not valid JSON",
		`{"i":1,"i":1}`:             "i: is there more than once",
		`{"i":1,"\u0069":1}`:        "i: is there more than once",
		`{"I":1}`:                   "I: is not a field",
		`{"i":"1"}`:                 "i: must be a whole number",
		`{"i":null}`:                "i: must be a whole number",
		`{"i":1.0}`:                 "i: must be a whole number",
		`{"i":1e3}`:                 "i: must be a whole number",
		`{"i":-0}`:                  "i: must be a whole number",
		`{"i":9223372036854775808}`: "i: must be a whole number",
		`{"s":1}`:                   "s: must be a string",
		`{"s":null}`:                "s: must be a string",
		`{"b":"true"}`:              "b: must be true or false",
		`{"b":null}`:                "b: must be true or false",
		`{"a":"x"}`:                 "a: must be an array",
		`{"a":null}`:                "a: must be an array",
		`{"a":["x",1]}`:             "a[1]: must be a string",
		`{"a":["x",null]}`:          "a[1]: must be a string",
		`{"n":[]}`:                  "n: must be an object",
		`{"n":null}`:                "n: must be an object",
		`{"n":{"x":1,"x":2}}`:       "n.x: is there more than once",
		`{"n":{"x":1.5}}`:           "n.x: must be a whole number",
		`{"i":1,"s":"x","b":false,"a":[],"n":{"x":null,"y":3}}`: "",
		`{}`: "",
	} {
		err := func() error {
			o, err := parseObject([]byte(body))
			if err != nil {
				return err
			}
			o.integer("i")
			o.str("s")
			o.boolean("b")
			o.strs("a")
			o.integers("n")
			return o.done()
		}()
		if want == "" {
			assert.NoError(t, err, body)
			continue
		}
		require.Error(t, err, body)
		assert.Equal(t, domain.Invalid, domain.CodeOf(err), body)
		assert.Contains(t, err.Error(), want, body)
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{"i":1,"s":"x","b":true,"a":["y"],"n":{"x":null}}`, `{"i":1e3}`, `[[`, `{"i":1,"i":2}`, "{\"\xff\":1}", `{"n":{"n":{}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseObject(b)
		if err != nil {
			assert.Equal(t, domain.Invalid, domain.CodeOf(err))
			return
		}
		i := o.integer("i")
		if i != nil {
			assert.GreaterOrEqual(t, *i, int64(0))
		}
		o.str("s")
		o.boolean("b")
		o.strs("a")
		o.integers("n")
		if err := o.done(); err != nil {
			assert.NotEmpty(t, domain.AsError(err).Fields)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("AZn_____8AAgAAAAAAAAA")
	f.Add("AaII90XbegaClQE1Ad_j5g")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := decodeCursor(s)
		if err != nil {
			assert.Equal(t, domain.Invalid, domain.CodeOf(err))
			return
		}
		assert.Equal(t, s, encodeCursor(id), "of each id exactly one text is accepted")
	})
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
		got := localPath(s)
		assert.True(t, strings.HasPrefix(got, "/") && !strings.HasPrefix(got, "//") && !strings.ContainsAny(got, "\\\r\n\t"), got)
	})
}

func TestAuditEntriesShowWhatChanged(t *testing.T) {
	t.Parallel()
	row := newChangeRow(domain.AuditEntry{
		Before: []byte(`{"email":"","tiers":["A"],"limits":{"max_images":null,"max_pixels":5},"is_admin":false,"gone":"x"}`),
		After:  []byte(`{"email":"a@b.c","tiers":[],"limits":{"max_images":7,"max_pixels":5},"is_admin":true}`),
	})
	assert.Equal(t, []changedFact{
		{"email", "", "a@b.c"}, {"gone", "x", ""}, {"is_admin", "false", "true"}, {"limits.max_images", "", "7"}, {"tiers", `["A"]`, ""},
	}, row.Changed)
	assert.Empty(t, newChangeRow(domain.AuditEntry{}).Changed)
}

package request

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// WantsHTML reports whether the client is better served by a page than by JSON.
func (q *Request) WantsHTML() bool {
	accept := q.HTTP.Header["Accept"]
	// A page repeats its address, so that one beyond all measure gets none.
	return len(accept) > 0 && len(q.HTTP.URL.RawQuery) <= maxQuery && prefersHTML(strings.Join(accept, ",")) && q.HTTP.URL.Query().Get("format") != "json"
}

// prefersHTML reports whether an Accept header ranks text/html above JSON (RFC
// 9110, section 12.5.1). Where both have the same weight, HTML must be named and
// JSON only be covered by a wildcard.
func prefersHTML(accept string) bool {
	page, data := newPreference("text", "html"), newPreference("application", "json")
	for _, item := range strings.Split(accept, ",") {
		parts := strings.Split(item, ";")
		typ, sub, ok := strings.Cut(strings.ToLower(strings.TrimSpace(parts[0])), "/")
		if !ok {
			continue
		}
		weight := 1000
		for _, p := range parts[1:] {
			if k, v, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(k), "q") {
				weight = parseWeight(strings.TrimSpace(v))
			}
		}
		page.see(typ, sub, weight)
		data.see(typ, sub, weight)
	}
	if page.weight <= 0 {
		return false
	}
	return page.weight > data.weight || page.weight == data.weight && page.rank > data.rank
}

// preference is the weight that the most specific matching range gives to a media type.
type preference struct {
	typ, sub     string
	rank, weight int // rank 1: */*, 2: type/*, 3: named; weight in thousandths
}

func newPreference(typ, sub string) preference { return preference{typ: typ, sub: sub} }

func (p *preference) see(typ, sub string, weight int) {
	rank := 0
	switch {
	case typ == p.typ && sub == p.sub:
		rank = 3
	case typ == p.typ && sub == "*":
		rank = 2
	case typ == "*" && sub == "*":
		rank = 1
	}
	if rank > p.rank || rank > 0 && rank == p.rank && weight > p.weight {
		p.rank, p.weight = rank, weight
	}
}

// parseWeight reads a qvalue as thousandths; an invalid one counts as 0, so that it is not served by mistake.
func parseWeight(s string) int {
	if s == "" || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1 {
		return 0
	}
	return int(f*1000 + 0.5)
}

// AcceptsGzip reports whether the client takes a body compressed by gzip.
func (q *Request) AcceptsGzip() bool { return acceptsGzip(q.HTTP.Header.Get("Accept-Encoding")) }

// acceptsGzip reports whether an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3).
func acceptsGzip(accept string) bool {
	for _, item := range strings.Split(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "gzip" && name != "*" {
			continue
		}
		if _, weight, ok := strings.Cut(params, "="); ok && parseWeight(strings.TrimSpace(weight)) == 0 {
			return false
		}
		return true
	}
	return false
}

// signInPath is where a browser signs in, and comes back from where it may.
func (q *Request) signInPath() string {
	if q.HTTP.Method != http.MethodGet && q.HTTP.Method != http.MethodHead {
		return "/api-auth/login"
	}
	return "/api-auth/login?next=" + url.QueryEscape(LocalPath(q.HTTP.URL.RequestURI())) // bounded, as it is repeated here
}

// LocalPath returns next if it is a path on this server, else "/": a sign-in must not lead elsewhere.
func LocalPath(next string) string {
	if len(next) == 0 || len(next) > 2048 || next[0] != '/' || strings.HasPrefix(next, "//") {
		return "/"
	}
	for i := 0; i < len(next); i++ {
		// Browsers read a backslash as a slash and drop control characters.
		if c := next[i]; c == '\\' || c <= ' ' || c == 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) ||
		strings.HasPrefix(u.Path, "/api-auth/") {
		return "/"
	}
	return next
}

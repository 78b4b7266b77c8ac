package web

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// funcs are what templates may call.
func (s *Site) funcs() template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) (string, error) {
			if s.names[name] == "" {
				return "", fmt.Errorf("web: no asset %q", name)
			}
			return AssetPath + s.names[name], nil
		},
		"bytes":    Bytes,
		"number":   Number,
		"duration": Duration,
		"base64":   base64.StdEncoding.EncodeToString,
		"stamp":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"utc":      func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") + " UTC" },
		"join":     strings.Join,
		"spans":    spans,
		"adminTabs": func() []tab {
			return []tab{
				{"Overview", "/admin/"},
				{"Users", "/admin/users"},
				{"Tiers", "/admin/tiers"},
				{"Images", "/admin/images"},
				{"Links", "/admin/links"},
				{"Audit", "/admin/audit"},
				{"Explain", "/admin/explain"},
			}
		},
		"plural": func(n int64, one, many string) string {
			if n == 1 {
				return "1 " + one
			}
			return Number(n) + " " + many
		},
	}
}

// span is a run of text, or of code.
type span struct {
	Text string
	Code bool
}

// spans cuts a text at its backticks.
func spans(text string) []span {
	var out []span
	for i, s := range strings.Split(text, "`") {
		if s != "" {
			out = append(out, span{s, i%2 == 1})
		}
	}
	return out
}

// tab is a page of the administration.
type tab struct{ Name, URL string }

// Bytes is a number of bytes for people, in units of 1024.
func Bytes(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f := float64(n)
	unit := ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f /= 1024; f < 1000 {
			break
		}
	}
	if f < 10 {
		return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + unit
	}
	return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
}

// Number groups a number's digits with thin spaces.
func Number(n int64) string {
	text := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// Duration is a number of seconds for people.
func Duration(seconds int64) string {
	var parts []string
	for _, u := range []struct {
		n         int64
		one, many string
	}{{86400, "day", "days"}, {3600, "hour", "hours"}, {60, "minute", "minutes"}, {1, "second", "seconds"}} {
		if n := seconds / u.n; n > 0 {
			word := u.many
			if n == 1 {
				word = u.one
			}
			parts = append(parts, strconv.FormatInt(n, 10)+" "+word)
			seconds -= n * u.n
		}
	}
	if len(parts) == 0 {
		return "0 seconds"
	}
	return strings.Join(parts, " ")
}

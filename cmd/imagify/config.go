package main

import (
	"errors"
	"io/fs"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/joho/godotenv"
)

// config is the settings of CONTRACT's section on configuration.
type config struct {
	addr           string
	publicURL      string
	data           string
	database       *url.URL
	storage        *url.URL
	redis          *url.URL // nil: in process
	resizer        *url.URL
	secretKeys     [][]byte // empty: the data folder's
	adminPassword  string
	cdnMaxAge      time.Duration
	trustedProxies []netip.Prefix
}

// setting is one variable. The list is what .env.example shows.
type setting struct{ name, standard string }

var settings = []setting{
	{"IMAGIFY_ADDR", "127.0.0.1:8080"},
	{"IMAGIFY_PUBLIC_URL", ""},
	{"IMAGIFY_DATA", "./data"},
	{"IMAGIFY_DATABASE_URL", "sqlite:"},
	{"IMAGIFY_STORAGE_URL", "file:"},
	{"IMAGIFY_REDIS_URL", ""},
	{"IMAGIFY_RESIZER_URL", "local:"},
	{"IMAGIFY_SECRET_KEY", ""},
	{"IMAGIFY_ADMIN_PASSWORD", ""},
	{"IMAGIFY_CDN_MAX_AGE", "0"},
	{"IMAGIFY_TRUSTED_PROXIES", ""},
}

// loadConfig reads the environment and, for what it does not set, the .env file
// of the working folder. Flags given on the command line win over both.
func (p *program) loadConfig(flags map[string]string) (config, error) {
	file, err := godotenv.Read(".env")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return config{}, usagef("the .env file cannot be read: %w", err)
	}
	get := func(name string) string {
		for _, v := range []string{flags[name], p.getenv(name), file[name]} {
			if v != "" {
				return v
			}
		}
		for _, s := range settings {
			if s.name == name {
				return s.standard
			}
		}
		return ""
	}
	c := config{addr: get("IMAGIFY_ADDR"), data: get("IMAGIFY_DATA"), adminPassword: get("IMAGIFY_ADMIN_PASSWORD")}
	for name, into := range map[string]**url.URL{
		"IMAGIFY_DATABASE_URL": &c.database, "IMAGIFY_STORAGE_URL": &c.storage, "IMAGIFY_REDIS_URL": &c.redis, "IMAGIFY_RESIZER_URL": &c.resizer,
	} {
		text := get(name)
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" {
			return c, usagef("%s is not a URL with a scheme, such as %q", name, exampleURL[name])
		}
		*into = u
	}
	c.publicURL = strings.TrimRight(get("IMAGIFY_PUBLIC_URL"), "/")
	if u, err := url.Parse(c.publicURL); c.publicURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return c, usagef("IMAGIFY_PUBLIC_URL must be like https://img.example.org")
	}
	seconds, err := strconv.Atoi(get("IMAGIFY_CDN_MAX_AGE"))
	if err != nil || seconds < 0 || seconds > 365*24*3600 {
		return c, usagef("IMAGIFY_CDN_MAX_AGE must be a number of seconds, 0 or more")
	}
	c.cdnMaxAge = time.Duration(seconds) * time.Second
	for _, text := range fields(get("IMAGIFY_TRUSTED_PROXIES")) {
		prefix, err := parsePrefix(text)
		if err != nil {
			return c, usagef("IMAGIFY_TRUSTED_PROXIES: %q is no IP address or prefix", text)
		}
		c.trustedProxies = append(c.trustedProxies, prefix)
	}
	for _, key := range fields(get("IMAGIFY_SECRET_KEY")) {
		if len(key) < 16 {
			return c, usagef("IMAGIFY_SECRET_KEY: a key needs at least 16 characters")
		}
		c.secretKeys = append(c.secretKeys, []byte(key))
	}
	if s := c.database.Scheme; len(c.secretKeys) == 0 && s != "sqlite" && s != "mem" {
		return c, usagef("IMAGIFY_SECRET_KEY is required with a %s: database: all nodes must sign alike", s)
	}
	if c.data, err = filepath.Abs(c.data); err != nil {
		return c, usagef("IMAGIFY_DATA: %w", err)
	}
	return c, nil
}

var exampleURL = map[string]string{
	"IMAGIFY_DATABASE_URL": "sqlite:", "IMAGIFY_STORAGE_URL": "file:", "IMAGIFY_REDIS_URL": "redis://localhost:6379", "IMAGIFY_RESIZER_URL": "local:",
}

// fields splits a comma-separated list; empty elements do not count.
func fields(s string) (out []string) {
	for _, f := range strings.Split(s, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

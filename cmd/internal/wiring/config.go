// Package wiring is the composition root that imagify's programs share: it reads
// their settings and opens the backends that these name.
package wiring

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/domain"
)

// Config is the settings, checked.
type Config struct {
	Addr           string
	PublicURL      string
	Data           string // absolute
	Database       string // these four are URLs
	Storage        string
	Redis          string // empty: in process
	Resizer        string
	SecretKeys     [][]byte // empty: the data folder's
	AdminPassword  string
	CDNMaxAge      time.Duration
	TrashFor       time.Duration
	TrustedProxies []netip.Prefix
	Accept         []domain.Format // at upload
	MaxUpload      int64           // bytes of an original; this and the next three: 0 means the default
	MaxPixels      int64           // of a picture
	Memory         int64           // bytes, for all work on pictures at a time
	MinFree        int64           // bytes of disk space that uploads leave
	Spool          string          // absolute; empty: chosen by where the rest is

	// Existing makes Open refuse what is not there yet, where it would otherwise make a
	// new installation: a command run in the wrong folder must not look like success.
	Existing bool

	// Metrics gets the series of the backends that Open opens; nil: they are not
	// measured. It is the program's, not a setting.
	Metrics prometheus.Registerer
}

// Setting is an environment variable. The list is what .env.example shows.
type Setting struct{ Name, Default string }

// Settings returns every setting.
func Settings() []Setting {
	return []Setting{
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
		{"IMAGIFY_TRASH_DAYS", "7"},
		{"IMAGIFY_TRUSTED_PROXIES", ""},
		{"IMAGIFY_MAX_UPLOAD", "256MiB"},
		{"IMAGIFY_MAX_PIXELS", "100M"},
		{"IMAGIFY_MEMORY", "512MiB"},
		{"IMAGIFY_SPOOL", ""},
		{"IMAGIFY_MIN_FREE", "256MiB"},
		{"IMAGIFY_ACCEPT", "jpeg,png,webp,gif,heic"},
	}
}

// Load returns the settings; getenv gives a variable's value, empty where it is not
// set. A bad value is domain.Invalid and names the variable.
func Load(getenv func(name string) string) (Config, error) {
	value := make(map[string]string)
	for _, s := range Settings() {
		if value[s.Name] = getenv(s.Name); value[s.Name] == "" {
			value[s.Name] = s.Default
		}
	}
	c := Config{
		Addr: value["IMAGIFY_ADDR"], AdminPassword: value["IMAGIFY_ADMIN_PASSWORD"],
		Database: value["IMAGIFY_DATABASE_URL"], Storage: value["IMAGIFY_STORAGE_URL"],
		Redis: value["IMAGIFY_REDIS_URL"], Resizer: value["IMAGIFY_RESIZER_URL"],
	}
	if err := checkAddr(c.Addr); err != nil {
		return c, err
	}
	for _, u := range []struct{ name, text, example string }{
		{"IMAGIFY_DATABASE_URL", c.Database, "sqlite:"},
		{"IMAGIFY_STORAGE_URL", c.Storage, "file:"},
		{"IMAGIFY_REDIS_URL", c.Redis, "redis://localhost:6379"},
		{"IMAGIFY_RESIZER_URL", c.Resizer, "local:"},
	} {
		if u.text != "" && Scheme(u.text) == "" { // the text may hold a password
			return c, domain.Errorf(domain.Invalid, "%s is not a URL with a scheme, such as %q", u.name, u.example)
		}
	}
	if text := value["IMAGIFY_PUBLIC_URL"]; text != "" {
		var err error
		if c.PublicURL, err = ginapi.ParsePublicURL(text); err != nil {
			return c, domain.Errorf(domain.Invalid, "IMAGIFY_PUBLIC_URL %v", err)
		}
	}
	seconds, err := strconv.Atoi(value["IMAGIFY_CDN_MAX_AGE"])
	if err != nil || seconds < 0 || seconds > 365*24*3600 {
		return c, domain.Errorf(domain.Invalid, "IMAGIFY_CDN_MAX_AGE must be a number of seconds, 0 or more")
	}
	c.CDNMaxAge = time.Duration(seconds) * time.Second
	days, err := strconv.Atoi(value["IMAGIFY_TRASH_DAYS"])
	if err != nil || days < 1 || days > 3650 {
		return c, domain.Errorf(domain.Invalid, "IMAGIFY_TRASH_DAYS must be a number of days, 1 to 3650")
	}
	c.TrashFor = time.Duration(days) * 24 * time.Hour
	for _, text := range fields(value["IMAGIFY_TRUSTED_PROXIES"]) {
		prefix, err := parsePrefix(text)
		if err != nil {
			return c, domain.Errorf(domain.Invalid, "IMAGIFY_TRUSTED_PROXIES: %q is no IP address or prefix", text)
		}
		c.TrustedProxies = append(c.TrustedProxies, prefix)
	}
	for _, text := range fields(value["IMAGIFY_ACCEPT"]) {
		f := domain.Format(strings.ToLower(text))
		if !slices.Contains(domain.Formats(), f) {
			return c, domain.Errorf(domain.Invalid, "IMAGIFY_ACCEPT: %q is not a format of this build: choose from %v", text, domain.Formats())
		}
		c.Accept = append(c.Accept, f)
	}
	keys := fields(value["IMAGIFY_SECRET_KEY"])
	if value["IMAGIFY_SECRET_KEY"] != "" && len(keys) == 0 {
		return c, domain.Errorf(domain.Invalid, "IMAGIFY_SECRET_KEY is set but holds no key: give one of at least 16 characters, or unset it")
	}
	for _, key := range keys {
		if len(key) < 16 {
			return c, domain.Errorf(domain.Invalid, "IMAGIFY_SECRET_KEY: a key needs at least 16 characters")
		}
		c.SecretKeys = append(c.SecretKeys, []byte(key))
	}
	if len(c.SecretKeys) == 0 && Scheme(c.Database) == "mysql" {
		return c, domain.Errorf(domain.Invalid, "IMAGIFY_SECRET_KEY is required with a mysql: database: all nodes must sign alike")
	}
	if c.Data, err = filepath.Abs(value["IMAGIFY_DATA"]); err != nil {
		return c, domain.Wrap(domain.Invalid, err, "IMAGIFY_DATA")
	}
	if spool := value["IMAGIFY_SPOOL"]; spool != "" {
		if c.Spool, err = filepath.Abs(spool); err != nil {
			return c, domain.Wrap(domain.Invalid, err, "IMAGIFY_SPOOL")
		}
	}
	for _, s := range []struct {
		name, example string
		into          *int64
	}{
		{"IMAGIFY_MAX_UPLOAD", "256MiB", &c.MaxUpload},
		{"IMAGIFY_MAX_PIXELS", "100M", &c.MaxPixels},
		{"IMAGIFY_MEMORY", "512MiB", &c.Memory},
		{"IMAGIFY_MIN_FREE", "256MiB", &c.MinFree},
	} {
		if *s.into, err = parseSize(s.name, value[s.name], s.example); err != nil {
			return c, err
		}
	}
	if c.Memory < minMemory {
		return c, domain.Errorf(domain.Invalid, "IMAGIFY_MEMORY must be at least %d bytes: less does not do for an ordinary photograph", minMemory)
	}
	return c, nil
}

// minMemory is the least that work on pictures can do with, in bytes.
const minMemory = 32 << 20

// Scheme is a URL's scheme in lower case; empty where it has none.
func Scheme(rawURL string) string {
	scheme, _, found := strings.Cut(rawURL, ":")
	if !found || strings.ContainsAny(scheme, "/?#@ ") {
		return ""
	}
	return strings.ToLower(scheme)
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return domain.Errorf(domain.Invalid, "the listen address %q is not like 127.0.0.1:8080: correct --addr or IMAGIFY_ADDR", addr)
	}
	return nil
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

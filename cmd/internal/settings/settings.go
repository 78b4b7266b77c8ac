// Package settings reads the settings that imagify's programs share from their environment,
// and opens what they name, with errors that say which variable to correct.
package settings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imagify-api/imagify/adapters/backends"
	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/domain"
)

// Config is the settings, checked.
type Config struct {
	backends.Config // Data and Spool are absolute
	Addr            string
	PublicURL       string
	AdminPassword   string
	CDNMaxAge       time.Duration
	TrustedProxies  []netip.Prefix
}

// Open opens the backends. An error names the variable.
func (c Config) Open(ctx context.Context, log *slog.Logger) (*backends.Backends, error) {
	c.Logger = log
	redis.SetLogger(redisLog{log})
	b, err := backends.Open(ctx, c.Config)
	return b, Named(err)
}

// redisLog takes what go-redis says of its connections, which has no level.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis: "+fmt.Sprintf(format, v...))
}

// variables are the settings behind the fields of a backends.Config.
var variables = map[string]string{
	"Data": "IMAGIFY_DATA", "Database": "IMAGIFY_DATABASE_URL", "Storage": "IMAGIFY_STORAGE_URL", "Redis": "IMAGIFY_REDIS_URL",
	"Resizer": "IMAGIFY_RESIZER_URL", "SecretKeys": "IMAGIFY_SECRET_KEY", "Memory": "IMAGIFY_MEMORY",
}

// Named says an error about a field of a backends.Config in the words of the settings: it begins with the
// variable, if that is what to correct.
func Named(err error) error {
	var field *backends.Error
	if !errors.As(err, &field) {
		return err
	}
	e := *domain.AsError(field.Err)
	name, known := variables[field.Field]
	switch {
	case !known || e.Code != domain.Invalid && field.Field != "SecretKeys":
		return field.Err
	case e.Msg == "" && e.Code == domain.Internal:
		return fmt.Errorf("%s: %w", name, field.Err)
	case e.Msg == "":
		e.Msg = name
	default:
		e.Msg = name + ": " + e.Msg
	}
	return &e
}

// Setting is an environment variable. The list is what .env.example shows.
type Setting struct{ Name, Default string }

// All returns every setting.
func All() []Setting {
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
	for _, s := range All() {
		if value[s.Name] = getenv(s.Name); value[s.Name] == "" {
			value[s.Name] = s.Default
		}
	}
	c := Config{
		Addr: value["IMAGIFY_ADDR"], AdminPassword: value["IMAGIFY_ADMIN_PASSWORD"],
		Config: backends.Config{
			Database: value["IMAGIFY_DATABASE_URL"], Storage: value["IMAGIFY_STORAGE_URL"],
			Redis: value["IMAGIFY_REDIS_URL"], Resizer: value["IMAGIFY_RESIZER_URL"],
		},
	}
	if err := checkAddr(c.Addr); err != nil {
		return c, err
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
			return c, domain.Errorf(domain.Invalid, "IMAGIFY_TRUSTED_PROXIES: %q is not an IP address or prefix", text)
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
		c.SecretKeys = append(c.SecretKeys, []byte(key))
	}
	if c.Data, err = filepath.Abs(value["IMAGIFY_DATA"]); err != nil {
		return c, domain.Wrap(domain.Invalid, err, "IMAGIFY_DATA")
	}
	if spool := value["IMAGIFY_SPOOL"]; spool != "" {
		if c.Spool, err = filepath.Abs(spool); err != nil {
			return c, domain.Wrap(domain.Invalid, err, "IMAGIFY_SPOOL")
		}
	}
	if err := c.loadSizes(value); err != nil {
		return c, err
	}
	return c, Named(c.Check())
}

// loadSizes reads the settings that are numbers with a unit.
func (c *Config) loadSizes(value map[string]string) (err error) {
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
			return err
		}
	}
	return nil
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

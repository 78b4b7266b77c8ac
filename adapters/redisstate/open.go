package redisstate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	redisPort    = "6379"
	sentinelPort = "26379"

	// networkTimeout bounds what go-redis does in the background, where no call's
	// context does: dialling, and looking for the Cluster's or Sentinel's masters.
	networkTimeout = time.Second
)

// Open returns the state that the Redis at a URL keeps. It does not connect: a
// Redis that is unavailable makes calls fail, not Open.
//
//	redis://user:password@host:6379/0                     one server
//	redis+sentinel://user:password@a:26379,b:26379/master/0   the named master that Sentinels know
//	redis+cluster://user:password@a:6379,b:6379           a Cluster, from some of its nodes
//	redis+unix://user:password@/run/redis/redis.sock?db=0   one server, by its unix socket
//
// With rediss in place of redis each connection is TLS. User, password, ports and
// database may be left out. The query may hold db for a unix socket, sentinel_username,
// sentinel_password, client_name, pool_size (connections a server, by default ten a
// processor), min_idle_conns, and dial_timeout, read_timeout and write_timeout as
// durations such as 500ms; anything else is an error. Errors name no password.
func Open(rawURL string, o Options) (*State, error) {
	u, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redisstate: the Redis URL %w", err)
	}
	conns := newConnections(u.DialTimeout, u.TLSConfig)
	u.Dialer = conns.dial
	s, err := New(redis.NewUniversalClient(u), o)
	if err != nil {
		return nil, err
	}
	s.drop = conns.drop
	return s, nil
}

func parse(rawURL string) (*redis.UniversalOptions, error) {
	u, err := url.Parse(rawURL)
	if err != nil { // its text may hold the password
		return nil, errors.New("is not a URL: write it as redis://user:password@host:6379/0, with special characters of the password as %XX")
	}
	o := &redis.UniversalOptions{
		DialTimeout: networkTimeout, ReadTimeout: networkTimeout, WriteTimeout: networkTimeout,
		ContextTimeoutEnabled: true,
		// A stale connection costs one more try; more only makes callers wait.
		MaxRetries: 1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	security, kind, _ := strings.Cut(u.Scheme, "+")
	switch security {
	case "redis":
	case "rediss":
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return nil, fmt.Errorf("has the scheme %q: use redis, rediss, either with +sentinel or +cluster, or redis+unix", u.Scheme)
	}
	if u.Opaque != "" || u.Fragment != "" {
		return nil, errors.New("is not like redis://host:6379/0")
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	if kind == "unix" {
		return unix(u, o)
	}
	port := redisPort
	if kind == "sentinel" {
		port = sentinelPort
	}
	if o.Addrs, err = addresses(u.Host, port); err != nil {
		return nil, err
	}
	path := strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })
	switch kind {
	case "":
		if len(o.Addrs) != 1 {
			return nil, fmt.Errorf("names %d servers: use %s+cluster or %s+sentinel", len(o.Addrs), security, security)
		}
	case "sentinel":
		if len(path) == 0 {
			return nil, errors.New("does not name the Sentinel's master: put it behind the hosts, as in redis+sentinel://a:26379,b:26379/mymaster")
		}
		o.MasterName, path = path[0], path[1:]
	case "cluster":
		if len(path) != 0 {
			return nil, errors.New("names a database, which a Cluster has not: omit the path")
		}
		o.IsClusterMode = true
	default:
		return nil, fmt.Errorf("has the scheme %q: after the + comes sentinel, cluster or unix", u.Scheme)
	}
	if len(path) > 1 {
		return nil, fmt.Errorf("has a path of %d parts where one database's number was wanted", len(path))
	}
	if len(path) == 1 {
		if o.DB, err = strconv.Atoi(path[0]); err != nil || o.DB < 0 {
			return nil, fmt.Errorf("names the database %q: it is a number from 0", path[0])
		}
	}
	return o, query(u, o)
}

// unix reads the URL of a unix socket, whose path takes the database's place.
func unix(u *url.URL, o *redis.UniversalOptions) (*redis.UniversalOptions, error) {
	switch {
	case o.TLSConfig != nil:
		return nil, errors.New("wants TLS on a unix socket: write redis+unix")
	case u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/":
		return nil, errors.New("is not like redis+unix:///run/redis/redis.sock?db=0, with three slashes")
	}
	o.Addrs = []string{u.Path}
	values := u.Query()
	if list, ok := values["db"]; ok {
		n, err := strconv.Atoi(list[0])
		if err != nil || n < 0 || len(list) != 1 {
			return nil, fmt.Errorf("names the database %q: it is a number from 0", list)
		}
		o.DB = n
		values.Del("db")
		rest := *u
		rest.RawQuery = values.Encode()
		u = &rest
	}
	return o, query(u, o)
}

func addresses(hosts, port string) (list []string, err error) {
	for _, host := range strings.Split(hosts, ",") {
		name, number, err := net.SplitHostPort(host)
		if err != nil { // no port
			name, number = strings.Trim(host, "[]"), port
		}
		if n, err := strconv.Atoi(number); name == "" || err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("has the host %q: write host:%s, several with commas between", host, port)
		}
		list = append(list, net.JoinHostPort(name, number))
	}
	return list, nil
}

func query(u *url.URL, o *redis.UniversalOptions) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("has a query that is not like ?pool_size=20&read_timeout=500ms")
	}
	for name, list := range values {
		if len(list) != 1 {
			return fmt.Errorf("gives %s more than once", name)
		}
		value, err := list[0], error(nil)
		switch name {
		case "sentinel_username":
			o.SentinelUsername = value
		case "sentinel_password":
			o.SentinelPassword = value
		case "client_name":
			o.ClientName = value
		case "pool_size":
			o.PoolSize, err = positive(value)
		case "min_idle_conns":
			o.MinIdleConns, err = positive(value)
		case "dial_timeout":
			o.DialTimeout, err = duration(value)
		case "read_timeout":
			o.ReadTimeout, err = duration(value)
		case "write_timeout":
			o.WriteTimeout, err = duration(value)
		default:
			return fmt.Errorf("has the unknown option %q", name)
		}
		if err != nil {
			return fmt.Errorf("has %s=%q: %w", name, value, err)
		}
	}
	return nil
}

func positive(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, errors.New("it is a whole number from 1")
	}
	return n, nil
}

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, errors.New("it is a positive duration such as 500ms")
	}
	return d, nil
}

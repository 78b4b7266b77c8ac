// Package mysqlrepo keeps imagify's records in MySQL 8 or later, in MariaDB 10.11
// or later, or in what speaks MySQL's protocol and follows Vitess's rules
// (PlanetScale): for any number of nodes.
package mysqlrepo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
	"github.com/imagify-api/imagify/ports"
)

// Options is how to open a database. The zero value is right for most.
type Options struct {
	// MaxConns is how many connections a node has at the most; 0: 32. At least 4.
	MaxConns int
	// ConnectTimeout bounds the making of a connection; 0: 5 s.
	ConnectTimeout time.Duration
	// Timeout bounds each read, and how long a transaction waits until it has begun; 0:
	// 1.8 s, so that a caller has its 503 within two.
	Timeout time.Duration
	// TLS is used instead of what the address says, for a private authority or a
	// client's certificate; nil: as the address says.
	TLS *tls.Config
	// Hooks see every statement, for metrics and traces.
	Hooks []bun.QueryHook
}

// DB is an open database.
type DB struct {
	name    string // host and database, for messages
	db      *bun.DB
	patient *sql.DB // waits for an answer as long as it takes: a migration's step may take hours
	schema  *bunrepo.Schema
	records ports.Records
}

const (
	defaultConns = 32
	// minConns is the least that a node can work with, and what a migration has of its
	// own: it needs three at once.
	minConns = 4

	defaultTimeout = 1800 * time.Millisecond
	// answerTimeout bounds the wait for each answer of the server, where no context
	// does: a COMMIT, and the beginning of a connection. No statement here takes so
	// long but a migration's, which has connections of its own.
	answerTimeout = 5 * time.Second
	// connLife spreads the nodes over servers that come and go behind one name.
	connLife = 5 * time.Minute
	// clock is the database's time in microseconds since 1970, whatever the session's time zone.
	clock = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"
)

// Open connects to the database at address:
//
//	mysql://user:password@host:3306/name?tls=true
//	mysql://user:password@host:3306/name?tls=true&ca=/etc/imagify/ca.pem
//	mysql://user:password@localhost/name?socket=/run/mysqld/mysqld.sock
//
// The port is 3306 where none is given. tls is false (the default), true,
// skip-verify (encrypted, but the server may be anyone) or preferred (encrypted if
// the server can). ca is a file of PEM certificates: the authorities that a server's
// certificate may be of, instead of the system's. socket is a unix socket's path. The database must exist; its tables are MigrateUp's business. A
// schema that is newer than this program is refused where it says that it needs a
// newer one.
func Open(ctx context.Context, address string, o Options) (*DB, error) {
	cfg, err := parse(address)
	if err != nil {
		return nil, err
	}
	switch {
	case o.MaxConns == 0:
		o.MaxConns = defaultConns
	case o.MaxConns < minConns:
		return nil, fmt.Errorf("mysql: %d connections: at least %d are needed", o.MaxConns, minConns)
	}
	switch {
	case o.ConnectTimeout == 0:
		o.ConnectTimeout = 5 * time.Second
	case o.ConnectTimeout < 0:
		return nil, fmt.Errorf("mysql: a connect timeout of %v is negative", o.ConnectTimeout)
	}
	switch {
	case o.Timeout == 0:
		o.Timeout = defaultTimeout
	case o.Timeout < 0:
		return nil, fmt.Errorf("mysql: a timeout of %v is negative", o.Timeout)
	}
	cfg.Timeout = o.ConnectTimeout
	if o.TLS != nil {
		cfg.TLSConfig, cfg.TLS = "", o.TLS
	}
	patient, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	cfg.ReadTimeout, cfg.WriteTimeout = answerTimeout, answerTimeout
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	pool := sql.OpenDB(&sessions{Connector: connector, setUp: isolation + bounded})
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(o.MaxConns)
	pool.SetConnMaxLifetime(connLife)
	pool.SetConnMaxIdleTime(time.Minute)
	db := &DB{name: cfg.Addr + "/" + cfg.DBName, patient: sql.OpenDB(&sessions{Connector: patient, setUp: isolation})}
	db.patient.SetMaxOpenConns(minConns)
	db.patient.SetConnMaxIdleTime(time.Second)    // it is used at the start, if at all
	if err := pool.PingContext(ctx); err != nil { // before bun asks for the version, which it does without a context
		return nil, errors.Join(db.unreachable(err), pool.Close(), db.patient.Close())
	}
	db.db = bun.NewDB(pool, mysqldialect.New()).WithQueryHook(bunrepo.Hooks(o.Hooks))
	if db.schema, err = newSchema(db.patient); err != nil {
		return nil, errors.Join(fmt.Errorf("mysql: %w", err), db.Close())
	}
	if err := db.check(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.records = bunrepo.New(db.db, bunrepo.Options{
		Classify: classify, Timeout: o.Timeout, Clock: clock, ForUpdate: "FOR UPDATE", ForShare: "LOCK IN SHARE MODE",
		Begin: begin, Commit: commit, Rollback: rollback, Writers: o.MaxConns / 2,
	})
	return db, nil
}

// unreachable says what to do about a first connection that failed.
func (db *DB) unreachable(err error) error {
	hint := "check the host, the port, that the server runs, and the firewall"
	var (
		e         *mysql.MySQLError
		untrusted *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &untrusted):
		hint = "name the server by the host name in its certificate; for a certificate of your own authority name its file by the parameter ca"
	case errors.Is(err, mysql.ErrNoTLS):
		hint = "the server has no TLS: leave tls out, or have it set up there"
	case errors.As(err, &e):
		switch e.Number {
		case errAccessDenied:
			hint = "check the user and the password"
		case errDBAccessDenied:
			hint = "GRANT the user rights on the database, or correct its name"
		case errNoDatabase:
			hint = "make it with CREATE DATABASE, or correct the name"
		case errInsecureTransport:
			hint = "add ?tls=true to the address"
		default:
			hint = "see the server's log"
		}
	}
	return fmt.Errorf("mysql: cannot connect to %s: %w; %s", db.name, err, hint)
}

// tlsModes are the values of the parameter tls.
var tlsModes = []string{"true", "false", "skip-verify", "preferred"}

// parse reads an address. Its errors never quote the address, which holds a password.
func parse(address string) (*mysql.Config, error) {
	malformed := func(why string) error {
		return fmt.Errorf("mysql: %s; an address is mysql://user:password@host:3306/name?tls=true, where a"+
			" / : @ # ? or %% in the password is written as %%2F %%3A %%40 %%23 %%3F or %%25", why)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, malformed("the address is malformed")
	}
	name := strings.TrimPrefix(u.Path, "/")
	switch {
	case u.Scheme != "mysql" || u.Opaque != "":
		return nil, malformed("the address does not begin with mysql://")
	case u.Hostname() == "" && !u.Query().Has("socket"):
		return nil, malformed("the address has no host")
	case u.User == nil || u.User.Username() == "":
		return nil, malformed("the address has no user")
	case name == "" || strings.Contains(name, "/"):
		return nil, malformed("the address has no database's name")
	case u.Fragment != "":
		return nil, malformed("the address has a #")
	}
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, name
	if u.Port() == "" {
		cfg.Addr = strings.TrimSuffix(u.Host, ":") + ":3306"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, malformed("the address's parameters are malformed")
	}
	for key, values := range query {
		switch {
		case !slices.Contains([]string{"tls", "ca", "socket"}, key):
			return nil, malformed(fmt.Sprintf("the address has the unknown parameter %q, there are tls, ca and socket", key))
		case len(values) != 1:
			return nil, malformed(fmt.Sprintf("the address has the parameter %s twice", key))
		case key == "tls" && !slices.Contains(tlsModes, values[0]):
			return nil, malformed("tls is one of " + strings.Join(tlsModes, ", "))
		case key == "tls" && values[0] != "false":
			cfg.TLSConfig = values[0]
		}
	}
	if query.Has("socket") {
		if !filepath.IsAbs(query.Get("socket")) {
			return nil, malformed("socket is not the whole path of a unix socket")
		}
		if cfg.TLSConfig != "" || query.Has("ca") {
			return nil, malformed("the address has both socket and tls: what a unix socket carries does not leave the machine, leave tls and ca out")
		}
		cfg.Net, cfg.Addr = "unix", query.Get("socket")
	}
	if query.Has("ca") {
		if cfg.TLSConfig != "true" {
			return nil, malformed("ca needs tls=true")
		}
		authorities, err := readCA(query.Get("ca"))
		if err != nil {
			return nil, err
		}
		cfg.TLSConfig, cfg.TLS = "", &tls.Config{RootCAs: authorities, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	cfg.Collation = "utf8mb4_bin"
	cfg.ClientFoundRows = true   // an UPDATE reports what it matched
	cfg.InterpolateParams = true // one round trip a statement
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.MultiStatements = true // a transaction's end is one packet; values are quoted by bun in every text
	cfg.RejectReadOnly = true  // a server that became a replica: the next connection finds the new primary
	cfg.Logger = &mysql.NopLogger{}
	cfg.Params = map[string]string{
		// Strict: a text that is too long is an error and not cut. Without
		// NO_BACKSLASH_ESCAPES, which would change what the client's quoting means.
		"sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		// Not what the server's own settings make of them: a statement outside of a transaction
		// is committed at once, a COMMIT begins no other transaction and keeps the connection,
		// and a list is whole.
		"autocommit": "1", "completion_type": "'NO_CHAIN'", "sql_select_limit": "18446744073709551615",
		"sql_safe_updates": "0", "sql_big_selects": "1",
		// Seconds. Transactions here are short: who waits for longer had better try again.
		"innodb_lock_wait_timeout": "2",
		// Nor is a node that stops in the middle of a packet or an answer waited for.
		"net_read_timeout": "5", "net_write_timeout": "5", "wait_timeout": idleSession,
	}
	return cfg, nil
}

// readCA reads the certificates of the authorities that the address names.
func readCA(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("mysql: the parameter ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("mysql: the parameter ca: %s holds no certificate in PEM", path)
	}
	return pool, nil
}

// Records returns the record ports.
func (db *DB) Records() ports.Records { return db.records }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.db.PingContext(ctx); err != nil {
		return fmt.Errorf("mysql: %s: %w", db.name, err)
	}
	return nil
}

// PoolStats tells what the connections do.
func (db *DB) PoolStats() sql.DBStats { return db.db.Stats() }

// Close closes the connections once their running statements are done.
func (db *DB) Close() error { return errors.Join(db.db.Close(), db.patient.Close()) }

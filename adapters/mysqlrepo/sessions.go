package mysqlrepo

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A session is given seconds, so that a node that stops (a pause of its machine, a
// partition without a FIN) holds no row for longer: MySQL has no time-out of its own for
// an idle transaction, so each takes the connection's for as long as it lasts.
const (
	// idleInTx is how long a transaction may be silent before the server ends it, in
	// seconds; idleSession is for a connection without one: longer than the pool keeps it.
	idleInTx    = "2"
	idleSession = "120"

	begin    = "SET SESSION wait_timeout = " + idleInTx + "; START TRANSACTION"
	commit   = "COMMIT; SET SESSION wait_timeout = " + idleSession
	rollback = "ROLLBACK; SET SESSION wait_timeout = " + idleSession
)

const (
	// isolation is a statement because the variable has one name in MySQL and another in MariaDB 10.11.
	isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
	// bounded ends a statement that takes long: the first comment is MySQL's, of reads
	// alone, in milliseconds, the second MariaDB's, in seconds.
	bounded = "; /*!80000 SET SESSION max_execution_time = 5000 */ /*M!100100 SET SESSION max_statement_time = 5 */"
)

const (
	// A connection that was idle for longer than pingAfter is asked before it is used, and
	// has pingTime to answer: one whose other end is gone without a word (a NAT's table, a
	// failover) would take a request's whole time.
	pingAfter = time.Second
	pingTime  = time.Second
)

// sessions makes the connections of a pool.
type sessions struct {
	driver.Connector
	setUp string
	// generation grows when a connection has not answered its ping: those made before
	// lead to the same place, and are thrown away unasked.
	generation atomic.Int64
}

func (s *sessions) Connect(ctx context.Context) (driver.Conn, error) {
	generation := s.generation.Load()
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConnect, err)
	}
	c := &session{mysqlConn: conn.(mysqlConn), of: s, generation: generation, used: time.Now()}
	if _, err := c.ExecContext(ctx, s.setUp, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errConnect, err), conn.Close())
	}
	return c, nil
}

// mysqlConn is what the driver's connection can do.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// session is a connection that knows when it was last used.
type session struct {
	mysqlConn
	of         *sessions
	generation int64
	used       time.Time
}

// ResetSession is called when the connection is taken from the pool.
func (s *session) ResetSession(ctx context.Context) error {
	if s.generation != s.of.generation.Load() {
		return driver.ErrBadConn
	}
	if err := s.mysqlConn.ResetSession(ctx); err != nil {
		return err
	}
	if time.Since(s.used) < pingAfter {
		return nil
	}
	c, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	if err := s.Ping(c); err != nil {
		if ctx.Err() == nil && c.Err() != nil { // silence; a connection that says it is closed speaks for itself alone
			s.of.generation.CompareAndSwap(s.generation, s.generation+1)
		}
		return driver.ErrBadConn
	}
	return nil
}

// IsValid is called when the connection goes back to the pool.
func (s *session) IsValid() bool {
	s.used = time.Now()
	return s.mysqlConn.IsValid()
}

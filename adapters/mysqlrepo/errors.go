package mysqlrepo

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
)

// The servers' error numbers that are told apart
// (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html).
const (
	errDiskFull          = 1021
	errTooManyConns      = 1040
	errOutOfResources    = 1041
	errHandshake         = 1043
	errDBAccessDenied    = 1044
	errAccessDenied      = 1045
	errNoDatabase        = 1049
	errShutdown          = 1053
	errDuplicateColumn   = 1060
	errDuplicateKeyName  = 1061
	errDuplicate         = 1062
	errCannotDrop        = 1091
	errTableFull         = 1114
	errHostBlocked       = 1129
	errNoThread          = 1135
	errNoTable           = 1146
	errAborted           = 1152
	errNetRead           = 1158
	errNetReadTimeout    = 1159
	errNetWrite          = 1160
	errNetWriteTimeout   = 1161
	errNewAborted        = 1184
	errUserConns         = 1203
	errLockWait          = 1205
	errDeadlock          = 1213
	errUserLimit         = 1226
	errReadOnlyOption    = 1290
	errInterrupted       = 1317
	errReadOnly          = 1792
	errReadOnlyMode      = 1836
	errConnKilled        = 1927 // MariaDB
	errStatementTimeout  = 3024
	errNotAvailable      = 3168 // group replication: this server is not a member now
	errInsecureTransport = 3159
	errSessionKilled     = 3169
	errLockNowait        = 3572
	errClientTimeout     = 4031 // MySQL ended the idle connection
)

// Away reports whether an error of a statement, as Options.Hooks see it, means that
// the database did not answer.
func Away(err error) bool { return bunrepo.Unavailable(classify, err) }

// classify tells what an error of the driver or the server means.
func classify(err error) bunrepo.Class {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		var network net.Error
		switch {
		case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt),
			errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrPktSyncMul), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return bunrepo.Lost
		case errors.As(err, &network):
			return bunrepo.Away
		}
		return bunrepo.Other
	}
	switch e.Number {
	case errDuplicate:
		return bunrepo.Duplicate
	case errDeadlock, errLockWait:
		// After a lock wait only the statement is rolled back; the transaction is, too,
		// when it returns the error.
		return bunrepo.Retry
	case errShutdown, errConnKilled, errClientTimeout, errSessionKilled, errHandshake,
		errAborted, errNetRead, errNetReadTimeout, errNetWrite, errNetWriteTimeout, errNewAborted:
		return bunrepo.Lost
	case errDiskFull, errTooManyConns, errOutOfResources, errTableFull, errHostBlocked, errNoThread, errNotAvailable, errUserConns, errUserLimit, errReadOnlyOption,
		errInterrupted, errReadOnly, errReadOnlyMode, errStatementTimeout, errLockNowait:
		return bunrepo.Away
	}
	return bunrepo.Other
}

package mysqlrepo

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/imagify-api/imagify/adapters/internal/bunrepo"
)

// The servers' error numbers that are told apart
// (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html). Whatever
// is not named here is the server's state, not this program's fault: a disk, a cluster
// that has no primary, a proxy without an upstream. New versions and other servers of the
// same protocol have numbers that nobody here has heard of.
const (
	errHandshake         = 1043
	errDBAccessDenied    = 1044
	errAccessDenied      = 1045
	errNotNull           = 1048
	errNoDatabase        = 1049
	errAmbiguousColumn   = 1052
	errShutdown          = 1053
	errUnknownColumn     = 1054
	errNotGrouped        = 1055
	errDuplicateColumn   = 1060
	errDuplicateKeyName  = 1061
	errDuplicate         = 1062
	errSyntax            = 1064
	errEmptyQuery        = 1065
	errNotUniqueTable    = 1066
	errCannotDrop        = 1091
	errUnknownTable      = 1109
	errColumnTwice       = 1110
	errGroupFunction     = 1111
	errColumnCount       = 1136
	errNoTable           = 1146
	errNotAllowed        = 1148
	errSyntaxOther       = 1149
	errAborted           = 1152
	errPacketTooLarge    = 1153
	errNetRead           = 1158
	errNetReadTimeout    = 1159
	errNetWrite          = 1160
	errNetWriteTimeout   = 1161
	errNoKey             = 1176
	errDuringCommit      = 1180
	errDuringRollback    = 1181
	errNewAborted        = 1184
	errLockWait          = 1205
	errArguments         = 1210
	errDeadlock          = 1213
	errSelectColumns     = 1222
	errWrongValueOfVar   = 1231
	errWrongUsage        = 1221
	errDerivedAlias      = 1248
	errOutOfRange        = 1264
	errTruncated         = 1265
	errWrongArguments    = 1582
	errWrongValue        = 1292
	errNoDefault         = 1364
	errWrongFieldValue   = 1366
	errTooLong           = 1406
	errNumberOutOfRange  = 1690
	errConnKilled        = 1927 // MariaDB
	errUnknownVariable   = 1193
	errBeforeCommit      = 3100 // group replication refused the transaction, or lost its group
	errInsecureTransport = 3159
	errSessionKilled     = 3169
	errCheck             = 3819
	errCheckMariaDB      = 4025
	errClientTimeout     = 4031 // MySQL ended the idle connection
)

// IsUnavailable reports whether an error of a statement, as Options.Hooks see it, means that
// the database did not answer.
func IsUnavailable(err error) bool { return bunrepo.IsUnavailable(classify, err) }

// errConnect is a connection that could not be made: nothing was asked of the server.
var errConnect = errors.New("cannot connect")

// classify tells what an error of the driver or the server means.
func classify(err error) bunrepo.Class {
	if errors.Is(err, errConnect) {
		return bunrepo.Unavailable
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		var (
			network   net.Error
			record    tls.RecordHeaderError
			alert     tls.AlertError
			untrusted *tls.CertificateVerificationError
			authority x509.UnknownAuthorityError
		)
		switch {
		case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, mysql.ErrBusyBuffer),
			errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrPktSyncMul), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return bunrepo.Lost
		case errors.As(err, &network), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &untrusted), errors.As(err, &authority),
			errors.Is(err, mysql.ErrNoTLS), errors.Is(err, mysql.ErrUnknownPlugin), errors.Is(err, mysql.ErrOldProtocol):
			return bunrepo.Unavailable
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
		errAborted, errNetRead, errNetReadTimeout, errNetWrite, errNetWriteTimeout, errNewAborted,
		errDuringCommit, errDuringRollback, errBeforeCommit:
		return bunrepo.Lost
	case errSyntax, errSyntaxOther, errEmptyQuery, errUnknownColumn, errAmbiguousColumn, errNoTable, errUnknownTable, errNotUniqueTable,
		errColumnTwice, errColumnCount, errNotGrouped, errGroupFunction, errNotNull, errNoDefault, errTooLong, errTruncated, errOutOfRange,
		errNumberOutOfRange, errWrongValue, errWrongFieldValue, errArguments, errWrongArguments, errSelectColumns, errWrongUsage,
		errWrongValueOfVar, errUnknownVariable, errDerivedAlias, errNoKey, errNotAllowed, errPacketTooLarge, errCheck, errCheckMariaDB,
		errDuplicateColumn, errDuplicateKeyName, errCannotDrop:
		return bunrepo.Other
	}
	return bunrepo.Unavailable
}

package domain

import (
	"errors"
	"fmt"
	"time"
)

// Code classifies an error for the one who has to act on it: an HTTP client,
// a command line, a log. A Code is itself an error, so that
// errors.Is(err, domain.NotFound) holds through any number of wraps.
type Code string

// The codes. Their texts are part of the public HTTP contract.
const (
	// Internal is what every unclassified error counts as. Its text is never shown outside.
	Internal Code = "internal"
	// Invalid: malformed or missing input.
	Invalid Code = "invalid_request"
	// Unauthenticated: no credentials, or bad ones.
	Unauthenticated Code = "unauthenticated"
	// Denied: signed in, but the permission is missing.
	Denied Code = "permission_denied"
	// CrossOrigin: an unsafe request from another origin without a Bearer token.
	CrossOrigin Code = "cross_origin"
	// QuotaExceeded: more images or bytes than the tier allows to keep.
	QuotaExceeded Code = "quota_exceeded"
	// NotFound: it never existed, or it is not the caller's.
	NotFound Code = "not_found"
	// MethodNotAllowed: the path exists, the method does not.
	MethodNotAllowed Code = "method_not_allowed"
	// Timeout: the client was too slow.
	Timeout Code = "timeout"
	// Conflict: a name is taken, or the state forbids the change.
	Conflict Code = "conflict"
	// LinkExpired: the link is dead, for whatever reason.
	LinkExpired Code = "link_expired"
	// Gone: what an Idempotency-Key made has been deleted since.
	Gone Code = "gone"
	// TooLarge: more bytes, pixels or frames than allowed.
	TooLarge Code = "too_large"
	// UnsupportedImage: not a format that imagify accepts.
	UnsupportedImage Code = "unsupported_image"
	// RangeNotSatisfiable: the requested range is outside of the file.
	RangeNotSatisfiable Code = "range_not_satisfiable"
	// CorruptImage: an accepted format that does not decode.
	CorruptImage Code = "corrupt_image"
	// IdempotencyMismatch: an Idempotency-Key used again with another body.
	IdempotencyMismatch Code = "idempotency_mismatch"
	// RateLimited: too many requests.
	RateLimited Code = "rate_limited"
	// Unavailable: a backend is unavailable or the server is busy; trying again helps.
	Unavailable Code = "unavailable"
)

// Codes lists every code, for tests that walk them all.
func Codes() []Code {
	return []Code{
		Internal, Invalid, Unauthenticated, Denied, CrossOrigin, QuotaExceeded, NotFound, MethodNotAllowed,
		Timeout, Conflict, LinkExpired, Gone, TooLarge, UnsupportedImage, RangeNotSatisfiable, CorruptImage,
		IdempotencyMismatch, RateLimited, Unavailable,
	}
}

// Error returns the code's text.
func (c Code) Error() string { return string(c) }

// Error is an error with a Code and a message that may be shown to the caller.
type Error struct {
	Code Code
	// Msg is public: it says what is wrong and what to do, and names no
	// backend, path or secret.
	Msg string
	// Err is the private cause, for the log.
	Err error
	// Fields says which inputs are wrong, for Invalid.
	Fields []FieldError
	// Limit and Used are the bound that was hit and how much of it is taken, for
	// TooLarge, QuotaExceeded and RateLimited. Limit is nil where there is none to tell.
	Limit, Used *int64
	// RetryAfter is when trying again may help; zero means no hint.
	RetryAfter time.Duration
}

// FieldError is what is wrong with one input field.
type FieldError struct {
	Field   string
	Code    string // "required", "unknown", "type", "range", "format", "taken"
	Message string
}

// Error returns the code, the message and the private cause: it is for logs, not for clients.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Msg != "" {
		s += ": " + e.Msg
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the code and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// Errorf returns an Error of the code with a public message.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Msg: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error of the code with a public message and a private cause.
func Wrap(c Code, err error, msg string) *Error { return &Error{Code: c, Msg: msg, Err: err} }

// InvalidField returns an Invalid error about one field.
func InvalidField(field, code, format string, args ...any) *Error {
	msg := fmt.Sprintf(format, args...)
	return &Error{Code: Invalid, Msg: field + ": " + msg, Fields: []FieldError{{Field: field, Code: code, Message: msg}}}
}

// LimitError returns an Error of the code that tells the bound.
func LimitError(c Code, limit int64, format string, args ...any) *Error {
	return &Error{Code: c, Msg: fmt.Sprintf(format, args...), Limit: &limit}
}

// CodeOf returns the outermost code in err's tree: of a wrapped chain the one
// that was put on last, because who wrapped last knew most about what it means
// here. An error without a code is Internal; nil has the empty code.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if c, ok := codeOf(err); ok {
		return c
	}
	return Internal
}

func codeOf(err error) (Code, bool) {
	switch e := err.(type) {
	case Code:
		return e, true
	case *Error:
		return e.Code, true
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if inner := u.Unwrap(); inner != nil {
			return codeOf(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			if c, ok := codeOf(inner); ok {
				return c, true
			}
		}
	}
	return "", false
}

// AsError returns the outermost *Error in err's tree, or one made of its code.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e.Code == CodeOf(err) {
		return e
	}
	return &Error{Code: CodeOf(err), Err: err}
}

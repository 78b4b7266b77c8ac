// Package ports says what imagify's core needs from outside: one noun, one
// interface, its contract in its comments. An adapter is right when the
// suite of package porttest passes on it.
//
// Rules that hold for every port:
//
//   - Safe for concurrent use by any number of goroutines.
//   - What is passed in is copied before the call returns, what is handed out is
//     the caller's: neither side sees later changes of the other.
//   - Errors carry a domain.Code. A backend that is unavailable, a lost connection or a
//     cancelled context is domain.Unavailable, or unclassified; it is never
//     domain.NotFound, domain.Conflict or an empty answer.
//   - Times are handed out in UTC, rounded to the microsecond or finer.
//   - A write that returned nil is durable. One that returned domain.Unavailable or an
//     unclassified error may have happened: its answer may be what was lost. One that
//     returned any other code has not happened. Where a write must not happen twice its
//     comment says how its caller finds out.
package ports

package bunrepo

import "time"

// Migration is one step of a database's schema.
type Migration struct {
	Version int64
	Name    string // the file's
	// AppliedAt is when it was applied; zero while it is pending.
	AppliedAt time.Time
}

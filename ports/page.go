package ports

import (
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Page asks for a part of a list that is sorted by id, newest first. Its cost
// does not depend on how far back it reaches (a keyset, never an offset).
type Page struct {
	// Before leaves only ids lower than it; zero begins at the newest.
	Before domain.ID
	// Limit is how many at the most, 1 or more.
	Limit int
}

// TimeRange leaves what was created at From or later and before To; zero leaves that side open.
type TimeRange struct{ From, To time.Time }

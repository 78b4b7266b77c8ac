package ports

import (
	"context"

	"github.com/imagify-api/imagify/domain"
)

// InstallationKey is the blob that holds a store's half of the pair of ids which says
// that a database and a store belong together: the id's text, with a line end.
const InstallationKey = "installation"

// Installation is the database's half of that pair. One database serves one
// installation, so there is at most one record.
type Installation interface {
	// Load returns the record; the zero record where there is none.
	Load(ctx context.Context) (InstallationRecord, error)
	// Ensure writes a record with this id, not confirmed, unless there is a record
	// already, and returns the record that is there then. Of any number of racers one
	// writes, and all learn the same id.
	Ensure(ctx context.Context, id domain.ID) (InstallationRecord, error)
	// Confirm notes that the store has this id too. domain.Conflict if the record has
	// another id, or there is no record. Confirming twice is no error.
	Confirm(ctx context.Context, id domain.ID) error
	// Replace gives the record another id, not confirmed, and forgets how far the
	// sweep had come; where there is no record it writes one.
	Replace(ctx context.Context, id domain.ID) error
	// SaveSweep notes how far the sweep has come: a text of at most MaxSweepProgress
	// bytes that means nothing to the database. domain.NotFound where there is no record.
	SaveSweep(ctx context.Context, progress string) error
}

// MaxSweepProgress bounds what SaveSweep keeps, in bytes.
const MaxSweepProgress = 1024

// InstallationRecord is what a database knows of its installation.
type InstallationRecord struct {
	// ID is the installation's; zero where there is no record.
	ID domain.ID
	// Confirmed says that the store was seen to have the same id. Before that, a first
	// start was interrupted between the two halves, or has not come so far.
	Confirmed bool
	// Sweep is what SaveSweep kept last.
	Sweep string
}

package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// LinkLife remembers beside the database which links live and which are dead
// for good. It may forget anything at any moment; what it must never do is call
// alive what was buried or has outlived its time.
type LinkLife interface {
	// Check tells what is remembered.
	Check(ctx context.Context, token domain.SecretHash) (Life, error)
	// Keep remembers a link as alive for ttl, unless it was buried.
	Keep(ctx context.Context, token domain.SecretHash, ttl time.Duration) error
	// Bury remembers a link as dead for good, for at least ttl if memory permits.
	Bury(ctx context.Context, token domain.SecretHash, ttl time.Duration) error
}

// Life is what LinkLife knows of a link.
type Life int

const (
	// LifeUnknown: nothing is remembered; ask the database.
	LifeUnknown Life = iota
	// LifeAlive: it was alive when last seen, and its time has not run out.
	LifeAlive
	// LifeDead: it is dead for good.
	LifeDead
)

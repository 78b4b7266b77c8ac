package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// LinkCache remembers beside the database which links live and which are dead
// for good. It may forget anything at any moment; what it must never do is call
// alive what was marked dead or has outlived its time.
type LinkCache interface {
	// Get tells what is remembered.
	Get(ctx context.Context, token domain.SecretHash) (LinkStatus, error)
	// Put remembers a link as alive for ttl, unless it was marked dead.
	Put(ctx context.Context, token domain.SecretHash, ttl time.Duration) error
	// MarkDead remembers a link as dead for good, for at least ttl if memory permits.
	MarkDead(ctx context.Context, token domain.SecretHash, ttl time.Duration) error
}

// LinkStatus is what LinkCache knows of a link.
type LinkStatus int

const (
	// LinkUnknown: nothing is remembered; ask the database.
	LinkUnknown LinkStatus = iota
	// LinkAlive: it was alive when last seen, and its time has not run out.
	LinkAlive
	// LinkDead: it is dead for good.
	LinkDead
)

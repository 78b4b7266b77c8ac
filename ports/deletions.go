package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Deletions takes images away in two steps, so that a crash between them loses
// nothing: from Mark on an image is dead everywhere, after Finish it is gone.
type Deletions interface {
	// Mark turns a ready image into one that is being deleted, takes it off the
	// owner's usage, writes the audit entry if one is given and the change to the
	// feed, in one transaction. domain.NotFound if it is not ready (of two racers one
	// wins).
	Mark(ctx context.Context, ownerID, id domain.ID, audit *domain.AuditEntry, now time.Time) error
	// Finish removes the record of an image that is being deleted, or of a pending
	// one whose lease lapsed before now, once its blobs are gone. It reports false,
	// and does nothing, for any other: ready again, or pending and alive.
	Finish(ctx context.Context, ownerID, id domain.ID, now time.Time) (bool, error)
	// Due returns images that wait for Finish: all that are being deleted, and
	// pending ones whose lease lapsed before now; oldest id first, after the given id.
	Due(ctx context.Context, now time.Time, after domain.ID, limit int) ([]DueImage, error)
	// State tells an image's state whatever it is, or domain.NotFound where there
	// is no record: what the sweep and a thumbnail's maker ask before they trust a blob.
	State(ctx context.Context, ownerID, id domain.ID) (domain.ImageState, error)
	// States tells the states of many images of one owner at once, as State does; an
	// image without a record is not in the answer.
	States(ctx context.Context, ownerID domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error)
	// Ownerless looks at the next ready images in order of their ids, after the given
	// id and at most limit, and returns those whose owner has no record. next is the
	// id to go on after, zero at the end.
	Ownerless(ctx context.Context, after domain.ID, limit int) (found []DueImage, next domain.ID, err error)
	// Recount sets an owner's usage to what the ready images are, in one transaction: an
	// upload or a deletion comes before it or after it, and is counted once. It returns what
	// the usage was.
	Recount(ctx context.Context, ownerID domain.ID) (was domain.Usage, err error)
}

// DueImage names an image that waits for its blobs to be deleted.
type DueImage struct {
	OwnerID, ID domain.ID
	State       domain.ImageState
}

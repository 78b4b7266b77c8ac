package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Images keeps the records of images, from the beginning of an upload to the end of a deletion.
//
// What reads images (Get, Owner, List, ListIDs, ListAll, Usage) knows those that are
// ready: a pending image, and one that is being deleted, is not there. What a ready image
// is never changes.
//
// An upload may hold an idempotency key: a unique (owner, key) record that is
// written in the same transaction as the pending image and completed in the same
// transaction as its readiness. Its lease keeps others out while the upload is
// under way; a lease that lapsed (the uploader died) may be taken over. A record
// is forgotten KeyRetention after it was made.
//
// An image is deleted in two steps, so that a crash between them loses nothing: after
// MarkDeleting it is dead everywhere, after FinishDeletion it is gone.
type Images interface {
	// Get returns an owner's image, or domain.NotFound: also where the image is another owner's.
	Get(ctx context.Context, ownerID, id domain.ID) (domain.Image, error)
	// Owner returns who owns the image, or domain.NotFound. It may still answer
	// for an image that Get no longer finds.
	Owner(ctx context.Context, id domain.ID) (domain.ID, error)
	// List returns an owner's images, newest first.
	List(ctx context.Context, ownerID domain.ID, p Page) ([]domain.Image, error)
	// ListIDs returns the ids of what List returns, in its order: for a caller that has
	// the images in memory.
	ListIDs(ctx context.Context, ownerID domain.ID, p Page) ([]domain.ID, error)
	// ListAll returns everybody's images, newest first, created within the range.
	// A page may be shorter than its limit though more follow: next is the id to
	// go on before, zero at the end.
	ListAll(ctx context.Context, r TimeRange, p Page) (images []domain.Image, next domain.ID, err error)
	// Usage returns what the owner keeps: the ready images and their bytes.
	Usage(ctx context.Context, ownerID domain.ID) (domain.Usage, error)

	// BeginUpload writes the pending image, and with a key its record, in one
	// transaction. Where another upload has the key, nothing is written and the
	// reservation says so. A record whose lease lapsed before completion, or that is
	// older than KeyRetention, is replaced as if it were not there; of any number
	// of racers exactly one gets the reservation. Times are judged by now.
	BeginUpload(ctx context.Context, u Upload, now time.Time) (Reservation, error)
	// RenewUpload extends the lease of an upload that is under way. domain.Conflict
	// says that the reservation was lost: the upload must stop. An upload without a key
	// is only checked to be pending still.
	RenewUpload(ctx context.Context, u Upload, leaseUntil time.Time) error
	// CommitUpload makes the pending image ready, with all its facts, adds it to the
	// owner's usage and completes the key's record with its digest, in one
	// transaction. domain.QuotaExceeded, with Limit and Used set, if the usage would
	// exceed the quota: exact under any number of racers, and nothing is written.
	// domain.Conflict if the reservation was lost or the image is not pending any more.
	// domain.Denied if the owner is gone, being deleted or not active, and nothing is
	// written: an owner who was deleted or deactivated before CommitUpload began gets no
	// image. After any other error the caller does not know whether it happened.
	CommitUpload(ctx context.Context, u Upload, img domain.Image, q Quota) error
	// AbortUpload removes the pending image and frees the key, if it is still this
	// upload's. It does nothing to an image that is ready, and is not an error
	// where there is nothing left.
	AbortUpload(ctx context.Context, u Upload) error

	// MarkDeleting turns a ready image into one that is being deleted, takes it off the
	// owner's usage, writes the audit entry if one is given and the change to the
	// feed, in one transaction. domain.NotFound if it is not ready (of two racers one
	// wins).
	MarkDeleting(ctx context.Context, ownerID, id domain.ID, audit *domain.AuditEntry, now time.Time) error
	// FinishDeletion removes the record of an image that is being deleted, or of a pending
	// one whose lease lapsed before now, once its blobs are gone. It reports false,
	// and does nothing, for any other: ready again, or pending and alive.
	FinishDeletion(ctx context.Context, ownerID, id domain.ID, now time.Time) (bool, error)
	// DueDeletions returns images that wait for FinishDeletion: all that are being deleted,
	// and pending ones whose lease lapsed before now; oldest id first, after the given id.
	DueDeletions(ctx context.Context, now time.Time, after domain.ID, limit int) ([]DueImage, error)

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
	// RecountUsage sets an owner's usage to what the ready images are, in one transaction:
	// an upload or a deletion comes before it or after it, and is counted once. It returns
	// what the usage was.
	RecountUsage(ctx context.Context, ownerID domain.ID) (was domain.Usage, err error)
}

// KeyRetention is how long an idempotency key is remembered.
const KeyRetention = 24 * time.Hour

// Upload is one attempt at an upload.
type Upload struct {
	// ImageID and OwnerID are the pending image's; UploadedAt becomes the image's.
	ImageID, OwnerID domain.ID
	UploadedAt       time.Time
	// Key is the idempotency key's hash; the zero hash means none.
	Key domain.SecretHash
	// LeaseUntil is when others may take the upload for dead. With or without a
	// key: the sweep leaves a pending image alone until then.
	LeaseUntil time.Time
}

// Reservation is what BeginUpload found.
type Reservation struct {
	State ReservationState
	// ImageID is the image that the key made, SHA256 the digest of its bytes (ReservationDone).
	ImageID domain.ID
	SHA256  [32]byte
}

// ReservationState says who has an idempotency key.
type ReservationState int

const (
	// ReservationWon: this upload has it, or needs none; the pending image is written.
	ReservationWon ReservationState = iota + 1
	// ReservationBusy: another upload with the key is under way.
	ReservationBusy
	// ReservationDone: an upload with the key was completed (its image may be deleted since).
	ReservationDone
)

// Quota bounds what an owner keeps, the new image included.
type Quota struct {
	MaxImages, MaxBytes domain.Limit
}

// DueImage names an image that waits for its blobs to be deleted.
type DueImage struct {
	OwnerID, ID domain.ID
	State       domain.ImageState
}

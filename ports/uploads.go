package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Uploads carries an image from pending to ready.
//
// An upload may hold an idempotency key: a unique (owner, key) record that is
// written in the same transaction as the pending image and completed in the same
// transaction as its readiness. Its lease keeps others out while the upload is
// under way; a lease that lapsed (the uploader died) may be taken over. A record
// is forgotten KeyRetention after it was made.
type Uploads interface {
	// Begin writes the pending image, and with a key its record, in one
	// transaction. Where another upload has the key, nothing is written and the
	// claim says so. A record whose lease lapsed before completion, or that is
	// older than KeyRetention, is replaced as if it were not there; of any number
	// of racers exactly one gets the claim. Times are judged by now.
	Begin(ctx context.Context, u Upload, now time.Time) (Claim, error)
	// Renew extends the lease of an upload that is under way. domain.Conflict
	// says that the claim was lost: the upload must stop. An upload without a key
	// is only checked to be pending still.
	Renew(ctx context.Context, u Upload, leaseUntil time.Time) error
	// Commit makes the pending image ready, with all its facts, adds it to the
	// owner's usage and completes the key's record with its digest, in one
	// transaction. domain.QuotaExceeded, with Limit and Used set, if the usage would
	// exceed the quota: exact under any number of racers, and nothing is written.
	// domain.Conflict if the claim was lost or the image is not pending any more.
	// domain.Denied if the owner is gone, being deleted or not active, and nothing is
	// written: an owner who was deleted or deactivated before Commit began gets no
	// image. After any other error the caller does not know whether it happened.
	Commit(ctx context.Context, u Upload, img domain.Image, q Quota) error
	// Abort removes the pending image and frees the key, if it is still this
	// upload's. It does nothing to an image that is ready, and is not an error
	// where there is nothing left.
	Abort(ctx context.Context, u Upload) error
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

// Claim is what Begin found.
type Claim struct {
	State ClaimState
	// ImageID is the image that the key made, SHA256 the digest of its bytes (ClaimDone).
	ImageID domain.ID
	SHA256  [32]byte
}

// ClaimState says who has an idempotency key.
type ClaimState int

const (
	// ClaimWon: this upload has it, or needs none; the pending image is written.
	ClaimWon ClaimState = iota + 1
	// ClaimBusy: another upload with the key is under way.
	ClaimBusy
	// ClaimDone: an upload with the key was completed (its image may be deleted since).
	ClaimDone
)

// Quota bounds what an owner keeps, the new image included.
type Quota struct {
	MaxImages, MaxBytes domain.Limit
}

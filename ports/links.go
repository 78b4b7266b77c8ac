package ports

import (
	"context"
	"time"

	"github.com/imagify-api/imagify/domain"
)

// Links keeps expiring links. It is the truth about them; LinkCache is only the fast path.
type Links interface {
	// Create keeps a new link; domain.Conflict if its hash or id is taken. A bound
	// above 0 is how many live links its owner may have, the new one included, judged
	// at its CreatedAt: domain.QuotaExceeded, with Limit and Used set, where it would be
	// one too many, exact under any number of racers; domain.NotFound where the owner is
	// not there or is being deleted.
	Create(ctx context.Context, l domain.Link, bound int) error
	// ByToken returns the link of a token's hash, dead or alive, or domain.NotFound.
	ByToken(ctx context.Context, token domain.SecretHash) (domain.Link, error)
	// Get returns an owner's link by its id, or domain.NotFound: also where the link is another owner's.
	Get(ctx context.Context, ownerID, id domain.ID) (domain.Link, error)
	// List returns an owner's links to one image, newest first, dead ones
	// included; a zero imageID stands for all of the owner's images.
	List(ctx context.Context, ownerID, imageID domain.ID, p Page) ([]domain.Link, error)
	// ListAll returns everybody's links, newest first, made within the range; next
	// as in Images.ListAll.
	ListAll(ctx context.Context, r TimeRange, p Page) (links []domain.Link, next domain.ID, err error)
	// Owner returns whose link it is, or domain.NotFound.
	Owner(ctx context.Context, id domain.ID) (domain.ID, error)

	// Revoke marks an owner's link as revoked at now, writes the audit entry if one
	// is given and the change to the feed, in one transaction. A link that is revoked
	// already stays as it is and is no error. domain.NotFound as in Get.
	Revoke(ctx context.Context, ownerID, id domain.ID, audit *domain.AuditEntry, now time.Time) error
	// TakeView counts one view of a link with a bound on views, if at now it is
	// neither revoked, expired nor used up, and reports whether it did. Exact under
	// any number of racers.
	TakeView(ctx context.Context, token domain.SecretHash, now time.Time) (bool, error)
	// AddViews adds views that were already served to links without a bound. Unknown
	// links are passed over. A batch is added once: one whose outcome the caller does
	// not know is given again, with the same id and the same views, for up to a day.
	AddViews(ctx context.Context, b ViewBatch) error
	// DeleteOld removes up to limit links that were made before the given time,
	// and reports how many it removed.
	DeleteOld(ctx context.Context, madeBefore time.Time, limit int) (int, error)
}

// ViewBatch is views to add, by the links' hashes.
type ViewBatch struct {
	ID    domain.ID // random
	Views map[domain.SecretHash]int64
}

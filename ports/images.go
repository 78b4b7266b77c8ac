package ports

import (
	"context"

	"github.com/imagify-api/imagify/domain"
)

// Images reads images that are ready. A pending image, and one that is being
// deleted, is not there. Uploads and Deletions change them.
type Images interface {
	// Get returns an owner's image, or domain.NotFound: also where the image is another owner's.
	Get(ctx context.Context, ownerID, id domain.ID) (domain.Image, error)
	// Owner returns who owns the image, or domain.NotFound. It may still answer
	// for an image that Get no longer finds.
	Owner(ctx context.Context, id domain.ID) (domain.ID, error)
	// List returns an owner's images, newest first.
	List(ctx context.Context, ownerID domain.ID, p Page) ([]domain.Image, error)
	// ListAll returns everybody's images, newest first, created within the range.
	// A page may be shorter than its limit though more follow: next is the id to
	// go on before, zero at the end.
	ListAll(ctx context.Context, r TimeRange, p Page) (images []domain.Image, next domain.ID, err error)
	// Usage returns what the owner keeps: the ready images and their bytes.
	Usage(ctx context.Context, ownerID domain.ID) (domain.Usage, error)
}

// ImageLister is what an Images may be beside its port: it lists ids alone, for
// whoever knows the images already. What a ready image is never changes.
type ImageLister interface {
	// ListIDs returns the ids of what List returns, in its order.
	ListIDs(ctx context.Context, ownerID domain.ID, p Page) ([]domain.ID, error)
}

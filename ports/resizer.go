package ports

import (
	"context"
	"io"

	"github.com/imagify-api/imagify/domain"
)

// Resizer reads pictures and makes thumbnails.
//
// It decides by content. It allocates nothing of a picture's size before the
// header was checked against the limits, admits work by the memory that it will
// need (domain.Unavailable with RetryAfter when its queue is full or the wait too
// long), stops soon after ctx ends, and no file makes it panic, reach out or write.
type Resizer interface {
	// Inspect reads src, decodes it once and tells what it is. What Inspect
	// accepts, Resize can make thumbnails of at every height. Errors:
	// domain.UnsupportedImage (no accepted format), domain.CorruptImage (an
	// accepted format that does not decode or is cut short), domain.TooLarge with
	// Limit (more pixels, frames or work than allowed). It may stop reading at the
	// end of the picture, or at the first error. An error of src comes back wrapped.
	Inspect(ctx context.Context, src io.Reader, lim domain.ImageLimits) (domain.ImageInfo, error)
	// Resize makes a thumbnail of each height (1 to 4320, in pixels; the answer is
	// in the same order) from one decode: oriented, in sRGB, without metadata, of
	// the size domain.ThumbnailSize says, in the format ImageInfo.ThumbnailFormat
	// says, the first frame of an animation. The same bytes and height give the same
	// thumbnail for one Pipeline.
	Resize(ctx context.Context, src io.Reader, heights []int) ([]Thumbnail, error)
	// Pipeline names the resizer and its version, such as "bild1", of characters
	// a-z and 0-9: it is part of the stored thumbnails' keys, and changes when the pixels would.
	Pipeline() string
}

// Thumbnail is a picture that a Resizer made.
type Thumbnail struct {
	Width, Height int // in pixels
	Format        domain.Format
	Data          []byte
}

// ThumbnailQuality is the JPEG quality at which thumbnails are made.
const ThumbnailQuality = 80

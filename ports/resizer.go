package ports

import (
	"context"
	"io"

	"github.com/imagify-api/imagify/domain"
)

// Resizer reads pictures and makes thumbnails.
//
// It decides by content. It allocates nothing of a picture's size before the
// header was checked against the limits. Work is admitted by turns and by the memory
// that it will need, both shared fairly among the shares that ask (domain.Unavailable
// with RetryAfter when a queue is full or the wait too long). It stops soon after ctx
// ends, and no file makes it panic, reach out or write.
type Resizer interface {
	// Scan begins to judge a file whose bytes arrive piece by piece. It takes no turn
	// and decodes nothing, and what it holds is at most MaxScanMemory, whatever is written.
	Scan(lim domain.ImageLimits) Scan
	// Inspect reads src from its beginning, decodes it once and tells what it is. What
	// Inspect accepts, Resize can make thumbnails of at every height. Errors:
	// domain.UnsupportedImage (no accepted format), domain.CorruptImage (an
	// accepted format that does not decode or is cut short), domain.TooLarge with
	// Limit (more pixels, frames or work than allowed). It may stop reading at the
	// end of the picture, or at the first error. An error of src comes back wrapped.
	Inspect(ctx context.Context, src io.ReadSeeker, r InspectRequest) (domain.ImageInfo, error)
	// Resize reads src from its beginning and makes a thumbnail of each height (the
	// answer is in the same order): oriented, in sRGB, without metadata, of
	// the size domain.ThumbnailSize says, in the format ImageInfo.ThumbnailFormat
	// says, the first frame of an animation. The same bytes and height give the same
	// thumbnail for one Version.
	Resize(ctx context.Context, src io.ReadSeeker, r ResizeRequest) ([]Thumbnail, error)
	// Version names the resizer and its version, such as "bild1", of characters
	// a-z and 0-9: it is part of the stored thumbnails' keys, and changes when the pixels would.
	Version() string
}

// InspectRequest is what Inspect is asked.
type InspectRequest struct {
	Limits domain.ImageLimits
	// Share names who the work is for, such as a user: turns and memory are shared
	// among the shares that wait, whatever each asks for. Empty is a share too.
	Share string
	// Scanned is this Resizer's Scan that has seen all of src's bytes with the same
	// limits, so that they need not be scanned again; nil: Inspect scans them.
	Scanned Scan
}

// ResizeRequest is what Resize is asked.
type ResizeRequest struct {
	Heights []int // 1 to 4320, in pixels
	Share   string
}

// Scan judges the structure of one file. It is for one goroutine.
type Scan interface {
	// Write takes the next bytes. How they are cut makes no difference. It refuses a
	// file, by the errors of Inspect, at the first byte by which that can be
	// known without decoding; the error stays.
	Write(p []byte) (int, error)
	// Finish says that the file is over: the error of Write, or the one of a file that is
	// cut short, or nil. Where the file ends amid the data of its pixels, only decoding
	// can tell whether one is missing: then it may be nil, and Inspect refuses the file.
	Finish() error
}

// MaxScanMemory bounds what a Scan holds, in bytes.
const MaxScanMemory = 80 << 10

// Thumbnail is a picture that a Resizer made.
type Thumbnail struct {
	Width, Height int // in pixels
	Format        domain.Format
	Data          []byte
}

// ThumbnailQuality is the JPEG quality at which thumbnails are made.
const ThumbnailQuality = 80

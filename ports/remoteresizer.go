package ports

import (
	"context"

	"github.com/imagify-api/imagify/domain"
)

// RemoteResizer makes thumbnails of what is stored, elsewhere than in this
// process: it is told where to read and where to put, and no picture's byte
// passes through the caller. It works on the store that the caller's Blobs works
// on, and as the Resizer of the job's Version.
type RemoteResizer interface {
	// ResizeRemote makes the job's thumbnails and puts each whole under its key, with
	// its content type and as Seal has it. A key that exists stays as it is, and is no error: one
	// version makes the same thumbnail of the same bytes. So a job may be repeated,
	// and run twice at once; after nil every key is there, after an error some may be,
	// and after the end of ctx more may come for as long as ctx had left.
	//
	// Errors: domain.Invalid (a job that breaks its own rules; nothing is read),
	// domain.Conflict (it works as another version; nothing is put), domain.NotFound
	// (no source), domain.Unavailable (the source is not of the job's size or digest; busy or
	// unavailable, then with RetryAfter), and those of Resizer.Resize.
	ResizeRemote(ctx context.Context, job RemoteJob) error
}

// RemoteJob is what to make of one stored original.
type RemoteJob struct {
	// Source is the original's key, Size its length in bytes, SHA256 its digest; the
	// zero digest is not compared.
	Source string
	Size   int64
	SHA256 [32]byte
	// Version is what Resizer.Version says where the job comes from.
	Version string
	// Thumbnails are 1 to MaxStoredThumbnails, with different keys, none of them Source.
	Thumbnails []RemoteThumbnail
	// Share names who the work is for; see InspectRequest.
	Share string
}

// RemoteThumbnail is a thumbnail's height, 1 to 4320 in pixels, and the key to put it under.
type RemoteThumbnail struct {
	Height int
	Key    string
}

// MaxStoredThumbnails bounds the thumbnails of one job.
const MaxRemoteThumbnails = domain.MaxHeightsPerUser

// Check returns domain.Invalid where the job breaks its rules.
func (j RemoteJob) Check() error {
	if !ValidKey(j.Source) {
		return domain.Errorf(domain.Invalid, "the source is not a blob's key: %.80q", j.Source)
	}
	if j.Size < 1 {
		return domain.Errorf(domain.Invalid, "the source has %d bytes: give its length", j.Size)
	}
	if !validVersion(j.Version) {
		return domain.Errorf(domain.Invalid, "not a resizer's version: %.80q", j.Version)
	}
	if n := len(j.Thumbnails); n < 1 || n > MaxRemoteThumbnails {
		return domain.Errorf(domain.Invalid, "a job makes 1 to %d thumbnails, not %d", MaxRemoteThumbnails, n)
	}
	seen := map[string]bool{j.Source: true}
	for _, t := range j.Thumbnails {
		if _, ok := domain.Thumbnail(t.Height); !ok {
			return domain.Errorf(domain.Invalid, "a thumbnail is %d to %d pixels high, not %d", domain.MinHeight, domain.MaxHeight, t.Height)
		}
		if !ValidKey(t.Key) {
			return domain.Errorf(domain.Invalid, "a thumbnail's key is not a blob's key: %.80q", t.Key)
		}
		if seen[t.Key] {
			return domain.Errorf(domain.Invalid, "a thumbnail's key is given twice, or is the source's: %.80q", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

// validVersion reports whether a name obeys the rule of Resizer.Version; none is longer than 32.
func validVersion(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return name != "" && len(name) <= 32
}

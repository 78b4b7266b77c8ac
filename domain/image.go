package domain

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ImageState is where an image is in its life.
type ImageState string

// An image is pending while its bytes arrive, ready once it is acknowledged,
// and deleting from the moment a deletion is acknowledged until its bytes are
// gone. Only a ready image can be seen.
const (
	ImagePending  ImageState = "pending"
	ImageReady    ImageState = "ready"
	ImageDeleting ImageState = "deleting"
)

// Image is an uploaded picture.
type Image struct {
	ID, OwnerID ID
	State       ImageState
	// Filename is what the client called it, cleaned for display; it decides nothing.
	Filename string
	// Size is the original's length in bytes, SHA256 its digest.
	Size   int64
	SHA256 [32]byte
	ImageInfo
	// UploadedAt is when the upload began, in UTC.
	UploadedAt time.Time
}

// ImageInfo is what decoding a file tells about it.
type ImageInfo struct {
	Format Format
	// Width and Height are in pixels as a viewer shows them, after EXIF orientation.
	Width, Height int
	// Frames counts an animation's frames; 1 for a still picture.
	Frames int
	// Alpha says that some pixel may be transparent, so thumbnails are PNG.
	Alpha bool
	// Placeholder is a ThumbHash (at most 25 bytes).
	Placeholder []byte
}

// ThumbnailFormat is the format in which the image's thumbnails are made: JPEG, or PNG for the sake of alpha.
func (i ImageInfo) ThumbnailFormat() Format {
	if i.Alpha {
		return PNG
	}
	return JPEG
}

// ImageLimits bounds what may be decoded. NoLimit leaves a bound to the process's own caps.
type ImageLimits struct {
	MaxPixels Limit // width × height of the canvas or any frame
	MaxFrames Limit
}

// Usage is what a user keeps.
type Usage struct {
	Images int64
	Bytes  int64 // of originals
}

// MaxFilename bounds a kept file name, in bytes of UTF-8.
const MaxFilename = 255

// The joiners are format characters that belong to words: Persian and many Indian scripts
// need them, and they hold families of emojis together.
const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// CleanFilename makes a client's file name fit to be shown: the last path
// element, valid UTF-8, without control or line-separating characters and without
// format characters (such as those that turn the writing direction) but for the
// joiners, at most MaxFilename bytes. An empty result becomes "image" with the
// format's extension.
func CleanFilename(name string, f Format) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case r == zeroWidthNonJoiner, r == zeroWidthJoiner:
			return r
		case r == utf8.RuneError, !unicode.IsGraphic(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.TrimSpace(name)
	for len(name) > MaxFilename {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	// What is left of a name that is nothing to see names nothing.
	if strings.Trim(name, ". \u200c\u200d") == "" {
		return "image" + f.Extension()
	}
	return name
}

package webp

import (
	"errors"
	"fmt"
	"io"
)

// A FormatError says that the input is not a valid WebP file.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "webp: invalid format: " + string(e) }

// An UnsupportedError says that the input may be a valid WebP file, but is one
// that this package does not decode.
type UnsupportedError string

// Error implements error.
func (e UnsupportedError) Error() string { return "webp: unsupported: " + string(e) }

// ErrTruncated is returned when the input ends before the WebP file does. It
// wraps io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("webp: truncated: %w", io.ErrUnexpectedEOF)

// ErrTooLarge is returned when an image has more than [Options.MaxPixels].
var ErrTooLarge = errors.New("webp: too many pixels")

// ErrUsed is returned once the decoder has been used up or closed. The input is
// a stream, it is decoded once.
var ErrUsed = errors.New("webp: decoder is used up")

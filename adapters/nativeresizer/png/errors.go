package png

import (
	"errors"
	"fmt"
	"io"
)

// A FormatError says that the input is not a valid PNG file.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "png: invalid format: " + string(e) }

// An UnsupportedError says that the input may be a valid PNG file, but uses a
// part of a standard that this package does not decode.
type UnsupportedError string

// Error implements error.
func (e UnsupportedError) Error() string { return "png: unsupported: " + string(e) }

// ErrTruncated is returned when the input ends before the PNG file does. It
// wraps io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("png: truncated: %w", io.ErrUnexpectedEOF)

// ErrTooLarge is returned when an image has more than [Options.MaxPixels].
var ErrTooLarge = errors.New("png: too many pixels")

// ErrUsed is returned once the decoder has been used up or closed. The input is
// a stream, it is decoded once.
var ErrUsed = errors.New("png: decoder is used up")

package hevc

import (
	"errors"
	"fmt"
	"io"
)

// A FormatError says that the input is not a valid HEVC picture.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "hevc: invalid format: " + string(e) }

// An UnsupportedError says that the input may be valid, but uses a part of
// the specification that this package does not decode.
type UnsupportedError string

// Error implements error.
func (e UnsupportedError) Error() string { return "hevc: unsupported: " + string(e) }

// ErrTruncated is returned when the input ends before the picture does. It wraps
// io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("hevc: truncated: %w", io.ErrUnexpectedEOF)

// ErrTooLarge is returned when a picture has more than [Options.MaxPixels].
var ErrTooLarge = errors.New("hevc: too many pixels")

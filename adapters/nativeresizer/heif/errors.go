package heif

import (
	"errors"
	"fmt"
	"io"
)

// A FormatError says that the input is not a valid HEIF file.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "heif: invalid format: " + string(e) }

// An UnsupportedError says that the input may be a valid HEIF file, but is one
// that this package does not decode.
type UnsupportedError string

// Error implements error.
func (e UnsupportedError) Error() string { return "heif: unsupported: " + string(e) }

// A CodingError says that the primary picture is coded by something else than HEVC.
type CodingError string

// Error implements error. The text names the coding.
func (e CodingError) Error() string { return "heif: unsupported: picture coded as " + string(e) }

// ErrTruncated is returned when the input ends before the picture does. It wraps
// io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("heif: truncated: %w", io.ErrUnexpectedEOF)

// ErrTooLarge is returned when a picture has more than [Options.MaxPixels].
var ErrTooLarge = errors.New("heif: too many pixels")

// ErrUsed is returned once the decoder has been used up or closed. The input is
// a stream, it is decoded once.
var ErrUsed = errors.New("heif: decoder is used up")

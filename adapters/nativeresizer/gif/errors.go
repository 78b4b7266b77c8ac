package gif

import (
	"errors"
	"fmt"
	"io"
)

// A FormatError says that the input is not a valid GIF file.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "gif: invalid format: " + string(e) }

// ErrTruncated is returned when the input ends within a frame, or before the
// first one. It wraps io.ErrUnexpectedEOF.
var ErrTruncated = fmt.Errorf("gif: truncated: %w", io.ErrUnexpectedEOF)

// ErrTooLarge is returned when an image has more than [Options.MaxPixels].
var ErrTooLarge = errors.New("gif: too many pixels")

// ErrUsed is returned once the decoder has been used up or closed. The input is
// a stream, it is decoded once.
var ErrUsed = errors.New("gif: decoder is used up")

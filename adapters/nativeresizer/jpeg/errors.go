package jpeg

import "errors"

// A FormatError says that the input is not a valid JPEG file.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "jpeg: invalid format: " + string(e) }

// An UnsupportedError says that the input may be a valid JPEG file, but uses a
// part of the standard that this package does not decode.
type UnsupportedError string

// Error implements error.
func (e UnsupportedError) Error() string { return "jpeg: unsupported: " + string(e) }

// ErrTooMuchWork is returned when decoding would take more than
// [Options.MaxWork].
var ErrTooMuchWork = errors.New("jpeg: file asks for too much work")

// ErrUsed is returned by [Decoder.Decode] and [Decoder.Header] once the decoder
// has been used up or closed. The input is a stream, it is decoded once.
var ErrUsed = errors.New("jpeg: decoder is used up")

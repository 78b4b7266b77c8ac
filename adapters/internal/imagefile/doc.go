// Package imagefile reads the structure of JPEG, PNG, WebP and GIF files
// without decoding a pixel: it tells what decoding would give and cost, and
// finds files that are cut short, malformed, or too big to be touched.
//
// [Scan] reads a whole file. A [Scanner] is written to instead, so that a
// decoder that streams can have its source scanned on the way:
//
//	sc := imagefile.NewScanner(limits)
//	r := io.TeeReader(src, sc)
//	// … decode from r: what the decoder reads, the scanner has checked before …
//	if _, err := io.Copy(io.Discard, r); err == nil { err = sc.Finish() }
//
// Memory is bounded by some 64 KiB whatever the file says, time by its length.
// Dimensions are checked as soon as they are known, of the canvas and of every
// frame: a file that lies about one of them is refused by the other.
//
// Everything of a format that imagify does not accept (arithmetic coded,
// lossless, 12-bit and two-component JPEG) is domain.UnsupportedImage, so that
// all resizers agree on it. What comes after the end marker is not looked at.
package imagefile

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
//
// It is a second reader of each format's structure beside the decoders' own, and on purpose.
// A decoder pulls, needs its tables and rows (up to megabytes a file), and stops where its
// picture ends; a Scanner is pushed what an upload has sent so far, holds 17 KB for each
// upload that is waited for, and reads 2.5 GB a second of GIF, 5 of PNG and 21 of JPEG
// (BenchmarkScan), so that a file is refused in the middle of its upload before anything
// is decoded. It also has the plain resizer, which decodes with the standard library, judge
// a file's structure as the fast one does. HEIC's scanner is heif.Scanner, which shares the
// parser of the metadata with its decoder.
package imagefile

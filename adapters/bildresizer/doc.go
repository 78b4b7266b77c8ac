// Package bildresizer is the ports.Resizer on the standard library's decoders,
// golang.org/x/image's WebP and github.com/anthonynsimon/bild: the plain one,
// whose output is the reference for the fast one.
//
// A source is read into memory while its structure is scanned, so that what is
// too big, damaged or cut short is refused before anything is decoded. What is
// left waits until the memory that its decoding takes is free, is decoded once,
// and each thumbnail is made of all its pixels by bild's Lanczos filter on
// premultiplied alpha, oriented, and written as JPEG, or as PNG for the sake of alpha.
//
// What it does not do: colours are not managed (an ICC profile is ignored, CMYK
// is converted by the naive inverse), which is the fast resizer's to do; files
// that the standard decoders refuse are refused, arithmetic coded JPEG among
// them. The decoders are stopped by their source, which ends with the context;
// WebP's may have had all of it long before it is done, so that a cancelled WebP of
// 50 megapixels may go on for three seconds. bild takes some 0.15 s of CPU for a
// megapixel of the source and a thumbnail.
//
// Importing bild sets GOMAXPROCS to the number of CPUs (its package parallel
// does, in an init function).
package bildresizer

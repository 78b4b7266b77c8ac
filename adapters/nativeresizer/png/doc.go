// Package png decodes PNG images (W3C PNG Specification, Third Edition) as a
// stream of rows, and shrinks them while it does.
//
// A row is unfiltered as soon as it has been decompressed, and is averaged into
// the boxes of the result at once: what is in memory is two rows and the small
// image, not the large one. The passes of an interlaced file go straight into
// their boxes as well.
//
// A [Decoder] reads its source once, from front to back. [Decoder.Header] stops
// before the first image data, when all that the file tells about the image is
// known and nothing of the image's size has been allocated; the caller looks at
// the size, asks [MemoryNeeded] and then calls [Decoder.Decode], or walks away.
//
//	d := png.NewDecoder(r, png.Options{})
//	defer d.Close()
//	h, err := d.Header(ctx)
//	if err != nil { … }
//	if h.Width*h.Height > limit { … }
//	p, err := d.Decode(ctx, 7, 7) // a seventh of each side
//
// # What is decoded
//
// Every colour type and bit depth, interlaced or not, with transparency of every
// kind. Samples become 8 bits; those of 16 bits are rounded. Of an animation
// (APNG) the default image is decoded and the frames are counted. Colours are as
// they are in the file: profiles, gamma and chromaticities are handed out in
// [Header], and so is EXIF.
//
// # Truncated and damaged files
//
// The rule is that of viewers: where all pixels are there, there is an image, else an
// error. A file that ends before its last row is [ErrTruncated]; what else keeps rows
// from being decoded is a [FormatError], and so are wrong checksums of critical chunks
// and of the image data up to there. Behind the last row nothing is an error: more
// rows than the header says, chunks that are broken, a missing IEND.
//
// An ancillary chunk that is damaged, out of place or of a wrong length is ignored, as
// libpng does, and so is a palette that the image does not need.
//
// # Hostile files
//
// Memory is bounded by MemoryNeeded, which depends on the header and the factors,
// and the limits in [Options]. Time is bounded by the context, by the size that
// the caller has accepted, as no more than this is decompressed, and by
// [Options.Work], which counts blocks, codes, rows and chunks. The first profile is
// looked at and no other; compressed text never is. No input makes the package panic.
package png

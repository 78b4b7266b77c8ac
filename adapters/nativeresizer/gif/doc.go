// Package gif decodes the first picture of a GIF file (GIF87a and GIF89a) onto
// its canvas, shrinks it while it does, and counts the frames of an animation.
//
// The rows of the picture are averaged into the boxes of the result as they are
// decompressed, so that what is in memory is the small image. The frames that
// follow are walked over by the structure of the file: their data is not
// decompressed.
//
// A [Decoder] reads its source once, from front to back. [Decoder.Header] stops at
// the data of the first frame, when nothing of the image's size has been
// allocated; the caller looks at the sizes, asks [MemoryNeeded] and then calls
// [Decoder.Decode], or walks away.
//
//	d := gif.NewDecoder(r, gif.Options{})
//	defer d.Close()
//	h, err := d.Header(ctx)
//	if err != nil { … }
//	if h.Pixels() > limit { … }
//	p, err := d.Decode(ctx, 2, 2) // half of each side
//
// # The canvas
//
// The image is as large as the logical screen, or as far as the first frame reaches
// where that is further: files whose screen is too small, or none, are common, and
// browsers show them whole. What the first frame leaves of it is transparent, since
// that is how every browser shows it, whatever the background colour. Animations are
// shown by their first frame.
//
// # Truncated and damaged files
//
// The rule is that of viewers: where all pixels are there, there is an image, else an
// error. A file that ends within the first frame's pixels, or within a later frame, is
// [ErrTruncated]. One that ends elsewhere is complete: many files lack their trailer.
// A byte that begins no block is the end as well once there is a frame, as browsers
// have it, and what follows the trailer is not read.
//
// Data of the first frame that makes no sense, or is too short for its size, is a
// [FormatError]; data that is too long is ignored. An index without a colour is
// opaque black. There are no images of a part of a frame.
//
// # Hostile files
//
// Memory is bounded by MemoryNeeded, which depends on the header and the
// factors. Time is bounded by the context, by the sizes that the caller has
// accepted and by [Options.Work], which counts sub-blocks, codes, pixels and frames. No input makes the package panic.
package gif

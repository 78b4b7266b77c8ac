// Package webp reads WebP files: it parses the container (WebP Container
// Specification) and decodes the still image, or the first frame of an animation
// onto its canvas.
//
// golang.org/x/image/webp refuses animations and hands out no metadata; this package
// reads the container, and decodes lossy and lossless images itself.
//
// A [Decoder] reads its source once, from front to back. [Decoder.Header] stops at
// the bitstream of the first frame, when its size has been compared with that of
// the container and nothing of the image's size has been allocated; the caller
// looks at the size, asks [MemoryNeeded] and then calls [Decoder.Decode], or walks
// away.
//
//	d := webp.NewDecoder(r, webp.Options{})
//	defer d.Close()
//	h, err := d.Header(ctx)
//	if err != nil { … }
//	if h.Width*h.Height > limit { … }
//	p, err := d.Decode(ctx) // or DecodePlanes, DecodeRows
//
// Lossy images stay in the planes of YCbCr 4:2:0 in which they are stored, with a
// plane of alpha if there is one. Rows of pixels come from [Decoder.DecodeRows]. Colour profiles and EXIF are handed out.
//
// # The canvas
//
// What the first frame of an animation leaves of the canvas is transparent,
// whatever the background colour, as decoders are free to have it. Later frames are
// counted, not decoded.
//
// # Truncated and damaged files
//
// A file that ends before its RIFF size says so is [ErrTruncated]. What else is
// wrong is a [FormatError]. There are no images of a part of a file. What follows
// the RIFF chunk is not read.
//
// # Hostile files
//
// Memory is bounded by MemoryNeeded and RowsMemory, work by Options.Work. The context is
// looked at whenever the source is read, for every row of macroblocks and for every few
// thousand pixels. No input makes the package panic.
package webp

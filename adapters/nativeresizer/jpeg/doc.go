// Package jpeg decodes JPEG images (ITU-T T.81) to component planes, at full
// size or reduced to a half, a quarter or an eighth while decoding.
//
// Reducing inside the decoder is what makes thumbnails cheap. At scale 1/8
// every 8×8 block becomes one sample, which is its DC coefficient: the AC
// coefficients of a sequential file are stepped over several symbols at a
// time, and the AC scans of a progressive file are not entropy decoded at all.
// At 1/4 and 1/2 only the 2×2 or 4×4 low frequencies of a block are kept and
// transformed by an inverse DCT of that size, which is a proper low-pass and
// not a choice of samples. [Decoder.DecodeScales] gives several scales of one decode.
//
// The planes stay as the file stores them: in the colour model of the file
// (YCbCr, gray, RGB, CMYK, YCCK) and each at its own sampling. [Planes.Image]
// makes an [image.Image] of them, without a copy where the standard library
// has a type of that layout.
//
// A [Decoder] reads its source once, from front to back. [Decoder.Header]
// stops at the first scan, when everything about the image is known and nothing
// of the image's size has been allocated; the caller looks at the size, asks
// [MemoryNeeded] and then calls [Decoder.Decode], or walks away.
//
//	d := jpeg.NewDecoder(r, jpeg.Options{})
//	defer d.Close()
//	h, err := d.Header(ctx)
//	if err != nil { … }
//	if h.Width*h.Height > limit { … }
//	p, err := d.Decode(ctx, jpeg.Eighth)
//
// # What is decoded
//
// Baseline, extended sequential and progressive Huffman coded files of 8 bits a
// sample, of one, three or four components with any sampling factors, in
// interleaved or separate scans, with or without restart intervals. Lossless,
// hierarchical and arithmetic coded files, other precisions and files whose
// height is given only by a DNL marker are answered with [UnsupportedError].
//
// # Truncated and damaged files
//
// A sequential file that lacks nothing but its end of image marker is whole. A file
// that ends earlier, and entropy coded data that makes no sense, do not fail a decode. As in a browser, the rest of the picture is decoded where it
// can be and left at the middle value 128 where it cannot, and [Planes.Truncated]
// or [Planes.Damaged] says so. Behind a code that does not exist nothing is decoded up
// to the next restart marker, where libjpeg goes on with what it takes the bits for: those are
// not of the picture, and gray says so better than noise. Everything else that is wrong, in the header, the tables or the
// order of things, is a [FormatError], and it is the same error at
// every scale: a file that decodes at one scale decodes at each of them.
//
// # Hostile files
//
// Memory is bounded by [MemoryNeeded], which depends on the header and the
// scale alone. Time is bounded by the context, by [Options.Work] and by [Options.MaxWork]: a small
// progressive file can ask for thousands of passes over its blocks, so a limit
// on pixels alone does not bound a decode. No input makes the package panic.
package jpeg

// Package vp8l decodes the lossless WebP bitstream (RFC 9649, 3), which is also what
// compressed alpha is in (RFC 9649, 2.7.1.2).
//
// Pixels come out in rows, as soon as they are decoded. What is kept is no picture but
// the window that references may reach into, 2^20 pixels at most, so that memory is
// bounded by [MemoryNeeded]: at most 8 MiB for the window, 32 MiB for prefix codes,
// and less than a byte a pixel for the images of the transforms.
//
// Work is spent before or soon after it is done: what is decoded beyond the budget is
// less than a row, or 16384 pixels. The same holds for the context.
package vp8l

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// A FormatError says that the data is not a valid bitstream.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "VP8L: " + string(e) }

// ErrTruncated says that the data ends before the image does.
var ErrTruncated = fmt.Errorf("VP8L: not enough data: %w", io.ErrUnexpectedEOF)

// Units of work (see package work), as BenchmarkUnits measures them.
const (
	codeUnits      = 80  // a prefix code, its lengths' own code included
	lengthUnits    = 4   // a symbol of an alphabet, whether its length is read or repeated
	entryUnits     = 1   // an entry of a table
	symbolUnits    = 12  // what is read at a time: a pixel, a reference, an index into the cache
	pixelUnits     = 1   // a pixel that is written
	segmentUnits   = 8   // a part of a row with codes of its own
	coldUnits      = 300 // a change of codes when there are too many for the processor's caches
	predictorUnits = 6   // a pixel of the transforms, in its worst mode
	colourUnits    = 3
	greenUnits     = 1
	indexUnits     = 2
	rowUnits       = 60 // what a row costs beside its pixels, for each transform
)

const (
	// window is more than a reference reaches back (RFC 9649, 3.6.2.2): 2^20 - 120, or
	// seven rows of 2^14 pixels.
	window = 1 << 20
	// maxCopy is the length of the longest reference.
	maxCopy = 4096
	// batch is how many pixels are decoded between looks at budget and context.
	batch = 1 << 14
	// maxSide is that of an image (RFC 9649, 3.4).
	maxSide = 1 << 14
)

// Options describe the image.
type Options struct {
	Width, Height int
	// Budget is what decoding may cost, nil without a bound.
	Budget *work.Budget
}

// MemoryNeeded returns an upper bound of the bytes that decoding an image allocates
// whose bitstream has size bytes.
func MemoryNeeded(width, height int, size int64) int64 {
	w, h := int64(width), int64(height)
	tiles := ((w + 3) / 4) * ((h + 3) / 4)
	// A group has at least a tile and 20 bits. A code with a table of n entries is
	// described by no less than n/300 bytes, and a table is allocated with others.
	groups := min(tiles, 1<<16, size*8/20+1)
	entries := min(maxEntries, 600*size/2, groups*(maxTables+groupEntries))
	// Four images of tiles: one that is being decoded, predictors, colours, groups.
	return 4*min(w*h, 2*window) + (4+1+4+2)*tiles + 2*entries + 64*groups + 64*w + 256<<10
}

// maxTables is the most entries that the tables of a group take.
const maxTables = 3*630 + 410 + 2704

// decoder decodes one image.
type decoder struct {
	ctx    context.Context
	budget *work.Budget
	bits   bitReader

	codes        tables
	lengths      tables // of the code of code lengths
	lengthsTable [1 << 7]uint16
	alphabet     [maxAlphabet]uint8

	transforms []transform // in the order of the bitstream
	sink       func(y int, row []uint32) error
}

// Decode decodes the bitstream in r, which begins behind the header of five bytes
// (RFC 9649, 3.4), and hands out the rows of the image from the top, in ARGB with eight bits
// each. A row is valid until row returns; an error of it ends the decode. The errors are
// a FormatError, ErrTruncated, one that wraps [work.ErrExceeded], and those of r, row
// and the context.
func Decode(ctx context.Context, r io.Reader, o Options, row func(y int, row []uint32) error) error {
	if o.Width < 1 || o.Height < 1 || o.Width > maxSide || o.Height > maxSide {
		return FormatError("image is too large")
	}
	d := &decoder{ctx: ctx, budget: o.Budget, sink: row}
	d.bits.r, d.bits.safe = r, -1
	err := d.decode(o.Width, o.Height)
	var damaged FormatError
	if errors.As(err, &damaged) {
		// Zeros behind the end make no sense because there is nothing.
		if end := d.bits.overrun(); end != nil {
			return end
		}
	}
	return err
}

func (d *decoder) decode(width, height int) error {
	width, err := d.readTransforms(width, height)
	if err != nil {
		return err
	}
	im := &coded{width: width, height: height, main: true}
	if err := d.readCodes(im); err != nil {
		return err
	}
	return d.readPixels(im)
}

// spend takes work, and looks at the context.
func (d *decoder) spend(units int64) error {
	if err := d.budget.Spend(units); err != nil {
		return err
	}
	return d.ctx.Err()
}

// readTransforms reads the transforms (RFC 9649, 3.5) and returns the width of what is coded.
func (d *decoder) readTransforms(width, height int) (int, error) {
	seen := 0
	for {
		more, err := d.bits.read(1)
		if err != nil {
			return 0, err
		}
		if more == 0 {
			return width, nil
		}
		kind, err := d.bits.read(2)
		if err != nil {
			return 0, err
		}
		if seen>>kind&1 == 1 {
			return 0, FormatError("transform twice")
		}
		seen |= 1 << kind
		var t transform
		switch kind {
		case predictorTransform, colourTransform:
			b, err := d.bits.read(3)
			if err != nil {
				return 0, err
			}
			bits := uint(b) + 2
			pix, err := d.readImage(tiles(width, bits), tiles(height, bits))
			if err != nil {
				return 0, err
			}
			if kind == colourTransform {
				t = &colours{width, bits, pix, make([]uint32, width)}
				break
			}
			p := &predictor{width: width, bits: bits, modes: make([]uint8, len(pix))}
			for i, v := range pix {
				p.modes[i] = uint8(v >> 8 & 15)
			}
			p.above, p.row = make([]uint32, width+1), make([]uint32, width+1)
			t = p
		case greenTransform:
			t = &greens{make([]uint32, width)}
		case indexTransform:
			n, err := d.bits.read(8)
			if err != nil {
				return 0, err
			}
			pix, err := d.readImage(int(n)+1, 1)
			if err != nil {
				return 0, err
			}
			x := &index{row: make([]uint32, width)}
			last := uint32(0)
			for i, v := range pix {
				last = add(last, v)
				x.table[i] = last
			}
			switch {
			case n < 2:
				x.bits = 3
			case n < 4:
				x.bits = 2
			case n < 16:
				x.bits = 1
			}
			width = tiles(width, x.bits)
			t = x
		}
		d.transforms = append(d.transforms, t)
	}
}

// readImage reads an image that belongs to a transform or to the codes: it has one
// group of codes, and no transforms.
func (d *decoder) readImage(width, height int) ([]uint32, error) {
	im := &coded{width: width, height: height}
	if err := d.readCodes(im); err != nil {
		return nil, err
	}
	if err := d.readPixels(im); err != nil {
		return nil, err
	}
	return im.pix, nil
}

// coded is an entropy coded image (RFC 9649, 3.7).
type coded struct {
	width, height int
	main          bool // the image itself: it may have more groups, and goes to the sink by rows

	cacheBits uint
	groups    []group
	// Which of the groups a tile of 1<<bits pixels has. Nil if there is but one.
	bits uint
	of   []uint16

	pix []uint32 // all of it, or a window
}

// readCodes reads the size of the colour cache and the prefix codes (RFC 9649, 3.8.3).
func (d *decoder) readCodes(im *coded) error {
	some, err := d.bits.read(1)
	if err != nil {
		return err
	}
	if some == 1 {
		n, err := d.bits.read(4)
		if err != nil {
			return err
		}
		if n < 1 || n > maxCacheBits {
			return FormatError("invalid size of the colour cache")
		}
		im.cacheBits = uint(n)
	}
	meta := uint32(0)
	if im.main {
		if meta, err = d.bits.read(1); err != nil {
			return err
		}
	}
	if meta == 0 {
		g, err := d.readGroup(im.cacheBits, true)
		im.groups = []group{g}
		if !im.main && err == nil {
			// The next image has tables of its own.
			d.codes.entries = 0
		}
		return err
	}
	// The entropy image (RFC 9649, 3.7.2.2).
	b, err := d.bits.read(3)
	if err != nil {
		return err
	}
	im.bits = uint(b) + 2
	pix, err := d.readImage(tiles(im.width, im.bits), tiles(im.height, im.bits))
	if err != nil {
		return err
	}
	im.of = make([]uint16, len(pix))
	number := 0
	for i, v := range pix {
		im.of[i] = uint16(v >> 8)
		number = max(number, int(im.of[i])+1)
	}
	// Only the groups that a tile has are kept, by the order in the bitstream.
	used := make([]bool, number)
	for _, g := range im.of {
		used[g] = true
	}
	place := make([]uint16, number)
	kept := 0
	for i, u := range used {
		if u {
			place[i] = uint16(kept)
			kept++
		}
	}
	im.groups = make([]group, 0, kept)
	for _, u := range used {
		g, err := d.readGroup(im.cacheBits, u)
		if err != nil {
			return err
		}
		if u {
			im.groups = append(im.groups, g)
		}
	}
	for i, g := range im.of {
		im.of[i] = place[g]
	}
	return nil
}

// rows undoes the transforms of rows that have been decoded, and hands them out.
func (d *decoder) rows(im *coded, pix []uint32, y int) error {
	for ; len(pix) > 0; y, pix = y+1, pix[im.width:] {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		row := pix[:im.width]
		units := int64(0)
		for i := len(d.transforms) - 1; i >= 0; i-- {
			t := d.transforms[i]
			row = t.inverse(y, row)
			units += t.units()*int64(len(row)) + rowUnits
		}
		if err := d.budget.Spend(units); err != nil {
			return err
		}
		if err := d.sink(y, row); err != nil {
			return err
		}
	}
	return nil
}

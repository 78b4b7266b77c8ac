package png

import (
	"encoding/binary"
	"image/color"
)

// expander makes samples of 8 bits, of Header.Channels for a pixel, of a row
// of the file.
type expander struct {
	kind    ColorType
	depth   int
	key     *[3]uint16 // the transparent colour
	alpha   bool       // of a palette
	palette [256][4]byte
	out     []byte
}

// newExpander returns nil if rows need no expansion.
func newExpander(h *Header) *expander {
	if h.BitDepth == 8 && h.ColorType != Palette && h.Transparent == nil {
		return nil
	}
	e := &expander{
		kind: h.ColorType, depth: h.BitDepth, key: h.Transparent, alpha: h.Alpha,
		out: make([]byte, h.Width*h.Channels()),
	}
	// An index without a colour is opaque black, as with libpng.
	for i := range e.palette {
		e.palette[i][3] = 0xff
	}
	for i, c := range h.Palette {
		c := c.(color.NRGBA)
		e.palette[i] = [4]byte{c.R, c.G, c.B, c.A}
	}
	return e
}

// row expands a row of so many pixels.
func (e *expander) row(in []byte, width int) []byte {
	switch {
	case e.kind == Palette:
		return e.paletteRow(in, width)
	case e.depth < 8:
		return e.grayRow(in, width)
	case e.depth == 16:
		return e.wideRow(in, width)
	}
	// 8 bits with a transparent colour.
	n := e.kind.samples()
	out := e.out[:width*(n+1)]
	for i, o := 0, 0; i+n <= len(in); i, o = i+n, o+n+1 {
		transparent := true
		for c := range n {
			transparent = transparent && uint16(in[i+c]) == e.key[c]
			out[o+c] = in[i+c]
		}
		out[o+n] = opacity(transparent)
	}
	return out
}

// packed returns the i-th value of depth bits of a row (PNG 7.2).
func packed(in []byte, i, depth int) byte {
	at := i * depth
	return in[at>>3] >> (8 - depth - at&7) & (1<<depth - 1)
}

// paletteRow looks up palette indices of 1 to 8 bits.
func (e *expander) paletteRow(in []byte, width int) []byte {
	n := 3
	if e.alpha {
		n = 4
	}
	out := e.out[:width*n]
	for i, o := 0, 0; i < width; i, o = i+1, o+n {
		var index byte
		if e.depth == 8 {
			index = in[i]
		} else {
			index = packed(in, i, e.depth)
		}
		copy(out[o:o+n], e.palette[index][:])
	}
	return out
}

// grayRow expands gray of 1, 2 and 4 bits: 255 is the greatest value (PNG 12.4).
func (e *expander) grayRow(in []byte, width int) []byte {
	scale := byte(255 / (1<<e.depth - 1))
	if e.key == nil {
		out := e.out[:width]
		for i := range out {
			out[i] = packed(in, i, e.depth) * scale
		}
		return out
	}
	out := e.out[:2*width]
	for i := range width {
		v := packed(in, i, e.depth)
		out[2*i], out[2*i+1] = v*scale, opacity(uint16(v) == e.key[0])
	}
	return out
}

// wideRow reduces samples of 16 bits.
func (e *expander) wideRow(in []byte, width int) []byte {
	n := e.kind.samples()
	if e.key == nil {
		out := e.out[:width*n]
		for i := range out {
			out[i] = reduce(binary.BigEndian.Uint16(in[2*i:]))
		}
		return out
	}
	out := e.out[:width*(n+1)]
	for i, o := 0, 0; o < len(out); o += n + 1 {
		transparent := true
		for c := range n {
			v := binary.BigEndian.Uint16(in[i:])
			i += 2
			transparent = transparent && v == e.key[c]
			out[o+c] = reduce(v)
		}
		out[o+n] = opacity(transparent)
	}
	return out
}

// reduce returns v·255/65535, rounded.
func reduce(v uint16) byte { return byte((uint32(v)*255 + 32895) >> 16) }

func opacity(transparent bool) byte {
	if transparent {
		return 0
	}
	return 0xff
}

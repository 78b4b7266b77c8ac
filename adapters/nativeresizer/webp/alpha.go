package webp

import (
	"bytes"
	"context"
	"io"
)

// The compression and filtering methods of alpha (Container Specification, Alpha).
const (
	alphaRaw      = 0
	alphaLossless = 1

	filterNone       = 0
	filterHorizontal = 1
	filterVertical   = 2
	filterGradient   = 3
)

// decodeAlpha decodes the payload of an ALPH chunk to width × height bytes.
func decodeAlpha(ctx context.Context, chunk []byte, width, height int) ([]byte, error) {
	flags, data := chunk[0], chunk[1:]
	n := width * height
	var a []byte
	switch flags & 3 {
	case alphaRaw:
		if len(data) < n {
			return nil, FormatError("not enough alpha")
		}
		a = data[:n:n]
	case alphaLossless:
		// A VP8L bitstream without its header, whose green is the alpha.
		w, h := uint32(width-1), uint32(height-1)
		if w > 0x3fff || h > 0x3fff {
			return nil, FormatError("alpha is too large")
		}
		v := w | h<<14
		header := []byte{0x2f, byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
		m, err := decodeVP8L(ctx, io.MultiReader(bytes.NewReader(header), bytes.NewReader(data)))
		if err != nil {
			return nil, err
		}
		a = make([]byte, n)
		for i := range a {
			a[i] = m.Pix[4*i+1]
		}
	default:
		return nil, FormatError("invalid compression of alpha")
	}
	unfilterAlpha(a, width, flags>>2&3)
	return a, nil
}

// unfilterAlpha adds its prediction to every value: that to the left, that above, or
// left + above - above left. The first row is always predicted from the left, the first
// value of the other rows from above.
func unfilterAlpha(a []byte, width int, method byte) {
	if method == filterNone {
		return
	}
	for i := 1; i < width; i++ {
		a[i] += a[i-1]
	}
	for len(a) > width {
		above, row := a[:width], a[width:2*width]
		a = a[width:]
		row[0] += above[0]
		switch method {
		case filterHorizontal:
			for x := 1; x < width; x++ {
				row[x] += row[x-1]
			}
		case filterVertical:
			for x := 1; x < width; x++ {
				row[x] += above[x]
			}
		case filterGradient:
			for x := 1; x < width; x++ {
				row[x] += byte(min(max(int(row[x-1])+int(above[x])-int(above[x-1]), 0), 255))
			}
		}
	}
}

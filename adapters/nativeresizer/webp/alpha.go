package webp

import (
	"bytes"
	"context"
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

// decodeAlpha decodes the ALPH chunk that was kept to a byte a pixel of the frame.
func (d *Decoder) decodeAlpha(ctx context.Context) ([]byte, error) {
	flags, data := d.alpha[0], d.alpha[1:]
	width, height := d.header.Frame.Dx(), d.header.Frame.Dy()
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
		a = make([]byte, n)
		err := d.vp8l(ctx, bytes.NewReader(data), func(y int, row []uint32) error {
			to := a[y*width:][:len(row)]
			for x, v := range row {
				to[x] = byte(v >> 8)
			}
			return nil
		})
		if err != nil {
			return nil, err
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

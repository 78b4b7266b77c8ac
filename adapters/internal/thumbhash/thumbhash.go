// Package thumbhash encodes tiny pictures as ThumbHash, a placeholder of at most
// 25 bytes that shows colours, aspect ratio and alpha before the picture is there.
//
// The algorithm is Evan Wallace's (https://github.com/evanw/thumbhash, the
// reference in js/thumbhash.js): the picture in a luminance and two colour
// channels and alpha, each by the lowest terms of its discrete cosine transform,
// quantised to 4 bits. The bytes are the reference's, as far as floating point agrees.
package thumbhash

import (
	"errors"
	"fmt"
	"image"
	"math"
)

// MaxSide is the greatest width or height that Encode takes, in pixels. More
// would change nothing in the hash.
const MaxSide = 100

// MaxLength is the greatest length of a hash, in bytes.
const MaxLength = 25

// Encode returns the ThumbHash of a picture of 1 to MaxSide pixels a side.
func Encode(m *image.NRGBA) ([]byte, error) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	if w < 1 || h < 1 || w > MaxSide || h > MaxSide {
		return nil, fmt.Errorf("thumbhash: a side has 1 to %d pixels, not %d × %d", MaxSide, w, h)
	}
	pixel := func(i int) (r, g, b, a float64) {
		p := m.Pix[i/w*m.Stride+i%w*4:][:4]
		return float64(p[0]) / 255, float64(p[1]) / 255, float64(p[2]) / 255, float64(p[3]) / 255
	}

	// What is transparent is filled with the average colour.
	n := w * h
	var avgR, avgG, avgB, sumA float64
	for i := range n {
		r, g, b, a := pixel(i)
		avgR, avgG, avgB, sumA = avgR+a*r, avgG+a*g, avgB+a*b, sumA+a
	}
	if sumA > 0 {
		avgR, avgG, avgB = avgR/sumA, avgG/sumA, avgB/sumA
	}
	hasAlpha := false
	l, p, q, alpha := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		r, g, b, a := pixel(i)
		r, g, b = avgR*(1-a)+a*r, avgG*(1-a)+a*g, avgB*(1-a)+a*b
		l[i], p[i], q[i], alpha[i] = (r+g+b)/3, (r+g)/2-b, r-g, a
		hasAlpha = hasAlpha || a < 1
	}

	limit := lumaTerms(hasAlpha)
	lx := max(1, roundInt(limit*float64(w)/float64(max(w, h))))
	ly := max(1, roundInt(limit*float64(h)/float64(max(w, h))))
	lumaC := transform(l, w, h, max(3, lx), max(3, ly))
	pC, qC := transform(p, w, h, 3, 3), transform(q, w, h, 3, 3)
	all := []channel{lumaC, pC, qC}

	header24 := roundInt(63*lumaC.dc) | roundInt(31.5+31.5*pC.dc)<<6 | roundInt(31.5+31.5*qC.dc)<<12 | roundInt(31*lumaC.scale)<<18
	header16 := roundInt(63*pC.scale)<<3 | roundInt(63*qC.scale)<<9
	if w > h {
		header16 |= ly | 1<<15
	} else {
		header16 |= lx
	}
	if hasAlpha {
		header24 |= 1 << 23
	}
	hash := []byte{byte(header24), byte(header24 >> 8), byte(header24 >> 16), byte(header16), byte(header16 >> 8)}
	if hasAlpha {
		aC := transform(alpha, w, h, 5, 5)
		hash = append(hash, byte(roundInt(15*aC.dc)|roundInt(15*aC.scale)<<4))
		all = append(all, aC)
	}
	nibbles := 0
	for _, c := range all {
		for _, f := range c.ac {
			v := byte(roundInt(15 * f))
			if nibbles++; nibbles%2 == 1 {
				hash = append(hash, v)
			} else {
				hash[len(hash)-1] |= v << 4
			}
		}
	}
	return hash, nil
}

// lumaTerms is the number of luminance terms along the longer side.
func lumaTerms(hasAlpha bool) float64 {
	if hasAlpha {
		return 5
	}
	return 7
}

// channel is a channel's cosine transform: ac is scaled to 0…1 by scale.
type channel struct {
	dc, scale float64
	ac        []float64
}

// terms calls f for the terms that are kept, those of low frequency, in their order.
func terms(nx, ny int, f func(cx, cy int)) {
	for cy := range ny {
		for cx := 0; cx*ny < nx*(ny-cy); cx++ {
			f(cx, cy)
		}
	}
}

func transform(values []float64, w, h, nx, ny int) channel {
	fx, fy := cosines(nx, w), cosines(ny, h)
	var c channel
	terms(nx, ny, func(cx, cy int) {
		sum := 0.0
		for y := range h {
			for x := range w {
				sum += values[y*w+x] * fx[cx][x] * fy[cy][y]
			}
		}
		sum /= float64(w * h)
		if cx == 0 && cy == 0 {
			c.dc = sum
			return
		}
		c.ac = append(c.ac, sum)
		c.scale = max(c.scale, math.Abs(sum))
	})
	const noise = 1e-9 // of a flat channel, by rounding; in the reference it decides bits that are of no matter
	for i := range c.ac {
		if c.scale > noise {
			c.ac[i] = 0.5 + 0.5/c.scale*c.ac[i]
		} else {
			c.ac[i] = 0
		}
	}
	return c
}

// cosines returns the first n basis functions over a side of some pixels.
func cosines(n, side int) [][]float64 {
	f := make([][]float64, n)
	for c := range f {
		f[c] = make([]float64, side)
		for i := range f[c] {
			f[c][i] = math.Cos(math.Pi / float64(side) * float64(c) * (float64(i) + 0.5))
		}
	}
	return f
}

// roundInt rounds half up, as the reference does.
func roundInt(f float64) int { return int(math.Floor(f + 0.5)) }

// Decode returns the placeholder's picture: 32 pixels on its longer side.
func Decode(hash []byte) (*image.NRGBA, error) {
	errShort := errors.New("thumbhash: the hash is malformed")
	if len(hash) < 5 {
		return nil, errShort
	}
	header24 := int(hash[0]) | int(hash[1])<<8 | int(hash[2])<<16
	header16 := int(hash[3]) | int(hash[4])<<8
	hasAlpha, landscape := header24>>23 == 1, header16>>15 == 1
	// The longer side's number of luminance terms is known, the shorter one's is kept.
	longer, shorter := lumaTerms(hasAlpha), float64(header16&7)
	if shorter == 0 {
		return nil, errShort
	}
	lx, ly, w, h := longer, shorter, 32, max(1, roundInt(32*shorter/longer))
	if !landscape {
		lx, ly, w, h = shorter, longer, max(1, roundInt(32*shorter/longer)), 32
	}

	rest, alphaDC, alphaScale := hash[5:], 1.0, 0.0
	if hasAlpha {
		if len(rest) == 0 {
			return nil, errShort
		}
		alphaDC, alphaScale = float64(rest[0]&15)/15, float64(rest[0]>>4)/15
		rest = rest[1:]
	}
	nibbles, short := 0, false
	synthesis := func(dc, scale float64, nx, ny int) []float64 {
		fx, fy := cosines(nx, w), cosines(ny, h)
		values := make([]float64, w*h)
		for i := range values {
			values[i] = dc
		}
		terms(nx, ny, func(cx, cy int) {
			if cx == 0 && cy == 0 {
				return
			}
			if nibbles/2 >= len(rest) {
				short = true
				return
			}
			ac := (float64(rest[nibbles/2]>>(nibbles%2*4)&15)/7.5 - 1) * scale
			nibbles++
			// Twice, for every term, is the reference's inverse; the exact one would have
			// four for terms that vary in both directions.
			for y := range h {
				for x := range w {
					values[y*w+x] += ac * fx[cx][x] * fy[cy][y] * 2
				}
			}
		})
		return values
	}
	l := synthesis(float64(header24&63)/63, float64(header24>>18&31)/31, max(3, int(lx)), max(3, int(ly)))
	// The reference strengthens colours a little, as quantisation weakens them.
	p := synthesis(float64(header24>>6&63)/31.5-1, float64(header16>>3&63)/63*1.25, 3, 3)
	q := synthesis(float64(header24>>12&63)/31.5-1, float64(header16>>9&63)/63*1.25, 3, 3)
	a := make([]float64, w*h)
	for i := range a {
		a[i] = alphaDC
	}
	if hasAlpha {
		a = synthesis(alphaDC, alphaScale, 5, 5)
	}
	if short {
		return nil, errShort
	}

	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range l {
		b := l[i] - 2.0/3*p[i]
		r := (3*l[i] - b + q[i]) / 2
		g := r - q[i]
		for c, v := range []float64{r, g, b, a[i]} {
			m.Pix[4*i+c] = uint8(255 * min(1, max(0, v)))
		}
	}
	return m, nil
}

package nativeresizer

import (
	"encoding/binary"

	"github.com/imagify-api/imagify/adapters/nativeresizer/resample"
)

// maxBox is the greatest side of a box: sums of 255² for each of its pixels fit in 32 bits.
const maxBox = 128

// boxes averages k × k pixels into one, row by row from the top. The pixels are ARGB, not
// premultiplied; the averages are premultiplied RGBA. Boxes at the right and lower edge
// average what there is.
type boxes struct {
	width, height, k int
	out              resample.Plane
	opaque           bool // no pixel so far has another alpha than 255

	sums []boxSum // of a row of boxes
	rows int      // in them
	y    int      // rows of out that are done
}

// boxSum is sums of red, green and blue, each times alpha, and of alpha.
type boxSum [4]uint32

func newBoxes(width, height, k int) *boxes {
	b := &boxes{width: width, height: height, k: k, opaque: true}
	b.out = resample.New((width+k-1)/k, (height+k-1)/k, 4)
	if k > 1 {
		b.sums = make([]boxSum, b.out.Width)
	}
	return b
}

// boxMemory is the bytes that newBoxes allocates.
func boxMemory(width, height, k int) int64 {
	w, h := int64(width/k+1), int64(height/k+1)
	return 4*w*h + 16*w + 1024
}

// add takes the next row.
func (b *boxes) add(row []uint32) {
	if b.k == 1 {
		b.premultiply(row)
		return
	}
	all := uint32(255) << 24
	for x := range b.sums {
		part := row[x*b.k : min(x*b.k+b.k, b.width)]
		s := &b.sums[x]
		// Two samples in a word, of at most maxBox pixels.
		var rb, ag uint32
		alpha := uint32(255) << 24
		for _, p := range part {
			rb += p & 0x00ff00ff
			ag += p >> 8 & 0x00ff00ff
			alpha &= p
		}
		all &= alpha
		if alpha>>24 == 255 {
			s[0] += rb >> 16 * 255
			s[1] += ag & 0xffff * 255
			s[2] += rb & 0xffff * 255
			s[3] += ag >> 16
			continue
		}
		for _, p := range part {
			a := p >> 24
			s[0] += p >> 16 & 255 * a
			s[1] += p >> 8 & 255 * a
			s[2] += p & 255 * a
			s[3] += a
		}
	}
	b.opaque = b.opaque && all>>24 == 255
	if b.rows++; b.rows == b.k || b.y*b.k+b.rows == b.height {
		b.flush()
	}
}

// flush writes a row of averages.
func (b *boxes) flush() {
	px := b.out.Pix[b.y*b.out.Stride:][:4*b.out.Width]
	area := uint32(b.k * b.rows)
	last := uint32((b.width - (b.out.Width-1)*b.k) * b.rows)
	colour, alpha := newDivisor(255*area), newDivisor(area)
	for x, s := range b.sums {
		if x == len(b.sums)-1 && last != area {
			colour, alpha = newDivisor(255*last), newDivisor(last)
		}
		p := px[4*x : 4*x+4 : 4*x+4]
		p[0], p[1], p[2] = colour.of(s[0]), colour.of(s[1]), colour.of(s[2])
		p[3] = alpha.of(s[3])
	}
	clear(b.sums)
	b.y, b.rows = b.y+1, 0
}

// premultiply takes a row that is not averaged.
func (b *boxes) premultiply(row []uint32) {
	px := b.out.Pix[b.y*b.out.Stride:][:4*b.out.Width]
	b.y++
	all := uint32(255) << 24
	for x, p := range row[:b.width] {
		all &= p
		to := px[4*x : 4*x+4 : 4*x+4]
		if a := p >> 24; a != 255 {
			red, green, blue := p>>16&255*a+127, p>>8&255*a+127, p&255*a+127
			to[0], to[1], to[2], to[3] = byte(red/255), byte(green/255), byte(blue/255), byte(a)
			continue
		}
		binary.LittleEndian.PutUint32(to, p&0xff00ff00|p>>16&255|p&255<<16)
	}
	b.opaque = b.opaque && all>>24 == 255
}

// divisor divides sums by a number with rounding, by multiplying with its inverse.
type divisor struct {
	half    uint32
	inverse uint64
}

// inverseBits are enough to be exact: the sums have 30 bits and what they are divided by 22, so that
// the error of the product is less than what a remainder lacks to the next quotient.
const inverseBits = 54

func newDivisor(n uint32) divisor { return divisor{n / 2, 1<<inverseBits/uint64(n) + 1} }

// of divides a sum of which the quotient is at most 255.
func (d divisor) of(sum uint32) byte {
	return byte(min(uint64(sum+d.half)*d.inverse>>inverseBits, 255))
}

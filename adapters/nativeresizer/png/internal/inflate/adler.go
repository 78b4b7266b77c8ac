package inflate

import "encoding/binary"

// adler is the checksum of a zlib stream (RFC 1950, 8.2): a is the sum of all
// bytes, b the sum of all values that a had, both modulo 65521.
//
// hash/adler32 adds byte by byte, where each addition waits for the one before
// it. Here the bytes of a word are added in lanes of 16 bits, for as many words as
// the lanes hold.
type adler struct{ a, b uint64 }

const (
	adlerMod = 65521
	// adlerWords is how many words of eight bytes are added before the lanes are
	// emptied. The lanes of before hold up to 255·(0+1+…+21) = 58905.
	adlerWords = 22
	lanes      = 0x00ff00ff00ff00ff
)

func (s *adler) reset() { s.a, s.b = 1, 0 }

func (s *adler) value() uint32 { return uint32(s.b<<16 | s.a) }

// add adds up to a few megabytes: the sums are reduced at the end only.
func (s *adler) add(p []byte) {
	a, b := s.a, s.b
	for len(p) >= 8*adlerWords {
		q := (*[8 * adlerWords]byte)(p)
		p = p[8*adlerWords:]
		// even and odd are the sums of the bytes at even and odd places of the words so
		// far; before, of all words the sums of the words before them.
		var even, odd, before uint64
		var beforeOdd uint64
		for i := 0; i < len(q); i += 16 {
			v, u := binary.LittleEndian.Uint64(q[i:]), binary.LittleEndian.Uint64(q[i+8:])
			e, o := even+v&lanes, odd+v>>8&lanes
			before += even + e
			beforeOdd += odd + o
			even, odd = e+u&lanes, o+u>>8&lanes
		}
		b += 8 * adlerWords * a
		b += 8 * (sumLanes(before) + sumLanes(beforeOdd))
		// Within its word the byte at place i is in b 8-i times. A multiplication
		// gives in its top lane 4, 3, 2 and 1 times the lanes, at most 58650.
		const weights = 0x0004000300020001
		evens, odds := even*0x0001000100010001>>48, odd*0x0001000100010001>>48
		b += 2*(even*weights>>48) + 2*(odd*weights>>48) - odds
		a += evens + odds
	}
	for _, x := range p {
		a += uint64(x)
		b += a
	}
	s.a, s.b = a%adlerMod, b%adlerMod
}

// sumLanes adds four lanes of 16 bits.
func sumLanes(v uint64) uint64 {
	v = v&0x0000ffff0000ffff + v>>16&0x0000ffff0000ffff
	return v&0xffffffff + v>>32
}

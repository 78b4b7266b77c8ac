package vp8l

import (
	"fmt"
	"math/bits"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

const (
	maxLength = 15 // of a code in bits (RFC 9649, 3.7.2.1.2)
	rootBits  = 8  // of the first of a code's two tables

	literals       = 256
	lengthCodes    = 24
	distanceCodes  = 40
	maxCacheBits   = 11
	maxAlphabet    = literals + lengthCodes + 1<<maxCacheBits
	codeLengthSyms = 19

	// chunkEntries is how many entries of tables are allocated at a time.
	chunkEntries = 32 << 10
	// maxEntries bounds the tables of an image. The 2600 groups that libwebp's encoder
	// writes at most take up to 13 million.
	maxEntries = 16 << 20
	// groupEntries is what a group takes beside its tables, in entries.
	groupEntries = 128
)

// code is a prefix code (RFC 9649, 3.7.2.1). An entry of its table is symbol<<4|bits,
// looked up by the next bits under the mask. If bits is above rootBits, the entry leads to a
// second table: its place is where the symbol would be, and bits-rootBits more
// bits are looked up there. A code of a single symbol takes no bits.
type code struct {
	table []uint16
	mask  uint64
}

// single returns the symbol of a code that takes no bits.
func (c *code) single() (symbol uint32, ok bool) { return uint32(c.table[0] >> 4), c.mask == 0 }

// next reads a symbol with few demands on speed: there must be maxLength valid bits.
func (c *code) next(b *bitReader) uint32 {
	e := c.table[b.acc&c.mask]
	k := uint(e & 15)
	if k > rootBits {
		e = c.table[uint64(e>>4)+b.acc>>rootBits&(1<<(k-rootBits)-1)]
		k = rootBits + uint(e&15)
	}
	b.drop(k)
	return uint32(e >> 4)
}

// tables holds the tables of all codes of an image.
type tables struct {
	free    []uint16
	entries int64 // allocated, those of groups included
	scratch [1 << 12]uint16
	sorted  [maxAlphabet]uint16
}

// take returns n entries.
func (t *tables) take(n int) ([]uint16, error) {
	if t.entries += int64(n); t.entries > maxEntries {
		return nil, fmt.Errorf("VP8L: prefix codes of more than %d entries: %w", maxEntries, work.ErrExceeded)
	}
	if n > len(t.free) {
		t.free = make([]uint16, max(n, min(chunkEntries, int(t.entries))))
	}
	out := t.free[:n:n]
	t.free = t.free[n:]
	return out, nil
}

const errCode = FormatError("malformed prefix code")

// check returns how many symbols a code of these lengths has, and the last of them. Codes of two
// symbols and more must be complete.
func check(lengths []uint8, count *[maxLength + 1]int) (symbols, last int, err error) {
	*count = [maxLength + 1]int{}
	for s, l := range lengths {
		count[l&15]++
		if l != 0 {
			last = s
		}
	}
	symbols = len(lengths) - count[0]
	if symbols == 0 {
		return 0, 0, errCode
	}
	if symbols == 1 {
		return 1, last, nil
	}
	left := 1
	for _, n := range count[1:] {
		if left = 2*left - n; left < 0 {
			return 0, 0, errCode
		}
	}
	if left != 0 {
		return 0, 0, errCode
	}
	return symbols, last, nil
}

// build makes the tables of a code from the lengths of its symbols. The codes are
// canonical: shorter ones first, then by symbol.
func (t *tables) build(lengths []uint8) (code, error) {
	var count [maxLength + 1]int
	symbols, last, err := check(lengths, &count)
	if err != nil {
		return code{}, err
	}
	if symbols == 1 {
		table, err := t.take(1)
		if err != nil {
			return code{}, err
		}
		table[0] = uint16(last << 4)
		return code{table: table}, nil
	}
	var offset [maxLength + 1]int
	longest := 0
	for l := 1; l <= maxLength; l++ {
		if l < maxLength {
			offset[l+1] = offset[l] + count[l]
		}
		if count[l] > 0 {
			longest = l
		}
	}
	sorted := t.sorted[:symbols]
	for s, l := range lengths {
		if l != 0 {
			sorted[offset[l&15]] = uint16(s)
			offset[l&15]++
		}
	}
	root := min(longest, rootBits)
	size := 1 << root
	table := &t.scratch
	c := uint(0) // the next code, its first bit highest
	for l := 1; l <= root; l++ {
		for ; count[l] > 0; count[l]-- {
			e := sorted[0]<<4 | uint16(l)
			sorted = sorted[1:]
			for k := int(reverse(c, l)); k < 1<<root; k += 1 << l {
				table[k] = e
			}
			c++
		}
		c <<= 1
	}
	var sub, subBits int
	for l, prefix := root+1, ^uint(0); l <= longest; l++ {
		low := l - rootBits
		for ; count[l] > 0; count[l]-- {
			if p := c >> low; p != prefix {
				// A table that holds the longest code with this prefix.
				prefix, sub, subBits = p, size, low
				for left := 1<<low - count[l]; left > 0 && rootBits+subBits < longest; {
					subBits++
					left = 2*left - count[rootBits+subBits]
				}
				size += 1 << subBits
				table[reverse(p, rootBits)] = uint16(sub<<4 | (rootBits + subBits))
			}
			e := sorted[0]<<4 | uint16(low)
			sorted = sorted[1:]
			for k := int(reverse(c&(1<<low-1), low)); k < 1<<subBits; k += 1 << low {
				table[sub+k] = e
			}
			c++
		}
		c <<= 1
	}
	out, err := t.take(size)
	if err != nil {
		return code{}, err
	}
	copy(out, table[:size])
	return code{out, 1<<root - 1}, nil
}

// reverse turns the low l bits of v around.
func reverse(v uint, l int) uint16 { return bits.Reverse16(uint16(v)) >> (16 - l) }

// The order in which the lengths of the code of code lengths are stored, and
// what its symbols from 16 on stand for (RFC 9649, 3.7.2.1.2).
var (
	lengthOrder  = [codeLengthSyms]uint8{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	repeatBits   = [3]uint{2, 3, 7}
	repeatOffset = [3]uint32{3, 3, 11}
)

// readLengths reads the code lengths of an alphabet (RFC 9649, 3.7.2.1) into lengths.
func (d *decoder) readLengths(lengths []uint8) error {
	clear(lengths)
	b := &d.bits
	simple, err := b.read(1)
	if err != nil {
		return err
	}
	if simple == 1 {
		two, err := b.read(1)
		if err != nil {
			return err
		}
		wide, err := b.read(1)
		if err != nil {
			return err
		}
		for i := range two + 1 {
			k := uint(8)
			if i == 0 && wide == 0 {
				k = 1
			}
			s, err := b.read(k)
			if err != nil {
				return err
			}
			if int(s) >= len(lengths) {
				return errCode
			}
			lengths[s] = 1
		}
		return nil
	}
	n, err := b.read(4)
	if err != nil {
		return err
	}
	if n += 4; n > codeLengthSyms {
		return errCode
	}
	var own [codeLengthSyms]uint8
	for _, s := range lengthOrder[:n] {
		l, err := b.read(3)
		if err != nil {
			return err
		}
		own[s] = uint8(l)
	}
	todo := uint32(len(lengths))
	some, err := b.read(1)
	if err != nil {
		return err
	}
	if some == 1 {
		k, err := b.read(3)
		if err != nil {
			return err
		}
		if todo, err = b.read(2 + 2*uint(k)); err != nil {
			return err
		}
		if todo += 2; todo > uint32(len(lengths)) {
			return errCode
		}
	}
	d.lengths.free, d.lengths.entries = d.lengthsTable[:], 0
	c, err := d.lengths.build(own[:])
	if err != nil {
		return err
	}
	previous := uint8(8)
	for rest := lengths; len(rest) > 0 && todo > 0; todo-- {
		if err := b.refill(); err != nil {
			return err
		}
		s := c.next(b)
		if s < 16 {
			if s != 0 {
				previous = uint8(s)
			}
			rest[0] = uint8(s)
			rest = rest[1:]
			continue
		}
		s -= 16
		count := int(repeatOffset[s]) + int(b.acc&(1<<repeatBits[s]-1))
		b.drop(repeatBits[s])
		if count > len(rest) {
			return errCode
		}
		if s == 0 {
			for i := range rest[:count] {
				rest[i] = previous
			}
		}
		rest = rest[count:]
	}
	return nil
}

// group is the five codes of a meta prefix code (RFC 9649, 3.7.2.2).
type group struct {
	green, red, blue, alpha, distance code

	// plain: red, blue and alpha take no bits, and are rest. flat: green is a literal that
	// takes none either, so that all pixels of the group are rest.
	plain, flat bool
	rest        uint32
}

// readGroup reads the codes of a group, and makes their tables if it is used.
func (d *decoder) readGroup(cacheBits uint, used bool) (group, error) {
	var g group
	green := literals + lengthCodes
	if cacheBits > 0 {
		green += 1 << cacheBits
	}
	for i, c := range [...]*code{&g.green, &g.red, &g.blue, &g.alpha, &g.distance} {
		lengths := d.alphabet[:literals]
		switch i {
		case 0:
			lengths = d.alphabet[:green]
		case 4:
			lengths = d.alphabet[:distanceCodes]
		}
		if err := d.spend(codeUnits + int64(len(lengths))*lengthUnits); err != nil {
			return g, err
		}
		err := d.readLengths(lengths)
		if err != nil {
			return g, err
		}
		if !used {
			var count [maxLength + 1]int
			if _, _, err = check(lengths, &count); err != nil {
				return g, err
			}
			continue
		}
		if *c, err = d.codes.build(lengths); err != nil {
			return g, err
		}
		if err := d.spend(int64(len(c.table)) * entryUnits); err != nil {
			return g, err
		}
	}
	if !used {
		return g, nil
	}
	d.codes.entries += groupEntries
	r, okR := g.red.single()
	b, okB := g.blue.single()
	a, okA := g.alpha.single()
	if g.plain = okR && okB && okA; g.plain {
		g.rest = a<<24 | r<<16 | b
		if v, ok := g.green.single(); ok && v < literals {
			g.flat = true
			g.rest |= v << 8
		}
	}
	return g, nil
}

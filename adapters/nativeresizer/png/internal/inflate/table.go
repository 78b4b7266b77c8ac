package inflate

import (
	"math/bits"
	"sync"
)

// An entry of a table is looked up by the next bits of the input:
//
//	bits  0– 5  number of bits of the code
//	bits  8–11  a literal: how many literals there are, 1 or 2
//	            a length or a distance: how many extra bits follow
//	            a link to a second table: how many bits index it
//	bits 12–15  flags
//	bits 16–31  a literal, or two, the first one lowest; the base of a length or
//	            of a distance; where the second table begins
//
// The link's own entry has no number of bits, since those of the second
// table's entries are of the whole code.
const (
	notLiteral  = 1 << 15 // neither one literal nor two
	exceptional = 1 << 14 // none of a literal, a length and a distance: one of the next, or no code at all
	subtable    = 1 << 13
	endOfBlock  = 1 << 12

	noCode = notLiteral | exceptional
)

const (
	maxCode  = 15 // bits of the longest code (RFC 1951, 3.2.7)
	litBits  = 11 // bits that index the literal and length table
	distBits = 10 // bits that index the distance table

	// Second tables are as large as the codes below their prefix ask for. These bounds
	// are those of zlib's enough.c, for 286 and 30 symbols, with the two unused symbols of the
	// fixed code.
	litEntries  = 1<<litBits + 1024
	distEntries = 1<<distBits + 512
)

type litTable struct {
	entries [litEntries]uint32
}

type distTable struct {
	entries [distEntries]uint32
}

// litSymbols and distSymbols are the entries of symbols without their
// number of bits (RFC 1951, 3.2.5).
var (
	litSymbols  = makeLitSymbols()
	distSymbols = makeDistSymbols()
)

func makeLitSymbols() (s [288]uint32) {
	for i := range 256 {
		s[i] = uint32(i)<<16 | 1<<8
	}
	s[256] = notLiteral | exceptional | endOfBlock
	base := uint32(3)
	for i := uint32(0); i < 28; i++ {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		s[257+i] = notLiteral | base<<16 | extra<<8
		base += 1 << extra
	}
	s[285] = notLiteral | 258<<16 // not 227 + 31, which code 284 can say as well
	s[286], s[287] = noCode, noCode
	return s
}

func makeDistSymbols() (s [32]uint32) {
	base := uint32(1)
	for i := uint32(0); i < 30; i++ {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		s[i] = base<<16 | extra<<8
		base += 1 << extra
	}
	s[30], s[31] = noCode, noCode
	return s
}

// tables are the two codes of a block.
type tables struct {
	lit  litTable
	dist distTable
}

// fixedTables are the fixed codes (RFC 1951, 3.2.6), which never change.
var fixedTables = sync.OnceValue(func() *tables {
	var lengths [288 + 32]uint8
	fixedLengths(&lengths)
	t := new(tables)
	if t.lit.build(lengths[:288]) != nil || t.dist.build(lengths[288:]) != nil {
		panic("inflate: the fixed codes are none") // cannot be
	}
	return t
})

// fixedLengths are the lengths of the fixed codes (RFC 1951, 3.2.6).
func fixedLengths(l *[288 + 32]uint8) {
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		case i < 288:
			l[i] = 8
		default:
			l[i] = 5
		}
	}
}

// build makes the table of a literal and length code.
func (t *litTable) build(lengths []uint8) error {
	if err := build(t.entries[:], litBits, lengths, litSymbols[:]); err != nil {
		return err
	}
	// Two literals whose codes fit together are taken at once.
	shortest := uint8(litBits)
	for _, l := range lengths[:min(256, len(lengths))] {
		if l != 0 {
			shortest = min(shortest, l)
		}
	}
	if 2*shortest > litBits {
		return nil
	}
	// Going down, the
	// entry of what follows the first literal is at a lower index, thus still that of
	// a single one, except at index 0, which follows itself.
	first := t.entries[0]
	for i := 1<<litBits - 1; i >= 0; i-- {
		e := t.entries[i]
		if e&notLiteral != 0 {
			continue
		}
		next := t.entries[i>>(e&63)]
		if i == 0 {
			next = first
		}
		if next&notLiteral == 0 && e&63+next&63 <= litBits {
			t.entries[i] = e&63 + next&63 | 2<<8 | e&0xff0000 | next&0xff0000<<8
		}
	}
	return nil
}

// build makes the table of a distance code.
func (t *distTable) build(lengths []uint8) error {
	return build(t.entries[:], distBits, lengths, distSymbols[:])
}

// build makes a table, of which the first 1<<tableBits entries are looked up first,
// of a canonical code (RFC 1951, 3.2.2) given by its lengths. A code that has
// words to spare is only allowed to have a single one of one bit (3.2.7), or none.
func build(entries []uint32, tableBits int, lengths []uint8, symbols []uint32) error {
	var count [maxCode + 1]int
	for _, l := range lengths {
		count[l&15]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	var next [maxCode + 2]int // the next code of each length, then the next place in sorted
	left := 1
	var place [maxCode + 2]int
	for l := 1; l <= maxCode; l++ {
		left = left<<1 - count[l]
		if left < 0 {
			return FormatError("over-subscribed code")
		}
		next[l+1] = (next[l] + count[l]) << 1
		place[l+1] = place[l] + count[l]
	}
	if left > 0 && (used > 1 || used == 1 && count[1] == 0) {
		return FormatError("incomplete code")
	}
	// Symbols sorted by length, so that the second tables come one after another.
	var sorted [288]uint16
	for s, l := range lengths {
		if l != 0 {
			sorted[place[l&15]] = uint16(s)
			place[l&15]++
		}
	}
	at := 0
	// Codes of up to tableBits bits: the table grows from one entry by doubling,
	// since the first 2^l entries say all about codes of up to l bits.
	entries[0] = noCode
	free := 1 << tableBits
	prefix, subBits, subStart := -1, 0, 0
	for l := 1; l <= maxCode; l++ {
		code := next[l]
		if l <= tableBits {
			copy(entries[1<<(l-1):1<<l], entries[:1<<(l-1)])
		}
		for range count[l] {
			s := sorted[at]
			at++
			e := symbols[s] | uint32(l)
			r := int(bits.Reverse16(uint16(code)) >> (16 - l))
			code++
			if l <= tableBits {
				entries[r] = e
				continue
			}
			if p := r & (1<<tableBits - 1); p != prefix {
				// A new second table: it has room for the codes that share the prefix, which
				// are the next ones in order.
				prefix = p
				subBits = l - tableBits
				room := 1<<subBits - (count[l] - (code - 1 - next[l]))
				for room > 0 && subBits+tableBits < maxCode {
					subBits++
					room = room<<1 - count[subBits+tableBits]
				}
				subStart = free
				free += 1 << subBits
				if free > len(entries) {
					return FormatError("code needs too much room") // cannot be
				}
				entries[prefix] = notLiteral | exceptional | subtable | uint32(subBits)<<8 | uint32(subStart)<<16
			}
			for r >>= tableBits; r < 1<<subBits; r += 1 << (l - tableBits) {
				entries[subStart+r] = e
			}
		}
	}
	return nil
}

// buildCodeLengths makes the table of the code length code (RFC 1951, 3.2.7): symbol<<3 | length
// by the next seven bits, 0 where there is no code.
func buildCodeLengths(table *[128]uint8, lengths *[19]uint8) error {
	var count, next [9]int
	for _, l := range lengths {
		count[l]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	left := 1
	for l := 1; l <= 7; l++ {
		left = left<<1 - count[l]
		if left < 0 {
			return FormatError("over-subscribed code length code")
		}
		next[l+1] = (next[l] + count[l]) << 1
	}
	if left > 0 && (used != 1 || count[1] != 1) {
		return FormatError("incomplete code length code")
	}
	for s, l8 := range lengths {
		l := int(l8)
		if l == 0 {
			continue
		}
		r := int(bits.Reverse8(uint8(next[l])) >> (8 - l))
		next[l]++
		for ; r < 128; r += 1 << l {
			table[r] = uint8(s)<<3 | l8
		}
	}
	return nil
}

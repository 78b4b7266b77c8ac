// Package inflate decompresses zlib streams (RFC 1950, RFC 1951) fast.
//
// It does what compress/zlib does for reading, at a fraction of its CPU time. It
// keeps 64 bits of the input in a register and loads them eight bytes at a time,
// takes two literals with one look-up where their codes are short, and copies
// matches eight bytes at a time inside one buffer that is both the window and the
// output.
//
// What it does is counted against a budget: blocks, the tables of their codes, their
// symbols and what these copy, at the prices in cost.go, which a benchmark compares
// with the time.
package inflate

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// A FormatError says that the input is not a valid zlib stream.
type FormatError string

// Error implements error.
func (e FormatError) Error() string { return "zlib: " + string(e) }

// errNoProgress is the end of patience with a reader that returns neither bytes nor an error.
var errNoProgress = io.ErrNoProgress

const (
	window    = 32 << 10 // the farthest distance of a match (RFC 1951, 2)
	runSize   = 64 << 10 // output between two moves of the window
	slack     = 2 * 64   // writes of two literals and of eight bytes overshoot
	maxMatch  = 258      // RFC 1951, 3.2.5
	inSize    = 32 << 10 // a read from the input
	inPad     = 32       // zeros behind the end of the input, for loads beyond it
	outSize   = window + runSize + maxMatch + slack
	outFull   = window + runSize
	maxIdle   = 100 // reads that may return nothing
	loadBytes = 8   // bytes of a load from the input
)

// The kinds of place in a stream that decoding goes on from.
const (
	atHeader = iota // before the zlib header
	atBlock         // before a block
	inStored        // in a stored block, of which storedLeft bytes are to come
	inCodes         // in a compressed block
	atEnd           // after the checksum, or after an error
)

// Reader decompresses a zlib stream. The zero value has to be given its input by
// [Reader.Reset]. It holds about 150 KiB.
type Reader struct {
	r     io.Reader
	rErr  error // why r gives no more
	err   error // what Read returns when out is used up
	state int
	final bool // the block is the last one

	storedLeft int

	// acc holds the next n bits of the input, the first one lowest. Bits above
	// n may be those of in[p:], never others.
	acc uint64
	n   uint
	p   int // the next byte of in
	end int // in[:end] is input; inPad zeros follow once rErr is set

	w      int // out[:w] is written
	rd     int // out[rd:w] is not yet read
	filled int // the first byte of out that was ever written, counted down from window

	sum adler

	budget *work.Budget
	cost   int64 // units that the budget does not know of yet

	// lit and dist are the codes of the block: own, or those that all fixed blocks share.
	lit  *litTable
	dist *distTable
	own  tables
	in   [inSize + inPad]byte
	out  [outSize]byte
}

// Reset makes z read a new stream from r, at the expense of a budget. Reads of r are
// up to 32 KiB and may go beyond the end of the stream.
func (z *Reader) Reset(r io.Reader, budget *work.Budget) {
	z.r, z.rErr, z.err = r, nil, nil
	z.budget, z.cost = budget, 0
	z.state, z.final, z.storedLeft = atHeader, false, 0
	z.acc, z.n, z.p, z.end = 0, 0, 0, 0
	z.w, z.rd, z.filled = window, window, window
	z.sum.reset()
}

// Read reads decompressed bytes. At the end of the stream, whose checksum
// (RFC 1950, 2.2) was then right, the error is io.EOF; it is
// io.ErrUnexpectedEOF if the input ends first, a [FormatError], [work.ErrExceeded],
// or the error of the input.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for z.rd == z.w {
		if z.err != nil {
			return 0, z.err
		}
		z.run()
	}
	n := copy(p, z.out[z.rd:z.w])
	z.rd += n
	return n, nil
}

// Take returns the next n bytes, n ≤ len(buf), valid until the next call: in place where
// they lie together, else copied to buf. In place, its capacity reaches at least
// as far behind n as a match may overshoot. The errors are those of Read.
func (z *Reader) Take(n int, buf []byte) ([]byte, error) {
	if z.rd == z.w && n > 0 && z.err == nil {
		z.run()
	}
	if z.w-z.rd >= n {
		b := z.out[z.rd : z.rd+n]
		z.rd += n
		return b, nil
	}
	for got := 0; got < n; {
		k, err := z.Read(buf[got:n])
		if err != nil {
			return nil, err
		}
		got += k
	}
	return buf[:n], nil
}

// run decompresses until the buffer is full, the stream ends or an error is met.
// What was written before an error stays readable.
func (z *Reader) run() {
	if z.w >= outFull {
		// The last 32 KiB are the window of what follows.
		kept := min(z.w-z.filled, window)
		copy(z.out[window-kept:window], z.out[z.w-kept:z.w])
		z.w, z.rd, z.filled = window, window, window-kept
	}
	start := z.w
	err := z.decode()
	if err != nil && !errors.Is(err, errFull) && !errors.Is(err, io.EOF) {
		z.err, z.state = err, atEnd
	}
	z.sum.add(z.out[start:z.w])
	if errors.Is(err, io.EOF) {
		z.err, z.state = z.checksum(), atEnd
	}
	if err := z.settle(); err != nil {
		z.err, z.state, z.rd = err, atEnd, z.w
	}
}

// errFull says that there is no room for more output.
var errFull = errors.New("zlib: output buffer is full")

// decode goes on until the output is full (errFull), the last block ends (io.EOF)
// or something is wrong.
func (z *Reader) decode() error {
	for {
		var err error
		switch z.state {
		case atHeader:
			if err = z.header(); err == nil {
				z.state = atBlock
			}
		case atBlock:
			if z.final {
				return io.EOF
			}
			err = z.block()
		case inStored:
			err = z.stored()
		case inCodes:
			err = z.codes()
		}
		if err != nil {
			return err
		}
	}
}

// fill makes at least eight bytes loadable at p, of which those behind the end of
// the input are zeros, or returns why it cannot. Bits that do not exist have
// been used if p is behind the end, as whole bytes in the register are given back
// before.
func (z *Reader) fill() error {
	idle := 0
	for z.end-z.p < loadBytes && z.rErr == nil {
		// The bytes that are in the register stay, since they may be given back.
		if from := z.p - loadBytes; from > 0 {
			z.end = copy(z.in[:], z.in[from:z.end])
			z.p = loadBytes
		}
		n, err := z.r.Read(z.in[z.end:inSize])
		if n < 0 || n > inSize-z.end {
			n, err = 0, errNoProgress // a broken reader; do not trust its count
		}
		z.end += n
		if n == 0 && err == nil {
			if idle++; idle == maxIdle {
				err = errNoProgress
			}
		}
		if err != nil {
			z.rErr = err
			clear(z.in[z.end : z.end+inPad])
		}
	}
	if z.p > z.end {
		return z.inputError()
	}
	return nil
}

// inputError is the error of an input that ends too early.
func (z *Reader) inputError() error {
	if errors.Is(z.rErr, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return z.rErr
}

// bits takes the next k bits, k ≤ 32.
func (z *Reader) bits(k uint) (uint, error) {
	if err := z.need(k); err != nil {
		return 0, err
	}
	v := uint(z.acc & (1<<k - 1))
	z.acc >>= k
	z.n -= k
	return v, nil
}

// need makes k bits available, k ≤ 32.
func (z *Reader) need(k uint) error {
	for z.n < k {
		if z.end-z.p >= loadBytes {
			z.acc |= binary.LittleEndian.Uint64(z.in[z.p:]) << (z.n & 63)
			z.p += int((63 - z.n) >> 3)
			z.n |= 56
			return nil
		}
		if z.p >= z.end {
			if z.rErr == nil {
				if err := z.fill(); err != nil {
					return err
				}
				continue
			}
			return z.inputError()
		}
		z.acc = z.acc&(1<<z.n-1) | uint64(z.in[z.p])<<z.n
		z.p++
		z.n += 8
	}
	return nil
}

// header reads the zlib header (RFC 1950, 2.2).
func (z *Reader) header() error {
	cmf, err := z.bits(8)
	if err != nil {
		return err
	}
	flg, err := z.bits(8)
	if err != nil {
		return err
	}
	switch {
	case cmf&15 != 8 || cmf>>4 > 7 || (cmf<<8|flg)%31 != 0:
		return FormatError("invalid header")
	case flg&0x20 != 0:
		return FormatError("stream needs a preset dictionary")
	}
	return nil
}

// checksum compares the checksum behind the last block (RFC 1950, 2.2) and
// returns io.EOF if it is right.
func (z *Reader) checksum() error {
	if _, err := z.bits(z.n & 7); err != nil {
		return err
	}
	var want uint32
	for range 4 {
		b, err := z.bits(8)
		if err != nil {
			return err
		}
		want = want<<8 | uint32(b)
	}
	if want != z.sum.value() {
		return FormatError("invalid checksum")
	}
	return io.EOF
}

// block reads the header of a block (RFC 1951, 3.2.3).
func (z *Reader) block() error {
	h, err := z.bits(3)
	if err != nil {
		return err
	}
	z.final = h&1 != 0
	if err := z.spend(costBlock); err != nil {
		return err
	}
	switch h >> 1 {
	case 0: // 3.2.4
		if _, err := z.bits(z.n & 7); err != nil {
			return err
		}
		length, err := z.bits(16)
		if err != nil {
			return err
		}
		complement, err := z.bits(16)
		if err != nil {
			return err
		}
		if length != ^complement&0xffff {
			return FormatError("stored block's length is damaged")
		}
		z.storedLeft, z.state = int(length), inStored
	case 1: // 3.2.6
		fixed := fixedTables()
		z.lit, z.dist, z.state = &fixed.lit, &fixed.dist, inCodes
	case 2: // 3.2.7
		if err := z.dynamic(); err != nil {
			return err
		}
		z.lit, z.dist, z.state = &z.own.lit, &z.own.dist, inCodes
	default:
		return FormatError("invalid block type")
	}
	return nil
}

// stored copies a stored block (RFC 1951, 3.2.4).
func (z *Reader) stored() error {
	// Whole bytes may still be in the register.
	for z.storedLeft > 0 && z.n >= 8 && z.w < outFull {
		z.out[z.w] = byte(z.acc)
		z.acc >>= 8
		z.n -= 8
		z.w++
		z.storedLeft--
	}
	if z.n < 8 {
		z.acc, z.n = 0, 0 // a stored block begins and ends at a byte: n is 0
	}
	for z.storedLeft > 0 {
		if z.w >= outFull {
			return errFull
		}
		if z.p >= z.end {
			if z.rErr != nil {
				return z.inputError()
			}
			if err := z.fill(); err != nil {
				return err
			}
			continue
		}
		n := min(z.storedLeft, outFull-z.w, z.end-z.p)
		copy(z.out[z.w:z.w+n], z.in[z.p:])
		z.w += n
		z.p += n
		z.storedLeft -= n
		z.cost += int64(n) / costStoredBytes
	}
	z.state = atBlock
	return nil
}

// codeOrder is the order of the code length code's lengths (RFC 1951, 3.2.7).
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block (RFC 1951, 3.2.7).
func (z *Reader) dynamic() error {
	h, err := z.bits(14)
	if err != nil {
		return err
	}
	nlit, ndist, ncode := int(h&31)+257, int(h>>5&31)+1, int(h>>10)+4
	if nlit > 286 || ndist > 30 {
		return FormatError("too many codes")
	}
	if err := z.spend(costTables); err != nil {
		return err
	}
	var codeLengths [19]uint8
	for i := range ncode {
		l, err := z.bits(3)
		if err != nil {
			return err
		}
		codeLengths[codeOrder[i]] = uint8(l)
	}
	var table [128]uint8 // symbol<<3 | length, by the next seven bits
	if err := buildCodeLengths(&table, &codeLengths); err != nil {
		return err
	}
	var lengths [286 + 30]uint8
	for i, all := 0, nlit+ndist; i < all; {
		// The last symbols of a stream may have less than seven bits behind them.
		if err := z.need(14); err != nil && z.n == 0 {
			return err
		}
		z.acc &= 1<<z.n - 1
		e := table[z.acc&127]
		if e == 0 {
			return FormatError("invalid code lengths")
		}
		if uint(e&7) > z.n {
			return z.inputError()
		}
		z.acc >>= e & 7
		z.n -= uint(e & 7)
		symbol := e >> 3
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		var k, repeat uint
		var value uint8
		switch symbol {
		case 16:
			if i == 0 {
				return FormatError("no code length to repeat")
			}
			k, repeat, value = 2, 3, lengths[i-1]
		case 17:
			k, repeat = 3, 3
		default:
			k, repeat = 7, 11
		}
		x, err := z.bits(k)
		if err != nil {
			return err
		}
		repeat += x
		if i+int(repeat) > all {
			return FormatError("too many code lengths")
		}
		for range repeat {
			lengths[i] = value
			i++
		}
	}
	if lengths[256] == 0 {
		return FormatError("block cannot end")
	}
	if err := z.spend(costWords(lengths[:nlit+ndist])); err != nil {
		return err
	}
	if err := z.own.lit.build(lengths[:nlit]); err != nil {
		return err
	}
	return z.own.dist.build(lengths[nlit : nlit+ndist])
}

// A pattern of fewer than eight bytes, by its length; that of eight is any eight bytes.
type pattern struct {
	mask, repeat uint64 // the pattern of a word, and what it is multiplied by to fill a word
	distance     int    // the least multiple of its length that is 8 or more
}

var patterns = makePatterns()

func makePatterns() (p [9]pattern) {
	for n := 1; n <= 8; n++ {
		p[n].mask = ^uint64(0) >> (64 - 8*n)
		for at := 0; at < 8; at += n {
			p[n].repeat |= 1 << (8 * at)
		}
		p[n].distance = (8 + n - 1) / n * n
	}
	return p
}

// codes decodes the symbols of a block (RFC 1951, 3.2.3 and 3.2.5) until it ends
// or the output is full.
//
// A refill makes at least 56 bits available. A length and its distance take at
// most 15+5 and 15+13 of them.
func (z *Reader) codes() error {
	in, out := &z.in, &z.out
	lit, dist := z.lit, z.dist
	acc, n, p, w := z.acc, z.n, z.p, z.w
	start, copied := w, uint64(0) // matches in the upper half, their bytes in the lower
	limit := z.end - loadBytes
	var err error
	for {
		if w >= outFull {
			err = errFull
			break
		}
		if p > limit {
			// Near the end of the buffered input, or behind the end of it all, where each
			// symbol has to be checked.
			z.p = p - int(n>>3)
			n &= 7
			acc &= 1<<n - 1
			err = z.fill()
			p, limit = z.p, z.end-loadBytes
			if err != nil {
				break
			}
			if z.rErr != nil && limit < p {
				limit = p
			}
		}
		acc |= binary.LittleEndian.Uint64(in[p:]) << (n & 63)
		p += int((63 - n) >> 3)
		n |= 56

		// Up to three look-ups of literals, of at most litBits bits each: 20 of
		// 56 remain at the least.
		e := lit.entries[acc&(1<<litBits-1)]
		if e&notLiteral == 0 {
			binary.LittleEndian.PutUint16(out[w:], uint16(e>>16))
			w += int(e >> 8 & 3)
			acc >>= e & 63
			n -= uint(e & 63)
			e = lit.entries[acc&(1<<litBits-1)]
			if e&notLiteral == 0 {
				binary.LittleEndian.PutUint16(out[w:], uint16(e>>16))
				w += int(e >> 8 & 3)
				acc >>= e & 63
				n -= uint(e & 63)
				e = lit.entries[acc&(1<<litBits-1)]
				if e&notLiteral == 0 {
					binary.LittleEndian.PutUint16(out[w:], uint16(e>>16))
					w += int(e >> 8 & 3)
					acc >>= e & 63
					n -= uint(e & 63)
					continue
				}
			}
			if p > limit {
				continue // look it up again with the input filled
			}
			acc |= binary.LittleEndian.Uint64(in[p:]) << (n & 63)
			p += int((63 - n) >> 3)
			n |= 56
		}
		if e&exceptional != 0 {
			if e&subtable != 0 {
				e = lit.entries[int(e>>16)+int(acc>>litBits&(1<<(e>>8&15)-1))]
			}
			if e&notLiteral == 0 {
				acc >>= e & 63
				n -= uint(e & 63)
				out[w] = byte(e >> 16)
				w++
				continue
			}
			if e&exceptional != 0 {
				acc >>= e & 63
				n -= uint(e & 63)
				if e&endOfBlock != 0 {
					z.state = atBlock
				} else {
					err = FormatError("invalid code")
				}
				break
			}
		}
		// A length (3.2.5): its code, then its extra bits.
		acc >>= e & 63
		n -= uint(e & 63)
		x := e >> 8 & 15
		length := int(e>>16) + int(acc&(1<<x-1))
		acc >>= x
		n -= uint(x)

		d := dist.entries[acc&(1<<distBits-1)]
		if d&exceptional != 0 {
			if d&subtable != 0 {
				d = dist.entries[int(d>>16)+int(acc>>distBits&(1<<(d>>8&15)-1))]
			}
			if d&exceptional != 0 {
				err = FormatError("invalid distance code")
				break
			}
		}
		acc >>= d & 63
		n -= uint(d & 63)
		x = d >> 8 & 15
		distance := int(d>>16) + int(acc&(1<<x-1))
		acc >>= x
		n -= uint(x)
		from := w - distance
		if from < z.filled {
			err = FormatError("distance too far back")
			break
		}
		// Eight bytes at a time, with some too many that will be overwritten. A match that
		// overlaps its own first eight bytes repeats a pattern: the bytes after these are
		// those of a multiple of the distance before.
		near := &patterns[min(distance, 8)]
		binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[from:])&near.mask*near.repeat)
		from = w + 8 - max(distance, near.distance)
		binary.LittleEndian.PutUint64(out[w+8:], binary.LittleEndian.Uint64(out[from:]))
		copied += 1<<32 | uint64(length)
		to := w + length
		for w += 16; w < to; w += 8 {
			from += 8
			binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[from:]))
		}
		w = to
	}
	// Bytes that are whole go back, those behind the end of the input too.
	z.p, z.n, z.w = p-int(n>>3), n&7, w
	z.acc = acc & (1<<z.n - 1)
	matches, bytes := int64(copied>>32), int64(copied&(1<<32-1))
	z.cost += costLiteral*(int64(w-start)-bytes) + costMatch*matches + bytes/costCopyBytes
	if z.p > z.end {
		return z.inputError()
	}
	return err
}

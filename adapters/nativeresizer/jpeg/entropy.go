package jpeg

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxBlockBytes is more than a block can take: 64 codes of 16 bits with 16
	// more bits each, and what the bit buffer reads ahead.
	maxBlockBytes = 64*4 + 16
	// entropySize is how much entropy coded data is unstuffed at a time. With
	// the zeros behind it every position is below 1<<16.
	entropySize = 1<<16 - entropyPad - 8
	// entropyPad zero bytes stand behind the end of a segment, for the block that
	// runs over it and the one that follows before that is noticed.
	entropyPad = 2 * maxBlockBytes
)

// entropyReader reads the bits of an entropy coded segment, which is what lies
// between two markers (T.81 B.1.1.5), without its stuffed bytes.
//
// The bit buffer acc holds the next bits at its top. At least n of them count; those
// below are either zero or the bits that follow in buf[pos:], so that a refill
// may or them in once more. It takes 8 bytes at a time:
//
//	acc |= load64(buf, pos) >> n
//	pos += (63 - n) >> 3
//	n |= 56
//
// There is room for it while pos ≤ safe at the start of each block.
type entropyReader struct {
	src      *source
	pos, end int // buf[pos:end] has not reached acc
	safe     int
	acc      uint64
	n        uint
	ended    bool // at the end of the segment: nothing follows buf[:end]
	marker   byte // the marker code there, 0 at the end of the input
	buf      [1<<16 + 8]byte
}

func load64(buf *[1<<16 + 8]byte, pos int) uint64 {
	return binary.BigEndian.Uint64(buf[pos&0xffff:])
}

// start begins a segment at the source's position.
func (e *entropyReader) start() {
	e.pos, e.end, e.safe = 0, 0, -1
	e.acc, e.n = 0, 0
	e.ended, e.marker = false, 0
}

// ready makes sure that a block can be decoded. It is false at the end of the
// segment. It need not be called while pos ≤ safe.
func (e *entropyReader) ready() bool {
	if !e.ended {
		e.fill()
		if e.pos <= e.safe {
			return true
		}
	}
	return e.pos*8-int(e.n) < e.end*8
}

// fill unstuffs more of the segment into buf.
func (e *entropyReader) fill() {
	s := e.src
	e.end = copy(e.buf[:], e.buf[e.pos:e.end])
	e.pos = 0
	for e.end < entropySize {
		raw := s.buf[s.rd:s.wr]
		raw = raw[:min(len(raw), entropySize-e.end)]
		i := bytes.IndexByte(raw, 0xff)
		if i != 0 {
			if i < 0 {
				i = len(raw)
			}
			e.end += copy(e.buf[e.end:], raw[:i])
			s.rd += i
			if s.rd == s.wr && !s.more() {
				e.ended = true
				break
			}
			continue
		}
		next, ok := s.peek(2)
		if !ok {
			s.rd = s.wr
			e.ended = true
			break
		}
		switch next[1] {
		case 0: // a stuffed byte
			e.buf[e.end] = 0xff
			e.end++
			s.rd += 2
		case 0xff: // a fill byte before a marker
			s.rd++
		default:
			e.marker = next[1]
			e.ended = true
			s.rd += 2
		}
		if e.ended {
			break
		}
	}
	e.safe = e.end - maxBlockBytes
	if e.ended {
		e.safe = e.end
		clear(e.buf[e.end : e.end+entropyPad+8])
	}
}

// overrun reports whether bits behind the end of the segment have been used.
func (e *entropyReader) overrun() bool { return e.pos*8-int(e.n) > e.end*8 }

// finish leaves the segment and returns the marker that follows it. It is false
// at the end of the input. clean is false if data was left over.
func (e *entropyReader) finish() (code byte, clean, ok bool) {
	if !e.ended {
		// The data may have been used up to its last bit, with the marker to
		// be seen yet.
		e.fill()
	}
	clean = e.ended && e.end*8-(e.pos*8-int(e.n)) < 16
	if e.marker >= markerSOF0 {
		return e.marker, clean, true
	}
	code, ok = e.src.nextMarker()
	return code, false, ok
}

// refill makes at least 56 bits valid. It is for the less frequent code; loops keep
// acc, n and pos in registers.
func (e *entropyReader) refill() {
	e.acc |= load64(&e.buf, e.pos) >> (e.n & 63)
	e.pos += int((63 - e.n) >> 3 & 7)
	e.n |= 56
}

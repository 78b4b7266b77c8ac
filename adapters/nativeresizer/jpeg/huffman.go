package jpeg

import "bytes"

const (
	// lookupBits is the length of the longest codes that one look-up decodes.
	// Longer ones are rare by construction.
	lookupBits = 12
	// skipBits is the window in which as many AC coefficients as fit are
	// stepped over at once.
	skipBits = 13
	// maxSkip is the greatest number of bits an entry of acTable.skip consumes:
	// a code inside the window and the value bits that follow it.
	maxSkip = 27
)

// huffman is a Huffman table (T.81 annex C and F.2.2.3).
type huffman struct {
	spec    [16 + 256]byte // code counts and values, as in the DHT segment
	specLen int            // 0 when not defined
	built   uint8          // which tables have been made of it
	// lookup is indexed by the next lookupBits bits: length<<8 | value, 0
	// for a code that is longer.
	lookup [1 << lookupBits]uint16
	// maxCode is the greatest code of each length, -1 if there is none, and
	// offset what leads from a code to its place in values.
	maxCode [17]int32
	offset  [17]int32
}

// Bits of huffman.built.
const (
	builtLookup = 1 << iota
	builtDiff
	builtCoef
	builtSkip
)

// define checks and keeps a table. It is built when a scan needs it; a file
// can define far more tables than it uses.
func (h *huffman) define(counts, values []byte) error {
	n := 16 + len(values)
	if h.specLen == n && bytes.Equal(h.spec[:16], counts) && bytes.Equal(h.spec[16:n], values) {
		return nil
	}
	code := 0
	for i, c := range counts {
		code = code<<1 + int(c)
		if code > 2<<i {
			return FormatError("Huffman table with too many codes")
		}
	}
	h.specLen, h.built = n, 0
	copy(h.spec[:], counts)
	copy(h.spec[16:], values)
	return nil
}

// isBuilt reports whether part of the tables is there, and notes that it will be.
func (h *huffman) isBuilt(part uint8) bool {
	was := h.built&part != 0
	h.built |= part
	return was
}

// build fills lookup and the tables of decodeLong.
func (h *huffman) build() {
	if h.isBuilt(builtLookup) {
		return
	}
	clear(h.lookup[:])
	code, k := 0, 0
	for length := 1; length <= 16; length++ {
		h.offset[length] = int32(k - code)
		count := int(h.spec[length-1])
		h.maxCode[length] = -1
		if count > 0 {
			h.maxCode[length] = int32(code + count - 1)
		}
		if length <= lookupBits {
			span := 1 << (lookupBits - length)
			for i := range count {
				e := uint16(length)<<8 | uint16(h.spec[16+k+i])
				at := h.lookup[(code+i)*span:][:span]
				for j := range at {
					at[j] = e
				}
			}
		}
		code = (code + count) << 1
		k += count
	}
}

// decode returns the length and the value of the code at the top of acc. The
// length is 0 if there is no such code.
func (h *huffman) decode(acc uint64) (length uint, value byte) {
	if e := h.lookup[acc>>(64-lookupBits)]; e != 0 {
		return uint(e >> 8), byte(e)
	}
	return h.decodeLong(acc)
}

// decodeLong is decode for codes longer than lookupBits.
func (h *huffman) decodeLong(acc uint64) (length uint, value byte) {
	code := int32(acc >> 48)
	for l := lookupBits + 1; l <= 16; l++ {
		if c := code >> (16 - l); c <= h.maxCode[l] {
			return uint(l), h.spec[16+int(uint8(c+h.offset[l]))]
		}
	}
	return 0, 0
}

// extend returns the value of the n bits at the top of acc, 1 ≤ n ≤ 16
// (T.81 F.2.2.1, EXTEND).
func extend(acc uint64, n uint) int32 {
	v := int32(acc >> (64 - n&63))
	if int64(acc) >= 0 {
		v -= 1<<(n&63) - 1
	}
	return v
}

// dcTable decodes DC differences (T.81 F.2.2.1).
type dcTable struct {
	huffman
	// diff is indexed like lookup: difference<<4 | bits to consume for code
	// and value, 0 if they do not fit. The tables of a file should fit in the first
	// cache, so it is no larger than it must be.
	diff [1 << lookupBits]int16
}

func (t *dcTable) build() {
	t.huffman.build()
	if t.isBuilt(builtDiff) {
		return
	}
	for w := range t.diff {
		e := t.lookup[w]
		length, size := uint(e>>8), uint(e&15)
		t.diff[w] = 0
		if length == 0 || length+size > lookupBits {
			continue
		}
		var v int32
		if size > 0 {
			v = extend(uint64(w)<<(64-lookupBits)<<length, size)
		}
		t.diff[w] = int16(v<<4) | int16(length+size)
	}
}

// Fields of acTable.coef and acTable.skip.
const (
	coefEOB = 128 // the advance of an end of block in coef: beyond any k
	skipEOB = 128 // added to the advance in skip when an end of block is included
	skipNot = 255 // the advance in skip when nothing fits; beyond any k, too
)

// acTable decodes AC coefficients (T.81 F.2.2.2).
type acTable struct {
	huffman
	// coef is indexed like lookup and holds one coefficient:
	// value<<16 | advance<<8 | bits, where advance is the run of zeros plus
	// one. It is 0 for what does not fit, ZRL and the EOBn of progressive files.
	coef [1 << lookupBits]uint32
	// skip is indexed by the next skipBits bits: advance<<8 | bits for as many
	// coefficients as end or begin inside the window, up to and including an
	// end of block.
	skip [1 << skipBits]uint16
}

func (t *acTable) buildCoef() {
	if t.isBuilt(builtCoef) {
		return
	}
	for w := range t.coef {
		e := t.lookup[w]
		length, run, size := uint(e>>8), uint32(e>>4&15), uint(e&15)
		t.coef[w] = 0
		switch {
		case length == 0 || length+size > lookupBits:
		case size > 0:
			v := extend(uint64(w)<<(64-lookupBits)<<length, size)
			t.coef[w] = uint32(v)<<16 | (run+1)<<8 | uint32(length+size)
		case run == 0:
			t.coef[w] = coefEOB<<8 | uint32(length)
		}
	}
}

func (t *acTable) buildSkip() {
	if t.isBuilt(builtSkip) {
		return
	}
	const mask = 1<<skipBits - 1
	for w := range t.skip {
		var used, advance uint
	window:
		for used < skipBits {
			// Beyond the window there are zeros, which may make a code that is
			// not there; such a code is longer than what is left.
			rest := uint(w) << used & mask
			e := t.lookup[rest>>(skipBits-lookupBits)]
			length, value := uint(e>>8), uint(e&255)
			if e == 0 {
				l, v := t.decodeLong(uint64(rest) << (64 - skipBits))
				length, value = l, uint(v)
			}
			if length == 0 || used+length > skipBits {
				break
			}
			run, size := value>>4, value&15 // ZRL is a run of 15 and one more zero
			if size == 0 && run != 15 {     // EOB
				used += length
				advance += skipEOB
				break window
			}
			if advance+run+1 > 63 || used+length+size > maxSkip {
				break
			}
			used += length + size
			advance += run + 1
		}
		if advance == 0 {
			used, advance = 0, skipNot
		}
		t.skip[w] = uint16(advance<<8 | used)
	}
}

// defineDC defines DC table id.
func (d *Decoder) defineDC(id byte, counts, values []byte) error {
	if d.dc[id] == nil {
		d.dc[id] = new(dcTable)
	}
	if err := d.dc[id].define(counts, values); err != nil {
		return err
	}
	d.dcDefined[id] = true
	return nil
}

// defineAC defines AC table id.
func (d *Decoder) defineAC(id byte, counts, values []byte) error {
	if d.ac[id] == nil {
		d.ac[id] = new(acTable)
	}
	if err := d.ac[id].define(counts, values); err != nil {
		return err
	}
	d.acDefined[id] = true
	return nil
}

// checkDC makes sure that DC table id can be used. A file without tables gets
// the typical ones, as the frames of Motion JPEG need.
func (d *Decoder) checkDC(id byte) error {
	if !d.dcDefined[id] {
		if id > 1 || d.frame.progressive {
			return FormatError("Huffman table missing")
		}
		t := &typicalDC[id]
		if err := d.defineDC(id, t.counts[:], t.values); err != nil {
			return err
		}
	}
	t := d.dc[id]
	for _, category := range t.spec[16:t.specLen] {
		if category > 15 {
			return FormatError("bad DC Huffman table")
		}
	}
	return nil
}

// checkAC is checkDC for AC tables.
func (d *Decoder) checkAC(id byte) error {
	if !d.acDefined[id] {
		if id > 1 || d.frame.progressive {
			return FormatError("Huffman table missing")
		}
		t := &typicalAC[id]
		return d.defineAC(id, t.counts[:], t.values)
	}
	return nil
}

type huffmanSpec struct {
	counts [16]byte
	values []byte
}

// typicalDC and typicalAC are the tables of T.81 K.3, for luma and for chroma.
var typicalDC = [2]huffmanSpec{
	{
		[16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1},
		[]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
	},
	{
		[16]byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		[]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
	},
}

var typicalAC = [2]huffmanSpec{
	{
		[16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125},
		[]byte{
			0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
			0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
			0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
			0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
			0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
			0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
			0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
			0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
			0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
			0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
			0xf9, 0xfa,
		},
	},
	{
		[16]byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119},
		[]byte{
			0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
			0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
			0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
			0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
			0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
			0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
			0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
			0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
			0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
			0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
			0xf9, 0xfa,
		},
	},
}

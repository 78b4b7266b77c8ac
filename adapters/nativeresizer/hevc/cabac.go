package hevc

import (
	"encoding/binary"
	"math/bits"
)

// cabac is the arithmetic decoder (9.3.4.3). The specification's 9-bit ivlOffset is the top
// of value, under which lie extra bits that were read ahead: value = ivlOffset << extra | ahead.
type cabac struct {
	value uint64
	rng   uint32
	extra int
	pos   int // of the next byte in data
	data  []byte
}

// minExtra is how many bits must lie ahead before a bin: one takes at most 7, and a run of bypass bins 16.
const minExtra = 16

// start begins at a byte of the data (9.3.2.5).
func (c *cabac) start(pos int) {
	c.value, c.rng, c.extra, c.pos = 0, 510, -9, pos
	c.refill()
}

// refill reads four more bytes, zeros behind the end of the data.
func (c *cabac) refill() {
	if c.pos+4 <= len(c.data) {
		c.value = c.value<<32 | uint64(binary.BigEndian.Uint32(c.data[c.pos:]))
	} else {
		var b [4]byte
		if c.pos < len(c.data) {
			copy(b[:], c.data[c.pos:])
		}
		c.value = c.value<<32 | uint64(binary.BigEndian.Uint32(b[:]))
	}
	c.pos += 4
	c.extra += 32
}

// over reports whether bits behind the end of the data were used.
func (c *cabac) over() bool { return 8*c.pos-c.extra > 8*len(c.data) }

// next is the first whole byte behind what was used: where the data goes on after a
// terminating bin (9.3.2.5).
func (c *cabac) next() int { return c.pos - c.extra>>3 }

// variable is the state of a context variable: pStateIdx << 1 | valMps.
type variable = uint8

// bin decodes a bin by its context (9.3.4.3.2).
func (c *cabac) bin(ctx *variable) uint32 {
	if c.extra < minExtra {
		c.refill()
	}
	st := *ctx
	lps := uint32(lpsRange[st>>1][c.rng>>6&3])
	rng := c.rng - lps
	scaled := uint64(rng) << c.extra
	if c.value < scaled {
		*ctx = nextMPS[st]
		n := rng>>8 ^ 1 // 1 where the range fell below 256
		c.rng = rng << n
		c.extra -= int(n)
		return uint32(st & 1)
	}
	c.value -= scaled
	n := bits.LeadingZeros32(lps) - 23
	c.rng = lps << n
	c.extra -= n
	*ctx = nextLPS[st]
	return uint32(st&1 ^ 1)
}

// bypass decodes a bin of equal probabilities (9.3.4.3.4).
func (c *cabac) bypass() uint32 {
	if c.extra < minExtra {
		c.refill()
	}
	c.extra--
	scaled := uint64(c.rng) << c.extra
	if c.value >= scaled {
		c.value -= scaled
		return 1
	}
	return 0
}

// bypassBits decodes n bypass bins, at most 32.
func (c *cabac) bypassBits(n int) uint32 {
	var v uint32
	for range n {
		v = v<<1 | c.bypass()
	}
	return v
}

// terminate decodes a bin before which the data may end (9.3.4.3.5).
func (c *cabac) terminate() bool {
	if c.extra < minExtra {
		c.refill()
	}
	c.rng -= 2
	scaled := uint64(c.rng) << c.extra
	if c.value >= scaled {
		return true
	}
	if c.rng < 256 {
		c.rng <<= 1
		c.extra--
	}
	return false
}

// The contexts of the syntax elements of intra slices, one behind the other.
const (
	ctxSaoMerge       = 0
	ctxSaoType        = ctxSaoMerge + 1
	ctxSplitCu        = ctxSaoType + 1
	ctxBypassCu       = ctxSplitCu + 3
	ctxPartMode       = ctxBypassCu + 1
	ctxPrevIntra      = ctxPartMode + 1
	ctxChromaMode     = ctxPrevIntra + 1
	ctxSplitTransform = ctxChromaMode + 1
	ctxCbfLuma        = ctxSplitTransform + 3
	ctxCbfChroma      = ctxCbfLuma + 2
	ctxQPDelta        = ctxCbfChroma + 5
	ctxSkipTransform  = ctxQPDelta + 2
	ctxLastX          = ctxSkipTransform + 2
	ctxLastY          = ctxLastX + 18
	ctxSubBlock       = ctxLastY + 18
	ctxSig            = ctxSubBlock + 4
	ctxGreater1       = ctxSig + 44
	ctxGreater2       = ctxGreater1 + 24
	ctxResScale       = ctxGreater2 + 6
	ctxResSign        = ctxResScale + 8
	ctxChromaOffset   = ctxResSign + 2
	ctxChromaIndex    = ctxChromaOffset + 1
	contexts          = ctxChromaIndex + 1
)

// initValues are those of initType 0 (Tables 9-5 to 9-37).
var initValues = [contexts]uint8{
	153,
	200,
	139, 141, 157,
	154,
	184,
	184,
	63,
	153, 138, 138,
	111, 141,
	94, 138, 182, 154, 154,
	154, 154,
	139, 139,
	110, 110, 124, 125, 140, 153, 125, 127, 140, 109, 111, 143, 127, 111, 79, 108, 123, 63,
	110, 110, 124, 125, 140, 153, 125, 127, 140, 109, 111, 143, 127, 111, 79, 108, 123, 63,
	91, 171, 134, 141,
	111, 111, 125, 110, 110, 94, 124, 108, 124, 107, 125, 141, 179, 153, 125, 107, 125, 141, 179, 153, 125, 107,
	125, 141, 179, 153, 125, 140, 139, 182, 182, 152, 136, 152, 136, 153, 136, 139, 111, 136, 139, 111, 141, 111,
	140, 92, 137, 138, 140, 152, 138, 139, 153, 74, 149, 92, 139, 107, 122, 152, 140, 179, 166, 182, 140, 227, 122, 197,
	138, 153, 136, 167, 152, 152,
	154, 154, 154, 154, 154, 154, 154, 154,
	154, 154,
	154,
	154,
}

// models are the contexts of a slice, with the statistics of persistent_rice_adaptation.
type models struct {
	ctx  [contexts]variable
	rice [4]uint8
}

// reset initialises the contexts for a slice's QP (9.3.2.2).
func (m *models) reset(qp int) {
	qp = min(max(qp, 0), 51)
	for i, v := range initValues {
		slope, offset := int(v>>4)*5-45, int(v&15)<<3-16
		pre := min(max((slope*qp)>>4+offset, 1), 126)
		if pre <= 63 {
			m.ctx[i] = uint8(63-pre) << 1
		} else {
			m.ctx[i] = uint8(pre-64)<<1 | 1
		}
	}
	m.rice = [4]uint8{}
}

// lpsRange is rangeTabLps (Table 9-46).
var lpsRange = [64][4]uint8{
	{128, 176, 208, 240},
	{128, 167, 197, 227},
	{128, 158, 187, 216},
	{123, 150, 178, 205},
	{116, 142, 169, 195},
	{111, 135, 160, 185},
	{105, 128, 152, 175},
	{100, 122, 144, 166},
	{95, 116, 137, 158},
	{90, 110, 130, 150},
	{85, 104, 123, 142},
	{81, 99, 117, 135},
	{77, 94, 111, 128},
	{73, 89, 105, 122},
	{69, 85, 100, 116},
	{66, 80, 95, 110},
	{62, 76, 90, 104},
	{59, 72, 86, 99},
	{56, 69, 81, 94},
	{53, 65, 77, 89},
	{51, 62, 73, 85},
	{48, 59, 69, 80},
	{46, 56, 66, 76},
	{43, 53, 63, 72},
	{41, 50, 59, 69},
	{39, 48, 56, 65},
	{37, 45, 54, 62},
	{35, 43, 51, 59},
	{33, 41, 48, 56},
	{32, 39, 46, 53},
	{30, 37, 43, 50},
	{29, 35, 41, 48},
	{27, 33, 39, 45},
	{26, 31, 37, 43},
	{24, 30, 35, 41},
	{23, 28, 33, 39},
	{22, 27, 32, 37},
	{21, 26, 30, 35},
	{20, 24, 29, 33},
	{19, 23, 27, 31},
	{18, 22, 26, 30},
	{17, 21, 25, 28},
	{16, 20, 23, 27},
	{15, 19, 22, 25},
	{14, 18, 21, 24},
	{14, 17, 20, 23},
	{13, 16, 19, 22},
	{12, 15, 18, 21},
	{12, 14, 17, 20},
	{11, 14, 16, 19},
	{11, 13, 15, 18},
	{10, 12, 15, 17},
	{10, 12, 14, 16},
	{9, 11, 13, 15},
	{9, 11, 12, 14},
	{8, 10, 12, 14},
	{8, 9, 11, 13},
	{7, 9, 11, 12},
	{7, 9, 10, 12},
	{7, 8, 10, 11},
	{6, 8, 9, 11},
	{6, 7, 9, 10},
	{6, 7, 8, 9},
	{2, 2, 2, 2},
}

// lpsNext is transIdxLps (Table 9-47).
var lpsNext = [64]uint8{
	0, 0, 1, 2, 2, 4, 4, 5, 6, 7, 8, 9, 9, 11, 11, 12, 13, 13, 15, 15, 16, 16, 18, 18, 19, 19, 21, 21, 22, 22, 23, 24,
	24, 25, 26, 26, 27, 27, 28, 29, 29, 30, 30, 30, 31, 32, 32, 33, 33, 33, 34, 34, 35, 35, 35, 36, 36, 36, 37, 37, 37, 38, 38, 63,
}

// nextMPS and nextLPS are the contexts that follow, by context.
var nextMPS, nextLPS = func() (mps, lps [128]variable) {
	for st := range 128 {
		state, value := uint8(st>>1), uint8(st&1)
		up := state + 1
		if state >= 62 {
			up = state
		}
		mps[st] = up<<1 | value
		if state == 0 {
			value ^= 1
		}
		lps[st] = lpsNext[state]<<1 | value
	}
	return mps, lps
}()

package hevc

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bitWriter writes the syntax of clause 9.2.
type bitWriter struct {
	data []byte
	free int // bits of the last byte
}

func (w *bitWriter) u(n int, v uint64) *bitWriter {
	for i := n - 1; i >= 0; i-- {
		if w.free == 0 {
			w.data, w.free = append(w.data, 0), 8
		}
		w.free--
		w.data[len(w.data)-1] |= byte(v>>i&1) << w.free
	}
	return w
}

func (w *bitWriter) flags(v ...int) *bitWriter {
	for _, v := range v {
		w.u(1, uint64(v))
	}
	return w
}

func (w *bitWriter) ue(v ...int) *bitWriter {
	for _, v := range v {
		n := 0
		for (v+1)>>(n+1) != 0 {
			n++
		}
		w.u(n, 0).u(n+1, uint64(v+1))
	}
	return w
}

func (w *bitWriter) se(v int) *bitWriter {
	if v > 0 {
		return w.ue(2*v - 1)
	}
	return w.ue(-2 * v)
}

// aligned ends with a one and zeros (7.3.2.11).
func (w *bitWriter) aligned() *bitWriter {
	w.u(1, 1)
	w.free = 0
	return w
}

// nal makes a NAL unit with its emulation prevention.
func nal(kind int, rbsp []byte) []byte {
	out := []byte{byte(kind << 1), 1}
	zeros := 0
	for _, b := range rbsp {
		if zeros >= 2 && b <= 3 {
			out, zeros = append(out, 3), 0
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// arithmetic is the encoder of 9.3.5, written by the specification's flow charts.
type arithmetic struct {
	models
	bits        bitWriter
	low, rng    uint32
	outstanding int
	first       bool
}

func (a *arithmetic) start() { a.low, a.rng, a.outstanding, a.first = 0, 510, 0, true }

func (a *arithmetic) put(b uint32) {
	if a.first {
		a.first = false
	} else {
		a.bits.u(1, uint64(b))
	}
	for ; a.outstanding > 0; a.outstanding-- {
		a.bits.u(1, uint64(1-b))
	}
}

func (a *arithmetic) renorm() {
	for ; a.rng < 256; a.rng <<= 1 {
		a.bit()
	}
}

func (a *arithmetic) bit() {
	switch {
	case a.low < 256:
		a.put(0)
	case a.low >= 512:
		a.low -= 512
		a.put(1)
	default:
		a.low -= 256
		a.outstanding++
	}
	a.low <<= 1
}

func (a *arithmetic) bin(ctx, v int) {
	m := &a.ctx[ctx]
	lps := uint32(lpsRange[*m>>1][a.rng>>6&3])
	a.rng -= lps
	if int(*m&1) == v {
		*m = nextMPS[*m]
	} else {
		a.low += a.rng
		a.rng = lps
		*m = nextLPS[*m]
	}
	a.renorm()
}

func (a *arithmetic) bypass(v uint32) {
	a.low <<= 1
	if v != 0 {
		a.low += a.rng
	}
	switch {
	case a.low >= 1024:
		a.put(1)
		a.low -= 1024
	case a.low < 512:
		a.put(0)
	default:
		a.low -= 512
		a.outstanding++
	}
}

// terminate codes a terminating bin; after a one the data is flushed and aligned, with the stop bit that closes it.
func (a *arithmetic) terminate(v int) {
	a.rng -= 2
	if v == 0 {
		a.renorm()
		return
	}
	a.low += a.rng
	a.rng = 2
	a.renorm()
	a.put(a.low >> 9 & 1)
	a.bits.u(2, uint64(a.low>>7&3|1))
	a.bits.free = 0
}

// made is a picture that a test codes by hand, of CTBs of 16 × 16 that are a coding unit each.
type made struct {
	columns, rows int
	chroma        int   // chroma_format_idc
	pcmNoFilter   int   // pcm_loop_filter_disabled_flag
	lists         int   // all factors of 8 × 8, where they are not the default; 0 is no scaling lists
	longTerm      int   // long-term pictures in the SPS, with deltas that are no zeros
	window        []int // conformance window
	qp            int   // of the slice
	cb, cr        int   // QP offsets of the slice
	offsets       []int // lists of chroma QP offsets: Cb, Cr, Cb, Cr, …
	skip          bool  // transform skip up to 8 × 8
	bypass        bool  // cu_transquant_bypass
	wavefront     bool
	dependent     int  // CTB from which on a dependent segment goes on; 0 is none
	deblock       bool // the filter's strongest offsets
}

func (m *made) sps() []byte {
	w := new(bitWriter)
	w.u(4, 0).u(3, 0).u(1, 1).u(88, 0x0100).u(8, 93)
	w.ue(0, m.chroma)
	if m.chroma == 3 {
		w.flags(0)
	}
	w.ue(16*m.columns, 16*m.rows).flags(b2i(m.window != nil)).ue(m.window...)
	w.ue(0, 0, 0).flags(1).ue(0, 0, 0) // depths of 8 bits, POC of 4
	w.ue(1, 0, 0, 2, 0, 0)             // CBs of 16 to 16, TBs of 4 to 16, no depth
	w.flags(b2i(m.lists > 0))
	if m.lists > 0 {
		w.flags(1)
		for size := range 4 {
			for matrix := 0; matrix < 6; matrix += 1 + 2*b2i(size == 3) {
				if size != 1 {
					w.flags(0).ue(0)
					continue
				}
				w.flags(1).se(m.lists - 8)
				for range 63 {
					w.se(0)
				}
			}
		}
	}
	w.flags(0, 0, 1).u(4, 7).u(4, 7).ue(1, 0).flags(m.pcmNoFilter) // PCM of 16 × 16
	w.ue(0).flags(b2i(m.longTerm > 0))
	if m.longTerm > 0 {
		w.ue(m.longTerm)
		for range m.longTerm {
			w.u(4, 9).u(1, 1)
		}
	}
	w.flags(0, 0, 0, 0)
	return nal(nalSPS, w.aligned().data)
}

func (m *made) pps() []byte {
	w := new(bitWriter)
	w.ue(0, 0).flags(b2i(m.dependent > 0), 0).u(3, 0).flags(0, 0).ue(0, 0).se(m.qp - 26)
	w.flags(0, b2i(m.skip), 0).se(0).se(0).flags(1, 0, 0, b2i(m.bypass), 0, b2i(m.wavefront), 0)
	w.flags(1, 0, b2i(!m.deblock))
	if m.deblock {
		w.se(6).se(6)
	}
	w.flags(0, 0).ue(0).flags(0, b2i(m.skip || m.offsets != nil))
	if m.skip || m.offsets != nil {
		w.flags(1, 0, 0, 0).u(4, 0)
		if m.skip {
			w.ue(1) // 8 × 8
		}
		w.flags(0, b2i(m.offsets != nil))
		if m.offsets != nil {
			w.ue(0, len(m.offsets)/2-1)
			for _, v := range m.offsets {
				w.se(v)
			}
		}
		w.ue(0, 0)
	}
	return nal(nalPPS, w.aligned().data)
}

// encode codes the picture: unit codes what follows a unit's part_mode.
func (m *made) encode(unit func(a *arithmetic, ctb int)) [][]byte {
	nals := [][]byte{m.sps(), m.pps()}
	n := m.columns * m.rows
	a := new(arithmetic)
	var saved models
	begin := func(at int) {
		w := &a.bits
		*w = bitWriter{}
		w.flags(b2i(at == 0), 0).ue(0)
		if at > 0 {
			w.flags(1).u(ceilLog2(n), uint64(at))
		} else {
			w.ue(sliceI)
			w.se(0).se(m.cb).se(m.cr)
			if m.offsets != nil {
				w.flags(1)
			}
		}
		if m.wavefront {
			w.ue(0) // entry points are a help that a decoder may do without
		}
		w.aligned()
		a.start()
	}
	begin(0)
	a.reset(m.qp)
	for ctb := range n {
		x := ctb % m.columns
		if ctb > 0 && x == 0 && m.wavefront {
			if m.columns > 1 {
				a.models = saved
			} else {
				a.reset(m.qp)
			}
		}
		if m.bypass {
			a.bin(ctxBypassCu, b2i(ctb%2 == 0))
		}
		a.bin(ctxPartMode, 1)
		unit(a, ctb)
		if m.wavefront && x == 1 {
			saved = a.models
		}
		end := ctb == n-1 || ctb+1 == m.dependent
		a.terminate(b2i(end))
		switch {
		case end:
			nals = append(nals, nal(nalIDRFirst, a.bits.data))
			if ctb+1 < n {
				begin(ctb + 1)
			}
		case m.wavefront && x == m.columns-1:
			a.terminate(1)
			a.start()
		}
	}
	return nals
}

// sample is one of a picture with nothing regular in it.
func sample(c, x, y int) byte { return byte(uint32(x*7919+y*104729+c*31+17) * 2654435761 >> 13) }

// pcmUnit codes a unit as PCM, of samples by at.
func (m *made) pcmUnit(a *arithmetic, ctb int, at func(c, x, y int) byte) {
	a.terminate(1)
	for c := range 1 + 2*b2i(m.chroma != 0) {
		size := 16 >> b2i(c > 0 && m.chroma == 1)
		for y := range size {
			for x := range size {
				a.bits.u(8, uint64(at(c, ctb%m.columns*size+x, ctb/m.columns*size+y)))
			}
		}
	}
	a.start()
}

func (m *made) whole(c int, at func(c, x, y int) byte) (pix []uint16) {
	shift := b2i(c > 0 && m.chroma == 1)
	for y := range 16 * m.rows >> shift {
		for x := range 16 * m.columns >> shift {
			pix = append(pix, uint16(at(c, x, y)))
		}
	}
	return pix
}

// TestPicturesMadeByHand: PCM is the samples themselves, however the picture is cut into segments and substreams.
func TestPicturesMadeByHand(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]made{
		"plain":                     {columns: 3, rows: 2, chroma: 1, qp: 30},
		"monochrome":                {columns: 2, rows: 2, qp: 30},
		"4:4:4":                     {columns: 2, rows: 1, chroma: 3, qp: 30},
		"long-term pictures":        {columns: 2, rows: 2, chroma: 1, qp: 30, longTerm: 5},
		"dependent segment":         {columns: 4, rows: 3, chroma: 1, qp: 30, dependent: 6, bypass: true},
		"wavefront":                 {columns: 4, rows: 4, chroma: 1, qp: 30, wavefront: true, bypass: true},
		"wavefront of one column":   {columns: 1, rows: 5, chroma: 1, qp: 30, wavefront: true, bypass: true},
		"wavefront of two columns":  {columns: 2, rows: 5, chroma: 1, qp: 30, wavefront: true, bypass: true},
		"unfiltered between others": {columns: 4, rows: 4, chroma: 1, qp: 51, deblock: true, pcmNoFilter: 1},
	} {
		g, err := decode(t, m.encode(func(a *arithmetic, ctb int) { m.pcmUnit(a, ctb, sample) }), Options{})
		require.NoError(t, err, name)
		for c := range g.pix {
			require.Equal(t, m.whole(c, sample), g.pix[c], "%s: component %d", name, c)
		}
	}
}

// TestUnfilteredBlocksAreKept: at an edge between a lossless block and one that is not, only the samples of the latter change (8.7.2.5.7).
func TestUnfilteredBlocksAreKept(t *testing.T) {
	t.Parallel()
	flat := func(c, x, y int) byte {
		if c > 0 {
			x, y = 2*x, 2*y
		}
		return byte(100 + 16*((x>>4+y>>4)%2))
	}
	m := made{columns: 3, rows: 1, chroma: 1, qp: 51, deblock: true, bypass: true}
	g, err := decode(t, m.encode(func(a *arithmetic, ctb int) { m.pcmUnit(a, ctb, flat) }), Options{})
	require.NoError(t, err)
	changed := map[int]bool{}
	for i, v := range m.whole(0, flat) {
		if g.pix[0][i] != v {
			changed[i%48] = true
		}
	}
	for x := range 48 {
		near := x >= 16 && x < 19 || x >= 29 && x < 32 // of the middle unit, which is not lossless
		assert.Equal(t, near, changed[x], "column %d", x)
	}
}

// chromaUnit codes a unit without luma residual and with a level in the first coefficient of each chroma block.
func (m *made) chromaUnit(a *arithmetic, offset func(*arithmetic)) {
	a.terminate(0) // no PCM
	a.bin(ctxPrevIntra, 1)
	a.bypass(0)
	a.bin(ctxChromaMode, 0)
	a.bin(ctxCbfChroma, 1)
	a.bin(ctxCbfChroma, 1)
	a.bin(ctxCbfLuma+1, 0)
	if offset != nil {
		offset(a)
	}
	for range 2 {
		if m.skip {
			a.bin(ctxSkipTransform+1, 1)
		}
		a.bin(ctxLastX+15, 0)
		a.bin(ctxLastY+15, 0)
		a.bin(ctxGreater1+16+1, 0)
		a.bypass(0)
	}
}

// TestChromaOffsetLists: a unit that takes an entry of the lists is as one of a slice with these offsets.
func TestChromaOffsetLists(t *testing.T) {
	t.Parallel()
	lists := []int{1, 2, 9, -11, 3, 4}
	for entry := -1; entry < 3; entry++ {
		m := made{columns: 2, rows: 1, chroma: 1, qp: 30, offsets: lists}
		got, err := decode(t, m.encode(func(a *arithmetic, ctb int) {
			m.chromaUnit(a, func(a *arithmetic) {
				a.bin(ctxChromaOffset, b2i(entry >= 0))
				for i := range 2 {
					if entry >= i {
						a.bin(ctxChromaIndex, b2i(entry > i))
					}
				}
			})
		}), Options{})
		require.NoError(t, err)
		plain := made{columns: 2, rows: 1, chroma: 1, qp: 30}
		if entry >= 0 {
			plain.cb, plain.cr = lists[2*entry], lists[2*entry+1]
		}
		want, err := decode(t, plain.encode(func(a *arithmetic, ctb int) { plain.chromaUnit(a, nil) }), Options{})
		require.NoError(t, err)
		require.Equal(t, want.pix, got.pix, "entry %d", entry)
		require.NotEqual(t, want.pix[0][0], want.pix[1][0], "the residual is to be seen")
	}
}

// TestChromaQPEndsAt51 where chroma is not subsampled; in 4:2:0 the table ends it (8.6.1).
func TestChromaQPEndsAt51(t *testing.T) {
	t.Parallel()
	for _, chroma := range []int{1, 3} {
		picture := func(offset int) [][]uint16 {
			m := made{columns: 1, rows: 1, chroma: chroma, qp: 51, cb: offset, cr: offset}
			g, err := decode(t, m.encode(func(a *arithmetic, ctb int) { m.chromaUnit(a, nil) }), Options{})
			require.NoError(t, err)
			return g.pix
		}
		if chroma == 3 {
			assert.Equal(t, picture(0), picture(12))
		} else {
			assert.Equal(t, picture(6), picture(12))
			assert.NotEqual(t, picture(0), picture(6))
		}
	}
}

// TestScalingListsAndTransformSkip: blocks without transform beyond 4 × 4 take no factors (8.6.4.2), transformed ones do.
func TestScalingListsAndTransformSkip(t *testing.T) {
	t.Parallel()
	picture := func(skip bool, lists int) [][]uint16 {
		m := made{columns: 1, rows: 1, chroma: 1, qp: 40, skip: skip, lists: lists}
		g, err := decode(t, m.encode(func(a *arithmetic, ctb int) { m.chromaUnit(a, nil) }), Options{})
		require.NoError(t, err)
		return g.pix
	}
	assert.Equal(t, picture(true, 0), picture(true, 100))
	assert.NotEqual(t, picture(false, 0), picture(false, 100))
	assert.Equal(t, picture(false, 0), picture(false, 16))
}

// TestConformanceWindow crops, and must leave something.
func TestConformanceWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		window []int // left, right, top, bottom, of two samples each
		ok     bool
	}{
		{[]int{0, 0, 0, 0}, true},
		{[]int{7, 8, 3, 4}, true},
		{[]int{7, 9, 0, 0}, false}, // nothing of 32 columns
		{[]int{0, 0, 4, 4}, false}, // nothing of 16 rows
		{[]int{16, 0, 0, 0}, false},
		{[]int{0, 20, 0, 0}, false},
	} {
		m := made{columns: 2, rows: 1, chroma: 1, qp: 30, window: c.window}
		g, err := decode(t, m.encode(func(a *arithmetic, ctb int) { m.pcmUnit(a, ctb, sample) }), Options{})
		if !c.ok {
			require.ErrorAs(t, err, new(FormatError), "%v", c.window)
			continue
		}
		require.NoError(t, err, "%v", c.window)
		require.Equal(t, 32-2*c.window[0]-2*c.window[1], g.width[0])
		require.Equal(t, 16-2*c.window[2]-2*c.window[3], g.height[0])
		require.EqualValues(t, sample(0, 2*c.window[0], 2*c.window[2]), g.pix[0][0])
	}
}

// TestStrongSmoothingIsOfLuma alone (8.4.4.2.3): chroma of 32 × 32, which 4:4:4 has, has the filter of three samples.
func TestStrongSmoothingIsOfLuma(t *testing.T) {
	t.Parallel()
	d := &Decoder{sps: &sps{strongSmoothing: true, depth: 8, depthC: 8, chroma: 3}}
	for i := range d.border {
		d.border[i] = uint16(100 + i%3)
	}
	for c := range 2 {
		f := *d.smooth(c, 5)
		three := true
		for i := 1; i < 128; i++ {
			three = three && f[i] == (d.border[i-1]+2*d.border[i]+d.border[i+1]+2)>>2
		}
		assert.Equal(t, c == 1, three, "component %d", c)
	}
}

// TestCutSlicesAreTruncated: the error says that data is missing, not that it is wrong, wherever the slice ends.
func TestCutSlicesAreTruncated(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lossless", "gray10"} {
		nals := split(readTestdata(t, name))
		whole := nals[len(nals)-1]
		for n := 16; n < len(whole)-2; n += 97 {
			nals[len(nals)-1] = bytes.Clone(whole[:n])
			_, err := decode(t, nals, Options{})
			require.ErrorIs(t, err, ErrTruncated, "%s cut at %d of %d", name, n, len(whole))
		}
	}
}

package jpeg

import (
	"bytes"
	"math"
	"math/bits"
)

// The encoder of the tests writes what the standard library's does not: any
// sampling and number of components, progressive scans, restart intervals and
// odd Huffman tables.

// source component of an encoded image.
type encComponent struct {
	id   byte
	h, v int
	// sample returns the value at a point of the plane at its full size.
	sample func(x, y int) byte
}

// encScan is a scan to write: components and T.81 G.1.1.1 parameters.
type encScan struct {
	comps             []int
	first, last       int
	high, low         int
	restartInterval   int // changes the one in force if not 0
	breakRestartOrder bool
}

type encoding struct {
	width, height int
	comps         []encComponent
	progressive   bool
	scans         []encScan // nil: one for all
	quant         int       // step of DC; AC steps grow with frequency
	quant16       bool
	restart       int
	table         huffmanSpec // for all: DC and AC; zero value: typical tables
	noTables      bool
	extra         []byte // segments after SOI
	fill          bool   // fill bytes and garbage between the segments
}

// flatTable codes every byte with 8 or 9 bits.
func flatTable() huffmanSpec {
	s := huffmanSpec{values: make([]byte, 256)}
	s.counts[7], s.counts[8] = 254, 2
	for i := range s.values {
		s.values[i] = byte(i)
	}
	return s
}

// longTable codes ten values with 4 bits and all others with 16.
func longTable() huffmanSpec {
	s := huffmanSpec{}
	s.counts[3], s.counts[15] = 10, 246
	for i := range 256 {
		s.values = append(s.values, byte(i*7)) // 7 is prime to 256
	}
	return s
}

// progression is the script of a usual progressive file.
func progression(comps int) []encScan {
	var all []int
	for i := range comps {
		all = append(all, i)
	}
	scans := []encScan{{comps: all, low: 1}}
	for _, i := range all {
		scans = append(scans,
			encScan{comps: []int{i}, first: 1, last: 5, low: 2},
			encScan{comps: []int{i}, first: 6, last: 63, low: 2},
			encScan{comps: []int{i}, first: 1, last: 63, high: 2, low: 1})
	}
	scans = append(scans, encScan{comps: all, high: 1})
	for _, i := range all {
		scans = append(scans, encScan{comps: []int{i}, first: 1, last: 63, high: 1})
	}
	return scans
}

type encoder struct {
	bytes.Buffer
	acc   uint64
	n     uint
	codes [2][2][256]struct{ code, length uint16 } // class, id
}

func (e *encoder) segment(marker byte, p ...byte) {
	n := len(p) + 2
	e.Write([]byte{0xff, marker, byte(n >> 8), byte(n)})
	e.Write(p)
}

func (e *encoder) put(v uint32, n uint) {
	e.acc = e.acc<<n | uint64(v)&(1<<n-1)
	for e.n += n; e.n >= 8; e.n -= 8 {
		b := byte(e.acc >> (e.n - 8))
		e.WriteByte(b)
		if b == 0xff {
			e.WriteByte(0)
		}
	}
}

func (e *encoder) flush() {
	if e.n > 0 {
		e.put(0x7f, 8-e.n)
	}
}

func (e *encoder) table(class, id int, s huffmanSpec, write bool) {
	if write {
		p := append([]byte{byte(class<<4 | id)}, s.counts[:]...)
		e.segment(markerDHT, append(p, s.values...)...)
	}
	code, k := 0, 0
	for i, count := range s.counts {
		for range count {
			e.codes[class][id][s.values[k]] = struct{ code, length uint16 }{uint16(code), uint16(i + 1)}
			code++
			k++
		}
		code <<= 1
	}
}

func (e *encoder) symbol(class, id int, v byte) {
	c := e.codes[class][id][v]
	if c.length == 0 {
		panic("no code")
	}
	e.put(uint32(c.code), uint(c.length))
}

// value writes the extra bits of v, of which there are size.
func (e *encoder) value(v int, size int) {
	if v < 0 {
		v += 1<<size - 1
	}
	e.put(uint32(v), uint(size))
}

func category(v int) int {
	if v < 0 {
		v = -v
	}
	return bits.Len(uint(v))
}

// coefficients returns the quantized blocks of a component in zigzag order.
func coefficients(c encComponent, k *component, quant *[64]int) [][64]int {
	var cosine [8][8]float64
	for u := range 8 {
		for x := range 8 {
			cosine[u][x] = math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) / 2
			if u == 0 {
				cosine[u][x] /= math.Sqrt2
			}
		}
	}
	out := make([][64]int, k.gridX*k.gridY)
	for i := range out {
		bx, by := i%k.gridX*8, i/k.gridX*8
		var s, t [64]float64
		for y := range 8 {
			for x := range 8 {
				s[8*y+x] = float64(c.sample(min(bx+x, k.width-1), min(by+y, k.height-1))) - 128
			}
		}
		for y := range 8 {
			for u := range 8 {
				for x := range 8 {
					t[8*y+u] += s[8*y+x] * cosine[u][x]
				}
			}
		}
		for z, natural := range zigzag {
			u, v := int(natural)&7, int(natural)>>3
			sum := 0.0
			for y := range 8 {
				sum += t[8*y+u] * cosine[v][y]
			}
			out[i][z] = int(math.Round(sum / float64(quant[z])))
		}
	}
	return out
}

// encode writes the file.
func encode(g encoding) []byte {
	e := &encoder{}
	f := frame{width: g.width, height: g.height, n: len(g.comps)}
	for i, c := range g.comps {
		f.comps[i].h, f.comps[i].v = c.h, c.v
	}
	f.layout()
	separator := func() {
		if g.fill {
			e.Write([]byte{0x00, 0x12, 0xff, 0x00, 0xff, 0xff, 0xff})
		}
	}
	e.Write([]byte{0xff, markerSOI})
	e.Write(g.extra)
	separator()

	var quant [64]int
	dqt := []byte{0}
	if g.quant16 {
		dqt[0] = 0x10
	}
	for k := range quant {
		quant[k] = max(g.quant, 1) + k*max(g.quant-1, 0)/16
		if g.quant16 {
			dqt = append(dqt, byte(quant[k]>>8))
		}
		dqt = append(dqt, byte(quant[k]))
	}
	e.segment(markerDQT, dqt...)
	separator()
	tables := [2][2]huffmanSpec{typicalDC, typicalAC}
	if g.table.values != nil {
		tables = [2][2]huffmanSpec{{g.table, g.table}, {g.table, g.table}}
		// A DC table has categories only.
		for i := range 2 {
			dc := huffmanSpec{}
			dc.counts[3], dc.counts[12] = 8, 8
			for v := range 16 {
				dc.values = append(dc.values, byte(v*5&15))
			}
			tables[0][i] = dc
		}
	}
	for class := range 2 {
		for id := range 2 {
			e.table(class, id, tables[class][id], !g.noTables)
		}
	}
	sof := []byte{8, byte(g.height >> 8), byte(g.height), byte(g.width >> 8), byte(g.width), byte(f.n)}
	for _, c := range g.comps {
		sof = append(sof, c.id, byte(c.h<<4|c.v), 0)
	}
	marker := byte(markerSOF1)
	if g.progressive {
		marker = markerSOF2
	}
	separator()
	e.segment(marker, sof...)
	var coefs [][][64]int
	for i, c := range g.comps {
		coefs = append(coefs, coefficients(c, &f.comps[i], &quant))
	}
	restart := 0
	scans := g.scans
	if scans == nil && g.progressive {
		scans = progression(f.n)
	} else if scans == nil {
		scans = []encScan{{last: 63}}
		for i := range f.n {
			scans[0].comps = append(scans[0].comps, i)
		}
	}
	scans[0].restartInterval = g.restart
	for i, s := range scans {
		if s.restartInterval != 0 {
			restart = s.restartInterval
			e.segment(markerDRI, byte(restart>>8), byte(restart))
		}
		if i == 0 {
			separator()
		}
		e.scan(&f, g.comps, coefs, s, restart, g.progressive)
		if g.fill {
			e.Write([]byte{0xff, 0xff})
		}
	}
	e.Write([]byte{0xff, markerEOI})
	return e.Bytes()
}

func (e *encoder) scan(f *frame, comps []encComponent, coefs [][][64]int, s encScan, restart int, progressive bool) {
	p := []byte{byte(len(s.comps))}
	for _, i := range s.comps {
		id := min(i, 1)
		p = append(p, comps[i].id, byte(id<<4|id))
	}
	e.segment(markerSOS, append(p, byte(s.first), byte(s.last), byte(s.high<<4|s.low))...)
	c0 := &f.comps[s.comps[0]]
	mcusX, mcusY := c0.blocksX, c0.blocksY
	if len(s.comps) > 1 {
		mcusX, mcusY = f.mcusX, f.mcusY
	}
	r := refiner{e: e}
	var pred [4]int
	for mcu := range mcusX * mcusY {
		if restart > 0 && mcu > 0 && mcu%restart == 0 {
			r.flushRun()
			e.flush()
			number := byte(mcu/restart-1) & 7
			if s.breakRestartOrder {
				number ^= 4
			}
			e.Write([]byte{0xff, markerRST0 + number})
			pred = [4]int{}
		}
		for _, i := range s.comps {
			c := &f.comps[i]
			h, v := c.h, c.v
			if len(s.comps) == 1 {
				h, v = 1, 1
			}
			for dy := range v {
				for dx := range h {
					x, y := mcu%mcusX*h+dx, mcu/mcusX*v+dy
					block := &coefs[i][y*c.gridX+x]
					switch id := min(i, 1); {
					case !progressive:
						e.dc(id, block[0], &pred[i])
						e.sequentialAC(id, block)
					case s.first == 0 && s.high == 0:
						e.dc(id, block[0]>>s.low, &pred[i])
					case s.first == 0:
						e.put(uint32(block[0]>>s.low&1), 1)
					default:
						r.id = id
						r.block(block, s)
					}
				}
			}
		}
	}
	r.flushRun()
	e.flush()
}

func (e *encoder) dc(id, v int, pred *int) {
	diff := v - *pred
	*pred = v
	size := category(diff)
	e.symbol(0, id, byte(size))
	e.value(diff, size)
}

func (e *encoder) sequentialAC(id int, block *[64]int) {
	run := 0
	for k := 1; k < 64; k++ {
		if block[k] == 0 {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			e.symbol(1, id, 0xf0)
		}
		size := category(block[k])
		e.symbol(1, id, byte(run<<4|size))
		e.value(block[k], size)
		run = 0
	}
	if run > 0 {
		e.symbol(1, id, 0)
	}
}

// refiner writes AC scans of progressive files, first and later ones. Runs of
// ended blocks keep their correction bits until they are written (T.81 figures
// G.3 to G.9).
type refiner struct {
	e          *encoder
	id         int
	run        int
	correction []bool
}

func (r *refiner) flushRun() {
	if r.run > 0 {
		n := bits.Len(uint(r.run)) - 1
		r.e.symbol(1, r.id, byte(n<<4))
		r.e.put(uint32(r.run), uint(n))
	}
	r.run = 0
	r.flushBits(&r.correction)
}

func (r *refiner) flushBits(c *[]bool) {
	for _, b := range *c {
		v := uint32(0)
		if b {
			v = 1
		}
		r.e.put(v, 1)
	}
	*c = nil
}

func (r *refiner) block(block *[64]int, s encScan) {
	// Point transform of AC coefficients: division towards zero.
	shifted := func(k, low int) int {
		v := block[k]
		if v < 0 {
			return -(-v >> low)
		}
		return v >> low
	}
	lastNew := 0 // the last coefficient to be coded as newly not zero
	for k := s.first; k <= s.last; k++ {
		if shifted(k, s.low) != 0 && (s.high == 0 || shifted(k, s.high) == 0) {
			lastNew = k
		}
	}
	zeros := 0
	var pending []bool
	for k := s.first; k <= s.last; k++ {
		v := shifted(k, s.low)
		if s.high != 0 && shifted(k, s.high) != 0 {
			pending = append(pending, v&1 != 0)
			if v < 0 {
				pending[len(pending)-1] = -v&1 != 0
			}
			continue
		}
		if v == 0 {
			zeros++
			if zeros == 16 && k < lastNew {
				r.flushRun()
				r.e.symbol(1, r.id, 0xf0)
				r.flushBits(&pending)
				zeros = 0
			}
			continue
		}
		r.flushRun()
		size := category(v)
		if s.high != 0 {
			size = 1
			v = max(min(v, 1), -1)
		}
		r.e.symbol(1, r.id, byte(zeros<<4|size))
		r.e.value(v, size)
		r.flushBits(&pending)
		zeros = 0
	}
	if zeros > 0 || len(pending) > 0 {
		r.run++
		r.correction = append(r.correction, pending...)
		if r.run == 0x7fff {
			r.flushRun()
		}
	}
}

package icc

import (
	"encoding/binary"
	"errors"
	"math"
)

// lut is a multi-dimensional transform from device bytes to the connection space:
// input curves, a grid, then, each where it is there, curves, a matrix and output curves.
type lut struct {
	in   [4][256]position
	grid []uint16 // 3 values a node, the last channel's nodes side by side
	// step is the distance of neighbouring nodes in each channel, in values.
	step   [4]int
	mid    *[3]sampled
	matrix *[12]float32 // rows of 3, then the offsets
	out    [3]sampled
	// scale and offset turn the outputs of 0..1 into L, a, b or X, Y, Z.
	scale, offset [3]float32
	lab           bool
}

// position is where an input byte falls in one channel of the grid.
type position struct {
	base  int32 // of the node below, in values
	above float32
}

// maxGrid bounds a grid's values; a CMYK profile of 17 nodes has 250,563.
const maxGrid = MaxProfile / 2

var errLUT = errors.New("icc: a table of a shape that cannot be")

// parseLUT reads lut8Type (10.10), lut16Type (10.11) or lutAToBType (10.12) with
// so many input channels and three outputs.
func parseLUT(b []byte, channels int, lab bool) (*lut, error) {
	if len(b) < 32 {
		return nil, errShort
	}
	if int(b[8]) != channels || b[9] != 3 {
		return nil, errLUT
	}
	l := &lut{lab: lab}
	if lab { // 6.3.4.2: PCSLAB in 8 bits and in 16 bits of version 4
		l.scale, l.offset = [3]float32{100, 255, 255}, [3]float32{0, -128, -128}
	} else { // 6.3.4.2: PCSXYZ reaches 1 + 32767/32768
		const s = 65535.0 / 32768
		l.scale = [3]float32{s, s, s}
	}
	switch string(b[:4]) {
	case "mft1":
		return l, l.parseTables(b, channels, 1)
	case "mft2":
		if lab { // 10.11: the legacy encoding, whose 100 is 0xFF00
			const s = 65535.0 / 65280
			l.scale, l.offset = [3]float32{100 * s, 255 * s, 255 * s}, [3]float32{0, -128, -128}
		}
		return l, l.parseTables(b, channels, 2)
	case "mAB ":
		return l, l.parseAToB(b, channels)
	}
	return nil, errors.New("icc: unknown type of table")
}

// parseTables reads lut8Type and lut16Type, whose entries have width bytes. The
// matrix applies to XYZ inputs alone, which a device does not have.
func (l *lut) parseTables(b []byte, channels, width int) error {
	nodes := int(b[10])
	at, inEntries, outEntries := 48, 256, 256
	if width == 2 {
		if len(b) < 52 {
			return errShort
		}
		inEntries, outEntries = int(binary.BigEndian.Uint16(b[48:])), int(binary.BigEndian.Uint16(b[50:]))
		at = 52
	}
	// 10.11 allows 2 to 4096 entries.
	if inEntries < 2 || inEntries > 4096 || outEntries < 2 || outEntries > 4096 {
		return errLUT
	}
	var all [4]int
	for c := range channels {
		all[c] = nodes
	}
	values, err := l.shape(all[:channels])
	if err != nil {
		return err
	}
	if at+width*(channels*inEntries+values+3*outEntries) > len(b) {
		return errShort
	}
	b = b[at:]
	read := func(n int) []uint16 {
		t := words(b, n, width)
		b = b[n*width:]
		return t
	}
	for c := range channels {
		cv := curve{table: read(inEntries)}
		l.input(c, nodes, cv)
	}
	l.grid = read(values)
	for c := range 3 {
		cv := curve{table: read(outEntries)}
		l.out[c] = cv.sampled()
	}
	return nil
}

// parseAToB reads lutAToBType: A curves, grid, M curves, matrix, B curves.
func (l *lut) parseAToB(b []byte, channels int) error {
	part := func(at int) ([]byte, error) {
		offset := binary.BigEndian.Uint32(b[at:])
		if offset == 0 {
			return nil, nil
		}
		if uint64(offset) >= uint64(len(b)) {
			return nil, errShort
		}
		return b[offset:], nil
	}
	var parts [5][]byte
	for i := range parts {
		var err error
		if parts[i], err = part(12 + 4*i); err != nil {
			return err
		}
	}
	bCurves, matrix, mCurves, grid, aCurves := parts[0], parts[1], parts[2], parts[3], parts[4]
	if bCurves == nil {
		return errLUT
	}
	out, err := parseCurves(bCurves, 3)
	if err != nil {
		return err
	}
	for c := range out {
		l.out[c] = out[c].sampled()
	}
	if mCurves != nil {
		mid, err := parseCurves(mCurves, 3)
		if err != nil {
			return err
		}
		l.mid = &[3]sampled{mid[0].sampled(), mid[1].sampled(), mid[2].sampled()}
	}
	if matrix != nil {
		if len(matrix) < 48 {
			return errShort
		}
		l.matrix = new([12]float32)
		for i := range l.matrix {
			l.matrix[i] = float32(fixed(matrix[4*i:]))
		}
	}
	in := make([]curve, channels)
	if aCurves != nil {
		if in, err = parseCurves(aCurves, channels); err != nil {
			return err
		}
	} else {
		for c := range in {
			in[c] = curve{p: [7]float64{1, 1}}
		}
	}
	if grid == nil {
		return l.noGrid(in)
	}
	// 10.12.5: 16 bytes of nodes, the width, then the values.
	if len(grid) < 20 {
		return errShort
	}
	var nodes [4]int
	for c := range channels {
		nodes[c] = int(grid[c])
	}
	values, err := l.shape(nodes[:channels])
	if err != nil {
		return err
	}
	width := int(grid[16])
	if width != 1 && width != 2 {
		return errLUT
	}
	if 20+values*width > len(grid) {
		return errShort
	}
	l.grid = words(grid[20:], values, width)
	for c := range channels {
		l.input(c, nodes[c], in[c])
	}
	return nil
}

// noGrid stands for a grid that is left out, which three channels may: two nodes
// each, whose interpolation changes nothing.
func (l *lut) noGrid(in []curve) error {
	if len(in) != 3 {
		return errLUT
	}
	values, err := l.shape([]int{2, 2, 2})
	if err != nil {
		return err
	}
	l.grid = make([]uint16, values)
	for node := range 8 {
		for c := range 3 {
			l.grid[3*node+c] = uint16(node>>(2-c)&1) * 65535
		}
	}
	for c := range in {
		l.input(c, 2, in[c])
	}
	return nil
}

// shape fixes the steps of a grid and returns how many values it has.
func (l *lut) shape(nodes []int) (int, error) {
	values := 3
	for c := len(nodes) - 1; c >= 0; c-- {
		if nodes[c] < 2 {
			return 0, errLUT
		}
		l.step[c] = values
		if values *= nodes[c]; values > maxGrid {
			return 0, errLUT
		}
	}
	return values, nil
}

// input fixes where each byte of a channel falls in the grid.
func (l *lut) input(c, nodes int, cv curve) {
	for i := range l.in[c] {
		x := cv.at(float64(i)/255) * float64(nodes-1)
		below := min(int(x), nodes-2)
		l.in[c][i] = position{base: int32(below * l.step[c]), above: float32(x - float64(below))}
	}
}

// words reads n values of one or two bytes as 16 bits.
func words(b []byte, n, width int) []uint16 {
	t := make([]uint16, n)
	for i := range t {
		if width == 1 {
			t[i] = uint16(b[i]) * 257
		} else {
			t[i] = binary.BigEndian.Uint16(b[2*i:])
		}
	}
	return t
}

// parseCurves reads n curves, each padded to four bytes.
func parseCurves(b []byte, n int) ([]curve, error) {
	out := make([]curve, n)
	for i := range out {
		c, size, err := parseCurve(b)
		if err != nil {
			return nil, err
		}
		out[i] = c
		b = b[min((size+3)&^3, len(b)):]
	}
	return out, nil
}

// convert turns pixels of 1, 3 or 4 channels into RGB where they are. Three
// channels leave a pixel's fourth byte alone. A run of one colour is computed once.
func (l *lut) convert(pix []byte, channels int) {
	table := encodeTable()
	m := toSRGB()
	var last, answer [4]byte
	fresh := true
	for ; len(pix) >= 4; pix = pix[4:] {
		px := [4]byte(pix)
		if channels < 4 {
			px[3] = 0
		}
		if fresh || px != last {
			last, fresh = px, false
			answer = l.pixel(px, channels, table, &m)
		}
		pix[0], pix[1], pix[2] = answer[0], answer[1], answer[2]
		if channels == 4 {
			pix[3] = 255
		}
	}
}

func (l *lut) pixel(px [4]byte, channels int, table *[1<<encodeBits + 1]byte, m *[9]float64) [4]byte {
	var at [4]position
	for c := range channels {
		at[c] = l.in[c][px[c]]
	}
	var x, y, z float32
	if channels == 4 {
		// The first channel linear, the others by tetrahedra, as Little CMS does.
		x, y, z = l.simplex(int(at[0].base), at[1:4], l.step[1:4])
		if f := at[0].above; f > 0 {
			x1, y1, z1 := l.simplex(int(at[0].base)+l.step[0], at[1:4], l.step[1:4])
			x, y, z = x+f*(x1-x), y+f*(y1-y), z+f*(z1-z)
		}
	} else {
		x, y, z = l.simplex(0, at[:channels], l.step[:channels])
	}
	x, y, z = x/65535, y/65535, z/65535
	if l.mid != nil {
		x, y, z = l.mid[0].at(x), l.mid[1].at(y), l.mid[2].at(z)
	}
	if k := l.matrix; k != nil {
		x, y, z = k[0]*x+k[1]*y+k[2]*z+k[9], k[3]*x+k[4]*y+k[5]*z+k[10], k[6]*x+k[7]*y+k[8]*z+k[11]
	}
	X := float64(l.out[0].at(x)*l.scale[0] + l.offset[0])
	Y := float64(l.out[1].at(y)*l.scale[1] + l.offset[1])
	Z := float64(l.out[2].at(z)*l.scale[2] + l.offset[2])
	if l.lab {
		f := (X + 16) / 116
		X, Y, Z = whiteX*labInverse(f+Y/500), whiteY*labInverse(f), whiteZ*labInverse(f-Z/200)
	}
	return [4]byte{
		lookUpUnit(table, m[0]*X+m[1]*Y+m[2]*Z),
		lookUpUnit(table, m[3]*X+m[4]*Y+m[5]*Z),
		lookUpUnit(table, m[6]*X+m[7]*Y+m[8]*Z),
	}
}

// simplex interpolates in up to three channels: from the node below along the
// channels, the one with the largest remainder first; in a cube that is by tetrahedra.
func (l *lut) simplex(node int, at []position, step []int) (x, y, z float32) {
	var above [4]float32 // one more than channels, and zero
	var by [3]int
	for c, p := range at {
		node += int(p.base)
		j := c
		for ; j > 0 && above[j-1] < p.above; j-- {
			above[j], by[j] = above[j-1], by[j-1]
		}
		above[j], by[j] = p.above, step[c]
	}
	weight := 1 - above[0]
	for c := 0; ; c++ {
		v := l.grid[node:][:3]
		x += weight * float32(v[0])
		y += weight * float32(v[1])
		z += weight * float32(v[2])
		if c == len(at) || above[c] == 0 {
			return x, y, z
		}
		node += by[c]
		weight = above[c] - above[c+1]
	}
}

func lookUpUnit(table *[1<<encodeBits + 1]byte, v float64) byte {
	if math.IsNaN(v) {
		return 0
	}
	return table[int(max(0, min(v, 1))*(1<<encodeBits)+0.5)]
}

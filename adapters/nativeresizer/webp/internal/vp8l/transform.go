package vp8l

// transform undoes one of the four transforms (RFC 9649, 3.5), row by row from the top.
type transform interface {
	// inverse returns a row before the transform, valid until the next call.
	inverse(y int, in []uint32) []uint32
	// units is what a pixel of its rows costs.
	units() int64
}

// Types of transforms.
const (
	predictorTransform = iota
	colourTransform
	greenTransform
	indexTransform
)

// tiles returns how many tiles of 1<<bits pixels cover a length.
func tiles(length int, bits uint) int { return (length + 1<<bits - 1) >> bits }

// Pixels are ARGB, eight bits each. Arithmetic of several channels at once takes every
// other one, or spreads all of them to lanes of 16 bits.
const (
	evenBytes = 0x00ff00ff
	oddBytes  = 0xff00ff00
	ones      = 0x0001000100010001
	opaque    = 0xff000000
)

// add adds by channel, modulo 256.
func add(a, b uint32) uint32 {
	return (a&evenBytes+b&evenBytes)&evenBytes | (a&oddBytes+b&oddBytes)&oddBytes
}

// average is that of each channel, rounded down.
func average(a, b uint32) uint32 { return (a^b)&0xfefefefe>>1 + a&b }

func spread(a uint32) uint64 { return uint64(a&evenBytes) | uint64(a>>8&evenBytes)<<32 }

func join(v uint64) uint32 { return uint32(v) | uint32(v>>32)<<8 }

// difference is the sum over the channels of |a - b|.
func difference(a, b uint64) uint64 {
	d := a + 256*ones - b              // 256 more than the difference
	negative := ^d >> 8 & ones         // 1 where it is below 0
	v := d&(255*ones) ^ negative*255   // its absolute value, or one less
	return (v + negative) * ones >> 48 // at most 4 × 255
}

// clampLanes brings lanes of 256 + v, v from -256 to 767, to v within 0 to 255.
func clampLanes(d uint64) uint32 {
	high := d >> 9 & ones // v ≥ 256
	some := (d>>8 | d>>9) & ones
	return join((d | high*255) & (some * 255))
}

// predictor is the predictor transform (RFC 9649, 3.5.1).
type predictor struct {
	width int
	bits  uint
	modes []uint8 // of the tiles
	// above and row are the rows before the transform, the first pixel of the row
	// below behind the last one of the row above.
	above, row []uint32
}

func (p *predictor) units() int64 { return predictorUnits }

func (p *predictor) inverse(y int, in []uint32) []uint32 {
	p.above, p.row = p.row, p.above
	out, up := p.row, p.above
	if y == 0 {
		left := uint32(opaque)
		for x, v := range in {
			left = add(v, left)
			out[x] = left
		}
		return out[:len(in)]
	}
	out[0] = add(in[0], up[0])
	up[len(in)] = out[0]
	modes := p.modes[y>>p.bits*tiles(p.width, p.bits):]
	for x := 1; x < len(in); {
		end := min((x>>p.bits+1)<<p.bits, len(in))
		predict(modes[x>>p.bits], in[x:end], out[x-1:end], up[x-1:end+1])
		x = end
	}
	return out[:len(in)]
}

// predict adds to the pixels of in what a mode predicts of those before them. The first
// pixel of out is that to the left, the first of up that above it.
func predict(mode uint8, in, out, up []uint32) {
	left, out, topLeft := out[0], out[1:], up[0]
	up, right := up[1:len(in)+1], up[2:]
	out, right = out[:len(in)], right[:len(in)]
	switch mode {
	default: // 0, and 14 and 15, which do not occur
		for x, v := range in {
			out[x] = add(v, opaque)
		}
	case 1:
		for x, v := range in {
			left = add(v, left)
			out[x] = left
		}
	case 2:
		for x, v := range in {
			out[x] = add(v, up[x])
		}
	case 3:
		for x, v := range in {
			out[x] = add(v, right[x])
		}
	case 4:
		for x, v := range in {
			out[x] = add(v, topLeft)
			topLeft = up[x]
		}
	case 5:
		for x, v := range in {
			left = add(v, average(average(left, right[x]), up[x]))
			out[x] = left
		}
	case 6:
		for x, v := range in {
			left = add(v, average(left, topLeft))
			topLeft = up[x]
			out[x] = left
		}
	case 7:
		for x, v := range in {
			left = add(v, average(left, up[x]))
			out[x] = left
		}
	case 8:
		for x, v := range in {
			out[x] = add(v, average(topLeft, up[x]))
			topLeft = up[x]
		}
	case 9:
		for x, v := range in {
			out[x] = add(v, average(up[x], right[x]))
		}
	case 10:
		for x, v := range in {
			left = add(v, average(average(left, topLeft), average(up[x], right[x])))
			topLeft = up[x]
			out[x] = left
		}
	case 11: // the one of left and above that is nearer to left + above - above left
		corner := spread(topLeft)
		for x, v := range in {
			t := up[x]
			above := spread(t)
			p := t
			if difference(above, corner) < difference(spread(left), corner) {
				p = left
			}
			left = add(v, p)
			corner = above
			out[x] = left
		}
	case 12:
		corner := spread(topLeft)
		for x, v := range in {
			above := spread(up[x])
			left = add(v, clampLanes(spread(left)+above+256*ones-corner))
			corner = above
			out[x] = left
		}
	case 13:
		for x, v := range in {
			t := up[x]
			a := spread(average(left, t))
			d := a + 512*ones - spread(topLeft)
			d += ^d >> 9 & ones // halves are rounded towards 0
			left = add(v, clampLanes(a+d>>1&(511*ones)))
			topLeft = t
			out[x] = left
		}
	}
}

// colours is the colour transform (RFC 9649, 3.5.2).
type colours struct {
	width int
	bits  uint
	tiles []uint32 // the multipliers of tiles: red to blue, green to blue, green to red
	row   []uint32
}

func (c *colours) units() int64 { return colourUnits }

func (c *colours) inverse(y int, in []uint32) []uint32 {
	row := c.row[:len(in)]
	of := c.tiles[y>>c.bits*tiles(c.width, c.bits):]
	for x := 0; x < len(in); {
		end := min((x>>c.bits+1)<<c.bits, len(in))
		t := of[x>>c.bits]
		greenRed, greenBlue, redBlue := int32(int8(t)), int32(int8(t>>8)), int32(int8(t>>16))
		out := row[x:end]
		for i, v := range in[x:end] {
			green := int32(int8(v >> 8))
			red := v>>16 + uint32(greenRed*green>>5)
			blue := v + uint32(greenBlue*green>>5) + uint32(redBlue*int32(int8(red))>>5)
			out[i] = v&oddBytes | red&255<<16 | blue&255
		}
		x = end
	}
	return row
}

// greens is the subtract green transform (RFC 9649, 3.5.3).
type greens struct{ row []uint32 }

func (g *greens) units() int64 { return greenUnits }

func (g *greens) inverse(_ int, in []uint32) []uint32 {
	row := g.row[:len(in)]
	for x, v := range in {
		row[x] = v&oddBytes | (v&evenBytes+v>>8&255*0x10001)&evenBytes
	}
	return row
}

// index is the colour indexing transform (RFC 9649, 3.5.4). A pixel's green holds the
// indices of 1<<bits pixels, the first lowest. Indices beyond the table are transparent.
type index struct {
	bits  uint
	table [256]uint32
	row   []uint32
}

func (t *index) units() int64 { return indexUnits }

func (t *index) inverse(_ int, in []uint32) []uint32 {
	out := t.row
	if t.bits == 0 {
		for x, v := range in {
			out[x] = t.table[v>>8&255]
		}
		return out
	}
	each := uint(8) >> t.bits
	mask := uint32(1)<<each - 1
	for _, v := range in {
		v >>= 8
		part := out[:min(1<<t.bits, len(out))]
		out = out[len(part):]
		for i := range part {
			part[i] = t.table[v&mask]
			v >>= each
		}
	}
	return t.row
}

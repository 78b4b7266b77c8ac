package hevc

// scalingLists are the scaling factors (7.3.4) of intra blocks, of which there are
// three matrices, of luma, Cb and Cr, for each size: the factor of coefficient (x, y) is at y<<log2 + x.
type scalingLists struct {
	factors [4][3][]uint8 // by log2 of the block's side - 2
}

// The default lists of 8 × 8 and above (Table 7-6), in the order of the up-right diagonal scan.
var (
	defaultIntra = [64]uint8{
		16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 17, 16, 17, 16, 17, 18, 17, 18, 18, 17, 18, 21, 19, 20, 21, 20, 19, 21, 24, 22, 22, 24,
		24, 22, 22, 24, 25, 25, 27, 30, 27, 25, 25, 29, 31, 35, 35, 31, 29, 36, 41, 44, 41, 36, 47, 54, 54, 47, 65, 70, 65, 88, 88, 115,
	}
	defaultInter = [64]uint8{
		16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 17, 17, 17, 17, 17, 18, 18, 18, 18, 18, 18, 20, 20, 20, 20, 20, 20, 20, 24, 24, 24, 24,
		24, 24, 24, 24, 25, 25, 25, 25, 25, 25, 25, 28, 28, 28, 28, 28, 28, 33, 33, 33, 33, 33, 41, 41, 41, 41, 54, 54, 54, 71, 71, 91,
	}
)

// list is one list as coded.
type list struct {
	coef [64]uint8
	dc   uint8
}

type codedLists [4][6]list

func defaultList(size, matrix int) (l list) {
	l.dc = 16
	switch {
	case size == 0:
		for i := range l.coef {
			l.coef[i] = 16
		}
	case matrix < 3:
		l.coef = defaultIntra
	default:
		l.coef = defaultInter
	}
	return l
}

func defaultLists() *scalingLists {
	var c codedLists
	for size := range 4 {
		for m := range 6 {
			c[size][m] = defaultList(size, m)
		}
	}
	return c.expand()
}

func parseLists(r *bitReader) (*scalingLists, bool) {
	var c codedLists
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for m := 0; m < 6; m += step {
			l := &c[size][m]
			if !r.flag() {
				delta, ok := r.upTo(m / step)
				if !ok {
					return nil, false
				}
				if delta == 0 {
					*l = defaultList(size, m)
				} else {
					*l = c[size][m-delta*step]
				}
				continue
			}
			next := 8
			l.dc = 16
			n := 64
			if size == 0 {
				n = 16
			}
			if size > 1 {
				dc := r.se()
				if dc < -7 || dc > 247 {
					return nil, false
				}
				next = dc + 8
				l.dc = uint8(next)
			}
			for i := range n {
				d := r.se()
				if d < -128 || d > 127 {
					return nil, false
				}
				next = (next + d + 256) & 255
				if next == 0 {
					return nil, false
				}
				l.coef[i] = uint8(next)
			}
		}
	}
	// Chroma of 32 × 32, which 4:4:4 has, takes the lists of 16 × 16 (7.3.4, 7.4.5).
	for _, m := range []int{1, 2, 4, 5} {
		c[3][m] = c[2][m]
	}
	return c.expand(), !r.over
}

// expand spreads the intra lists over the blocks (7.4.5).
func (c *codedLists) expand() *scalingLists {
	s := new(scalingLists)
	for size := range 4 {
		for m := range 3 {
			l := &c[size][m]
			log2 := size + 2
			f := make([]uint8, 1<<(2*log2))
			scan, shift := &scanTables[scanDiagonal][3], log2-3
			if size == 0 {
				scan, shift = &scanTables[scanDiagonal][2], 0
			}
			side := 1 << (log2 - shift)
			for i := range side * side {
				x0, y0 := int(scan.x[i])<<shift, int(scan.y[i])<<shift
				for y := range 1 << shift {
					for x := range 1 << shift {
						f[(y0+y)<<log2+x0+x] = l.coef[i]
					}
				}
			}
			if size > 1 {
				f[0] = l.dc
			}
			s.factors[size][m] = f
		}
	}
	return s
}

package icc

import (
	"encoding/binary"
	"errors"
	"math"
)

// curve maps 0..1 to 0..1: a table, or a parametric function where the table is empty.
type curve struct {
	table []uint16
	kind  int        // of parametricCurveType
	p     [7]float64 // g a b c d e f
}

// parametricCount is how many parameters the kinds have (10.18, table 68).
var parametricCount = [5]int{1, 3, 4, 5, 7}

// parseCurve reads a curveType (10.6) or a parametricCurveType (10.18), and
// tells how many bytes it took.
func parseCurve(b []byte) (curve, int, error) {
	if len(b) < 12 {
		return curve{}, 0, errShort
	}
	c := curve{p: [7]float64{1, 1}}
	switch string(b[:4]) {
	case "curv":
		n := uint64(binary.BigEndian.Uint32(b[8:]))
		size := 12 + 2*n
		if size > uint64(len(b)) {
			return curve{}, 0, errShort
		}
		switch n {
		case 0:
		case 1:
			c.p[0] = float64(binary.BigEndian.Uint16(b[12:])) / 256
		default:
			c.table = make([]uint16, n)
			for i := range c.table {
				c.table[i] = binary.BigEndian.Uint16(b[12+2*i:])
			}
		}
		return c, int(size), nil
	case "para":
		c.kind = int(binary.BigEndian.Uint16(b[8:]))
		if c.kind >= len(parametricCount) {
			return curve{}, 0, errors.New("icc: unknown parametric curve")
		}
		n := parametricCount[c.kind]
		if len(b) < 12+4*n {
			return curve{}, 0, errShort
		}
		for i := range n {
			c.p[i] = fixed(b[12+4*i:])
		}
		return c, 12 + 4*n, nil
	}
	return curve{}, 0, errors.New("icc: unknown type of curve")
}

// at evaluates the curve. Whatever the profile holds, the answer is in 0..1.
func (c *curve) at(x float64) float64 {
	x = unit(x)
	if n := len(c.table); n > 0 {
		x *= float64(n - 1)
		i := int(x)
		if i >= n-1 {
			return float64(c.table[n-1]) / 65535
		}
		lo, hi := float64(c.table[i]), float64(c.table[i+1])
		return (lo + (hi-lo)*(x-float64(i))) / 65535
	}
	g, a, b := c.p[0], c.p[1], c.p[2]
	var y float64
	switch c.kind {
	case 0:
		y = math.Pow(x, g)
	case 1: // CIE 122-1966
		if a*x+b >= 0 {
			y = math.Pow(a*x+b, g)
		}
	case 2: // IEC 61966-3
		y = c.p[3]
		if a*x+b >= 0 {
			y += math.Pow(a*x+b, g)
		}
	case 3: // IEC 61966-2-1
		if x >= c.p[4] {
			y = math.Pow(a*x+b, g)
		} else {
			y = c.p[3] * x
		}
	case 4:
		if x >= c.p[4] {
			y = math.Pow(a*x+b, g) + c.p[5]
		} else {
			y = c.p[3]*x + c.p[6]
		}
	}
	return unit(y)
}

// sampled is a curve of many points, for those evaluated at each pixel; nil where the curve does nothing.
type sampled []float32

const samples = 1024

func (c *curve) sampled() sampled {
	if len(c.table) == 0 && c.kind == 0 && c.p[0] == 1 {
		return nil
	}
	n := max(samples, min(len(c.table), 1<<12))
	s := make(sampled, n+1)
	for i := range s {
		s[i] = float32(c.at(float64(i) / float64(n)))
	}
	return s
}

func (s sampled) at(x float32) float32 {
	if !(x > 0) {
		x = 0
	}
	x = min(x, 1)
	if s == nil {
		return x
	}
	x *= float32(len(s) - 1)
	i := min(int(x), len(s)-2)
	return s[i] + (s[i+1]-s[i])*(x-float32(i))
}

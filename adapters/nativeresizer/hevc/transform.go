package hevc

// matrix is transMatrix (8.6.4.2): the row is the frequency.
var matrix = func() (m [32][32]int32) {
	// The first column; the others are the same cosines at other angles.
	first := [33]int32{
		64, 90, 90, 90, 89, 88, 87, 85, 83, 82, 80, 78, 75, 73, 70, 67,
		64, 61, 57, 54, 50, 46, 43, 38, 36, 31, 25, 22, 18, 13, 9, 4, 0,
	}
	for k := range 32 {
		for n := range 32 {
			at, sign := k*(2*n+1)%128, int32(1)
			if at > 64 {
				at = 128 - at
			}
			if at > 32 {
				at, sign = 64-at, -1
			}
			m[k][n] = sign * first[at]
		}
	}
	return m
}()

// Coefficients and what is between the two passes are held to 16 bits (8.6.4.1).
const (
	minCoefficient = -1 << 15
	maxCoefficient = 1<<15 - 1
)

func clip16(v int32) int32 { return min(max(v, minCoefficient), maxCoefficient) }

// inverse transforms a block of n × n coefficients in place (8.6.4.2): columns, then rows. Those
// beyond column lastX or row lastY are zero.
func inverse(coef []int32, log2, lastX, lastY int, shift uint) {
	n := 1 << log2
	var in, out [32]int32
	for x := range lastX + 1 {
		for y := range lastY + 1 {
			in[y] = coef[y<<log2+x]
		}
		pass(&out, &in, log2, lastY)
		for y := range n {
			coef[y<<log2+x] = clip16((out[y] + 64) >> 7)
		}
	}
	round := int32(1) << (shift - 1)
	for y := range n {
		row := coef[y<<log2:][:n]
		copy(in[:lastX+1], row)
		pass(&out, &in, log2, lastX)
		for x := range row {
			row[x] = (out[x] + round) >> shift
		}
	}
}

// pass is a one-dimensional transform of in[:last+1] by even and odd parts.
func pass(out, in *[32]int32, log2, last int) {
	switch log2 {
	case 2:
		pass4(out, in, 1, last)
	case 3:
		pass8(out, in, 1, last)
	case 4:
		pass16(out, in, 1, last)
	default:
		pass16(out, in, 2, last)
		odd(out, in, 1, last, 16)
	}
}

// pass4 transforms every step-th of in to four values.
func pass4(out, in *[32]int32, step, last int) {
	a := in[0] * 64
	var b, c, e int32
	if last >= step {
		c = in[step&31]
	}
	if last >= 2*step {
		b = in[2*step&31] * 64
	}
	if last >= 3*step {
		e = in[3*step&31]
	}
	even0, even1 := a+b, a-b
	odd0, odd1 := 83*c+36*e, 36*c-83*e
	out[0], out[1], out[2], out[3] = even0+odd0, even1+odd1, even1-odd1, even0-odd0
}

func pass8(out, in *[32]int32, step, last int) {
	pass4(out, in, 2*step, last)
	odd(out, in, step, last, 4)
}

func pass16(out, in *[32]int32, step, last int) {
	pass8(out, in, 2*step, last)
	odd(out, in, step, last, 8)
}

// odd adds the odd frequencies to half values, of which out already has the even ones: half, then twice as many.
func odd(out, in *[32]int32, step, last, half int) {
	var sum [16]int32
	scale := 16 / half // from the rows of this size's matrix to those of 32
	for k := 1; k < 2*half && k*step <= last; k += 2 {
		v := in[k*step&31]
		if v == 0 {
			continue
		}
		m := &matrix[k*scale&31]
		for i := range half {
			sum[i&15] += m[i&31] * v
		}
	}
	for i := range half {
		e, o := out[i&31], sum[i&15]
		out[i&31], out[(2*half-1-i)&31] = e+o, e-o
	}
}

// inverseDST transforms a block of 4 × 4 luma samples (8.6.4.2).
func inverseDST(coef []int32, shift uint) {
	coef = coef[:16]
	for x := range 4 {
		a, b, c, e := dst4(coef[x], coef[4+x], coef[8+x], coef[12+x])
		coef[x], coef[4+x] = clip16((a+64)>>7), clip16((b+64)>>7)
		coef[8+x], coef[12+x] = clip16((c+64)>>7), clip16((e+64)>>7)
	}
	round := int32(1) << (shift - 1)
	for y := 0; y < 16; y += 4 {
		a, b, c, e := dst4(coef[y], coef[y+1], coef[y+2], coef[y+3])
		coef[y], coef[y+1], coef[y+2], coef[y+3] = (a+round)>>shift, (b+round)>>shift, (c+round)>>shift, (e+round)>>shift
	}
}

func dst4(a, b, c, e int32) (int32, int32, int32, int32) {
	return 29*a + 74*b + 84*c + 55*e,
		55*a + 74*b - 29*c - 84*e,
		74*a - 74*c + 74*e,
		84*a - 74*b + 55*c - 29*e
}

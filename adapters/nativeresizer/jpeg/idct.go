package jpeg

// zigzag maps zigzag index to natural order, row times 8 plus column
// (T.81 figure A.6).
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

func clamp(v int32) byte {
	if uint32(v) > 255 {
		v = clampSlow(v)
	}
	return byte(v)
}

// clampSlow is the rare half of clamp, kept apart so that clamp is inlined.
func clampSlow(v int32) int32 {
	if v < 0 {
		return 0
	}
	return 255
}

// inverse transforms the dequantized size×size coefficients in coef to samples
// with the level shift of T.81 A.3.1. No coefficient beyond zigzag index top is
// other than zero.
//
// A transform of n < 8 points takes the low n×n coefficients of the 8×8 ones
// as the n×n DCT of the block at its smaller size. Both are orthonormal up to a
// factor of n/8.
func inverse(coef *[64]int32, top uint, size int, out []byte, stride int) {
	switch {
	case top == 0:
		v := clamp((coef[0]+4)>>3 + 128)
		for y := range size {
			row := out[y*stride:][:size]
			for x := range row {
				row[x] = v
			}
		}
	case size == 2:
		inverse2(coef, out, stride)
	case size == 4:
		inverse4(coef, out, stride)
	case top < 10:
		inverse8low(coef, out, stride)
	default:
		inverse8(coef, out, stride)
	}
}

// inverse2 is the 2×2 inverse DCT.
func inverse2(coef *[64]int32, out []byte, stride int) {
	a, b, c, d := coef[0]+4+128<<3, coef[1], coef[2], coef[3]
	r0, r1 := out[:2], out[stride:][:2]
	r0[0] = clamp((a + b + c + d) >> 3)
	r0[1] = clamp((a - b + c - d) >> 3)
	r1[0] = clamp((a + b - c - d) >> 3)
	r1[1] = clamp((a - b - c + d) >> 3)
}

// Constants of the 4 point transform, in units of 1<<13:
// cos(π/8)/√2 and sin(π/8)/√2. That of its even half is 1/2.
const (
	fix4cos = 5352
	fix4sin = 2217
)

// inverse4 is the 4×4 inverse DCT.
func inverse4(coef *[64]int32, out []byte, stride int) {
	var t [16]int32 // 4 fractional bits
	for i := range 4 {
		a0, a1, a2, a3 := coef[i]<<12+1<<8, coef[4+i], coef[8+i]<<12, coef[12+i]
		e0, e1 := a0+a2, a0-a2
		o0 := a1*fix4cos + a3*fix4sin
		o1 := a1*fix4sin - a3*fix4cos
		t[i] = (e0 + o0) >> 9
		t[4+i] = (e1 + o1) >> 9
		t[8+i] = (e1 - o1) >> 9
		t[12+i] = (e0 - o0) >> 9
	}
	for i := range 4 {
		// 13+4 fractional bits, and the factor of 4/8.
		a0, a1, a2, a3 := t[4*i]<<12+1<<17+128<<18, t[4*i+1], t[4*i+2]<<12, t[4*i+3]
		e0, e1 := a0+a2, a0-a2
		o0 := a1*fix4cos + a3*fix4sin
		o1 := a1*fix4sin - a3*fix4cos
		o := out[i*stride:][:4]
		o[0] = clamp((e0 + o0) >> 18)
		o[1] = clamp((e1 + o1) >> 18)
		o[2] = clamp((e1 - o1) >> 18)
		o[3] = clamp((e0 - o0) >> 18)
	}
}

// Constants of the 8 point transform of Loeffler, Ligtenberg and Moschytz
// ("Practical fast 1-D DCT algorithms with 11 multiplications", 1989) in units
// of 1<<13, named after their values as is usual.
const (
	fix0_298631336 = 2446
	fix0_390180644 = 3196
	fix0_541196100 = 4433
	fix0_765366865 = 6270
	fix0_899976223 = 7373
	fix1_175875602 = 9633
	fix1_501321110 = 12299
	fix1_847759065 = 15137
	fix1_961570560 = 16069
	fix2_053119869 = 16819
	fix2_562915447 = 20995
	fix3_072711026 = 25172
)

const (
	pass1Bits  = 2 // fractional bits between the passes
	pass1Shift = 13 - pass1Bits
	pass2Shift = 13 + pass1Bits + 3
	pass1Round = 1 << (pass1Shift - 1)
	pass2Round = 1<<(pass2Shift-1) + 128<<pass2Shift
)

// inverse8 is the 8×8 inverse DCT, columns first. Its results are within the
// accuracy of IEEE 1180.
func inverse8(coef *[64]int32, out []byte, stride int) {
	var t [64]int32
	for i := range 8 {
		c1, c2, c3 := coef[8+i], coef[16+i], coef[24+i]
		c4, c5, c6, c7 := coef[32+i], coef[40+i], coef[48+i], coef[56+i]
		if c1|c2|c3|c4|c5|c6|c7 == 0 {
			v := coef[i] << pass1Bits
			t[i], t[8+i], t[16+i], t[24+i] = v, v, v, v
			t[32+i], t[40+i], t[48+i], t[56+i] = v, v, v, v
			continue
		}
		z := (c2 + c6) * fix0_541196100
		e2 := z - c6*fix1_847759065
		e3 := z + c2*fix0_765366865
		z = coef[i]<<13 + pass1Round
		e0, e1 := z+c4<<13, z-c4<<13
		s0, s3, s1, s2 := e0+e3, e0-e3, e1+e2, e1-e2

		z1, z2, z3, z4 := c7+c1, c5+c3, c7+c3, c5+c1
		z5 := (z3 + z4) * fix1_175875602
		z1, z2 = z1*-fix0_899976223, z2*-fix2_562915447
		z3 = z3*-fix1_961570560 + z5
		z4 = z4*-fix0_390180644 + z5
		o0 := c7*fix0_298631336 + z1 + z3
		o1 := c5*fix2_053119869 + z2 + z4
		o2 := c3*fix3_072711026 + z2 + z3
		o3 := c1*fix1_501321110 + z1 + z4

		t[i], t[56+i] = (s0+o3)>>pass1Shift, (s0-o3)>>pass1Shift
		t[8+i], t[48+i] = (s1+o2)>>pass1Shift, (s1-o2)>>pass1Shift
		t[16+i], t[40+i] = (s2+o1)>>pass1Shift, (s2-o1)>>pass1Shift
		t[24+i], t[32+i] = (s3+o0)>>pass1Shift, (s3-o0)>>pass1Shift
	}
	for i := range 8 {
		r := t[8*i : 8*i+8 : 8*i+8]
		c1, c2, c3, c4, c5, c6, c7 := r[1], r[2], r[3], r[4], r[5], r[6], r[7]
		z := (c2 + c6) * fix0_541196100
		e2 := z - c6*fix1_847759065
		e3 := z + c2*fix0_765366865
		z = r[0]<<13 + pass2Round
		e0, e1 := z+c4<<13, z-c4<<13
		s0, s3, s1, s2 := e0+e3, e0-e3, e1+e2, e1-e2

		z1, z2, z3, z4 := c7+c1, c5+c3, c7+c3, c5+c1
		z5 := (z3 + z4) * fix1_175875602
		z1, z2 = z1*-fix0_899976223, z2*-fix2_562915447
		z3 = z3*-fix1_961570560 + z5
		z4 = z4*-fix0_390180644 + z5
		o0 := c7*fix0_298631336 + z1 + z3
		o1 := c5*fix2_053119869 + z2 + z4
		o2 := c3*fix3_072711026 + z2 + z3
		o3 := c1*fix1_501321110 + z1 + z4

		o := out[i*stride:][:8]
		o[0], o[7] = clamp((s0+o3)>>pass2Shift), clamp((s0-o3)>>pass2Shift)
		o[1], o[6] = clamp((s1+o2)>>pass2Shift), clamp((s1-o2)>>pass2Shift)
		o[2], o[5] = clamp((s2+o1)>>pass2Shift), clamp((s2-o1)>>pass2Shift)
		o[3], o[4] = clamp((s3+o0)>>pass2Shift), clamp((s3-o0)>>pass2Shift)
	}
}

// inverse8low is inverse8 for blocks whose coefficients are all among the first
// ten in zigzag order, which lie in the first four rows and columns. The results
// are the same.
func inverse8low(coef *[64]int32, out []byte, stride int) {
	var t [32]int32 // 8 rows of 4
	for i := range 4 {
		c0, c1, c2, c3 := coef[i], coef[8+i], coef[16+i], coef[24+i]
		e2, e3 := c2*fix0_541196100, c2*(fix0_541196100+fix0_765366865)
		z := c0<<13 + pass1Round
		s0, s3, s1, s2 := z+e3, z-e3, z+e2, z-e2
		z5 := (c3 + c1) * fix1_175875602
		z1, z2 := c1*-fix0_899976223, c3*-fix2_562915447
		z3, z4 := c3*-fix1_961570560+z5, c1*-fix0_390180644+z5
		o0, o1 := z1+z3, z2+z4
		o2, o3 := c3*fix3_072711026+z2+z3, c1*fix1_501321110+z1+z4
		t[i], t[28+i] = (s0+o3)>>pass1Shift, (s0-o3)>>pass1Shift
		t[4+i], t[24+i] = (s1+o2)>>pass1Shift, (s1-o2)>>pass1Shift
		t[8+i], t[20+i] = (s2+o1)>>pass1Shift, (s2-o1)>>pass1Shift
		t[12+i], t[16+i] = (s3+o0)>>pass1Shift, (s3-o0)>>pass1Shift
	}
	for i := range 8 {
		r := t[4*i : 4*i+4 : 4*i+4]
		c0, c1, c2, c3 := r[0], r[1], r[2], r[3]
		e2, e3 := c2*fix0_541196100, c2*(fix0_541196100+fix0_765366865)
		z := c0<<13 + pass2Round
		s0, s3, s1, s2 := z+e3, z-e3, z+e2, z-e2
		z5 := (c3 + c1) * fix1_175875602
		z1, z2 := c1*-fix0_899976223, c3*-fix2_562915447
		z3, z4 := c3*-fix1_961570560+z5, c1*-fix0_390180644+z5
		o0, o1 := z1+z3, z2+z4
		o2, o3 := c3*fix3_072711026+z2+z3, c1*fix1_501321110+z1+z4
		o := out[i*stride:][:8]
		o[0], o[7] = clamp((s0+o3)>>pass2Shift), clamp((s0-o3)>>pass2Shift)
		o[1], o[6] = clamp((s1+o2)>>pass2Shift), clamp((s1-o2)>>pass2Shift)
		o[2], o[5] = clamp((s2+o1)>>pass2Shift), clamp((s2-o1)>>pass2Shift)
		o[3], o[4] = clamp((s3+o0)>>pass2Shift), clamp((s3-o0)>>pass2Shift)
	}
}

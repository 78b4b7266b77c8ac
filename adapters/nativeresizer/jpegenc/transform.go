package jpegenc

// zigzag is the natural index of the k-th coefficient (figure A.6).
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

// standardQuant are the tables of K.1, luminance and chrominance, in natural order.
var standardQuant = [2][64]int{
	{
		16, 11, 10, 16, 24, 40, 51, 61,
		12, 12, 14, 19, 26, 58, 60, 55,
		14, 13, 16, 24, 40, 57, 69, 56,
		14, 17, 22, 29, 51, 87, 80, 62,
		18, 22, 37, 56, 68, 109, 103, 77,
		24, 35, 55, 64, 81, 104, 113, 92,
		49, 64, 78, 87, 103, 121, 120, 101,
		72, 92, 95, 98, 112, 100, 103, 99,
	},
	{
		17, 18, 24, 47, 99, 99, 99, 99,
		18, 21, 26, 66, 99, 99, 99, 99,
		24, 26, 56, 99, 99, 99, 99, 99,
		47, 66, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
	},
}

// Constants of the factorization by Loeffler, Ligtenberg and Moschytz, "Practical
// fast 1-D DCT algorithms with 11 multiplications" (1989), figure 1, with constBits of fraction.
const (
	constBits = 13
	passBits  = 2 // of fraction kept between the passes

	c0_298 = 2446
	c0_390 = 3196
	c0_541 = 4433
	c0_765 = 6270
	c0_899 = 7373
	c1_175 = 9633
	c1_501 = 12299
	c1_847 = 15137
	c1_961 = 16069
	c2_053 = 16819
	c2_562 = 20995
	c3_072 = 25172
)

// transform is the forward DCT (A.3.3), scaled by 8, in place.
func transform(b *[64]int32) {
	for i := 0; i < 64; i += 8 {
		r := (*[8]int32)(b[i:])
		s0, d0 := r[0]+r[7], r[0]-r[7]
		s1, d1 := r[1]+r[6], r[1]-r[6]
		s2, d2 := r[2]+r[5], r[2]-r[5]
		s3, d3 := r[3]+r[4], r[3]-r[4]

		e0, e3 := s0+s3, s0-s3
		e1, e2 := s1+s2, s1-s2
		r[0], r[4] = (e0+e1)<<passBits, (e0-e1)<<passBits
		const shift = constBits - passBits
		const half = 1 << (shift - 1)
		z := (e2+e3)*c0_541 + half
		r[2], r[6] = (z+e3*c0_765)>>shift, (z-e2*c1_847)>>shift

		z1, z2, z3, z4 := d3+d0, d2+d1, d3+d1, d2+d0
		z5 := (z3+z4)*c1_175 + half
		z1, z2 = -z1*c0_899, -z2*c2_562
		z3, z4 = z5-z3*c1_961, z5-z4*c0_390
		r[7] = (d3*c0_298 + z1 + z3) >> shift
		r[5] = (d2*c2_053 + z2 + z4) >> shift
		r[3] = (d1*c3_072 + z2 + z3) >> shift
		r[1] = (d0*c1_501 + z1 + z4) >> shift
	}
	for i := range 8 {
		r0, r1, r2, r3 := b[i], b[8+i], b[16+i], b[24+i]
		r4, r5, r6, r7 := b[32+i], b[40+i], b[48+i], b[56+i]
		s0, d0 := r0+r7, r0-r7
		s1, d1 := r1+r6, r1-r6
		s2, d2 := r2+r5, r2-r5
		s3, d3 := r3+r4, r3-r4

		e0, e3 := s0+s3+1<<(passBits-1), s0-s3
		e1, e2 := s1+s2, s1-s2
		b[i], b[32+i] = (e0+e1)>>passBits, (e0-e1)>>passBits
		const shift = constBits + passBits
		const half = 1 << (shift - 1)
		z := (e2+e3)*c0_541 + half
		b[16+i], b[48+i] = (z+e3*c0_765)>>shift, (z-e2*c1_847)>>shift

		z1, z2, z3, z4 := d3+d0, d2+d1, d3+d1, d2+d0
		z5 := (z3+z4)*c1_175 + half
		z1, z2 = -z1*c0_899, -z2*c2_562
		z3, z4 = z5-z3*c1_961, z5-z4*c0_390
		b[56+i] = (d3*c0_298 + z1 + z3) >> shift
		b[40+i] = (d2*c2_053 + z2 + z4) >> shift
		b[24+i] = (d1*c3_072 + z2 + z3) >> shift
		b[8+i] = (d0*c1_501 + z1 + z4) >> shift
	}
}

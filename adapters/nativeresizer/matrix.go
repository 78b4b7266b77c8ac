package nativeresizer

// matrix turns YCbCr of full range into RGB: the coefficients of 16 bits of fraction
// by which chroma is added. Nil stands for BT.601's.
type matrix struct{ crR, cbG, crG, cbB int32 }

// matrixOf returns the matrix of matrix coefficients of ITU-T H.273, Table 4. What is not
// specified, or derived from things that pictures do not tell, counts as BT.601.
func matrixOf(code int) *matrix {
	var kr, kb float64
	switch code {
	case 1:
		kr, kb = 0.2126, 0.0722
	case 4:
		kr, kb = 0.30, 0.11
	case 7:
		kr, kb = 0.212, 0.087
	case 8: // YCgCo: green Y + Cg, red Y − Cg + Co, blue Y − Cg − Co
		return &ycgco
	case 9, 10:
		kr, kb = 0.2627, 0.0593
	default:
		return nil
	}
	kg := 1 - kr - kb
	fixed := func(v float64) int32 { return int32(v*65536 + 0.5) }
	return &matrix{fixed(2 * (1 - kr)), -fixed(2 * kb * (1 - kb) / kg), -fixed(2 * kr * (1 - kr) / kg), fixed(2 * (1 - kb))}
}

var ycgco matrix

func (m *matrix) toRGB(y, cb, cr byte) (r, g, b byte) {
	yy, u, v := int32(y)<<16+1<<15, int32(cb)-128, int32(cr)-128
	if m == &ycgco {
		return clamp(yy + (v-u)<<16), clamp(yy + u<<16), clamp(yy - (u+v)<<16)
	}
	return clamp(yy + m.crR*v), clamp(yy + m.cbG*u + m.crG*v), clamp(yy + m.cbB*u)
}

package icc

import "math"

// chromaticities are the x and y of red, green and blue of primaries (ITU-T H.273, Table 2), all
// of white D65 but DCI-P3's, which is taken for it as displays do.
var chromaticities = map[int][6]float64{
	1:  {0.640, 0.330, 0.300, 0.600, 0.150, 0.060},
	9:  {0.708, 0.292, 0.170, 0.797, 0.131, 0.046},
	11: {0.680, 0.320, 0.265, 0.690, 0.150, 0.060},
	12: {0.680, 0.320, 0.265, 0.690, 0.150, 0.060},
}

// FromCodePoints returns the transform of RGB that is told by the code points of colour primaries and
// transfer characteristics of ITU-T H.273. It is nil where the colours are sRGB, or so
// close to it that viewers do not tell them apart: the primaries of television before
// BT.2020, and its transfer characteristics.
//
// Of the two that go beyond a display's white, PQ (16) and HLG (18), what is above 203 cd/m²
// (ITU-R BT.2408, reference white) is compressed into the upper part of the range.
func FromCodePoints(primaries, transfer int) *Transform {
	xy, wide := chromaticities[primaries]
	wide = wide && primaries != 1
	var linear func(float64) float64
	switch transfer {
	case 4:
		linear = func(v float64) float64 { return math.Pow(v, 2.2) }
	case 5:
		linear = func(v float64) float64 { return math.Pow(v, 2.8) }
	case 8:
		linear = func(v float64) float64 { return v }
	case 16:
		linear = func(v float64) float64 { return knee(pq(v) / referenceWhite) }
	case 18:
		linear = func(v float64) float64 { return knee(hlg(v) / referenceWhite) }
	default:
		if !wide {
			return nil
		}
		linear = srgbLinear
	}
	if !wide {
		xy = chromaticities[1]
	}
	m := &matrixTransform{}
	for i := range 256 {
		v := int32(math.Round(linear(float64(i)/255) * 65535))
		for c := range m.linear {
			m.linear[c][i] = v
		}
	}
	for i, v := range multiply(invert(toXYZ(chromaticities[1])), toXYZ(xy)) {
		m.m[i] = int64(math.Round(v * (1 << matrixBits)))
	}
	return &Transform{space: RGB, matrix: m}
}

// toXYZ is the matrix from linear RGB of primaries with white D65 to XYZ.
func toXYZ(xy [6]float64) [9]float64 {
	var m [9]float64
	for c := range 3 {
		x, y := xy[2*c], xy[2*c+1]
		m[c], m[3+c], m[6+c] = x/y, 1, (1-x-y)/y
	}
	const wx, wy = 0.3127, 0.3290
	white := [3]float64{wx / wy, 1, (1 - wx - wy) / wy}
	inverse := invert(m)
	for c := range 3 {
		s := inverse[3*c]*white[0] + inverse[3*c+1]*white[1] + inverse[3*c+2]*white[2]
		m[c], m[3+c], m[6+c] = s*m[c], s*m[3+c], s*m[6+c]
	}
	return m
}

// srgbLinear is the inverse of the transfer function of IEC 61966-2-1.
func srgbLinear(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// referenceWhite is that of HDR pictures in cd/m² (ITU-R BT.2408, Table 1).
const referenceWhite = 203

// pq is the EOTF of SMPTE ST 2084, in cd/m².
func pq(v float64) float64 {
	const m1, m2 = 2610.0 / 16384, 2523.0 / 4096 * 128
	const c1, c2, c3 = 3424.0 / 4096, 2413.0 / 4096 * 32, 2392.0 / 4096 * 32
	p := math.Pow(v, 1/m2)
	return 10000 * math.Pow(max(p-c1, 0)/(c2-c3*p), 1/m1)
}

// hlg is the inverse OETF of ITU-R BT.2100 with the OOTF of a display of 1000 cd/m², in cd/m².
func hlg(v float64) float64 {
	const a, b, c = 0.17883277, 0.28466892, 0.55991073
	scene := v * v / 3
	if v > 0.5 {
		scene = (math.Exp((v-c)/a) + b) / 12
	}
	return 1000 * math.Pow(scene, 1.2)
}

// knee leaves what is well below white as it is and compresses what is above into the rest.
func knee(v float64) float64 {
	const from = 0.6
	if v <= from {
		return v
	}
	return from + (1-from)*(1-math.Exp((from-v)/(1-from)))
}

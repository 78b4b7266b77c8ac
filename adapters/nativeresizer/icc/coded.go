package icc

import "math"

// Chromaticities are the x and y of a white and of three primaries (CIE 1931).
type Chromaticities struct{ White, Red, Green, Blue [2]float64 }

// d65 is the white of nearly all spaces of today.
var d65 = [2]float64{0.3127, 0.329}

// Rec709 are the primaries of sRGB (ITU-R BT.709).
var Rec709 = Chromaticities{d65, [2]float64{0.64, 0.33}, [2]float64{0.3, 0.6}, [2]float64{0.15, 0.06}}

// primaries are ITU-T H.273's colour primaries (table 2).
var primaries = map[uint8]Chromaticities{
	1:  Rec709,
	4:  {[2]float64{0.31, 0.316}, [2]float64{0.67, 0.33}, [2]float64{0.21, 0.71}, [2]float64{0.14, 0.08}},
	5:  {d65, [2]float64{0.64, 0.33}, [2]float64{0.29, 0.6}, [2]float64{0.15, 0.06}},
	6:  smpte170,
	7:  smpte170,
	8:  {[2]float64{0.31, 0.316}, [2]float64{0.681, 0.319}, [2]float64{0.243, 0.692}, [2]float64{0.145, 0.049}},
	9:  {d65, [2]float64{0.708, 0.292}, [2]float64{0.17, 0.797}, [2]float64{0.131, 0.046}},
	11: {[2]float64{0.314, 0.351}, [2]float64{0.68, 0.32}, [2]float64{0.265, 0.69}, [2]float64{0.15, 0.06}},
	12: {d65, [2]float64{0.68, 0.32}, [2]float64{0.265, 0.69}, [2]float64{0.15, 0.06}},
	22: {d65, [2]float64{0.63, 0.34}, [2]float64{0.295, 0.605}, [2]float64{0.155, 0.077}},
}

var smpte170 = Chromaticities{d65, [2]float64{0.63, 0.34}, [2]float64{0.31, 0.595}, [2]float64{0.155, 0.07}}

// Of high dynamic range, white is where ITU-R BT.2408 has it, in cd/m², and the brightest
// that is shown is what the usual display masters for.
const (
	referenceWhite = 203
	masteringPeak  = 1000
)

// toneMap brings light of high dynamic range, 1 being reference white, into 0 to 1 by
// the extended curve of Reinhard (2002), which browsers use as well: the peak
// becomes white. It is applied to each channel.
func toneMap(v float64) float64 {
	const peak = float64(masteringPeak) / referenceWhite
	v = min(v, peak)
	return v * (1 + v/(peak*peak)) / (1 + v)
}

// transfer returns the light of a value of 0 to 1 by ITU-T H.273's transfer
// characteristics (table 3), or nil where they are not known.
func transfer(code uint8) func(float64) float64 {
	switch code {
	case 1, 6, 14, 15:
		return func(v float64) float64 {
			if v < 0.081 {
				return v / 4.5
			}
			return math.Pow((v+0.099)/1.099, 1/0.45)
		}
	case 4:
		return func(v float64) float64 { return math.Pow(v, 2.2) }
	case 5:
		return func(v float64) float64 { return math.Pow(v, 2.8) }
	case 7:
		return func(v float64) float64 {
			if v < 0.0913 {
				return v / 4
			}
			return math.Pow((v+0.1115)/1.1115, 1/0.45)
		}
	case 8:
		return func(v float64) float64 { return v }
	case 13:
		return decodeSRGB
	case 16: // PQ, SMPTE ST 2084
		return func(v float64) float64 {
			const m1, m2, c1, c2, c3 = 2610.0 / 16384, 2523.0 / 4096 * 128, 3424.0 / 4096, 2413.0 / 4096 * 32, 2392.0 / 4096 * 32
			p := math.Pow(v, 1/m2)
			return toneMap(10_000 / referenceWhite * math.Pow(max(p-c1, 0)/(c2-c3*p), 1/m1))
		}
	case 17:
		return func(v float64) float64 { return math.Pow(v, 2.6) * 52.37 / 48 }
	case 18: // HLG, ITU-R BT.2100, with the system gamma of its reference display
		return func(v float64) float64 {
			const a, b, c = 0.17883277, 0.28466892, 0.55991073
			light := v * v / 3
			if v > 0.5 {
				light = (math.Exp((v-c)/a) + b) / 12
			}
			return toneMap(float64(masteringPeak) / referenceWhite * math.Pow(light, 1.2))
		}
	}
	return nil
}

// decodeSRGB is the inverse of the transfer function of IEC 61966-2-1.
func decodeSRGB(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// FromCodePoints returns the transform of a picture whose colours are told by the code
// points of ITU-T H.273 for primaries and transfer. It returns false where they are
// not of pictures that can be shown. Space is Gray or RGB.
func FromCodePoints(primary, characteristics uint8, fullRange bool, space Space) (*Transform, bool) {
	c, ok := primaries[primary]
	light := transfer(characteristics)
	if !ok || light == nil {
		return nil, false
	}
	if !fullRange {
		full := light
		light = func(v float64) float64 { return full(unit((v*255 - 16) / 219)) }
	}
	return coded(c, light, space)
}

// FromGamma returns the transform of a picture whose values are light to the power of
// gamma. Those that are near enough to sRGB's 1/2.2 have its curve, which files that
// know no other way mean by it. It returns false where no picture can have these.
func FromGamma(gamma float64, c Chromaticities, space Space) (*Transform, bool) {
	if !(gamma > 0.01 && gamma < 10) {
		return nil, false
	}
	const near = 0.05 // libpng's threshold
	if math.Abs(gamma*2.2-1) < near {
		return coded(c, decodeSRGB, space)
	}
	return coded(c, func(v float64) float64 { return math.Pow(v, 1/gamma) }, space)
}

func coded(c Chromaticities, light func(float64) float64, space Space) (*Transform, bool) {
	t := &Transform{space: space, identity: true}
	if space == Gray {
		for i := range t.gray {
			t.gray[i] = encode(light(float64(i) / 255))
			t.identity = t.identity && near(t.gray[i], i)
		}
		return t, true
	}
	columns, ok := c.toD50()
	if !ok {
		return nil, false
	}
	m := &matrixTransform{}
	for i := range 256 {
		v := int32(math.Round(unit(light(float64(i)/255)) * 65535))
		m.linear[0][i], m.linear[1][i], m.linear[2][i] = v, v, v
	}
	for i, v := range multiply(toSRGB(), columns) {
		if !(math.Abs(v) < 64) {
			return nil, false
		}
		m.m[i] = int64(math.Round(v * (1 << matrixBits)))
	}
	t.matrix, t.identity = m, m.isIdentity()
	return t, true
}

// toD50 returns the matrix from linear RGB to XYZ under D50, after Bradford adaptation.
func (c Chromaticities) toD50() ([9]float64, bool) {
	xyz := func(p [2]float64) ([3]float64, bool) {
		ok := p[0] >= 0 && p[1] > 0.0001 && p[0]+p[1] <= 1.0001
		return [3]float64{p[0] / p[1], 1, (1 - p[0] - p[1]) / p[1]}, ok
	}
	var m [9]float64
	for i, p := range [][2]float64{c.Red, c.Green, c.Blue} {
		if p[1] == 0 { // of the blue of wide spaces
			p[1] = 0.0002
		}
		v, ok := xyz(p)
		if !ok {
			return m, false
		}
		m[i], m[3+i], m[6+i] = v[0], v[1], v[2]
	}
	white, ok := xyz(c.White)
	if det := m[0]*(m[4]*m[8]-m[5]*m[7]) - m[1]*(m[3]*m[8]-m[5]*m[6]) + m[2]*(m[3]*m[7]-m[4]*m[6]); !ok || math.Abs(det) < 1e-6 {
		return m, false
	}
	scale := apply(invert(m), white)
	for i := range 9 {
		m[i] *= scale[i%3]
	}
	bradford := [9]float64{0.8951, 0.2664, -0.1614, -0.7502, 1.7135, 0.0367, 0.0389, -0.0685, 1.0296}
	from, to := apply(bradford, white), apply(bradford, [3]float64{whiteX, whiteY, whiteZ})
	var adapt [9]float64
	for i := range 3 {
		if !(from[i] > 0.0001) {
			return m, false
		}
		adapt[4*i] = to[i] / from[i]
	}
	return multiply(multiply(multiply(invert(bradford), adapt), bradford), m), true
}

func apply(m [9]float64, v [3]float64) (out [3]float64) {
	for r := range out {
		out[r] = m[3*r]*v[0] + m[3*r+1]*v[1] + m[3*r+2]*v[2]
	}
	return out
}

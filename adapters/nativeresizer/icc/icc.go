// Package icc brings the colours of a picture to sRGB by its ICC profile.
//
// It is the part of ICC.1:2022 (and of ICC.1:2001-04, the version 2 profiles
// that most pictures carry) that a thumbnail needs: input, display and output
// profiles of gray, RGB and CMYK devices, by matrix and curves (F.3) or by
// multi-dimensional tables (lut8Type 10.10, lut16Type 10.11, lutAToBType 10.12),
// relative colorimetric. Tables are preferred to a matrix, and the colorimetric
// one (A2B1) to the perceptual one (A2B0), as Little CMS does.
//
// Nothing in a profile is trusted: sizes are checked before memory is taken, and
// what does not fit is an error. Its callers then treat the picture as sRGB.
package icc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
)

// Space is the kind of colours that a picture has.
type Space int

// The kinds.
const (
	Gray Space = iota + 1
	RGB
	CMYK
)

// MaxProfile is the size in bytes beyond which a profile is not read. Large
// press profiles have 2 to 3 MB.
const MaxProfile = 4 << 20

// maxTags bounds the tag table; profiles have some ten to forty tags.
const maxTags = 256

func (s Space) channels() int {
	switch s {
	case Gray:
		return 1
	case RGB:
		return 3
	}
	return 4
}

func (s Space) signature() string {
	switch s {
	case Gray:
		return "GRAY"
	case RGB:
		return "RGB "
	}
	return "CMYK"
}

// Transform turns colours of one profile into sRGB. It is safe for concurrent use.
type Transform struct {
	space    Space
	identity bool
	gray     [256]byte
	matrix   *matrixTransform
	lut      *lut
}

// New reads a profile for pictures of a space. An error means that the profile
// is broken, of another space, or of a kind that is not for pictures.
func New(profile []byte, space Space) (*Transform, error) {
	p, err := parse(profile, space)
	if err != nil {
		return nil, err
	}
	t := &Transform{space: space}
	if tag, ok := p.table(); ok {
		t.lut, err = parseLUT(tag, space.channels(), p.lab)
	} else {
		err = p.curves(t)
	}
	if err != nil {
		return nil, err
	}
	switch space {
	case Gray:
		if t.lut != nil {
			for i := range t.gray {
				px := [4]byte{byte(i)}
				t.lut.convert(px[:], 1)
				t.gray[i] = px[1] // green weighs most
			}
		}
		t.identity = true
		for i, v := range t.gray {
			t.identity = t.identity && near(v, i)
		}
	case RGB:
		t.identity = t.matrix != nil && t.matrix.isIdentity()
	}
	return t, nil
}

// Work is about what [New] costs for a profile of so many bytes, in units of package
// work: the curves are sampled, and a table is copied.
func Work(bytes int) int64 { return 500_000 + 4*int64(bytes) }

// near tells whether a byte is so close to another that the eye cannot tell.
func near(v byte, want int) bool { return int(v)-want <= 2 && want-int(v) <= 2 }

// Identity reports whether the profile is sRGB in effect: nothing needs converting.
func (t *Transform) Identity() bool { return t.identity }

// Convert turns pixels into sRGB where they are. Gray has 1 byte a pixel. RGB
// has 4, of which the fourth stays as it is (alpha, not premultiplied). CMYK has
// 4, where 255 is full ink, and becomes RGB with a fourth byte of 255. Bytes of an
// incomplete last pixel stay.
func (t *Transform) Convert(pix []byte) {
	switch {
	case t.identity:
	case t.space == Gray:
		for i, v := range pix {
			pix[i] = t.gray[v]
		}
	case t.matrix != nil:
		t.matrix.convert(pix)
	default:
		t.lut.convert(pix, t.space.channels())
	}
}

// Naive turns CMYK pixels without a profile into RGB where they are, by the
// plain inverse: red is (255−C)·(255−K)/255. Bytes are as Convert has them.
func Naive(pix []byte) {
	for ; len(pix) >= 4; pix = pix[4:] {
		k := 255 - uint32(pix[3])
		for c := range 3 {
			pix[c] = byte(((255-uint32(pix[c]))*k + 127) / 255)
		}
		pix[3] = 255
	}
}

// profile is a profile whose header and tag table were read.
type profile struct {
	data  []byte
	tags  map[string][]byte
	space Space
	lab   bool // the connection space is Lab, else XYZ
}

var errShort = errors.New("icc: the profile is cut short")

func parse(data []byte, space Space) (*profile, error) {
	if len(data) > MaxProfile {
		return nil, fmt.Errorf("icc: a profile of %d bytes, at most %d are read", len(data), MaxProfile)
	}
	// 7.2: the header.
	if len(data) < 132 {
		return nil, errShort
	}
	if string(data[36:40]) != "acsp" {
		return nil, errors.New("icc: no profile signature")
	}
	switch class := string(data[12:16]); class {
	case "scnr", "mntr", "prtr", "spac":
	default:
		return nil, fmt.Errorf("icc: class %q is not for pictures", class)
	}
	if got := string(data[16:20]); got != space.signature() {
		return nil, fmt.Errorf("icc: a profile of %q for a picture of %q", got, space.signature())
	}
	p := &profile{data: data, space: space, tags: map[string][]byte{}}
	switch pcs := string(data[20:24]); pcs {
	case "XYZ ":
	case "Lab ":
		p.lab = true
	default:
		return nil, fmt.Errorf("icc: connection space %q", pcs)
	}
	// 7.3: the tag table.
	n := binary.BigEndian.Uint32(data[128:])
	if n > maxTags || 132+12*int(n) > len(data) {
		return nil, errShort
	}
	for i := range int(n) {
		e := data[132+12*i:]
		offset, size := uint64(binary.BigEndian.Uint32(e[4:])), uint64(binary.BigEndian.Uint32(e[8:]))
		if offset+size > uint64(len(data)) {
			continue // a broken tag that may not be needed
		}
		p.tags[string(e[:4])] = data[offset : offset+size]
	}
	return p, nil
}

// table returns the tag of the multi-dimensional table to use.
func (p *profile) table() ([]byte, bool) {
	for _, sig := range []string{"A2B1", "A2B0"} {
		if tag, ok := p.tags[sig]; ok {
			return tag, true
		}
	}
	return nil, false
}

// curves reads a profile without tables: F.2 for gray, F.3 for RGB.
func (p *profile) curves(t *Transform) error {
	switch p.space {
	case Gray:
		c, err := p.curve("kTRC")
		if err != nil {
			return err
		}
		for i := range t.gray {
			v := c.at(float64(i) / 255)
			if p.lab {
				v = labInverse((100*v + 16) / 116)
			}
			t.gray[i] = encode(v)
		}
		return nil
	case RGB:
		m, err := p.matrix()
		t.matrix = m
		return err
	}
	return errors.New("icc: a CMYK profile without a table")
}

func (p *profile) curve(sig string) (curve, error) {
	tag, ok := p.tags[sig]
	if !ok {
		return curve{}, fmt.Errorf("icc: no %s tag", sig)
	}
	c, _, err := parseCurve(tag)
	return c, err
}

// matrixTransform is F.3: linearise, multiply, encode. Integers, so that every
// processor gives the same bytes.
type matrixTransform struct {
	linear [3][256]int32 // 16 bits of fraction
	m      [9]int64      // matrixBits of fraction
}

const (
	matrixBits = 14
	// encodeBits is how finely linear light is tabulated: a fifth of a level of sRGB a step where that is steepest.
	encodeBits = 14
)

func (p *profile) matrix() (*matrixTransform, error) {
	if p.lab {
		return nil, errors.New("icc: a matrix needs XYZ as connection space")
	}
	m := &matrixTransform{}
	var columns [9]float64
	for c, sigs := range [3][2]string{{"rTRC", "rXYZ"}, {"gTRC", "gXYZ"}, {"bTRC", "bXYZ"}} {
		cv, err := p.curve(sigs[0])
		if err != nil {
			return nil, err
		}
		for i := range m.linear[c] {
			m.linear[c][i] = int32(math.Round(cv.at(float64(i)/255) * 65535))
		}
		tag := p.tags[sigs[1]]
		if len(tag) < 20 || string(tag[:4]) != "XYZ " {
			return nil, fmt.Errorf("icc: no usable %s tag", sigs[1])
		}
		for r := range 3 {
			columns[3*r+c] = fixed(tag[8+4*r:])
		}
	}
	full := multiply(toSRGB(), columns)
	for i, v := range full {
		if !(math.Abs(v) < 64) {
			return nil, errors.New("icc: the matrix is out of range")
		}
		m.m[i] = int64(math.Round(v * (1 << matrixBits)))
	}
	return m, nil
}

func (m *matrixTransform) convert(pix []byte) {
	table := encodeTable()
	k := &m.m
	for ; len(pix) >= 4; pix = pix[4:] {
		r, g, b := int64(m.linear[0][pix[0]]), int64(m.linear[1][pix[1]]), int64(m.linear[2][pix[2]])
		pix[0] = lookUp(table, k[0]*r+k[1]*g+k[2]*b)
		pix[1] = lookUp(table, k[3]*r+k[4]*g+k[5]*b)
		pix[2] = lookUp(table, k[6]*r+k[7]*g+k[8]*b)
	}
}

func lookUp(table *[1<<encodeBits + 1]byte, v int64) byte {
	const shift = 16 + matrixBits - encodeBits
	v = (v + 1<<(shift-1)) >> shift
	return table[max(0, min(v, 1<<encodeBits))]
}

// isIdentity tries the gray axis and a cube of colours.
func (m *matrixTransform) isIdentity() bool {
	ok := func(r, g, b int) bool {
		px := [4]byte{byte(r), byte(g), byte(b)}
		m.convert(px[:])
		return near(px[0], r) && near(px[1], g) && near(px[2], b)
	}
	for i := range 256 {
		if !ok(i, i, i) {
			return false
		}
	}
	for r := 0; r < 256; r += 51 {
		for g := 0; g < 256; g += 51 {
			for b := 0; b < 256; b += 51 {
				if !ok(r, g, b) {
					return false
				}
			}
		}
	}
	return true
}

// The white of the connection space, 7.2.16.
const whiteX, whiteY, whiteZ = 0.9642, 1.0, 0.8249

// toSRGB turns XYZ under D50 into linear sRGB: the inverse of the colorants
// that IEC 61966-2-1 has after Bradford adaptation, scaled so that white is exactly white.
var toSRGB = sync.OnceValue(func() [9]float64 {
	m := [9]float64{
		0.43606567, 0.38514709, 0.14307781,
		0.22249085, 0.71687317, 0.06063600,
		0.01391602, 0.09707642, 0.71409607,
	}
	for r, w := range [3]float64{whiteX, whiteY, whiteZ} {
		row := m[3*r : 3*r+3]
		f := w / (row[0] + row[1] + row[2])
		for i := range row {
			row[i] *= f
		}
	}
	return invert(m)
})

func invert(m [9]float64) [9]float64 {
	c := [9]float64{
		m[4]*m[8] - m[5]*m[7], m[2]*m[7] - m[1]*m[8], m[1]*m[5] - m[2]*m[4],
		m[5]*m[6] - m[3]*m[8], m[0]*m[8] - m[2]*m[6], m[2]*m[3] - m[0]*m[5],
		m[3]*m[7] - m[4]*m[6], m[1]*m[6] - m[0]*m[7], m[0]*m[4] - m[1]*m[3],
	}
	det := m[0]*c[0] + m[1]*c[3] + m[2]*c[6]
	for i := range c {
		c[i] /= det
	}
	return c
}

func multiply(a, b [9]float64) (m [9]float64) {
	for r := range 3 {
		for c := range 3 {
			m[3*r+c] = a[3*r]*b[c] + a[3*r+1]*b[3+c] + a[3*r+2]*b[6+c]
		}
	}
	return m
}

// encodeTable is the transfer function of IEC 61966-2-1 over linear light from 0 to 1.
var encodeTable = sync.OnceValue(func() *[1<<encodeBits + 1]byte {
	var t [1<<encodeBits + 1]byte
	for i := range t {
		v := float64(i) / (1 << encodeBits)
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		t[i] = byte(math.Round(v * 255))
	}
	return &t
})

// encode turns linear light into a byte of sRGB.
func encode(v float64) byte {
	return encodeTable()[int(unit(v)*(1<<encodeBits)+0.5)]
}

// unit clamps to 0..1; what is not a number becomes 0.
func unit(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}

// labInverse is the inverse of CIE 1976's f.
func labInverse(t float64) float64 {
	if t > 6.0/29 {
		return t * t * t
	}
	return 3 * (6.0 / 29) * (6.0 / 29) * (t - 4.0/29)
}

// fixed reads an s15Fixed16Number (4.6).
func fixed(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

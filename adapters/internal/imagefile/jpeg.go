package imagefile

import (
	"bytes"
	"encoding/binary"

	"github.com/imagify-api/imagify/domain"
)

// JPEG is what is particular to a JPEG file.
type JPEG struct {
	Progressive bool
	// Components of the frame, 1, 3 or 4 of them, in the frame's order. The rest is zero.
	Components int
	Sampling   [4]Sampling
	// IDs are the components' identifiers.
	IDs [4]byte
	// Scans counts the SOS markers.
	Scans int
	// RestartInterval is the last that was defined, in MCUs; 0 for none.
	RestartInterval int
	// JFIF says that there is a JFIF APP0 segment.
	JFIF bool
	// Adobe says that there is an Adobe APP14 segment, AdobeTransform what it
	// says: 0 none (RGB or CMYK), 1 YCbCr, 2 YCCK.
	Adobe          bool
	AdobeTransform int
}

// Sampling is a component's sampling factors, 1 to 4 (T.81 A.1.1).
type Sampling struct{ H, V int }

// MaxSampling returns the greatest factors of all components.
func (j JPEG) MaxSampling() Sampling {
	var m Sampling
	for _, c := range j.Sampling[:j.Components] {
		m.H, m.V = max(m.H, c.H), max(m.V, c.V)
	}
	return m
}

// RGB reports whether three components are red, green and blue, not YCbCr: by
// the usual rules, of which no standard has all.
func (j JPEG) RGB() bool {
	return j.Components == 3 && !j.JFIF && (j.Adobe && j.AdobeTransform == 0 || !j.Adobe && string(j.IDs[:3]) == "RGB")
}

// jpegParser walks the markers (T.81 B.1.1.2), in scans too, where entropy
// coded data is whatever has no marker.
type jpegParser struct {
	s       *Scanner
	state   jpegState
	marker  byte
	tail    int     // bytes of the segment that are not looked at
	quant   [4]byte // which quantization table a component uses
	tables  uint8   // the quantization tables that were defined, a bit each
	hasExif bool
}

type jpegState int

const (
	jpegMarker  jpegState = iota // the byte after a 0xff
	jpegLength                   // of a segment
	jpegSegment                  // its contents
)

func (j *jpegParser) piece(b []byte) error {
	switch j.state {
	case jpegMarker:
		return j.code(b[0])
	case jpegLength:
		n := int(binary.BigEndian.Uint16(b)) - 2
		if n < 0 {
			return corrupt("a JPEG segment is too short")
		}
		return j.segment(n)
	default:
		return j.contents(b)
	}
}

// toMarker goes on to the next marker. Bytes before it are entropy coded data,
// or stray ones, which decoders pass over.
func (j *jpegParser) toMarker() error {
	j.state, j.s.find, j.s.want = jpegMarker, true, 1
	return nil
}

// over reports whether a file that ends here may have all of its pixels: in the entropy
// coded data of a sequential JPEG. Its decoder knows.
func (j *jpegParser) over() bool {
	return j.state == jpegMarker && j.s.info.JPEG.Scans > 0 && !j.s.info.JPEG.Progressive
}

func (j *jpegParser) code(c byte) error {
	switch {
	case c == 0xff: // a fill byte: the marker may be next
		return nil
	case c == 0x00, c == 0x01, 0xd0 <= c && c <= 0xd7: // stuffed, TEM, RST
		return j.toMarker()
	case c == 0xd9: // EOI
		if j.s.info.JPEG.Scans == 0 {
			return corrupt("the JPEG ends without a picture in it")
		}
		return j.s.end()
	case c < 0xc0, c == 0xd8, c == 0xde, c == 0xdf, 0xf0 <= c && c <= 0xfd:
		return corrupt("a JPEG marker is out of place: 0x%02x", c)
	}
	j.marker, j.state, j.s.want = c, jpegLength, 2
	return nil
}

// segment decides what of a segment of n bytes is looked at.
func (j *jpegParser) segment(n int) error {
	look := 0
	switch c := j.marker; c {
	case 0xc0, 0xc1, 0xc2:
		if n < 6+3 || n > 6+3*4 {
			return unsupported("a JPEG with as many components is not accepted; save it in gray, RGB or CMYK")
		}
		look = n
	case 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf:
		if j.s.info.JPEG.Components != 0 { // damage, whatever it looks like
			return corrupt("a JPEG marker is out of place: 0x%02x", c)
		}
		return unsupported("a lossless, hierarchical or arithmetic coded JPEG is not accepted; save it as baseline or progressive")
	case 0xda: // SOS
		if n < 6 || n > 4+2*4 {
			return corrupt("a JPEG scan header has a wrong length")
		}
		look = n
	case 0xdb: // DQT
		look = n
	case 0xdd: // DRI
		if n < 2 {
			return corrupt("a JPEG restart interval has a wrong length")
		}
		look = 2
	case 0xe0: // APP0
		look = min(n, len(jfifPrefix))
	case 0xe1: // APP1
		look = n
	case 0xe2: // APP2
		look = min(n, len(iccPrefix))
	case 0xee: // APP14
		look = min(n, 12)
	}
	if look == 0 {
		j.s.skip = int64(n)
		return j.toMarker()
	}
	j.state, j.s.want, j.tail = jpegSegment, look, n-look
	return nil
}

// jfifPrefix begins JFIF's APP0 segment (T.871, 10.1).
const jfifPrefix = "JFIF\x00"

// iccPrefix begins an APP2 segment of an ICC profile (ICC.1, B.4).
const iccPrefix = "ICC_PROFILE\x00"

func (j *jpegParser) contents(b []byte) error {
	info := &j.s.info
	switch j.marker {
	case 0xc0, 0xc1, 0xc2:
		if err := j.frame(b); err != nil {
			return err
		}
	case 0xda:
		if err := j.scan(b); err != nil {
			return err
		}
	case 0xdb:
		if err := j.quantization(b); err != nil {
			return err
		}
	case 0xdd:
		info.JPEG.RestartInterval = int(binary.BigEndian.Uint16(b))
	case 0xe0:
		info.JPEG.JFIF = info.JPEG.JFIF || string(b) == jfifPrefix
	case 0xe1:
		if bytes.HasPrefix(b, []byte(exifPrefix)) {
			j.s.exif(b, &j.hasExif)
		}
	case 0xe2:
		info.ICC = info.ICC || string(b) == iccPrefix
	case 0xee:
		if len(b) == 12 && string(b[:5]) == "Adobe" { // T.872, 6.5.3
			info.JPEG.Adobe, info.JPEG.AdobeTransform = true, int(b[11])
		}
	}
	j.s.skip = int64(j.tail)
	return j.toMarker()
}

// quantization reads which tables a segment defines (T.81 B.2.4.1).
func (j *jpegParser) quantization(b []byte) error {
	for len(b) > 0 {
		precision, table, size := b[0]>>4, b[0]&15, 1+64
		if precision == 1 {
			size = 1 + 2*64
		}
		if precision > 1 || table > 3 || len(b) < size {
			return corrupt("a JPEG quantization table is malformed")
		}
		j.tables |= 1 << table
		b = b[size:]
	}
	return nil
}

// frame reads a frame header (T.81 B.2.2).
func (j *jpegParser) frame(b []byte) error {
	info := &j.s.info
	if info.JPEG.Components != 0 {
		return corrupt("the JPEG has two frames")
	}
	n := int(b[5])
	if len(b) != 6+3*n {
		return corrupt("the JPEG frame header has a wrong length")
	}
	switch {
	case b[0] == 12 && j.marker != 0xc0:
		return unsupported("a 12-bit JPEG is not accepted; save it with 8 bits")
	case b[0] != 8:
		return corrupt("a JPEG cannot have %d bits a sample", b[0])
	case n == 2:
		return unsupported("a JPEG of two components is not accepted; save it in gray, RGB or CMYK")
	}
	height, width := binary.BigEndian.Uint16(b[1:]), binary.BigEndian.Uint16(b[3:])
	if height == 0 {
		return unsupported("a JPEG that tells its height only after the picture is not accepted")
	}
	if err := j.s.canvas(int64(width), int64(height)); err != nil {
		return err
	}
	info.JPEG.Progressive = j.marker == 0xc2
	for i := range n {
		c := b[6+3*i:]
		h, v := int(c[1]>>4), int(c[1]&15)
		if h < 1 || h > 4 || v < 1 || v > 4 {
			return corrupt("a JPEG component has no such sampling")
		}
		if n == 1 {
			h, v = 1, 1 // A.2.2: one component alone is coded block by block
		}
		if c[2] > 3 {
			return corrupt("a JPEG component has no such quantization table")
		}
		info.JPEG.IDs[i], j.quant[i] = c[0], c[2]
		info.JPEG.Sampling[i] = Sampling{h, v}
	}
	info.JPEG.Components = n
	j.s.ready = true
	return nil
}

// scan reads a scan header (T.81 B.2.3) and counts the blocks that the scan visits.
func (j *jpegParser) scan(b []byte) error {
	info := &j.s.info
	n := int(b[0])
	switch {
	case info.JPEG.Components == 0:
		return corrupt("a JPEG scan comes before the frame header")
	case n < 1 || n > info.JPEG.Components || len(b) != 4+2*n:
		return corrupt("a JPEG scan header has a wrong length")
	}
	if info.JPEG.Scans++; info.JPEG.Scans > MaxScans {
		return domain.LimitError(domain.TooLarge, MaxScans, "the JPEG has more than %d scans, too much work for what it shows; save it again", MaxScans)
	}
	blocks := 0
	most := info.JPEG.MaxSampling()
	last := -1
	for i := range n {
		c := bytes.IndexByte(info.JPEG.IDs[:info.JPEG.Components], b[1+2*i])
		if c < 0 {
			return corrupt("a JPEG scan has a component that the frame has not")
		}
		if c <= last {
			return corrupt("the components of a JPEG scan are not in the order of the frame")
		}
		last = c
		if j.tables>>j.quant[c]&1 == 0 {
			return corrupt("the JPEG lacks a quantization table")
		}
		f := info.JPEG.Sampling[c]
		if n == 1 { // A.2.2: only the blocks of the component's own size
			blocks = ceilDiv(ceilDiv(info.Width*f.H, most.H), 8) * ceilDiv(ceilDiv(info.Height*f.V, most.V), 8)
		} else { // A.2.3: whole MCUs
			blocks += f.H * f.V * ceilDiv(info.Width, 8*most.H) * ceilDiv(info.Height, 8*most.V)
		}
	}
	return j.s.work(int64(blocks))
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

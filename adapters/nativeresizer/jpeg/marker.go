package jpeg

// Marker codes (T.81 table B.1), the byte that follows 0xFF.
const (
	markerSOF0  = 0xc0 // baseline DCT
	markerSOF1  = 0xc1 // extended sequential DCT
	markerSOF2  = 0xc2 // progressive DCT
	markerSOF3  = 0xc3 // lossless
	markerDHT   = 0xc4 // define Huffman tables
	markerSOF9  = 0xc9 // the first of the arithmetic coded processes
	markerJPG   = 0xc8 // reserved
	markerDAC   = 0xcc // define arithmetic conditioning
	markerSOF15 = 0xcf
	markerRST0  = 0xd0 // restart, modulo 8
	markerRST7  = 0xd7
	markerSOI   = 0xd8 // start of image
	markerEOI   = 0xd9 // end of image
	markerSOS   = 0xda // start of scan
	markerDQT   = 0xdb // define quantization tables
	markerDRI   = 0xdd // define restart interval
	markerAPP0  = 0xe0 // JFIF
	markerAPP1  = 0xe1 // Exif
	markerAPP2  = 0xe2 // ICC profile
	markerAPP14 = 0xee // Adobe
)

func isRestart(code byte) bool { return code >= markerRST0 && code <= markerRST7 }

// segment returns the parameters of a marker segment, consumed (T.81 B.1.1.4).
// They are valid until the source is read again. It is false at the end of
// input.
func (d *Decoder) segment() ([]byte, bool, error) {
	b, ok := d.src.peek(2)
	if !ok {
		return nil, false, nil
	}
	n := int(b[0])<<8 | int(b[1])
	if n < 2 {
		return nil, false, FormatError("marker segment shorter than its length field")
	}
	if b, ok = d.src.peek(n); !ok {
		return nil, false, nil
	}
	d.src.rd += n
	return b[2:n], true, nil
}

// skipSegment passes over a marker segment nobody asked for.
func (d *Decoder) skipSegment() (bool, error) {
	b, ok := d.src.peek(2)
	if !ok {
		return false, nil
	}
	n := int(b[0])<<8 | int(b[1])
	if n < 2 {
		return false, FormatError("marker segment shorter than its length field")
	}
	return d.src.skip(n), nil
}

// toScan reads marker segments up to and including the next SOS. It returns
// false at EOI and at the end of the input, which is kept in d.truncated.
func (d *Decoder) toScan() (bool, error) {
	code := d.pendingMarker
	d.pendingMarker = 0
	for {
		if code == 0 {
			next, ok := d.src.nextMarker()
			if !ok {
				return false, d.endOfInput()
			}
			code = next
		}
		c := code
		code = 0
		if isRestart(c) || c == markerSOI {
			continue // stray; neither has parameters
		}
		if c == markerEOI {
			return false, nil
		}
		if err := d.opts.Work.Spend(segmentUnits); err != nil {
			return false, err
		}
		if !d.wanted(c) {
			ok, err := d.skipSegment()
			if err != nil {
				return false, err
			}
			if !ok {
				return false, d.endOfInput()
			}
			continue
		}
		p, ok, err := d.segment()
		if err != nil {
			return false, err
		}
		if !ok {
			return false, d.endOfInput()
		}
		switch c {
		case markerDHT:
			err = d.readDHT(p)
		case markerDQT:
			err = d.readDQT(p)
		case markerDRI:
			err = d.readDRI(p)
		case markerAPP0:
			d.readAPP0(p)
		case markerAPP1:
			d.readAPP1(p)
		case markerAPP2:
			err = d.icc.add(p, d.opts)
		case markerAPP14:
			d.readAPP14(p)
		case markerSOS:
			return true, d.readSOS(p)
		default:
			err = d.readSOF(c, p)
		}
		if err != nil {
			return false, err
		}
	}
}

// wanted says whether the parameters of a marker matter. Once the header is
// complete, application data no longer does.
func (d *Decoder) wanted(code byte) bool {
	switch code {
	case markerDHT, markerDQT, markerDRI, markerSOS:
		return true
	case markerAPP0, markerAPP1, markerAPP2, markerAPP14:
		return !d.headerDone
	case markerJPG, markerDAC:
		return false
	}
	return code >= markerSOF0 && code <= markerSOF15
}

// endOfInput notes that the input ended before EOI, or returns the error that
// ended it. A sequential file that lacks nothing else is whole. Of a progressive
// one nothing tells which scans are missing.
func (d *Decoder) endOfInput() error {
	d.ended, d.truncated = true, d.frame.progressive
	for i := range d.frame.comps[:d.frame.n] {
		d.truncated = d.truncated || !d.frame.comps[i].whole
	}
	return d.src.failure()
}

// readDQT reads quantization tables (T.81 B.2.4.1).
func (d *Decoder) readDQT(p []byte) error {
	for len(p) > 0 {
		precision, id := p[0]>>4, p[0]&15
		p = p[1:]
		if precision > 1 || id > 3 {
			return FormatError("bad quantization table")
		}
		size := 64 << precision
		if len(p) < size {
			return FormatError("short quantization table")
		}
		q := &d.quant[id]
		for k := range q {
			if precision == 0 {
				q[k] = uint16(p[k])
			} else {
				q[k] = uint16(p[2*k])<<8 | uint16(p[2*k+1])
			}
		}
		d.quantDefined[id] = true
		p = p[size:]
	}
	return nil
}

// readDHT reads Huffman tables (T.81 B.2.4.2).
func (d *Decoder) readDHT(p []byte) error {
	for len(p) > 0 {
		if len(p) < 17 {
			return FormatError("short Huffman table")
		}
		class, id := p[0]>>4, p[0]&15
		if class > 1 || id > 3 {
			return FormatError("bad Huffman table")
		}
		n := 0
		for _, c := range p[1:17] {
			n += int(c)
		}
		if n > 256 || len(p) < 17+n {
			return FormatError("bad Huffman table length")
		}
		d.fresh[class][id] = true
		err := d.opts.Work.Spend(tableUnits)
		if err != nil {
			return err
		}
		if class == 0 {
			err = d.defineDC(id, p[1:17], p[17:17+n])
		} else {
			err = d.defineAC(id, p[1:17], p[17:17+n])
		}
		if err != nil {
			return err
		}
		p = p[17+n:]
	}
	return nil
}

// readDRI reads the restart interval (T.81 B.2.4.4).
func (d *Decoder) readDRI(p []byte) error {
	if len(p) < 2 {
		return FormatError("short restart interval")
	}
	d.restartInterval = int(p[0])<<8 | int(p[1])
	return nil
}

// readAPP0 notes a JFIF marker (ITU-T T.871), which fixes the colour model.
func (d *Decoder) readAPP0(p []byte) {
	if len(p) >= 5 && string(p[:5]) == "JFIF\x00" {
		d.jfif = true
	}
}

// readAPP1 keeps the first Exif payload.
func (d *Decoder) readAPP1(p []byte) {
	const prefix = "Exif\x00"
	// The sixth byte is padding, it is not always zero.
	if d.header.EXIF == nil && len(p) > len(prefix)+1 && string(p[:len(prefix)]) == prefix {
		d.header.EXIF = append([]byte(nil), p[len(prefix)+1:]...)
	}
}

// readAPP14 keeps the colour transform of an Adobe marker (T.872 6.5.3).
func (d *Decoder) readAPP14(p []byte) {
	if len(p) >= 12 && string(p[:5]) == "Adobe" {
		d.header.Adobe = true
		d.header.AdobeTransform = int(p[11])
	}
}

// iccProfile collects the pieces of an ICC profile (ICC.1 annex B.4).
type iccProfile struct {
	chunks map[byte][]byte
	count  byte
	size   int
	bad    bool
}

func (c *iccProfile) add(p []byte, o Options) error {
	const prefix = "ICC_PROFILE\x00"
	if len(p) < len(prefix)+2 || string(p[:len(prefix)]) != prefix || c.bad {
		return nil
	}
	number, count := p[len(prefix)], p[len(prefix)+1]
	p = p[len(prefix)+2:]
	if c.chunks == nil {
		c.chunks, c.count = make(map[byte][]byte), count
		most := len(p)
		if count > 1 {
			most = min(int(count)<<16, o.MaxICC)
		}
		if err := o.Work.Hold(int64(most)); err != nil {
			return err
		}
	}
	c.size += len(p)
	if _, twice := c.chunks[number]; twice || number == 0 || number > count || count != c.count || c.size > o.MaxICC {
		c.chunks, c.bad = nil, true
		return nil
	}
	c.chunks[number] = append([]byte(nil), p...)
	return nil
}

// profile returns the whole profile, or nil if there is none, a piece is
// missing, or it is inconsistent or too large.
func (c *iccProfile) profile() []byte {
	if c.bad || c.count == 0 || len(c.chunks) != int(c.count) {
		return nil
	}
	out := make([]byte, 0, c.size)
	for i := 1; i <= int(c.count); i++ {
		out = append(out, c.chunks[byte(i)]...)
	}
	return out
}

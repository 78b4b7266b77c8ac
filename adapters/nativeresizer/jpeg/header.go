package jpeg

// ColorModel says what the components of an image mean.
type ColorModel int

// The colour models of JPEG files.
const (
	Gray  ColorModel = iota + 1 // one component: luma
	YCbCr                       // three: Y, Cb, Cr of ITU-R BT.601, full range (T.871)
	RGB                         // three: R, G, B
	CMYK                        // four: C, M, Y, K
	YCCK                        // four: CMY as Y, Cb, Cr, and K (T.872)
)

// String returns the usual name of m.
func (m ColorModel) String() string {
	switch m {
	case Gray:
		return "Gray"
	case YCbCr:
		return "YCbCr"
	case RGB:
		return "RGB"
	case CMYK:
		return "CMYK"
	case YCCK:
		return "YCCK"
	}
	return "unknown"
}

// ComponentInfo is a component as the frame header declares it (T.81 B.2.2).
type ComponentInfo struct {
	ID byte
	// H and V are the horizontal and vertical sampling factors, 1 to 4,
	// relative to the greatest ones of all the components. They are 1 when
	// there is but one component.
	H, V int
}

// Header is what a JPEG file tells about itself before its first scan.
type Header struct {
	Width, Height int // in pixels, 1 to 65535
	Precision     int // bits a sample, always 8
	Progressive   bool
	Model         ColorModel
	Components    []ComponentInfo // 1, 3 or 4
	// Adobe tells whether there was an Adobe marker (APP14). CMYK and YCCK
	// files with it store inverted values: 0 is full ink.
	Adobe bool
	// AdobeTransform is the colour transform of the Adobe marker: 0 for RGB and
	// CMYK, 1 for YCbCr, 2 for YCCK. It is -1 without a marker.
	AdobeTransform  int
	RestartInterval int // in MCUs, 0 for none
	// EXIF is the payload of the first Exif segment, which begins with a TIFF
	// header, as it was found: nothing in it has been checked. It is nil when
	// there is none, at most 64 KiB otherwise.
	EXIF []byte
	// ICC is the embedded colour profile, put together from its segments. It is
	// nil when there is none, when a segment is missing or does not fit with the
	// others, and when the profile is larger than [Options.MaxICC].
	ICC []byte
}

// frame is what decoding needs to know of the frame header.
type frame struct {
	progressive    bool
	width, height  int
	comps          [4]component
	n              int // components
	hMax, vMax     int
	mcusX, mcusY   int // of an interleaved scan
	blocks         int64
	componentIndex [256]int8 // by component identifier, -1 if unknown
}

// component is a component of the frame and the state of its decoding.
type component struct {
	h, v             int // sampling factors
	quantID          byte
	width, height    int // samples at full size (T.81 A.1.1)
	blocksX, blocksY int // blocks that hold them: the extent of a scan of its own
	gridX, gridY     int // blocks with the padding to whole MCUs

	seen  bool       // in a scan
	whole bool       // its scan was decoded up to a marker, or to its end
	quant [64]uint16 // in zigzag order, as it was at the first scan

	raster            // at the largest scale
	smaller []raster  // at the others
	slot    [64]uint8 // where in a block of coef, by zigzag index, each coefficient is kept

	// Progressive files only. coef holds the low n×n coefficients of every
	// block of the grid in natural order; nonzero has a bit, by zigzag index,
	// for every coefficient whose history is not zero (T.81 G.1.2.3), kept or not.
	coef    []int16
	nonzero []uint64
}

// raster is the samples of a component at a scale, size×size for each block of the grid.
type raster struct {
	pix          []byte
	size, stride int
}

// at returns the samples from a block on.
func (r *raster) at(x, y int) []byte { return r.pix[(y*r.stride+x)*r.size:] }

// even reports whether all components are sampled alike.
func (f *frame) even() bool {
	for _, c := range f.comps[:f.n] {
		if c.h != f.hMax || c.v != f.vMax {
			return false
		}
	}
	return true
}

// layout lays out a frame from its size and sampling factors. f.comps[:f.n]
// must have h and v.
func (f *frame) layout() {
	f.hMax, f.vMax, f.blocks = 1, 1, 0
	for i := range f.comps[:f.n] {
		f.hMax = max(f.hMax, f.comps[i].h)
		f.vMax = max(f.vMax, f.comps[i].v)
	}
	f.mcusX = ceilDiv(f.width, 8*f.hMax)
	f.mcusY = ceilDiv(f.height, 8*f.vMax)
	for i := range f.comps[:f.n] {
		c := &f.comps[i]
		c.width = ceilDiv(f.width*c.h, f.hMax)
		c.height = ceilDiv(f.height*c.v, f.vMax)
		c.blocksX, c.blocksY = ceilDiv(c.width, 8), ceilDiv(c.height, 8)
		c.gridX, c.gridY = f.mcusX*c.h, f.mcusY*c.v
		f.blocks += int64(c.gridX) * int64(c.gridY)
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// readSOF reads a frame header (T.81 B.2.2).
func (d *Decoder) readSOF(code byte, p []byte) error {
	switch {
	case d.frame.n != 0:
		return FormatError("more than one frame")
	case code > markerSOF15 || code < markerSOF0:
		return FormatError("bad frame marker")
	case code >= markerSOF9:
		return UnsupportedError("arithmetic coding")
	case code == markerSOF3:
		return UnsupportedError("lossless coding")
	case code > markerSOF3:
		return UnsupportedError("hierarchical coding")
	case len(p) < 6:
		return FormatError("short frame header")
	}
	precision, n := int(p[0]), int(p[5])
	if precision != 8 {
		if precision == 12 && code != markerSOF0 {
			return UnsupportedError("12 bits a sample")
		}
		return FormatError("bad precision")
	}
	f := &d.frame
	f.progressive = code == markerSOF2
	f.height = int(p[1])<<8 | int(p[2])
	f.width = int(p[3])<<8 | int(p[4])
	if f.width == 0 {
		return FormatError("width is zero")
	}
	if f.height == 0 {
		return UnsupportedError("height given by a DNL marker")
	}
	if n == 0 || len(p) < 6+3*n {
		return FormatError("bad number of components")
	}
	if n != 1 && n != 3 && n != 4 {
		return UnsupportedError("number of components")
	}
	for i := range f.componentIndex {
		f.componentIndex[i] = -1
	}
	infos := make([]ComponentInfo, n)
	for i := range infos {
		q := p[6+3*i:]
		id, h, v, quantID := q[0], int(q[1]>>4), int(q[1]&15), q[2]
		if h < 1 || h > 4 || v < 1 || v > 4 {
			return FormatError("bad sampling factors")
		}
		if quantID > 3 {
			return FormatError("bad quantization table selector")
		}
		if f.componentIndex[id] >= 0 {
			return FormatError("component identifier used twice")
		}
		if n == 1 {
			// The scan of a single component is never interleaved: its
			// factors have no meaning (T.81 A.2.2).
			h, v = 1, 1
		}
		f.componentIndex[id] = int8(i)
		f.comps[i] = component{h: h, v: v, quantID: quantID}
		infos[i] = ComponentInfo{ID: id, H: h, V: v}
	}
	f.n = n
	f.layout()
	d.header.Width, d.header.Height = f.width, f.height
	d.header.Precision = precision
	d.header.Progressive = f.progressive
	d.header.Components = infos
	return nil
}

// colorModel decides what the components mean. The file format does not say;
// this is the convention every decoder has taken from libjpeg.
func (d *Decoder) colorModel() ColorModel {
	h := &d.header
	switch len(h.Components) {
	case 1:
		return Gray
	case 3:
		c := h.Components
		switch {
		case d.jfif:
			return YCbCr
		case h.Adobe && h.AdobeTransform == 0:
			return RGB
		case !h.Adobe && c[0].ID == 'R' && c[1].ID == 'G' && c[2].ID == 'B':
			return RGB
		}
		return YCbCr
	}
	if h.Adobe && h.AdobeTransform != 0 {
		return YCCK
	}
	return CMYK
}

// maxMCUBlocks is the limit of T.81 B.2.3.
const maxMCUBlocks = 10

// scanHeader is a parsed SOS segment.
type scanHeader struct {
	comps  [4]int8 // indices into frame.comps
	dc, ac [4]byte // table selectors
	n      int
	// Spectral selection and successive approximation (T.81 G.1.1.1).
	first, last byte
	high, low   byte
}

// readSOS reads and checks a scan header into d.scan (T.81 B.2.3). It checks
// as much as any scale needs, so that no scale finds an error that another one does
// not.
func (d *Decoder) readSOS(p []byte) error {
	f, s := &d.frame, &d.scan
	if f.n == 0 {
		return FormatError("scan before its frame")
	}
	if len(p) < 1 {
		return FormatError("short scan header")
	}
	n := int(p[0])
	if n < 1 || n > f.n || len(p) < 4+2*n {
		return FormatError("bad number of components in a scan")
	}
	*s = scanHeader{n: n}
	blocks := 0 // in an MCU
	for i := range n {
		ci := f.componentIndex[p[1+2*i]]
		if ci < 0 {
			return FormatError("unknown component in a scan")
		}
		if i > 0 && ci == s.comps[i-1] {
			return FormatError("component twice in a scan")
		}
		if i > 0 && ci < s.comps[i-1] {
			return FormatError("components of a scan are not in the order of the frame")
		}
		s.comps[i] = ci
		s.dc[i], s.ac[i] = p[2+2*i]>>4, p[2+2*i]&15
		if s.dc[i] > 3 || s.ac[i] > 3 {
			return FormatError("bad Huffman table selector")
		}
		blocks += f.comps[ci].h * f.comps[ci].v
	}
	if n > 1 && blocks > maxMCUBlocks {
		return FormatError("too many blocks in an MCU")
	}
	if f.progressive {
		s.first, s.last = p[1+2*n], p[2+2*n]
		s.high, s.low = p[3+2*n]>>4, p[3+2*n]&15
		switch {
		case s.first > s.last || s.last > 63,
			s.first == 0 && s.last != 0,
			s.first > 0 && n != 1:
			return FormatError("bad spectral selection")
		case s.low > 13 || s.high != 0 && s.high != s.low+1:
			return FormatError("bad successive approximation")
		}
	} else {
		// Files with other values are seen; there is only one meaning.
		s.last = 63
	}
	for i := range n {
		c := &f.comps[s.comps[i]]
		if !c.seen {
			if !d.quantDefined[c.quantID] {
				return FormatError("quantization table missing")
			}
			c.quant = d.quant[c.quantID]
			c.seen = true
		}
		if !f.progressive || s.first == 0 && s.high == 0 {
			if err := d.checkDC(s.dc[i]); err != nil {
				return err
			}
		}
		if !f.progressive || s.first > 0 {
			if err := d.checkAC(s.ac[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

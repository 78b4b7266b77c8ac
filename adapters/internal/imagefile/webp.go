package imagefile

import "encoding/binary"

// WebP is what is particular to a WebP file.
type WebP struct {
	// Lossless says that the first frame is VP8L, else it is VP8.
	Lossless bool
	// Alpha says that the first frame's own pixels may be transparent. Of a VP8L
	// picture that says that it uses no alpha, what is there is to be ignored.
	Alpha bool
	// Animated says that the frames are in ANMF chunks.
	Animated bool
	// Bitstream is the first frame's VP8 or VP8L data, AlphaPlane the data of the
	// ALPH chunk before it; empty where there is none.
	Bitstream, AlphaPlane Span
}

// Span is a part of the file, in bytes.
type Span struct{ Offset, Length int64 }

// webpParser walks the RIFF chunks (RFC 9649, section 2).
type webpParser struct {
	s     *Scanner
	state webpState
	name  string // of the chunk
	// Positions in the file: where it ends, the ANMF chunk under way (0 outside of
	// one), and the chunk, padding included.
	end, frameEnd, chunkEnd int64

	extended bool // there is a VP8X chunk
	frames   int
	hasExif  bool
	// Of the frame under way:
	frame Frame
	alpha bool // it has an ALPH chunk
	coded bool // it has its VP8 or VP8L chunk
}

type webpState int

const (
	webpRIFF  webpState = iota // the file's header
	webpChunk                  // a chunk's header
	webpData                   // the part of a chunk's data that is looked at
	webpEnd                    // the last byte
)

func (w *webpParser) piece(b []byte) error {
	switch w.state {
	case webpRIFF:
		w.end = 8 + int64(binary.LittleEndian.Uint32(b[4:]))
		return w.chunkAt(w.s.pos)
	case webpChunk:
		return w.header(string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:])))
	case webpData:
		if err := w.contents(b); err != nil {
			return err
		}
		if w.name == "ANMF" { // more chunks are within it
			return w.chunkAt(w.s.pos)
		}
		return w.chunkAt(w.chunkEnd)
	default:
		return w.s.end()
	}
}

// chunkAt goes on with the chunk at a position, or finishes what has no room for one.
func (w *webpParser) chunkAt(pos int64) error {
	s := w.s
	const header = 8
	if w.frameEnd != 0 && pos+header > w.frameEnd {
		if !w.coded {
			return corrupt("a WebP frame has no picture in it")
		}
		pos, w.frameEnd = w.frameEnd, 0
	}
	if w.frameEnd == 0 && pos+header > w.end {
		if w.frames == 0 {
			return corrupt("the WebP ends without a picture in it")
		}
		if s.pos == w.end {
			return s.end()
		}
		s.skip = w.end - s.pos - 1
		w.state, s.want = webpEnd, 1
		return nil
	}
	s.skip = pos - s.pos
	w.state, s.want = webpChunk, header
	return nil
}

// header reads the header of a chunk of n bytes.
func (w *webpParser) header(name string, n int64) error {
	s := w.s
	bound := w.end
	if w.frameEnd != 0 {
		bound = w.frameEnd
	}
	if n > bound-s.pos {
		return corrupt("a WebP chunk is longer than what it is in")
	}
	w.name = name
	w.chunkEnd = min(s.pos+n+n&1, bound)

	look := int64(0)
	switch name {
	case "VP8X":
		if look = 10; w.extended || w.frames != 0 || w.frameEnd != 0 {
			return corrupt("a WebP header chunk is out of place")
		}
	case "ANMF":
		if look = 16; !w.extended || w.frameEnd != 0 || w.frames != 0 && !s.info.WebP.Animated {
			return corrupt("a WebP frame is out of place")
		}
	case "ALPH":
		if look = 1; !w.extended || w.coded || w.alpha {
			return corrupt("a WebP alpha plane is out of place")
		}
	case "VP8 ", "VP8L":
		if look = 10; name == "VP8L" {
			look = 5
		}
		if w.coded || w.frameEnd == 0 && s.info.WebP.Animated {
			return corrupt("a WebP frame has two pictures")
		}
	case "EXIF":
		look = min(n, maxExif)
	case "ICCP":
		s.info.ICC = true
	}
	if look > n {
		return corrupt("a WebP chunk is too short")
	}
	if look == 0 {
		return w.chunkAt(w.chunkEnd)
	}
	if w.frames == 0 || w.frames == 1 && w.frameEnd != 0 { // the first frame's
		switch span := (Span{s.pos, n}); name {
		case "ALPH":
			s.info.WebP.AlphaPlane = span
		case "VP8 ", "VP8L":
			s.info.WebP.Bitstream = span
		}
	}
	w.state, s.want = webpData, int(look)
	return nil
}

func (w *webpParser) contents(b []byte) error {
	s := w.s
	switch w.name {
	case "VP8X":
		w.extended = true
		return s.canvas(uint24(b[4:])+1, uint24(b[7:])+1)
	case "ANMF":
		x, y, width, height := 2*uint24(b), 2*uint24(b[3:]), uint24(b[6:])+1, uint24(b[9:])+1
		if err := s.checkSize("frame", width, height); err != nil {
			return err
		}
		if x+width > int64(s.info.Width) || y+height > int64(s.info.Height) {
			return corrupt("a WebP frame is not within its canvas")
		}
		s.info.WebP.Animated = true
		w.frameEnd, w.alpha, w.coded = w.chunkEnd, false, false
		w.frame = Frame{int(x), int(y), int(width), int(height)}
		w.frames++
		return s.frames(w.frames)
	case "ALPH":
		w.alpha = true
	case "VP8 ": // RFC 6386, 9.1
		tag := uint24(b)
		if key, profile, shown := tag&1 == 0, tag>>1&7, tag>>4&1 == 1; !key || profile > 3 || !shown || string(b[3:6]) != "\x9d\x01\x2a" {
			return corrupt("a WebP picture's header makes no sense")
		}
		return w.picture(int64(binary.LittleEndian.Uint16(b[6:])&0x3fff), int64(binary.LittleEndian.Uint16(b[8:])&0x3fff), w.alpha, false)
	case "VP8L": // RFC 9649, 3.4 (the header of the lossless bitstream)
		h := binary.LittleEndian.Uint32(b[1:])
		if b[0] != 0x2f || h>>29 != 0 || w.alpha {
			return corrupt("a WebP picture's header makes no sense")
		}
		return w.picture(int64(h&0x3fff)+1, int64(h>>14&0x3fff)+1, h>>28&1 == 1, true)
	case "EXIF":
		s.exif(b, &w.hasExif)
	}
	return nil
}

// picture takes note of the header of a frame's picture.
func (w *webpParser) picture(width, height int64, alpha, lossless bool) error {
	s := w.s
	w.coded = true
	if w.frameEnd == 0 {
		w.frames = 1
		if !w.extended {
			if err := s.canvas(width, height); err != nil {
				return err
			}
		}
		w.frame = s.info.First
	}
	if err := s.checkSize("frame", width, height); err != nil {
		return err
	}
	if width != int64(w.frame.Width) || height != int64(w.frame.Height) {
		return corrupt("a WebP picture has another size than its frame")
	}
	if w.frames > 1 {
		return nil
	}
	s.info.First = w.frame
	s.info.Alpha = alpha || !s.info.FirstCoversCanvas()
	s.info.WebP.Lossless, s.info.WebP.Alpha = lossless, alpha
	s.ready = true
	samples := int64(3)
	if alpha {
		samples = 4
	}
	return s.work(width * height * samples / 64)
}

func uint24(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }

package heif

import "encoding/binary"

// ScanInfo is what a file's structure tells without its data.
type ScanInfo struct {
	// Width and Height are those of the primary picture in pixels, before Orientation; 0 as long as they are not known.
	Width, Height int
	// Orientation is by irot and imir, as EXIF numbers it. Turned says that there is any.
	Orientation int
	Turned      bool
	Alpha, ICC  bool
}

// maxHeld bounds the metadata that a Scanner holds while a client is waited for, in bytes. That of
// a photograph has some 10 kB; what is longer is left to the decoder.
const maxHeld = 96 << 10

// Scanner is an io.Writer that checks the structure of the file written to it: that there is a
// primary picture of HEVC, and that its data is there. How the file is cut into writes makes no
// difference. It holds the metadata, where that is short, and passes over everything else.
type Scanner struct {
	o    Options
	info ScanInfo
	err  error
	done bool

	pos    int64  // in the file
	held   []byte // the header of a box, or the metadata
	skip   int64  // bytes of a box to be passed over
	want   int64  // bytes of metadata; 0 while a header is read
	first  bool
	toEnd  bool  // the box under way ends with the file
	needed int64 // where the data of the picture ends, once the metadata was read
	judged bool
}

// NewScanner returns a Scanner at the beginning of a file. Of the options, the limits count.
func NewScanner(o Options) *Scanner {
	o.defaults()
	return &Scanner{o: o, first: true}
}

// Write scans the next bytes of the file. Its errors are those of [Decoder.Header], and stay. Bytes behind
// the picture's data are accepted and ignored.
func (s *Scanner) Write(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.feed(p)
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// Done reports whether all that the picture needs was written.
func (s *Scanner) Done() bool { return s.done }

// Info tells what is known so far.
func (s *Scanner) Info() ScanInfo { return s.info }

// Finish says that the file is over: an error of Write, or one that tells that the picture is not complete, or nil.
func (s *Scanner) Finish() error {
	if s.err == nil && !s.done {
		s.err = ErrTruncated
		if !s.judged && s.want == 0 && s.skip == 0 && len(s.held) == 0 && s.pos > 0 {
			s.err = FormatError("file without metadata")
		}
	}
	return s.err
}

func (s *Scanner) feed(p []byte) error {
	for len(p) > 0 && !s.done {
		switch {
		case s.judged:
			s.pos += int64(len(p))
			s.done = s.pos >= s.needed
			return nil
		case s.toEnd:
			return FormatError("file without metadata")
		case s.skip > 0:
			n := min(s.skip, int64(len(p)))
			s.skip -= n
			s.pos += n
			p = p[n:]
		case s.want > 0:
			n := min(s.want-int64(len(s.held)), int64(len(p)))
			s.held = append(s.held, p[:n]...)
			s.pos += n
			p = p[n:]
			if int64(len(s.held)) == s.want {
				if err := s.judge(); err != nil {
					return err
				}
			}
		default:
			s.held = append(s.held, p[0])
			s.pos++
			p = p[1:]
			if err := s.header(); err != nil {
				return err
			}
		}
	}
	return nil
}

// header looks at what there is of a box's header (ISO/IEC 14496-12, 4.2).
func (s *Scanner) header() error {
	if len(s.held) < 8 {
		return nil
	}
	size, kind, header := uint64(binary.BigEndian.Uint32(s.held)), string(s.held[4:8]), uint64(8)
	if size == 1 {
		if len(s.held) < 16 {
			return nil
		}
		size, header = binary.BigEndian.Uint64(s.held[8:]), 16
	}
	if s.first && kind != "ftyp" {
		return FormatError("file does not begin with its type")
	}
	s.first = false
	s.held = s.held[:0]
	switch {
	case size == 0:
		s.toEnd = true
		if kind == "meta" {
			return FormatError("metadata of unknown size")
		}
		return nil
	case size < header || size > 1<<62:
		return FormatError("box with a size that does not fit")
	case kind == "meta":
		if size-header > uint64(s.o.MaxMeta) {
			return UnsupportedError("file with too much metadata")
		}
		if size-header > maxHeld {
			s.judged, s.needed = true, s.pos+int64(size-header)
			return nil
		}
		if s.want = int64(size - header); s.want == 0 {
			return FormatError("meta box is too short")
		}
	case kind == "moov" && s.pos < 4096:
		return UnsupportedError("image sequence without a still picture")
	default:
		s.skip = int64(size - header)
	}
	return nil
}

// judge reads the metadata. A grid whose description lies among the data is left to the decoder.
func (s *Scanner) judge() error {
	m, err := parseMeta(s.held, s.o.MaxItems)
	if err != nil {
		return err
	}
	d := &Decoder{o: s.o, meta: m}
	elsewhere := false
	h, err := d.resolve(func(*item) ([]byte, error) {
		elsewhere = true
		return nil, errOutside
	})
	if err != nil && !elsewhere {
		return err
	}
	s.judged, s.needed = true, s.pos
	if err == nil {
		s.info = ScanInfo{
			Width: h.Width, Height: h.Height, Orientation: h.Orientation, Turned: h.Turned, Alpha: h.Alpha, ICC: len(h.ICC) > 0,
		}
		for _, it := range h.items() {
			if it.method != 0 {
				continue
			}
			for _, e := range it.extents {
				s.needed = max(s.needed, int64(e.offset+e.length))
			}
		}
	}
	s.held = nil
	s.done = s.pos >= s.needed
	return nil
}

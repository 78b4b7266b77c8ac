package imagefile

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/imagify-api/imagify/domain"
)

// MaxSide is the greatest width or height accepted, in pixels. It is JPEG's
// own bound: a thumbnail may be as wide as its original and has to fit in a JPEG.
const MaxSide = 65535

// DefaultMaxWork is the default of Limits.MaxWork: twice what a 100 megapixel
// progressive photo without chroma subsampling takes in the usual ten scans.
const DefaultMaxWork = 50_000_000

// MaxScans bounds a JPEG's scans. Encoders write up to some twenty.
const MaxScans = 256

// maxExif bounds how much of EXIF data is kept: as much as a JPEG segment
// holds, and more than any orientation tag is away from the beginning.
const maxExif = 1<<16 - 3

// Limits bound what a file may ask for. The zero value allows no pixel; use
// domain.NoLimit for what is unbounded.
type Limits struct {
	domain.ImageLimits
	// MaxWork bounds Info.Work; 0 means DefaultMaxWork.
	MaxWork int64
}

// Info is what a file's structure tells.
type Info struct {
	Format domain.Format
	// Width and Height are the canvas in pixels, as coded: before Orientation.
	Width, Height int
	// Orientation is EXIF's, 1 to 8; 1 where the file has none.
	Orientation int
	// Frames is the number of frames that are there, whatever a header claims; 1 for a still picture.
	Frames int
	// Alpha says that a pixel of the first frame on its canvas may be
	// transparent. False means that none is, or that the file says that its alpha
	// is to be ignored.
	Alpha bool
	// ICC says that the file carries an ICC profile.
	ICC bool
	// First is where the first frame lies on the canvas; all of it but in animations.
	First Frame
	// Work is about what decoding the first frame takes, in visits of 64 samples:
	// for a JPEG its blocks, each counted once for every scan that it is in.
	Work int64

	JPEG JPEG
	PNG  PNG
	WebP WebP
}

// Frame is a rectangle of the canvas, in pixels.
type Frame struct{ X, Y, Width, Height int }

// Size returns the width and height in pixels as a viewer shows them, after orientation.
func (i Info) Size() (width, height int) {
	if Swapped(i.Orientation) {
		return i.Height, i.Width
	}
	return i.Width, i.Height
}

// FirstCoversCanvas reports whether the first frame leaves nothing of the canvas empty.
func (i Info) FirstCoversCanvas() bool { return i.First == Frame{0, 0, i.Width, i.Height} }

// Scan reads src up to the end of the picture and tells its structure. It reads
// nothing beyond the block that the end marker is in. Errors:
//
//   - domain.UnsupportedImage: src begins no accepted format, or uses a part of it that is not accepted
//   - domain.CorruptImage: the structure makes no sense, or src ends too early
//   - domain.TooLarge with Limit: more pixels, frames or work than allowed
//   - what src returned, wrapped; the cause of ctx's end
func Scan(ctx context.Context, src io.Reader, lim Limits) (Info, error) {
	sc := NewScanner(lim)
	if err := sc.ScanAll(ctx, src); err != nil {
		return Info{}, err
	}
	return sc.Info(), nil
}

// Scanner is an io.Writer that tells the structure of the file written to it.
// How the file is cut into writes makes no difference.
type Scanner struct {
	lim  Limits
	info Info
	err  error

	parser parser
	ready  bool
	done   bool
	whole  wholeScanner // of a format whose scanner takes the file as it comes

	// What to do with the next bytes, in this order: pass over skip bytes, pass
	// over all up to a 0xff and that too, gather want bytes for the parser.
	skip int64
	find bool
	want int
	held []byte
	pos  int64 // of the next byte in the file

	first []byte // the write under way

	crc uint32 // of the bytes skipped, over what it was before
}

// parser is a format's state machine: it is given the piece of the file that it
// wanted, and says by the Scanner's fields what it wants next.
type parser interface{ piece(b []byte) error }

// NewScanner returns a Scanner at the beginning of a file.
func NewScanner(lim Limits) *Scanner {
	if lim.MaxWork == 0 {
		lim.MaxWork = DefaultMaxWork
	}
	s := &Scanner{lim: lim, want: domain.SniffLength}
	s.info.Orientation, s.info.Frames = 1, 1
	s.parser = sniffer{s}
	return s
}

// Write scans the next bytes of the file. Its errors are those of Scan, and
// stay. Bytes after the end of the picture are accepted and ignored.
func (s *Scanner) Write(p []byte) (int, error) {
	if s.err == nil {
		s.first = p
		s.err = s.feed(p)
		s.first = nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// ScanAll scans src up to the end of the picture, as Scan does.
func (s *Scanner) ScanAll(ctx context.Context, src io.Reader) error {
	buf := make([]byte, 16<<10)
	for !s.Done() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := src.Read(buf)
		if _, serr := s.Write(buf[:n]); serr != nil {
			return serr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading the image: %w", err)
		}
	}
	return s.Finish()
}

// Ready reports whether the canvas and the first frame are known and within the
// limits. Of Info only what later parts of a file tell may still change: Frames,
// ICC, Work, JPEG.Scans, and Orientation where EXIF comes after the pixels.
func (s *Scanner) Ready() bool { return s.ready }

// Done reports whether the end of the picture was reached.
func (s *Scanner) Done() bool { return s.done }

// Info tells what is known so far. It is complete once Done.
func (s *Scanner) Info() Info { return s.info }

// Finish says that the file is over: an error of Write, or one that tells that
// the picture is not complete, or nil.
func (s *Scanner) Finish() error {
	if s.err != nil || s.done {
		return s.err
	}
	if s.info.Format == "" {
		if _, ok := domain.Sniff(s.held); !ok {
			s.err = errUnknownFormat(s.held)
			return s.err
		}
	}
	if s.whole != nil {
		s.err = s.whole.finish(s)
		return s.err
	}
	if p, ok := s.parser.(interface{ over() bool }); ok && p.over() {
		s.done = true
		return nil
	}
	s.err = domain.Errorf(domain.CorruptImage, "the file ends before the picture does: it was cut short")
	return s.err
}

// wholeScanner takes a whole file, however it is cut.
type wholeScanner interface {
	feed(s *Scanner, p []byte) error
	finish(s *Scanner) error
}

func (s *Scanner) feed(p []byte) error {
	for len(p) > 0 && !s.done {
		switch {
		case s.whole != nil:
			s.pos += int64(len(p))
			return s.whole.feed(s, p)
		case s.skip > 0:
			n := int(min(s.skip, int64(len(p))))
			if s.info.Format == domain.PNG {
				s.crc = crc32.Update(s.crc, crc32.IEEETable, p[:n])
			}
			s.skip -= int64(n)
			s.pos += int64(n)
			p = p[n:]
		case s.find:
			i := bytes.IndexByte(p, 0xff)
			if i < 0 {
				s.pos += int64(len(p))
				return nil
			}
			s.find = false
			s.pos += int64(i + 1)
			p = p[i+1:]
		default:
			n := min(s.want-len(s.held), len(p))
			s.pos += int64(n)
			piece := p[:n]
			p = p[n:]
			if n < s.want { // a part of it came before, or comes later
				if cap(s.held) < s.want {
					// Exactly what is wanted: a Scanner of a slow client is held for long.
					s.held = append(make([]byte, 0, s.want), s.held...)
				}
				s.held = append(s.held, piece...)
				if len(s.held) < s.want {
					return nil
				}
				piece = s.held
				s.held = s.held[:0]
			}
			if err := s.parser.piece(piece); err != nil {
				return err
			}
		}
	}
	return nil
}

// sniffer finds the format and hands over to its parser.
type sniffer struct{ s *Scanner }

func (f sniffer) piece(b []byte) error {
	s := f.s
	format, ok := domain.Sniff(b)
	if !ok {
		// A longer piece of the file tells more, where it is its beginning.
		if bytes.HasPrefix(s.first, b) {
			b = s.first
		}
		return errUnknownFormat(b)
	}
	s.info.Format = format
	switch format {
	case domain.JPEG:
		s.parser = &jpegParser{s: s}
		s.skip, s.find, s.want = 2, true, 1 // SOI
	case domain.PNG:
		s.parser = &pngParser{s: s}
		s.skip, s.want = 8, 8 // the signature
	case domain.WebP:
		s.parser = &webpParser{s: s}
		s.want = 12
	case domain.GIF:
		s.parser = &gifParser{s: s}
		s.want = 13
	case domain.HEIC:
		var err error
		if s.whole, err = newHEIC(s.lim); err != nil {
			return err
		}
	}
	s.pos = 0
	// The bytes seen so far are the parser's. They are copied: b may be s.held.
	var head [domain.SniffLength]byte
	copy(head[:], b)
	return s.feed(head[:])
}

// canvas takes note of the canvas and checks it.
func (s *Scanner) canvas(width, height int64) error {
	if err := s.checkSize("picture", width, height); err != nil {
		return err
	}
	s.info.Width, s.info.Height = int(width), int(height)
	s.info.First = Frame{0, 0, int(width), int(height)}
	return nil
}

// checkSize checks the dimensions of the canvas or of a frame. They are at most 2³²-1.
func (s *Scanner) checkSize(what string, width, height int64) error {
	switch {
	case width < 1 || height < 1:
		return corrupt("the %s has no pixels", what)
	case !s.lim.MaxPixels.Allows(pixels(width, height)):
		return domain.LimitError(domain.TooLarge, s.lim.MaxPixels.Max(),
			"the %s has %d × %d pixels; at most %d in all are allowed", what, width, height, s.lim.MaxPixels.Max())
	case width > MaxSide || height > MaxSide:
		return domain.LimitError(domain.TooLarge, MaxSide, "the %s has %d × %d pixels; no side may be longer than %d", what, width, height, MaxSide)
	}
	return nil
}

// pixels multiplies without overflow: both factors are at most 2³²-1.
func pixels(width, height int64) int64 {
	const bound = 1 << 62
	if p := uint64(width) * uint64(height); p < bound {
		return int64(p)
	}
	return bound
}

// frames takes note of the number of frames so far and checks it.
func (s *Scanner) frames(n int) error {
	if n > 1 && !s.lim.MaxFrames.Allows(int64(n)) {
		return domain.LimitError(domain.TooLarge, s.lim.MaxFrames.Max(), "the animation has more than the %d frames that are allowed", s.lim.MaxFrames.Max())
	}
	s.info.Frames = max(n, 1)
	return nil
}

// work adds to the work and checks it.
func (s *Scanner) work(n int64) error {
	s.info.Work += n
	if s.info.Work > s.lim.MaxWork {
		return domain.LimitError(domain.TooLarge, s.lim.MaxWork, "decoding the file would take too much work for what it shows; save it again with fewer passes")
	}
	return nil
}

// exif takes note of the orientation in EXIF data unless an earlier one was found.
func (s *Scanner) exif(b []byte, found *bool) {
	if o, ok := orientation(b); ok && !*found {
		s.info.Orientation, *found = o, true
	}
}

func (s *Scanner) end() error {
	s.done = true
	return nil
}

func errUnknownFormat(head []byte) error { return domain.RefuseFormat(head, domain.Formats()) }

func corrupt(format string, args ...any) error {
	return domain.Errorf(domain.CorruptImage, format, args...)
}

func unsupported(format string, args ...any) error {
	return domain.Errorf(domain.UnsupportedImage, format, args...)
}

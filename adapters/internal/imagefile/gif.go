package imagefile

import "encoding/binary"

// gifParser walks the blocks (GIF89a, appendix B). Sub-blocks are passed over,
// the LZW data in them is not looked at.
type gifParser struct {
	s           *Scanner
	state       gifState
	frames      int
	inFrame     bool // sub-blocks are those of a frame
	global      bool // there is a global colour table
	transparent bool // the next frame has a transparent index

	width, height int // of the screen
}

// over reports whether the file may end here: between blocks once there is a frame.
// Within the first frame's data, whose pixels may all be there, the decoder knows.
func (g *gifParser) over() bool {
	switch g.state {
	case gifBlock, gifExtension, gifControl:
		return g.frames > 0
	case gifSubBlock:
		return g.frames == 1 || g.frames > 1 && !g.inFrame
	}
	return false
}

type gifState int

const (
	gifScreen     gifState = iota // the header and the logical screen descriptor
	gifBlock                      // the byte that introduces a block
	gifExtension                  // its label
	gifControl                    // the first sub-block of a graphic control extension
	gifDescriptor                 // of an image
	gifCodeSize                   // the byte before an image's data
	gifSubBlock                   // the length of a sub-block
)

// then asks for the next n bytes.
func (g *gifParser) then(state gifState, n int) error {
	g.state, g.s.want = state, n
	return nil
}

func (g *gifParser) piece(b []byte) error {
	s := g.s
	switch g.state {
	case gifScreen:
		g.width, g.height = int(binary.LittleEndian.Uint16(b[6:])), int(binary.LittleEndian.Uint16(b[8:]))
		if g.width > 0 && g.height > 0 {
			if err := s.canvas(int64(g.width), int64(g.height)); err != nil {
				return err
			}
		}
		g.global = g.table(b[10])
		return g.then(gifBlock, 1)
	case gifBlock:
		g.inFrame = false
		switch b[0] {
		case 0x21:
			return g.then(gifExtension, 1)
		case 0x2c:
			return g.then(gifDescriptor, 9)
		case 0x3b:
			if g.frames == 0 {
				return corrupt("the GIF ends without a picture in it")
			}
			return s.end()
		}
		if g.frames > 0 {
			return s.end() // browsers show what came before
		}
		return corrupt("the GIF has an unknown block before its picture: 0x%02x", b[0])
	case gifExtension:
		if b[0] == 0xf9 {
			return g.then(gifControl, 5)
		}
		return g.then(gifSubBlock, 1)
	case gifControl:
		g.transparent = b[1]&1 != 0
		return g.then(gifSubBlock, 1)
	case gifDescriptor:
		return g.descriptor(b)
	case gifCodeSize:
		g.inFrame = true
		return g.then(gifSubBlock, 1)
	default:
		if b[0] == 0 {
			return g.then(gifBlock, 1)
		}
		s.skip = int64(b[0])
		return g.then(gifSubBlock, 1)
	}
}

// table passes over a colour table, if the flags say that there is one.
func (g *gifParser) table(flags byte) bool {
	if flags&0x80 == 0 {
		return false
	}
	g.s.skip = 3 << (flags&7 + 1)
	return true
}

func (g *gifParser) descriptor(b []byte) error {
	s := g.s
	f := Frame{
		X: int(binary.LittleEndian.Uint16(b)), Y: int(binary.LittleEndian.Uint16(b[2:])),
		Width: int(binary.LittleEndian.Uint16(b[4:])), Height: int(binary.LittleEndian.Uint16(b[6:])),
	}
	if err := s.checkSize("frame", int64(f.Width), int64(f.Height)); err != nil {
		return err
	}
	local := g.table(b[8])
	if g.frames++; g.frames == 1 {
		// The screen grows to hold its first frame, as in browsers.
		if err := s.canvas(int64(max(g.width, f.X+f.Width)), int64(max(g.height, f.Y+f.Height))); err != nil {
			return err
		}
		if !local && !g.global {
			return corrupt("the GIF has no colour table")
		}
		s.info.First = f
		s.info.Alpha = g.transparent || !s.info.FirstCoversCanvas()
		s.ready = true
		if err := s.work(pixels(int64(f.Width), int64(f.Height)) / 64); err != nil {
			return err
		}
	}
	g.transparent = false
	g.state, s.want = gifCodeSize, 1
	return s.frames(g.frames)
}

package imagefile

import "encoding/binary"

// gifParser walks the blocks (GIF89a, appendix B). Sub-blocks are passed over,
// the LZW data in them is not looked at.
type gifParser struct {
	s           *Scanner
	state       gifState
	frames      int
	global      bool // there is a global colour table
	transparent bool // the next frame has a transparent index
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
		width, height := binary.LittleEndian.Uint16(b[6:]), binary.LittleEndian.Uint16(b[8:])
		if err := s.canvas(int64(width), int64(height)); err != nil {
			return err
		}
		g.global = g.table(b[10])
		return g.then(gifBlock, 1)
	case gifBlock:
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
		return corrupt("the GIF has an unknown block: 0x%02x", b[0])
	case gifExtension:
		if b[0] == 0xf9 {
			return g.then(gifControl, 5)
		}
		return g.then(gifSubBlock, 1)
	case gifControl:
		if b[0] != 4 {
			return corrupt("a GIF control block has a wrong length")
		}
		g.transparent = b[1]&1 != 0
		return g.then(gifSubBlock, 1)
	case gifDescriptor:
		return g.descriptor(b)
	case gifCodeSize:
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
		if f.X+f.Width > s.info.Width || f.Y+f.Height > s.info.Height {
			return corrupt("the GIF's frame is not within its screen")
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

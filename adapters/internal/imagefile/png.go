package imagefile

import (
	"encoding/binary"
	"hash/crc32"
)

// PNG is what is particular to a PNG file.
type PNG struct {
	// BitDepth is 1 to 16 bits a sample.
	BitDepth   int
	ColorType  ColorType
	Interlaced bool
	// Transparency says that there is a tRNS chunk.
	Transparency bool
}

// ColorType is a PNG's (3rd edition, 11.2.1).
type ColorType int

// PNG's colour types.
const (
	Gray      ColorType = 0
	RGB       ColorType = 2
	Palette   ColorType = 3
	GrayAlpha ColorType = 4
	RGBAlpha  ColorType = 6
)

// Samples returns the samples of a pixel, 1 to 4; 0 if there is no such type.
func (c ColorType) Samples() int {
	switch c {
	case Gray, Palette:
		return 1
	case GrayAlpha:
		return 2
	case RGB:
		return 3
	case RGBAlpha:
		return 4
	}
	return 0
}

// depths are the bit depths that a colour type may have, a bit each.
func (c ColorType) depths() int {
	switch c {
	case Gray:
		return 1<<1 | 1<<2 | 1<<4 | 1<<8 | 1<<16
	case Palette:
		return 1<<1 | 1<<2 | 1<<4 | 1<<8
	}
	return 1<<8 | 1<<16
}

// pngParser walks the chunks (PNG 3rd edition, 5.3).
type pngParser struct {
	s     *Scanner
	state pngState
	name  string // of the chunk
	tail  int64  // bytes of its data that are not looked at

	palette, data, dataEnded, hasExif bool

	colours int64 // of the palette
	frames  int
}

// over reports whether the file may end here: once there is image data, the decoder
// knows whether all pixels are there. Then nothing is missing that a viewer shows.
func (p *pngParser) over() bool { return p.data }

type pngState int

const (
	pngHeader pngState = iota // of a chunk: length and type
	pngData                   // the part of its data that is looked at
	pngCRC
)

func (p *pngParser) piece(b []byte) error {
	s := p.s
	switch p.state {
	case pngHeader:
		s.crc = crc32.ChecksumIEEE(b[4:])
		look, err := p.header(int64(binary.BigEndian.Uint32(b)), string(b[4:]))
		if err != nil || s.done {
			return err
		}
		if p.tail = int64(binary.BigEndian.Uint32(b)) - look; look > 0 {
			p.state, s.want = pngData, int(look)
			return nil
		}
	case pngData:
		s.crc = crc32.Update(s.crc, crc32.IEEETable, b)
		if err := p.contents(b); err != nil {
			return err
		}
	case pngCRC:
		// 13.1: an ancillary chunk that is damaged may be ignored, a critical one may not.
		if critical := p.name[0]&0x20 == 0 && (!p.dataEnded || p.name == "IDAT"); critical && s.crc != binary.BigEndian.Uint32(b) {
			return corrupt("the PNG is damaged: the checksum of its %s chunk is wrong", p.name)
		}
		if p.name == "IEND" {
			return s.end()
		}
		p.state, s.want = pngHeader, 8
		return nil
	}
	p.state, s.skip, s.want = pngCRC, p.tail, 4
	return nil
}

// header reads a chunk's header and returns how much of its n bytes of data has to be looked at.
func (p *pngParser) header(n int64, name string) (look int64, err error) {
	info := &p.s.info
	for _, c := range []byte(name) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if p.data {
				return 0, p.s.end() // see over
			}
			return 0, corrupt("a PNG chunk has no proper name")
		}
	}
	if n > 1<<31-1 {
		if p.data {
			return 0, p.s.end()
		}
		return 0, corrupt("a PNG chunk is too long")
	}
	if (p.name == "") != (name == "IHDR") && !p.data {
		return 0, corrupt("a PNG has to begin with its one IHDR chunk")
	}
	p.name = name
	p.dataEnded = p.dataEnded || p.data && name != "IDAT"

	switch name {
	case "IHDR":
		if p.data {
			return 0, nil
		}
		if n != 13 {
			return 0, corrupt("the PNG's IHDR chunk has a wrong length")
		}
		return n, nil
	case "PLTE":
		if info.PNG.ColorType != Palette || p.data {
			return 0, nil // it is of no use here, and does no harm
		}
		if n == 0 || n%3 != 0 || n > 3*256 {
			return 0, corrupt("the PNG's palette is malformed")
		}
		if p.palette {
			return 0, corrupt("the PNG has more than one palette")
		}
		p.palette, p.colours = true, min(n/3, 1<<info.PNG.BitDepth)
	case "IDAT":
		if info.PNG.ColorType == Palette && !p.palette {
			return 0, corrupt("the PNG has no palette")
		}
		if !p.data && p.frames == 0 {
			p.frames = 1 // the picture that viewers without APNG show counts where it is not the animation's first
		}
		p.data, p.s.ready = true, true
	case "IEND":
		if !p.data {
			return 0, corrupt("the PNG ends without a picture in it")
		}
	case "tRNS":
		// One that is out of place or of a wrong length is ignored, as in libpng.
		ok := !p.data
		switch info.PNG.ColorType {
		case Palette:
			ok = ok && n > 0 && n <= p.colours
		case GrayAlpha, RGBAlpha:
			ok = false
		default:
			ok = ok && n == 2*int64(info.PNG.ColorType.Samples())
		}
		if ok {
			info.PNG.Transparency, info.Alpha = true, true
		}
	case "iCCP":
		info.ICC = true
	case "eXIf":
		return min(n, maxExif), nil
	case "fcTL":
		if n != 26 {
			return 0, nil // no frame, for any viewer
		}
		return n, nil
	default:
		if name[0]&0x20 == 0 && !p.data { // 5.4: it is critical
			return 0, unsupported("the PNG has a critical chunk that is not known: %s", name)
		}
	}
	return 0, nil
}

func (p *pngParser) contents(b []byte) error {
	s := p.s
	switch p.name {
	case "IHDR":
		h := PNG{BitDepth: int(b[8]), ColorType: ColorType(b[9]), Interlaced: b[12] == 1}
		if h.ColorType.Samples() == 0 || h.BitDepth > 16 || h.ColorType.depths()>>h.BitDepth&1 == 0 || b[10] != 0 || b[11] != 0 || b[12] > 1 {
			return corrupt("the PNG's header makes no sense")
		}
		width, height := int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
		if err := s.canvas(width, height); err != nil {
			return err
		}
		s.info.PNG = h
		s.info.Alpha = h.ColorType == GrayAlpha || h.ColorType == RGBAlpha
		return s.work(pixels(width, height) * int64(h.ColorType.Samples()) / 64)
	case "eXIf":
		s.exif(b, &p.hasExif)
	case "fcTL":
		width, height := int64(binary.BigEndian.Uint32(b[4:])), int64(binary.BigEndian.Uint32(b[8:]))
		if err := s.checkSize("frame", width, height); err != nil {
			return err
		}
		p.frames++
		return s.frames(p.frames)
	}
	return nil
}

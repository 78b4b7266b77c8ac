// Package imagefiletest makes image files for tests, in particular such as no
// encoder of the standard library writes: progressive and CMYK JPEG, WebP,
// files with metadata, and hostile ones. Pictures that it draws itself are of one colour.
package imagefiletest

import (
	"encoding/binary"
	"hash/crc32"
	"image/color"
	"math/bits"
)

// EXIF returns EXIF data (a TIFF structure) whose one tag is the orientation.
func EXIF(order binary.AppendByteOrder, orientation int) []byte {
	b := order.AppendUint16(nil, 0x4949) // "II"
	if order.AppendUint16(nil, 1)[0] == 0 {
		b = []byte("MM")
	}
	b = order.AppendUint16(b, 42)
	b = order.AppendUint32(b, 8)      // the directory's offset
	b = order.AppendUint16(b, 1)      // its entries
	b = order.AppendUint16(b, 0x0112) // Orientation
	b = order.AppendUint16(b, 3)      // SHORT
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, uint16(orientation))
	b = order.AppendUint16(b, 0)
	return order.AppendUint32(b, 0) // no next directory
}

// PNGChunk returns a PNG chunk.
func PNGChunk(name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// PNGSignature begins every PNG.
const PNGSignature = "\x89PNG\r\n\x1a\n"

// IHDR returns a PNG header chunk.
func IHDR(width, height uint32, depth, colorType, interlace byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, width)
	b = binary.BigEndian.AppendUint32(b, height)
	return PNGChunk("IHDR", append(b, depth, colorType, 0, 0, interlace))
}

// WithChunks puts chunks right behind a PNG's header chunk.
func WithChunks(png []byte, chunks ...[]byte) []byte {
	const header = len(PNGSignature) + 4 + 4 + 13 + 4
	return insert(png, header, chunks)
}

func insert(file []byte, at int, parts [][]byte) []byte {
	b := append([]byte(nil), file[:at]...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return append(b, file[at:]...)
}

// Segment returns a JPEG segment.
func Segment(marker byte, data []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(data)+2)), data...)
}

// WithSegments puts segments right behind a JPEG's SOI marker.
func WithSegments(jpeg []byte, segments ...[]byte) []byte { return insert(jpeg, 2, segments) }

// AdobeSegment returns Adobe's APP14 segment.
func AdobeSegment(transform byte) []byte {
	return Segment(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), transform))
}

// JPEG describes a JPEG of one colour.
type JPEG struct {
	Width, Height int
	// Values are those of the components, 1, 3 or 4 of them.
	Values []byte
	// Subsampled gives every component but the first and the fourth half the size.
	Subsampled  bool
	Progressive bool
	// ExtraScans are added to a progressive file: each visits all blocks of the
	// first component and changes nothing, and takes but a few bytes.
	ExtraScans int
}

// Encode returns the file.
func (j JPEG) Encode() []byte {
	n := len(j.Values)
	file := []byte{0xff, 0xd8}
	quant := make([]byte, 65)
	for i := range quant[1:] {
		quant[1+i] = 1
	}
	file = append(file, Segment(0xdb, quant)...)

	sof := byte(0xc0)
	if j.Progressive {
		sof = 0xc2
	}
	frame := binary.BigEndian.AppendUint16([]byte{8}, uint16(j.Height))
	frame = append(binary.BigEndian.AppendUint16(frame, uint16(j.Width)), byte(n))
	sampling := func(i int) int {
		if j.Subsampled && n > 1 && i%3 == 0 {
			return 2
		}
		return 1
	}
	for i := range n {
		frame = append(frame, byte(i+1), byte(sampling(i)*0x11), 0)
	}
	file = append(file, Segment(sof, frame)...)

	// Codes of four bits, so that a symbol's code is its place in the list: for DC
	// the sizes 0 to 11, for AC the ends of band of 2⁰ to 2¹⁴ blocks (T.81 G.1.2.2).
	dc, ac := make([]byte, 17), make([]byte, 17)
	dc[0], ac[0] = 0x00, 0x10
	dc[4], ac[4] = 12, 15
	for i := range byte(15) {
		if i < 12 {
			dc = append(dc, i)
		}
		ac = append(ac, i<<4)
	}
	file = append(file, Segment(0xc4, dc)...)
	file = append(file, Segment(0xc4, ac)...)

	scan := []byte{byte(n)}
	for i := range n {
		scan = append(scan, byte(i+1), 0)
	}
	last := byte(63)
	if j.Progressive {
		last = 0
	}
	file = append(file, Segment(0xda, append(scan, 0, last, 0))...)
	most := sampling(0)
	mcus := ceilDiv(j.Width, 8*most) * ceilDiv(j.Height, 8*most)
	var w bitWriter
	for mcu := range mcus {
		for i, v := range j.Values {
			for block := range sampling(i) * sampling(i) {
				diff := 0
				if mcu == 0 && block == 0 {
					diff = (int(v) - 128) * 8 // the DC term of a flat block, of which the next ones differ by 0
				}
				size := bits.Len(uint(max(diff, -diff)))
				w.write(size, 4)
				if diff < 0 {
					diff += 1<<size - 1
				}
				w.write(diff, size)
				if !j.Progressive {
					w.write(0, 4) // end of block
				}
			}
		}
	}
	file = append(file, w.flush()...)

	for range j.ExtraScans {
		file = append(file, Segment(0xda, []byte{1, 1, 0, 1, 63, 0})...)
		blocks := ceilDiv(j.Width, 8) * ceilDiv(j.Height, 8)
		var w bitWriter
		for blocks > 0 {
			size := min(bits.Len(uint(blocks))-1, 14)
			run := min(blocks, 1<<(size+1)-1)
			w.write(size, 4)
			w.write(run-1<<size, size)
			blocks -= run
		}
		file = append(file, w.flush()...)
	}
	return append(file, 0xff, 0xd9)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// bitWriter writes entropy coded data: high bits first, zeros stuffed after 0xff.
type bitWriter struct {
	out []byte
	acc uint64
	n   int
}

func (w *bitWriter) write(v, n int) {
	w.acc = w.acc<<n | uint64(v)&(1<<n-1)
	for w.n += n; w.n >= 8; w.n -= 8 {
		b := byte(w.acc >> (w.n - 8))
		if w.out = append(w.out, b); b == 0xff {
			w.out = append(w.out, 0)
		}
	}
}

func (w *bitWriter) flush() []byte {
	if w.n > 0 {
		w.write(1<<(8-w.n)-1, 8-w.n)
	}
	return w.out
}

// RIFFChunk returns a RIFF chunk with its padding.
func RIFFChunk(name string, data ...[]byte) []byte {
	b := append([]byte(name), 0, 0, 0, 0)
	for _, d := range data {
		b = append(b, d...)
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

// WebP returns a WebP file of chunks.
func WebP(chunks ...[]byte) []byte {
	return RIFFChunk("RIFF", append([][]byte{[]byte("WEBP")}, chunks...)...)
}

// The flags of a VP8X chunk.
const (
	FlagAnimation = 1 << 1
	FlagEXIF      = 1 << 3
	FlagAlpha     = 1 << 4
	FlagICC       = 1 << 5
)

// VP8X returns an extended WebP's header chunk.
func VP8X(flags byte, width, height int) []byte {
	return RIFFChunk("VP8X", []byte{flags, 0, 0, 0}, uint24(width-1), uint24(height-1))
}

// ANMF returns an animation's frame; x and y are even.
func ANMF(x, y, width, height int, chunks ...[]byte) []byte {
	header := [][]byte{uint24(x / 2), uint24(y / 2), uint24(width - 1), uint24(height - 1), uint24(100), {0}}
	return RIFFChunk("ANMF", append(header, chunks...)...)
}

func uint24(v int) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16)} }

// VP8L returns the chunk of a lossless picture, which takes no bit a pixel:
// each of its five codes has one symbol.
func VP8L(width, height int, c color.NRGBA, alphaUsed bool) []byte {
	var acc uint64
	n := 0
	data := []byte{0x2f}
	write := func(v, size int) { // low bits first
		acc |= uint64(v) << n
		for n += size; n >= 8; n -= 8 {
			data = append(data, byte(acc))
			acc >>= 8
		}
	}
	write(width-1, 14)
	write(height-1, 14)
	used := 0
	if alphaUsed {
		used = 1
	}
	write(used, 1)
	write(0, 3)                                       // version
	write(0, 3)                                       // no transform, no colour cache, no meta codes
	for _, v := range []byte{c.G, c.R, c.B, c.A, 0} { // the last is the distances'
		write(0b101, 3) // a simple code, of one symbol, of 8 bits
		write(int(v), 8)
	}
	write(0, 15)
	return RIFFChunk("VP8L", data)
}

// VP8 returns the chunk of a lossy picture, all gray: its compressed data is all
// zeros, which read as the first choice everywhere (RFC 6386, section 9).
func VP8(width, height int) []byte {
	partition := 64 + ceilDiv(width, 16)*ceilDiv(height, 16)*8
	tag := partition<<5 | 1<<4 // a key frame, to be shown
	header := append(uint24(tag), 0x9d, 0x01, 0x2a, byte(width), byte(width>>8), byte(height), byte(height>>8))
	return RIFFChunk("VP8 ", header, make([]byte, 2*partition))
}

// ALPH returns the chunk of a lossy picture's alpha plane, all of one value, uncompressed.
func ALPH(width, height int, alpha byte) []byte {
	plane := make([]byte, 1+width*height)
	for i := range plane[1:] {
		plane[1+i] = alpha
	}
	return RIFFChunk("ALPH", plane)
}

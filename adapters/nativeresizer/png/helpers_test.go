package png

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
)

// chunk returns a chunk with its length and CRC.
func chunk(kind string, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

func deflated(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// sample describes a PNG file to be made.
type sample struct {
	width, height int
	kind          ColorType
	depth         int
	interlaced    bool
	transparent   bool     // with a tRNS chunk
	before, after [][]byte // chunks around the image data
	idat          int      // the size of an IDAT chunk, 0 is one for all
	filter        int      // -1 is a random one for each row
	smooth        bool     // not noise
}

func (s sample) ihdr() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(s.width))
	b = binary.BigEndian.AppendUint32(b, uint32(s.height))
	b = append(b, byte(s.depth), byte(s.kind), 0, 0, 0)
	if s.interlaced {
		b[12] = 1
	}
	return chunk(chunkIHDR, b)
}

// encode makes the file, with contents that depend on its parameters alone.
func (s sample) encode() []byte {
	rng := rand.New(rand.NewPCG(uint64(s.width*1000+s.height), uint64(s.depth)<<8|uint64(s.kind)))
	out := append([]byte(signature), s.ihdr()...)
	if s.kind == Palette {
		plte := make([]byte, 3<<s.depth)
		for i := range plte {
			plte[i] = byte(rng.Uint32())
		}
		out = append(out, chunk(chunkPLTE, plte)...)
	}
	if s.transparent {
		trns := make([]byte, 2*s.kind.samples())
		switch s.kind {
		case Palette:
			trns = make([]byte, 1<<s.depth/2)
			for i := range trns {
				trns[i] = byte(rng.Uint32())
			}
		default:
			for i := 1; i < len(trns); i += 2 {
				trns[i] = byte(rng.UintN(1 << min(s.depth, 3)))
			}
		}
		out = append(out, chunk(chunkTRNS, trns)...)
	}
	for _, c := range s.before {
		out = append(out, c...)
	}
	data := deflated(s.filtered(rng))
	size := s.idat
	if size == 0 {
		size = len(data)
	}
	for len(data) > 0 {
		n := min(size, len(data))
		out = append(out, chunk(chunkIDAT, data[:n])...)
		data = data[n:]
	}
	for _, c := range s.after {
		out = append(out, c...)
	}
	return append(out, chunk(chunkIEND, nil)...)
}

// filtered makes the rows of every pass.
func (s sample) filtered(rng *rand.Rand) []byte {
	h := Header{Width: s.width, Height: s.height, BitDepth: s.depth, ColorType: s.kind}
	bpp := (h.bitsPerPixel() + 7) / 8
	passes := wholePass
	if s.interlaced {
		passes = adam7
	}
	var out []byte
	for _, p := range passes {
		if p.x0 >= s.width || p.y0 >= s.height {
			continue
		}
		n := h.rowBytes((s.width - p.x0 + p.dx - 1) / p.dx)
		prev := make([]byte, n)
		for y := p.y0; y < s.height; y += p.dy {
			row := make([]byte, n)
			for i := range row {
				row[i] = byte(rng.Uint32())
				if s.smooth {
					row[i] = byte(i/7+y/3) + row[i]&7
				} else if s.transparent && s.kind != Palette {
					row[i] &= 7 // so that the colour is met
					if s.depth == 16 && i&1 == 0 {
						row[i] = 0
					}
				}
			}
			f := s.filter
			if f < 0 {
				f = rng.IntN(5)
			}
			out = append(out, byte(f))
			out = append(out, filterRow(f, row, prev, bpp)...)
			prev = row
		}
	}
	return out
}

// filterRow filters a row as PNG 9.2 and 9.4 have it.
func filterRow(f int, row, prev []byte, bpp int) []byte {
	out := make([]byte, len(row))
	for i, x := range row {
		var a, b, c int
		b = int(prev[i])
		if i >= bpp {
			a, c = int(row[i-bpp]), int(prev[i-bpp])
		}
		out[i] = x - byte([]int{0, a, b, (a + b) / 2, slowPaeth(a, b, c)}[f])
	}
	return out
}

// slowPaeth is the predictor as PNG 9.4 has it.
func slowPaeth(a, b, c int) int {
	abs := func(v int) int { return max(v, -v) }
	p := a + b - c
	pa, pb, pc := abs(p-a), abs(p-b), abs(p-c)
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

// samples are files of every colour type and depth, interlaced and not, with
// transparency and without.
func samples(width, height int) (out []sample) {
	for _, kind := range []ColorType{Gray, RGB, Palette, GrayAlpha, RGBA} {
		for _, depth := range []int{1, 2, 4, 8, 16} {
			if !validDepth(kind, depth) {
				continue
			}
			for _, interlaced := range []bool{false, true} {
				for _, transparent := range []bool{false, true} {
					if transparent && (kind == GrayAlpha || kind == RGBA) {
						continue
					}
					out = append(out, sample{
						width: width, height: height, kind: kind, depth: depth,
						interlaced: interlaced, transparent: transparent, filter: -1,
					})
				}
			}
		}
	}
	return out
}

func decode(data []byte, fx, fy int) (*Decoded, error) {
	return NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background(), fx, fy)
}

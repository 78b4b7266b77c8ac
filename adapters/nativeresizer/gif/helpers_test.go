package gif

import (
	"bytes"
	stdlzw "compress/lzw"
	"context"
	"encoding/binary"
	"image"
	"math/rand/v2"
)

// frame describes a frame to be made.
type frame struct {
	x, y, width, height int
	bits                int // of an index, 1 to 8
	interlaced, local   bool
	transparent         int // -1 is none
	noise               bool
}

// indices are the frame's pixels from top to bottom.
func (f frame) indices() []byte {
	rng := rand.New(rand.NewPCG(uint64(f.width), uint64(f.height*8+f.bits)))
	out := make([]byte, f.width*f.height)
	for i := range out {
		v := i/5 + i/f.width
		if f.noise {
			v = rng.IntN(256)
		}
		out[i] = byte(v & (1<<f.bits - 1))
	}
	return out
}

func colors(bits, seed int) []byte {
	out := make([]byte, 3<<bits)
	for i := range out {
		out[i] = byte(i*37 + seed)
	}
	return out
}

// subBlocks splits data.
func subBlocks(data []byte) (out []byte) {
	for len(data) > 0 {
		n := min(len(data), 255)
		out = append(append(out, byte(n)), data[:n]...)
		data = data[n:]
	}
	return append(out, 0)
}

func compressed(indices []byte, bits int) []byte {
	var b bytes.Buffer
	w := stdlzw.NewWriter(&b, stdlzw.LSB, max(bits, 2))
	w.Write(indices)
	w.Close()
	return append([]byte{byte(max(bits, 2))}, subBlocks(b.Bytes())...)
}

func (f frame) encode() (out []byte) {
	if f.transparent >= 0 {
		out = append(out, 0x21, 0xf9, 4, 1, 10, 0, byte(f.transparent), 0)
	}
	out = append(out, 0x2c)
	for _, v := range []int{f.x, f.y, f.width, f.height} {
		out = binary.LittleEndian.AppendUint16(out, uint16(v))
	}
	flags := byte(0)
	if f.interlaced {
		flags |= 0x40
	}
	if f.local {
		flags |= 0x80 | byte(f.bits-1)
	}
	out = append(out, flags)
	if f.local {
		out = append(out, colors(f.bits, 99)...)
	}
	px := f.indices()
	if f.interlaced {
		var rows []byte
		for _, p := range interlacing {
			for y := p[0]; y < f.height; y += p[1] {
				rows = append(rows, px[y*f.width:(y+1)*f.width]...)
			}
		}
		px = rows
	}
	return append(out, compressed(px, f.bits)...)
}

// screen makes the beginning of a file with a global table of 256 colours.
func screen(width, height int) []byte {
	out := []byte("GIF89a")
	out = binary.LittleEndian.AppendUint16(out, uint16(width))
	out = binary.LittleEndian.AppendUint16(out, uint16(height))
	out = append(out, 0xf7, 0, 0)
	return append(out, colors(8, 0)...)
}

func file(width, height int, parts ...[]byte) []byte {
	return append(append(screen(width, height), bytes.Join(parts, nil)...), 0x3b)
}

// composed is the canvas, as slowly as can be.
func composed(width, height int, f frame) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	table := colors(8, 0)
	if f.local {
		table = append(colors(f.bits, 99), make([]byte, 768)...)
	}
	for i, v := range f.indices() {
		p := image.Pt(f.x+i%f.width, f.y+i/f.width)
		if p.In(m.Rect) && int(v) != f.transparent {
			copy(m.Pix[m.PixOffset(p.X, p.Y):], []byte{table[3*int(v)], table[3*int(v)+1], table[3*int(v)+2], 255})
		}
	}
	return m
}

// boxes shrinks an image whose pixels are opaque or transparent.
func boxes(m *image.NRGBA, fx, fy int) (out []byte) {
	for y := 0; y < m.Rect.Dy(); y += fy {
		for x := 0; x < m.Rect.Dx(); x += fx {
			var sum [4]int
			n := 0
			for j := y; j < min(y+fy, m.Rect.Dy()); j++ {
				for i := x; i < min(x+fx, m.Rect.Dx()); i++ {
					px := m.Pix[m.PixOffset(i, j):][:4]
					n++
					if px[3] != 0 {
						for c := range 4 {
							sum[c] += int(px[c])
						}
					}
				}
			}
			for c := range 4 {
				out = append(out, byte((sum[c]+n/2)/n))
			}
		}
	}
	return out
}

func decode(data []byte, fx, fy int) (*Decoded, error) {
	return NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background(), fx, fy)
}

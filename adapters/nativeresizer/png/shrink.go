package png

import (
	"encoding/binary"
	"image"
)

// shrinker averages boxes of pixels.
type shrinker struct {
	fx, fy        int
	width, height int // of the source
	outW, outH    int
	channels      int  // of a row: 1 to 4
	outChannels   int  // of the result: 1 or 4
	interlaced    bool // rows come in passes: all boxes are open at the same time
	pix           []byte
	sums          []uint32 // of a row of boxes, or of all: channels for each
	even, odd     []uint64 // sums of columns in lanes of 16 bits
	columns       []byte   // the same one by one, of two bytes each, and padding for a load beyond the last
	rowsIn        int      // rows in the lanes or sums
}

// newShrinker allocates the result.
func newShrinker(h *Header, fx, fy int) (*shrinker, error) {
	s := &shrinker{
		fx: fx, fy: fy, width: h.Width, height: h.Height,
		outW: ceilDiv(h.Width, fx), outH: ceilDiv(h.Height, fy),
		channels: h.Channels(), outChannels: 4, interlaced: h.Interlaced,
	}
	if s.channels == 1 {
		s.outChannels = 1
	}
	// The sums of an interlaced image are the largest thing there may be.
	if pixels := int64(s.outW) * int64(s.outH); pixels > 1<<40 || pixels > int64(^uint(0)>>1)/16 {
		return nil, UnsupportedError("image too large for this machine")
	}
	s.pix = make([]byte, s.outW*s.outH*s.outChannels)
	switch {
	case fx == 1 && fy == 1:
	case s.interlaced:
		s.sums = make([]uint32, s.outW*s.outH*s.channels)
	case s.channels&1 == 1:
		lanes := (s.width*s.channels + 7) / 8
		s.even, s.odd, s.columns = make([]uint64, lanes), make([]uint64, lanes), make([]byte, 16*lanes+8)
	default:
		s.sums = make([]uint32, s.outW*s.channels)
	}
	return s, nil
}

func ceilDiv(a, b int) int { return (a-1)/b + 1 }

// image returns the result.
func (s *shrinker) image() image.Image {
	if s.interlaced && s.sums != nil {
		for y := range s.outH {
			rows := min(s.fy, s.height-y*s.fy)
			s.averages(y, rows, s.sums[y*s.outW*s.channels:][:s.outW*s.channels])
		}
	}
	r := image.Rect(0, 0, s.outW, s.outH)
	if s.outChannels == 1 {
		return &image.Gray{Pix: s.pix, Stride: s.outW, Rect: r}
	}
	return &image.RGBA{Pix: s.pix, Stride: 4 * s.outW, Rect: r}
}

// add takes a row in.
func (s *shrinker) add(r Row) {
	switch {
	case s.fx == 1 && s.fy == 1:
		s.put(r)
		return
	case s.interlaced:
		s.scatter(r)
		return
	case s.channels&1 == 1:
		s.addLanes(r.Pix)
	default:
		s.addAlpha(r.Pix)
	}
	s.rowsIn++
	if s.rowsIn == s.fy || r.Y == s.height-1 {
		if s.channels&1 == 1 {
			s.emptyLanes(r.Y/s.fy, s.rowsIn)
		} else {
			s.averages(r.Y/s.fy, s.rowsIn, s.sums)
			clear(s.sums)
		}
		s.rowsIn = 0
	}
}

// put copies pixels to the result, which is of the same size.
func (s *shrinker) put(r Row) {
	step := r.Step * s.outChannels
	out := s.pix[(r.Y*s.outW+r.X)*s.outChannels:]
	in := r.Pix
	switch s.channels {
	case 1:
		if step == 1 {
			copy(out, in)
			return
		}
		for i, v := range in {
			out[i*step] = v
		}
	case 2:
		for i, o := 0, 0; i+2 <= len(in); i, o = i+2, o+step {
			v := premultiply(in[i], in[i+1])
			px := out[o : o+4 : o+4]
			px[0], px[1], px[2], px[3] = v, v, v, in[i+1]
		}
	case 3:
		for i, o := 0, 0; i+3 <= len(in); i, o = i+3, o+step {
			px := out[o : o+4 : o+4]
			px[0], px[1], px[2], px[3] = in[i], in[i+1], in[i+2], 0xff
		}
	case 4:
		for i, o := 0, 0; i+4 <= len(in); i, o = i+4, o+step {
			px := out[o : o+4 : o+4]
			p := in[i : i+4 : i+4]
			if a := p[3]; a == 0xff {
				copy(px, p)
			} else {
				px[0], px[1], px[2], px[3] = premultiply(p[0], a), premultiply(p[1], a), premultiply(p[2], a), a
			}
		}
	}
}

// premultiply returns v·a/255, rounded.
func premultiply(v, a byte) byte {
	t := uint32(v)*uint32(a) + 128
	return byte((t + t>>8) >> 8)
}

// scatter adds pixels of a pass to their boxes.
func (s *shrinker) scatter(r Row) {
	n := s.channels
	sums := s.sums[r.Y/s.fy*s.outW*n:]
	box, inBox := r.X/s.fx, r.X%s.fx
	for in := r.Pix; len(in) >= n; in = in[n:] {
		sum := sums[box*n : box*n+n : box*n+n]
		switch n {
		case 1:
			sum[0] += uint32(in[0])
		case 2:
			sum[0] += uint32(in[0]) * uint32(in[1])
			sum[1] += uint32(in[1])
		case 3:
			sum[0] += uint32(in[0])
			sum[1] += uint32(in[1])
			sum[2] += uint32(in[2])
		case 4:
			a := uint32(in[3])
			sum[0] += uint32(in[0]) * a
			sum[1] += uint32(in[1]) * a
			sum[2] += uint32(in[2]) * a
			sum[3] += a
		}
		for inBox += r.Step; inBox >= s.fx; inBox -= s.fx {
			box++
		}
	}
}

// addAlpha adds a row of pixels with alpha to the sums of its boxes: colour times
// alpha, and alpha. MaxFactor² times 255² is less than 2^32.
func (s *shrinker) addAlpha(in []byte) {
	sums := s.sums
	if s.channels == 2 {
		for len(in) > 0 {
			n := min(2*s.fx, len(in))
			var v, a uint32
			for box := in[:n]; len(box) >= 2; box = box[2:] {
				v += uint32(box[0]) * uint32(box[1])
				a += uint32(box[1])
			}
			sums[0] += v
			sums[1] += a
			in, sums = in[n:], sums[2:]
		}
		return
	}
	for len(in) > 0 {
		n := min(4*s.fx, len(in))
		// Two sums in a word: of a row of at most MaxFactor pixels.
		var rb, ga uint64
		for box := in[:n]; len(box) >= 4; box = box[4:] {
			px := binary.LittleEndian.Uint32(box)
			a := uint64(px >> 24)
			rb += (uint64(px&0xff) | uint64(px>>16&0xff)<<32) * a
			ga += (uint64(px>>8&0xff) | 1<<32) * a
		}
		sum := sums[:4:4]
		sum[0] += uint32(rb)
		sum[1] += uint32(ga)
		sum[2] += uint32(rb >> 32)
		sum[3] += uint32(ga >> 32)
		in, sums = in[n:], sums[4:]
	}
}

// averages writes a row of the result of the sums of its boxes of so many rows.
func (s *shrinker) averages(y, rows int, sums []uint32) {
	out := s.pix[y*s.outW*s.outChannels:][:s.outW*s.outChannels]
	for x := range s.outW {
		n := uint32(min(s.fx, s.width-x*s.fx) * rows)
		sum := sums[x*s.channels:]
		switch s.channels {
		case 1:
			out[x] = byte((sum[0] + n/2) / n)
		case 2:
			v := byte((sum[0] + n*255/2) / (n * 255))
			px := out[4*x : 4*x+4 : 4*x+4]
			px[0], px[1], px[2], px[3] = v, v, v, byte((sum[1]+n/2)/n)
		case 3:
			px := out[4*x : 4*x+4 : 4*x+4]
			for c := range 3 {
				px[c] = byte((sum[c] + n/2) / n)
			}
			px[3] = 0xff
		case 4:
			px := out[4*x : 4*x+4 : 4*x+4]
			for c := range 3 {
				px[c] = byte((sum[c] + n*255/2) / (n * 255))
			}
			px[3] = byte((sum[3] + n/2) / n)
		}
	}
}

// lanes16 are four lanes of 16 bits that hold bytes. MaxFactor + 1 bytes may be
// added in them.
const lanes16 = 0x00ff00ff00ff00ff

// addLanes adds a row of opaque pixels to the columns' sums, eight bytes at a time.
func (s *shrinker) addLanes(in []byte) {
	even, odd := s.even, s.odd
	i := 0
	for ; len(in) >= 8 && i < len(even) && i < len(odd); i++ {
		v := binary.LittleEndian.Uint64(in)
		even[i] += v & lanes16
		odd[i] += v >> 8 & lanes16
		in = in[8:]
	}
	if len(in) > 0 {
		var last [8]byte
		copy(last[:], in)
		v := binary.LittleEndian.Uint64(last[:])
		even[i] += v & lanes16
		odd[i] += v >> 8 & lanes16
	}
}

// emptyLanes writes a row of the result of the columns' sums of so many rows.
func (s *shrinker) emptyLanes(y, rows int) {
	const low, high = 0x000000000000ffff, 0x00000000ffff0000
	columns := s.columns
	for i, even := range s.even {
		odd := s.odd[i]
		c := columns[16*i : 16*i+16 : 16*i+16]
		binary.LittleEndian.PutUint64(c, even&low|(odd&low|even&high)<<16|odd&high<<32)
		even, odd = even>>32, odd>>32
		binary.LittleEndian.PutUint64(c[8:], even&low|(odd&low|even&high)<<16|odd&high<<32)
	}
	clear(s.even)
	clear(s.odd)
	left := s.width
	for x := range s.outW {
		pixels := min(s.fx, left)
		left -= pixels
		n := uint32(pixels * rows)
		if s.channels == 1 {
			var v uint32
			for range pixels {
				v += uint32(binary.LittleEndian.Uint16(columns))
				columns = columns[2:]
			}
			s.pix[y*s.outW+x] = byte((v + n/2) / n)
			continue
		}
		var r, g, b uint32
		if n <= 257 {
			// A pixel's three sums, and one of the next that does not matter, in lanes that hold all.
			var sum uint64
			for i := 0; i < 6*pixels; i += 6 {
				sum += binary.LittleEndian.Uint64(columns[i:])
			}
			r, g, b = uint32(sum&0xffff), uint32(sum>>16&0xffff), uint32(sum>>32&0xffff)
		} else {
			for i := 0; i < 6*pixels; i += 6 {
				r += uint32(binary.LittleEndian.Uint16(columns[i:]))
				g += uint32(binary.LittleEndian.Uint16(columns[i+2:]))
				b += uint32(binary.LittleEndian.Uint16(columns[i+4:]))
			}
		}
		columns = columns[6*pixels:]
		px := s.pix[4*(y*s.outW+x):][:4:4]
		px[0], px[1], px[2], px[3] = byte((r+n/2)/n), byte((g+n/2)/n), byte((b+n/2)/n), 0xff
	}
}

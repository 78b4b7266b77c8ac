package gif

import (
	"encoding/binary"
	"image"
)

// shrinker averages boxes of pixels of the canvas.
type shrinker struct {
	fx, fy        int
	width, height int // of the canvas
	frame         image.Rectangle
	visible       image.Rectangle // of the frame
	interlaced    bool            // all boxes are open at the same time, else those of a row
	out           *image.RGBA

	// A pixel of each index, for copying.
	pixels [256]uint32
	// The same for adding, two numbers in a word: red and blue; green and 1. All are 0
	// for the transparent index.
	rb, ga [256]uint64
	// Sums of r, b and of g, count of the boxes, two words for each.
	sums    []uint64
	openRow int // the row of boxes in sums
}

func ceilDiv(a, b int) int { return (a-1)/b + 1 }

// newShrinker allocates the result.
func newShrinker(h *Header, fx, fy int) *shrinker {
	canvas := image.Rect(0, 0, h.Width, h.Height)
	s := &shrinker{
		fx: fx, fy: fy, width: h.Width, height: h.Height, interlaced: h.Interlaced,
		frame: h.Frame, visible: h.Frame.Intersect(canvas),
		out: image.NewRGBA(image.Rect(0, 0, ceilDiv(h.Width, fx), ceilDiv(h.Height, fy))),
	}
	for i, c := range h.palette {
		if i == h.transparent {
			continue
		}
		s.pixels[i] = uint32(c.r) | uint32(c.g)<<8 | uint32(c.b)<<16 | 0xff<<24
		s.rb[i] = uint64(c.r) | uint64(c.b)<<32
		s.ga[i] = uint64(c.g) | 1<<32
	}
	if fx > 1 || fy > 1 {
		rows := 1
		if s.interlaced {
			rows = s.out.Rect.Dy()
		}
		s.sums = make([]uint64, 2*rows*s.out.Rect.Dx())
	}
	return s
}

// add takes a row of the frame's indices in.
func (s *shrinker) add(y int, row []byte) {
	y += s.frame.Min.Y
	if y >= s.visible.Max.Y || s.visible.Empty() {
		return
	}
	row = row[:s.visible.Dx()]
	x := s.visible.Min.X
	if s.sums == nil {
		to := s.out.Pix[s.out.PixOffset(x, y):]
		for i, v := range row {
			binary.LittleEndian.PutUint32(to[4*i:], s.pixels[v])
		}
		return
	}
	sums := s.sums
	if s.interlaced {
		sums = sums[2*(y/s.fy)*s.out.Rect.Dx():]
	} else if y/s.fy != s.openRow {
		s.average(s.openRow, s.sums)
		clear(s.sums)
		s.openRow = y / s.fy
	}
	box, left := x/s.fx, s.fx-x%s.fx
	for len(row) > 0 {
		n := min(left, len(row))
		var rb, ga uint64
		for _, v := range row[:n] {
			rb += s.rb[v]
			ga += s.ga[v]
		}
		sums[2*box] += rb
		sums[2*box+1] += ga
		row = row[n:]
		box++
		left = s.fx
	}
}

// finish writes what is still in the sums.
func (s *shrinker) finish() {
	switch {
	case s.sums == nil:
	case s.interlaced:
		w := s.out.Rect.Dx()
		for y := range s.out.Rect.Dy() {
			s.average(y, s.sums[2*y*w:])
		}
	default:
		s.average(s.openRow, s.sums)
	}
}

// average writes a row of the result.
func (s *shrinker) average(y int, sums []uint64) {
	rows := min(s.fy, s.height-y*s.fy)
	to := s.out.Pix[y*s.out.Stride:]
	for x := range s.out.Rect.Dx() {
		n := uint32(min(s.fx, s.width-x*s.fx) * rows)
		rb, ga := sums[2*x], sums[2*x+1]
		px := to[4*x : 4*x+4 : 4*x+4]
		px[0] = byte((uint32(rb) + n/2) / n)
		px[1] = byte((uint32(ga) + n/2) / n)
		px[2] = byte((uint32(rb>>32) + n/2) / n)
		px[3] = byte((uint32(ga>>32)*255 + n/2) / n)
	}
}

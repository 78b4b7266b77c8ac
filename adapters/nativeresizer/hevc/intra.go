package hevc

// Intra prediction modes (Table 8-1); 2 to 34 are angular.
const (
	modePlanar     = 0
	modeDC         = 1
	modeHorizontal = 10
	modeVertical   = 26
)

// intraAngle is intraPredAngle (Table 8-5).
var intraAngle = [35]int8{
	0, 0, 32, 26, 21, 17, 13, 9, 5, 2, 0, -2, -5, -9, -13, -17, -21, -26,
	-32, -26, -21, -17, -13, -9, -5, -2, 0, 2, 5, 9, 13, 17, 21, 26, 32,
}

// inverseAngle is invAngle (Table 8-6) of modes 11 to 25.
var inverseAngle = [15]int16{
	-4096, -1638, -910, -630, -482, -390, -315, -256, -315, -390, -482, -630, -910, -1638, -4096,
}

// mode422 is the mode of chroma in 4:2:2, by that of luma (Table 8-3).
var mode422 = [35]uint8{
	0, 1, 2, 2, 2, 2, 3, 5, 7, 8, 10, 12, 13, 15, 17, 18, 19, 20, 21, 22, 23, 23, 24, 24, 25, 25, 26, 27, 27, 28, 28, 29, 29, 30, 31,
}

// smoothFrom is intraHorVerDistThres (Table 8-4) by log2 of the block's side.
var smoothFrom = [6]int{3: 7, 4: 1, 5: 0}

// border is the samples around a block: from the bottom left up, the corner in the
// middle, then to the right.
type border [4*32 + 1]uint16

// predict predicts a block of n × n samples of component c at (x, y) in samples of it (8.4.4.2).
func (d *Decoder) predict(c, x, y, log2, mode int) {
	n := 1 << log2
	b := &d.border
	d.gather(b, c, x, y, n)
	if !d.sps.noSmoothing && (c == 0 || d.sps.chroma == 3) && mode != modeDC && log2 > 2 {
		distance := min(abs(mode-modeVertical), abs(mode-modeHorizontal))
		if distance > smoothFrom[log2] {
			b = d.smooth(c, log2)
		}
	}
	p := &d.planes[c]
	out := p.pix[(y-p.top)*p.stride+x:]
	edges := c == 0 && log2 < 5
	switch mode {
	case modePlanar:
		planar(out, p.stride, b, log2)
	case modeDC:
		dc(out, p.stride, b, log2, edges)
	default:
		edges = edges && !(d.sps.implicitRDPCM && d.cuBypass)
		d.angular(out, p.stride, b, log2, mode, edges, int32(d.maxSample(c)))
	}
}

// gather fetches the neighbours and substitutes those that are not available (8.4.4.2.2).
func (d *Decoder) gather(b *border, c, x, y, n int) {
	s := d.sps
	subW, subH := 0, 0
	if c > 0 {
		subW, subH = s.subW, s.subH
	}
	// In luma samples:
	xl, yl, wl, hl := x<<subW, y<<subH, n<<subW, n<<subH
	ctb := 1 << s.log2Ctb
	left := xl > d.ctbX || d.availL
	up := yl > d.ctbY || d.availU
	corner := d.availUL
	switch {
	case xl > d.ctbX && yl > d.ctbY:
		corner = true
	case xl > d.ctbX:
		corner = d.availU
	case yl > d.ctbY:
		corner = d.availL
	}
	current := zOrder[(yl-d.ctbY)>>2<<4+(xl-d.ctbX)>>2]
	right := 0 // samples there are above and to the right
	if nx := xl + wl; nx < s.width {
		ok := false
		switch {
		case yl == d.ctbY && nx < d.ctbX+ctb:
			ok = d.availU
		case yl == d.ctbY:
			ok = d.availUR
		case nx < d.ctbX+ctb:
			ok = zOrder[(yl-1-d.ctbY)>>2<<4+(nx-d.ctbX)>>2] < current
		}
		if ok {
			right = min(n, (s.width-nx)>>subW)
		}
	}
	below := 0 // and below to the left
	if ny := yl + hl; ny < s.height && ny < d.ctbY+ctb {
		ok := d.availL
		if xl > d.ctbX {
			ok = zOrder[(ny-d.ctbY)>>2<<4+(xl-1-d.ctbX)>>2] < current
		}
		if ok {
			below = min(n, (s.height-ny)>>subH)
		}
	}

	p := &d.planes[c]
	at := (y-p.top)*p.stride + x
	mid := 2 * n
	if left {
		i := at - 1
		for k := mid - 1; k >= n-below; k-- {
			b[k] = p.pix[i]
			i += p.stride
		}
	}
	if corner {
		b[mid] = p.pix[at-p.stride-1]
	}
	if up {
		copy(b[mid+1:mid+1+n+right], p.pix[at-p.stride:])
	} else {
		right = 0
	}
	if left && corner && up {
		if below < n {
			fill(b[:n-below], b[n-below])
		}
		if right < n {
			fill(b[3*n+1+right:4*n+1], b[3*n+right])
		}
		return
	}
	// What is missing takes the sample before it; the first, the first that there is.
	first := 4*n + 1
	switch {
	case left:
		first = n - below
	case corner:
		first = mid
	case up:
		first = mid + 1
	}
	if first > 4*n {
		fill(b[:4*n+1], uint16(1)<<(d.depth(c)-1))
		return
	}
	fill(b[:first], b[first])
	if !corner && first < mid {
		b[mid] = b[mid-1]
	}
	if !up {
		fill(b[mid+1:4*n+1], b[mid])
	} else if right < n {
		fill(b[3*n+1+right:4*n+1], b[3*n+right])
	}
}

func fill(s []uint16, v uint16) {
	for i := range s {
		s[i] = v
	}
}

// smooth filters the neighbours (8.4.4.2.3).
func (d *Decoder) smooth(c, log2 int) *border {
	b, f := &d.border, &d.smoothed
	n := 1 << log2
	last := 4 * n
	f[0], f[last] = b[0], b[last]
	if d.sps.strongSmoothing && c == 0 && n == 32 {
		bound := 1 << (d.sps.depth - 5)
		corner, low, far := int(b[64]), int(b[0]), int(b[128])
		if abs(corner+far-2*int(b[96])) < bound && abs(corner+low-2*int(b[32])) < bound {
			f[64] = b[64]
			for i := 1; i < 64; i++ {
				f[64-i] = uint16(((64-i)*corner + i*low + 32) >> 6)
				f[64+i] = uint16(((64-i)*corner + i*far + 32) >> 6)
			}
			return f
		}
	}
	prev, at := uint32(b[0]), uint32(b[1])
	for i := 1; i < last; i++ {
		next := uint32(b[i+1])
		f[i] = uint16((prev + 2*at + next + 2) >> 2)
		prev, at = at, next
	}
	return f
}

// planar is 8.4.4.2.4.
func planar(out []uint16, stride int, b *border, log2 int) {
	n := 1 << log2
	top := b[2*n+1 : 3*n+1]
	right, low := int32(b[3*n+1]), int32(b[n-1])
	var column, step [32]int32 // the vertical part of each column, and what a row adds
	for x := range n {
		t := int32(top[x])
		column[x] = t<<log2 + int32(n)
		step[x] = low - t
	}
	for y := range n {
		row := out[y*stride:][:n]
		left := int32(b[2*n-1-y])
		h := left << log2
		dh := right - left
		for x := range row {
			column[x&31] += step[x&31]
			h += dh
			row[x] = uint16((h + column[x&31]) >> (log2 + 1))
		}
	}
}

// dc is 8.4.4.2.5.
func dc(out []uint16, stride int, b *border, log2 int, edges bool) {
	n := 1 << log2
	top := b[2*n+1 : 3*n+1]
	left := b[n : 2*n] // from the bottom
	sum := uint32(n)
	for i := range n {
		sum += uint32(top[i]) + uint32(left[i])
	}
	v := sum >> (log2 + 1)
	for y := range n {
		fill(out[y*stride:][:n], uint16(v))
	}
	if !edges {
		return
	}
	out[0] = uint16((uint32(left[n-1]) + 2*v + uint32(top[0]) + 2) >> 2)
	for i := 1; i < n; i++ {
		out[i] = uint16((uint32(top[i]) + 3*v + 2) >> 2)
		out[i*stride] = uint16((uint32(left[n-1-i]) + 3*v + 2) >> 2)
	}
}

// angular is 8.4.4.2.6.
func (d *Decoder) angular(out []uint16, stride int, b *border, log2, mode int, edges bool, maximum int32) {
	n := 1 << log2
	mid := 2 * n
	angle := int(intraAngle[mode])
	var line [3*32 + 2]uint16 // ref, which begins at line[n]
	vertical := mode >= 18
	if vertical {
		copy(line[n:n+2*n+1], b[mid:mid+2*n+1])
	} else {
		for i := range 2*n + 1 {
			line[n+i] = b[mid-i]
		}
	}
	if end := (n * angle) >> 5; end < -1 {
		inverse := int(inverseAngle[mode-11])
		for i := -1; i >= end; i-- {
			k := (i*inverse + 128) >> 8
			if vertical {
				line[n+i] = b[mid-k]
			} else {
				line[n+i] = b[mid+k]
			}
		}
	}
	if vertical {
		for y := range n {
			row := out[y*stride:][:n]
			project(row, line[:], n+((y+1)*angle)>>5+1, uint32((y+1)*angle&31))
		}
		if mode == modeVertical && edges {
			corner, top := int32(b[mid]), int32(b[mid+1])
			for y := range n {
				out[y*stride] = uint16(min(max(top+(int32(b[mid-1-y])-corner)>>1, 0), maximum))
			}
		}
		return
	}
	var column [32]uint16
	for x := range n {
		project(column[:n], line[:], n+((x+1)*angle)>>5+1, uint32((x+1)*angle&31))
		i := x
		for y := range n {
			out[i] = column[y]
			i += stride
		}
	}
	if mode == modeHorizontal && edges {
		corner, left := int32(b[mid]), int32(b[mid-1])
		for x := range n {
			out[x] = uint16(min(max(left+(int32(b[mid+1+x])-corner)>>1, 0), maximum))
		}
	}
}

// project takes a row of predicted samples from the reference, from a position and a fraction of 32 on.
func project(row, line []uint16, at int, fraction uint32) {
	if fraction == 0 {
		copy(row, line[at:at+len(row)])
		return
	}
	ref := line[at : at+len(row)+1]
	a := uint32(ref[0])
	for i := range row {
		next := uint32(ref[i+1])
		row[i] = uint16(((32-fraction)*a + fraction*next + 16) >> 5)
		a = next
	}
}

func abs(v int) int {
	if v < 0 {
		return -v
	}
	return v
}

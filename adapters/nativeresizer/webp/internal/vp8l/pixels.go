package vp8l

// near are the places of the pixels that the first distance codes mean: columns to the
// left, and rows up (RFC 9649, 3.6.2.2).
var near = [120][2]int8{
	{0, 1},
	{1, 0},
	{1, 1},
	{-1, 1},
	{0, 2},
	{2, 0},
	{1, 2},
	{-1, 2},
	{2, 1},
	{-2, 1},
	{2, 2},
	{-2, 2},
	{0, 3},
	{3, 0},
	{1, 3},
	{-1, 3},
	{3, 1},
	{-3, 1},
	{2, 3},
	{-2, 3},
	{3, 2},
	{-3, 2},
	{0, 4},
	{4, 0},
	{1, 4},
	{-1, 4},
	{4, 1},
	{-4, 1},
	{3, 3},
	{-3, 3},
	{2, 4},
	{-2, 4},
	{4, 2},
	{-4, 2},
	{0, 5},
	{3, 4},
	{-3, 4},
	{4, 3},
	{-4, 3},
	{5, 0},
	{1, 5},
	{-1, 5},
	{5, 1},
	{-5, 1},
	{2, 5},
	{-2, 5},
	{5, 2},
	{-5, 2},
	{4, 4},
	{-4, 4},
	{3, 5},
	{-3, 5},
	{5, 3},
	{-5, 3},
	{0, 6},
	{6, 0},
	{1, 6},
	{-1, 6},
	{6, 1},
	{-6, 1},
	{2, 6},
	{-2, 6},
	{6, 2},
	{-6, 2},
	{4, 5},
	{-4, 5},
	{5, 4},
	{-5, 4},
	{3, 6},
	{-3, 6},
	{6, 3},
	{-6, 3},
	{0, 7},
	{7, 0},
	{1, 7},
	{-1, 7},
	{5, 5},
	{-5, 5},
	{7, 1},
	{-7, 1},
	{4, 6},
	{-4, 6},
	{6, 4},
	{-6, 4},
	{2, 7},
	{-2, 7},
	{7, 2},
	{-7, 2},
	{3, 7},
	{-3, 7},
	{7, 3},
	{-7, 3},
	{5, 6},
	{-5, 6},
	{6, 5},
	{-6, 5},
	{8, 0},
	{4, 7},
	{-4, 7},
	{7, 4},
	{-7, 4},
	{8, 1},
	{8, 2},
	{6, 6},
	{-6, 6},
	{8, 3},
	{5, 7},
	{-5, 7},
	{7, 5},
	{-7, 5},
	{8, 4},
	{6, 7},
	{-6, 7},
	{7, 6},
	{-7, 6},
	{8, 5},
	{7, 7},
	{-7, 7},
	{8, 6},
	{8, 7},
}

// cacheHash is the multiplier of the colour cache's hash (RFC 9649, 3.6.2.3).
const cacheHash = 0x1e35a7bd

const errReference = FormatError("reference outside of the image")

// manyEntries is how many entries of tables the processor's nearer caches hold: with more of
// them, a change of groups is a wait for memory.
const manyEntries = 512 << 10

// find looks up the next symbol of a code, and how many bits it takes.
func find(table []uint16, mask, acc uint64) (symbol uint32, k uint) {
	e := table[acc&mask]
	if k = uint(e & 15); k <= rootBits {
		return uint32(e >> 4), k
	}
	e = table[uint64(e>>4)+acc>>rootBits&(1<<(k-rootBits)-1)]
	return uint32(e >> 4), rootBits + uint(e&15)
}

// readPixels reads the pixels of an image (RFC 9649, 3.7.3), and hands the rows of the
// main one out.
func (d *decoder) readPixels(im *coded) error {
	total := im.width * im.height
	size := total
	if im.main {
		size = min(total, 2*window)
	}
	pix := make([]uint32, size)
	if !im.main {
		im.pix = pix
	}
	var distances [len(near)]int
	for i, p := range near {
		distances[i] = max(1, int(p[0])+int(p[1])*im.width)
	}
	var cache []uint32
	if im.cacheBits > 0 {
		cache = make([]uint32, 1<<im.cacheBits)
	}
	shift := 32 - im.cacheBits
	switchUnits := int64(0)
	if d.codes.entries > manyEntries {
		switchUnits = coldUnits
	}

	b := &d.bits
	acc, n, pos := b.acc, b.n, b.pos
	base := 0    // how many pixels are before pix[0]
	at := 0      // the next pixel, in pix
	cached := 0  // those before it are in the cache
	x, y := 0, 0 // the next pixel, if there are several groups
	rows := 0    // that have been handed out
	counted := 0 // pixels whose work has been counted
	units := int64(0)
	g := &im.groups[0]
	for base+at < total {
		if at+batch+maxCopy > len(pix) && base+len(pix) < total {
			if cache != nil {
				for _, p := range pix[cached:at] {
					cache[p*cacheHash>>(shift&31)] = p
				}
			}
			copy(pix, pix[at-window:at])
			base += at - window
			at, cached = window, window
		}
		start := at
		end := at + min(batch, total-base-at)
		if im.of != nil {
			end = at + min(1<<im.bits-x&(1<<im.bits-1), im.width-x)
			next := &im.groups[im.of[y>>im.bits*tiles(im.width, im.bits)+x>>im.bits]]
			if next != g {
				g = next
				units += switchUnits
			}
		}
		units += segmentUnits
		if g.flat {
			for i := range pix[at:end] {
				pix[at+i] = g.rest
			}
			at = end
		}
		for at < end {
			if pos > b.safe {
				b.acc, b.n, b.pos = acc, n, pos
				if err := b.fill(); err != nil {
					return err
				}
				pos = b.pos
			}
			acc |= b.load(pos) << (n & 63)
			pos += int((63 - n) >> 3 & 7)
			n |= 56
			units += symbolUnits
			s, k := find(g.green.table, g.green.mask, acc)
			acc >>= k & 63
			n -= k
			if s < literals {
				if g.plain {
					pix[at] = g.rest | s<<8
					at++
					continue
				}
				red, k := find(g.red.table, g.red.mask, acc)
				acc >>= k & 63
				n -= k
				blue, k := find(g.blue.table, g.blue.mask, acc)
				acc >>= k & 63
				n -= k
				if n < maxLength {
					acc |= b.load(pos) << (n & 63)
					pos += int((63 - n) >> 3 & 7)
					n |= 56
				}
				alpha, k := find(g.alpha.table, g.alpha.mask, acc)
				acc >>= k & 63
				n -= k
				pix[at] = alpha<<24 | red<<16 | s<<8 | blue
				at++
				continue
			}
			if s -= literals; s >= lengthCodes {
				// The cache is brought up to date when it is asked.
				for _, p := range pix[cached:at] {
					cache[p*cacheHash>>(shift&31)] = p
				}
				cached = at
				pix[at] = cache[s-lengthCodes]
				at++
				continue
			}
			// A reference (RFC 9649, 3.6.2.2). What is left of 56 bits is enough for the extra
			// bits of the length, at most ten, and the distance's code.
			length := int(s) + 1
			if s >= 4 {
				extra := uint(s-2) >> 1
				length = int(2+s&1)<<extra + int(acc&(1<<extra-1)) + 1
				acc >>= extra
				n -= extra
			}
			s, k = find(g.distance.table, g.distance.mask, acc)
			acc >>= k & 63
			n -= k
			distance := int(s) + 1
			if s >= 4 {
				acc |= b.load(pos) << (n & 63)
				pos += int((63 - n) >> 3 & 7)
				n |= 56
				extra := uint(s-2) >> 1
				distance = int(2+s&1)<<extra + int(acc&(1<<extra-1)) + 1
				acc >>= extra
				n -= extra
			}
			if distance <= len(near) {
				distance = distances[distance-1]
			} else {
				distance -= len(near)
			}
			if distance > base+at || length > total-base-at {
				b.acc, b.n, b.pos = acc, n, pos
				return errReference
			}
			to, from := pix[at:at+length], pix[at-distance:at+length]
			at += length
			if distance == 1 {
				v := from[0]
				for i := range to {
					to[i] = v
				}
				continue
			}
			for len(to) > 0 {
				// What has been copied may be copied again.
				k := copy(to, from[:len(from)-len(to)])
				to = to[k:]
			}
		}
		if im.of != nil {
			if x += at - start; x >= im.width {
				y += x / im.width
				x %= im.width
			}
		}
		if now := base + at; now-counted >= batch || now == total {
			b.acc, b.n, b.pos = acc, n, pos
			if err := b.overrun(); err != nil {
				return err
			}
			if err := d.spend(units + int64(now-counted)*pixelUnits); err != nil {
				return err
			}
			units, counted = 0, now
			if im.main {
				finished := now / im.width
				if err := d.rows(im, pix[rows*im.width-base:finished*im.width-base], rows); err != nil {
					return err
				}
				rows = finished
			}
		}
	}
	return nil
}

package jpeg

// mcuBlock is one of the blocks of an MCU of the scan being decoded, with all
// that its decoding needs at hand.
type mcuBlock struct {
	diff  *[1 << lookupBits]int16 // dc.diff
	skip  *[1 << skipBits]uint16  // ac.skip
	dc    *dcTable
	ac    *acTable
	c     *component
	pix   []byte
	quant int32 // of the DC coefficient
	index uint8 // of the component in the scan: its DC predictor
	dx    int   // place in the MCU, in blocks
	dy    int
	x     int // place in the component, in blocks; only kept for smaller scales
	y     int
	size  int  // samples in each direction at the largest scale,
	last  uint // for which coefficients up to this zigzag index are needed
	off   int  // where in pix (or of which block) the next one goes
	step  int  // from one MCU to the next
	// place tells by zigzag index what to do with a coefficient: its index in
	// the n×n block <<16 | quantization step, 0 for one that is not needed.
	place *[64]uint32
}

// prepareBlocks fills d.blocks for the current scan.
func (d *Decoder) prepareBlocks() {
	f, s := &d.frame, &d.scan
	d.blocks = d.blocks[:0]
	for i := range s.n {
		c := &f.comps[s.comps[i]]
		h, v := c.h, c.v
		if s.n == 1 {
			h, v = 1, 1
		}
		b := mcuBlock{c: c, index: uint8(i), pix: c.pix, quant: int32(c.quant[0]), place: &d.place[i], size: c.size, last: lastNeeded(c.size)}
		if !f.progressive || s.first == 0 {
			// A scan that refines has no table.
			if b.dc = d.dc[s.dc[i]]; b.dc != nil {
				b.dc.build()
				b.diff = &b.dc.diff
			}
			b.step = h
		}
		if !f.progressive {
			b.ac = d.ac[s.ac[i]]
			b.ac.build()
			b.ac.buildSkip()
			b.skip = &b.ac.skip
			if d.size > 1 {
				b.ac.buildCoef()
				fillPlace(b.place, &c.quant, c.size)
			}
			b.step = h * c.size
		}
		for b.dy = range v {
			for b.dx = range h {
				d.blocks = append(d.blocks, b)
			}
		}
	}
}

func fillPlace(place *[64]uint32, quant *[64]uint16, size int) {
	for k, natural := range zigzag {
		x, y := int(natural)&7, int(natural)>>3
		place[k] = 0
		if x < size && y < size {
			place[k] = uint32(y*size+x)<<16 | uint32(quant[k])
		}
	}
}

// lastNeeded is the greatest zigzag index of a coefficient of the low
// size×size ones.
func lastNeeded(size int) uint {
	switch size {
	case 1:
		return 0
	case 2:
		return 4
	case 4:
		return 24
	}
	return 63
}

// sequentialInterval decodes MCUs from up to to of a sequential scan. It is
// false if the segment ended before or makes no sense.
func (d *Decoder) sequentialInterval(from, to int) (bool, error) {
	for from < to {
		x, y := from%d.mcusX, from/d.mcusX
		count := min(d.mcusX-x, to-from)
		for i := range d.blocks {
			b := &d.blocks[i]
			h, v := b.c.h, b.c.v
			if d.scan.n == 1 {
				h, v = 1, 1
			}
			b.x, b.y = x*h+b.dx, y*v+b.dy
			b.off = (b.y*b.c.stride + b.x) * b.size
		}
		var ok bool
		if d.size == 1 {
			ok = d.rowDC(count)
		} else {
			ok = d.rowBlocks(count)
		}
		if !ok {
			return false, nil
		}
		if err := d.tick(count * len(d.blocks)); err != nil {
			return false, err
		}
		from += count
	}
	return true, nil
}

// rowDC decodes MCUs of a row at scale 1/8: the DC coefficient of a block is
// its mean, the rest is stepped over (T.81 F.2.2).
func (d *Decoder) rowDC(mcus int) bool {
	e := &d.bits
	buf := &e.buf
	acc, n, pos, safe := e.acc, e.n, e.pos, e.safe
	pred := d.pred
	blocks := d.blocks
	ok := true
row:
	for range mcus {
		for i := range blocks {
			b := &blocks[i]
			if pos > safe {
				e.acc, e.n, e.pos = acc, n, pos
				if !e.ready() {
					ok = false
					break row
				}
				pos, safe = e.pos, e.safe
			}
			acc |= load64(buf, pos) >> (n & 63)
			pos += int((63 - n) >> 3 & 7)
			n |= 56
			p := pred[b.index&3]
			if v := b.diff[acc>>(64-lookupBits)]; v != 0 {
				acc <<= v & 15
				n -= uint(v & 15)
				p += int32(v >> 4)
			} else {
				length, size := b.dc.decode(acc)
				if length == 0 {
					ok = false
					break row
				}
				acc <<= length & 63
				n -= length
				if size != 0 {
					p += extend(acc, uint(size))
					acc <<= size & 63
					n -= uint(size)
				}
				acc |= load64(buf, pos) >> (n & 63)
				pos += int((63 - n) >> 3 & 7)
				n |= 56
			}
			pred[b.index&3] = p
			mean := (p*b.quant+4)>>3 + 128
			if uint32(mean) > 255 {
				mean = clampSlow(mean)
			}
			b.pix[b.off] = byte(mean)
			b.off += b.step

			// Here n ≥ 44, enough for the first look-up.
			skip := b.skip
			for k := uint(1); ; {
				s := skip[acc>>(64-skipBits)]
				next := k + uint(s>>8)
				if next < 64 {
					k = next
					acc <<= s & 63
					n -= uint(s & 63)
					acc |= load64(buf, pos) >> (n & 63)
					pos += int((63 - n) >> 3 & 7)
					n |= 56
					s = skip[acc>>(64-skipBits)]
					next = k + uint(s>>8)
					if next < 64 {
						k = next
						acc <<= s & 63
						n -= uint(s & 63) // n ≥ 56-maxSkip ≥ maxSkip
						continue
					}
				}
				if next == 64 || next-skipEOB < 64 {
					acc <<= s & 63
					n -= uint(s & 63)
					break
				}
				// A long code, or the end of the block is inside of what the
				// entry would consume.
				if n < 32 {
					acc |= load64(buf, pos) >> (n & 63)
					pos += int((63 - n) >> 3 & 7)
					n |= 56
				}
				length, value := b.ac.decode(acc)
				if length == 0 {
					ok = false
					break row
				}
				size := uint(value & 15)
				acc <<= length & 63
				acc <<= size & 63
				n -= length + size
				if n < 32 {
					acc |= load64(buf, pos) >> (n & 63)
					pos += int((63 - n) >> 3 & 7)
					n |= 56
				}
				if size == 0 && value != 0xf0 {
					break
				}
				k += uint(value>>4) + 1
				if k >= 64 {
					d.damaged = d.damaged || k > 64
					break
				}
			}
		}
	}
	e.acc, e.n, e.pos = acc, n, pos
	d.pred = pred
	return ok
}

// rowBlocks decodes MCUs of a row at the greater scales.
func (d *Decoder) rowBlocks(mcus int) bool {
	e := &d.bits
	var coef, part [64]int32
	for range mcus {
		for i := range d.blocks {
			b := &d.blocks[i]
			if e.pos > e.safe && !e.ready() {
				return false
			}
			size := b.size
			if size == 8 {
				clear(coef[:])
			} else {
				clear(coef[:16])
			}
			top, ok := d.block(b, &coef, b.last)
			if top >= 0 {
				inverse(&coef, uint(top), size, b.pix[b.off:], b.c.stride)
				for j := range b.c.smaller {
					r := &b.c.smaller[j]
					if r.size == 1 {
						r.at(b.x, b.y)[0] = clamp((coef[0]+4)>>3 + 128)
						continue
					}
					for y := range r.size {
						copy(part[y*r.size:(y+1)*r.size], coef[y*size:])
					}
					inverse(&part, uint(top), r.size, r.at(b.x, b.y), r.stride)
				}
			}
			if !ok {
				return false
			}
			b.off += b.step
			b.x += b.step / size
		}
	}
	return true
}

// block decodes a block of a sequential scan (T.81 F.2.2) up to zigzag index
// last and steps over the rest. coef is n×n in natural order and dequantized.
// top is the greatest zigzag index that has been stored, -1 if there was not even a
// DC coefficient. It is not ok if the data makes no sense; what came before counts.
func (d *Decoder) block(b *mcuBlock, coef *[64]int32, last uint) (top int, ok bool) {
	e := &d.bits
	buf := &e.buf
	acc, n, pos := e.acc, e.n, e.pos
	acc |= load64(buf, pos) >> (n & 63)
	pos += int((63 - n) >> 3 & 7)
	n |= 56
	p := d.pred[b.index&3]
	if v := b.diff[acc>>(64-lookupBits)]; v != 0 {
		acc <<= v & 15
		n -= uint(v & 15)
		p += int32(v >> 4)
	} else {
		length, size := b.dc.decode(acc)
		if length == 0 {
			return -1, false
		}
		acc <<= length & 63
		n -= length
		if size != 0 {
			p += extend(acc, uint(size))
			acc <<= size & 63
			n -= uint(size)
		}
	}
	d.pred[b.index&3] = p
	coef[0] = p * b.quant

	ac, place := b.ac, b.place
	k := uint(1)
	for k <= last {
		if n < 32 {
			acc |= load64(buf, pos) >> (n & 63)
			pos += int((63 - n) >> 3 & 7)
			n |= 56
		}
		if v := ac.coef[acc>>(64-lookupBits)]; v != 0 {
			acc <<= v & 63
			n -= uint(v & 63)
			k += uint(v >> 8 & 255)
			if k > 64 {
				break // an end of block, or too long a run
			}
			pl := place[(k-1)&63]
			coef[pl>>16&63] += (int32(v) >> 16) * int32(pl&0xffff)
			top = int(k) - 1
			continue
		}
		length, value := ac.decode(acc)
		if length == 0 {
			return top, false
		}
		acc <<= length & 63
		n -= length
		size := uint(value & 15)
		if size == 0 {
			if value != 0xf0 {
				k = 64 + coefEOB
				break
			}
			k += 16
			continue
		}
		k += uint(value>>4) + 1
		if k <= 64 {
			pl := place[(k-1)&63]
			coef[pl>>16&63] += extend(acc, size) * int32(pl&0xffff)
			top = int(k) - 1
		}
		acc <<= size & 63
		n -= size
	}
	for k < 64 {
		if n < 32 {
			acc |= load64(buf, pos) >> (n & 63)
			pos += int((63 - n) >> 3 & 7)
			n |= 56
		}
		s := b.skip[acc>>(64-skipBits)]
		next := k + uint(s>>8)
		if next < 64 || next == 64 || next-skipEOB < 64 {
			acc <<= s & 63
			n -= uint(s & 63)
			k = next
			continue
		}
		length, value := ac.decode(acc)
		if length == 0 {
			return top, false
		}
		size := uint(value & 15)
		acc <<= length & 63
		acc <<= size & 63
		n -= length + size
		if size == 0 && value != 0xf0 {
			k = 64
			break
		}
		k += uint(value>>4) + 1
	}
	if k > 64 && k < coefEOB {
		d.damaged = true
	}
	e.acc, e.n, e.pos = acc, n, pos
	return top, true
}

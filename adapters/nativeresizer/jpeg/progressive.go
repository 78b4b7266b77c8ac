package jpeg

import "math/bits"

// Progressive scans (T.81 annex G) add to coefficients that are kept until the
// end. Of each block only the n×n lowest are kept that the scale needs. A scan that
// refines coefficients has to know which ones are not zero, kept or not: that is
// component.nonzero.

// dcInterval decodes MCUs from up to to of a DC scan (T.81 G.1.2.1).
func (d *Decoder) dcInterval(from, to int) (bool, error) {
	e := &d.bits
	low := uint(d.scan.low)
	for from < to {
		x, y := from%d.mcusX, from/d.mcusX
		count := min(d.mcusX-x, to-from)
		for i := range d.blocks {
			b := &d.blocks[i]
			h, v := b.c.h, b.c.v
			if d.scan.n == 1 {
				h, v = 1, 1
			}
			b.off = (y*v+b.dy)*b.c.gridX + x*h + b.dx
		}
		for range count {
			for i := range d.blocks {
				b := &d.blocks[i]
				if e.pos > e.safe && !e.ready() {
					return false, nil
				}
				if e.n < 32 {
					e.refill()
				}
				coef := &b.c.coef[b.off*b.size*b.size]
				b.off += b.step
				if d.scan.high != 0 {
					*coef |= int16(e.acc >> 63 << low)
					e.acc <<= 1
					e.n--
					continue
				}
				if v := b.diff[e.acc>>(64-lookupBits)]; v != 0 {
					e.acc <<= v & 15
					e.n -= uint(v & 15)
					d.pred[b.index&3] += int32(v >> 4)
				} else {
					length, size := b.dc.decode(e.acc)
					if length == 0 {
						return false, nil
					}
					e.acc <<= length & 63
					e.n -= length
					if size != 0 {
						d.pred[b.index&3] += extend(e.acc, uint(size))
						e.acc <<= size & 63
						e.n -= uint(size)
					}
				}
				*coef = int16(d.pred[b.index&3] << low)
			}
		}
		if err := d.tick(count * len(d.blocks)); err != nil {
			return false, err
		}
		from += count
	}
	return true, nil
}

// acInterval decodes blocks from up to to of an AC scan, which has one
// component (T.81 G.1.2.2 and G.1.2.3).
func (d *Decoder) acInterval(from, to int) (bool, error) {
	c := &d.frame.comps[d.scan.comps[0]]
	t := d.ac[d.scan.ac[0]]
	t.build()
	t.buildCoef()
	refine := d.scan.high != 0
	for from < to {
		x, y := from%d.mcusX, from/d.mcusX
		count := min(d.mcusX-x, to-from)
		first := y*c.gridX + x
		var ok bool
		if refine {
			ok = d.acRefine(c, t, first, count)
		} else {
			ok = d.acFirst(c, t, first, count)
		}
		if !ok {
			return false, nil
		}
		if err := d.tick(count); err != nil {
			return false, err
		}
		from += count
	}
	return true, nil
}

// acFirst decodes the first scan of a band for count blocks in a row.
func (d *Decoder) acFirst(c *component, t *acTable, first, count int) bool {
	e := &d.bits
	buf := &e.buf
	perBlock := c.size * c.size
	last, low := uint(d.scan.last), uint(d.scan.low)
	for i := first; i < first+count; i++ {
		if d.eobRun > 0 {
			run := min(d.eobRun, first+count-i)
			d.eobRun -= run
			i += run - 1
			continue
		}
		if e.pos > e.safe && !e.ready() {
			return false
		}
		acc, n, pos := e.acc, e.n, e.pos
		coef := c.coef[i*perBlock : (i+1)*perBlock]
		nonzero := c.nonzero[i]
		k := uint(d.scan.first)
		for k <= last {
			if n < 32 {
				acc |= load64(buf, pos) >> (n & 63)
				pos += int((63 - n) >> 3 & 7)
				n |= 56
			}
			var value int32
			if v := t.coef[acc>>(64-lookupBits)]; v != 0 {
				acc <<= v & 63
				n -= uint(v & 63)
				k += uint(v >> 8 & 255)
				value = int32(v) >> 16
			} else {
				length, rs := t.decode(acc)
				if length == 0 {
					return false
				}
				acc <<= length & 63
				n -= length
				run, size := uint(rs>>4), uint(rs&15)
				if size == 0 {
					if run == 15 {
						k += 16
						continue
					}
					// EOBn: this block and some that follow have ended.
					d.eobRun = 1<<run - 1
					if run > 0 {
						d.eobRun += int(acc >> (64 - run&63))
						acc <<= run & 63
						n -= run
					}
					k = coefEOB
					break
				}
				k += run + 1
				value = extend(acc, size)
				acc <<= size & 63
				n -= size
			}
			if k > last+1 {
				break // an end of block, or too long a run
			}
			nonzero |= 1 << ((k - 1) & 63)
			if at := c.slot[(k-1)&63]; int(at) < len(coef) {
				coef[at] = int16(value << (low & 15))
			}
		}
		if k > last+1 && k < coefEOB {
			d.damaged = true
		}
		c.nonzero[i] = nonzero
		e.acc, e.n, e.pos = acc, n, pos
	}
	return true
}

// acRefine decodes a scan that adds a bit to a band, for count blocks in a row.
func (d *Decoder) acRefine(c *component, t *acTable, first, count int) bool {
	e := &d.bits
	buf := &e.buf
	perBlock := c.size * c.size
	needed := uint64(2)<<lastNeeded(c.size) - 1
	start, last := uint(d.scan.first), uint(d.scan.last)
	band := (uint64(2)<<last - 1) &^ (1<<start - 1)
	bit := int16(1) << (d.scan.low & 15)
	for i := first; i < first+count; i++ {
		// The data of a run of ended blocks are corrections only. Where nothing
		// can be corrected there are none.
		if d.eobRun > 0 && c.nonzero[i]&band == 0 {
			d.eobRun--
			continue
		}
		if e.pos > e.safe && !e.ready() {
			return false
		}
		acc, n, pos := e.acc, e.n, e.pos
		coef := c.coef[i*perBlock : (i+1)*perBlock]
		nonzero := c.nonzero[i]
		k := start
		history := nonzero & band // from k on
		for {
			if n < 48 {
				acc |= load64(buf, pos) >> (n & 63)
				pos += int((63 - n) >> 3 & 7)
				n |= 56
			}
			// The target is the place of the next coefficient that becomes other than zero:
			// a run of coefficients without a history is before it. There is none at
			// the end of a block or when the run leads out of the band.
			var value int16
			var target uint64
			if d.eobRun == 0 {
				var run uint
				if v := t.coef[acc>>(64-lookupBits)]; v != 0 {
					acc <<= v & 63
					n -= uint(v & 63)
					run = uint(v>>8&255) - 1
					// The category can only be 1: a sign.
					value = bit * (int16(int32(v)>>31) | 1)
				} else {
					length, rs := t.decode(acc)
					if length == 0 {
						return false
					}
					acc <<= length & 63
					n -= length
					run = uint(rs >> 4)
					if rs&15 != 0 {
						value = -bit
						if int64(acc) < 0 {
							value = bit
						}
						acc <<= 1
						n--
					} else if run != 15 {
						d.eobRun = 1 << run
						if run > 0 {
							d.eobRun += int(acc >> (64 - run&63))
							acc <<= run & 63
							n -= run
						}
					}
				}
				if run >= coefEOB-1 {
					d.eobRun = 1
				}
				if d.eobRun == 0 {
					at := k + run
					for {
						next := k + run + uint(bits.OnesCount64(history&(2<<at-1)))
						if next == at {
							break
						}
						at = next
					}
					target = 1 << at & band
					k = at + 1
				}
			}

			// Up to the target, or the end of the band, every coefficient
			// with a history is corrected by one bit.
			passed := history & (target - 1)
			history &^= passed
			for passed != 0 {
				chunk := passed
				if bits.OnesCount64(chunk) > 48 {
					chunk &= 1<<32 - 1
				}
				passed &^= chunk
				corrections := uint(bits.OnesCount64(chunk))
				if n < corrections {
					acc |= load64(buf, pos) >> (n & 63)
					pos += int((63 - n) >> 3 & 7)
					n |= 56
				}
				v := acc
				acc <<= corrections & 63
				n -= corrections
				for ; chunk&needed != 0; chunk &= chunk - 1 {
					if int64(v) < 0 {
						if at := c.slot[bits.TrailingZeros64(chunk)&63]; int(at) < len(coef) {
							sign := coef[at] >> 15
							coef[at] += bit ^ sign - sign
						}
					}
					v <<= 1
				}
			}
			if d.eobRun > 0 {
				d.eobRun--
				break
			}
			if target == 0 {
				// A coefficient has to be in the band. ZRL may end with it.
				d.damaged = d.damaged || value != 0
				break
			}
			if value != 0 {
				nonzero |= target
				if at := c.slot[bits.TrailingZeros64(target)&63]; int(at) < len(coef) {
					coef[at] = value
				}
			}
			if k > last {
				break
			}
		}
		c.nonzero[i] = nonzero
		e.acc, e.n, e.pos = acc, n, pos
	}
	return true
}

// nowhere is the slot of a coefficient that is not kept.
const nowhere = 255

// fillSlot tells by zigzag index where in a block of size×size coefficients
// each one is kept.
func fillSlot(slot *[64]uint8, size int) {
	for k, natural := range zigzag {
		x, y := int(natural)&7, int(natural)>>3
		slot[k] = nowhere
		if x < size && y < size {
			slot[k] = uint8(y*size + x)
		}
	}
}

// reconstruct turns the coefficients of a progressive frame into samples.
func (d *Decoder) reconstruct() error {
	for ci := range d.frame.comps[:d.frame.n] {
		c := &d.frame.comps[ci]
		if err := d.reconstructAt(c, &c.raster); err != nil {
			return err
		}
		for i := range c.smaller {
			if err := d.reconstructAt(c, &c.smaller[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// reconstructAt does so for a component at one of its scales.
func (d *Decoder) reconstructAt(c *component, r *raster) error {
	perBlock := c.size * c.size
	needed := uint64(2)<<lastNeeded(r.size) - 1
	var slot [64]uint8
	fillSlot(&slot, r.size)
	var block, quant [64]int32
	for k, q := range c.quant {
		quant[k] = int32(q)
	}
	for y := range c.blocksY {
		row := r.at(0, y)
		for x := range c.blocksX {
			i := y*c.gridX + x
			coef := c.coef[i*perBlock : (i+1)*perBlock]
			if r.size == 1 {
				row[x] = clamp((int32(coef[0])*quant[0]+4)>>3 + 128)
				continue
			}
			block[0] = int32(coef[0]) * quant[0]
			mask := c.nonzero[i] & needed
			top := uint(0)
			if mask != 0 {
				top = uint(bits.Len64(mask)) - 1
				clear(block[1:])
				for ; mask != 0; mask &= mask - 1 {
					k := bits.TrailingZeros64(mask) & 63
					if from := c.slot[k]; slot[k] != nowhere && int(from) < len(coef) {
						block[slot[k]&63] = int32(coef[from]) * quant[k]
					}
				}
			}
			inverse(&block, top, r.size, row[x*r.size:], r.stride)
		}
		if err := d.tick(c.blocksX); err != nil {
			return err
		}
	}
	return nil
}

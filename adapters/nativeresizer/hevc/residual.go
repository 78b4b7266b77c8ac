package hevc

// sigContext4 is ctxIdxMap of blocks of 4 × 4 (Table 9-50).
var sigContext4 = [16]uint8{0, 1, 4, 5, 2, 3, 4, 5, 6, 6, 8, 8, 7, 7, 8, 8}

// sigContexts are sigCtx within a sub-block (9.3.4.2.5), by the neighbours that are coded, at y<<2 + x.
var sigContexts = func() (t [4][16]uint8) {
	for y := range 4 {
		for x := range 4 {
			i := y<<2 + x
			t[0][i] = uint8(b2i(x+y == 0) + b2i(x+y < 3))
			t[1][i] = uint8(b2i(y == 0) + b2i(y < 2))
			t[2][i] = uint8(b2i(x == 0) + b2i(x < 2))
			t[3][i] = 2
		}
	}
	return t
}()

var levelScale = [6]int64{40, 45, 51, 57, 64, 72}

// residual decodes the residual of a block (7.3.8.11, 8.6.2) and adds it to the prediction.
// scale is of what is taken over from luma.
func (d *Decoder) residual(c, x, y, log2, mode int, scale int32) {
	s, cb := d.sps, &d.cabac
	chroma := b2i(c > 0)
	skip := d.pps.transformSkip && !d.cuBypass && log2 <= d.pps.log2MaxSkip && cb.bin(&d.ctx[ctxSkipTransform+chroma]) == 1
	bare := skip || d.cuBypass // no transform
	rdpcm := s.implicitRDPCM && bare && (mode == modeHorizontal || mode == modeVertical)

	scanIdx := scanDiagonal
	if log2 == 2 || log2 == 3 && (c == 0 || s.chroma == 3) {
		switch {
		case mode >= 6 && mode <= 14:
			scanIdx = scanVertical
		case mode >= 22 && mode <= 30:
			scanIdx = scanHorizontal
		}
	}
	lastX, lastY := d.lastPosition(log2, c)
	if scanIdx == scanVertical {
		lastX, lastY = lastY, lastX
	}
	coef := d.coef[:1<<(2*log2)]

	// Scaling (8.6.4.2).
	var factors []uint8
	qp := d.scaleQP[c]
	shift := uint(d.depth(c) + log2 - 5)
	flat := levelScale[qp%6] << (qp / 6)
	round := int64(1) << (shift - 1)
	if d.lists != nil && !(skip && log2 > 2) {
		factors = d.lists.factors[log2-2][c]
	} else {
		flat *= 16
	}

	sub := &scanTables[scanIdx][log2-2] // of sub-blocks
	pos := &scanTables[scanIdx][2]      // in a sub-block
	// Where the last coefficient is in the scans.
	lastSub, lastPos := 0, 0
	for int(sub.x[lastSub]) != lastX>>2 || int(sub.y[lastSub]) != lastY>>2 {
		lastSub++
	}
	for int(pos.x[lastPos]) != lastX&3 || int(pos.y[lastPos]) != lastY&3 {
		lastPos++
	}

	hide := d.pps.signHiding && !d.cuBypass && !rdpcm
	var coded [9][9]uint8 // coded_sub_block_flag, with a border
	endX, endY := 0, 0    // the furthest coefficients
	carry := false        // the sub-block before ended with a level above 1
	sigBase := ctxSig + 27*chroma
	for i := lastSub; i >= 0; i-- {
		sx, sy := int(sub.x[i])&7, int(sub.y[i])&7
		near := coded[sy][sx+1] | coded[sy+1][sx]<<1
		infer := false
		switch i {
		case lastSub, 0:
			coded[sy][sx] = 1
		default:
			coded[sy][sx] = uint8(cb.bin(&d.ctx[ctxSubBlock+2*chroma+b2i(near != 0)]))
			infer = true
		}
		if coded[sy][sx] == 0 {
			continue
		}
		// The significant coefficients, in the order of coding.
		var list [16]uint8
		n := 0
		from := 15
		if i == lastSub {
			list[0], n = uint8(lastPos), 1
			from = lastPos - 1
		}
		var table *[16]uint8
		base := sigBase
		switch {
		case s.contextSkip && bare:
			table = nil
			base = ctxSig + 42 + chroma
		case log2 == 2:
			table = &sigContext4
		default:
			table = &sigContexts[near]
			if c == 0 {
				if i > 0 {
					base += 3
				}
				if log2 == 3 {
					base += 9
					if scanIdx != scanDiagonal {
						base += 6
					}
				} else {
					base += 21
				}
			} else if log2 == 3 {
				base += 9
			} else {
				base += 12
			}
		}
		for k := from; k > 0; k-- {
			ctx := base
			if table != nil {
				ctx += int(table[pos.y[k&15]&3<<2|pos.x[k&15]&3])
			}
			if cb.bin(&d.ctx[ctx]) == 1 {
				list[n&15] = uint8(k)
				n++
				infer = false
			}
		}
		if from >= 0 {
			if infer {
				list[n&15] = 0
				n++
			} else {
				ctx := base
				if table != nil {
					ctx += int(table[0])
					if i == 0 && log2 > 2 {
						ctx = sigBase
					}
				}
				if cb.bin(&d.ctx[ctx]) == 1 {
					list[n&15] = 0
					n++
				}
			}
		}
		if n == 0 {
			continue
		}

		// Levels.
		var level [16]int32
		set := 0
		if i > 0 && c == 0 {
			set = 2
		}
		if carry {
			set++
		}
		greater := ctxGreater1 + 16*chroma + 4*set
		state := 1
		escape := n > 8
		second := -1 // the coefficient with a greater2 flag
		for k := range min(n, 8) {
			level[k] = 1
			if cb.bin(&d.ctx[greater+state]) == 1 {
				state = 0
				level[k] = 2
				if second < 0 {
					second = k
				} else {
					escape = true
				}
			} else if state > 0 && state < 3 {
				state++
			}
		}
		carry = state == 0
		if second >= 0 && cb.bin(&d.ctx[ctxGreater2+4*chroma+set]) == 1 {
			level[second&15] = 3
			escape = true
		}
		hidden := hide && int(list[0])-int(list[(n-1)&15]) > 3
		if s.alignBypass && escape {
			cb.rng = 256
		}
		signs := n - b2i(hidden)
		sign := cb.bypassBits(signs) << (32 - signs)
		if escape {
			d.remaining(&level, n, second, 2*b2i(c == 0)+b2i(bare))
		}
		sum := int32(0)
		for k := range n {
			at := list[k&15]
			v := level[k&15]
			sum += v
			if k == n-1 && hidden {
				if sum&1 == 1 {
					v = -v
				}
			} else if sign>>31 == 1 {
				v = -v
			}
			sign <<= 1
			px, py := sx<<2+int(pos.x[at&15]), sy<<2+int(pos.y[at&15])
			endX, endY = max(endX, px), max(endY, py)
			j := py<<log2 + px
			if d.cuBypass {
				coef[j] = v
				continue
			}
			m := flat
			if factors != nil {
				m *= int64(factors[j])
			}
			coef[j] = int32(min(max((int64(v)*m+round)>>shift, minCoefficient), maxCoefficient))
		}
	}

	switch {
	case bare:
		d.bareResidual(coef, c, log2, mode, skip, rdpcm)
	case c == 0 && log2 == 2:
		inverseDST(coef, uint(20-s.depth))
	default:
		inverse(coef, log2, endX, endY, uint(20-d.depth(c)))
	}
	if d.pps.crossComponent {
		if c == 0 {
			copy(d.lumaResidual[:], coef)
		} else if scale != 0 {
			for i := range coef {
				coef[i] += scale * (d.lumaResidual[i] << s.depthC >> s.depth) >> 3
			}
		}
	}
	d.add(coef, c, x, y, log2)
	clear(coef)
}

// lastPosition reads the position of the last significant coefficient (7.4.9.11).
func (d *Decoder) lastPosition(log2, c int) (x, y int) {
	offset, shift := 3*(log2-2)+(log2-1)>>2, (log2+1)>>2
	if c > 0 {
		offset, shift = 15, log2-2
	}
	cb := &d.cabac
	limit := 2*log2 - 1
	for x < limit && cb.bin(&d.ctx[ctxLastX+offset+x>>shift]) == 1 {
		x++
	}
	for y < limit && cb.bin(&d.ctx[ctxLastY+offset+y>>shift]) == 1 {
		y++
	}
	if x > 3 {
		n := x>>1 - 1
		x = (2+x&1)<<n + int(cb.bypassBits(n))
	}
	if y > 3 {
		n := y>>1 - 1
		y = (2+y&1)<<n + int(cb.bypassBits(n))
	}
	return x, y
}

// remaining reads coeff_abs_level_remaining of the n levels (9.3.3.11).
func (d *Decoder) remaining(level *[16]int32, n, second, kind int) {
	cb := &d.cabac
	persistent := d.sps.persistentRice
	rice := 0
	if persistent {
		rice = int(d.rice[kind] >> 2)
	}
	first := true
	for k := range n {
		base := int32(1)
		if k < 8 {
			// The flags tell levels up to 2, of one coefficient up to 3.
			if base = 2; k == second {
				base = 3
			}
			if level[k] != base {
				continue
			}
		}
		prefix := 0
		for prefix < 32 && cb.bypass() == 1 {
			prefix++
		}
		var v int64
		if prefix <= 3 {
			v = int64(prefix)<<rice + int64(cb.bypassBits(rice))
		} else if prefix-3+rice <= 32 {
			v = (1<<(prefix-3)+3-1)<<rice + int64(cb.bypassBits(prefix-3+rice))
		} else {
			d.damaged = true
		}
		abs := int64(base) + v
		if abs > -minCoefficient {
			d.damaged = true
			abs = -minCoefficient
		}
		level[k] = int32(abs)
		if abs > 3<<rice {
			if persistent {
				rice++
			} else {
				rice = min(rice+1, 4)
			}
		}
		if persistent && first {
			first = false
			stat := d.rice[kind]
			if v >= 3<<(stat>>2) {
				d.rice[kind]++
			} else if 2*v < 1<<(stat>>2) && stat > 0 {
				d.rice[kind]--
			}
		}
	}
}

// bareResidual makes residuals of levels that were not transformed (8.6.2, 8.6.5, 8.6.6, 8.6.8).
func (d *Decoder) bareResidual(coef []int32, c, log2, mode int, skip, rdpcm bool) {
	if d.sps.rotateSkip && log2 == 2 {
		for i := range 8 {
			coef[i], coef[15-i] = coef[15-i], coef[i]
		}
	}
	if skip {
		shift := uint(20 - d.depth(c))
		for i, v := range coef {
			coef[i] = (v<<(5+log2) + 1<<(shift-1)) >> shift
		}
	}
	if !rdpcm {
		return
	}
	n := 1 << log2
	for i := range coef {
		if mode == modeHorizontal && i&(n-1) > 0 {
			coef[i] += coef[i-1]
		} else if mode == modeVertical && i >= n {
			coef[i] += coef[i-n]
		}
	}
}

// addLuma adds what a block without coefficients takes over from luma (7.3.8.12).
func (d *Decoder) addLuma(c, x, y, log2 int, scale int32) {
	coef := d.coef[:1<<(2*log2)]
	for i := range coef {
		coef[i] = scale * (d.lumaResidual[i] << d.sps.depthC >> d.sps.depth) >> 3
	}
	d.add(coef, c, x, y, log2)
	clear(coef)
}

// add adds residuals to the prediction (8.6.7).
func (d *Decoder) add(coef []int32, c, x, y, log2 int) {
	p := &d.planes[c]
	n := 1 << log2
	maximum := int32(d.maxSample(c))
	at := (y-p.top)*p.stride + x
	for range n {
		row := p.pix[at:][:n]
		res := coef[:n]
		for i := range row {
			row[i] = uint16(min(max(int32(row[i])+res[i], 0), maximum))
		}
		coef = coef[n:]
		at += p.stride
	}
}

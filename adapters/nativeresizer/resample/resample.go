// Package resample changes the size of 8-bit pictures by Lanczos3.
//
// It works on planes as a decoder leaves them: one channel of a JPEG at its
// own sampling, or interleaved channels. What maps the output onto the source is a
// step, not the ratio of the two sizes, because a plane may reach beyond its
// picture: the eighth of 100 pixels is 13 samples, of which the picture takes 12.5.
package resample

import (
	"context"
	"errors"
	"math"
	"sync"
)

// Plane is samples of 8 bits in rows.
type Plane struct {
	// Pix holds sample c of pixel (x, y) at y*Stride + x*Channels + c.
	Pix []byte
	// Stride is the distance of two rows in bytes.
	Stride int
	// Width and Height are in pixels.
	Width, Height int
	// Channels is the number of interleaved samples a pixel, 1 to 4. Colours
	// that come with alpha must be premultiplied by it.
	Channels int
}

// New returns a plane without padding.
func New(width, height, channels int) Plane {
	return Plane{
		Pix: make([]byte, width*height*channels), Stride: width * channels,
		Width: width, Height: height, Channels: channels,
	}
}

var errShape = errors.New("resample: the planes' sizes, channels and bytes do not fit together")

func (p Plane) valid() bool {
	switch {
	case p.Channels < 1 || p.Channels > 4:
		return false
	case p.Width < 1 || p.Height < 1 || p.Stride < p.Width*p.Channels:
		return false
	}
	return len(p.Pix) >= (p.Height-1)*p.Stride+p.Width*p.Channels
}

// Resampler does the work and keeps its scratch memory for the next call. The
// zero value is ready. It is not for concurrent use.
type Resampler struct {
	acc    []uint64 // one pair of output rows between the two passes
	pair   []uint64 // the pair's packed weights
	sums   []uint32
	shrunk []byte
	taps   [4]taps // of the latest axes: planes of a picture share theirs
	next   int
}

const (
	// weightBits are the fractional bits of a weight: 1 is 1<<14, so that an int16 holds ±2.
	weightBits = 14
	// midBits are the fractional bits of a sample between the passes.
	midBits = 6
	// lanes puts the same value in both halves of a word.
	lanes = 1 | 1<<32
	// midBias keeps samples between the passes positive: overshoot is at most 0.4 × 255.
	midBias = 128
	// endBias keeps the sums of the second pass positive.
	endBias = 512
)

// Axis says how the pixels of an output line up with the source's, in one
// direction: output pixel i covers the source from (i + Offset)·Step for a Step. What
// lies outside of the source is cut off; the pixel's centre is that of the rest.
type Axis struct {
	// Step is the distance of two output pixels in source pixels: above 1 it shrinks.
	Step float64
	// Offset moves the output, in output pixels.
	Offset float64
	// Extent is where the source ends, in source pixels, 0 for after its last one. A source
	// pixel that it cuts counts by as much as is left of it, and its centre is that of the rest:
	// it may be the mean of fewer pixels than the others, or stand for fewer.
	Extent float64
}

// extent returns where a source of n pixels ends.
func (a Axis) extent(n int) float64 {
	if a.Extent > 0 {
		return min(a.Extent, float64(n))
	}
	return float64(n)
}

// Resample fills dst from src. Where the kernel reaches over the source's edge,
// what is left of it is normalised. The error is ctx's, or says that the planes'
// shapes do not fit.
//
// A step of 4 or more is first brought down to between 2 and 3 by a box: Lanczos3
// over what is left hides the box's own response.
func (r *Resampler) Resample(ctx context.Context, dst, src Plane, x, y Axis) error {
	if !dst.valid() || !src.valid() || dst.Channels != src.Channels || !(x.Step > 0) || !(y.Step > 0) {
		return errShape
	}
	if kx, ky := boxFactor(x, src.Width), boxFactor(y, src.Height); kx > 1 || ky > 1 {
		small := Plane{
			Width: (src.Width + kx - 1) / kx, Height: (src.Height + ky - 1) / ky, Channels: src.Channels,
		}
		small.Stride = small.Width * small.Channels
		r.shrunk = grow(r.shrunk, small.Stride*small.Height)
		small.Pix = r.shrunk
		if err := r.box(ctx, small, src, kx, ky); err != nil {
			return err
		}
		x, y = x.shrunk(src.Width, kx), y.shrunk(src.Height, ky)
		src = small
	}
	tx := r.tapsFor(dst.Width, src.Width, x)
	ty := r.tapsFor(dst.Height, src.Height, y)
	if tx.identity && ty.identity {
		n := dst.Width * dst.Channels
		for row := range dst.Height {
			copy(dst.Pix[row*dst.Stride:][:n], src.Pix[row*src.Stride:][:n])
		}
		return ctx.Err()
	}
	samples := src.Width * src.Channels
	r.acc = grow(r.acc, samples)
	acc := r.acc[:samples]
	for row := 0; row < dst.Height; row += 2 {
		if row&31 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		r.vertical(acc, src, ty, row)
		out0 := dst.Pix[row*dst.Stride:][:dst.Width*dst.Channels]
		out1 := out0 // a last row without a partner is written twice
		if row+1 < dst.Height {
			out1 = dst.Pix[(row+1)*dst.Stride:][:dst.Width*dst.Channels]
		}
		switch dst.Channels {
		case 1:
			horizontal1(out0, out1, acc, tx)
		case 2:
			horizontal2(out0, out1, acc, tx)
		case 3:
			horizontal3(out0, out1, acc, tx)
		case 4:
			horizontal4(out0, out1, acc, tx)
		}
	}
	return nil
}

// shrunk is the axis once boxes of k of the source's n pixels have become one: the last box may be of
// fewer.
func (a Axis) shrunk(n, k int) Axis {
	return Axis{Step: a.Step / float64(k), Offset: a.Offset, Extent: a.extent(n) / float64(k)}
}

// Fewest is how many samples a direction ought to have at least before Lanczos3, where there are as
// many: a last one that stands for less than the others then matters little.
const Fewest = 16

// boxFactor is by how much a box may shrink n pixels so that enough is left for Lanczos3.
func boxFactor(a Axis, n int) int {
	if a.Step < 4 {
		return 1
	}
	return max(1, min(int(a.Step/2), n/Fewest))
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// taps are the weights of one axis: output i is the sum of source samples
// start[i]+j times w[i*n+j]. The weights of an output add up to exactly 1<<weightBits.
type taps struct {
	dst, src int
	axis     Axis
	n        int // a multiple of 4 wherever the source is as long
	start    []int
	w        []int16
	identity bool
}

func (r *Resampler) tapsFor(dst, src int, a Axis) taps {
	for _, t := range r.taps {
		if t.dst == dst && t.src == src && t.axis == a {
			return t
		}
	}
	t := makeTaps(dst, src, a)
	r.taps[r.next] = t
	r.next = (r.next + 1) % len(r.taps)
	return t
}

// lanczos3 is sinc(x)·sinc(x/3) for |x| < 3.
func lanczos3(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x < 1e-9:
		return 1
	case x >= 3:
		return 0
	}
	x *= math.Pi
	return 3 * math.Sin(x) * math.Sin(x/3) / (x * x)
}

// kernelSteps is how finely the kernel is tabulated; linear interpolation then errs by less than 1e-6.
const kernelSteps = 1024

var kernel = sync.OnceValue(func() *[3*kernelSteps + 2]float64 {
	var k [3*kernelSteps + 2]float64
	for i := range k {
		k[i] = lanczos3(float64(i) / kernelSteps)
	}
	return &k
})

func makeTaps(dst, src int, a Axis) taps {
	t := taps{dst: dst, src: src, axis: a, start: make([]int, dst)}
	extent := a.extent(src)
	if dst == src && a.Step == 1 && a.Offset == 0 && extent == float64(src) {
		t.n, t.w, t.identity = 1, make([]int16, dst), true
		for i := range dst {
			t.start[i], t.w[i] = i, 1<<weightBits
		}
		return t
	}
	// A kernel that shrinks is stretched by the step, so that it also filters.
	stretch := max(a.Step, 1)
	support := 3 * stretch
	n := min((int(2*support)+4)&^3, src)
	t.n, t.w = n, make([]int16, dst*n)
	table := kernel()
	k := make([]float64, n)
	for i := range dst {
		from := (float64(i) + a.Offset) * a.Step
		centre := (max(from, 0)+min(from+a.Step, extent))/2 - 0.5
		first := max(0, min(int(math.Ceil(centre-support)), src-n))
		t.start[i] = first
		sum := 0.0
		for j := range k {
			k[j] = 0
			at, part := float64(first+j), 1.0
			if left := extent - at; left < 1 {
				part = max(left, 0)
				at -= (1 - part) / 2
			}
			x := math.Abs(at-centre) / stretch * kernelSteps
			if x < 3*kernelSteps {
				lo := int(x)
				k[j] = (table[lo] + (table[lo+1]-table[lo])*(x-float64(lo))) * part
			}
			sum += k[j]
		}
		if sum < 0.25 { // a centre outside of the source
			clear(k)
			k[max(0, min(int(math.Round(centre)), src-1)-first)] = 1
			sum = 1
		}
		// Rounding what has been given out so far, instead of each weight, makes the sum exact.
		given, exact, scale := 0, 0.0, (1<<weightBits)/sum
		w := t.w[i*n : i*n+n]
		for j, v := range k {
			exact += v * scale
			upTo := int(math.Floor(exact + 0.5))
			w[j] = int16(upTo - given)
			given = upTo
		}
	}
	return t
}

// vertical leaves output rows y and y+1 in acc, before their horizontal pass:
// row y in the low half of each word and y+1 in the high half, as sample+midBias with
// midBits of fraction. One multiplication by a packed pair of weights serves both
// rows. Sums of a half are integers of less than 32 bits after the bias, so what a
// negative weight borrows from the other half on the way is given back by the end.
func (r *Resampler) vertical(acc []uint64, src Plane, t taps, y int) {
	last := min(y+1, len(t.start)-1)
	if t.identity {
		a, b := src.Pix[y*src.Stride:][:len(acc)], src.Pix[last*src.Stride:][:len(acc)]
		for i := range acc {
			acc[i] = (uint64(a[i])|uint64(b[i])<<32)<<midBits + midBias<<midBits*lanes
		}
		return
	}
	first := min(t.start[y], t.start[last])
	end := max(t.start[y], t.start[last]) + t.n
	r.pair = grow(r.pair, end-first)
	pair := r.pair
	clear(pair)
	for j, w := range t.w[y*t.n:][:t.n] {
		pair[t.start[y]-first+j] += uint64(int64(w))
	}
	for j, w := range t.w[last*t.n:][:t.n] {
		pair[t.start[last]-first+j] += uint64(int64(w)) << 32
	}
	// Rows without weight at either end cost as much as others.
	for len(pair) > 1 && pair[0] == 0 {
		pair, first = pair[1:], first+1
	}
	for len(pair) > 1 && pair[len(pair)-1] == 0 {
		pair = pair[:len(pair)-1]
	}
	row := func(j int) []byte { return src.Pix[(first+j)*src.Stride:][:len(acc)] }
	const bias = (midBias<<weightBits + 1<<(weightBits-midBits-1)) * lanes
	j := 0
	if len(pair) >= 4 {
		set4(acc, bias, row(0), row(1), row(2), row(3), pair[0], pair[1], pair[2], pair[3])
		j = 4
	} else {
		for i := range acc {
			acc[i] = bias
		}
	}
	for ; j+4 <= len(pair); j += 4 {
		add4(acc, row(j), row(j+1), row(j+2), row(j+3), pair[j], pair[j+1], pair[j+2], pair[j+3])
	}
	for ; j+2 <= len(pair); j += 2 {
		add2(acc, row(j), row(j+1), pair[j], pair[j+1])
	}
	for ; j < len(pair); j++ {
		add1(acc, row(j), pair[j])
	}
	const keep = (1<<(32-weightBits+midBits) - 1) * lanes
	for i, v := range acc {
		acc[i] = v >> (weightBits - midBits) & keep
	}
}

func set4(acc []uint64, start uint64, r0, r1, r2, r3 []byte, w0, w1, w2, w3 uint64) {
	r0, r1, r2, r3 = r0[:len(acc)], r1[:len(acc)], r2[:len(acc)], r3[:len(acc)]
	for i := range acc {
		acc[i] = start + uint64(r0[i])*w0 + uint64(r1[i])*w1 + uint64(r2[i])*w2 + uint64(r3[i])*w3
	}
}

func add4(acc []uint64, r0, r1, r2, r3 []byte, w0, w1, w2, w3 uint64) {
	r0, r1, r2, r3 = r0[:len(acc)], r1[:len(acc)], r2[:len(acc)], r3[:len(acc)]
	for i := range acc {
		acc[i] += uint64(r0[i])*w0 + uint64(r1[i])*w1 + uint64(r2[i])*w2 + uint64(r3[i])*w3
	}
}

func add2(acc []uint64, r0, r1 []byte, w0, w1 uint64) {
	r0, r1 = r0[:len(acc)], r1[:len(acc)]
	for i := range acc {
		acc[i] += uint64(r0[i])*w0 + uint64(r1[i])*w1
	}
}

func add1(acc []uint64, r0 []byte, w0 uint64) {
	r0 = r0[:len(acc)]
	for i := range acc {
		acc[i] += uint64(r0[i]) * w0
	}
}

// roundEnd starts a sum of the second pass: rounding, and the bias of both halves.
const roundEnd = (endBias<<(weightBits+midBits) + 1<<(weightBits+midBits-1)) * lanes

// finish turns one half of a sum into a sample.
func finish(half uint32) byte {
	v := int32(half>>(weightBits+midBits)) - (endBias + midBias)
	if uint32(v) > 255 {
		return byte(^v >> 31) // 0 below, 255 above
	}
	return byte(v)
}

func horizontal1(out0, out1 []byte, acc []uint64, t taps) {
	out1 = out1[:len(out0)]
	if t.identity {
		for x, v := range acc[:len(out0)] {
			v = v<<weightBits + roundEnd
			out0[x], out1[x] = finish(uint32(v)), finish(uint32(v>>32))
		}
		return
	}
	n := t.n
	for x := range out0 {
		a, k := acc[t.start[x]:][:n], t.w[x*n:][:n]
		sum := uint64(roundEnd)
		j := 0
		for ; j <= n-4; j += 4 {
			p, q := (*[4]uint64)(a[j:]), (*[4]int16)(k[j:])
			sum += p[0]*uint64(int64(q[0])) + p[1]*uint64(int64(q[1])) + p[2]*uint64(int64(q[2])) + p[3]*uint64(int64(q[3]))
		}
		for ; j < n; j++ {
			sum += a[j] * uint64(int64(k[j]))
		}
		out0[x], out1[x] = finish(uint32(sum)), finish(uint32(sum>>32))
	}
}

func horizontal2(out0, out1 []byte, acc []uint64, t taps) {
	n := t.n
	for x, start := range t.start {
		a := acc[start*2:][:n*2]
		var s0, s1 uint64 = roundEnd, roundEnd
		for _, k := range t.w[x*n:][:n] {
			w := uint64(int64(k))
			s0 += a[0] * w
			s1 += a[1] * w
			a = a[2:]
		}
		o0, o1 := out0[x*2:][:2], out1[x*2:][:2]
		o0[0], o0[1] = finish(uint32(s0)), finish(uint32(s1))
		o1[0], o1[1] = finish(uint32(s0>>32)), finish(uint32(s1>>32))
	}
}

func horizontal3(out0, out1 []byte, acc []uint64, t taps) {
	n := t.n
	for x, start := range t.start {
		a := acc[start*3:][:n*3]
		var s0, s1, s2 uint64 = roundEnd, roundEnd, roundEnd
		for _, k := range t.w[x*n:][:n] {
			w := uint64(int64(k))
			s0 += a[0] * w
			s1 += a[1] * w
			s2 += a[2] * w
			a = a[3:]
		}
		o0, o1 := out0[x*3:][:3], out1[x*3:][:3]
		o0[0], o0[1], o0[2] = finish(uint32(s0)), finish(uint32(s1)), finish(uint32(s2))
		o1[0], o1[1], o1[2] = finish(uint32(s0>>32)), finish(uint32(s1>>32)), finish(uint32(s2>>32))
	}
}

func horizontal4(out0, out1 []byte, acc []uint64, t taps) {
	n := t.n
	for x, start := range t.start {
		a := acc[start*4:][:n*4]
		var s0, s1, s2, s3 uint64 = roundEnd, roundEnd, roundEnd, roundEnd
		for _, k := range t.w[x*n:][:n] {
			w := uint64(int64(k))
			s0 += a[0] * w
			s1 += a[1] * w
			s2 += a[2] * w
			s3 += a[3] * w
			a = a[4:]
		}
		o0, o1 := out0[x*4:][:4], out1[x*4:][:4]
		o0[0], o0[1], o0[2], o0[3] = finish(uint32(s0)), finish(uint32(s1)), finish(uint32(s2)), finish(uint32(s3))
		o1[0], o1[1], o1[2], o1[3] = finish(uint32(s0>>32)), finish(uint32(s1>>32)), finish(uint32(s2>>32)), finish(uint32(s3>>32))
	}
}

// box averages kx × ky pixels into one; those at the right and lower edge average what is there.
func (r *Resampler) box(ctx context.Context, dst, src Plane, kx, ky int) error {
	samples := src.Width * src.Channels
	r.sums = grow(r.sums, samples)
	sums := r.sums[:samples]
	for y := range dst.Height {
		if y&31 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		rows := min(ky, src.Height-y*ky)
		clear(sums)
		for j := range rows {
			row := src.Pix[(y*ky+j)*src.Stride:][:len(sums)]
			for i := range sums {
				sums[i] += uint32(row[i])
			}
		}
		out := dst.Pix[y*dst.Stride:][:dst.Width*dst.Channels]
		ch := dst.Channels
		for x := range dst.Width {
			cols := min(kx, src.Width-x*kx)
			part := sums[x*kx*ch:][:cols*ch]
			area := uint64(rows * cols)
			for c := range ch {
				sum := area / 2
				for i := c; i < len(part); i += ch {
					sum += uint64(part[i])
				}
				out[x*ch+c] = byte(sum / area)
			}
		}
	}
	return nil
}

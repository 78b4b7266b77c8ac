package vp8l

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// writer writes bitstreams: valid ones, of choices that no encoder makes.
type writer struct {
	*rand.Rand
	out []byte
	n   uint // bits
}

func (w *writer) put(v uint32, k uint) {
	for i := range k {
		if w.n&7 == 0 {
			w.out = append(w.out, 0)
		}
		w.out[w.n>>3] |= byte(v>>i&1) << (w.n & 7)
		w.n++
	}
}

// symbols is a code as it is written: the bits of each symbol.
type symbols struct {
	length [maxAlphabet]uint8
	bits   [maxAlphabet]uint32
	all    []int // that have a code
}

func (w *writer) symbol(c *symbols, s int) {
	if len(c.all) > 1 {
		w.put(c.bits[s], uint(c.length[s]))
	}
}

// code writes a code of up to some symbols of an alphabet, chosen by chance, and of one that is given.
func (w *writer) code(alphabet, some, given int) *symbols {
	c := &symbols{all: []int{given}}
	c.length[given] = 1
	lengths := []uint8{0} // of a complete code: one is split at a time
	for range some - 1 {
		s := w.IntN(alphabet)
		if c.length[s] != 0 {
			continue
		}
		at := w.IntN(len(lengths))
		if lengths[at] == maxLength {
			continue
		}
		lengths[at]++
		lengths = append(lengths, lengths[at])
		c.length[s] = 1
		c.all = append(c.all, s)
	}
	for i, s := range c.all {
		c.length[s] = max(lengths[i], 1)
	}
	next := uint(0)
	for l := 1; l <= maxLength; l++ {
		for s := range alphabet {
			if int(c.length[s]) == l {
				c.bits[s] = uint32(reverse(next, l))
				next++
			}
		}
		next <<= 1
	}
	if len(c.all) == 1 && given < 256 && w.IntN(2) == 0 {
		w.put(1, 1) // simple, one symbol, of eight bits
		w.put(0, 1)
		w.put(1, 1)
		w.put(uint32(given), 8)
		return c
	}
	// Thirteen code lengths have four bits, six have five.
	own := [codeLengthSyms]uint8{}
	var bits [codeLengthSyms]uint32
	next = 0
	for s := range own {
		if own[s] = 4; s >= 13 {
			own[s] = 5
		}
		if s == 13 {
			next <<= 1
		}
		bits[s] = uint32(reverse(next, int(own[s])))
		next++
	}
	w.put(0, 1)
	w.put(codeLengthSyms-4, 4)
	for _, s := range lengthOrder {
		w.put(uint32(own[s]), 3)
	}
	w.put(0, 1)
	put := func(s uint8) { w.put(bits[s], uint(own[s])) }
	for s := 0; s < alphabet; {
		zeros := 0
		for s+zeros < alphabet && c.length[s+zeros] == 0 {
			zeros++
		}
		switch {
		case zeros >= 11:
			n := min(zeros, 138)
			put(18)
			w.put(uint32(n-11), 7)
			s += n
		case zeros >= 3:
			put(17)
			w.put(uint32(zeros-3), 3)
			s += zeros
		default:
			put(c.length[s])
			s++
		}
	}
	return c
}

// image writes an entropy coded image, of a few more pixels at a time if it is large.
func (w *writer) image(width, height int, main bool) {
	cacheBits := 0
	if w.IntN(2) == 0 {
		cacheBits = 1 + w.IntN(maxCacheBits)
		w.put(1, 1)
		w.put(uint32(cacheBits), 4)
	} else {
		w.put(0, 1)
	}
	groups, bits := 1, uint(14)
	tile := []int{0}
	if main {
		if w.IntN(2) == 0 {
			bits = 2 + uint(w.IntN(4))
			w.put(1, 1)
			w.put(uint32(bits-2), 3)
			tile = make([]int, tiles(width, bits)*tiles(height, bits))
			w.put(0, 1)
			// The number of a tile's group is its green: literals alone.
			number := w.code(literals+lengthCodes, 1+w.IntN(6), 0)
			numbers := slices.DeleteFunc(slices.Clone(number.all), func(s int) bool { return s >= literals })
			for range 3 {
				w.code(256, 1, 0)
			}
			w.code(distanceCodes, 1, 0)
			for i := range tile {
				tile[i] = numbers[w.IntN(len(numbers))]
				w.symbol(number, tile[i])
			}
			groups = slices.Max(tile) + 1
		} else {
			w.put(0, 1)
		}
	}
	type five [5]*symbols
	all := make([]five, groups)
	for i := range all {
		green := literals + lengthCodes
		if cacheBits > 0 {
			green += 1 << cacheBits
		}
		all[i] = five{
			w.code(green, 1+w.IntN(60), w.IntN(256)), w.code(256, 1+w.IntN(40), 1), w.code(256, 1+w.IntN(300), 2),
			w.code(256, 1+w.IntN(3), 255), w.code(distanceCodes, 1+w.IntN(distanceCodes), 1),
		}
	}
	for at := 0; at < width*height; {
		g := &all[tile[min(at/width>>bits*tiles(width, bits)+at%width>>bits, len(tile)-1)]]
		s := g[0].all[w.IntN(len(g[0].all))]
		if s >= literals && s < literals+lengthCodes {
			value := func(s int) (v int, extra uint, bits uint32) {
				if s < 4 {
					return s + 1, 0, 0
				}
				extra = uint(s-2) >> 1
				bits = uint32(w.IntN(1 << extra))
				return (2+s&1)<<extra + int(bits) + 1, extra, bits
			}
			length, lengthExtra, lengthBits := value(s - literals)
			d := g[4].all[w.IntN(len(g[4].all))]
			distance, extra, low := value(d)
			if distance > len(near) {
				distance -= len(near)
			} else {
				p := near[distance-1]
				distance = max(1, int(p[0])+int(p[1])*width)
			}
			if distance <= at && length <= width*height-at {
				w.symbol(g[0], s)
				w.put(lengthBits, lengthExtra)
				w.symbol(g[4], d)
				w.put(low, extra)
				at += length
				continue
			}
			s = g[0].all[0] // the literal
		}
		w.symbol(g[0], s)
		if s < literals {
			for _, c := range g[1:4] {
				w.symbol(c, c.all[w.IntN(len(c.all))])
			}
		}
		at++
	}
}

// stream writes a bitstream with its header and any transforms.
func (w *writer) stream(width, height int) []byte {
	full := width
	for _, kind := range w.Perm(4)[:w.IntN(5)] {
		w.put(1, 1)
		w.put(uint32(kind), 2)
		switch kind {
		case predictorTransform, colourTransform:
			bits := uint(w.IntN(4))
			w.put(uint32(bits), 3)
			w.image(tiles(width, bits+2), tiles(height, bits+2), false)
		case indexTransform:
			n := []int{1, 2, 3, 4, 5, 16, 17, 256}[w.IntN(8)]
			w.put(uint32(n-1), 8)
			w.image(n, 1, false)
			switch {
			case n <= 2:
				width = tiles(width, 3)
			case n <= 4:
				width = tiles(width, 2)
			case n <= 16:
				width = tiles(width, 1)
			}
		}
	}
	w.put(0, 1)
	w.image(width, height, true)
	return append(header(full, height), w.out...)
}

// TestGenerated decodes random bitstreams as x/image does, of all sizes, transforms, codes,
// caches and references.
func TestGenerated(t *testing.T) {
	n := uint64(400)
	if testing.Short() {
		n = 50
	}
	for seed := range n {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))}
		data := w.stream(1+w.IntN(70), 1+w.IntN(70))
		require.Empty(t, agree(t, data), "seed %d", seed)
		_, err := decodeAll(t.Context(), data[5:], optionsOf(data))
		require.NoError(t, err, "seed %d", seed)
		if seed%20 == 0 {
			// What is cut is noticed.
			for cut := range 8 {
				if len(data)-5 <= cut+1 {
					break
				}
				_, err := decodeAll(t.Context(), data[5:len(data)-1-cut], optionsOf(data))
				require.Error(t, err, "seed %d without %d bytes", seed, cut+1)
			}
		}
	}
}

// TestWindow decodes more pixels than are kept, with references to all distances.
func TestWindow(t *testing.T) {
	for seed := range uint64(2) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 2))}
		w.put(0, 1)
		width, height := 16384, 3*window/16384
		if seed == 1 {
			width, height = 1000, 3500
		}
		w.image(width, height, true)
		require.Empty(t, agree(t, append(header(width, height), w.out...)), "%d × %d", width, height)
	}
}

// flat is a picture of one colour: no bit a pixel.
func flat() []byte {
	w := &writer{}
	w.put(0, 3) // no transform, cache or meta prefix codes
	for range 5 {
		w.put(0b001, 3) // a simple code of one symbol, of one bit
		w.put(1, 1)
	}
	return w.out
}

// TestPromiseWork/X2: a bitstream that costs nothing to write costs little to decode, and what it
// costs is counted.
func TestPromiseWork(t *testing.T) {
	t.Run("X2/flat", func(t *testing.T) {
		b := work.New(1 << 40)
		rows := 0
		err := Decode(t.Context(), bytes.NewReader(flat()), Options{Width: 3000, Height: 16383, Budget: b}, func(_ int, row []uint32) error {
			rows++
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, 16383, rows)
		assert.Less(t, b.Spent(), int64(3*3000*16383))
		assert.GreaterOrEqual(t, b.Spent(), int64(pixelUnits*3000*16383))
	})
	t.Run("X2/exceeded", func(t *testing.T) {
		for seed := range uint64(20) {
			w := &writer{Rand: rand.New(rand.NewPCG(seed, 3))}
			data := w.stream(64, 64)
			o := Options{Width: 64, Height: 64, Budget: work.New(1 << 40)}
			_, err := decodeAll(t.Context(), data[5:], o)
			require.NoError(t, err)
			spent := o.Budget.Spent()
			require.GreaterOrEqual(t, spent, int64(64*64))
			o.Budget = work.New(spent - 1)
			_, err = decodeAll(t.Context(), data[5:], o)
			require.ErrorIs(t, err, work.ErrExceeded)
		}
	})
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rows := 0
	err := Decode(ctx, bytes.NewReader(flat()), Options{Width: 16384, Height: 16384}, func(int, []uint32) error {
		rows++
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, rows)
}

// FuzzDecode looks for panics, and for pixels that differ from x/image's.
func FuzzDecode(f *testing.F) {
	for _, data := range bitstreams(f, "../../testdata") {
		f.Add(data)
	}
	for seed := range uint64(20) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 4))}
		f.Add(w.stream(1+w.IntN(40), 1+w.IntN(40)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 6 || data[0] != 0x2f {
			return
		}
		v := binary.LittleEndian.Uint32(data[1:])
		if v>>29 != 0 || (v&0x3fff+1)*(v>>14&0x3fff+1) > 1<<16 {
			return
		}
		switch d := agree(t, data); d {
		case "", "a pixel", "rows missing":
			if d != "" {
				t.Fatal(d)
			}
		}
	})
}

package inflate

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// bitWriter writes a deflate stream (RFC 1951, 3.1.1).
type bitWriter struct {
	out []byte
	acc uint64
	n   int
	// codes are those of lengths that were used.
	codes map[*uint8][]uint64
}

func newStream() *bitWriter { return &bitWriter{out: []byte{0x78, 0x9c}, codes: map[*uint8][]uint64{}} }

// bits writes n bits, the lowest first.
func (w *bitWriter) bits(v uint64, n int) {
	w.acc |= v << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

// code writes a Huffman code, the highest bit first.
func (w *bitWriter) code(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		w.bits(v>>i&1, 1)
	}
}

func (w *bitWriter) fixed() { w.bits(0b010, 3) }

// emptyFixed is a block without anything in it.
func (w *bitWriter) emptyFixed() {
	w.fixed()
	w.code(0, 7)
}

func (w *bitWriter) emptyStored() {
	w.bits(0, 3)
	if w.n > 0 {
		w.bits(0, 8-w.n)
	}
	w.bits(0xffff0000, 32)
}

// dynamic writes the header of a block whose codes have these lengths, each written by a
// code of four bits.
func (w *bitWriter) dynamic(lit, dist []uint8) {
	w.bits(0b100, 3)
	w.bits(uint64(len(lit)-257), 5)
	w.bits(uint64(len(dist)-1), 5)
	w.bits(19-4, 4)
	for _, s := range codeOrder {
		if s < 16 {
			w.bits(4, 3)
		} else {
			w.bits(0, 3)
		}
	}
	for _, l := range append(append([]uint8(nil), lit...), dist...) {
		w.code(uint64(l), 4)
	}
}

// shortDynamic is an empty dynamic block of few bits: only the end of a block has a code.
func (w *bitWriter) shortDynamic() {
	w.bits(0b100, 3)
	w.bits(0, 5)
	w.bits(0, 5)
	w.bits(18-4, 4)
	for _, s := range codeOrder[:18] {
		switch s {
		case 18, 1:
			w.bits(1, 3)
		default:
			w.bits(0, 3)
		}
	}
	w.code(1, 1) // 18: 138 zeros
	w.bits(138-11, 7)
	w.code(1, 1) // and 118 more
	w.bits(118-11, 7)
	w.code(0, 1) // 256 has one bit
	w.code(0, 1) // and so has distance 0
	w.code(0, 1) // the end of the block
}

// longDynamic is an empty dynamic block whose codes have as many long words as there can be.
func (w *bitWriter) longDynamic() {
	w.dynamic(skewed, skewedDist)
	w.symbol(skewed, 256)
}

// skewed has words of 1 to 7 bits for the symbols from 256 on, and words of 15 bits for
// the literals; skewedDist is alike.
var skewed, skewedDist = func() ([]uint8, []uint8) {
	l := bytes.Repeat([]byte{15}, 263)
	for i := range uint8(7) {
		l[256+int(i)] = i + 1
	}
	d := make([]uint8, 30)
	for i := range d { // 1 to 14, 15, 15
		if i < 16 {
			d[i] = uint8(min(i+1, 15))
		}
	}
	return l, d
}()

// symbol writes a symbol of a canonical code (RFC 1951, 3.2.2).
func (w *bitWriter) symbol(lengths []uint8, s int) {
	codes := w.codes[&lengths[0]]
	if codes == nil {
		var next [17]uint64
		for l := 1; l <= 15; l++ {
			next[l+1] = (next[l] + uint64(bytes.Count(lengths, []byte{byte(l)}))) << 1
		}
		codes = make([]uint64, len(lengths))
		for i, l := range lengths {
			codes[i] = next[l]
			next[l]++
		}
		w.codes[&lengths[0]] = codes
	}
	w.code(codes[s], int(lengths[s]))
}

// costly are streams that cost as much as can be, each in a way of its own: n times
// the thing, and what a reader finds in them.
func costly(n int) map[string][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	repeat := func(write func(*bitWriter)) []byte {
		w := newStream()
		for range n {
			write(w)
		}
		return w.out
	}
	inBlock := func(lit, dist []uint8, write func(*bitWriter)) []byte {
		w := newStream()
		w.dynamic(lit, dist)
		for range n {
			write(w)
		}
		return w.out
	}
	// One literal of one bit, matches of one bit, and the end of the block.
	match := func(length int) []byte {
		lit := make([]uint8, 286)
		lit[0], lit[256], lit[length] = 2, 2, 1
		dist := make([]uint8, 30)
		dist[0], dist[3] = 1, 1
		w := newStream()
		w.dynamic(lit, dist)
		for range 8 {
			w.symbol(lit, 0)
		}
		for i := range n {
			w.symbol(lit, length)
			w.symbol(dist, 3*(i&1))
		}
		return w.out
	}
	twoLiterals := make([]uint8, 257)
	twoLiterals[0], twoLiterals[1], twoLiterals[256] = 1, 2, 2
	// Far matches of three bytes, whose distances have long words and extra bits.
	far := func() []byte {
		lit := append([]byte(nil), skewed...)
		dist := make([]uint8, 30)
		for i := range uint8(14) {
			dist[i] = i + 1
		}
		dist[28], dist[29] = 15, 15 // of the largest distances, with 13 extra bits
		w := newStream()
		w.dynamic(lit, dist)
		for range window {
			w.symbol(lit, rng.IntN(256))
		}
		for range n {
			w.symbol(lit, 257) // 3 bytes
			w.symbol(dist, 28+rng.IntN(2))
			w.bits(rng.Uint64N(8000), 13)
		}
		return w.out
	}
	return map[string][]byte{
		"empty fixed blocks":   repeat((*bitWriter).emptyFixed),
		"empty stored blocks":  repeat((*bitWriter).emptyStored),
		"short dynamic blocks": repeat((*bitWriter).shortDynamic),
		"long dynamic blocks":  repeat((*bitWriter).longDynamic),
		"literals of one bit":  inBlock(twoLiterals, []uint8{1}, func(w *bitWriter) { w.symbol(twoLiterals, 0) }),
		"literals of 15 bits":  inBlock(skewed, skewedDist, func(w *bitWriter) { w.symbol(skewed, rng.IntN(256)) }),
		"matches of 3 bytes":   match(257),
		"matches of 10 bytes":  match(264),
		"matches of 258 bytes": match(285),
		"far matches":          far(),
		"stored blocks of 64 K": repeat(func(w *bitWriter) {
			w.bits(0, 8)
			w.bits(0x0000ffff, 32)
			w.out = append(w.out, make([]byte, 65535)...)
		}),
	}
}

// spent decompresses a stream as far as it goes, and returns its cost and time.
func spent(tb testing.TB, stream []byte) (units int64, took time.Duration) {
	tb.Helper()
	b := work.New(1 << 60)
	z := new(Reader)
	z.Reset(bytes.NewReader(stream), b)
	start := time.Now()
	_, err := io.Copy(io.Discard, z)
	took = time.Since(start)
	require.ErrorIs(tb, err, io.ErrUnexpectedEOF)
	return b.Spent(), took
}

// BenchmarkCost shows the time of a unit in each of the costliest streams.
func BenchmarkCost(b *testing.B) {
	for name, stream := range costly(3_000) {
		b.Run(name, func(b *testing.B) {
			// The shortest of all runs: others are disturbed by what else the machine does.
			units, best := spent(b, stream)
			for b.Loop() {
				_, took := spent(b, stream)
				best = min(best, took)
			}
			b.ReportMetric(float64(best)/float64(units), "ns/unit")
			b.ReportMetric(float64(units)/float64(len(stream)), "units/byte")
		})
	}
}

func TestEveryCostlyStreamIsCounted(t *testing.T) {
	t.Parallel()
	for name, stream := range costly(2000) {
		few, _ := spent(t, stream)
		assert.Positive(t, few, name)
		b := work.New(few / 2)
		var z Reader
		z.Reset(bytes.NewReader(stream), b)
		_, err := io.Copy(io.Discard, &z)
		assert.ErrorIs(t, err, work.ErrExceeded, name)
	}
}

func TestFixedBlocksShareTheirTables(t *testing.T) {
	t.Parallel()
	few, _ := spent(t, costly(1000)["empty fixed blocks"])
	assert.Less(t, few, int64(1000*costBlock*2), "an empty fixed block builds nothing")
}

package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// payloads are contents of several kinds.
func payloads() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	out := map[string][]byte{
		"empty": {},
		"one":   {7},
		"zeros": make([]byte, 300_000),
		"text":  bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog. "), 5000),
	}
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	out["noise"] = noise
	// Like filtered rows of a photograph: small values, few matches.
	photo := make([]byte, 400_000)
	for i := range photo {
		photo[i] = byte(int(rng.NormFloat64() * 4))
	}
	out["photo"] = photo
	// Matches of every distance up to the window and of every length.
	mixed := append([]byte(nil), noise[:1000]...)
	for len(mixed) < 500_000 {
		d := 1 + rng.IntN(min(len(mixed), window))
		if rng.IntN(2) == 0 {
			d = 1 + rng.IntN(16)
		}
		for range 3 + rng.IntN(300) {
			mixed = append(mixed, mixed[len(mixed)-d])
		}
		mixed = append(mixed, byte(rng.Uint32()))
	}
	out["mixed"] = mixed
	// Rare symbols have long codes.
	skewed := make([]byte, 0, 300_000)
	for i, n := 0, 100_000; i < 256; i, n = i+1, n*2/3+1 {
		for range n {
			skewed = append(skewed, byte(i))
		}
	}
	rng.Shuffle(len(skewed), func(i, j int) { skewed[i], skewed[j] = skewed[j], skewed[i] })
	out["skewed"] = skewed
	return out
}

func compress(data []byte, level int) []byte {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		panic(err)
	}
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func inflate(r io.Reader) ([]byte, error) {
	var z Reader
	z.Reset(r, nil)
	return io.ReadAll(&z)
}

func TestRead(t *testing.T) {
	levels := []int{flate.NoCompression, flate.BestSpeed, flate.DefaultCompression, flate.BestCompression, flate.HuffmanOnly}
	for name, data := range payloads() {
		for _, level := range levels {
			t.Run(fmt.Sprintf("%s/%d", name, level), func(t *testing.T) {
				in := compress(data, level)
				got, err := inflate(bytes.NewReader(in))
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, got))
				got, err = inflate(iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(in))))
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, got))
				if len(in) < 100_000 {
					got, err = inflate(iotest.OneByteReader(bytes.NewReader(in)))
					require.NoError(t, err)
					require.True(t, bytes.Equal(data, got))
				}
			})
		}
	}
}

// TestReuse checks that nothing of a stream is left in the next one.
func TestReuse(t *testing.T) {
	var z Reader
	for name, data := range payloads() {
		in := compress(data, 6)
		z.Reset(bytes.NewReader(in[:len(in)/2]), nil)
		_, err := io.ReadAll(&z)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
		z.Reset(bytes.NewReader(in), nil)
		got, err := io.ReadAll(&z)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(data, got), name)
	}
	// A match must not reach into the stream before.
	var b bytes.Buffer
	b.Write([]byte{0x78, 0x9c, 0x03, 0x02}) // fixed codes, a length first
	z.Reset(&b, nil)
	_, err := io.ReadAll(&z)
	require.Error(t, err)
}

// TestTruncated cuts streams everywhere.
func TestTruncated(t *testing.T) {
	for name, data := range payloads() {
		for _, level := range []int{flate.NoCompression, flate.DefaultCompression, flate.HuffmanOnly} {
			in := compress(data[:min(len(data), 700)], level)
			for n := range in {
				got, err := inflate(bytes.NewReader(in[:n]))
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s/%d cut at %d", name, level, n)
				require.True(t, bytes.HasPrefix(data, got) || n < len(in), "%s", name)
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	in := compress(payloads()["text"], 6)
	broken := errors.New("broken")
	_, err := inflate(io.MultiReader(bytes.NewReader(in[:100]), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	_, err = inflate(stuck{})
	require.ErrorIs(t, err, io.ErrNoProgress)
	_, err = inflate(liar{})
	require.ErrorIs(t, err, io.ErrNoProgress)
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

type liar struct{}

func (liar) Read(p []byte) (int, error) { return len(p) + 1, nil }

func TestInvalid(t *testing.T) {
	good := compress([]byte("hello, hello, hello"), 6)
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	for name, in := range map[string][]byte{
		"method":        {0x79, 0x9c},
		"window":        {0x88, 0x1c},
		"header check":  {0x78, 0x9d},
		"dictionary":    {0x78, 0xbb},
		"block type":    {0x78, 0x9c, 0x07},
		"stored length": {0x78, 0x9c, 0x01, 1, 0, 0, 0},
		"checksum":      bad,
		"far back":      {0x78, 0x9c, 0x03, 0x02, 0, 0, 0, 0},
		"too many":      {0x78, 0x9c, 0xfd, 0xff, 0xff, 0xff},
	} {
		_, err := inflate(bytes.NewReader(in))
		var f FormatError
		assert.ErrorAs(t, err, &f, name)
	}
}

// TestCodes builds every kind of code that may be built and some that may not.
func TestCodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		// Splitting leaves at random gives every shape of complete code.
		n := 2 + rng.IntN(285)
		lengths := []uint8{1, 1}
		for len(lengths) < n {
			i := rng.IntN(len(lengths))
			if rng.IntN(3) > 0 {
				i = len(lengths) - 1 // deep ones
			}
			if lengths[i] == maxCode {
				continue
			}
			lengths[i]++
			lengths = append(lengths, lengths[i])
		}
		rng.Shuffle(n, func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
		var l litTable
		require.NoError(t, l.build(lengths))
		if n <= 30 {
			var d distTable
			require.NoError(t, d.build(lengths))
			lengths[0]--
			if lengths[0] > 0 {
				require.Error(t, d.build(lengths))
			}
		}
	}
	var d distTable
	require.NoError(t, d.build([]uint8{0, 0}))
	require.NoError(t, d.build([]uint8{0, 1}))
	require.Error(t, d.build([]uint8{0, 2}))
	require.Error(t, d.build([]uint8{1, 2}))
}

func TestAdler(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	data := make([]byte, 100_000)
	for _, fill := range []func() byte{func() byte { return 255 }, func() byte { return byte(rng.Uint32()) }} {
		for i := range data {
			data[i] = fill()
		}
		for _, n := range []int{0, 1, 7, 8, 183, 184, 185, 5552, 65536, len(data)} {
			var s adler
			s.reset()
			s.add(data[:n/3])
			s.add(data[n/3 : n])
			require.Equal(t, adler32.Checksum(data[:n]), s.value(), "%d bytes", n)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"photo", "text", "mixed"} {
		data := payloads()[name]
		in := compress(data, 6)
		buf := make([]byte, 12<<10)
		b.Run(name+"/inflate", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			var z Reader
			for b.Loop() {
				z.Reset(bytes.NewReader(in), nil)
				for {
					if _, err := z.Read(buf); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		b.Run(name+"/std", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			z, _ := zlib.NewReader(bytes.NewReader(in))
			for b.Loop() {
				z.(zlib.Resetter).Reset(bytes.NewReader(in), nil)
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, z, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestTake(t *testing.T) {
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, n := range []int{1, 7, 12001, 65536, 100_000} {
		var z Reader
		z.Reset(bytes.NewReader(packed.Bytes()), nil)
		buf := make([]byte, n)
		for rest := data; len(rest) >= n; rest = rest[n:] {
			got, err := z.Take(n, buf)
			require.NoError(t, err)
			require.True(t, bytes.Equal(rest[:n], got))
		}
		for err == nil {
			_, err = z.Take(n, buf)
		}
		require.ErrorIs(t, err, io.EOF)
		err = nil

		z.Reset(bytes.NewReader(packed.Bytes()[:packed.Len()/2]), nil)
		for err == nil {
			_, err = z.Take(n, buf)
		}
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		err = nil
	}
}

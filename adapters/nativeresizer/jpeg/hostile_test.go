package jpeg

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

var scales = []Scale{Full, Half, Quarter, Eighth}

// decodeAny decodes at each scale what may be broken, and checks what has to hold then:
// the same error at every scale, and the same samples of a scale whatever is decoded with it.
func decodeAny(t testing.TB, data []byte) (planes []*Planes) {
	t.Helper()
	var first error
	for i, s := range scales {
		d := NewDecoder(bytes.NewReader(data), Options{})
		h, err := d.Header(context.Background())
		if err == nil && h.Width*h.Height > 1<<22 {
			d.Close()
			return nil
		}
		p, err := d.Decode(context.Background(), s)
		if i == 0 {
			first = err
		}
		require.Equal(t, first, err, "error at 1/%d", s)
		if err != nil {
			require.Nil(t, p)
			var format FormatError
			var unsupported UnsupportedError
			require.True(t, errors.As(err, &format) || errors.As(err, &unsupported) || errors.Is(err, ErrTooMuchWork), err)
			continue
		}
		require.Equal(t, ceilDiv(h.Width, int(s)), p.Width)
		p.Image()
		planes = append(planes, p)
	}
	for _, together := range [][]Scale{{Eighth, Half, Full, Quarter}, {Quarter, Eighth}, {Half, Half, Eighth}} {
		all, err := NewDecoder(bytes.NewReader(data), Options{}).DecodeScales(context.Background(), together...)
		require.Equal(t, first, err)
		if err != nil {
			require.Nil(t, all)
			continue
		}
		for i, s := range together {
			alone := planes[slices.Index(scales, s)]
			require.Equal(t, alone.Truncated, all[i].Truncated)
			require.True(t, slices.EqualFunc(alone.Planes, all[i].Planes, func(a, b Plane) bool { return bytes.Equal(a.Pix, b.Pix) }),
				"1/%d differs when it is decoded with %d", s, together)
		}
	}
	return planes
}

func small(progressive bool) encoding {
	g := sampled(61, 45, 0x22, 0x11, 0x11)
	if g.progressive = progressive; progressive {
		g.table = flatTable()
	}
	return g
}

func TestTruncatedAnywhere(t *testing.T) {
	for _, progressive := range []bool{false, true} {
		data := encode(small(progressive))
		for n := range data {
			for _, p := range decodeAny(t, data[:n]) {
				// What lacks nothing but EOI is whole, if that can be told.
				require.Equal(t, progressive || n < len(data)-2, p.Truncated, "after %d of %d bytes", n, len(data))
			}
		}
	}
}

func TestTruncatedIsDecodedToTheCut(t *testing.T) {
	data := encode(sampled(320, 240, 0x22, 0x11, 0x11))
	for _, s := range scales {
		whole := decodeClean(t, data, s).Planes[0]
		cut := decode(t, data[:len(data)/2], s)
		assert.True(t, cut.Truncated)
		assert.False(t, cut.Damaged)
		got := cut.Planes[0]
		top := whole.Height / 3 * whole.Stride
		assert.Equal(t, whole.Pix[:top], got.Pix[:top])
		assert.Equal(t, byte(128), got.Pix[(got.Height-1)*got.Stride])
	}
}

func TestTruncatedProgressive(t *testing.T) {
	g := sampled(320, 240, 0x22, 0x11, 0x11)
	g.progressive, g.table = true, flatTable()
	data := encode(g)
	for _, s := range scales {
		whole := decodeClean(t, data, s).Planes[0]
		cut := decode(t, data[:len(data)*3/4], s)
		assert.True(t, cut.Truncated)
		_, psnr := compare(whole.Pix, whole.Stride, cut.Planes[0].Pix, whole.Stride, whole.Width, whole.Height)
		assert.Greater(t, psnr, 25.0)
	}
}

func TestNoEndOfImage(t *testing.T) {
	data := encode(small(false))
	p := decode(t, data[:len(data)-2], Full)
	assert.False(t, p.Truncated)
	assert.False(t, p.Damaged)
	assert.Equal(t, decode(t, data, Full).Planes, p.Planes)
}

// TestWork counts what files cost: as much at every scale, and by what is in them.
func TestWork(t *testing.T) {
	units := func(data []byte, s Scale, limit int64) (int64, error) {
		b := work.New(limit)
		_, err := NewDecoder(bytes.NewReader(data), Options{Work: b}).Decode(t.Context(), s)
		return b.Spent(), err
	}
	cost := map[string]int64{}
	plain, progressive := encode(small(false)), encode(small(true))
	for name, data := range map[string][]byte{
		"plain": plain, "progressive": progressive,
		// A flood of segments without parameters, of tables, of restart markers.
		"segments": slices.Concat(plain[:2], bytes.Repeat([]byte{0xff, 0xe5, 0, 2}, 10_000), plain[2:]),
		"tables":   slices.Concat(plain[:2], bytes.Repeat(append([]byte{0xff, 0xc4, 0, 20, 0x01, 1}, make([]byte, 16)...), 10_000), plain[2:]),
		"restarts": slices.Concat(plain[:len(plain)-2], bytes.Repeat([]byte{0xff, 0xd0}, 10_000), plain[len(plain)-2:]),
	} {
		at, err := units(data, Full, 1<<40)
		require.NoError(t, err, name)
		for _, s := range scales {
			again, err := units(data, s, 1<<40)
			require.NoError(t, err, name)
			require.Equal(t, at, again, "%s at 1/%d", name, s)
			_, err = units(data, s, at-1)
			require.ErrorIs(t, err, work.ErrExceeded, "%s at 1/%d", name, s)
		}
		cost[name] = at
	}
	assert.GreaterOrEqual(t, cost["segments"]-cost["plain"], int64(10_000*segmentUnits))
	assert.GreaterOrEqual(t, cost["tables"]-cost["plain"], int64(10_000*tableUnits))
	assert.GreaterOrEqual(t, cost["restarts"]-cost["plain"], int64(10_000*byteUnits))
}

// TestOrderOfComponents: a scan has those of its frame in their order (T.81 B.2.3).
func TestOrderOfComponents(t *testing.T) {
	data := bytes.Clone(encode(small(false)))
	at := bytes.Index(data, []byte{0xff, 0xda}) + 5
	copy(data[at:], []byte{data[at+2], data[at+3], data[at], data[at+1]})
	_, err := NewDecoder(bytes.NewReader(data), Options{}).Header(t.Context())
	assert.Equal(t, FormatError("components of a scan are not in the order of the frame"), err)
}

func TestEarlyEndOfImage(t *testing.T) {
	data := encode(small(false))
	p := decode(t, append(bytes.Clone(data[:len(data)*3/4]), 0xff, markerEOI), Full)
	assert.False(t, p.Truncated)
	assert.True(t, p.Damaged)
}

func TestMissingComponent(t *testing.T) {
	g := small(false)
	g.scans = []encScan{{comps: []int{0}, last: 63}, {comps: []int{1}, last: 63}}
	p := decode(t, encode(g), Full)
	assert.False(t, p.Truncated)
	assert.True(t, p.Damaged)
	assert.Equal(t, byte(128), p.Planes[2].Pix[0])
}

// restartSegments returns the positions of the RST markers.
func restarts(data []byte) (at []int) {
	for i := range data[:len(data)-1] {
		if data[i] == 0xff && isRestart(data[i+1]) {
			at = append(at, i)
		}
	}
	return at
}

func TestDamageEndsAtRestart(t *testing.T) {
	g := sampled(320, 240, 0x22, 0x11, 0x11) // 20×15 MCUs
	g.restart = 10
	data := encode(g)
	at := restarts(data)
	require.Len(t, at, 29)
	whole := decodeClean(t, data, Full)
	for name, broken := range map[string][]byte{
		"a marker inside":         append(append(bytes.Clone(data[:at[10]+10]), 0xff, 0x33), data[at[10]+12:]...),
		"data missing":            append(bytes.Clone(data[:at[10]+20]), data[at[11]:]...),
		"an interval missing":     append(bytes.Clone(data[:at[10]]), data[at[11]:]...),
		"two intervals missing":   append(bytes.Clone(data[:at[10]]), data[at[12]:]...),
		"an old interval again":   append(bytes.Clone(data[:at[11]]), data[at[9]:]...),
		"a wrong marker":          append(append(bytes.Clone(data[:at[10]+1]), data[at[10]+1]^4), data[at[10]+2:]...),
		"more data than it takes": append(append(bytes.Clone(data[:at[11]]), 1, 2, 3, 4), data[at[11]:]...),
	} {
		t.Run(name, func(t *testing.T) {
			p := decode(t, broken, Full)
			assert.True(t, p.Damaged)
			assert.False(t, p.Truncated)
			// Two intervals make a row of MCUs; row 5 and 6 may suffer.
			stride := p.Planes[0].Stride
			assert.Equal(t, whole.Planes[0].Pix[:5*16*stride], p.Planes[0].Pix[:5*16*stride], "before")
			assert.Equal(t, whole.Planes[0].Pix[7*16*stride:], p.Planes[0].Pix[7*16*stride:], "after")
			decodeAny(t, broken)
		})
	}
}

func TestRandomDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, progressive := range []bool{false, true} {
		for _, restart := range []int{0, 2} {
			g := small(progressive)
			g.restart = restart
			data := encode(g)
			for range 400 {
				broken := bytes.Clone(data)
				for range 1 + r.IntN(8) {
					broken[2+r.IntN(len(data)-2)] ^= byte(1 << r.IntN(8))
				}
				decodeAny(t, broken)
			}
		}
	}
}

func TestReaders(t *testing.T) {
	for _, progressive := range []bool{false, true} {
		data := encode(small(progressive))
		for _, s := range scales {
			want := decodeClean(t, data, s)
			for _, wrap := range []func(io.Reader) io.Reader{
				iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
			} {
				got, err := NewDecoder(wrap(bytes.NewReader(data)), Options{}).Decode(context.Background(), s)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		}
		// A reader that fails is not a file that is truncated.
		broken := errors.New("broken")
		for n := range len(data) {
			r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))
			p, err := NewDecoder(r, Options{}).Decode(context.Background(), Full)
			require.ErrorIs(t, err, broken)
			require.Nil(t, p)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestReaderWithoutProgress(t *testing.T) {
	for _, n := range []int{0, -1, 1 << 30} {
		_, err := NewDecoder(readerFunc(func([]byte) (int, error) { return n, nil }), Options{}).Header(context.Background())
		assert.ErrorIs(t, err, io.ErrNoProgress)
	}
}

// TestCancel cancels while a stream without an end is being read, in each of the
// places that read.
func TestCancel(t *testing.T) {
	base, prog := encode(small(false)), encode(small(true))
	// In the first scan, behind its header.
	inScan := bytes.Index(base, []byte{0xff, markerSOS}) + 20
	inAC := bytes.LastIndex(prog, []byte{0xff, markerSOS}) + 12
	for name, test := range map[string]struct {
		start  []byte
		repeat string
	}{
		"between markers":      {[]byte("\xff\xd8"), "garbage"},
		"in a comment":         {[]byte("\xff\xd8"), "\xff\xfe\xff\xff" + strings.Repeat("c", 65533)},
		"in stray restarts":    {base[:inScan], "\xff\xd0"},
		"in fill bytes":        {base[:inScan], "\xff"},
		"in scan data":         {base[:len(base)-2], "abc"},
		"in an AC scan":        {prog[:inAC], "abc"},
		"after the last scan":  {prog[:len(prog)-2], "\xff\xfe\x00\x02"},
		"in tables":            {base[:2], "\xff\xc4\x00\x13\x00" + strings.Repeat("\x00", 16)},
		"in a truncated frame": {base[:2], "\xff"},
	} {
		for _, s := range scales {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				reads, after, at := 0, 0, 0
				endless := readerFunc(func(p []byte) (int, error) {
					if reads++; reads > 20 {
						cancel()
						after++
					}
					n := copy(p, test.repeat[at:])
					for n < len(p) {
						n += copy(p[n:], test.repeat)
					}
					at = (at + n) % len(test.repeat)
					return n, nil
				})
				p, err := NewDecoder(io.MultiReader(bytes.NewReader(test.start), endless), Options{}).Decode(ctx, s)
				assert.ErrorIs(t, err, context.Canceled)
				assert.Nil(t, p)
				assert.LessOrEqual(t, after, 1)
			})
		}
	}
}

func TestCancelDuringDecode(t *testing.T) {
	g := sampled(1024, 1024, 0x11)
	for _, progressive := range []bool{false, true} {
		if g.progressive = progressive; progressive {
			g.table = flatTable()
		}
		data := encode(g)
		for _, s := range scales {
			ctx, cancel := context.WithCancel(context.Background())
			d := NewDecoder(bytes.NewReader(data), Options{})
			_, err := d.Header(ctx)
			require.NoError(t, err)
			cancel()
			_, err = d.Decode(ctx, s)
			assert.ErrorIs(t, err, context.Canceled)
		}
	}
}

// manyScans returns a progressive file with empty AC scans.
func manyScans(n int) []byte {
	g := sampled(256, 256, 0x11)
	g.progressive, g.table = true, flatTable()
	for i := range g.comps {
		g.comps[i].sample = func(int, int) byte { return 99 }
	}
	g.scans = []encScan{{comps: []int{0}}}
	for range n {
		g.scans = append(g.scans, encScan{comps: []int{0}, first: 1, last: 63})
	}
	return encode(g)
}

func TestMaxWork(t *testing.T) {
	data := manyScans(20)
	visits := int64(21 * (32*32 + scanWork))
	for _, s := range scales {
		_, err := NewDecoder(bytes.NewReader(data), Options{MaxWork: visits - 1}).Decode(context.Background(), s)
		assert.ErrorIs(t, err, ErrTooMuchWork)
		_, err = NewDecoder(bytes.NewReader(data), Options{MaxWork: visits}).Decode(context.Background(), s)
		assert.NoError(t, err)
	}
	data = manyScans(DefaultMaxWork / scanWork)
	for _, s := range scales {
		_, err := NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background(), s)
		assert.ErrorIs(t, err, ErrTooMuchWork)
		_, err = NewDecoder(bytes.NewReader(data), Options{MaxWork: -1}).Decode(context.Background(), s)
		assert.NoError(t, err)
	}
}

func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestMemory checks MemoryNeeded, and that a header costs nothing of the image's size
// and a long file nothing of its length.
func TestMemory(t *testing.T) {
	for _, progressive := range []bool{false, true} {
		g := sampled(1030, 700, 0x22, 0x11, 0x11)
		if g.progressive = progressive; progressive {
			g.table = flatTable()
		}
		data := encode(g)
		h := header(t, data, Options{})
		for _, s := range scales {
			got := allocated(func() { decodeClean(t, data, s) })
			assert.LessOrEqual(t, got, MemoryNeeded(h, s))
			assert.Greater(t, got, (MemoryNeeded(h, s)-workspaceSize)*9/10)
		}
	}
	assert.Zero(t, MemoryNeeded(&Header{Width: 1, Height: 1}, 3))
	for _, progressive := range []bool{false, true} {
		g := sampled(1030, 700, 0x22, 0x11, 0x11)
		if g.progressive = progressive; progressive {
			g.table = flatTable()
		}
		data := encode(g)
		h := header(t, data, Options{})
		got := allocated(func() {
			_, err := NewDecoder(bytes.NewReader(data), Options{}).DecodeScales(context.Background(), Eighth, Half, Quarter, Half)
			assert.NoError(t, err)
		})
		assert.LessOrEqual(t, got, MemoryNeeded(h, Eighth, Half, Quarter, Half))
		assert.Greater(t, got, (MemoryNeeded(h, Eighth, Half, Quarter, Half)-workspaceSize)*9/10)
		assert.Greater(t, MemoryNeeded(h, Eighth, Half), MemoryNeeded(h, Half))
	}

	huge := encode(sampled(8, 8, 0x22, 0x11, 0x11))
	at := bytes.Index(huge, []byte{0xff, markerSOF1})
	copy(huge[at+5:], "\xff\xff\xff\xff")
	got := allocated(func() {
		h := header(t, huge, Options{})
		assert.Equal(t, 65535, h.Width)
		assert.Greater(t, MemoryNeeded(h, Full), int64(6e9))
		assert.Greater(t, MemoryNeeded(h, Eighth), int64(1e8))
	})
	assert.Less(t, got, int64(2<<20))

	long := io.MultiReader(strings.NewReader("\xff\xd8"),
		strings.NewReader(strings.Repeat("\xff\xfe\xff\xff"+strings.Repeat("c", 65533), 100)),
		bytes.NewReader(encode(small(false))[2:]))
	got = allocated(func() {
		_, err := NewDecoder(long, Options{}).Decode(context.Background(), Full)
		assert.NoError(t, err)
	})
	assert.Less(t, got, int64(2<<20))
}

func TestUsedUp(t *testing.T) {
	data := encode(small(false))
	d := NewDecoder(bytes.NewReader(data), Options{})
	_, err := d.Decode(context.Background(), Half)
	require.NoError(t, err)
	_, err = d.Decode(context.Background(), Half)
	assert.ErrorIs(t, err, ErrUsed)
	h, err := d.Header(context.Background())
	require.NoError(t, err, "the header stays")
	assert.Equal(t, 61, h.Width)
	d.Close()

	d = NewDecoder(bytes.NewReader(data), Options{})
	d.Close()
	d.Close()
	_, err = d.Header(context.Background())
	assert.ErrorIs(t, err, ErrUsed)

	d = NewDecoder(bytes.NewReader(data), Options{})
	_, err = d.Decode(context.Background(), 3)
	assert.Equal(t, UnsupportedError("scale"), err)
}

// TestParallel decodes different files at once with buffers that go round.
func TestParallel(t *testing.T) {
	var files [][]byte
	var want []*Planes
	for i, progressive := range []bool{false, true, false, true} {
		g := small(progressive)
		if i == 2 {
			g.table = longTable()
		}
		files = append(files, encode(g))
		want = append(want, decodeClean(t, files[i], Quarter))
	}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 40 {
				i = (i + n) % len(files)
				p, err := NewDecoder(bytes.NewReader(files[i]), Options{}).Decode(context.Background(), Quarter)
				assert.NoError(t, err)
				assert.Equal(t, want[i], p)
			}
		})
	}
	wg.Wait()
}

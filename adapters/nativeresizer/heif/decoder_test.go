package heif

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

func header(t *testing.T, data []byte) (*Header, error) {
	t.Helper()
	d := NewDecoder(bytes.NewReader(data), Options{})
	defer d.Close()
	return d.Header(t.Context())
}

func decodeAll(t *testing.T, data []byte, shrinks ...int) ([]*Decoded, *Header) {
	t.Helper()
	d := NewDecoder(bytes.NewReader(data), Options{Workers: 2})
	out, err := d.Decode(t.Context(), shrinks...)
	require.NoError(t, err)
	return out, d.header
}

// refused reports whether both the decoder and the scanner refuse a file, and returns the decoder's error.
func refused(t *testing.T, data []byte) error {
	t.Helper()
	d := NewDecoder(bytes.NewReader(data), Options{})
	defer d.Close()
	_, err := d.Decode(t.Context(), 1)
	require.Error(t, err)
	return err
}

func TestHeader(t *testing.T) {
	h, err := header(t, still(t, nclx(12, 13, 6, 1)).bytes())
	require.NoError(t, err)
	assert.Equal(t, [2]int{88, 72}, [2]int{h.Width, h.Height})
	assert.Equal(t, Colour{12, 13, 6, true}, h.Colour)
	assert.Equal(t, 8, h.Depth)
	assert.Equal(t, 1, h.Tiles)
	assert.False(t, h.Alpha || h.Turned || h.Monochrome || h.EXIF || h.Overlay)
}

// TestLayoutsOfTheFile: however the file is laid out, the picture is the same.
func TestLayoutsOfTheFile(t *testing.T) {
	want, _ := decodeAll(t, still(t).bytes(), 1)
	for name, change := range map[string]func(*built){
		"metadata last":   func(f *built) { f.metaLast = true },
		"extents":         func(f *built) { f.extents = 40 },
		"within the meta": func(f *built) { f.items[0].idat = true },
		"brand mif1":      func(f *built) { f.brand = "mif1" },
	} {
		f := still(t)
		change(&f)
		whole, slow := bytes.NewReader(f.bytes()), bytes.NewReader(f.bytes())
		for _, r := range []io.ReadSeeker{whole, withSeek{iotest.OneByteReader(slow), slow}} {
			d := NewDecoder(r, Options{})
			got, err := d.Decode(t.Context(), 1)
			require.NoError(t, err, name)
			assert.Equal(t, want, got, name)
		}
	}
}

// withSeek is a reader that does not buffer, with the seeker that it reads from.
type withSeek struct {
	io.Reader
	io.Seeker
}

// sparse is a file with a box of zeros within, of which nothing need be in memory. It counts.
type sparse struct {
	head, tail []byte
	hole       int64
	at, read   int64
	seeks      int
}

func (s *sparse) Read(p []byte) (int, error) {
	var n int
	switch behind := s.at - int64(len(s.head)) - s.hole; {
	case s.at < int64(len(s.head)):
		n = copy(p, s.head[s.at:])
	case behind < 0:
		n = int(min(int64(len(p)), -behind))
		clear(p[:n])
	case behind < int64(len(s.tail)):
		n = copy(p, s.tail[behind:])
	default:
		return 0, io.EOF
	}
	s.at += int64(n)
	s.read += int64(n)
	return n, nil
}

func (s *sparse) Seek(offset int64, whence int) (int64, error) {
	s.seeks++
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += int64(len(s.head)) + s.hole + int64(len(s.tail))
	}
	s.at = offset
	return offset, nil
}

// withHole is a file whose metadata comes last, behind a box of so many zeros.
func withHole(t *testing.T, f built, hole int64) *sparse {
	t.Helper()
	f.metaLast = true
	file := f.bytes()
	meta := bytes.LastIndex(file, []byte("meta")) - 4
	return &sparse{head: cat(file[:meta], u32(int(8+hole)), []byte("free")), hole: hole, tail: file[meta:]}
}

// Metadata may come last: what lies before it is passed over, not read and not held.
func TestNothingIsHeldUntilTheMetadata(t *testing.T) {
	want, _ := decodeAll(t, still(t).bytes(), 1)
	for _, hole := range []int64{1 << 20, 60 << 20, 1 << 30} {
		s := withHole(t, still(t), hole)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := NewDecoder(s, Options{})
		_, err := d.Header(t.Context())
		require.NoError(t, err)
		runtime.ReadMemStats(&after)
		assert.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<10), "%d", hole)
		assert.LessOrEqual(t, s.read, int64(len(s.head)+len(s.tail)+64<<10), "%d", hole)
		got, err := d.Decode(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, want, got, "%d", hole)
		assert.LessOrEqual(t, s.seeks, 4)
	}
	cut := withHole(t, still(t), 60<<20)
	cut.hole, cut.tail = 50<<20, nil
	_, err := NewDecoder(cut, Options{}).Header(t.Context())
	require.ErrorIs(t, err, ErrTruncated)
	none := withHole(t, still(t), 60<<20)
	none.tail = nil
	_, err = NewDecoder(none, Options{}).Header(t.Context())
	require.Equal(t, FormatError("file without metadata"), err)
}

// A file cannot make a store far away be asked without end: the seeks in it are bounded.
func TestSeeksAreBounded(t *testing.T) {
	endless := &boxes{head: box("ftyp", []byte("heic"), u32(0), []byte("mif1heic")), size: worthReading + 1}
	_, err := NewDecoder(endless, Options{}).Header(t.Context())
	require.ErrorAs(t, err, new(UnsupportedError))
}

// boxes is a file of boxes of zeros without end.
type boxes struct {
	head     []byte
	size, at int64
}

func (b *boxes) Read(p []byte) (int, error) {
	for i := range p {
		if b.at < int64(len(b.head)) {
			p[i] = b.head[b.at]
		} else if in := (b.at - int64(len(b.head))) % (8 + b.size); in < 8 {
			p[i] = cat(u32(int(8+b.size)), []byte("free"))[in]
		} else {
			p[i] = 0
		}
		b.at++
	}
	return len(p), nil
}

func (b *boxes) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return 1 << 50, nil
	}
	b.at = offset
	return offset, nil
}

func TestOrientationsOfTheContainer(t *testing.T) {
	irot := func(n byte) []byte { return box("irot", []byte{n}) }
	imir := func(n byte) []byte { return box("imir", []byte{n}) }
	for _, c := range []struct {
		props [][]byte
		want  int
	}{
		{nil, 1},
		{[][]byte{irot(0)}, 1},
		{[][]byte{irot(1)}, 8},
		{[][]byte{irot(2)}, 3},
		{[][]byte{irot(3)}, 6},
		{[][]byte{imir(0)}, 4},
		{[][]byte{imir(1)}, 2},
		{[][]byte{irot(1), imir(0)}, 5},
		{[][]byte{irot(1), imir(1)}, 7},
		{[][]byte{imir(1), irot(1)}, 5},
		{[][]byte{irot(3), irot(3)}, 3},
		{[][]byte{imir(0), imir(1)}, 3},
	} {
		h, err := header(t, still(t, c.props...).bytes())
		require.NoError(t, err)
		assert.Equal(t, c.want, h.Orientation, "%q", c.props)
		assert.Equal(t, len(c.props) > 0, h.Turned)
	}
}

func clap(v ...int) []byte {
	var b []byte
	for _, n := range v {
		b = append(b, u32(n)...)
	}
	return box("clap", b)
}

func TestCleanAperture(t *testing.T) {
	whole, _ := decodeAll(t, still(t).bytes(), 1)
	for _, c := range []struct {
		props      [][]byte
		x, y, w, h int
	}{
		{[][]byte{clap(40, 1, 20, 1, 0, 1, 0, 1)}, 24, 26, 40, 20},
		{[][]byte{clap(80, 2, 20, 1, -24, 1, 26, 1)}, 0, 52, 40, 20},
		{[][]byte{box("irot", []byte{1}), clap(20, 1, 40, 1, -26, 1, 0, 1)}, 24, 0, 40, 20},
		{[][]byte{box("irot", []byte{2}), clap(40, 1, 20, 1, 24, 1, 0, 1)}, 0, 26, 40, 20},
		{[][]byte{clap(80, 1, 60, 1, 0, 1, 0, 1), clap(40, 1, 20, 1, 0, 1, 0, 1)}, 24, 26, 40, 20},
	} {
		out, h := decodeAll(t, still(t, c.props...).bytes(), 1)
		require.Equal(t, [2]int{c.w, c.h}, [2]int{h.Width, h.Height})
		for i, p := range out[0].Layers[0].Planes {
			from := whole[0].Layers[0].Planes[i]
			sub := 1
			if i > 0 {
				sub = 2
			}
			require.Equal(t, [2]int{c.w / sub, c.h / sub}, [2]int{p.Width, p.Height})
			for y := range p.Height {
				assert.Equal(t, from.Pix[(c.y/sub+y)*from.Stride+c.x/sub:][:p.Width], p.Pix[y*p.Stride:][:p.Width])
			}
		}
	}
	for _, bad := range [][]byte{
		clap(40, 0, 20, 1, 0, 1, 0, 1), clap(89, 1, 20, 1, 0, 1, 0, 1), clap(40, 1, 20, 1, 25, 1, 0, 1), clap(0, 1, 20, 1, 0, 1, 0, 1), box("clap", u32(1)),
	} {
		assert.ErrorAs(t, refused(t, still(t, bad).bytes()), new(FormatError))
	}
}

// TestGridIsItsTiles: a grid of one tile three times two is that tile six times, cut at the canvas.
func TestGridIsItsTiles(t *testing.T) {
	tile, _ := decodeAll(t, still(t).bytes(), 1)
	out, h := decodeAll(t, gridFile(t, 3, 2, 200, 100).bytes(), 1, 2, 4)
	assert.Equal(t, 6, h.Tiles)
	for i, p := range out[0].Layers[0].Planes {
		from := tile[0].Layers[0].Planes[i]
		for y := range p.Height {
			for x := range p.Width {
				require.Equal(t, from.Pix[y%from.Height*from.Stride+x%from.Width], p.Pix[y*p.Stride+x])
			}
		}
	}
	for i, k := range []int{1, 1, 2} {
		p := out[i].Layers[0].Planes
		assert.Equal(t, [4]int{(200 + k - 1) / k, (100 + k - 1) / k, k, k}, [4]int{p[0].Width, p[0].Height, p[0].PerX, p[0].PerY})
		assert.Equal(t, [4]int{(100 + k - 1) / k, (50 + k - 1) / k, 2 * k, 2 * k}, [4]int{p[1].Width, p[1].Height, p[1].PerX, p[1].PerY})
	}
}

// TestReductionsAreAverages compares what is reduced while it is decoded with boxes of the whole, also
// of other reductions beside it.
func TestReductionsAreAverages(t *testing.T) {
	tiled := gridFile(t, 2, 3, 170, 150)
	tiled.props = append(tiled.props, nclx(1, 13, 6, 1))
	tiled.items[len(tiled.items)-1].props = []int{3, 4}
	for name, f := range map[string]built{"single": still(t, nclx(1, 13, 6, 1)), "grid": tiled} {
		data := f.bytes()
		h, err := header(t, data)
		require.NoError(t, err)
		shrinks := []int{2, 4}
		if k := h.Largest(16); k > 4 {
			shrinks = append(shrinks, k)
		}
		out, _ := decodeAll(t, data, append(slices.Clone(shrinks), 1)...)
		for i, shrink := range shrinks {
			alone, _ := decodeAll(t, data, shrink)
			require.Equal(t, alone[0], out[i], name)
			k := shrink / 2
			for c, p := range out[i].Layers[0].Planes {
				whole := out[0].Layers[0].Planes[c] // without filters, as the others are
				for y := range p.Height {
					for x := range p.Width {
						sum, n := 0, 0
						for j := y * k; j < min(y*k+k, whole.Height); j++ {
							for i := x * k; i < min(x*k+k, whole.Width); i++ {
								sum, n = sum+int(whole.Pix[j*whole.Stride+i]), n+1
							}
						}
						require.InDelta(t, float64(sum)/float64(n), float64(p.Pix[y*p.Stride+x]), 0.51, "%s %d: component %d at %d, %d", name, k, c, x, y)
					}
				}
			}
		}
	}
}

func TestLimitedRangeIsExpanded(t *testing.T) {
	full, _ := decodeAll(t, still(t, nclx(1, 13, 6, 1)).bytes(), 1)
	limited, _ := decodeAll(t, still(t, nclx(1, 13, 6, 0)).bytes(), 1)
	for c := range 3 {
		for i, v := range full[0].Layers[0].Planes[c].Pix {
			want := (float64(v) - 16) * 255 / 219
			if c > 0 {
				want = (float64(v)-128)*255/224 + 128
			}
			require.InDelta(t, min(max(want, 0), 255), float64(limited[0].Layers[0].Planes[c].Pix[i]), 0.51)
		}
	}
}

func TestAlpha(t *testing.T) {
	grayC, gray := stream(t, "gray10")
	auxC := fullBox("auxC", []byte("urn:mpeg:hevc:2015:auxid:1\x00"))
	f := still(t)
	f.props = append(f.props, grayC, ispe(64, 64), auxC)
	f.items = append(f.items, builtItem{id: 2, kind: "hvc1", data: gray, props: []int{3, 4, 5}})
	f.refs = [][]byte{ref("auxl", 2, 1)}
	out, h := decodeAll(t, f.bytes(), 1)
	assert.True(t, h.Alpha)
	assert.False(t, h.Premultiplied)
	assert.Equal(t, 1, h.Largest(100), "colours are weighed by alpha before they are averaged")
	require.NotNil(t, out[0].Layers[0].Alpha)
	assert.Equal(t, 64, out[0].Layers[0].Alpha.Width)
	f.refs = append(f.refs, ref("prem", 1, 2))
	h, err := header(t, f.bytes())
	require.NoError(t, err)
	assert.True(t, h.Premultiplied)

	// What is auxiliary and no alpha does not count.
	f.props[4] = fullBox("auxC", []byte("urn:mpeg:hevc:2015:auxid:2\x00"))
	h, err = header(t, f.bytes())
	require.NoError(t, err)
	assert.False(t, h.Alpha)
}

func TestEXIFIsHandedOut(t *testing.T) {
	f := still(t)
	f.items = append(f.items, builtItem{id: 5, kind: "Exif", data: cat(u32(6), []byte("Exif\x00\x00MM\x00*"))})
	f.refs = [][]byte{ref("cdsc", 5, 1)}
	out, h := decodeAll(t, f.bytes(), 1)
	assert.True(t, h.EXIF)
	assert.Equal(t, "MM\x00*", string(out[0].EXIF))
}

func TestOtherCodingsAreNamed(t *testing.T) {
	for kind, name := range map[string]string{"av01": "AVIF", "j2k1": "JPEG 2000", "unci": "uncompressed", "avc1": "H.264", "zzz\x01": "zzz?"} {
		f := still(t)
		f.items[0].kind = kind
		var coding CodingError
		require.ErrorAs(t, refused(t, f.bytes()), &coding)
		assert.Contains(t, string(coding), name)
	}
}

// TestReferencesInCircles: what is derived from itself ends.
func TestReferencesInCircles(t *testing.T) {
	f := still(t)
	f.primary = 2
	f.items = append(f.items, builtItem{id: 2, kind: "iden", props: nil}, builtItem{id: 3, kind: "iden"})
	f.refs = [][]byte{ref("dimg", 2, 2)}
	assert.ErrorAs(t, refused(t, f.bytes()), new(FormatError))
	f.refs = [][]byte{ref("dimg", 2, 3), ref("dimg", 3, 2)}
	assert.ErrorAs(t, refused(t, f.bytes()), new(FormatError))
	f.refs = [][]byte{ref("dimg", 2, 3), ref("dimg", 3, 1)}
	_, h := decodeAll(t, f.bytes(), 1)
	assert.Equal(t, 88, h.Width)
	// Alpha of itself is none.
	f.primary, f.refs = 1, [][]byte{ref("auxl", 1, 1)}
	_, h = decodeAll(t, f.bytes(), 1)
	assert.False(t, h.Alpha)
}

func TestBrokenGrids(t *testing.T) {
	for name, change := range map[string]func(*built){
		"tile missing":   func(f *built) { f.refs = [][]byte{ref("dimg", 9, 10, 11, 12)} },
		"tile unknown":   func(f *built) { f.refs = [][]byte{ref("dimg", 9, 10, 11, 12, 99)} },
		"tile is a grid": func(f *built) { f.refs = [][]byte{ref("dimg", 9, 10, 11, 12, 9)} },
		"canvas too big": func(f *built) { f.items[4].data = cat([]byte{0, 0, 1, 1}, u16(177), u16(144)) },
		"canvas of less": func(f *built) { f.items[4].data = cat([]byte{0, 0, 1, 1}, u16(88), u16(144)) },
		"cut":            func(f *built) { f.items[4].data = f.items[4].data[:7] },
		"no size":        func(f *built) { f.items[4].data = cat([]byte{0, 0, 1, 1}, u16(0), u16(144)) },
	} {
		f := gridFile(t, 2, 2, 176, 144)
		change(&f)
		require.NotNil(t, refused(t, f.bytes()), name)
	}
}

func TestLimits(t *testing.T) {
	data := gridFile(t, 2, 2, 176, 144).bytes()
	for name, c := range map[string]struct {
		o    Options
		want error
	}{
		"pixels": {Options{MaxPixels: 176*144 - 1}, ErrTooLarge},
		"tiles":  {Options{MaxTiles: 3}, UnsupportedError("")},
		"items":  {Options{MaxItems: 4}, UnsupportedError("")},
		"meta":   {Options{MaxMeta: 200}, UnsupportedError("")},
		"work":   {Options{Work: work.New(100_000)}, work.ErrExceeded},
	} {
		d := NewDecoder(bytes.NewReader(data), c.o)
		_, err := d.Decode(t.Context(), 1)
		if errors.As(c.want, new(UnsupportedError)) {
			assert.ErrorAs(t, err, new(UnsupportedError), name)
		} else {
			assert.ErrorIs(t, err, c.want, name)
		}
	}
}

func TestContextEndsDecoding(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := NewDecoder(bytes.NewReader(gridFile(t, 2, 2, 176, 144).bytes()), Options{})
	_, err := d.Header(ctx)
	require.NoError(t, err)
	cancel()
	_, err = d.Decode(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = d.Decode(t.Context(), 1)
	require.ErrorIs(t, err, ErrUsed)
}

// TestMemoryIsWithinWhatWasTold counts what header and decode allocate.
func TestMemoryIsWithinWhatWasTold(t *testing.T) {
	for name, f := range map[string]built{"single": still(t), "grid": gridFile(t, 6, 6, 500, 400)} {
		for _, shrinks := range [][]int{{1}, {4}, {1, 2, 4}} {
			data := f.bytes()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d := NewDecoder(bytes.NewReader(data), Options{Workers: 2})
			h, err := d.Header(t.Context())
			require.NoError(t, err)
			_, err = d.Decode(t.Context(), shrinks...)
			require.NoError(t, err)
			runtime.ReadMemStats(&after)
			meta := h.meta + 128<<10 + 1<<10*int64(h.Tiles)
			assert.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), MemoryNeeded(h, 2, shrinks...)+meta, "%s %v", name, shrinks)
		}
	}
}

// TestEveryCutIsTold: of a file that ends anywhere, neither decoder nor scanner makes a picture.
func TestEveryCutIsTold(t *testing.T) {
	whole := still(t).bytes()
	for n := 13; n < len(whole); n += 7 {
		_, err := NewDecoder(bytes.NewReader(whole[:n]), Options{}).Decode(t.Context(), 1)
		var format FormatError
		var picture hevc.FormatError
		require.True(t, errors.Is(err, ErrTruncated) || errors.As(err, &format) || errors.As(err, &picture), "%d: %v", n, err)
		s := NewScanner(Options{})
		_, err = s.Write(whole[:n])
		if err == nil {
			err = s.Finish()
		}
		require.Error(t, err, "%d", n)
	}
}

func TestScanner(t *testing.T) {
	f := gridFile(t, 2, 2, 170, 140)
	f.props = append(f.props, box("irot", []byte{3}))
	f.items[4].props = append(f.items[4].props, 4)
	for _, last := range []bool{false, true} {
		f.metaLast = last
		data := cat(f.bytes(), []byte("behind the picture"))
		for _, size := range []int{1, 7, len(data)} {
			s := NewScanner(Options{})
			for at := 0; at < len(data); at += size {
				_, err := s.Write(data[at:min(at+size, len(data))])
				require.NoError(t, err)
			}
			require.True(t, s.Done())
			require.NoError(t, s.Finish())
			assert.Equal(t, ScanInfo{Width: 170, Height: 140, Orientation: 6, Turned: true}, s.Info())
		}
	}
	s := NewScanner(Options{MaxPixels: 1000})
	_, err := s.Write(f.bytes())
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorIs(t, s.Finish(), ErrTooLarge)
}

func TestOverlay(t *testing.T) {
	f := still(t)
	f.primary = 7
	f.items = append(f.items, builtItem{
		id: 7, kind: "iovl", idat: true,
		data: cat([]byte{0, 0}, u16(0xffff), u16(0), u16(0), u16(0xffff), u16(120), u16(90), u16(10), u16(0xfffb)),
	})
	f.refs = [][]byte{ref("dimg", 7, 1)}
	out, h := decodeAll(t, f.bytes(), 1)
	assert.True(t, h.Overlay)
	assert.Equal(t, [2]int{120, 90}, [2]int{h.Width, h.Height})
	assert.Equal(t, [4]uint16{0xffff, 0, 0, 0xffff}, out[0].Fill)
	assert.Equal(t, [2]int{10, -5}, [2]int{out[0].Layers[0].X, out[0].Layers[0].Y})
}

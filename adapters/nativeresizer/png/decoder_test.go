package png

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	stdpng "image/png"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// pixels returns every pixel as the standard library has it, with colours not
// premultiplied, reduced to 8 bits by rounding.
func pixels(t testing.TB, data []byte) (width, height int, out [][4]byte) {
	t.Helper()
	m, err := stdpng.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	b := m.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			var c color.NRGBA64
			switch v := m.At(x, y).(type) {
			case color.NRGBA64:
				c = v
			case color.NRGBA:
				c = color.NRGBA64{R: uint16(v.R) * 257, G: uint16(v.G) * 257, B: uint16(v.B) * 257, A: uint16(v.A) * 257}
			case color.RGBA: // an opaque palette colour among others
				c = color.NRGBA64{R: uint16(v.R) * 257, G: uint16(v.G) * 257, B: uint16(v.B) * 257, A: uint16(v.A) * 257}
			default:
				r, g, b, a := v.RGBA()
				c = color.NRGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
			}
			out = append(out, [4]byte{reduce(c.R), reduce(c.G), reduce(c.B), reduce(c.A)})
		}
	}
	return b.Dx(), b.Dy(), out
}

// boxes shrinks pixels as Decode promises, slowly.
func boxes(width, height int, in [][4]byte, fx, fy int) []byte {
	var out []byte
	for y := 0; y < height; y += fy {
		for x := 0; x < width; x += fx {
			var sum [4]int
			n := 0
			for j := y; j < min(y+fy, height); j++ {
				for i := x; i < min(x+fx, width); i++ {
					p := in[j*width+i]
					for c := range 3 {
						sum[c] += int(p[c]) * int(p[3])
					}
					sum[3] += int(p[3])
					n++
				}
			}
			for c := range 3 {
				out = append(out, byte((sum[c]+n*255/2)/(n*255)))
			}
			out = append(out, byte((sum[3]+n/2)/n))
		}
	}
	return out
}

// rgba returns the pixels of an image of this package's types.
func rgba(t testing.TB, m image.Image) []byte {
	t.Helper()
	switch m := m.(type) {
	case *image.RGBA:
		return m.Pix
	case *image.Gray:
		var out []byte
		for _, v := range m.Pix {
			out = append(out, v, v, v, 255)
		}
		return out
	}
	t.Fatalf("unexpected %T", m)
	return nil
}

func near(a, b []byte, most int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if d := int(a[i]) - int(b[i]); d > most || d < -most {
			return false
		}
	}
	return true
}

// TestDecode compares every colour type and depth with the standard library and a
// slow average, at several factors and at sizes that leave passes empty.
func TestDecode(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {3, 2}, {5, 9}, {37, 29}, {130, 67}} {
		for _, s := range samples(size[0], size[1]) {
			data := s.encode()
			width, height, want := pixels(t, data)
			for _, f := range [][2]int{{1, 1}, {2, 2}, {1, 3}, {7, 7}, {5, 1}, {256, 256}} {
				name := fmt.Sprintf("%dx%d %v %d interlaced=%v transparent=%v %v", size[0], size[1], s.kind, s.depth, s.interlaced, s.transparent, f)
				got, err := decode(data, f[0], f[1])
				require.NoError(t, err, name)
				require.Equal(t, image.Rect(0, 0, ceilDiv(width, f[0]), ceilDiv(height, f[1])), got.Image.Bounds(), name)
				require.Equal(t, 1, got.Frames, name)
				require.Equal(t, boxes(width, height, want, f[0], f[1]), rgba(t, got.Image), name)
			}
		}
	}
}

// TestFilters runs each filter over rows that are longer than a run of the
// decompressor.
func TestFilters(t *testing.T) {
	for filter := range 5 {
		for _, kind := range []ColorType{Gray, RGB, GrayAlpha, RGBA} {
			for _, depth := range []int{8, 16} {
				s := sample{width: 30011, height: 2, kind: kind, depth: depth, filter: filter, idat: 1000}
				data := s.encode()
				width, height, want := pixels(t, data)
				got, err := decode(data, 1, 1)
				require.NoError(t, err)
				require.True(t, bytes.Equal(boxes(width, height, want, 1, 1), rgba(t, got.Image)), "filter %d of %v %d", filter, kind, depth)
			}
		}
	}
}

// TestPaeth compares the predictor with that of the specification, for every input.
func TestPaeth(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			for c := range 256 {
				if paeth(a, b, c) != slowPaeth(a, b, c) {
					t.Fatalf("paeth(%d, %d, %d) = %d", a, b, c, paeth(a, b, c))
				}
			}
		}
	}
}

// TestRows puts an image together from its rows.
func TestRows(t *testing.T) {
	for _, s := range samples(37, 29) {
		data := s.encode()
		width, height, want := pixels(t, data)
		d := NewDecoder(iotest.OneByteReader(bytes.NewReader(data)), Options{})
		h, err := d.Header(t.Context())
		require.NoError(t, err)
		seen := make([]int, width*height)
		_, err = d.Rows(t.Context(), func(r Row) error {
			n := h.Channels()
			for i := 0; i*n < len(r.Pix); i++ {
				at := r.Y*width + r.X + i*r.Step
				seen[at]++
				p := r.Pix[i*n : i*n+n]
				got := [4]byte{p[0], p[0], p[0], 255}
				switch n {
				case 2:
					got[3] = p[1]
				case 3:
					copy(got[:], p)
				case 4:
					got = [4]byte(p)
				}
				w := want[at]
				if w[3] == 0 {
					// The standard library drops a transparent colour.
					got[0], got[1], got[2] = w[0], w[1], w[2]
				}
				require.Equal(t, w, got, "%+v", s)
			}
			return nil
		})
		require.NoError(t, err)
		for _, n := range seen {
			require.Equal(t, 1, n)
		}
	}
}

func TestRowsStop(t *testing.T) {
	stop := errors.New("stop")
	d := NewDecoder(bytes.NewReader(sample{width: 9, height: 9, kind: RGB, depth: 8}.encode()), Options{})
	calls := 0
	_, err := d.Rows(t.Context(), func(Row) error { calls++; return stop })
	assert.Equal(t, stop, err)
	assert.Equal(t, 1, calls)
	_, err = d.Rows(t.Context(), nil)
	assert.Equal(t, ErrUsed, err)
	_, err = d.Decode(t.Context(), 1, 1)
	assert.Equal(t, ErrUsed, err)
	_, err = d.Header(t.Context())
	assert.NoError(t, err, "the header stays")

	d = NewDecoder(bytes.NewReader(nil), Options{})
	d.Close()
	d.Close()
	_, err = d.Header(t.Context())
	assert.Equal(t, ErrUsed, err)
	_, err = NewDecoder(bytes.NewReader(nil), Options{}).Decode(t.Context(), 0, 1)
	assert.Error(t, err)
	_, err = NewDecoder(bytes.NewReader(nil), Options{}).Decode(t.Context(), 1, MaxFactor+1)
	assert.Error(t, err)
}

func iccp(profile []byte) []byte {
	return chunk(chunkICCP, append([]byte("name\x00\x00"), deflated(profile)...))
}

func TestHeader(t *testing.T) {
	chrm := make([]byte, 32)
	for i := range 8 {
		binary.BigEndian.PutUint32(chrm[4*i:], uint32(i+1))
	}
	profile := bytes.Repeat([]byte("profile "), 3000)
	s := sample{
		width: 20, height: 10, kind: RGB, depth: 8, before: [][]byte{
			chunk(chunkGAMA, []byte{0, 0, 0xb1, 0x8f}), chunk(chunkCHRM, chrm), chunk(chunkSRGB, []byte{2}),
			chunk(chunkCICP, []byte{12, 13, 0, 1}), iccp(profile), iccp([]byte("second")), chunk(chunkEXIF, []byte("MM\x00*")),
			chunk("tEXt", make([]byte, 100_000)), chunk(chunkACTL, []byte{0, 0, 0, 9, 0, 0, 0, 0}), chunk(chunkFCTL, make([]byte, 26)),
			chunk(chunkPLTE, make([]byte, 30)),
		},
		after: [][]byte{chunk(chunkFCTL, make([]byte, 26)), chunk("fdAT", make([]byte, 50_000)), chunk(chunkEXIF, []byte("II*\x00")), chunk(chunkFCTL, make([]byte, 26))},
	}
	d := NewDecoder(bytes.NewReader(append(s.encode(), "what follows"...)), Options{})
	h, err := d.Header(t.Context())
	require.NoError(t, err)
	assert.Equal(t, &Header{
		Width: 20, Height: 10, BitDepth: 8, ColorType: RGB, Gamma: 45455, Chromaticities: &[8]uint32{1, 2, 3, 4, 5, 6, 7, 8},
		SRGB: true, RenderingIntent: 2, CICP: &[4]uint8{12, 13, 0, 1}, ICC: profile, EXIF: []byte("MM\x00*"), Animated: true, DeclaredFrames: 9,
	}, h)
	p, err := d.Decode(t.Context(), 1, 1)
	require.NoError(t, err)
	assert.Equal(t, Trailer{Frames: 3, EXIF: []byte("MM\x00*")}, p.Trailer)

	s = sample{width: 3, height: 3, kind: Palette, depth: 2, transparent: true, after: [][]byte{chunk(chunkEXIF, []byte("late"))}}
	d = NewDecoder(bytes.NewReader(s.encode()), Options{})
	h, err = d.Header(t.Context())
	require.NoError(t, err)
	assert.Len(t, h.Palette, 4)
	assert.True(t, h.Alpha)
	p, err = d.Decode(t.Context(), 1, 1)
	require.NoError(t, err)
	assert.Equal(t, Trailer{Frames: 1, EXIF: []byte("late")}, p.Trailer)
	for _, k := range []ColorType{Gray, RGB, Palette, GrayAlpha, RGBA, 1} {
		assert.NotEmpty(t, k.String())
	}
}

// TestMetadataLimits checks that what is too large or damaged is dropped, and that the
// image is decoded all the same.
func TestMetadataLimits(t *testing.T) {
	profile := bytes.Repeat([]byte("profile "), 100)
	bad := iccp(profile)
	bad[len(bad)-1] ^= 1
	noise := chunk(chunkICCP, []byte("name\x00\x00\x78\x9c\xff\xff\xff"))
	for name, c := range map[string]struct {
		chunk []byte
		o     Options
		icc   bool
		exif  bool
	}{
		"profile":            {iccp(profile), Options{MaxICC: len(profile)}, true, false},
		"profile too large":  {iccp(profile), Options{MaxICC: len(profile) - 1}, false, false},
		"profile unwanted":   {iccp(profile), Options{MaxICC: -1}, false, false},
		"profile bomb":       {iccp(make([]byte, 20<<20)), Options{}, false, false},
		"profile's checksum": {bad, Options{}, false, false},
		"profile damaged":    {noise, Options{}, false, false},
		"profile cut":        {chunk(chunkICCP, iccp(profile)[8:40]), Options{}, false, false},
		"profile's name":     {chunk(chunkICCP, make([]byte, 0)), Options{}, false, false},
		"profile's method":   {chunk(chunkICCP, []byte("a\x00")), Options{}, false, false},
		"profile's method 1": {chunk(chunkICCP, []byte("a\x00\x01")), Options{}, false, false},
		"profile's long name": {
			chunk(chunkICCP, bytes.Repeat([]byte("a"), 200)), Options{}, false, false,
		},
		"exif":           {chunk(chunkEXIF, make([]byte, 100)), Options{MaxEXIF: 100}, false, true},
		"exif too large": {chunk(chunkEXIF, make([]byte, 101)), Options{MaxEXIF: 100}, false, false},
		"exif unwanted":  {chunk(chunkEXIF, make([]byte, 1)), Options{MaxEXIF: -1}, false, false},
		"gamma's length": {chunk(chunkGAMA, make([]byte, 3)), Options{}, false, false},
	} {
		s := sample{width: 20, height: 10, kind: RGB, depth: 8, before: [][]byte{c.chunk}}
		d := NewDecoder(bytes.NewReader(s.encode()), c.o)
		h, err := d.Header(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, c.icc, h.ICC != nil, name)
		assert.Equal(t, c.exif, h.EXIF != nil, name)
		_, err = d.Decode(t.Context(), 3, 3)
		require.NoError(t, err, name)
	}
}

// TestTruncated cuts files everywhere: without all of their pixels there is no image,
// and once they are there, there is one.
func TestTruncated(t *testing.T) {
	for _, s := range []sample{
		{width: 30, height: 20, kind: RGB, depth: 8, before: [][]byte{iccp(make([]byte, 1000)), chunk(chunkEXIF, make([]byte, 30))}, idat: 100},
		{width: 30, height: 20, kind: Palette, depth: 4, transparent: true, interlaced: true, after: [][]byte{chunk(chunkEXIF, make([]byte, 30)), chunk("tEXt", make([]byte, 30))}},
	} {
		data := s.encode()
		whole, err := decode(data, 2, 2)
		require.NoError(t, err)
		enough := len(data)
		for n := range data {
			p, err := decode(data[:n], 2, 2)
			if enough = min(enough, n); err != nil {
				enough = len(data)
				require.Equal(t, ErrTruncated, err, "cut at %d of %d", n, len(data))
				continue
			}
			require.Equal(t, whole.Image, p.Image, "cut at %d of %d", n, len(data))
		}
		end := bytes.LastIndex(data, []byte(chunkIDAT))
		length := int(binary.BigEndian.Uint32(data[end-4:]))
		assert.InDelta(t, end+4+length, enough, 10, "the last pixel is at the end of the image data")
	}
	assert.ErrorIs(t, ErrTruncated, io.ErrUnexpectedEOF)
}

// join makes a file of chunks.
func join(chunks ...[]byte) []byte {
	return append([]byte(signature), bytes.Join(chunks, nil)...)
}

func TestInvalid(t *testing.T) {
	ihdr := func(w, h uint32, rest ...byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, w)
		b = binary.BigEndian.AppendUint32(b, h)
		return chunk(chunkIHDR, append(b, rest...))
	}
	gray, rgb, pal := ihdr(2, 2, 8, 0, 0, 0, 0), ihdr(2, 2, 8, 2, 0, 0, 0), ihdr(2, 2, 8, 3, 0, 0, 0)
	idat := chunk(chunkIDAT, deflated(make([]byte, 6)))
	iend := chunk(chunkIEND, nil)
	plte := chunk(chunkPLTE, make([]byte, 6))
	broken := func(c []byte) []byte {
		c = append([]byte(nil), c...)
		c[len(c)-1] ^= 1
		return c
	}
	badAdler := deflated(make([]byte, 6))
	badAdler[len(badAdler)-1] ^= 1
	require.NotPanics(t, func() {
		_, err := decode(join(gray, idat, iend), 1, 1)
		require.NoError(t, err)
	})
	for name, data := range map[string][]byte{
		"signature":          []byte("\x89PNG\r\n\x1a\r not a PNG file"),
		"no IHDR":            join(chunk(chunkPLTE, make([]byte, 6)), gray)[:0:0],
		"IHDR's length":      join(chunk(chunkIHDR, make([]byte, 12))),
		"IHDR's checksum":    join(broken(gray), idat, iend),
		"two IHDR":           join(gray, gray, idat, iend),
		"width 0":            join(ihdr(0, 1, 8, 0, 0, 0, 0), idat, iend),
		"height 0":           join(ihdr(1, 0, 8, 0, 0, 0, 0), idat, iend),
		"width too large":    join(ihdr(1<<31, 1, 8, 0, 0, 0, 0), idat, iend),
		"depth":              join(ihdr(1, 1, 3, 0, 0, 0, 0), idat, iend),
		"colour type":        join(ihdr(1, 1, 8, 5, 0, 0, 0), idat, iend),
		"depth of RGB":       join(ihdr(1, 1, 4, 2, 0, 0, 0), idat, iend),
		"no image data":      join(gray, iend),
		"chunk length":       join(gray, []byte("\x80\x00\x00\x00tEXt")),
		"chunk type":         join(gray, []byte("\x00\x00\x00\x00te t")),
		"no palette":         join(pal, idat, iend),
		"two palettes":       join(pal, plte, plte, idat, iend),
		"palette's length":   join(pal, chunk(chunkPLTE, make([]byte, 7)), idat, iend),
		"empty palette":      join(pal, chunk(chunkPLTE, nil), idat, iend),
		"palette's checksum": join(pal, broken(plte), idat, iend),
		"data's CRC":         join(gray, broken(idat), iend),
		"data's checksum":    join(gray, chunk(chunkIDAT, badAdler), iend),
		"no zlib":            join(gray, chunk(chunkIDAT, []byte("garbage")), iend),
		"not enough":         join(gray, chunk(chunkIDAT, deflated(make([]byte, 5))), iend),
		"no data":            join(gray, chunk(chunkIDAT, nil), iend),
		"filter":             join(gray, chunk(chunkIDAT, deflated([]byte{5, 0, 0, 5, 0, 0})), iend),
		"first chunk":        join(chunk("tEXt", nil), gray, idat, iend),
	} {
		if len(data) == 0 {
			continue
		}
		_, err := decode(data, 1, 1)
		var f FormatError
		if assert.ErrorAs(t, err, &f, name) {
			assert.NotEmpty(t, f.Error())
		}
	}
	for name, data := range map[string][]byte{
		"compression": join(ihdr(1, 1, 8, 0, 1, 0, 0), idat, iend),
		"filter":      join(ihdr(1, 1, 8, 0, 0, 1, 0), idat, iend),
		"interlace":   join(ihdr(1, 1, 8, 0, 0, 0, 2), idat, iend),
		"critical":    join(gray, chunk("ABCD", nil), idat, iend),
		"Apple's":     join(chunk("CgBI", make([]byte, 4)), gray, idat, iend),
	} {
		_, err := decode(data, 1, 1)
		var u UnsupportedError
		if assert.ErrorAs(t, err, &u, name) {
			assert.NotEmpty(t, u.Error())
		}
	}
	for name, data := range map[string][]byte{
		"late IHDR":           join(gray, idat, gray, iend),
		"gray palette":        join(gray, plte, idat, iend),
		"alphas first":        join(pal, chunk(chunkTRNS, []byte{1}), plte, idat, iend),
		"too many alphas":     join(pal, plte, chunk(chunkTRNS, []byte{1, 2, 3}), idat, iend),
		"key's length":        join(gray, chunk(chunkTRNS, []byte{1}), idat, iend),
		"end's CRC":           join(gray, idat, broken(iend)),
		"too much":            join(gray, chunk(chunkIDAT, deflated(make([]byte, 7))), iend),
		"bomb":                join(gray, chunk(chunkIDAT, deflated(make([]byte, 10<<20))), iend),
		"late critical":       join(gray, idat, chunk("ABCD", nil), iend),
		"cut data":            join(gray, chunk(chunkIDAT, deflated(make([]byte, 6))[:9]), iend),
		"data in two places":  join(gray, chunk(chunkIDAT, deflated(make([]byte, 6))[:5]), chunk("tEXt", nil), chunk(chunkIDAT, deflated(make([]byte, 6))[5:]), iend),
		"key's length of RGB": join(rgb, chunk(chunkTRNS, []byte{1, 2}), chunk(chunkIDAT, deflated(make([]byte, 14))), iend),
		"ancillary CRC":       join(gray, broken(chunk(chunkGAMA, make([]byte, 4))), broken(chunk(chunkTRNS, make([]byte, 2))), idat, broken(chunk("tEXt", nil)), iend),
		"two streams":         join(gray, idat, idat, iend),
		"late image data":     join(gray, idat, chunk("tEXt", nil), idat, iend),
		"index too large":     join(pal, plte, chunk(chunkIDAT, deflated([]byte{0, 9, 9, 0, 255, 1})), iend),
		"long palette":        join(ihdr(2, 2, 1, 3, 0, 0, 0), chunk(chunkPLTE, make([]byte, 9)), chunk(chunkIDAT, deflated(make([]byte, 4))), iend),
		"alphas of alpha":     join(ihdr(2, 2, 8, 4, 0, 0, 0), chunk(chunkTRNS, make([]byte, 2)), chunk(chunkIDAT, deflated(make([]byte, 10))), iend),
		"empty image data":    join(gray, chunk(chunkIDAT, nil), idat, chunk(chunkIDAT, nil), iend),
		"garbage at end":      append(join(gray, idat, iend), "garbage"...),
		"odd suggestion":      join(rgb, chunk(chunkPLTE, make([]byte, 7)), chunk(chunkIDAT, deflated(make([]byte, 14))), iend),
		"no end":              join(gray, idat),
		"no checksum":         join(gray, idat[:len(idat)-4]),
		"no stream's end":     join(gray, chunk(chunkIDAT, deflated(make([]byte, 6))[:10]), iend),
		"garbage as end":      append(join(gray, idat), "\x00\x00\x00\x00 no chunk at all"...),
		"suggested palette":   join(rgb, plte, chunk(chunkIDAT, deflated(make([]byte, 14))), iend),
	} {
		_, err := decode(data, 1, 1)
		assert.NoError(t, err, name)
	}
}

func TestChunksAreCounted(t *testing.T) {
	s := sample{width: 9, height: 9, kind: Gray, depth: 8}
	data := s.encode()
	for range 1000 {
		s.before = append(s.before, chunk("tEXt", nil))
	}
	many := s.encode()
	few := work.New(1 << 40)
	_, err := NewDecoder(bytes.NewReader(data), Options{Work: few}).Decode(t.Context(), 1, 1)
	require.NoError(t, err)
	b := work.New(few.Spent() + 900*costChunk)
	_, err = NewDecoder(bytes.NewReader(many), Options{Work: b}).Decode(t.Context(), 1, 1)
	assert.ErrorIs(t, err, work.ErrExceeded)
}

// TestOneProfileIsLookedAt has a thousand that are each too long to be used.
func TestOneProfileIsLookedAt(t *testing.T) {
	s := sample{width: 9, height: 9, kind: RGB, depth: 8}
	long := iccp(make([]byte, 1<<20))
	s.before = [][]byte{long}
	o := Options{MaxICC: 1<<20 - 1, Work: work.New(1 << 40)}
	_, err := NewDecoder(bytes.NewReader(s.encode()), o).Decode(t.Context(), 1, 1)
	require.NoError(t, err)
	for range 999 {
		s.before = append(s.before, long)
	}
	s.before = append(s.before, iccp([]byte("a short one")))
	one := o.Work.Spent()
	o.Work = work.New(one + 1200*costChunk)
	d := NewDecoder(bytes.NewReader(s.encode()), o)
	h, err := d.Header(t.Context())
	require.NoError(t, err)
	assert.Nil(t, h.ICC, "a profile that is too long is none, and so are those behind it")
	_, err = d.Decode(t.Context(), 1, 1)
	assert.NoError(t, err)
}

func TestReaderErrors(t *testing.T) {
	data := sample{width: 100, height: 100, kind: RGB, depth: 8}.encode()
	broken := errors.New("broken")
	for _, n := range []int{0, 20, 33, 1000, len(data) - 5} {
		r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))
		_, err := NewDecoder(r, Options{}).Decode(t.Context(), 1, 1)
		assert.Equal(t, broken, err, "%d", n)
	}
	_, err := NewDecoder(iotest.DataErrReader(bytes.NewReader(data)), Options{}).Decode(t.Context(), 1, 1)
	assert.NoError(t, err)
	_, err = NewDecoder(readerFunc(func([]byte) (int, error) { return 0, nil }), Options{}).Header(t.Context())
	assert.Equal(t, io.ErrNoProgress, err)
	_, err = NewDecoder(readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }), Options{}).Header(t.Context())
	assert.Equal(t, io.ErrNoProgress, err)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	data := sample{width: 2000, height: 1000, kind: RGB, depth: 8, filter: 2, smooth: true}.encode()
	d := NewDecoder(bytes.NewReader(data), Options{})
	_, err := d.Header(ctx)
	require.NoError(t, err)
	rows := 0
	_, err = d.Rows(ctx, func(Row) error {
		if rows++; rows == 10 {
			cancel()
		}
		return nil
	})
	assert.Equal(t, context.Canceled, err)
	assert.Less(t, rows, 100)
	_, err = NewDecoder(bytes.NewReader(data), Options{}).Header(ctx)
	assert.Equal(t, context.Canceled, err)
}

// TestMemory checks that decoding allocates no more than MemoryNeeded.
func TestMemory(t *testing.T) {
	for _, s := range []sample{
		{width: 700, height: 90, kind: RGB, depth: 8, smooth: true},
		{width: 700, height: 90, kind: RGBA, depth: 16, smooth: true},
		{width: 700, height: 90, kind: Gray, depth: 1, smooth: true},
		{width: 700, height: 90, kind: RGBA, depth: 8, interlaced: true, smooth: true},
		{width: 90, height: 700, kind: Palette, depth: 8, transparent: true, interlaced: true, smooth: true},
		{width: 50_000, height: 2, kind: RGB, depth: 8, transparent: true, smooth: true},
	} {
		data := s.encode()
		for _, f := range [][2]int{{1, 1}, {2, 2}, {1, 2}, {7, 7}, {256, 256}} {
			runtime.GC()
			runtime.GC() // empties the pool
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d := NewDecoder(bytes.NewReader(data), Options{})
			h, err := d.Header(t.Context())
			require.NoError(t, err)
			_, err = d.Decode(t.Context(), f[0], f[1])
			require.NoError(t, err)
			runtime.ReadMemStats(&after)
			assert.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), MemoryNeeded(h, f[0], f[1])+20_000, "%+v %v", s, f)
		}
	}
}

// TestMaxPixels also has the sizes whose products overflow.
func TestMaxPixels(t *testing.T) {
	for _, size := range [][2]int{{1<<31 - 1, 1<<31 - 1}, {1 << 16, 1 << 16}, {1, 1<<31 - 1}, {1 << 15, 1 << 15}} {
		data := sample{width: size[0], height: size[1], kind: RGBA, depth: 16}
		file := join(data.ihdr(), chunk(chunkIDAT, nil), chunk(chunkIEND, nil))
		d := NewDecoder(bytes.NewReader(file), Options{})
		h, err := d.Header(t.Context())
		require.NoError(t, err)
		require.Equal(t, size[0], h.Width)
		require.Positive(t, MemoryNeeded(h, 1, 1))
		_, err = d.Decode(t.Context(), 1, 1)
		assert.Equal(t, ErrTooLarge, err)
	}
	file := join(sample{width: 1<<31 - 1, height: 1<<31 - 1, kind: RGBA, depth: 16}.ihdr(), chunk(chunkIDAT, nil), chunk(chunkIEND, nil))
	_, err := NewDecoder(bytes.NewReader(file), Options{MaxPixels: -1}).Decode(t.Context(), 1, 1)
	var u UnsupportedError
	assert.ErrorAs(t, err, &u)
	file = sample{width: 10, height: 10, kind: Gray, depth: 8}.encode()
	_, err = NewDecoder(bytes.NewReader(file), Options{MaxPixels: 100}).Decode(t.Context(), 1, 1)
	assert.NoError(t, err)
	_, err = NewDecoder(bytes.NewReader(file), Options{MaxPixels: 99}).Rows(t.Context(), nil)
	assert.Equal(t, ErrTooLarge, err)
}

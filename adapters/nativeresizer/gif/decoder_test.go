package gif

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	stdgif "image/gif"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	for _, f := range []frame{
		{0, 0, 1, 1, 1, false, false, -1, false},
		{0, 0, 37, 29, 8, false, false, -1, true},
		{0, 0, 37, 29, 8, true, false, 7, true},
		{3, 5, 20, 11, 4, false, true, -1, false},
		{3, 5, 20, 11, 3, true, true, 2, true},
		{30, 20, 20, 20, 2, false, false, 1, true},
		{30, 20, 20, 20, 5, true, true, -1, true},
		{100, 100, 5, 5, 5, false, true, -1, true},
		{0, 0, 300, 200, 8, false, true, 0, true},
		{0, 0, 300, 200, 1, true, true, 0, false},
		{0, 0, 3, 1, 1, true, true, 0, false},
	} {
		width, height := 37, 29
		if f.width > 37 {
			width, height = f.width, f.height
		}
		screenWidth, screenHeight := width, height
		width, height = max(width, f.x+f.width), max(height, f.y+f.height)
		data := file(screenWidth, screenHeight, f.encode(), frame{width: 5, height: 5, bits: 3, transparent: 2}.encode())
		want := composed(width, height, f)
		for _, k := range [][2]int{{1, 1}, {2, 2}, {1, 3}, {5, 1}, {7, 4}, {256, 256}} {
			name := fmt.Sprintf("%+v %v", f, k)
			got, err := decode(data, k[0], k[1])
			require.NoError(t, err, name)
			assert.Equal(t, image.Rect(0, 0, ceilDiv(width, k[0]), ceilDiv(height, k[1])), got.Image.Rect, name)
			require.True(t, bytes.Equal(boxes(want, k[0], k[1]), got.Image.Pix), name)
			assert.Equal(t, 2, got.Frames)
		}
		if std, err := stdgif.DecodeAll(bytes.NewReader(data)); err == nil {
			for y := range height {
				for x := range width {
					if (image.Point{X: x, Y: y}).In(std.Image[0].Rect) {
						assert.Equal(t, fmt.Sprint(std.Image[0].At(x, y).RGBA()), fmt.Sprint(want.At(x, y).RGBA()))
					}
				}
			}
		}
	}
}

func TestHeader(t *testing.T) {
	f := frame{3, 5, 20, 11, 4, true, true, 3, false}
	d := NewDecoder(iotest.OneByteReader(bytes.NewReader(file(37, 29, []byte("\x21\xfe\x05hello\x00"), f.encode()))), Options{})
	h, err := d.Header(t.Context())
	require.NoError(t, err)
	assert.Equal(t, [2]int{37, 29}, [2]int{h.Width, h.Height})
	assert.Equal(t, image.Rect(3, 5, 23, 16), h.Frame)
	assert.True(t, h.Interlaced)
	assert.True(t, h.Alpha)
	assert.Equal(t, int64(37*29), h.Pixels())
	_, err = d.Decode(t.Context(), 1, 1)
	require.NoError(t, err)
	_, err = d.Decode(t.Context(), 1, 1)
	assert.Equal(t, ErrUsed, err)
	same, err := d.Header(t.Context())
	require.NoError(t, err)
	assert.Same(t, h, same)

	// Without a logical screen.
	p, err := decode(file(0, 9, f.encode()), 1, 1)
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 23, 16), p.Image.Rect)

	// Opaque, and larger than the screen.
	h, err = NewDecoder(bytes.NewReader(file(5, 5, frame{0, 0, 20, 11, 4, true, true, -1, false}.encode())), Options{}).Header(t.Context())
	require.NoError(t, err)
	assert.False(t, h.Alpha)
	assert.Equal(t, int64(220), h.Pixels())

	d = NewDecoder(bytes.NewReader(nil), Options{})
	d.Close()
	d.Close()
	_, err = d.Header(t.Context())
	assert.Equal(t, ErrUsed, err)
	for _, k := range []int{0, MaxFactor + 1} {
		_, err = decode(nil, k, 1)
		assert.Error(t, err)
		assert.NotErrorIs(t, err, ErrTruncated)
	}
}

// codes packs codes of a fixed width.
func codes(width uint, values ...int) (out []byte) {
	acc, n := 0, uint(0)
	for _, v := range values {
		acc |= v << n
		for n += width; n >= 8; n -= 8 {
			out = append(out, byte(acc))
			acc >>= 8
		}
	}
	return append(out, byte(acc))
}

// picture is a frame of 2 × 2 pixels with the given data.
func picture(minimum byte, data []byte) []byte {
	return append(append([]byte{0x2c, 0, 0, 0, 0, 2, 0, 2, 0, 0}, minimum), subBlocks(data)...)
}

func TestImageData(t *testing.T) {
	for name, c := range map[string]struct {
		minimum byte
		data    []byte
		ok      bool
	}{
		"literals":           {2, codes(3, 4, 1, 2, 4, 3, 0, 5), true},
		"no clear code":      {2, codes(3, 1, 2, 4, 3, 0, 5), true},
		"no end code":        {2, codes(3, 4, 1, 2, 4, 3, 0), true},
		"itself":             {2, codes(3, 4, 1, 6, 1), true},
		"too long":           {2, codes(3, 4, 1, 2, 4, 3, 0, 4, 1, 2, 5), true},
		"garbage behind":     {2, append(codes(3, 4, 1, 2, 4, 3, 0, 5), 0xff, 0xff, 0xff), true},
		"eleven bits":        {11, codes(12, 2048, 1, 2, 3, 2000, 2049), true},
		"one bit":            {1, codes(2, 2, 1, 2, 1, 2, 1, 2, 1, 3), true},
		"too short":          {2, codes(3, 4, 1, 2, 4, 3, 5), false},
		"nothing":            {2, nil, false},
		"end at once":        {2, codes(3, 5), false},
		"undefined":          {2, codes(3, 4, 1, 7), false},
		"undefined at first": {2, codes(3, 4, 6), false},
		"no bits":            {0, codes(3, 4), false},
		"twelve bits":        {12, codes(3, 4), false},
	} {
		p, err := decode(file(2, 2, picture(c.minimum, c.data)), 1, 1)
		if c.ok {
			require.NoError(t, err, name)
			assert.Equal(t, 1, p.Frames, name)
			continue
		}
		var f FormatError
		assert.ErrorAs(t, err, &f, name)
	}
}

// TestTruncated cuts a file everywhere: it is complete once the pixels of its first frame
// are, and no other frame has begun.
func TestTruncated(t *testing.T) {
	first := frame{0, 0, 20, 11, 4, true, true, -1, true}.encode()
	comment := []byte("\x21\xfe\x05hello\x00")
	last := frame{0, 0, 5, 4, 2, true, true, 1, true}.encode()
	last = last[8:] // without its control extension
	data := file(37, 29, first, comment, last, comment)
	begin := len(screen(37, 29)) + len(first)
	for n := range data {
		p, err := decode(data[:n], 2, 2)
		lastFrom := begin + len(comment)
		switch {
		case n >= begin-4 && n < begin && err != nil:
			require.Equal(t, ErrTruncated, err, "cut at %d", n) // within its last sub-block
		case n < begin-4 || n > lastFrom && n < lastFrom+len(last):
			require.Equal(t, ErrTruncated, err, "cut at %d", n)
		case n <= lastFrom:
			require.NoError(t, err, "cut at %d", n)
			require.Equal(t, 1, p.Frames)
		default:
			require.NoError(t, err, "cut at %d", n)
			require.Equal(t, 2, p.Frames)
		}
	}
	assert.ErrorIs(t, ErrTruncated, io.ErrUnexpectedEOF)
}

func TestInvalid(t *testing.T) {
	for name, data := range map[string][]byte{
		"signature":   []byte("GIF88a and so on"),
		"no image":    file(2, 2),
		"block":       file(2, 2, []byte{0x99}),
		"empty frame": file(2, 2, []byte{0x2c, 0, 0, 0, 0, 0, 0, 2, 0, 0}),
	} {
		_, err := decode(data, 1, 1)
		var f FormatError
		if assert.ErrorAs(t, err, &f, name) {
			assert.NotEmpty(t, f.Error())
		}
	}
	good := picture(2, codes(3, 4, 1, 2, 4, 3, 0, 5))
	for name, data := range map[string][]byte{
		"block behind a frame": file(2, 2, good, []byte{0x99}, good),
		"empty control":        file(2, 2, []byte{0x21, 0xf9, 0}, good),
		"short control":        file(2, 2, []byte{0x21, 0xf9, 1, 1, 0}, good),
		"unknown extension":    file(2, 2, []byte{0x21, 0x2a, 1, 1, 0}, good),
	} {
		p, err := decode(data, 1, 1)
		require.NoError(t, err, name)
		assert.Equal(t, 1, p.Frames, name)
	}
}

func TestReaderErrors(t *testing.T) {
	data := file(37, 29, frame{0, 0, 20, 11, 4, true, true, -1, true}.encode())
	broken := errors.New("broken")
	for _, n := range []int{0, 6, 20, 850, len(data) - 1} {
		_, err := NewDecoder(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)), Options{}).Decode(t.Context(), 1, 1)
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

func TestLimits(t *testing.T) {
	data := file(5, 5, frame{0, 0, 20, 10, 4, true, true, -1, true}.encode())
	for limit, want := range map[int64]error{0: nil, -1: nil, 200: nil, 199: ErrTooLarge} {
		_, err := NewDecoder(bytes.NewReader(data), Options{MaxPixels: limit}).Decode(t.Context(), 1, 1)
		assert.Equal(t, want, err, "%d", limit)
	}
	_, err := decode(file(65535, 65535, frame{0, 0, 1, 1, 1, false, true, -1, true}.encode()), 256, 256)
	assert.Equal(t, ErrTooLarge, err)
}

func TestContext(t *testing.T) {
	data := file(3000, 3000, frame{0, 0, 3000, 3000, 4, false, true, -1, false}.encode())
	ctx, cancel := context.WithCancel(t.Context())
	d := NewDecoder(bytes.NewReader(data), Options{})
	_, err := d.Header(ctx)
	require.NoError(t, err)
	cancel()
	_, err = d.Decode(ctx, 1, 1)
	assert.Equal(t, context.Canceled, err)
	_, err = NewDecoder(bytes.NewReader(data), Options{}).Header(ctx)
	assert.Equal(t, context.Canceled, err)
}

// TestMemory checks that decoding allocates no more than MemoryNeeded.
func TestMemory(t *testing.T) {
	for _, f := range []frame{
		{0, 0, 1000, 800, 8, false, true, -1, true},
		{0, 0, 1000, 800, 8, true, true, -1, true},
		{0, 0, 60000, 2, 8, true, true, -1, true},
	} {
		data := file(f.width, f.height, f.encode())
		for _, k := range []int{1, 2, 7} {
			runtime.GC()
			runtime.GC() // empties the pool
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d := NewDecoder(bytes.NewReader(data), Options{})
			h, err := d.Header(t.Context())
			require.NoError(t, err)
			_, err = d.Decode(t.Context(), k, k)
			require.NoError(t, err)
			runtime.ReadMemStats(&after)
			assert.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), MemoryNeeded(h, k, k)+10_000, "%+v %d", f, k)
		}
	}
}

// compareStd compares with the standard library where that decodes the file, but for
// indices that have no colour: it drops them.
func compareStd(t testing.TB, data []byte, h *Header, got *image.RGBA, fx, fy int) {
	t.Helper()
	std, err := stdgif.Decode(bytes.NewReader(data))
	if err != nil {
		return
	}
	m := std.(*image.Paletted)
	want := image.NewNRGBA(image.Rect(0, 0, h.Width, h.Height))
	for i, v := range m.Pix {
		pt := m.Rect.Min.Add(image.Pt(i%m.Rect.Dx(), i/m.Rect.Dx()))
		if int(v) != h.transparent {
			c := h.palette[v]
			if int(v) < len(m.Palette) {
				r, g, b, _ := m.Palette[v].RGBA()
				c = rgb{byte(r >> 8), byte(g >> 8), byte(b >> 8)}
			}
			copy(want.Pix[want.PixOffset(pt.X, pt.Y):], []byte{c.r, c.g, c.b, 255})
		}
	}
	if !bytes.Equal(boxes(want, fx, fy), got.Pix) {
		t.Fatal("differs from the standard library")
	}
}

package webp

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"io"
	"math"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	stdwebp "golang.org/x/image/webp"
)

var files = []string{"lossy-opaque", "lossy-alpha", "lossy-rawalpha", "lossless-opaque", "lossless-alpha"}

// want decodes with x/image, and converts what this package does.
func want(t testing.TB, data []byte) image.Image {
	t.Helper()
	m, err := stdwebp.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	switch m := m.(type) {
	case *image.YCbCr:
		FullRange(m.Y, m.Cb, m.Cr)
	case *image.NYCbCrA:
		FullRange(m.Y, m.Cb, m.Cr)
	}
	return m
}

// same compares pixels, and the types of images.
func same(t testing.TB, want, got image.Image, at image.Point) {
	t.Helper()
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			r, g, b, a := want.At(x, y).RGBA()
			r2, g2, b2, a2 := got.At(x+at.X, y+at.Y).RGBA()
			if [4]uint32{r, g, b, a} != [4]uint32{r2, g2, b2, a2} {
				t.Fatalf("%d, %d: %v, want %v", x, y, got.At(x+at.X, y+at.Y), want.At(x, y))
			}
		}
	}
}

func TestStill(t *testing.T) {
	for _, name := range files {
		data := testdata(t, name)
		d := NewDecoder(iotest.OneByteReader(bytes.NewReader(append(data, "what follows"...))), Options{})
		h, err := d.Header(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, picture, h.Frame, name)
		assert.Equal(t, picture.Size(), image.Pt(h.Width, h.Height), name)
		assert.Equal(t, name == "lossless-opaque" || name == "lossless-alpha", h.Lossless, name)
		assert.Equal(t, name != "lossy-opaque" && name != "lossless-opaque", h.Alpha, name)
		p, err := d.Decode(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, 1, p.Frames, name)
		assert.Equal(t, picture, p.Image.Bounds(), name)
		w := want(t, data)
		assert.IsType(t, w, p.Image, name)
		same(t, w, p.Image, image.Point{})

		_, err = d.Decode(t.Context())
		assert.Equal(t, ErrUsed, err)
		again, err := d.Header(t.Context())
		require.NoError(t, err)
		assert.Same(t, h, again)
	}
}

// TestFullRange checks the conversion at its ends and in its middle.
func TestFullRange(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 6, 2), image.YCbCrSubsampleRatio420)
	copy(m.Y, []byte{0, 16, 126, 235, 255})
	copy(m.Cb, []byte{0, 16, 128})
	copy(m.Cr, []byte{128, 240, 255})
	FullRange(m.Y, m.Cb, m.Cr)
	assert.Equal(t, []byte{0, 0, 128, 255, 255}, m.Y[:5])
	assert.Equal(t, []byte{0, 1, 128}, m.Cb)
	assert.Equal(t, []byte{128, 255, 255}, m.Cr)
}

// TestAnimation puts each kind of frame on a larger canvas.
func TestAnimation(t *testing.T) {
	for _, name := range files {
		data := testdata(t, name)
		frame := images(data)
		r := picture.Add(image.Pt(6, 4))
		p, err := decode(file(vp8x(2, 50, 30), part{"ANIM", make([]byte, 6)}, part{"abcd", []byte{1, 2, 3}},
			anmf(r, append(frame, part{"junk", []byte{1}})...), anmf(r, frame...), part{chunkEXIF, []byte("II*\x00?")}, anmf(r, frame...)))
		require.NoError(t, err, name)
		assert.Equal(t, image.Rect(0, 0, 50, 30), p.Image.Bounds())
		assert.Equal(t, 3, p.Frames)
		assert.Equal(t, []byte("II*\x00?"), p.EXIF)
		same(t, want(t, data), p.Image, r.Min)
		for _, pt := range []image.Point{{0, 0}, {5, 10}, {20, 3}, {41, 10}, {20, 25}, {49, 29}} {
			_, _, _, a := p.Image.At(pt.X, pt.Y).RGBA()
			assert.Zero(t, a, "%s %v", name, pt)
		}
		d := NewDecoder(bytes.NewReader(file(vp8x(2, 50, 30), anmf(r, frame...))), Options{})
		h, err := d.Header(t.Context())
		require.NoError(t, err)
		assert.True(t, h.Animated)
		assert.True(t, h.Alpha)
		assert.Equal(t, r, h.Frame)

		// A frame that is all of the canvas is not copied.
		p, err = decode(file(vp8x(2, 35, 21), anmf(picture, frame...)))
		require.NoError(t, err)
		assert.IsType(t, want(t, data), p.Image)
	}
}

func TestMetadata(t *testing.T) {
	frame := images(testdata(t, "lossy-opaque"))
	profile, exif := bytes.Repeat([]byte("profile"), 1000), []byte("Exif\x00\x00MM\x00*")
	data := file(vp8x(0x28, 35, 21), part{chunkICCP, profile}, part{"XMP ", make([]byte, 100)}, frame[0], part{chunkEXIF, exif}, part{chunkEXIF, nil})
	for _, c := range []struct {
		o         Options
		icc, exif []byte
	}{
		{Options{}, profile, exif},
		{Options{MaxICC: 7000, MaxEXIF: 10}, profile, exif},
		{Options{MaxICC: 6999, MaxEXIF: -1}, nil, nil},
		{Options{MaxICC: -1, MaxEXIF: 10}, nil, exif},
	} {
		d := NewDecoder(bytes.NewReader(data), c.o)
		h, err := d.Header(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c.icc, h.ICC)
		assert.Nil(t, h.EXIF)
		p, err := d.Decode(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c.exif, p.EXIF)
	}
	p, err := decode(file(vp8x(0x28, 35, 21), part{chunkEXIF, exif}, frame[0], part{chunkEXIF, []byte("late")}))
	require.NoError(t, err)
	assert.Equal(t, exif, p.EXIF)
}

// TestTruncated cuts files everywhere.
func TestTruncated(t *testing.T) {
	for _, name := range files {
		for _, data := range [][]byte{
			testdata(t, name),
			file(vp8x(2, 50, 30), anmf(picture, images(testdata(t, name))...), part{chunkEXIF, []byte("II*\x00")}),
		} {
			for n := range data {
				_, err := decode(data[:n])
				require.Equal(t, ErrTruncated, err, "%s cut at %d of %d", name, n, len(data))
			}
		}
	}
	assert.ErrorIs(t, ErrTruncated, io.ErrUnexpectedEOF)
}

func TestInvalid(t *testing.T) {
	lossy, lossless := images(testdata(t, "lossy-opaque"))[0], images(testdata(t, "lossless-opaque"))[0]
	alpha := images(testdata(t, "lossy-alpha"))
	raw := images(testdata(t, "lossy-rawalpha"))
	changed := func(p part, at int, v byte) part {
		p.data = append([]byte(nil), p.data...)
		p.data[at] = v
		return p
	}
	cut := func(p part, n int) part { return part{p.kind, p.data[:n]} }
	long := file(lossy)
	long[16]++ // the chunk's length
	long[16]++
	for name, data := range map[string][]byte{
		"no RIFF":           bytes.Replace(file(lossy), []byte("RIFF"), []byte("RIFX"), 1),
		"no WEBP":           bytes.Replace(file(lossy), []byte("WEBP"), []byte("WAVE"), 1),
		"empty":             append([]byte("RIFF\x04\x00\x00\x00WEBP"), 0, 0),
		"chunk header":      append([]byte("RIFF\x0c\x00\x00\x00WEBPVP8 "), 0, 0, 0, 0),
		"chunk too long":    long,
		"no image":          file(vp8x(0, 35, 21)),
		"other chunk first": file(part{chunkEXIF, nil}, lossy),
		"short VP8X":        file(part{chunkVP8X, make([]byte, 9)}, lossy),
		"two VP8X":          file(vp8x(0, 35, 21), vp8x(0, 35, 21), lossy),
		"canvas":            file(vp8x(0, 1<<24, 1<<24), lossy),
		"canvas differs":    file(vp8x(0, 35, 22), lossy),
		"lossless differs":  file(vp8x(0, 34, 21), lossless),
		"short VP8":         file(cut(lossy, 9)),
		"short VP8L":        file(cut(lossless, 4)),
		"VP8 cut":           file(cut(lossy, 60)),
		"VP8L cut":          file(cut(lossless, 60)),
		"VP8 sync code":     file(changed(lossy, 3, 0)),
		"VP8 inter frame":   file(changed(lossy, 0, lossy.data[0]|1)),
		"VP8 hidden":        file(changed(lossy, 0, lossy.data[0]&^16)),
		"VP8 version":       file(changed(lossy, 0, lossy.data[0]|14)),
		"VP8 width":         file(changed(lossy, 6, 0)),
		"VP8L signature":    file(changed(lossless, 0, 0)),
		"VP8L version":      file(changed(lossless, 4, 0xff)),
		"two alphas":        file(vp8x(0x10, 35, 21), alpha[0], alpha[0], alpha[1]),
		"short alpha":       file(vp8x(0x10, 35, 21), part{chunkALPH, []byte{0}}, alpha[1]),
		"alpha cut":         file(vp8x(0x10, 35, 21), cut(alpha[0], 20), alpha[1]),
		"raw alpha cut":     file(vp8x(0x10, 35, 21), cut(raw[0], 700), raw[1]),
		"alpha method":      file(vp8x(0x10, 35, 21), changed(raw[0], 0, 2), raw[1]),
		"alpha of lossless": file(vp8x(0x10, 35, 21), alpha[0], lossless),
		"alpha alone":       file(alpha[0], alpha[1]),
		"short frame":       file(vp8x(2, 35, 21), part{chunkANMF, make([]byte, 15)}),
		"empty frame":       file(vp8x(2, 35, 21), anmf(picture)),
		"frame outside":     file(vp8x(2, 35, 21), anmf(picture.Add(image.Pt(2, 0)), lossy)),
		"frame differs":     file(vp8x(2, 35, 21), anmf(image.Rect(0, 0, 35, 20), lossy)),
	} {
		if name == "VP8 width" {
			data[12+8+7] &^= 0x3f
		}
		_, err := decode(data)
		var f FormatError
		if assert.ErrorAs(t, err, &f, name) {
			assert.NotEmpty(t, f.Error())
		}
	}
	one := changed(changed(changed(changed(lossy, 6, 1), 7, 0), 8, 1), 9, 0)
	one.data = append(one.data, make([]byte, 2<<20)...)
	for name, data := range map[string][]byte{
		"data too large":  file(one),
		"alpha too large": file(vp8x(0x10, 1, 1), part{chunkALPH, make([]byte, 2<<20)}, lossy),
	} {
		_, err := decode(data)
		var u UnsupportedError
		if assert.ErrorAs(t, err, &u, name) {
			assert.NotEmpty(t, u.Error())
		}
	}
	// An odd chunk at the end may lack its padding, alpha its flag.
	odd := file(lossy, part{"abcd", []byte{1}})
	odd = odd[:len(odd)-1]
	odd[4]--
	for name, data := range map[string][]byte{
		"padding": odd,
		"flags":   file(vp8x(0, 35, 21), alpha[0], alpha[1]),
	} {
		_, err := decode(data)
		assert.NoError(t, err, name)
	}
}

// TestRows checks that rows are the pixels of the image, on the canvas of an animation too, that
// chroma is interpolated between its samples, and that without the loop filter pixels are
// nearly those with it.
func TestRows(t *testing.T) {
	for _, name := range files {
		frame := images(testdata(t, name))
		at := picture.Add(image.Pt(6, 4))
		for _, data := range [][]byte{testdata(t, name), file(vp8x(2, 50, 30), anmf(at, frame...)), file(vp8x(2, 41, 30), anmf(at, frame...))} {
			whole, err := decode(data)
			require.NoError(t, err)
			for _, deblock := range []bool{true, false} {
				d := NewDecoder(bytes.NewReader(data), Options{})
				h, err := d.Header(t.Context())
				require.NoError(t, err)
				next, off := 0, 0.
				_, err = d.DecodeRows(t.Context(), deblock, func(y int, row []uint32) error {
					require.Equal(t, next, y)
					require.Len(t, row, h.Width)
					next++
					for x, v := range row {
						want := color.NRGBAModel.Convert(whole.Image.At(x, y)).(color.NRGBA)
						require.Equal(t, want.A, byte(v>>24), "%s %d, %d", name, x, y)
						if want.A == 0 {
							continue
						}
						for i, c := range [3]byte{want.R, want.G, want.B} {
							off += math.Abs(float64(c) - float64(byte(v>>(16-8*i))))
						}
					}
					return nil
				})
				require.NoError(t, err)
				require.Equal(t, h.Height, next)
				if h.Lossless {
					require.Zero(t, off, name)
				}
				// The image's chroma is repeated, that of the rows interpolated.
				require.Less(t, off/float64(3*picture.Dx()*picture.Dy()), 8., name)
			}
		}
	}
}

// TestChromaIsInterpolated has two colours side by side: between the middles of their
// samples there are no steps of two pixels.
func TestChromaIsInterpolated(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 7, 3), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = 126
	}
	for y := range 2 {
		for x := range 4 {
			m.Cb[y*m.CStride+x] = 128
			m.Cr[y*m.CStride+x] = byte(96 + 32*x)
		}
	}
	var reds [][]int
	require.NoError(t, rowsOf(t.Context(), m, nil, func(_ int, row []uint32) error {
		var r []int
		for _, v := range row {
			r = append(r, int(v>>16&255))
		}
		reds = append(reds, r)
		return nil
	}))
	require.Len(t, reds, 3)
	for _, r := range reds {
		assert.Equal(t, []int{77, 90, 115, 141, 166, 192, 217}, r)
	}
}

// TestPlanes are those of VP8's range, and of lossy images without alpha only.
func TestPlanes(t *testing.T) {
	for _, name := range files {
		data := testdata(t, name)
		p, err := NewDecoder(bytes.NewReader(data), Options{}).DecodePlanes(t.Context(), true)
		if name != "lossy-opaque" {
			assert.Error(t, err, name)
			continue
		}
		require.NoError(t, err)
		m := p.Image.(*image.YCbCr)
		FullRange(m.Y, m.Cb, m.Cr)
		same(t, want(t, data), m, image.Point{})
	}
}

// TestAlphaFilters predicts as the specification has it, slowly.
func TestAlphaFilters(t *testing.T) {
	const width, height = 7, 5
	for method := range byte(4) {
		var data []byte
		for i := range width * height {
			data = append(data, byte(i*i*31))
		}
		want := make([]byte, len(data))
		for y := range height {
			for x := range width {
				at := func(dx, dy int) int {
					if x+dx < 0 || y+dy < 0 {
						return -1
					}
					return int(want[(y+dy)*width+x+dx])
				}
				p := 0
				switch a, b, c := at(-1, 0), at(0, -1), at(-1, -1); {
				case method == 0 || x == 0 && y == 0:
				case y == 0:
					p = a
				case x == 0:
					p = b
				case method == 1:
					p = a
				case method == 2:
					p = b
				default:
					p = min(max(a+b-c, 0), 255)
				}
				want[y*width+x] = data[y*width+x] + byte(p)
			}
		}
		d := NewDecoder(nil, Options{})
		d.alpha = append([]byte{method << 2}, data...)
		d.header = &Header{Frame: image.Rect(0, 0, width, height)}
		got, err := d.decodeAlpha(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, got, "method %d", method)
	}
	d := NewDecoder(nil, Options{})
	d.alpha, d.header = []byte{1, 0}, &Header{Frame: image.Rect(0, 0, 1<<14+1, 1)}
	_, err := d.decodeAlpha(t.Context())
	assert.Error(t, err)
}

func TestLimits(t *testing.T) {
	data := testdata(t, "lossy-opaque")
	for limit, want := range map[int64]error{0: nil, -1: nil, 35 * 21: nil, 35*21 - 1: ErrTooLarge} {
		_, err := NewDecoder(bytes.NewReader(data), Options{MaxPixels: limit}).Decode(t.Context())
		assert.Equal(t, want, err, "%d", limit)
	}
	// Twelve bytes of a bitstream that would be 268 million pixels.
	v := part{chunkVP8L, []byte{0x2f, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0}}
	_, err := NewDecoder(bytes.NewReader(file(v)), Options{MaxPixels: 60e6}).Decode(t.Context())
	assert.Equal(t, ErrTooLarge, err)
	d := NewDecoder(nil, Options{})
	d.Close()
	d.Close()
	_, err = d.Header(t.Context())
	assert.Equal(t, ErrUsed, err)
}

func TestReaderErrors(t *testing.T) {
	data := testdata(t, "lossy-alpha")
	broken := errors.New("broken")
	for _, n := range []int{0, 12, 20, 50, len(data) - 1} {
		_, err := NewDecoder(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)), Options{}).Decode(t.Context())
		assert.Equal(t, broken, err, "%d", n)
	}
	_, err := NewDecoder(iotest.DataErrReader(bytes.NewReader(data)), Options{}).Decode(t.Context())
	assert.NoError(t, err)
	_, err = NewDecoder(readerFunc(func([]byte) (int, error) { return 0, nil }), Options{}).Header(t.Context())
	assert.Equal(t, io.ErrNoProgress, err)
	_, err = NewDecoder(readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }), Options{}).Header(t.Context())
	assert.Equal(t, io.ErrNoProgress, err)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestContext(t *testing.T) {
	for _, name := range files {
		data := testdata(t, name)
		ctx, cancel := context.WithCancel(t.Context())
		d := NewDecoder(bytes.NewReader(data), Options{})
		_, err := d.Header(ctx)
		require.NoError(t, err)
		cancel()
		_, err = d.Decode(ctx)
		assert.Equal(t, context.Canceled, err, name)
		_, err = NewDecoder(bytes.NewReader(data), Options{}).Header(ctx)
		assert.Equal(t, context.Canceled, err, name)
	}
}

// TestLyingLength checks that memory follows what is there, not what a chunk claims.
func TestLyingLength(t *testing.T) {
	v := part{chunkVP8L, []byte{0x2f, 0xff, 0xff, 0xff, 0x01, 0, 0, 0}}
	data := file(v)
	data[7], data[6] = 3, 0
	data[16], data[18], data[19] = 0, 0xf0, 2
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := decode(data)
	runtime.ReadMemStats(&after)
	assert.Equal(t, ErrTruncated, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

package bildresizer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/adapters/internal/thumbhash"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

var limits = domain.ImageLimits{MaxPixels: 60_000_000, MaxFrames: 1000}

func resizer(t testing.TB, o bildresizer.Options) *bildresizer.Resizer {
	t.Helper()
	r, err := bildresizer.New(o)
	require.NoError(t, err)
	return r
}

func encodePNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return b.Bytes()
}

func flat(w, h int, c color.Color) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, c)
		}
	}
	return m
}

// one inspects a file and makes one thumbnail of it, and checks that the two agree.
func one(t *testing.T, r ports.Resizer, file []byte, height int) (domain.ImageInfo, ports.Thumbnail, image.Image) {
	t.Helper()
	info, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
	require.NoError(t, err)
	thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{height}})
	require.NoError(t, err)
	require.Len(t, thumbs, 1)
	m := check(t, info, height, thumbs[0])
	return info, thumbs[0], m
}

// check checks a thumbnail against what Inspect said, and decodes it.
func check(t *testing.T, info domain.ImageInfo, height int, thumb ports.Thumbnail) image.Image {
	t.Helper()
	w, h := domain.ThumbnailSize(info.Width, info.Height, height)
	assert.Equal(t, [2]int{w, h}, [2]int{thumb.Width, thumb.Height})
	assert.Equal(t, info.ThumbnailFormat(), thumb.Format)
	m, format, err := image.Decode(bytes.NewReader(thumb.Data))
	require.NoError(t, err)
	assert.Equal(t, string(thumb.Format), format)
	assert.Equal(t, image.Pt(w, h), m.Bounds().Size())
	return m
}

func nrgba(m image.Image, x, y int) color.NRGBA {
	return color.NRGBAModel.Convert(m.At(m.Bounds().Min.X+x, m.Bounds().Min.Y+y)).(color.NRGBA)
}

func assertNear(t *testing.T, want, got color.NRGBA, delta float64) {
	t.Helper()
	for i, v := range [4][2]uint8{{want.R, got.R}, {want.G, got.G}, {want.B, got.B}, {want.A, got.A}} {
		assert.InDelta(t, v[0], v[1], delta, "channel %d of %v, want %v", i, got, want)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []bildresizer.Options{
		{MaxPixels: -1}, {MaxBytes: -1}, {Memory: -1}, {MaxQueue: -1}, {MaxWait: -1},
	} {
		_, err := bildresizer.New(o)
		assert.ErrorIs(t, err, domain.Invalid, "%+v", o)
	}
	resizer(t, bildresizer.Options{MaxBytes: 1 << 30})
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	assert.Regexp(t, "^[a-z0-9]+$", resizer(t, bildresizer.Options{}).Version())
}

func TestSizes(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	for _, size := range [][2]int{{300, 200}, {200, 300}, {1, 1}, {1, 500}, {500, 1}, {65535, 1}, {1, 65535}, {13, 4321}} {
		file := encodePNG(t, image.NewGray(image.Rect(0, 0, size[0], size[1])))
		heights := []int{200, 1, 33, 4320, 200}
		info, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		require.NoError(t, err)
		assert.Equal(t, size, [2]int{info.Width, info.Height})
		assert.LessOrEqual(t, len(info.Placeholder), thumbhash.MaxLength)
		thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: heights})
		require.NoError(t, err)
		require.Len(t, thumbs, len(heights))
		for i, h := range heights {
			check(t, info, h, thumbs[i])
		}
		assert.Equal(t, thumbs[0], thumbs[4], "the same bytes and height give the same thumbnail")
	}
}

func TestResizeRefusesBadHeights(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	file := encodePNG(t, image.NewGray(image.Rect(0, 0, 2, 2)))
	for _, h := range []int{0, -1, 4321} {
		_, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{10, h}})
		assert.ErrorIs(t, err, domain.Invalid, "%d", h)
	}
	thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{})
	require.NoError(t, err)
	assert.Empty(t, thumbs)
}

// A green corner, top left as stored, of a picture with alpha.
func cornered(w, h int) *image.NRGBA {
	m := flat(w, h, color.NRGBA{200, 0, 0, 128})
	for y := range h / 2 {
		for x := range w / 2 {
			m.SetNRGBA(x, y, color.NRGBA{0, 200, 0, 255})
		}
	}
	return m
}

func TestOrientation(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	corner := map[int]image.Point{1: {0, 0}, 2: {1, 0}, 3: {1, 1}, 4: {0, 1}, 5: {0, 0}, 6: {1, 0}, 7: {1, 1}, 8: {0, 1}}
	for o := 1; o <= 8; o++ {
		exif := imagefiletest.EXIF(binary.BigEndian, o)
		want := [2]int{60, 40}
		if o >= 5 {
			want = [2]int{40, 60}
		}
		files := map[string][]byte{
			"PNG": imagefiletest.WithChunks(encodePNG(t, cornered(60, 40)), imagefiletest.PNGChunk("eXIf", exif)),
		}
		var b bytes.Buffer
		require.NoError(t, jpeg.Encode(&b, cornered(60, 40), nil))
		files["JPEG"] = imagefiletest.WithSegments(b.Bytes(), imagefiletest.Segment(0xe1, append([]byte("Exif\x00\x00"), exif...)))
		for name, file := range files {
			for _, height := range []int{20, 4320} {
				info, _, m := one(t, r, file, height)
				assert.Equal(t, want, [2]int{info.Width, info.Height}, "%s %d", name, o)
				green := corner[o]
				size := m.Bounds().Size()
				for _, at := range []image.Point{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
					c := nrgba(m, at.X*(size.X-1), at.Y*(size.Y-1))
					assert.Equal(t, at == green, c.G > c.R, "%s, orientation %d, %d high, corner %v: %v", name, o, height, at, c)
				}
			}
		}
		// The placeholder is turned as well.
		info, _, _ := one(t, r, files["PNG"], 20)
		m, err := thumbhash.Decode(info.Placeholder)
		require.NoError(t, err)
		assert.Equal(t, o >= 5, m.Rect.Dy() > m.Rect.Dx(), "orientation %d", o)
		c := m.NRGBAAt(corner[o].X*(m.Rect.Dx()-1), corner[o].Y*(m.Rect.Dy()-1))
		assert.Greater(t, c.G, c.R, "orientation %d", o)
	}

	webp := imagefiletest.WebP(imagefiletest.VP8X(imagefiletest.FlagEXIF, 30, 10), imagefiletest.VP8L(30, 10, color.NRGBA{9, 9, 9, 255}, false),
		imagefiletest.RIFFChunk("EXIF", imagefiletest.EXIF(binary.LittleEndian, 6)))
	info, _, _ := one(t, r, webp, 15)
	assert.Equal(t, [2]int{10, 30}, [2]int{info.Width, info.Height})
}

func TestAlpha(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	half := color.NRGBA{200, 100, 50, 128}
	opaque := color.NRGBA{200, 100, 50, 255}
	paletted := func(c color.Color, used bool) []byte {
		m := image.NewPaletted(image.Rect(0, 0, 20, 20), color.Palette{color.NRGBA{200, 100, 50, 255}, c})
		if used {
			m.SetColorIndex(3, 3, 1)
		}
		return encodePNG(t, m)
	}
	deep := image.NewNRGBA64(image.Rect(0, 0, 20, 20))
	for y := range 20 {
		for x := range 20 {
			deep.Set(x, y, half)
		}
	}
	grayKeyed := imagefiletest.WithChunks(encodePNG(t, image.NewGray(image.Rect(0, 0, 20, 20))), imagefiletest.PNGChunk("tRNS", []byte{0, 0}))
	for _, c := range []struct {
		name  string
		file  []byte
		alpha bool
		at    color.NRGBA // at the thumbnail's middle
	}{
		{"PNG with alpha", encodePNG(t, flat(20, 20, half)), true, half},
		{"16-bit PNG with alpha", encodePNG(t, deep), true, half},
		{"PNG with an alpha channel that is full", pngWithAlphaChannel(20, 20, opaque), false, opaque},
		{"palette with a transparent colour", paletted(color.NRGBA{}, true), true, color.NRGBA{}},
		{"palette with a transparent colour that no pixel has", paletted(color.NRGBA{}, false), false, opaque},
		{"gray with a transparent value", grayKeyed, true, color.NRGBA{}},
		{"lossless WebP with alpha", imagefiletest.WebP(imagefiletest.VP8L(20, 20, half, true)), true, half},
		{"lossless WebP whose alpha is full", imagefiletest.WebP(imagefiletest.VP8L(20, 20, opaque, true)), false, opaque},
		{"lossless WebP that says that its alpha is not used", imagefiletest.WebP(imagefiletest.VP8L(20, 20, half, false)), false, opaque},
		{"lossy WebP with alpha", imagefiletest.WebP(imagefiletest.VP8X(imagefiletest.FlagAlpha, 20, 20), imagefiletest.ALPH(20, 20, 128), imagefiletest.VP8(20, 20)), true, color.NRGBA{128, 128, 128, 128}},
		{"lossy WebP with alpha that the header does not tell of", imagefiletest.WebP(imagefiletest.VP8X(0, 20, 20), imagefiletest.ALPH(20, 20, 128), imagefiletest.VP8(20, 20)), true, color.NRGBA{128, 128, 128, 128}},
		{"lossy WebP with full alpha", imagefiletest.WebP(imagefiletest.VP8X(imagefiletest.FlagAlpha, 20, 20), imagefiletest.ALPH(20, 20, 255), imagefiletest.VP8(20, 20)), false, color.NRGBA{128, 128, 128, 255}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, height := range []int{7, 4320} {
				info, _, m := one(t, r, c.file, height)
				assert.Equal(t, c.alpha, info.Alpha)
				if c.at.A == 0 && height == 7 {
					continue // the one pixel that is transparent is mixed with others
				}
				x, y := m.Bounds().Dx()/2, m.Bounds().Dy()/2
				if c.at.A == 0 {
					x, y = 3, 3
				}
				assertNear(t, c.at, nrgba(m, x, y), 6)
			}
		})
	}
}

// pngWithAlphaChannel makes a PNG of type RGBA though it is opaque, which the encoder would not do.
func pngWithAlphaChannel(w, h int, c color.NRGBA) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, notOpaque{flat(w, h, c)}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

type notOpaque struct{ image.Image }

func (notOpaque) Opaque() bool { return false }

// A transparent surrounding has colours of its own, which must not bleed in.
func TestAlphaIsPremultiplied(t *testing.T) {
	t.Parallel()
	m := flat(100, 100, color.NRGBA{0, 255, 0, 0})
	for y := 25; y < 75; y++ {
		for x := 25; x < 75; x++ {
			m.SetNRGBA(x, y, color.NRGBA{255, 0, 0, 255})
		}
	}
	_, _, got := one(t, resizer(t, bildresizer.Options{}), encodePNG(t, m), 33)
	for y := range 33 {
		for x := range 33 {
			assert.Zero(t, nrgba(got, x, y).G, "%d, %d", x, y)
		}
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	ycck := imagefiletest.JPEG{Width: 40, Height: 30, Values: []byte{200, 128, 128, 255}}
	for _, c := range []struct {
		name string
		file []byte
		want color.NRGBA
	}{
		{"gray JPEG", imagefiletest.JPEG{Width: 40, Height: 30, Values: []byte{77}}.Encode(), color.NRGBA{77, 77, 77, 255}},
		{"progressive JPEG", imagefiletest.JPEG{Width: 40, Height: 30, Values: []byte{76, 85, 255}, Progressive: true, Subsampled: true, ExtraScans: 2}.Encode(), color.NRGBA{254, 0, 0, 255}},
		{"RGB JPEG", imagefiletest.WithSegments(imagefiletest.JPEG{Width: 40, Height: 30, Values: []byte{10, 200, 30}}.Encode(), imagefiletest.AdobeSegment(0)), color.NRGBA{10, 200, 30, 255}},
		// Adobe's CMYK is inverted: 255 is no ink. Naive: (1-c)(1-k).
		{"Adobe CMYK JPEG", imagefiletest.WithSegments(imagefiletest.JPEG{Width: 40, Height: 30, Values: []byte{255, 51, 128, 204}}.Encode(), imagefiletest.AdobeSegment(0)), color.NRGBA{204, 41, 102, 255}},
		{"CMYK JPEG without a mark", imagefiletest.JPEG{Width: 40, Height: 30, Values: []byte{0, 204, 127, 51}}.Encode(), color.NRGBA{204, 41, 102, 255}},
		// Its YCbCr is RGB for CMY, inverted twice: what it says is the ink.
		{"YCCK JPEG", imagefiletest.WithSegments(ycck.Encode(), imagefiletest.AdobeSegment(2)), color.NRGBA{55, 55, 55, 255}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, height := range []int{9, 4320} {
				info, _, m := one(t, r, c.file, height)
				assert.Equal(t, domain.JPEG, info.Format)
				assertNear(t, c.want, nrgba(m, m.Bounds().Dx()/2, m.Bounds().Dy()/2), 4)
			}
		})
	}
}

func TestAnimationsFirstFrameOnItsCanvas(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	red, blue := color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}
	frame := func(r image.Rectangle, c color.Color) *image.Paletted {
		return image.NewPaletted(r, color.Palette{c, color.White})
	}
	animation := func(first image.Rectangle) []byte {
		var b bytes.Buffer
		require.NoError(t, gif.EncodeAll(&b, &gif.GIF{
			Image: []*image.Paletted{frame(first, red), frame(image.Rect(0, 0, 100, 80), blue)}, Delay: []int{1, 1},
			Config: image.Config{Width: 100, Height: 80},
		}))
		return b.Bytes()
	}
	webp := func(x, y, w, h int) []byte {
		return imagefiletest.WebP(imagefiletest.VP8X(imagefiletest.FlagAnimation, 100, 80), imagefiletest.RIFFChunk("ANIM", make([]byte, 6)),
			imagefiletest.ANMF(x, y, w, h, imagefiletest.VP8L(w, h, color.NRGBA{255, 0, 0, 7}, false)), // its alpha is to be ignored
			imagefiletest.ANMF(0, 0, 100, 80, imagefiletest.VP8L(100, 80, blue, false)))
	}
	for _, c := range []struct {
		name  string
		file  []byte
		alpha bool
	}{
		{"GIF, small frame", animation(image.Rect(20, 40, 60, 80)), true},
		{"GIF, whole frame", animation(image.Rect(0, 0, 100, 80)), false},
		{"WebP, small frame", webp(20, 40, 40, 40), true},
		{"WebP, whole frame", webp(0, 0, 100, 80), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, height := range []int{40, 4320} {
				info, _, m := one(t, r, c.file, height)
				assert.Equal(t, 2, info.Frames)
				assert.Equal(t, c.alpha, info.Alpha)
				size := m.Bounds().Size()
				assertNear(t, red, nrgba(m, size.X*40/100, size.Y*60/80), 3)
				if c.alpha {
					assert.Zero(t, nrgba(m, 0, 0).A)
					assert.Zero(t, nrgba(m, size.X-1, size.Y-1).A)
				}
			}
		})
	}
}

func TestThumbnailsCarryNoMetadata(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	file := imagefiletest.WithSegments(imagefiletest.JPEG{Width: 40, Height: 30, Values: []byte{1, 2, 3}}.Encode(),
		imagefiletest.Segment(0xe1, append([]byte("Exif\x00\x00CANARY"), imagefiletest.EXIF(binary.BigEndian, 1)...)),
		imagefiletest.Segment(0xfe, []byte("CANARY")), imagefiletest.Segment(0xe2, []byte("ICC_PROFILE\x00CANARY")))
	_, thumb, _ := one(t, r, append(file, "CANARY"...), 4320)
	assert.NotContains(t, string(thumb.Data), "CANARY")
	pngFile := imagefiletest.WithChunks(encodePNG(t, cornered(40, 30)), imagefiletest.PNGChunk("tEXt", []byte("CANARY")))
	_, thumb, _ = one(t, r, append(pngFile, "CANARY"...), 4320)
	assert.NotContains(t, string(thumb.Data), "CANARY")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	file := encodePNG(t, image.NewGray(image.Rect(0, 0, 100, 80)))
	length := int64(len(file))
	for _, c := range []struct {
		name   string
		opt    bildresizer.Options
		pixels domain.Limit
		limit  int64 // 0: it passes
	}{
		{"just right", bildresizer.Options{MaxPixels: 8000, MaxBytes: length}, 8000, 0},
		{"no limit but the process's", bildresizer.Options{MaxPixels: 8000}, domain.NoLimit, 0},
		{"the tier's pixels", bildresizer.Options{MaxPixels: 8000}, 7999, 7999},
		{"the process's pixels", bildresizer.Options{MaxPixels: 7999}, domain.NoLimit, 7999},
		{"the process's bytes", bildresizer.Options{MaxBytes: length - 1}, domain.NoLimit, length - 1},
		{"the process's memory", bildresizer.Options{Memory: 8000}, domain.NoLimit, 8000},
	} {
		r := resizer(t, c.opt)
		_, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: c.pixels, MaxFrames: 1}})
		if c.limit == 0 {
			assert.NoError(t, err, c.name)
			continue
		}
		require.ErrorIs(t, err, domain.TooLarge, c.name)
		require.NotNil(t, domain.AsError(err).Limit, c.name)
		assert.Equal(t, c.limit, *domain.AsError(err).Limit, c.name)
		if c.pixels == domain.NoLimit {
			_, err = r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{10}})
			assert.ErrorIs(t, err, domain.TooLarge, "Resize has the same caps: %s", c.name)
		}
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	var noisy bytes.Buffer
	m := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i >> 3)
	}
	require.NoError(t, jpeg.Encode(&noisy, m, nil))
	noHuffman := bytes.Clone(noisy.Bytes())
	noHuffman[bytes.Index(noHuffman, []byte{0xff, 0xc4})+1] = 0xfe // its tables become a comment
	noData := append([]byte(imagefiletest.PNGSignature), imagefiletest.IHDR(8, 8, 8, 0, 0)...)
	noData = append(append(noData, imagefiletest.PNGChunk("IDAT", []byte("no zlib"))...), imagefiletest.PNGChunk("IEND", nil)...)
	for name, file := range map[string][]byte{
		"cut short": noisy.Bytes()[:noisy.Len()/2], "no Huffman tables": noHuffman, "no deflate data": noData,
	} {
		_, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		assert.ErrorIs(t, err, domain.CorruptImage, name)
		_, err = r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{10}})
		assert.ErrorIs(t, err, domain.CorruptImage, name)
	}
	_, err := r.Inspect(t.Context(), bytes.NewReader([]byte("%PDF-1.7")), ports.InspectRequest{Limits: limits})
	assert.ErrorIs(t, err, domain.UnsupportedImage)
}

// once is a source that is read from its beginning and no more than once.
type once struct{ io.Reader }

func (once) Seek(int64, int) (int64, error) { return 0, nil }

func TestSourceErrorsAndContext(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	file := encodePNG(t, image.NewGray(image.Rect(0, 0, 100, 80)))
	broken := errors.New("the store is away")
	_, err := r.Inspect(t.Context(), once{io.MultiReader(bytes.NewReader(file[:40]), iotest.ErrReader(broken))}, ports.InspectRequest{Limits: limits})
	require.ErrorIs(t, err, broken)
	assert.NotErrorIs(t, err, domain.CorruptImage)

	gone := errors.New("the client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	_, err = r.Resize(ctx, bytes.NewReader(file), ports.ResizeRequest{Heights: []int{10}})
	require.ErrorIs(t, err, gone)
	assert.ErrorIs(t, err, domain.Unavailable)
}

// The work stops at each of its steps: where the source is read, in a decoder, in the resampling.
func TestCancelWhileUnderWay(t *testing.T) {
	t.Parallel()
	r := resizer(t, bildresizer.Options{})
	gone := errors.New("the client went away")
	file := imagefiletest.JPEG{Width: 500, Height: 500, Values: []byte{1}, Progressive: true, ExtraScans: 250}.Encode()
	for steps := 1; ; steps *= 3 {
		ctx := &countedContext{Context: t.Context(), left: steps, cause: gone}
		_, err := r.Resize(ctx, bytes.NewReader(file), ports.ResizeRequest{Heights: []int{10}})
		if err == nil {
			assert.Greater(t, steps, 20, "it asked often")
			break
		}
		require.ErrorIs(t, err, gone)
		require.Equal(t, domain.Unavailable, domain.CodeOf(err), "never a fault of the file: %v", err)
	}
}

// countedContext ends after it was asked for its error some times.
type countedContext struct {
	context.Context
	left  int
	cause error
}

func (c *countedContext) Err() error {
	if c.left--; c.left < 0 {
		return c.cause
	}
	return nil
}

func BenchmarkResize(b *testing.B) {
	r := resizer(b, bildresizer.Options{})
	m := image.NewRGBA(image.Rect(0, 0, 1600, 1200))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * i >> 11)
	}
	var file bytes.Buffer
	require.NoError(b, jpeg.Encode(&file, m, nil))
	b.ReportAllocs()
	for b.Loop() {
		_, err := r.Resize(b.Context(), bytes.NewReader(file.Bytes()), ports.ResizeRequest{Heights: []int{200}})
		require.NoError(b, err)
	}
}

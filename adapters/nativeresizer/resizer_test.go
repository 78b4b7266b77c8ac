package nativeresizer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/adapters/internal/thumbhash"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// scene is a picture in which every part and every direction can be told apart.
func scene(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			u, v := float64(x)/float64(w), float64(y)/float64(h)
			c := color.NRGBA{byte(255 * u), byte(255 * v), byte(127 + 120*math.Sin(9*u)*math.Cos(7*v)), 255}
			if u < 0.3 && v < 0.2 {
				c = color.NRGBA{250, 240, 20, 255}
			}
			if math.Hypot(u-0.7, v-0.6) < 0.15 {
				c = color.NRGBA{10, 20, 160, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

// veiled is scene with alpha: a gradient, and a part that is transparent.
func veiled(w, h int) *image.NRGBA {
	m := scene(w, h)
	for y := range h {
		for x := range w {
			a := 255 * x / w
			if y < h/4 {
				a = 0
			}
			m.Pix[m.PixOffset(x, y)+3] = byte(a)
		}
	}
	return m
}

func encodeJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}))
	return b.Bytes()
}

func encodePNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return b.Bytes()
}

func encodeGIF(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, gif.Encode(&b, m, nil))
	return b.Bytes()
}

// encoded takes a picture through the format of a thumbnail, a JPEG through the
// standard library's encoder, so that what JPEG does at that quality does not count as a difference.
func encoded(t testing.TB, m *image.NRGBA, format domain.Format) *image.NRGBA {
	t.Helper()
	if format == domain.PNG {
		return m
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, &jpeg.Options{Quality: ports.ThumbnailQuality}))
	out, err := jpeg.Decode(&b)
	require.NoError(t, err)
	return toNRGBA(out)
}

func writePNG(t testing.TB, path string, m image.Image) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, encodePNG(t, m), 0o600))
}

// one inspects a file and makes one thumbnail of it, and checks that the two agree.
func one(t *testing.T, r ports.Resizer, file []byte, height int, name string) (domain.ImageInfo, *image.NRGBA) {
	t.Helper()
	info, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
	require.NoError(t, err, name)
	thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{height}})
	require.NoError(t, err, name)
	require.Len(t, thumbs, 1)
	return info, toNRGBA(check(t, info, height, thumbs[0], name))
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []nativeresizer.Options{
		{Memory: -1}, {MaxPixels: -1}, {MaxFrames: -1}, {MaxQueue: -1}, {MaxWait: -time.Second},
	} {
		_, err := nativeresizer.New(o)
		assert.ErrorIs(t, err, domain.Invalid, "%+v", o)
	}
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	assert.Regexp(t, "^[a-z0-9]+$", resizer(t, nativeresizer.Options{}).Version())
}

func TestResizeRefusesBadHeights(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	file := encodeJPEG(t, scene(20, 20))
	for _, h := range []int{0, -1, domain.MaxHeight + 1} {
		_, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{10, h}})
		assert.ErrorIs(t, err, domain.Invalid, "%d", h)
	}
	thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{})
	require.NoError(t, err)
	assert.Empty(t, thumbs)
}

func files(t *testing.T, w, h int) map[string][]byte {
	t.Helper()
	m := scene(w, h)
	g := image.NewGray(m.Rect)
	for i := range g.Pix {
		g.Pix[i] = m.Pix[4*i+1]
	}
	return map[string][]byte{
		"JPEG": encodeJPEG(t, m), "gray JPEG": encodeJPEG(t, g), "PNG": encodePNG(t, m), "gray PNG": encodePNG(t, g),
		"PNG with alpha": encodePNG(t, veiled(w, h)), "GIF": encodeGIF(t, m),
	}
}

func TestThumbnailsLookLikeTheirOriginals(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	for _, size := range []image.Point{{320, 240}, {81, 143}, {37, 25}, {900, 40}, {40, 900}} {
		for name, file := range files(t, size.X, size.Y) {
			for _, height := range []int{1, 24, 4320} {
				name := fmt.Sprint(name, size, height)
				info, got := one(t, r, file, height, name)
				want := encoded(t, plain(t, file, 1, height), info.ThumbnailFormat())
				require.Equal(t, want.Rect, got.Rect, name)
				least := 25.0
				if got.Rect.Dx() < 10 || got.Rect.Dy() < 10 {
					least = 18 // it is all edge, where bild and this resizer weigh differently
				}
				assert.GreaterOrEqual(t, psnr(want, got), least, name)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	for _, size := range []image.Point{{300, 200}, {200, 300}, {1, 1}, {1, 500}, {500, 1}, {65500, 1}, {1, 65500}, {13, 4321}, {8, 8}, {17, 16}} {
		flat := image.NewGray(image.Rectangle{Max: size})
		for i := range flat.Pix {
			flat.Pix[i] = 90
		}
		for name, file := range map[string][]byte{"JPEG": encodeJPEG(t, flat), "PNG": encodePNG(t, flat)} {
			heights := []int{200, 1, 33, 4320, 200}
			info, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
			require.NoError(t, err)
			assert.Equal(t, size, image.Pt(info.Width, info.Height))
			assert.LessOrEqual(t, len(info.Placeholder), thumbhash.MaxLength)
			thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: heights})
			require.NoError(t, err)
			require.Len(t, thumbs, len(heights))
			for i, h := range heights {
				m := check(t, info, h, thumbs[i], name)
				c := color.GrayModel.Convert(m.At(0, 0)).(color.Gray)
				assert.InDelta(t, 90, c.Y, 2, name)
			}
			assert.Equal(t, thumbs[0], thumbs[4])
		}
	}
}

// A thumbnail of a height is the same whatever is made beside it.
func TestSameThumbnailBesideOthers(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	heights := []int{40, 90, 4320, 1, 41, 7}
	all := files(t, 500, 350)
	webps, err := filepath.Glob(filepath.Join("webp", "testdata", "*.webp"))
	require.NoError(t, err)
	require.NotEmpty(t, webps)
	for _, name := range webps {
		all[name], err = os.ReadFile(name)
		require.NoError(t, err)
	}
	for name, file := range all {
		together, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: heights})
		require.NoError(t, err, name)
		for i, h := range heights {
			alone, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{h}})
			require.NoError(t, err, name)
			assert.True(t, bytes.Equal(alone[0].Data, together[i].Data), "%s, %d", name, h)
		}
	}
}

// counting tells how many bytes were read.
type counting struct {
	io.ReadSeeker
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	c.n += n
	return n, err
}

func TestSeveralHeightsFromOneDecode(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	for name, file := range files(t, 400, 300) {
		src := &counting{ReadSeeker: bytes.NewReader(file)}
		_, err := r.Resize(t.Context(), src, ports.ResizeRequest{Heights: []int{30, 180, 70, 4320, 30}})
		require.NoError(t, err, name)
		assert.LessOrEqual(t, src.n, len(file), "%s was read more than once", name)
	}
}

// Where the memory does not reach for all heights at once, there are several decodes.
func TestSeveralHeightsInLittleMemory(t *testing.T) {
	t.Parallel()
	heights := []int{20, 300, 150, 75, 40}
	plenty := resizer(t, nativeresizer.Options{})
	for name, file := range files(t, 400, 300) {
		want, err := plenty.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: heights})
		require.NoError(t, err, name)
		made, decodes := false, 0
		for memory := int64(128 << 10); !made; memory += memory / 16 {
			little := resizer(t, nativeresizer.Options{Memory: memory})
			src := &counting{ReadSeeker: bytes.NewReader(file)}
			got, err := little.Resize(t.Context(), src, ports.ResizeRequest{Heights: heights})
			if domain.CodeOf(err) == domain.TooLarge {
				continue // the largest alone does not fit
			}
			require.NoError(t, err, name)
			made, decodes = true, src.n/len(file)
			// Less memory may mean other pixels of the largest; of the same plan they are the same.
			for i := range heights {
				alone, err := little.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: heights[i : i+1]})
				require.NoError(t, err, name)
				assert.True(t, bytes.Equal(alone[0].Data, got[i].Data), "%s at %d", name, heights[i])
				assert.Equal(t, want[i].Width, got[i].Width)
			}
		}
		assert.Greater(t, decodes, 1, name)
	}
}

func exifJPEG(t *testing.T, m image.Image, orientation int) []byte {
	t.Helper()
	exif := imagefiletest.EXIF(binary.BigEndian, orientation)
	return imagefiletest.WithSegments(encodeJPEG(t, m), imagefiletest.Segment(0xe1, append([]byte("Exif\x00\x00"), exif...)))
}

func TestOrientation(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	for o := 1; o <= 8; o++ {
		exif := imagefiletest.EXIF(binary.LittleEndian, o)
		// Odd sizes: chroma samples then do not line up after mirroring.
		for _, size := range []image.Point{{160, 112}, {101, 75}} {
			for name, file := range map[string][]byte{
				"JPEG":      exifJPEG(t, scene(size.X, size.Y), o),
				"PNG":       imagefiletest.WithChunks(encodePNG(t, scene(size.X, size.Y)), imagefiletest.PNGChunk("eXIf", exif)),
				"alpha PNG": imagefiletest.WithChunks(encodePNG(t, veiled(size.X, size.Y)), imagefiletest.PNGChunk("eXIf", exif)),
			} {
				for _, height := range []int{33, 4320} {
					name := fmt.Sprint(name, size, o, height)
					info, got := one(t, r, file, height, name)
					assert.Equal(t, o >= 5, info.Width < info.Height, name)
					want := encoded(t, plain(t, file, o, height), info.ThumbnailFormat())
					require.Equal(t, want.Rect, got.Rect, name)
					assert.GreaterOrEqual(t, psnr(want, got), 26.0, name)
					hash, err := thumbhash.Decode(info.Placeholder)
					require.NoError(t, err)
					assert.Equal(t, o >= 5, hash.Rect.Dx() < hash.Rect.Dy(), name)
				}
			}
		}
	}
}

func TestAlphaDecidesTheFormat(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	red := color.NRGBA{200, 10, 10, 255}
	animation := func(transparent bool) []byte {
		p := color.Palette{red, color.NRGBA{0, 0, 200, 255}}
		if transparent {
			p[1] = color.NRGBA{}
		}
		g := &gif.GIF{}
		for i := range 3 {
			m := image.NewPaletted(image.Rect(0, 0, 30, 20), p)
			for j := range m.Pix {
				m.Pix[j] = byte(j/30/10+i) & 1
			}
			g.Image, g.Delay = append(g.Image, m), append(g.Delay, 5)
		}
		var b bytes.Buffer
		require.NoError(t, gif.EncodeAll(&b, g))
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		file   []byte
		alpha  bool
		frames int
	}{
		"JPEG":            {encodeJPEG(t, scene(60, 40)), false, 1},
		"PNG":             {encodePNG(t, scene(60, 40)), false, 1},
		"PNG with alpha":  {encodePNG(t, veiled(60, 40)), true, 1},
		"GIF":             {animation(false), false, 3},
		"transparent GIF": {animation(true), true, 3},
		"WebP":            {imagefiletest.WebP(imagefiletest.VP8L(30, 10, red, false)), false, 1},
		"WebP with alpha": {imagefiletest.WebP(imagefiletest.VP8L(30, 10, color.NRGBA{200, 10, 10, 100}, true)), true, 1},
	} {
		info, m := one(t, r, c.file, 10, name)
		assert.Equal(t, c.alpha, info.Alpha, name)
		assert.Equal(t, c.frames, info.Frames, name)
		if !c.alpha {
			for i := 3; i < len(m.Pix); i += 4 {
				require.Equal(t, byte(255), m.Pix[i], name)
			}
		}
	}
}

func TestAlphaDoesNotBleed(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	// Transparent pixels have a colour that must not be seen.
	m := image.NewNRGBA(image.Rect(0, 0, 200, 200))
	for y := range 200 {
		for x := range 200 {
			c := color.NRGBA{0, 255, 0, 0}
			if (x/25+y/25)%2 == 0 {
				c = color.NRGBA{255, 0, 0, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	for _, height := range []int{20, 90, 150} {
		_, got := one(t, r, encodePNG(t, m), height, "checkers")
		for i := 0; i < len(got.Pix); i += 4 {
			if got.Pix[i+3] > 8 {
				assert.LessOrEqual(t, got.Pix[i+1], byte(2))
				assert.GreaterOrEqual(t, got.Pix[i], byte(253))
			}
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	whole := encodeJPEG(t, scene(64, 64))
	wholePNG := encodePNG(t, scene(64, 64))
	tight := domain.ImageLimits{MaxPixels: 64*64 - 1, MaxFrames: 1}
	for name, c := range map[string]struct {
		file []byte
		lim  domain.ImageLimits
		want domain.Code
	}{
		"nothing":          {nil, limits, domain.UnsupportedImage},
		"text":             {[]byte("a text that is longer than a header"), limits, domain.UnsupportedImage},
		"BMP":              {[]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), limits, domain.UnsupportedImage},
		"JPEG cut short":   {whole[:len(whole)-4], limits, domain.CorruptImage},
		"JPEG cut in half": {whole[:len(whole)/2], limits, domain.CorruptImage},
		"PNG cut short":    {wholePNG[:len(wholePNG)-40], limits, domain.CorruptImage},
		"PNG cut in half":  {wholePNG[:len(wholePNG)/2], limits, domain.CorruptImage},
		"JPEG too large":   {whole, tight, domain.TooLarge},
		"PNG too large":    {wholePNG, tight, domain.TooLarge},
	} {
		info, err := r.Inspect(t.Context(), bytes.NewReader(c.file), ports.InspectRequest{Limits: c.lim})
		assert.Equal(t, c.want, domain.CodeOf(err), "%s: %v", name, err)
		assert.Zero(t, info, name)
		if c.want == domain.TooLarge {
			require.NotNil(t, domain.AsError(err).Limit, name)
			assert.EqualValues(t, tight.MaxPixels, *domain.AsError(err).Limit, name)
		}
	}
}

func TestProcessCapsHoldWhateverTheTierSays(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{MaxPixels: 1000})
	none := domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: domain.NoLimit}
	file := encodeJPEG(t, scene(64, 64))
	_, err := r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: none})
	assert.Equal(t, domain.TooLarge, domain.CodeOf(err))
	_, err = r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{10}})
	assert.Equal(t, domain.TooLarge, domain.CodeOf(err))

	// Too little memory for any of it.
	r = resizer(t, nativeresizer.Options{Memory: 100 << 10})
	_, err = r.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: none})
	assert.Equal(t, domain.TooLarge, domain.CodeOf(err))
}

func TestBytesAfterTheEndAreIgnored(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	for name, file := range files(t, 90, 60) {
		_, with := one(t, r, append(bytes.Clone(file), "trailing bytes \xff\xd8 of whatever kind"...), 30, name)
		_, without := one(t, r, file, 30, name)
		assert.Equal(t, without, with, name)
	}
}

// once is a source that is read from its beginning and no more than once.
type once struct{ io.Reader }

func (once) Seek(int64, int) (int64, error) { return 0, nil }

func TestErrorsOfTheSourceComeBack(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	lost := errors.New("the connection was lost")
	for name, file := range files(t, 300, 200) {
		for _, n := range []int{0, 5, 40, len(file) / 2} {
			src := func() io.ReadSeeker { return once{io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(lost))} }
			_, err := r.Inspect(t.Context(), src(), ports.InspectRequest{Limits: limits})
			assert.ErrorIs(t, err, lost, "%s %d", name, n)
			_, err = r.Resize(t.Context(), src(), ports.ResizeRequest{Heights: []int{50}})
			assert.ErrorIs(t, err, lost, "%s %d", name, n)
		}
	}
}

func TestCancelledWorkStops(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, file := range files(t, 300, 200) {
		_, err := r.Inspect(ctx, bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		assert.ErrorIs(t, err, context.Canceled, name)
		assert.Equal(t, domain.Unavailable, domain.CodeOf(err), name)
		_, err = r.Resize(ctx, bytes.NewReader(file), ports.ResizeRequest{Heights: []int{50}})
		assert.ErrorIs(t, err, context.Canceled, name)
	}
}

// blocked gives a file's first bytes, says that they are read, and then waits.
type blocked struct {
	io.ReadSeeker
	reached, wait chan struct{}
}

func (b *blocked) Read(p []byte) (int, error) {
	n, err := b.ReadSeeker.Read(p)
	if errors.Is(err, io.EOF) {
		close(b.reached)
		<-b.wait
	}
	return n, err
}

func TestAFullQueueSaysSo(t *testing.T) {
	t.Parallel()
	// Half of it is more than what a decoder reads at once, so the header comes first.
	file := encodeJPEG(t, scene(1600, 1200))
	r := resizer(t, nativeresizer.Options{Memory: 4 << 20, MaxQueue: 1, MaxWait: 20 * time.Millisecond})
	wait, reached := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		// Takes memory and keeps it while its source is slow.
		_, err := r.Resize(t.Context(), &blocked{bytes.NewReader(file[:len(file)/2]), reached, wait}, ports.ResizeRequest{Heights: []int{400}})
		done <- err
	}()
	<-reached // beyond the header, and so with its memory
	_, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{400}})
	assert.Equal(t, domain.Unavailable, domain.CodeOf(err))
	assert.Positive(t, domain.AsError(err).RetryAfter)
	close(wait)
	assert.Equal(t, domain.CorruptImage, domain.CodeOf(<-done), "half of a file")
	_, err = r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{400}})
	assert.NoError(t, err, "the memory is free again")
}

var update = flag.Bool("update", false, "rewrite the golden thumbnails")

// The golden thumbnails are compared by what can be seen of a difference.
func TestGolden(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	for name, file := range files(t, 320, 240) {
		thumbs, err := r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{36}})
		require.NoError(t, err)
		path := filepath.Join("testdata", "golden", filepath.Base(name)+"."+string(thumbs[0].Format))
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, thumbs[0].Data, 0o644))
		}
		golden, err := os.ReadFile(path)
		require.NoError(t, err)
		want, _, err := image.Decode(bytes.NewReader(golden))
		require.NoError(t, err)
		got, _, err := image.Decode(bytes.NewReader(thumbs[0].Data))
		require.NoError(t, err)
		colour, alpha := difference(toNRGBA(want), toNRGBA(got))
		assert.LessOrEqual(t, colour, 0.5, "%s: mean ΔE2000", name)
		assert.LessOrEqual(t, alpha, 0.5, name)
	}
}

// TestRefusalsSayWhatIsBroken: a damaged file's refusal names the part that is damaged, whichever codec finds it.
func TestRefusalsSayWhatIsBroken(t *testing.T) {
	t.Parallel()
	r := resizer(t, nativeresizer.Options{})
	jpegFile, pngFile := encodeJPEG(t, scene(64, 64)), encodePNG(t, scene(64, 64))
	// with returns a file in which the bytes at a mark's end plus an offset are others.
	with := func(file []byte, mark string, at int, b ...byte) []byte {
		file = bytes.Clone(file)
		i := bytes.Index(file, []byte(mark))
		require.GreaterOrEqual(t, i, 0)
		copy(file[i+len(mark)+at:], b)
		return file
	}
	scan := bytes.Index(jpegFile, []byte("\xff\xda"))
	for name, c := range map[string]struct {
		file []byte
		code domain.Code
		want string
	}{
		"JPEG: a Huffman table of too many codes": {with(jpegFile, "\xff\xc4", 3, 9, 9, 9), domain.CorruptImage, "the JPEG is damaged: Huffman table"},
		"JPEG: no such quantization table":        {with(jpegFile, "\xff\xdb", 2, 0x2f), domain.CorruptImage, "quantization table"},
		"JPEG: a stray marker of lossless frames": {slices.Concat(jpegFile[:scan], []byte("\xff\xc3\x00\x04\x01\x02"), jpegFile[scan:]), domain.CorruptImage, "marker is out of place: 0xc3"},
		"JPEG: lossless":                          {with(jpegFile, "\xff", 0, 0xd8, 0xff, 0xc3, 0, 4, 1, 2), domain.UnsupportedImage, "lossless"},
		"PNG: wrong checksum":                     {with(pngFile, "IDAT", 5, 0xaa, 0xaa), domain.CorruptImage, "the checksum of its IDAT chunk is wrong"},
		"WebP: no lossless bitstream":             {imagefiletest.WebP(imagefiletest.RIFFChunk("VP8L", []byte("\x2f\x08\x00\x00\x00\xff\xff\xff\xff\xff"))), domain.CorruptImage, "the WebP is damaged: VP8L: "},
	} {
		_, err := r.Inspect(t.Context(), bytes.NewReader(c.file), ports.InspectRequest{Limits: limits})
		assert.Equal(t, c.code, domain.CodeOf(err), "%s: %v", name, err)
		assert.ErrorContains(t, err, c.want, name)
	}
}

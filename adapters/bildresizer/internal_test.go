package bildresizer

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anthonynsimon/bild/transform"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func noise(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	random := rand.New(rand.NewPCG(1, uint64(w)))
	for i := range m.Pix {
		m.Pix[i] = byte(random.Uint32())
	}
	return m
}

func frameOf(m image.Image) *frame {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	return &frame{img: m, info: imagefile.Info{Width: w, Height: h, Orientation: 1, First: imagefile.Frame{Width: w, Height: h}}}
}

// What is done in strips is, to the pixel, what bild does with the whole picture.
func TestResampleIsBilds(t *testing.T) {
	t.Parallel()
	for _, size := range [][4]int{{200, 150, 20, 15}, {131, 257, 70, 130}, {300, 70, 299, 69}, {65, 64, 1, 1}, {64, 400, 64, 33}, {500, 20, 77, 20}, {3, 3, 2, 1}} {
		src := noise(size[0], size[1])
		want := transform.Resize(src, size[2], size[3], transform.Lanczos)
		got, err := resample(t.Context(), frameOf(src), size[2], size[3])
		require.NoError(t, err)
		assert.Equal(t, want, got, "%v", size)
	}
}

func TestResampleOfTheSameSizeIsTheSame(t *testing.T) {
	t.Parallel()
	src := noise(90, 130)
	want := image.NewRGBA(src.Rect)
	draw.Draw(want, want.Rect, src, image.Point{}, draw.Src)
	got, err := resample(t.Context(), frameOf(src), 90, 130)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestOrient(t *testing.T) {
	t.Parallel()
	// The letter of a pixel tells where it was: a b c over d e f.
	letters := func(m *image.RGBA) (rows []string) {
		for y := range m.Rect.Dy() {
			row := ""
			for x := range m.Rect.Dx() {
				row += string(rune(m.RGBAAt(x, y).R))
			}
			rows = append(rows, row)
		}
		return rows
	}
	for o, want := range map[int][]string{
		1: {"abc", "def"}, 2: {"cba", "fed"}, 3: {"fed", "cba"}, 4: {"def", "abc"},
		5: {"ad", "be", "cf"}, 6: {"da", "eb", "fc"}, 7: {"fc", "eb", "da"}, 8: {"cf", "be", "ad"},
	} {
		m := image.NewRGBA(image.Rect(0, 0, 3, 2))
		for i, r := range "abcdef" {
			m.SetRGBA(i%3, i/3, color.RGBA{R: uint8(r), A: 255})
		}
		assert.Equal(t, want, letters(orient(m, o)), "orientation %d", o)
	}
}

func TestUnpremultiply(t *testing.T) {
	t.Parallel()
	m := &image.RGBA{Stride: 16, Rect: image.Rect(0, 0, 4, 1), Pix: []uint8{10, 20, 30, 255, 64, 0, 128, 128, 200, 5, 0, 100, 9, 9, 9, 0}}
	assert.Equal(t, []uint8{10, 20, 30, 255, 128, 0, 255, 128, 255, 13, 0, 100, 0, 0, 0, 0}, unpremultiply(m).Pix)
}

func TestPromiseOfPanics(t *testing.T) {
	t.Parallel()
	t.Run("H6", decoderPanicIsAnError)
}

// panicky is a file that makes its decoder panic.
type panicky struct{ io.ReadSeeker }

func (panicky) Seek(int64, int) (int64, error) { return 0, nil }
func (panicky) Read([]byte) (int, error)       { panic("index out of range") }

func decoderPanicIsAnError(t *testing.T) {
	info := imagefile.Info{Format: domain.PNG, Width: 8, Height: 8, First: imagefile.Frame{Width: 8, Height: 8}}
	_, err := decode(t.Context(), &source{ReadSeeker: panicky{}}, info)
	require.ErrorIs(t, err, domain.CorruptImage)
	assert.Contains(t, err.Error(), "panicked")
	assert.NotContains(t, domain.AsError(err).Msg, "panicked", "the public message tells nothing of it")
}

func TestDecodedSizeIsTheHeaders(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))))
	info := imagefile.Info{Format: domain.PNG, Width: 8, Height: 7, First: imagefile.Frame{Width: 8, Height: 7}}
	_, err := decode(t.Context(), &source{ReadSeeker: bytes.NewReader(b.Bytes())}, info)
	assert.ErrorIs(t, err, domain.CorruptImage)
}

func TestBusy(t *testing.T) {
	t.Parallel()
	r, err := New(Options{MaxWait: time.Millisecond})
	require.NoError(t, err)
	file := imagefiletest.JPEG{Width: 8, Height: 8, Values: []byte{1}}.Encode()
	inspect := func(ctx context.Context) error {
		_, err := r.Inspect(ctx, bytes.NewReader(file), ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: 64, MaxFrames: 1}})
		return err
	}

	release, err := r.work.Memory(t.Context(), "", DefaultMemory)
	require.NoError(t, err)
	err = inspect(t.Context())
	require.ErrorIs(t, err, domain.Unavailable)
	assert.Positive(t, domain.AsError(err).RetryAfter)
	release()
	require.NoError(t, inspect(t.Context()))
}

func TestMemoryEstimate(t *testing.T) {
	t.Parallel()
	info := func(format domain.Format, w, h int, change func(*imagefile.Info)) imagefile.Info {
		i := imagefile.Info{Format: format, Width: w, Height: h, Orientation: 1, First: imagefile.Frame{Width: w, Height: h}}
		change(&i)
		return i
	}
	photo := func(progressive bool) imagefile.Info {
		return info(domain.JPEG, 8000, 6000, func(i *imagefile.Info) {
			i.JPEG = imagefile.JPEG{Progressive: progressive, JFIF: true, Components: 3, Sampling: [4]imagefile.Sampling{{H: 2, V: 2}, {H: 1, V: 1}, {H: 1, V: 1}}}
		})
	}
	const pixels = 48_000_000
	for _, c := range []struct {
		name      string
		info      imagefile.Info
		low, high int64 // bytes a pixel, for a thumbnail of 200
	}{
		{"baseline photo", photo(false), pixels * 3 / 2, pixels * 2},
		{"progressive photo", photo(true), pixels * 15 / 2, pixels * 8},
		{"16-bit PNG", info(domain.PNG, 8000, 6000, func(i *imagefile.Info) { i.PNG = imagefile.PNG{BitDepth: 16, ColorType: imagefile.RGBAlpha} }), pixels * 8, pixels * 9},
		{"palette PNG", info(domain.PNG, 8000, 6000, func(i *imagefile.Info) { i.PNG = imagefile.PNG{BitDepth: 1, ColorType: imagefile.Palette} }), pixels, pixels * 3 / 2},
		{"GIF", info(domain.GIF, 8000, 6000, func(*imagefile.Info) {}), pixels, pixels * 3 / 2},
		{"lossy WebP", info(domain.WebP, 8000, 6000, func(*imagefile.Info) {}), pixels * 3 / 2, pixels * 2},
	} {
		need := memory(c.info, 200)
		assert.True(t, c.low <= need && need <= c.high, "%s: %d not in %d to %d", c.name, need, c.low, c.high)
		assert.LessOrEqual(t, memory(c.info, 0), need, c.name)
		assert.Equal(t, c.info.PNG.BitDepth != 16, memory(c.info, domain.MaxHeight) < DefaultMemory, "%s: the defaults let all but the 16-bit one pass", c.name)
	}
}

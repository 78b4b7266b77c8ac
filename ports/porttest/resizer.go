package porttest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Resizer is the suite of ports.Resizer. It makes its pictures itself.
func Resizer(t *testing.T, newResizer func(t *testing.T) ports.Resizer) {
	t.Helper()
	run(t, "Resizer", newResizer, []check[ports.Resizer]{
		{"Version", resizerVersion},
		{"Samples", resizerSamples},
		{"WebP", resizerWebP},
		{"Sizes", resizerSizes},
		{"SameBytesSameThumbnail", resizerDeterministic},
		{"Orientation", resizerOrientation},
		{"Animation", resizerAnimation},
		{"NoMetadata", resizerNoMetadata},
		{"Limits", resizerLimits},
		{"HeaderBombs", resizerBombs},
		{"CutShort", resizerCutShort},
		{"Damaged", resizerDamaged},
		{"BytesAfterTheEnd", resizerTrailing},
		{"Unsupported", resizerUnsupported},
		{"SourceError", resizerSourceError},
		{"EndedContext", resizerEnded},
		{"ContextEndsMidway", resizerMidway},
		{"Parallel", resizerParallel},
		{"Scan", resizerScan},
		{"ScanRefusesEarly", resizerScanEarly},
	})
}

// noLimits leaves everything to the adapter's own caps.
var noLimits = domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: domain.NoLimit}

// Quadrants of the test pictures: top left, top right, bottom left, bottom right.
var (
	red    = color.NRGBA{220, 30, 40, 255}
	green  = color.NRGBA{20, 180, 60, 255}
	blue   = color.NRGBA{30, 50, 200, 255}
	yellow = color.NRGBA{240, 220, 50, 255}
	half   = color.NRGBA{30, 50, 200, 128}
	clean  = color.NRGBA{}
)

type quadrants [4]color.NRGBA

var plain = quadrants{red, green, blue, yellow}

// at is the quadrant that a pixel of a w × h picture is in.
func (q quadrants) at(x, y, w, h int) color.NRGBA {
	i := 0
	if 2*x >= w {
		i++
	}
	if 2*y >= h {
		i += 2
	}
	return q[i]
}

// paint draws the quadrants.
func paint[M interface {
	Set(x, y int, c color.Color)
	Bounds() image.Rectangle
}](m M, q quadrants) M {
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			m.Set(x, y, q.at(x-b.Min.X, y-b.Min.Y, b.Dx(), b.Dy()))
		}
	}
	return m
}

// gray is the quadrants without colour, as the standard library grays them.
func (q quadrants) gray() quadrants {
	for i, c := range q {
		y := color.GrayModel.Convert(c).(color.Gray).Y
		q[i] = color.NRGBA{y, y, y, 255}
	}
	return q
}

func encodePNG(m image.Image) []byte {
	var b bytes.Buffer
	must(png.Encode(&b, m))
	return b.Bytes()
}

func encodeJPEG(m image.Image) []byte {
	var b bytes.Buffer
	must(jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}))
	return b.Bytes()
}

func encodeGIF(frames ...*image.Paletted) []byte {
	g := gif.GIF{Image: frames}
	for range frames {
		g.Delay = append(g.Delay, 10)
		g.Disposal = append(g.Disposal, gif.DisposalNone)
	}
	var b bytes.Buffer
	must(gif.EncodeAll(&b, &g))
	return b.Bytes()
}

// must is for encoders that write to memory pictures which this file drew.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func paletted(w, h int, q quadrants) *image.Paletted {
	pal := color.Palette{}
	for _, c := range q {
		pal = append(pal, c)
	}
	return paint(image.NewPaletted(image.Rect(0, 0, w, h), pal), q)
}

// sample is a picture of four quadrants and what is to be found out about it.
type sample struct {
	name   string
	data   []byte
	format domain.Format
	alpha  bool
	shown  quadrants
}

// The samples' size in pixels: not of whole JPEG blocks.
const sampleWidth, sampleHeight = 90, 62

func samples() []sample {
	r := image.Rect(0, 0, sampleWidth, sampleHeight)
	holed, veiled := quadrants{red, green, clean, yellow}, quadrants{red, green, half, yellow}
	return []sample{
		{"jpeg", encodeJPEG(paint(image.NewNRGBA(r), plain)), domain.JPEG, false, plain},
		{"jpeg gray", encodeJPEG(paint(image.NewGray(r), plain)), domain.JPEG, false, plain.gray()},
		{"png", encodePNG(paint(image.NewNRGBA(r), plain)), domain.PNG, false, plain},
		{"png alpha", encodePNG(paint(image.NewNRGBA(r), veiled)), domain.PNG, true, veiled},
		{"png 16 bit", encodePNG(paint(image.NewNRGBA64(r), plain)), domain.PNG, false, plain},
		{"png 16 bit alpha", encodePNG(paint(image.NewNRGBA64(r), veiled)), domain.PNG, true, veiled},
		{"png gray", encodePNG(paint(image.NewGray(r), plain)), domain.PNG, false, plain.gray()},
		{"png gray 16 bit", encodePNG(paint(image.NewGray16(r), plain)), domain.PNG, false, plain.gray()},
		{"png palette", encodePNG(paletted(sampleWidth, sampleHeight, plain)), domain.PNG, false, plain},
		{"png palette alpha", encodePNG(paletted(sampleWidth, sampleHeight, veiled)), domain.PNG, true, veiled},
		{"gif", encodeGIF(paletted(sampleWidth, sampleHeight, plain)), domain.GIF, false, plain},
		{"gif alpha", encodeGIF(paletted(sampleWidth, sampleHeight, holed)), domain.GIF, true, holed},
	}
}

// decodeThumbnail decodes a thumbnail, which must be what it says it is.
func decodeThumbnail(t *testing.T, th ports.Thumbnail) image.Image {
	t.Helper()
	var m image.Image
	var err error
	switch th.Format {
	case domain.JPEG:
		m, err = jpeg.Decode(bytes.NewReader(th.Data))
	case domain.PNG:
		m, err = png.Decode(bytes.NewReader(th.Data))
	default:
		require.FailNow(t, "a thumbnail is JPEG or PNG", "not %q", th.Format)
	}
	require.NoError(t, err)
	require.Equal(t, image.Pt(th.Width, th.Height), m.Bounds().Size(), "the size that it says")
	return m
}

// wantQuadrants requires the four colours, each near the middle of its quadrant.
func wantQuadrants(t *testing.T, q quadrants, m image.Image) {
	t.Helper()
	const tolerance = 24 // of 255: what a JPEG of quality 80 of a JPEG may be off
	b := m.Bounds()
	for _, p := range []image.Point{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
		x, y := b.Min.X+p.X*b.Dx()/4, b.Min.Y+p.Y*b.Dy()/4
		want := q.at(p.X, p.Y, 4, 4)
		got := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
		assert.InDelta(t, want.A, got.A, tolerance, "alpha at %v of %v", p, b)
		if want.A == 0 {
			continue
		}
		for i, pair := range [][2]uint8{{want.R, got.R}, {want.G, got.G}, {want.B, got.B}} {
			assert.InDeltaf(t, pair[0], pair[1], tolerance, "%c at %v of %v: want %v, got %v", "RGB"[i], p, b, want, got)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func inspect(t *testing.T, r ports.Resizer, data []byte) domain.ImageInfo {
	t.Helper()
	info, err := r.Inspect(t.Context(), bytes.NewReader(data), ports.InspectRequest{Limits: noLimits})
	require.NoError(t, err)
	require.NotEmpty(t, info.Placeholder)
	require.LessOrEqual(t, len(info.Placeholder), 25, "a ThumbHash")
	return info
}

func resize(t *testing.T, r ports.Resizer, data []byte, heights ...int) []ports.Thumbnail {
	t.Helper()
	list, err := r.Resize(t.Context(), bytes.NewReader(data), ports.ResizeRequest{Heights: heights})
	require.NoError(t, err)
	require.Len(t, list, len(heights))
	return list
}

// wantThumbnails makes thumbnails and checks their sizes, order and format.
func wantThumbnails(t *testing.T, r ports.Resizer, data []byte, info domain.ImageInfo, heights ...int) []image.Image {
	t.Helper()
	var out []image.Image
	for i, th := range resize(t, r, data, heights...) {
		w, h := domain.ThumbnailSize(info.Width, info.Height, heights[i])
		require.Equalf(t, [2]int{w, h}, [2]int{th.Width, th.Height}, "height %d of a picture of %d × %d", heights[i], info.Width, info.Height)
		require.Equal(t, info.ThumbnailFormat(), th.Format)
		out = append(out, decodeThumbnail(t, th))
	}
	return out
}

func resizerVersion(t *testing.T, r ports.Resizer) {
	require.Regexp(t, regexp.MustCompile(`^[a-z0-9]+$`), r.Version())
	require.Equal(t, r.Version(), r.Version())
}

func resizerSamples(t *testing.T, r ports.Resizer) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			info := inspect(t, r, s.data)
			info.Placeholder = nil
			require.Equal(t, domain.ImageInfo{Format: s.format, Width: sampleWidth, Height: sampleHeight, Frames: 1, Alpha: s.alpha}, info)
			// Not sorted, one twice, and some that would be enlarged.
			for i, m := range wantThumbnails(t, r, s.data, info, 30, 4320, 7, 1, 62, 30, 61, 63) {
				if m.Bounds().Dy() > 10 {
					t.Log("thumbnail", i)
					wantQuadrants(t, s.shown, m)
				}
			}
		})
	}
}

// tinyWebPs are of one pixel: no encoder in the standard library makes them.
var tinyWebPs = map[string]struct {
	base64 string
	alpha  bool
}{
	"lossy":       {"UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA", false},
	"lossless":    {"UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==", true},
	"lossy alpha": {"UklGRkoAAABXRUJQVlA4WAoAAAAQAAAAAAAAAAAAQUxQSAwAAAARBxAR/Q9ERP8DAABWUDggGAAAABQBAJ0BKgEAAQAAAP4AAA3AAP7mtQAAAA==", true},
	"animated":    {"UklGRlIAAABXRUJQVlA4WAoAAAASAAAAAAAAAAAAQU5JTQYAAAD/////AABBTk1GJgAAAAAAAAAAAAAAAAAAAGQAAABWUDhMDQAAAC8AAAAQBxAREYiI/gcA", true},
}

func resizerWebP(t *testing.T, r ports.Resizer) {
	for name, c := range tinyWebPs {
		t.Run(name, func(t *testing.T) {
			data, err := base64.StdEncoding.DecodeString(c.base64)
			require.NoError(t, err)
			info := inspect(t, r, data)
			require.Equal(t, domain.WebP, info.Format)
			require.Equal(t, [3]int{1, 1, 1}, [3]int{info.Width, info.Height, info.Frames})
			wantThumbnails(t, r, data, info, 200, 1)
		})
	}
}

func resizerSizes(t *testing.T, r ports.Resizer) {
	for _, size := range [][2]int{{1, 1}, {1, 5000}, {5000, 1}, {2, 3}, {3, 2}, {4999, 7}, {17, 4001}, {2, 4321}, {333, 334}} {
		for _, encode := range []func(image.Image) []byte{encodePNG, encodeJPEG} {
			data := encode(paint(image.NewNRGBA(image.Rect(0, 0, size[0], size[1])), plain))
			info := inspect(t, r, data)
			require.Equal(t, size, [2]int{info.Width, info.Height})
			wantThumbnails(t, r, data, info, 4320, 200, 2, 1, 3999)
		}
	}
}

// busy is a picture with detail at every scale, so that any difference in how it
// is resized shows.
func busy(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * y), uint8(x ^ y), uint8((x*x + y*y) >> 4), 255})
		}
	}
	return m
}

// resizerDeterministic requires the same thumbnail of the same bytes and height,
// whatever else is asked for beside it.
func resizerDeterministic(t *testing.T, r ports.Resizer) {
	// Large enough that a decoder may find it worth its while to decode at half size or less.
	sources := map[string][]byte{"large jpeg": encodeJPEG(busy(640, 420)), "large png": encodePNG(busy(300, 420))}
	for _, s := range samples() {
		sources[s.name] = s.data
	}
	for name, data := range sources {
		heights := []int{200, 100, 40, 100}
		list := resize(t, r, data, heights...)
		require.Equal(t, list[1], list[3], name)
		for i, height := range heights[:3] {
			require.Equalf(t, list[i], resize(t, r, data, height)[0], "%s: height %d alone differs from the same beside others", name, height)
		}
		require.Equal(t, list[:3], resize(t, r, data, heights[:3]...), name)
		one, two := inspect(t, r, data), inspect(t, r, data)
		require.Equal(t, one, two, name)
	}
}

// exif returns Exif data (a TIFF structure, Exif 2.32, 4.6) with an orientation and a description.
func exif(order binary.AppendByteOrder, orientation uint16, description string) []byte {
	head := "II"
	if order == binary.AppendByteOrder(binary.BigEndian) {
		head = "MM"
	}
	text := description + "\x00"
	const directory, entry = 8, 12
	b := order.AppendUint32(order.AppendUint16([]byte(head), 42), directory)
	b = order.AppendUint16(b, 2)
	field := func(tag, kind uint16, count, value uint32) {
		b = order.AppendUint32(order.AppendUint32(order.AppendUint16(order.AppendUint16(b, tag), kind), count), value)
	}
	field(0x010e, 2, uint32(len(text)), directory+2+2*entry+4) // ImageDescription, ASCII
	b = order.AppendUint16(order.AppendUint16(b, 0x0112), 3)   // Orientation, SHORT
	b = order.AppendUint16(order.AppendUint16(order.AppendUint32(b, 1), orientation), 0)
	b = order.AppendUint32(b, 0) // no next directory
	return append(b, text...)
}

// withSegments puts marker segments right behind a JPEG's SOI (T.81 B.1.1.4).
func withSegments(data []byte, segments ...[]byte) []byte {
	out := slices.Clone(data[:2])
	for _, s := range segments {
		out = append(out, s...)
	}
	return append(out, data[2:]...)
}

func segment(marker byte, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(payload)+2)), payload...)
}

func resizerOrientation(t *testing.T, r ports.Resizer) {
	coded := encodeJPEG(paint(image.NewNRGBA(image.Rect(0, 0, 96, 64)), plain))
	// Exif 2.32, 4.6.5.1.6 (Orientation): which coded quadrant is shown where.
	shown := []quadrants{
		1: {red, green, blue, yellow},
		2: {green, red, yellow, blue},
		3: {yellow, blue, green, red},
		4: {blue, yellow, red, green},
		5: {red, blue, green, yellow},
		6: {blue, red, yellow, green},
		7: {yellow, green, blue, red},
		8: {green, yellow, red, blue},
	}
	for orientation := uint16(1); orientation <= 8; orientation++ {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			t.Run(fmt.Sprintf("%d/%v", orientation, order), func(t *testing.T) {
				data := withSegments(coded, segment(0xe1, append([]byte("Exif\x00\x00"), exif(order, orientation, "x")...)))
				info := inspect(t, r, data)
				want := [2]int{96, 64}
				if orientation >= 5 {
					want = [2]int{64, 96}
				}
				require.Equal(t, want, [2]int{info.Width, info.Height}, "as a viewer shows it")
				for _, m := range wantThumbnails(t, r, data, info, 32, 4320, 51) {
					wantQuadrants(t, shown[orientation], m)
				}
			})
		}
	}
	// No orientation that there is: as it is coded.
	for _, orientation := range []uint16{0, 9, 65535} {
		data := withSegments(coded, segment(0xe1, append([]byte("Exif\x00\x00"), exif(binary.LittleEndian, orientation, "x")...)))
		info := inspect(t, r, data)
		require.Equal(t, [2]int{96, 64}, [2]int{info.Width, info.Height})
		wantQuadrants(t, plain, wantThumbnails(t, r, data, info, 32)[0])
	}
}

func animation(frames int) []byte {
	var list []*image.Paletted
	for i := range frames {
		q := plain
		if i > 0 {
			q = quadrants{blue, blue, blue, blue}
		}
		list = append(list, paletted(60, 40, q))
	}
	return encodeGIF(list...)
}

func resizerAnimation(t *testing.T, r ports.Resizer) {
	for _, frames := range []int{1, 2, 25} {
		data := animation(frames)
		info := inspect(t, r, data)
		require.Equal(t, frames, info.Frames)
		require.Equal(t, [2]int{60, 40}, [2]int{info.Width, info.Height})
		require.False(t, info.Alpha)
		for _, m := range wantThumbnails(t, r, data, info, 20, 40) {
			wantQuadrants(t, plain, m)
		}
	}
}

// withChunks puts chunks behind a PNG's header chunk (PNG 3rd edition, 5.3).
func withChunks(data []byte, chunks ...[]byte) []byte {
	const header = 8 + 25
	out := slices.Clone(data[:header])
	for _, c := range chunks {
		out = append(out, c...)
	}
	return append(out, data[header:]...)
}

func chunk(name string, data []byte) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), name...)
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func resizerNoMetadata(t *testing.T, r ports.Resizer) {
	const canary = "CANARY-3d1f"
	ex := exif(binary.BigEndian, 1, canary)
	xmp := `<x:xmpmeta xmlns:x="adobe:ns:meta/">` + canary + `</x:xmpmeta>`
	j := withSegments(encodeJPEG(busy(80, 60)),
		segment(0xe1, append([]byte("Exif\x00\x00"), ex...)),
		segment(0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00"+xmp)),
		segment(0xed, []byte("Photoshop 3.0\x00"+canary)),
		segment(0xfe, []byte(canary)))
	veiled := busy(80, 60)
	veiled.SetNRGBA(0, 0, half)
	texts := [][]byte{
		chunk("tEXt", []byte("Comment\x00"+canary)), chunk("iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00"+xmp)), chunk("eXIf", ex),
		chunk("tIME", []byte{7, 234, 1, 2, 3, 4, 5}),
	}
	g := encodeGIF(paletted(80, 60, plain))
	g = slices.Concat(g[:len(g)-1], []byte("\x21\xfe\x0b"+canary+"\x00"), g[len(g)-1:]) // GIF89a, 24: Comment Extension
	for name, data := range map[string][]byte{
		"jpeg": j, "png": withChunks(encodePNG(busy(80, 60)), texts...), "png alpha": withChunks(encodePNG(veiled), texts...), "gif": g,
	} {
		require.Contains(t, string(data), canary, "the test itself")
		info := inspect(t, r, data)
		require.NotContains(t, string(info.Placeholder), canary)
		for _, th := range resize(t, r, data, 20, 4320) {
			for _, trace := range []string{canary, "Exif\x00", "ns.adobe.com", "Photoshop", "tEXt", "zTXt", "iTXt", "eXIf", "tIME"} {
				require.NotContains(t, string(th.Data), trace, name)
			}
		}
	}
}

// wantTooLarge requires the error that tells the bound.
func wantTooLarge(t *testing.T, err error, limit int64) {
	t.Helper()
	wantCode(t, domain.TooLarge, err)
	e := domain.AsError(err)
	require.NotNil(t, e.Limit, "Limit says which bound was hit")
	require.Equal(t, limit, *e.Limit)
}

func resizerLimits(t *testing.T, r ports.Resizer) {
	const pixels = sampleWidth * sampleHeight
	for _, s := range samples() {
		for _, c := range []struct {
			max domain.Limit
			ok  bool
		}{{pixels, true}, {pixels + 1, true}, {domain.NoLimit, true}, {pixels - 1, false}, {1, false}, {0, false}} {
			_, err := r.Inspect(t.Context(), bytes.NewReader(s.data), ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: c.max, MaxFrames: 1}})
			if c.ok {
				require.NoError(t, err, "%s, at most %d pixels", s.name, c.max)
			} else {
				wantTooLarge(t, err, int64(c.max))
			}
		}
	}
	data := animation(4)
	for _, c := range []struct {
		max domain.Limit
		ok  bool
	}{{4, true}, {5, true}, {domain.NoLimit, true}, {3, false}, {1, false}} {
		_, err := r.Inspect(t.Context(), bytes.NewReader(data), ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: domain.NoLimit, MaxFrames: c.max}})
		if c.ok {
			require.NoError(t, err, "at most %d frames", c.max)
		} else {
			wantTooLarge(t, err, int64(c.max))
		}
	}
}

// bombs are files that claim far more pixels than they have.
func bombs() map[string][]byte {
	ihdr := func(w, h uint32) []byte {
		return chunk("IHDR", append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h), 8, 6, 0, 0, 0))
	}
	p := encodePNG(paint(image.NewNRGBA(image.Rect(0, 0, 4, 4)), plain))
	g := encodeGIF(paletted(4, 4, plain))
	binary.LittleEndian.PutUint16(g[6:], 65535) // the logical screen (GIF89a, 18)
	binary.LittleEndian.PutUint16(g[8:], 65535)
	j := encodeJPEG(paint(image.NewNRGBA(image.Rect(0, 0, 4, 4)), plain))
	sof := bytes.Index(j, []byte{0xff, 0xc0}) // T.81 B.2.2: length, precision, lines, samples
	binary.BigEndian.PutUint16(j[sof+5:], 65535)
	binary.BigEndian.PutUint16(j[sof+7:], 65535)
	return map[string][]byte{
		"png":      slices.Concat(p[:8], ihdr(60000, 60000), p[33:]),
		"png tall": slices.Concat(p[:8], ihdr(1, 1<<31-1), p[33:]),
		"gif":      g,
		"jpeg":     j,
	}
}

func resizerBombs(t *testing.T, r ports.Resizer) {
	for name, data := range bombs() {
		_, err := r.Inspect(t.Context(), bytes.NewReader(data), ports.InspectRequest{Limits: domain.ImageLimits{MaxPixels: 1_000_000, MaxFrames: 10}})
		t.Log(name)
		wantTooLarge(t, err, 1_000_000)
		// Without a limit the adapter's own caps, or the missing data, end it.
		_, err = r.Resize(t.Context(), bytes.NewReader(data), ports.ResizeRequest{Heights: []int{10}})
		require.Error(t, err, name)
		require.Contains(t, []domain.Code{domain.TooLarge, domain.CorruptImage}, domain.CodeOf(err), "%s: %v", name, err)
	}
}

func resizerCutShort(t *testing.T, r ports.Resizer) {
	sources := map[string][]byte{
		"jpeg": encodeJPEG(busy(300, 200)), "png": encodePNG(busy(300, 200)), "gif": encodeGIF(paletted(300, 200, plain)), "animation": animation(5),
	}
	for name, data := range sources {
		inspect(t, r, data)
		n := len(data)
		for _, cut := range []int{n / 10, n / 3, n / 2, n * 2 / 3, n * 9 / 10} {
			_, err := r.Inspect(t.Context(), bytes.NewReader(data[:max(cut, 20)]), ports.InspectRequest{Limits: noLimits})
			wantCode(t, domain.CorruptImage, err, fmt.Sprintf("%s, the first %d of %d bytes", name, cut, n))
		}
		// Without its last bytes all pixels may be there. Then the picture may be accepted,
		// as viewers show it, and has thumbnails.
		for _, cut := range []int{n - 10, n - 1} {
			if _, err := r.Inspect(t.Context(), bytes.NewReader(data[:cut]), ports.InspectRequest{Limits: noLimits}); err != nil {
				wantCode(t, domain.CorruptImage, err, fmt.Sprintf("%s, the first %d of %d bytes", name, cut, n))
				continue
			}
			_, err := r.Resize(t.Context(), bytes.NewReader(data[:cut]), ports.ResizeRequest{Heights: []int{10}})
			require.NoError(t, err, "%s, the first %d of %d bytes were accepted", name, cut, n)
		}
	}
}

func resizerDamaged(t *testing.T, r ports.Resizer) {
	p := encodePNG(busy(100, 100))
	idat := bytes.Index(p, []byte("IDAT"))
	j := encodeJPEG(busy(100, 100))
	sof, sos := bytes.Index(j, []byte{0xff, 0xc0}), bytes.Index(j, []byte{0xff, 0xda})
	require.Positive(t, min(idat, sof, sos), "the test itself")
	p[idat+4+200] ^= 0x55
	noScan := slices.Concat(j[:sos], []byte{0xff, 0xd9})
	noTables := slices.Concat(j[:2], j[sof:])
	for name, data := range map[string][]byte{
		"png with a wrong byte": p, "jpeg without a scan": noScan, "jpeg without tables": noTables,
		"png header alone": encodePNG(busy(9, 9))[:33], "gif without an image": append(slices.Clone(encodeGIF(paletted(9, 9, plain))[:13]), 0x3b),
		"jpeg of nothing": {0xff, 0xd8, 0xff, 0xd9}, "no pixels": slices.Concat(p[:8], chunk("IHDR", []byte{0, 0, 0, 0, 0, 0, 0, 5, 8, 2, 0, 0, 0}), p[33:]),
	} {
		_, err := r.Inspect(t.Context(), bytes.NewReader(data), ports.InspectRequest{Limits: noLimits})
		wantCode(t, domain.CorruptImage, err, name)
	}
}

func resizerTrailing(t *testing.T, r ports.Resizer) {
	for _, s := range samples() {
		want := inspect(t, r, s.data)
		for _, tail := range [][]byte{{0}, []byte("\r\n"), noise(1, 100_000), encodeJPEG(busy(50, 50)), []byte("PK\x03\x04 a zip archive")} {
			data := slices.Concat(s.data, tail)
			require.Equal(t, want, inspect(t, r, data), "%s with %d bytes after its end", s.name, len(tail))
			wantThumbnails(t, r, data, want, 20)
		}
	}
}

func resizerUnsupported(t *testing.T, r ports.Resizer) {
	for name, data := range map[string]string{
		"empty": "", "one byte": "\xff", "text": "hello, this is not a picture at all\n", "pdf": "%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
		"svg": `<svg xmlns="http://www.w3.org/2000/svg"><image href="http://localhost/x"/></svg>`, "html": "<!DOCTYPE html><script>1</script>",
		"bmp": "BM" + strings.Repeat("\x00", 100), "tiff": "II*\x00\x08\x00\x00\x00" + strings.Repeat("\x00", 100), "gif of another version": "GIF88a" + strings.Repeat("\x01", 100),
		"riff that is no webp": "RIFF\x24\x00\x00\x00WAVEfmt " + strings.Repeat("\x00", 40), "postscript": "%!PS-Adobe-3.0\n", "zeros": strings.Repeat("\x00", 1000),
		"a jpeg behind a blank": " " + string(encodeJPEG(busy(9, 9))), "ico": "\x00\x00\x01\x00\x01\x00" + strings.Repeat("\x10", 50),
	} {
		_, err := r.Inspect(t.Context(), strings.NewReader(data), ports.InspectRequest{Limits: noLimits})
		wantCode(t, domain.UnsupportedImage, err, name)
		_, err = r.Resize(t.Context(), strings.NewReader(data), ports.ResizeRequest{Heights: []int{10}})
		wantCode(t, domain.UnsupportedImage, err, name)
	}
}

func resizerSourceError(t *testing.T, r ports.Resizer) {
	boom := errors.New("boom")
	tooLarge := domain.LimitError(domain.TooLarge, 5, "the upload is too large")
	for _, s := range samples() {
		for _, n := range []int{0, 1, 5, 11, 40, len(s.data) / 2, len(s.data) - 1} {
			for _, failure := range []error{boom, tooLarge} {
				src := func() io.ReadSeeker {
					return &hooked{r: bytes.NewReader(s.data), at: int64(n), do: func() error { return failure }}
				}
				_, err := r.Inspect(t.Context(), src(), ports.InspectRequest{Limits: noLimits})
				require.ErrorIs(t, err, failure, "Inspect, %s, after %d bytes", s.name, n)
				require.Equal(t, domain.CodeOf(failure), domain.CodeOf(err), "the source's error is not the picture's fault: %v", err)
				_, err = r.Resize(t.Context(), src(), ports.ResizeRequest{Heights: []int{10}})
				require.ErrorIs(t, err, failure, "Resize, %s, after %d bytes", s.name, n)
				require.Equal(t, domain.CodeOf(failure), domain.CodeOf(err), "the source's error is not the picture's fault: %v", err)
			}
		}
	}
}

func resizerEnded(t *testing.T, r ports.Resizer) {
	data := encodeJPEG(busy(400, 400))
	wantAllEnded(t, []call{
		{"Inspect", func(ctx context.Context) error {
			_, err := r.Inspect(ctx, bytes.NewReader(data), ports.InspectRequest{Limits: noLimits})
			return err
		}},
		{"Resize", func(ctx context.Context) error {
			_, err := r.Resize(ctx, bytes.NewReader(data), ports.ResizeRequest{Heights: []int{10}})
			return err
		}},
		{"Inspect no picture", func(ctx context.Context) error {
			_, err := r.Inspect(ctx, strings.NewReader("no picture"), ports.InspectRequest{Limits: noLimits})
			return err
		}},
	})
}

// endless is a JPEG that gives fill bytes for ever, which may stand before a marker
// (T.81 B.1.1.2), and ends a context when it is first asked for them.
type endless struct {
	end func()
	pos int64
}

func (e *endless) Read(p []byte) (int, error) {
	const begin = "\xff\xd8"
	var n int
	if e.pos < int64(len(begin)) {
		n = copy(p, begin[e.pos:])
	} else {
		e.end()
		for i := range p {
			p[i] = 0xff
		}
		n = len(p)
	}
	e.pos += int64(n)
	return n, nil
}

func (e *endless) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		e.pos = offset
	case io.SeekCurrent:
		e.pos += offset
	default:
		return 0, errors.New("it has no end")
	}
	return e.pos, nil
}

func resizerMidway(t *testing.T, r ports.Resizer) {
	for name, do := range map[string]func(ctx context.Context, src io.ReadSeeker) error{
		"Inspect": func(ctx context.Context, src io.ReadSeeker) error {
			_, err := r.Inspect(ctx, src, ports.InspectRequest{Limits: noLimits})
			return err
		},
		"Resize": func(ctx context.Context, src io.ReadSeeker) error {
			_, err := r.Resize(ctx, src, ports.ResizeRequest{Heights: []int{10}})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		wantEnded(t, do(ctx, &endless{end: cancel}), name)
		cancel()
	}
}

func resizerParallel(t *testing.T, r ports.Resizer) {
	all := samples()
	want := make([][]ports.Thumbnail, len(all))
	for i, s := range all {
		want[i] = resize(t, r, s.data, 50, 20)
	}
	errs := make([]error, len(all))
	race(len(all), func(i int) {
		for range 3 {
			got, err := r.Resize(t.Context(), bytes.NewReader(all[i].data), ports.ResizeRequest{Heights: []int{50, 20}})
			if err == nil && !assert.ObjectsAreEqual(want[i], got) {
				err = fmt.Errorf("%s: another thumbnail than alone", all[i].name)
			}
			errs[i] = errors.Join(errs[i], err)
		}
	})
	require.NoError(t, errors.Join(errs...))
}

// scan writes a file to a Scan in pieces of n bytes. It tells how many bytes it took to refuse it.
func scan(s ports.Scan, data []byte, n int) (taken int, err error) {
	for piece := range slices.Chunk(data, n) {
		if k, err := s.Write(piece); err != nil {
			return taken + k, err
		} else if k != len(piece) {
			return taken + k, io.ErrShortWrite
		}
		taken += len(piece)
	}
	return taken, s.Finish()
}

// resizerScan wants the same of a file that arrives piece by piece as of one that is there.
// A file that ends amid its pixels is the one that a Scan may leave to Inspect.
func resizerScan(t *testing.T, r ports.Resizer) {
	sources := map[string][]byte{"animation": animation(3), "text": []byte("no picture"), "nothing": nil}
	amidPixels := map[string]bool{}
	for _, s := range samples() {
		sources[s.name] = s.data
		sources[s.name+" cut short"], amidPixels[s.name+" cut short"] = s.data[:len(s.data)/2], true
		sources[s.name+" cut in its header"] = s.data[:20]
		sources[s.name+" and more"] = slices.Concat(s.data, noise(1, 5000))
	}
	for name, data := range sources {
		for _, n := range []int{1, 7, 100, len(data) + 1} {
			judge := r.Scan(noLimits)
			_, refused := scan(judge, data, n)
			info, err := r.Inspect(t.Context(), bytes.NewReader(data), ports.InspectRequest{Limits: noLimits})
			if refused != nil || err != nil && !amidPixels[name] {
				require.Errorf(t, refused, "%s: Inspect says %v", name, err)
				require.Errorf(t, err, "%s: Scan says %v", name, refused)
				require.Equal(t, domain.CodeOf(err), domain.CodeOf(refused), "%s in pieces of %d", name, n)
				require.Equal(t, refused, judge.Finish(), "%s: the error stays", name)
				continue
			}
			again, scanned := r.Inspect(t.Context(), bytes.NewReader(data), ports.InspectRequest{Limits: noLimits, Scanned: judge})
			require.Equal(t, domain.CodeOf(err), domain.CodeOf(scanned), "%s: what was scanned already is judged alike: %v, %v", name, err, scanned)
			require.Equal(t, info, again, "%s: what was scanned already is told alike", name)
		}
	}
}

// resizerScanEarly wants a refusal as soon as the header says enough, not when the file is whole.
func resizerScanEarly(t *testing.T, r ports.Resizer) {
	const most = 2000 // bytes: no sample has a header as long
	lim := domain.ImageLimits{MaxPixels: 100, MaxFrames: 2}
	tail := noise(1, 100_000)
	for _, s := range samples() {
		taken, err := scan(r.Scan(lim), slices.Concat(s.data, tail), 10)
		wantTooLarge(t, err, 100)
		require.Lessf(t, taken, most, "%s: refused after that many bytes", s.name)
	}
	taken, err := scan(r.Scan(noLimits), slices.Concat([]byte("plain text, and then more of it"), tail), 10)
	wantCode(t, domain.UnsupportedImage, err)
	require.Less(t, taken, 100)
}

package imagefile_test

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
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/domain"
)

var limits = imagefile.Limits{ImageLimits: domain.ImageLimits{MaxPixels: 100_000_000, MaxFrames: 1000}}

func scan(file []byte) (imagefile.Info, error) {
	return imagefile.Scan(context.Background(), bytes.NewReader(file), limits)
}

func encodeJPEG(m image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func encodePNG(m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// encodeGIF makes a GIF of a screen and frames; transparent adds a transparent index to the palette.
func encodeGIF(width, height int, transparent bool, frames ...image.Rectangle) []byte {
	palette := color.Palette{color.Black, color.White}
	if transparent {
		palette = append(palette, color.Transparent)
	}
	g := gif.GIF{Config: image.Config{Width: width, Height: height, ColorModel: palette}}
	for _, r := range frames {
		g.Image = append(g.Image, image.NewPaletted(r, palette))
		g.Delay = append(g.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func exifSegment(orientation int) []byte {
	return imagefiletest.Segment(0xe1, append([]byte("Exif\x00\x00"), imagefiletest.EXIF(binary.BigEndian, orientation)...))
}

func exifChunk(orientation int) []byte {
	return imagefiletest.PNGChunk("eXIf", imagefiletest.EXIF(binary.LittleEndian, orientation))
}

func fcTL(width, height uint32) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), width)
	return imagefiletest.PNGChunk("fcTL", append(binary.BigEndian.AppendUint32(b, height), make([]byte, 14)...))
}

// good are files with what scanning them tells.
func good() []struct {
	name string
	file []byte
	want imagefile.Info
} {
	type J = imagefile.JPEG
	type S = imagefile.Sampling
	whole := func(w, h int) imagefile.Frame { return imagefile.Frame{Width: w, Height: h} }
	gray, rgb, rgba := image.NewGray(image.Rect(0, 0, 64, 32)), image.NewRGBA(image.Rect(0, 0, 40, 30)), image.NewNRGBA(image.Rect(0, 0, 40, 30))
	for i := range rgb.Pix {
		rgb.Pix[i] = 0xff
	}
	opaque := color.NRGBA{1, 2, 3, 255}
	icc := imagefiletest.Segment(0xe2, append([]byte("ICC_PROFILE\x00\x01\x01"), 0xff, 0xd9, 0xff))
	ids := [4]byte{1, 2, 3, 4}
	ids3 := [4]byte{1, 2, 3}
	return []struct {
		name string
		file []byte
		want imagefile.Info
	}{
		{"gray JPEG", encodeJPEG(gray), imagefile.Info{
			Format: domain.JPEG, Width: 64, Height: 32, First: whole(64, 32), Work: 8 * 4,
			JPEG: J{Components: 1, Sampling: [4]S{{1, 1}}, IDs: [4]byte{1}, Scans: 1},
		}},
		{"4:2:0 JPEG with EXIF, ICC and what looks like an end in it", imagefiletest.WithSegments(encodeJPEG(rgb), icc, exifSegment(6)), imagefile.Info{
			Format: domain.JPEG, Width: 40, Height: 30, Orientation: 6, ICC: true, First: whole(40, 30), Work: 3 * 2 * 6,
			JPEG: J{Components: 3, Sampling: [4]S{{2, 2}, {1, 1}, {1, 1}}, IDs: ids3, Scans: 1},
		}},
		{"two EXIF segments: the first that says something", imagefiletest.WithSegments(encodeJPEG(gray), exifSegment(0), exifSegment(3), exifSegment(6)), imagefile.Info{
			Format: domain.JPEG, Width: 64, Height: 32, Orientation: 3, First: whole(64, 32), Work: 8 * 4,
			JPEG: J{Components: 1, Sampling: [4]S{{1, 1}}, IDs: [4]byte{1}, Scans: 1},
		}},
		{
			"progressive CMYK JPEG with restart interval",
			imagefiletest.WithSegments(imagefiletest.JPEG{Width: 17, Height: 9, Values: []byte{1, 2, 3, 4}, Subsampled: true, Progressive: true, ExtraScans: 2}.Encode(),
				imagefiletest.AdobeSegment(2), imagefiletest.Segment(0xdd, []byte{0, 9})),
			imagefile.Info{
				Format: domain.JPEG, Width: 17, Height: 9, First: whole(17, 9), Work: 2*1*10 + 2*(3*2),
				JPEG: J{Progressive: true, Components: 4, Sampling: [4]S{{2, 2}, {1, 1}, {1, 1}, {2, 2}}, IDs: ids, Scans: 3, RestartInterval: 9, Adobe: true, AdobeTransform: 2},
			},
		},

		{"RGB PNG", encodePNG(rgb), imagefile.Info{
			Format: domain.PNG, Width: 40, Height: 30, First: whole(40, 30), Work: 40 * 30 * 3 / 64,
			PNG: imagefile.PNG{BitDepth: 8, ColorType: imagefile.RGB},
		}},
		{"RGBA PNG with EXIF and ICC", imagefiletest.WithChunks(encodePNG(rgba), exifChunk(8), imagefiletest.PNGChunk("iCCP", []byte("x"))), imagefile.Info{
			Format: domain.PNG, Width: 40, Height: 30, Orientation: 8, Alpha: true, ICC: true, First: whole(40, 30), Work: 40 * 30 * 4 / 64,
			PNG: imagefile.PNG{BitDepth: 8, ColorType: imagefile.RGBAlpha},
		}},
		{
			"gray PNG with tRNS, and an ancillary chunk with a wrong checksum",
			imagefiletest.WithChunks(encodePNG(gray), imagefiletest.PNGChunk("tRNS", []byte{0, 1}), []byte("\x00\x00\x00\x01tEXtxbad!")),
			imagefile.Info{
				Format: domain.PNG, Width: 64, Height: 32, Alpha: true, First: whole(64, 32), Work: 32,
				PNG: imagefile.PNG{BitDepth: 8, ColorType: imagefile.Gray, Transparency: true},
			},
		},
		{
			"APNG whose first picture is not of the animation, and that claims more than it has",
			imagefiletest.WithChunks(encodePNG(rgb), imagefiletest.PNGChunk("acTL", []byte("\x7f\xff\xff\xff\x00\x00\x00\x00"))),
			imagefile.Info{
				Format: domain.PNG, Width: 40, Height: 30, First: whole(40, 30), Work: 40 * 30 * 3 / 64,
				PNG: imagefile.PNG{BitDepth: 8, ColorType: imagefile.RGB},
			},
		},
		{"APNG of two frames", imagefiletest.WithChunks(encodePNG(rgb), fcTL(40, 30), fcTL(2, 2)), imagefile.Info{
			Format: domain.PNG, Width: 40, Height: 30, Frames: 2, First: whole(40, 30), Work: 40 * 30 * 3 / 64,
			PNG: imagefile.PNG{BitDepth: 8, ColorType: imagefile.RGB},
		}},

		{"GIF", encodeGIF(9, 7, false, image.Rect(0, 0, 9, 7)), imagefile.Info{Format: domain.GIF, Width: 9, Height: 7, First: whole(9, 7)}},
		{"GIF with a transparent index", encodeGIF(9, 7, true, image.Rect(0, 0, 9, 7)), imagefile.Info{
			Format: domain.GIF, Width: 9, Height: 7, Alpha: true, First: whole(9, 7),
		}},
		{"GIF animation whose first frame is small", encodeGIF(90, 70, false, image.Rect(5, 6, 21, 14), image.Rect(0, 0, 90, 70)), imagefile.Info{
			Format: domain.GIF, Width: 90, Height: 70, Frames: 2, Alpha: true, First: imagefile.Frame{X: 5, Y: 6, Width: 16, Height: 8}, Work: 2,
		}},

		{"lossless WebP", imagefiletest.WebP(imagefiletest.VP8L(64, 4, opaque, false)), imagefile.Info{
			Format: domain.WebP, Width: 64, Height: 4, First: whole(64, 4), Work: 12,
			WebP: imagefile.WebP{Lossless: true, Bitstream: imagefile.Span{Offset: 20, Length: 14}},
		}},
		{"lossless WebP with alpha", imagefiletest.WebP(imagefiletest.VP8L(64, 4, opaque, true)), imagefile.Info{
			Format: domain.WebP, Width: 64, Height: 4, Alpha: true, First: whole(64, 4), Work: 16,
			WebP: imagefile.WebP{Lossless: true, Alpha: true, Bitstream: imagefile.Span{Offset: 20, Length: 14}},
		}},
		{"lossy WebP", imagefiletest.WebP(imagefiletest.VP8(64, 4)), imagefile.Info{
			Format: domain.WebP, Width: 64, Height: 4, First: whole(64, 4), Work: 12,
			WebP: imagefile.WebP{Bitstream: imagefile.Span{Offset: 20, Length: 10 + 2*(64+4*8)}},
		}},
		{
			"lossy WebP with alpha, ICC and EXIF at the end",
			imagefiletest.WebP(imagefiletest.VP8X(imagefiletest.FlagAlpha, 16, 4), imagefiletest.RIFFChunk("ICCP", []byte("x")),
				imagefiletest.ALPH(16, 4, 9), imagefiletest.VP8(16, 4), imagefiletest.RIFFChunk("EXIF", imagefiletest.EXIF(binary.LittleEndian, 6))),
			imagefile.Info{
				Format: domain.WebP, Width: 16, Height: 4, Orientation: 6, Alpha: true, ICC: true, First: whole(16, 4), Work: 4,
				WebP: imagefile.WebP{Alpha: true, AlphaPlane: imagefile.Span{Offset: 12 + 18 + 10 + 8, Length: 65}, Bitstream: imagefile.Span{Offset: 12 + 18 + 10 + 8 + 66 + 8, Length: 10 + 2*(64+8)}},
			},
		},
		{
			"animated WebP",
			imagefiletest.WebP(imagefiletest.VP8X(imagefiletest.FlagAnimation, 100, 50), imagefiletest.RIFFChunk("ANIM", make([]byte, 6)),
				imagefiletest.ANMF(10, 20, 32, 4, imagefiletest.RIFFChunk("JUNK", []byte("x")), imagefiletest.VP8L(32, 4, opaque, false)),
				imagefiletest.ANMF(0, 0, 100, 50, imagefiletest.VP8(100, 50))),
			imagefile.Info{
				Format: domain.WebP, Width: 100, Height: 50, Frames: 2, Alpha: true, First: imagefile.Frame{X: 10, Y: 20, Width: 32, Height: 4}, Work: 6,
				WebP: imagefile.WebP{Lossless: true, Animated: true, Bitstream: imagefile.Span{Offset: 12 + 18 + 14 + 24 + 10 + 8, Length: 14}},
			},
		},
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	for _, c := range good() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.want.Orientation, c.want.Frames = max(c.want.Orientation, 1), max(c.want.Frames, 1)
			got, err := scan(c.file)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)

			w, h := got.Size()
			if got.Orientation >= 5 {
				w, h = h, w
			}
			assert.Equal(t, [2]int{c.want.Width, c.want.Height}, [2]int{w, h})

			got, err = imagefile.Scan(t.Context(), iotest.OneByteReader(bytes.NewReader(c.file)), limits)
			require.NoError(t, err, "byte by byte")
			assert.Equal(t, c.want, got, "byte by byte")

			got, err = scan(append(bytes.Clone(c.file), "\xff\xd8 more bytes <html>"...))
			require.NoError(t, err, "bytes after the end")
			assert.Equal(t, c.want, got, "bytes after the end")

			for n := range c.file { // every way to cut it short
				_, err := scan(c.file[:n])
				if err == nil && n > pixelsFrom(c.file) {
					continue // whether all pixels are there, the decoder knows
				}
				want := domain.CorruptImage
				if _, ok := domain.Sniff(c.file[:n]); !ok {
					want = domain.UnsupportedImage
				}
				require.Equal(t, want, domain.CodeOf(err), "the first %d of %d bytes: %v", n, len(c.file), err)
			}
		})
	}
}

// pixelsFrom is where the pixels of a PNG's, a GIF's first frame or a JPEG's last scan begin, from
// where on such a file may end. (Progressive JPEGs may not.)
func pixelsFrom(file []byte) int {
	switch format, _ := domain.Sniff(file); format {
	case domain.JPEG:
		return bytes.LastIndex(file, []byte("\xff\xda"))
	case domain.PNG:
		return bytes.Index(file, []byte("IDAT"))
	case domain.GIF:
		return bytes.IndexByte(file, 0x2c)
	}
	return len(file)
}

// TestScanForgives what every viewer shows.
func TestScanForgives(t *testing.T) {
	t.Parallel()
	pngFile := encodePNG(image.NewGray(image.Rect(0, 0, 8, 8)))
	gifFile := encodeGIF(9, 7, false, image.Rect(0, 0, 9, 7))
	descriptor := bytes.IndexByte(gifFile[13:], 0x2c) + 13
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"PNG: palette of four bytes", imagefiletest.WithChunks(pngFile, imagefiletest.PNGChunk("PLTE", make([]byte, 4)))},
		{"PNG: picture in pieces", append(bytes.Clone(pngFile[:len(pngFile)-12]), append(imagefiletest.PNGChunk("tEXt", nil), imagefiletest.PNGChunk("IDAT", nil)...)...)},
		{"PNG: fcTL of 25 bytes", imagefiletest.WithChunks(pngFile, imagefiletest.PNGChunk("fcTL", make([]byte, 25)))},
		{"GIF: screen of no pixels", replace(gifFile, 6, 0, 0)},
		{"GIF: frame beyond the screen", replace(gifFile, descriptor+1, 1)},
		{"PNG: no end", pngFile[:len(pngFile)-12]},
		{"PNG: garbage as end", append(bytes.Clone(pngFile[:len(pngFile)-12]), "garbage in place of a chunk"...)},
		{"PNG: transparency before the palette, and of a wrong length", imagefiletest.WithChunks(pngFile, imagefiletest.PNGChunk("tRNS", make([]byte, 300)))},
		{"GIF: junk as trailer", replace(gifFile, len(gifFile)-1, 0)},
		{"GIF: no trailer", gifFile[:len(gifFile)-1]},
	} {
		info, err := scan(c.file)
		assert.NoError(t, err, c.name)
		assert.False(t, info.PNG.Transparency, c.name)
	}
}

func replace(file []byte, at int, with ...byte) []byte {
	b := bytes.Clone(file)
	copy(b[at:], with)
	return b
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	gray := encodeJPEG(image.NewGray(image.Rect(0, 0, 8, 8)))
	sof := bytes.Index(gray, []byte{0xff, 0xc0})
	dqt := bytes.Index(gray, []byte{0xff, 0xdb})
	sos := bytes.Index(gray, []byte{0xff, 0xda})
	pngFile := encodePNG(image.NewGray(image.Rect(0, 0, 8, 8)))
	idat := bytes.Index(pngFile, []byte("IDAT")) - 4
	gifFile := encodeGIF(9, 7, false, image.Rect(0, 0, 9, 7))
	descriptor := bytes.IndexByte(gifFile[13:], 0x2c) + 13
	webpFile := imagefiletest.WebP(imagefiletest.VP8L(9, 7, color.NRGBA{}, true))
	lossy := imagefiletest.WebP(imagefiletest.VP8(9, 7))
	vp8x := imagefiletest.VP8X(imagefiletest.FlagAlpha|imagefiletest.FlagAnimation, 9, 7)
	still := imagefiletest.VP8L(9, 7, color.NRGBA{}, true)
	header := func(w, h uint32, rest ...byte) []byte {
		return append(append([]byte(imagefiletest.PNGSignature), imagefiletest.IHDR(w, h, rest[0], rest[1], rest[2])...), pngFile[33:]...)
	}

	for _, c := range []struct {
		name string
		file []byte
		want domain.Code
	}{
		{"nothing", nil, domain.UnsupportedImage},
		{"text", []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), domain.UnsupportedImage},
		{"an audio file", []byte("RIFF\x24\x00\x00\x00WAVEfmt "), domain.UnsupportedImage},

		{"JPEG: no scan", append(bytes.Clone(gray[:sos]), 0xff, 0xd9), domain.CorruptImage},
		{"JPEG: scan before frame", append(bytes.Clone(gray[:sof]), gray[sos:]...), domain.CorruptImage},
		{"JPEG: two frames", imagefiletest.WithSegments(gray, gray[sof+0:sof+13]), domain.CorruptImage},
		{"JPEG: no quantization table", append(bytes.Clone(gray[:dqt]), gray[sof:]...), domain.CorruptImage},
		{"JPEG: quantization table cut short", imagefiletest.WithSegments(gray, imagefiletest.Segment(0xdb, make([]byte, 64))), domain.CorruptImage},
		{"JPEG: quantization table 4", imagefiletest.WithSegments(gray, imagefiletest.Segment(0xdb, append([]byte{4}, make([]byte, 64)...))), domain.CorruptImage},
		{"JPEG: segment of length 1", replace(gray, dqt+3, 1), domain.CorruptImage},
		{"JPEG: width 0", replace(gray, sof+7, 0, 0), domain.CorruptImage},
		{"JPEG: height 0, to be told later", replace(gray, sof+5, 0, 0), domain.UnsupportedImage},
		{"JPEG: 12 bits in a baseline file", replace(gray, sof+4, 12), domain.CorruptImage},
		{"JPEG: 12 bits", replace(gray, sof+1, 0xc1, 0, 11, 12), domain.UnsupportedImage},
		{"JPEG: lossless", replace(gray, sof+1, 0xc3), domain.UnsupportedImage},
		{"JPEG: arithmetic coded", replace(gray, sof+1, 0xc9), domain.UnsupportedImage},
		{"JPEG: sampling 0", replace(gray, sof+11, 0x01), domain.CorruptImage},
		{"JPEG: sampling 5", replace(gray, sof+11, 0x51), domain.CorruptImage},
		{"JPEG: quantization table 7", replace(gray, sof+12, 7), domain.CorruptImage},
		{"JPEG: other number of components", replace(gray, sof+9, 3), domain.CorruptImage},
		{"JPEG: two components", imagefiletest.WithSegments(gray, imagefiletest.Segment(0xc0, []byte{8, 0, 8, 0, 8, 2, 1, 0x11, 0, 2, 0x11, 0})), domain.UnsupportedImage},
		{"JPEG: five components", imagefiletest.WithSegments(gray, imagefiletest.Segment(0xc0, make([]byte, 6+15))), domain.UnsupportedImage},
		{"JPEG: scan of an unknown component", replace(gray, sos+5, 9), domain.CorruptImage},
		{"JPEG: scan of no component", replace(gray, sos+4, 0), domain.CorruptImage},
		{"JPEG: second SOI", imagefiletest.WithSegments(gray, []byte{0xff, 0xd8}), domain.CorruptImage},
		{"JPEG: short DRI", imagefiletest.WithSegments(gray, imagefiletest.Segment(0xdd, []byte{1})), domain.CorruptImage},

		{"PNG: no header", append([]byte(imagefiletest.PNGSignature), pngFile[33:]...), domain.CorruptImage},
		{"PNG: two headers", imagefiletest.WithChunks(pngFile, imagefiletest.IHDR(8, 8, 8, 0, 0)), domain.CorruptImage},
		{"PNG: no picture", append(bytes.Clone(pngFile[:idat]), imagefiletest.PNGChunk("IEND", nil)...), domain.CorruptImage},
		{"PNG: header's checksum", replace(pngFile, 29, 1), domain.CorruptImage},
		{"PNG: data's checksum", replace(pngFile, idat+9, 0x55), domain.CorruptImage},
		{"PNG: width 0", header(0, 8, 8, 0, 0), domain.CorruptImage},
		{"PNG: height 0", header(8, 0, 8, 0, 0), domain.CorruptImage},
		{"PNG: depth 3", header(8, 8, 3, 2, 0), domain.CorruptImage},
		{"PNG: depth 99", header(8, 8, 99, 2, 0), domain.CorruptImage},
		{"PNG: 16-bit palette", header(8, 8, 16, 3, 0), domain.CorruptImage},
		{"PNG: colour type 5", header(8, 8, 8, 5, 0), domain.CorruptImage},
		{"PNG: interlace 2", header(8, 8, 8, 0, 2), domain.CorruptImage},
		{"PNG: no palette", header(8, 8, 8, 3, 0), domain.CorruptImage},
		{"PNG: chunk of 2³²-1 bytes", replace(pngFile, idat, 0xff, 0xff, 0xff, 0xff), domain.CorruptImage},
		{"PNG: chunk without a name", imagefiletest.WithChunks(pngFile, imagefiletest.PNGChunk("a\x00bc", nil)), domain.CorruptImage},
		{"PNG: unknown critical chunk", imagefiletest.WithChunks(pngFile, imagefiletest.PNGChunk("CRIT", nil)), domain.UnsupportedImage},
		{"PNG: frame of no pixels", imagefiletest.WithChunks(pngFile, fcTL(0, 1)), domain.CorruptImage},

		{"GIF: frame of no pixels", replace(gifFile, descriptor+5, 0, 0), domain.CorruptImage},
		{"GIF: unknown block", replace(gifFile, descriptor, 0x70), domain.CorruptImage},
		{"GIF: no colour table", append(replace(gifFile, 10, 0)[:13], gifFile[descriptor:]...), domain.CorruptImage},
		{"GIF: no picture", append(bytes.Clone(gifFile[:descriptor]), 0x3b), domain.CorruptImage},
		{"GIF: control block of 80 bytes", append(append(bytes.Clone(gifFile[:descriptor]), 0x21, 0xf9, 80), gifFile[descriptor:]...), domain.CorruptImage},

		{"WebP: too short", replace(webpFile, 4, 4, 0, 0, 0), domain.CorruptImage},
		{"WebP: longer than the file", replace(webpFile, 4, 0xff, 0xff, 0xff, 0xff), domain.CorruptImage},
		{"WebP: chunk longer than the file", replace(webpFile, 16, 0xff), domain.CorruptImage},
		{"WebP: lossless signature", replace(webpFile, 20, 0x2e), domain.CorruptImage},
		{"WebP: lossless version", replace(webpFile, 24, 0xf0), domain.CorruptImage},
		{"WebP: no key frame", replace(lossy, 20, lossy[20]|1), domain.CorruptImage},
		{"WebP: not shown", replace(lossy, 20, lossy[20]&^0x10), domain.CorruptImage},
		{"WebP: lossy signature", replace(lossy, 23, 0), domain.CorruptImage},
		{"WebP: width 0", replace(lossy, 26, 0, 0), domain.CorruptImage},
		{"WebP: no picture", imagefiletest.WebP(vp8x), domain.CorruptImage},
		{"WebP: two headers", imagefiletest.WebP(vp8x, vp8x, still), domain.CorruptImage},
		{"WebP: header too short", imagefiletest.WebP(imagefiletest.RIFFChunk("VP8X", []byte{1, 2}), still), domain.CorruptImage},
		{"WebP: canvas and picture differ", imagefiletest.WebP(vp8x, imagefiletest.VP8L(8, 7, color.NRGBA{}, true)), domain.CorruptImage},
		{"WebP: frame and picture differ", imagefiletest.WebP(vp8x, imagefiletest.ANMF(0, 0, 9, 6, still)), domain.CorruptImage},
		{"WebP: later frame and picture differ", imagefiletest.WebP(vp8x, imagefiletest.ANMF(0, 0, 9, 7, still), imagefiletest.ANMF(0, 0, 9, 6, still)), domain.CorruptImage},
		{"WebP: frame beyond the canvas", imagefiletest.WebP(vp8x, imagefiletest.ANMF(2, 0, 9, 7, still)), domain.CorruptImage},
		{"WebP: frame without a picture", imagefiletest.WebP(vp8x, imagefiletest.ANMF(0, 0, 9, 7)), domain.CorruptImage},
		{"WebP: frame with two pictures", imagefiletest.WebP(vp8x, imagefiletest.ANMF(0, 0, 9, 7, still, still)), domain.CorruptImage},
		{"WebP: frame in a frame", imagefiletest.WebP(vp8x, imagefiletest.ANMF(0, 0, 9, 7, imagefiletest.ANMF(0, 0, 9, 7, still))), domain.CorruptImage},
		{"WebP: frame without a header chunk", imagefiletest.WebP(imagefiletest.ANMF(0, 0, 9, 7, still)), domain.CorruptImage},
		{"WebP: a still picture and an animation", imagefiletest.WebP(vp8x, still, imagefiletest.ANMF(0, 0, 9, 7, still)), domain.CorruptImage},
		{"WebP: an animation and a still picture", imagefiletest.WebP(vp8x, imagefiletest.ANMF(0, 0, 9, 7, still), still), domain.CorruptImage},
		{"WebP: alpha of a lossless picture", imagefiletest.WebP(vp8x, imagefiletest.ALPH(9, 7, 1), still), domain.CorruptImage},
		{"WebP: alpha without a header chunk", imagefiletest.WebP(imagefiletest.ALPH(9, 7, 1), imagefiletest.VP8(9, 7)), domain.CorruptImage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := scan(c.file)
			require.Error(t, err)
			assert.Equal(t, c.want, domain.CodeOf(err), "%v", err)
			assert.NotEmpty(t, domain.AsError(err).Msg)
		})
	}
}

// endless is a file's beginning and then nothing but zeros, for ever: what is
// read of it shows whether a file is refused by its header.
func endless(head []byte) io.Reader { return io.MultiReader(bytes.NewReader(head), zeros{}) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestScanRefusesTooLargeByTheHeader(t *testing.T) {
	t.Parallel()
	jpegOf := func(w, h uint16) []byte {
		b := imagefiletest.JPEG{Width: 8, Height: 8, Values: []byte{1}}.Encode()
		at := bytes.Index(b, []byte{0xff, 0xc0})
		binary.BigEndian.PutUint16(b[at+5:], h)
		binary.BigEndian.PutUint16(b[at+7:], w)
		return b
	}
	pngOf := func(w, h uint32) []byte {
		return append([]byte(imagefiletest.PNGSignature), imagefiletest.IHDR(w, h, 1, 0, 0)...)
	}
	gifOf := func(w, h, fw, fh uint16) []byte {
		b := encodeGIF(9, 7, false, image.Rect(0, 0, 9, 7))
		at := bytes.IndexByte(b[13:], 0x2c) + 13
		for i, v := range []uint16{w, h} {
			binary.LittleEndian.PutUint16(b[6+2*i:], v)
		}
		for i, v := range []uint16{fw, fh} {
			binary.LittleEndian.PutUint16(b[at+5+2*i:], v)
		}
		return b
	}
	big := imagefiletest.VP8L(16384, 16384, color.NRGBA{}, true)
	for _, c := range []struct {
		name  string
		head  []byte
		limit int64
	}{
		{"JPEG of 64250 × 64250", jpegOf(64250, 64250), 100_000_000},
		{"JPEG, one row too many", jpegOf(10_000, 10_001), 100_000_000},
		{"PNG of 2³¹-1 squared", pngOf(1<<31-1, 1<<31-1), 100_000_000},
		{"PNG of 2³²-1 squared", pngOf(1<<32-1, 1<<32-1), 100_000_000},
		{"PNG of 65536 × 65536, whose product is 0 in 32 bits", pngOf(1<<16, 1<<16), 100_000_000},
		{"PNG wider than any JPEG", pngOf(65_536, 1), 65_535},
		{"PNG higher than any JPEG", pngOf(1, 65_536), 65_535},
		{"APNG, a frame of it", imagefiletest.WithChunks(pngOf(1, 1), fcTL(1<<31, 1<<31)), 100_000_000},
		{"GIF, its screen", gifOf(65535, 65535, 1, 1), 100_000_000},
		{"GIF, its frame", gifOf(1, 1, 65535, 65535), 100_000_000},
		{"WebP, lossless, in 35 bytes", imagefiletest.WebP(big), 100_000_000},
		{"WebP, lossy", imagefiletest.WebP(imagefiletest.VP8(16383, 16383))[:30], 100_000_000},
		{"WebP, its canvas", imagefiletest.WebP(imagefiletest.VP8X(0, 1<<24, 1<<24), imagefiletest.VP8(8, 8)), 100_000_000},
		{"WebP, its picture", imagefiletest.WebP(imagefiletest.VP8X(0, 8, 8), big), 100_000_000},
		{"WebP, a frame", imagefiletest.WebP(imagefiletest.VP8X(0, 8, 8), imagefiletest.ANMF(0, 0, 1<<24, 1<<24, big)), 100_000_000},
		{"WebP, a frame's picture", imagefiletest.WebP(imagefiletest.VP8X(0, 8, 8), imagefiletest.ANMF(0, 0, 8, 8, big)), 100_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := imagefile.Scan(t.Context(), endless(c.head), limits)
			require.Equal(t, domain.TooLarge, domain.CodeOf(err), "%v", err)
			require.NotNil(t, domain.AsError(err).Limit)
			assert.Equal(t, c.limit, *domain.AsError(err).Limit)
		})
	}
}

func TestLimitsAreExact(t *testing.T) {
	t.Parallel()
	three := []image.Rectangle{image.Rect(0, 0, 10, 10), image.Rect(0, 0, 5, 5), image.Rect(0, 0, 5, 5)}
	still := imagefiletest.VP8L(10, 10, color.NRGBA{}, true)
	frame := imagefiletest.ANMF(0, 0, 10, 10, still)
	for name, file := range map[string][]byte{
		"GIF":  encodeGIF(10, 10, false, three...),
		"WebP": imagefiletest.WebP(imagefiletest.VP8X(imagefiletest.FlagAnimation, 10, 10), frame, frame, frame),
		"APNG": imagefiletest.WithChunks(encodePNG(image.NewGray(image.Rect(0, 0, 10, 10))), fcTL(10, 10), fcTL(5, 5), fcTL(5, 5)),
	} {
		for _, c := range []struct {
			pixels, frames domain.Limit
			want           domain.Code
		}{
			{100, 3, ""}, {domain.NoLimit, domain.NoLimit, ""}, {99, 3, domain.TooLarge}, {100, 2, domain.TooLarge}, {100, 0, domain.TooLarge},
		} {
			lim := imagefile.Limits{ImageLimits: domain.ImageLimits{MaxPixels: c.pixels, MaxFrames: c.frames}}
			info, err := imagefile.Scan(t.Context(), bytes.NewReader(file), lim)
			require.Equal(t, c.want, domain.CodeOf(err), "%s %+v", name, c)
			if err == nil {
				assert.Equal(t, 3, info.Frames, name)
			}
		}
	}
}

func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	// As many scans as encoders write pass; thousands over a few megapixels, in 30 KB, do not.
	photo := imagefiletest.JPEG{Width: 1000, Height: 1000, Values: []byte{1, 2, 3}, Subsampled: true, Progressive: true, ExtraScans: 20}
	info, err := scan(photo.Encode())
	require.NoError(t, err)
	assert.Equal(t, 21, info.JPEG.Scans)
	assert.Equal(t, int64(63*63*6+20*125*125), info.Work)

	for _, hostile := range []imagefiletest.JPEG{
		{Width: 1000, Height: 1000, Values: []byte{1}, Progressive: true, ExtraScans: 4000},
		{Width: 5000, Height: 4000, Values: []byte{1}, Progressive: true, ExtraScans: 200},
		{Width: 8, Height: 8, Values: []byte{1}, Progressive: true, ExtraScans: imagefile.MaxScans},
	} {
		_, err := scan(hostile.Encode())
		require.Equal(t, domain.TooLarge, domain.CodeOf(err), "%+v", hostile)
		assert.NotNil(t, domain.AsError(err).Limit)
	}

	// The largest photo that the default tier lets pass, in the ten scans that
	// libjpeg writes: six over luminance, four over each of the others.
	const blocks = 100_000_000 / 64
	assert.LessOrEqual(t, int64((6+4+4)*blocks*2), int64(imagefile.DefaultMaxWork), "twice, for encoders that write more")

	_, err = imagefile.Scan(t.Context(), bytes.NewReader(photo.Encode()), imagefile.Limits{ImageLimits: limits.ImageLimits, MaxWork: 1000})
	assert.Equal(t, domain.TooLarge, domain.CodeOf(err))
}

func TestScannerOnTheWayToADecoder(t *testing.T) {
	t.Parallel()
	for _, c := range good() {
		sc := imagefile.NewScanner(limits)
		r := io.TeeReader(bytes.NewReader(append(bytes.Clone(c.file), "trailing"...)), sc)
		for !sc.Ready() {
			_, err := io.CopyN(io.Discard, r, 1)
			require.NoError(t, err, c.name)
		}
		assert.Equal(t, [2]int{c.want.Width, c.want.Height}, [2]int{sc.Info().Width, sc.Info().Height}, c.name)
		assert.Equal(t, c.want.Alpha, sc.Info().Alpha, c.name)
		assert.Equal(t, c.want.First, sc.Info().First, c.name)
		assert.False(t, sc.Done(), c.name)
		_, err := io.Copy(io.Discard, r)
		require.NoError(t, err, c.name)
		assert.True(t, sc.Done(), c.name)
		assert.NoError(t, sc.Finish(), c.name)
	}

	sc := imagefile.NewScanner(limits)
	_, err := io.Copy(io.Discard, io.TeeReader(endless([]byte("no image")), sc))
	require.ErrorIs(t, err, domain.UnsupportedImage)
	_, again := sc.Write([]byte("x"))
	assert.Equal(t, err, again, "an error stays")
	assert.Equal(t, err, sc.Finish())
}

func TestScanStopsReading(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	_, err := imagefile.Scan(ctx, endless(nil), limits)
	assert.ErrorIs(t, err, gone)

	broken := errors.New("the connection broke")
	file := encodeGIF(9, 7, false, image.Rect(0, 0, 9, 7))
	_, err = imagefile.Scan(t.Context(), io.MultiReader(bytes.NewReader(file[:20]), iotest.ErrReader(broken)), limits)
	assert.ErrorIs(t, err, broken)

	_, err = imagefile.Scan(t.Context(), endless(file), limits)
	assert.NoError(t, err, "what comes after the end is not waited for")
}

func TestMemoryIsBounded(t *testing.T) {
	// Megabytes of EXIF, in many pieces and in one.
	exif := imagefiletest.Segment(0xe1, append([]byte("Exif\x00\x00"), make([]byte, 65_000)...))
	jpegFile := imagefiletest.WithSegments(encodeJPEG(image.NewGray(image.Rect(0, 0, 8, 8))), bytes.Repeat(exif, 100))
	webpFile := imagefiletest.WebP(imagefiletest.VP8X(0, 9, 7), imagefiletest.VP8L(9, 7, color.NRGBA{}, true), imagefiletest.RIFFChunk("EXIF", make([]byte, 10<<20)))
	for _, file := range [][]byte{jpegFile, webpFile} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := scan(file)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(512<<10))
	}
}

func fuzz(f *testing.F, format domain.Format) {
	for _, c := range good() {
		if c.want.Format == format {
			f.Add(c.file, uint16(7))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, cut uint16) {
		info, err := scan(file)
		// However it is cut into writes, the answer is the same.
		sc := imagefile.NewScanner(limits)
		step := int(cut)%512 + 1
		var werr error
		for rest := file; len(rest) > 0 && werr == nil; rest = rest[min(step, len(rest)):] {
			_, werr = sc.Write(rest[:min(step, len(rest))])
		}
		if werr == nil {
			werr = sc.Finish()
		}
		require.Equal(t, err, werr)
		if err != nil {
			require.Contains(t, []domain.Code{domain.UnsupportedImage, domain.CorruptImage, domain.TooLarge}, domain.CodeOf(err))
			return
		}
		require.Equal(t, info, sc.Info())
		first := info.First
		require.True(t, info.Width > 0 && info.Height > 0 && info.Width*info.Height <= 100_000_000)
		require.True(t, first.X >= 0 && first.Y >= 0 && first.Width > 0 && first.Height > 0 && first.X+first.Width <= info.Width && first.Y+first.Height <= info.Height)
		require.True(t, info.Frames >= 1 && info.Frames <= 1000 && info.Orientation >= 1 && info.Orientation <= 8)
		require.LessOrEqual(t, info.Work, int64(imagefile.DefaultMaxWork))
		for _, s := range []imagefile.Span{info.WebP.Bitstream, info.WebP.AlphaPlane} {
			require.True(t, s.Offset >= 0 && s.Length >= 0 && s.Offset+s.Length <= int64(len(file)))
		}
	})
}

func FuzzJPEG(f *testing.F) { fuzz(f, domain.JPEG) }
func FuzzPNG(f *testing.F)  { fuzz(f, domain.PNG) }
func FuzzWebP(f *testing.F) { fuzz(f, domain.WebP) }
func FuzzGIF(f *testing.F)  { fuzz(f, domain.GIF) }

func BenchmarkScan(b *testing.B) {
	noise := image.NewRGBA(image.Rect(0, 0, 1500, 1000))
	for i := range noise.Pix {
		noise.Pix[i] = byte(i * i * 31 >> 7)
	}
	animation := make([]image.Rectangle, 500)
	for i := range animation {
		animation[i] = image.Rect(0, 0, 100, 100)
	}
	for name, file := range map[string][]byte{"JPEG": encodeJPEG(noise), "PNG": encodePNG(noise), "GIF": encodeGIF(100, 100, false, animation...)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := scan(file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

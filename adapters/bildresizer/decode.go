package bildresizer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"runtime/debug"

	"golang.org/x/image/webp"

	"github.com/imagify-api/imagify/adapters/internal/imagefile"
	"github.com/imagify-api/imagify/domain"
)

// frame is the first frame of a file, decoded, on its canvas.
type frame struct {
	info  imagefile.Info
	img   image.Image // of the frame's size
	alpha bool        // some pixel of the canvas is transparent
}

// decode decodes the first frame. The decoders run in this goroutine, so that
// this recover covers them.
func decode(ctx context.Context, s *source, info imagefile.Info) (f *frame, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, damaged(info, fmt.Errorf("the decoder panicked: %v\n%s", p, debug.Stack()))
		}
	}()
	img, err := decodeFrame(ctx, s, info)
	if ctx.Err() != nil { // which decoders report as something else
		return nil, cancelled(ctx)
	}
	if s.err != nil {
		return nil, fmt.Errorf("reading the image: %w", s.err)
	}
	var jpegUnsupported jpeg.UnsupportedError
	var pngUnsupported png.UnsupportedError
	switch {
	case errors.As(err, &jpegUnsupported), errors.As(err, &pngUnsupported):
		return nil, domain.Wrap(domain.UnsupportedImage, err, "the "+string(info.Format)+" uses a feature that is not supported; save it in a more common form")
	case err != nil:
		return nil, damaged(info, err)
	case img.Bounds().Size() != image.Pt(info.First.Width, info.First.Height):
		return nil, damaged(info, fmt.Errorf("decoded to %v, its header says %+v", img.Bounds(), info.First))
	}
	f = &frame{info: info, img: img}
	if info.Alpha {
		o, ok := img.(interface{ Opaque() bool })
		f.alpha = !info.FirstCoversCanvas() || !ok || !o.Opaque()
	}
	return f, nil
}

func damaged(info imagefile.Info, cause error) error {
	return domain.Wrap(domain.CorruptImage, cause, "the "+string(info.Format)+" is damaged: it cannot be decoded")
}

func decodeFrame(ctx context.Context, s *source, info imagefile.Info) (image.Image, error) {
	switch info.Format {
	case domain.JPEG:
		return decodeJPEG(ctx, s, info)
	case domain.PNG:
		return png.Decode(s.section(ctx, s.all()))
	case domain.GIF:
		return gif.Decode(s.section(ctx, s.all())) // it stops after the first frame
	case domain.WebP:
		return decodeWebP(ctx, s, info)
	}
	return nil, errors.New("no decoder for the format")
}

func decodeJPEG(ctx context.Context, s *source, info imagefile.Info) (image.Image, error) {
	if info.JPEG.Components != 4 || info.JPEG.Adobe {
		return jpeg.Decode(s.section(ctx, s.all()))
	}
	// The decoder wants CMYK to be marked as Adobe's, and takes it for inverted
	// then. Without the mark it is not inverted: so mark it, and invert it back.
	const soi = 2
	adobe := "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
	img, err := jpeg.Decode(io.MultiReader(
		s.section(ctx, imagefile.Span{Length: soi}),
		bytes.NewReader([]byte(adobe)),
		s.section(ctx, imagefile.Span{Offset: soi, Length: math.MaxInt64}),
	))
	if cmyk, ok := img.(*image.CMYK); ok {
		for i := range cmyk.Pix {
			cmyk.Pix[i] = ^cmyk.Pix[i]
		}
	}
	return img, err
}

// decodeWebP decodes the first frame as if it were a file of its own: the
// decoder knows no animation.
func decodeWebP(ctx context.Context, s *source, info imagefile.Info) (image.Image, error) {
	var parts []io.Reader
	var length int64
	chunk := func(name string, n int64, data io.Reader) {
		parts = append(parts, bytes.NewReader(binary.LittleEndian.AppendUint32([]byte(name), uint32(n))), data)
		if n%2 == 1 {
			parts = append(parts, bytes.NewReader([]byte{0}))
		}
		length += 8 + n + n%2
	}
	if alpha := info.WebP.AlphaPlane; alpha.Length > 0 {
		const alphaFlag = 1 << 4
		w, h := info.First.Width-1, info.First.Height-1
		chunk("VP8X", 10, bytes.NewReader([]byte{alphaFlag, 0, 0, 0, byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)}))
		chunk("ALPH", alpha.Length, s.section(ctx, alpha))
	}
	name := "VP8 "
	if info.WebP.Lossless {
		name = "VP8L"
	}
	chunk(name, info.WebP.Bitstream.Length, s.section(ctx, info.WebP.Bitstream))

	header := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+length))
	header = append(header, "WEBP"...)
	img, err := webp.Decode(io.MultiReader(append([]io.Reader{bytes.NewReader(header)}, parts...)...))
	if nrgba, ok := img.(*image.NRGBA); ok && !info.WebP.Alpha {
		for i := 3; i < len(nrgba.Pix); i += 4 {
			nrgba.Pix[i] = 0xff
		}
	}
	return img, err
}

package nativeresizer

import (
	"context"
	"errors"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/gif"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
	"github.com/imagify-api/imagify/domain"
)

// gifFile is a GIF whose header was read.
type gifFile struct {
	d *gif.Decoder
	h *gif.Header
}

func openGIF(ctx context.Context, src io.Reader, budget *work.Budget) (file, error) {
	// What is too large was refused by its header.
	d := gif.NewDecoder(src, gif.Options{MaxPixels: -1, Work: budget})
	h, err := d.Header(ctx)
	if err != nil {
		d.Close()
		return nil, err
	}
	return &gifFile{d: d, h: h}, nil
}

func (f *gifFile) header() header {
	return header{
		format: domain.GIF, width: f.h.Width, height: f.h.Height, pixels: f.h.Pixels(), orientation: 1,
		alpha: f.h.Alpha, margin: boxMargin,
	}
}

func (f *gifFile) shrink(ratio, margin float64) int {
	return int(min(max(ratio/margin, 1), gif.MaxFactor))
}

func (f *gifFile) memory(shrinks ...int) (bytes int64) {
	for _, k := range shrinks {
		bytes += gif.MemoryNeeded(f.h, k, k)
	}
	return bytes
}

func (f *gifFile) joins(_, _ int) bool { return true }

func (f *gifFile) decode(ctx context.Context, shrinks ...int) ([]*picture, error) {
	images, _, err := f.d.DecodeShrunk(ctx, squares(shrinks)...)
	if err != nil {
		return nil, err
	}
	pictures := make([]*picture, len(images))
	for i, m := range images {
		per := float64(shrinks[i])
		pictures[i] = &picture{
			width: f.h.Width, height: f.h.Height, orientation: 1, model: rgba, alpha: f.h.Alpha,
			planes: []plane{newPlane(m.Pix, m.Stride, m.Rect.Dx(), m.Rect.Dy(), 4, per, per)},
		}
	}
	return pictures, nil
}

func (f *gifFile) close() { f.d.Close() }

func classifyGIF(err error) error {
	var format gif.FormatError
	switch {
	case errors.Is(err, gif.ErrTruncated):
		return cutShort(err)
	case errors.As(err, &format):
		return domain.Wrap(domain.CorruptImage, err, "the GIF is damaged: "+string(format))
	}
	return nil
}

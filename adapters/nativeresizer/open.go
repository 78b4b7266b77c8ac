package nativeresizer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/imagify-api/imagify/domain"
)

// openAt opens a file at its beginning.
func openAt(ctx context.Context, src io.ReadSeeker) (file, error) {
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the picture: %w", err)
	}
	return open(ctx, src)
}

// open tells the format and reads the header.
func open(ctx context.Context, src io.Reader) (file, error) {
	head := make([]byte, domain.SniffLength)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	format, ok := domain.Sniff(head[:n])
	if !ok {
		return nil, domain.Errorf(domain.UnsupportedImage, "not an image that is accepted: send JPEG, PNG, WebP or GIF")
	}
	src = io.MultiReader(bytes.NewReader(head[:n]), src)
	switch format {
	case domain.JPEG:
		return openJPEG(ctx, src)
	case domain.PNG:
		return openPNG(ctx, src)
	case domain.WebP:
		return openWebP(ctx, src)
	case domain.GIF:
		return openGIF(ctx, src)
	}
	return nil, domain.Errorf(domain.UnsupportedImage, "not an image that is accepted: send JPEG, PNG, WebP or GIF")
}

// classify gives a codec's error its code; what no codec says stays as it is.
func classify(err error) error {
	for _, f := range []func(error) error{classifyJPEG, classifyPNG, classifyWebP, classifyGIF} {
		if c := f(err); c != nil {
			return c
		}
	}
	return err
}

func cutShort(cause error) error {
	return domain.Wrap(domain.CorruptImage, cause, "the file ends before the picture does: it was cut short")
}

//go:build noheic

package nativeresizer

import (
	"context"
	"io"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
	"github.com/imagify-api/imagify/domain"
)

func openHEIC(context.Context, io.ReadSeeker, *work.Budget) (file, error) {
	return nil, domain.Errorf(domain.UnsupportedImage, "the file is HEIC, which this build of imagify leaves out: save it as JPEG")
}

func classifyHEIC(error) error { return nil }

//go:build !noheic

package imagefile

import (
	"errors"

	"github.com/imagify-api/imagify/adapters/nativeresizer/heif"
	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
	"github.com/imagify-api/imagify/domain"
)

// heicScanner hands a HEIC file to the scanner of its codec.
type heicScanner struct{ sc *heif.Scanner }

func newHEIC(lim Limits) (wholeScanner, error) {
	most := lim.MaxPixels.Max()
	if most == 0 {
		most = 1 // 0 would be the scanner's default
	}
	return &heicScanner{heif.NewScanner(heif.Options{MaxPixels: most})}, nil
}

func (h *heicScanner) feed(s *Scanner, p []byte) error {
	if _, err := h.sc.Write(p); err != nil {
		return heicError(s, err)
	}
	if i := h.sc.Info(); !s.ready && i.Width > 0 {
		s.info.Orientation, s.info.Alpha, s.info.ICC = i.Orientation, i.Alpha, i.ICC
		if err := s.canvas(int64(i.Width), int64(i.Height)); err != nil {
			return err
		}
		s.ready = true
	}
	s.done = h.sc.Done()
	return nil
}

func (h *heicScanner) finish(s *Scanner) error {
	if err := h.sc.Finish(); err != nil {
		return heicError(s, err)
	}
	return nil
}

// heicError gives the codec's errors their code.
func heicError(s *Scanner, err error) error {
	var part heif.UnsupportedError
	var coded hevc.UnsupportedError
	var coding heif.CodingError
	switch {
	case errors.Is(err, heif.ErrTruncated):
		return corrupt("the file ends before the picture does: it was cut short")
	case errors.Is(err, heif.ErrTooLarge):
		return domain.LimitError(domain.TooLarge, s.lim.MaxPixels.Max(), "the picture has more pixels than the %d that are allowed", s.lim.MaxPixels.Max())
	case errors.As(err, &coding):
		return unsupported("the picture in the HEIF file is coded as %s, which is not accepted: save it as JPEG, PNG or WebP", string(coding))
	case errors.As(err, &part):
		return unsupported("the HEIC uses a part of the format that is not accepted (%s): save it as JPEG", string(part))
	case errors.As(err, &coded):
		return unsupported("the HEIC uses a part of HEVC that is not accepted (%s): save it as JPEG", string(coded))
	}
	var container heif.FormatError
	if errors.As(err, &container) {
		return domain.Wrap(domain.CorruptImage, err, "the HEIC is damaged: "+string(container))
	}
	var picture hevc.FormatError
	if errors.As(err, &picture) {
		return domain.Wrap(domain.CorruptImage, err, "the HEIC's picture is damaged: "+string(picture))
	}
	return err
}

package gif

import "github.com/imagify-api/imagify/adapters/nativeresizer/internal/input"

// source is the input, in data sub-blocks after the first.
type source struct{ input.Source }

// subBlock returns the contents of the next data sub-block (GIF89a 15), valid until
// the next call. Those of the block terminator (16) are empty.
func (s *source) subBlock() ([]byte, error) {
	n, err := s.Byte()
	if err != nil {
		return nil, err
	}
	return s.Take(int(n))
}

// skipSubBlocks passes over sub-blocks up to their terminator.
func (s *source) skipSubBlocks() error {
	for {
		b, err := s.subBlock()
		if err != nil || len(b) == 0 {
			return err
		}
	}
}

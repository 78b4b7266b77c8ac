package gif

import "errors"

// The parameters of variable-length-code LZW (GIF89a, appendix F).
const (
	maxBits  = 12
	maxCodes = 1 << maxBits
	// maxMinimum is the largest minimum code size: its codes begin with one bit
	// more. The format has no use for more than 8, but there are such files.
	maxMinimum = maxBits - 1
	// outSize is the output between two calls of the function that takes it.
	outSize = 16 << 10
)

// lzw decompresses image data.
type lzw struct {
	// The string of a code is that of its prefix with one more index. Codes
	// below the clear code are themselves.
	prefix [maxCodes]uint16
	suffix [maxCodes]byte
	first  [maxCodes]byte   // the string's first index
	length [maxCodes]uint16 // of the string
	out    [outSize + maxCodes]byte
}

// decode decompresses the sub-blocks of a frame up to their terminator, and gives
// the indices to emit until that has had enough. It returns whether it has; the
// rest of the data is passed over.
func (z *lzw) decode(s *source, minimum int, emit func([]byte) (enough bool, err error)) (bool, error) {
	reset, end := 1<<minimum, 1<<minimum+1
	for i := range reset {
		z.suffix[i], z.first[i], z.length[i] = byte(i), byte(i), 1
	}
	var (
		acc   uint32
		bits  uint // in acc
		width = uint(minimum + 1)
		next  = end + 1 // the code that is defined next
		last  = -1      // the code before, -1 after a clear code
		w     int       // out[:w] is written
		block []byte
		codes int64 // that were not spent yet
	)
	for {
		for bits < width {
			if len(block) == 0 {
				err := s.spend(codes * costCode)
				codes = 0
				if err != nil {
					return false, err
				}
				if block, err = s.subBlock(); errors.Is(err, ErrTruncated) {
					// The data is cut off. If what there is is enough, nothing is missing.
					if enough, _ := emit(z.out[:w]); enough {
						return true, nil
					}
				}
				if err != nil {
					return false, err
				}
				if len(block) == 0 {
					// No end code. What there is may be enough.
					return emit(z.out[:w])
				}
			}
			acc |= uint32(block[0]) << bits
			bits += 8
			block = block[1:]
		}
		codes++
		code := int(acc & (1<<width - 1))
		acc >>= width
		bits -= width

		switch {
		case code == reset:
			width, next, last = uint(minimum+1), end+1, -1
			continue
		case code == end:
			enough, err := emit(z.out[:w])
			if err != nil {
				return false, err
			}
			return enough, z.skipRest(s, enough)
		case code > next || code == next && last < 0 || code > end && last < 0:
			return false, FormatError("the image data has an invalid code")
		}
		if last >= 0 && next < maxCodes {
			// The string before, and the first index of this one, which may be
			// itself the string that is being defined.
			z.prefix[next], z.first[next], z.length[next] = uint16(last), z.first[last], z.length[last]+1
			if code == next {
				z.suffix[next] = z.first[last]
			} else {
				z.suffix[next] = z.first[code]
			}
			next++
			if next == 1<<width && width < maxBits {
				width++
			}
		} else if code >= next {
			return false, FormatError("the image data has an invalid code")
		}
		last = code
		// The string from its end.
		n := int(z.length[code])
		to := z.out[w : w+n]
		for i := n - 1; i > 0; i-- {
			to[i] = z.suffix[code]
			code = int(z.prefix[code])
		}
		to[0] = byte(code)
		w += n
		if w >= outSize {
			enough, err := emit(z.out[:w])
			if err != nil {
				return false, err
			}
			if enough {
				return true, z.skipRest(s, enough)
			}
			w = 0
		}
	}
}

// skipRest passes over what follows the data. If there is enough of it, the file may
// end without its last sub-block.
func (*lzw) skipRest(s *source, enough bool) error {
	err := s.skipSubBlocks()
	if enough && errors.Is(err, ErrTruncated) {
		return nil
	}
	return err
}

package nativeresizer

import (
	"bytes"
	"fmt"
	"io"
)

// replay is a source that can be read again from where it began: by seeking
// where the source can, else from memory.
type replay struct {
	io.Reader
	src    io.Reader
	seeker io.Seeker
	start  int64
	kept   *bytes.Buffer // what was read so far, and
	rest   io.Reader     // what was not, which is kept when it is
}

// newReplay prepares a source to be read again; without again it is only passed through.
func newReplay(src io.Reader, again bool) *replay {
	r := &replay{Reader: src, src: src}
	if !again {
		return r
	}
	if s, ok := src.(io.Seeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil {
			r.seeker, r.start = s, start
			return r
		}
	}
	r.kept = new(bytes.Buffer)
	r.rest = io.TeeReader(src, r.kept)
	r.Reader = r.rest
	return r
}

// once tells that it will not be read again: nothing more is kept.
func (r *replay) once() { r.Reader, r.kept, r.rest = r.src, nil, nil }

// rewind goes back to the beginning.
func (r *replay) rewind() error {
	if r.seeker != nil {
		if _, err := r.seeker.Seek(r.start, io.SeekStart); err != nil {
			return fmt.Errorf("reading the picture again: %w", err)
		}
		return nil
	}
	r.Reader = io.MultiReader(bytes.NewReader(r.kept.Bytes()), r.rest)
	return nil
}

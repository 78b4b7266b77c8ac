package heif

import (
	"bytes"
	"errors"
	"testing"

	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// known reports whether an error is of those that the package documents for bad files.
func known(err error) bool {
	var f FormatError
	var u UnsupportedError
	var c CodingError
	var hf hevc.FormatError
	var hu hevc.UnsupportedError
	return errors.As(err, &f) || errors.As(err, &u) || errors.As(err, &c) || errors.As(err, &hf) || errors.As(err, &hu) ||
		errors.Is(err, ErrTruncated) || errors.Is(err, ErrTooLarge) || errors.Is(err, hevc.ErrTruncated) || errors.Is(err, hevc.ErrTooLarge) ||
		errors.Is(err, work.ErrExceeded)
}

// FuzzDecode decodes files: no panic, planes of the size that was told, and a scanner that refuses nothing that is decoded.
func FuzzDecode(f *testing.F) {
	for _, b := range []built{
		still(f), still(f, box("irot", []byte{1}), clap(20, 1, 40, 1, 0, 1, 0, 1), nclx(9, 16, 9, 0)), gridFile(f, 2, 2, 170, 140),
	} {
		f.Add(b.bytes())
		b.metaLast, b.extents = true, 3
		f.Add(b.bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{MaxPixels: 1 << 17, MaxMeta: 1 << 16, Workers: 2, Work: work.New(1 << 30)}
		d := NewDecoder(bytes.NewReader(data), o)
		defer d.Close()
		h, err := d.Header(t.Context())
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		k := h.Largest(8)
		out, err := d.Decode(t.Context(), 1, k)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		for _, p := range out {
			for _, l := range p.Layers {
				for _, plane := range l.Planes {
					if plane.Width < 1 || plane.Height < 1 || len(plane.Pix) != plane.Stride*plane.Height {
						t.Fatalf("%d × %d", plane.Width, plane.Height)
					}
				}
			}
		}
		s := NewScanner(o)
		if _, err := s.Write(data); err != nil {
			t.Fatalf("scanner: %v", err)
		}
		if err := s.Finish(); err != nil {
			t.Fatalf("scanner: %v", err)
		}
	})
}

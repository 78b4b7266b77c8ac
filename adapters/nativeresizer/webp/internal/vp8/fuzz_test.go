package vp8

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDecode looks for panics, and for differences from x/image.
func FuzzDecode(f *testing.F) {
	for _, data := range frames(f, filepath.Join("..", "..", "testdata")) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 10 && (data[7]&0x3f > 0 || data[9]&0x3f > 0) {
			return // no more than 255 pixels to a side
		}
		want, wantErr := reference(data)
		got, err := Decode(t.Context(), data, Options{Deblock: true})
		if wantErr != nil {
			return
		}
		if impossible(data) {
			return
		}
		require.NoError(t, err)
		if overflows(data) {
			return
		}
		requireSame(t, want, got)
	})
}

// impossible tells whether a partition begins with a value outside of the decoder's
// first interval, which is 255 (RFC 6386, 7.3). No encoder writes that, and what
// follows from it differs from decoder to decoder.
func impossible(data []byte) bool {
	var d decoder
	if _, _, err := d.readHeader(data); err != nil {
		return true
	}
	for _, p := range d.parts {
		if len(p.data) > 0 && p.data[0] == 255 {
			return true
		}
	}
	return data[10] == 255
}

// overflows tells whether x/image may have filtered otherwise: it adds up a
// filter's level in eight bits, which overflow before the level is clamped
// (RFC 6386, 9.6, and libwebp have no such limit).
func overflows(data []byte) bool {
	var d decoder
	if _, _, err := d.readHeader(data); err != nil || !d.filtered {
		return false
	}
	for _, s := range d.segments {
		for _, f := range s.filters {
			if level := (f.edge - f.interior) / 2; level == 0 || level == 63 {
				return true
			}
		}
	}
	return false
}

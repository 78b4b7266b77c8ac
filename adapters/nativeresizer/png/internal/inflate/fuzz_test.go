package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzRead compares with compress/zlib: the same bytes, and an error where it
// has one.
func FuzzRead(f *testing.F) {
	for _, data := range payloads() {
		data = data[:min(len(data), 2000)]
		f.Add(compress(data, 6), false)
		f.Add(compress(data, 0), true)
		f.Add(compress(data, flate.HuffmanOnly), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, small bool) {
		const most = 1 << 20
		var r io.Reader = bytes.NewReader(in)
		if small {
			r = iotest.HalfReader(r)
		}
		var z Reader
		z.Reset(r, nil)
		got, err := io.ReadAll(io.LimitReader(&z, most))
		std, stdErr := zlib.NewReader(bytes.NewReader(in))
		var want []byte
		if stdErr == nil {
			want, stdErr = io.ReadAll(io.LimitReader(std, most))
		}
		if (err == nil) != (stdErr == nil) {
			t.Fatalf("error %v, compress/zlib has %v", err, stdErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatal("other bytes than compress/zlib")
		}
		if n := min(len(got), len(want)); !bytes.Equal(got[:n], want[:n]) {
			t.Fatal("other bytes than compress/zlib before the error")
		}
	})
}

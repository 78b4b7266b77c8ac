package vp8

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xvp8 "golang.org/x/image/vp8"
)

// frames returns the bitstreams of the WebP files of a folder, below it too.
func frames(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".webp" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// The first VP8 chunk, be it in a frame or not.
		if i := bytes.Index(data, []byte("VP8 ")); i >= 0 && len(data) >= i+8 {
			n := int(binary.LittleEndian.Uint32(data[i+4:]))
			out[path] = data[i+8:][:min(n, len(data)-i-8)]
		}
		return nil
	})
	require.NoError(t, err)
	return out
}

// reference decodes with x/image.
func reference(data []byte) (*image.YCbCr, error) {
	d := xvp8.NewDecoder()
	d.Init(bytes.NewReader(data), len(data))
	h, err := d.DecodeFrameHeader()
	if err != nil {
		return nil, err
	}
	if !h.KeyFrame || h.Width == 0 || h.Height == 0 || h.Width*h.Height > 1<<24 {
		return nil, errors.New("not for comparison")
	}
	return d.DecodeFrame()
}

func requireSame(t testing.TB, want, got *image.YCbCr) {
	t.Helper()
	require.Equal(t, want.Rect, got.Rect)
	w, h := want.Rect.Dx(), want.Rect.Dy()
	for y := range h {
		if !bytes.Equal(want.Y[y*want.YStride:][:w], got.Y[y*got.YStride:][:w]) {
			t.Fatalf("luma differs in row %d", y)
		}
	}
	for y := range (h + 1) / 2 {
		if !bytes.Equal(want.Cb[y*want.CStride:][:(w+1)/2], got.Cb[y*got.CStride:][:(w+1)/2]) ||
			!bytes.Equal(want.Cr[y*want.CStride:][:(w+1)/2], got.Cr[y*got.CStride:][:(w+1)/2]) {
			t.Fatalf("chroma differs in row %d", y)
		}
	}
}

func TestDecode(t *testing.T) {
	for name, data := range frames(t, filepath.Join("..", "..", "testdata")) {
		want, err := reference(data)
		require.NoError(t, err, name)
		got, err := Decode(t.Context(), data, Options{Deblock: true})
		require.NoError(t, err, name)
		requireSame(t, want, got)
		for n := range len(data) {
			_, err := Decode(t.Context(), data[:n], Options{Deblock: true})
			if n < len(data)-2 { // the encoder pads the last partition
				var f FormatError
				require.ErrorAs(t, err, &f, "%s cut at %d of %d", name, n, len(data))
			}
		}
		unfiltered, err := Decode(t.Context(), data, Options{})
		require.NoError(t, err)
		assert.Equal(t, want.Rect, unfiltered.Rect)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = Decode(ctx, data, Options{Deblock: true})
		assert.Equal(t, context.Canceled, err)
	}
}

// TestCorpus compares every frame of the corpus with x/image.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("IMAGIFY_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpus (set IMAGIFY_CORPUS to its folder): %v", err)
	}
	compared := 0
	for name, data := range frames(t, dir) {
		want, wantErr := reference(data)
		got, err := Decode(t.Context(), data, Options{Deblock: true})
		if wantErr != nil {
			continue
		}
		require.NoError(t, err, name)
		requireSame(t, want, got)
		compared++
	}
	assert.Positive(t, compared)
	t.Logf("%d frames", compared)
}

func BenchmarkDecode(b *testing.B) {
	dir := os.Getenv("IMAGIFY_PHOTOS")
	if dir == "" {
		dir = filepath.Join("..", "..", "testdata")
	}
	for name, data := range frames(b, dir) {
		for kind, decode := range map[string]func() error{
			"filtered":   func() error { _, err := Decode(b.Context(), data, Options{Deblock: true}); return err },
			"unfiltered": func() error { _, err := Decode(b.Context(), data, Options{}); return err },
			"x-image":    func() error { _, err := reference(data); return err },
		} {
			b.Run(filepath.Base(name)+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if err := decode(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

package webp

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// picture is the size of every file in testdata. They were made by cwebp of a gradient.
var picture = image.Rect(0, 0, 35, 21)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".webp"))
	require.NoError(t, err)
	return data
}

// part is a chunk.
type part struct {
	kind string
	data []byte
}

// parts returns the chunks of a file.
func parts(data []byte) (out []part) {
	for data = data[12:]; len(data) >= 8; {
		n := int(binary.LittleEndian.Uint32(data[4:]))
		out = append(out, part{string(data[:4]), data[8 : 8+n]})
		data = data[8+n+n&1:]
	}
	return out
}

// images returns the chunks of a file that make up its image.
func images(data []byte) (out []part) {
	for _, p := range parts(data) {
		if p.kind == chunkALPH || p.kind == chunkVP8 || p.kind == chunkVP8L {
			out = append(out, p)
		}
	}
	return out
}

func joined(ps ...part) (out []byte) {
	for _, p := range ps {
		out = append(out, p.kind...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(p.data)))
		out = append(out, p.data...)
		if len(p.data)&1 == 1 {
			out = append(out, 0)
		}
	}
	return out
}

func file(ps ...part) []byte {
	body := append([]byte("WEBP"), joined(ps...)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func put24(b []byte, v ...int) []byte {
	for _, v := range v {
		b = append(b, byte(v), byte(v>>8), byte(v>>16))
	}
	return b
}

func vp8x(flags byte, width, height int) part {
	return part{chunkVP8X, put24([]byte{flags, 0, 0, 0}, width-1, height-1)}
}

// anmf is a frame of an animation.
func anmf(r image.Rectangle, ps ...part) part {
	b := put24(nil, r.Min.X/2, r.Min.Y/2, r.Dx()-1, r.Dy()-1, 100)
	return part{chunkANMF, append(append(b, 0), joined(ps...)...)}
}

func decode(data []byte) (*Decoded, error) {
	return NewDecoder(bytes.NewReader(data), Options{}).Decode(context.Background())
}

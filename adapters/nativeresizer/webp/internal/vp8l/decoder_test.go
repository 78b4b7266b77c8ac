package vp8l

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	reference "golang.org/x/image/vp8l"
)

// header returns the header of a bitstream (RFC 9649, 3.4).
func header(width, height int) []byte {
	return binary.LittleEndian.AppendUint32([]byte{0x2f}, uint32(width-1)|uint32(height-1)<<14|1<<28)
}

// decodeAll returns the pixels that a bitstream without its header decodes to.
func decodeAll(ctx context.Context, data []byte, o Options) ([]uint32, error) {
	out := make([]uint32, 0, o.Width*o.Height)
	next := 0
	err := Decode(ctx, bytes.NewReader(data), o, func(y int, row []uint32) error {
		if y != next || len(row) != o.Width {
			return errors.New("rows out of order")
		}
		next++
		out = append(out, row...)
		return nil
	})
	return out, err
}

// agree decodes a bitstream with header here and by x/image, which is slower and knows
// nothing of windows, and compares.
func agree(t testing.TB, data []byte) (differ string) {
	t.Helper()
	o := optionsOf(data)
	got, err := decodeAll(t.Context(), data[5:], o)
	m, wantErr := reference.Decode(bytes.NewReader(data))
	if err != nil || wantErr != nil {
		if err == nil || wantErr == nil {
			return "ours: " + errorText(err) + "; theirs: " + errorText(wantErr)
		}
		return ""
	}
	if len(got) != o.Width*o.Height {
		return "rows missing"
	}
	if unusedModes(t, data) {
		return ""
	}
	want := m.(*image.NRGBA)
	for i, p := range got {
		b := want.Pix[4*i:]
		if q := uint32(b[3])<<24 | uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]); p != q {
			return "a pixel"
		}
	}
	return ""
}

// optionsOf reads a header.
func optionsOf(data []byte) Options {
	v := binary.LittleEndian.Uint32(data[1:])
	return Options{Width: int(v&0x3fff) + 1, Height: int(v>>14&0x3fff) + 1}
}

// unusedModes reports whether a predictor has one of the modes that do not exist, 14 and 15: libwebp
// takes them for 0, as we do, x/image for no prediction.
func unusedModes(t testing.TB, data []byte) bool {
	d := &decoder{ctx: t.Context()}
	d.bits.r, d.bits.safe = bytes.NewReader(data[5:]), -1
	o := optionsOf(data)
	_, err := d.readTransforms(o.Width, o.Height)
	require.NoError(t, err)
	for _, t := range d.transforms {
		if p, ok := t.(*predictor); ok && slices.Max(p.modes) > 13 {
			return true
		}
	}
	return false
}

func errorText(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}

// bitstreams returns the lossless bitstreams of the files in a folder.
func bitstreams(t testing.TB, dir string) map[string][]byte {
	names, err := filepath.Glob(filepath.Join(dir, "*.webp"))
	require.NoError(t, err)
	out := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		for rest := data[12:]; len(rest) >= 8; {
			n := int(binary.LittleEndian.Uint32(rest[4:]))
			if string(rest[:4]) == "VP8L" {
				out[filepath.Base(name)] = rest[8 : 8+n]
			}
			rest = rest[min(8+n+n&1, len(rest)):]
		}
	}
	return out
}

func TestAgainstReference(t *testing.T) {
	dirs := []string{"../../testdata"}
	if more := os.Getenv("IMAGIFY_PHOTOS"); more != "" {
		dirs = append(dirs, more)
	}
	for _, dir := range dirs {
		for name, data := range bitstreams(t, dir) {
			assert.Empty(t, agree(t, data), name)
		}
	}
}

package hevc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// split cuts a byte stream into its NAL units (H.265, Annex B).
func split(stream []byte) (nals [][]byte) {
	for _, part := range bytes.Split(stream, []byte{0, 0, 1}) {
		part = bytes.TrimRight(part, "\x00")
		if len(part) > 0 {
			nals = append(nals, part)
		}
	}
	return nals
}

// gathered is a decoded picture.
type gathered struct {
	pix    [][]uint16
	width  []int
	height []int
	depth  []int
}

func (g *gathered) sink(b Band) error {
	for c, p := range b.Planes {
		if len(g.pix) <= c {
			g.pix, g.width = append(g.pix, nil), append(g.width, p.Width)
			g.height, g.depth = append(g.height, 0), append(g.depth, p.Depth)
		}
		if p.Y != g.height[c] {
			return fmt.Errorf("rows from %d on after %d", p.Y, g.height[c])
		}
		g.height[c] += p.Rows
		for y := range p.Rows {
			g.pix[c] = append(g.pix[c], p.Pix[y*p.Stride:][:p.Width]...)
		}
	}
	return nil
}

// hashes are the planes as the test set's manifest has them.
func (g *gathered) hashes() string {
	var parts []string
	for c, pix := range g.pix {
		var raw []byte
		for _, v := range pix {
			raw = append(raw, byte(v))
			if g.depth[c] > 8 {
				raw = append(raw, byte(v>>8))
			}
		}
		sum := sha256.Sum256(raw)
		parts = append(parts, fmt.Sprintf("%s:%dx%dx%d:%s", []string{"Y", "Cb", "Cr"}[c], g.width[c], g.height[c], g.depth[c], hex.EncodeToString(sum[:])))
	}
	return strings.Join(parts, ";")
}

func decode(t testing.TB, nals [][]byte, o Options) (*gathered, error) {
	t.Helper()
	g := new(gathered)
	var d Decoder
	return g, d.Decode(t.Context(), new(ParameterSets), Info{}, nals, o, g.sink)
}

func mustDecode(t testing.TB, stream []byte) *gathered {
	t.Helper()
	g, err := decode(t, split(stream), Options{})
	require.NoError(t, err)
	return g
}

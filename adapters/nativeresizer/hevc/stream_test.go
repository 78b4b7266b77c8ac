package hevc

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".hevc"))
	require.NoError(t, err)
	return data
}

// reference decodes a stream with ffmpeg. Without ffmpeg the test is skipped.
func reference(t testing.TB, path string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("no ffmpeg to compare with")
	}
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-loglevel", "error", "-flags", "unaligned", "-f", "hevc", "-i", path,
		"-frames:v", "1", "-f", "rawvideo", "-").Output()
	require.NoError(t, err)
	return out
}

// raw are the planes as ffmpeg writes them, G, B and R in the same order as Y, Cb and Cr.
func (g *gathered) raw() (out []byte) {
	for c, pix := range g.pix {
		for _, v := range pix {
			out = append(out, byte(v))
			if g.depth[c] > 8 {
				out = append(out, byte(v>>8))
			}
		}
	}
	return out
}

func TestX(t *testing.T) {
	for name := range streams {
		g := mustDecode(t, readTestdata(t, name))
		t.Logf("%q: %q,", name, g.hashes())
		require.Equal(t, reference(t, "testdata/"+name+".hevc"), g.raw(), name)
	}
}

var streams = map[string]string{"main": "", "gray10": "", "deep422": "", "deep444": "", "lossless": "", "aq": "", "lists": "", "slices": "", "odd": "", "gbr": ""}

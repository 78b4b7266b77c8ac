package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPack(t *testing.T) {
	t.Parallel()
	binary := bytes.Repeat([]byte("imagify"), 10_000)
	packed, err := pack(binary)
	require.NoError(t, err)
	again, err := pack(binary)
	require.NoError(t, err)
	assert.Equal(t, packed, again)
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	require.NoError(t, err)
	require.Len(t, z.File, 1)
	assert.Equal(t, "bootstrap", z.File[0].Name)
	assert.EqualValues(t, 0o755, z.File[0].Mode().Perm(), "Lambda runs it")
	r, err := z.File[0].Open()
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, binary, got)
}

// The same source gives the same zip files. A small program stands for the function,
// which takes minutes to build; IMAGIFY_FULL=1 builds the function itself.
func TestReproducible(t *testing.T) {
	t.Parallel()
	args := []string{"-package", ".", "-arch", runtime.GOARCH}
	arches := []string{runtime.GOARCH}
	if os.Getenv("IMAGIFY_FULL") == "1" {
		args, arches = nil, []string{"arm64", "amd64"}
	}
	zips := map[string][]byte{}
	for range 2 {
		dir := t.TempDir()
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), append(args, "-o", dir, "-version", "v1.2.3"), &out))
		for _, arch := range arches {
			assert.Regexp(t, arch+`\.zip  [0-9.]+ MB \(the binary in it [0-9.]+ MB\), sha256 [0-9a-f]{64}\n`, out.String())
			b, err := os.ReadFile(filepath.Join(dir, "imagify-lambda-"+arch+".zip"))
			require.NoError(t, err)
			if first, ok := zips[arch]; ok {
				assert.True(t, bytes.Equal(first, b), arch)
			}
			zips[arch] = b
		}
	}
	assert.Error(t, run(t.Context(), []string{"-package", ".", "-arch", "vax", "-o", t.TempDir()}, io.Discard))
	assert.Error(t, run(t.Context(), []string{"-nonsense"}, io.Discard))
}

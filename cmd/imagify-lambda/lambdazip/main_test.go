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

// The same source gives the same zip file. A small program stands for the function,
// which takes a minute to build.
func TestReproducible(t *testing.T) {
	t.Parallel()
	var zips [][]byte
	for range 2 {
		dir := t.TempDir()
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), []string{"-package", ".", "-o", dir, "-arch", runtime.GOARCH, "-version", "v1.2.3"}, &out))
		assert.Contains(t, out.String(), " MB (the binary in it ")
		b, err := os.ReadFile(filepath.Join(dir, "imagify-lambda-"+runtime.GOARCH+".zip"))
		require.NoError(t, err)
		zips = append(zips, b)
	}
	assert.Equal(t, zips[0], zips[1])
	assert.Error(t, run(t.Context(), []string{"-package", ".", "-arch", "vax", "-o", t.TempDir()}, io.Discard))
	assert.Error(t, run(t.Context(), []string{"-nonsense"}, io.Discard))
}

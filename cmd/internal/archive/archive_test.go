package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const aKey = "images/0190c7a2-0000-7000-8000-000000000001/0190c7a2-0000-7000-8000-000000000002/original"

// aTar is a whole backup of one blob and a database.
func aTar(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewPipe(&out)
	require.NoError(t, err)
	data := []byte("the bytes of an original")
	require.NoError(t, w.Put(aKey, int64(len(data)), sha256.Sum256(data), bytes.NewReader(data)))
	_, err = WriteNew(w.Scratch(DatabaseName), strings.NewReader("a database"))
	require.NoError(t, err)
	require.NoError(t, w.Commit(Manifest{Images: 1, Bytes: int64(len(data))}, DatabaseName))
	return out.Bytes()
}

func read(t testing.TB, data []byte) (map[string]string, Manifest, error) {
	t.Helper()
	files := map[string]string{}
	m, err := NewReader(bytes.NewReader(data)).Read(t.TempDir(), func(name string, _ int64, body io.Reader) error {
		text, err := io.ReadAll(body)
		files[name] = string(text)
		return err
	})
	return files, m, err
}

func TestTarIsReadAsItWasWritten(t *testing.T) {
	files, m, err := read(t, aTar(t))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"blobs/" + aKey: "the bytes of an original", m.Records + "/" + DatabaseName: "a database"}, files)
	assert.Equal(t, 1, m.Images)
}

// Whatever byte of a backup is another, and wherever it ends, it is not taken for whole.
func TestDamageIsNoticed(t *testing.T) {
	whole := aTar(t)
	want, m, err := read(t, whole)
	require.NoError(t, err)
	for n := 0; n < len(whole); n += 97 {
		if _, _, err := read(t, whole[:n]); err == nil {
			// Only the tar's empty blocks at its end may be missing.
			assert.Empty(t, bytes.Trim(whole[n:], "\x00"), "cut at %d", n)
		}
	}
	for at := range whole {
		if at%13 != 0 && whole[at] == 0 {
			continue // padding for the most part
		}
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1
		files, got, err := read(t, damaged)
		if err == nil { // a byte that means nothing to a reader, such as a time's or the manifest's own
			assert.Equal(t, want, files, "byte %d", at)
			assert.Equal(t, m.Sums, got.Sums, "byte %d", at)
		}
	}
}

func TestWriteNewOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	n, err := WriteNew(path, strings.NewReader("one"))
	require.NoError(t, err)
	assert.EqualValues(t, 3, n)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = WriteNew(path, strings.NewReader("two"))
	require.ErrorIs(t, err, os.ErrExist)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "one", string(data))
}

// FuzzReader: no tar crashes the reader, or has it take a name that is not a backup's own.
func FuzzReader(f *testing.F) {
	f.Add(aTar(f))
	var other bytes.Buffer
	w := tar.NewWriter(&other)
	require.NoError(f, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "blobs/../../etc/passwd", Size: 1}))
	_, err := w.Write([]byte("x"))
	require.NoError(f, errors.Join(err, w.Close()))
	f.Add(other.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = NewReader(bytes.NewReader(data)).Read(t.TempDir(), func(name string, _ int64, body io.Reader) error {
			_, isBlob := BlobKey(name)
			_, isRecord := RecordsFile(name)
			require.True(t, isBlob || isRecord, name)
			require.NotContains(t, name, "..")
			_, err := io.Copy(io.Discard, body)
			return err
		})
	})
}

// Package corpustest opens the corpus for tests: a folder of valid and hostile
// image files with a manifest that says what each is and what is to be expected of it.
package corpustest

import (
	"encoding/csv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Row is a file of the corpus, by its manifest.
type Row struct {
	// Path is relative to the corpus's folder, with slashes.
	Path, Format, Expectation, Note string
	Width, Height, Frames           int // as coded; 0 where the manifest does not tell
	Orientation                     int // EXIF's; 0 where the manifest does not tell

	folder string
}

// Name returns the file's name on this machine.
func (r Row) Name() string { return filepath.Join(r.folder, filepath.FromSlash(r.Path)) }

// Read returns the file's bytes.
func (r Row) Read(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(r.Name())
	require.NoError(t, err)
	return data
}

// Open returns the rows of the corpus in the folder that IMAGIFY_CORPUS names, or else
// in shared/corpus beside the project. Where there is none the test is skipped.
func Open(t testing.TB) (rows []Row) {
	t.Helper()
	folder := os.Getenv("IMAGIFY_CORPUS")
	if folder == "" {
		folder = filepath.Join(root(t), "..", "shared", "corpus")
	}
	f, err := os.Open(filepath.Join(folder, "manifest.tsv"))
	if os.IsNotExist(err) {
		t.Skipf("no corpus in %s: set IMAGIFY_CORPUS to its folder to try this on it", folder)
	}
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	records, err := r.ReadAll()
	require.NoError(t, err)
	for _, rec := range records[1:] {
		text := func(column string) string { return rec[slices.Index(records[0], column)] }
		number := func(column string) int {
			n, err := strconv.Atoi(text(column))
			if err != nil {
				return 0 // the column is empty
			}
			return n
		}
		rows = append(rows, Row{
			Path: text("path"), Format: text("format"), Expectation: text("expectation"), Note: text("note"),
			Width: number("width"), Height: number("height"), Frames: number("frames"), Orientation: number("orientation"),
			folder: folder,
		})
	}
	return rows
}

// root is the folder of go.mod, above that of the test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		require.NotEqual(t, dir, up, fs.ErrNotExist)
		dir = up
	}
}

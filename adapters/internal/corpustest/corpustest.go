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
	folder, records := table(t, "IMAGIFY_CORPUS", "corpus", "manifest.tsv")
	for _, text := range records {
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

// HEICRow is a file of the set of HEIC and HEVC files, by its manifest.
type HEICRow struct {
	Row
	// Kind is hvc1, grid, iden, iovl, track, or annexb for a bare stream.
	Kind string
	// Planes are the samples of the primary picture, before it is turned or cropped, and
	// Shown after that where it moves whole samples: "Y:WxHxDEPTH:sha256;Cb:…;Cr:…", or "-".
	Planes, Shown string
	// Size is that of the picture as a viewer shows it, "WxH".
	Size string
}

// OpenHEIC returns the valid files of the set in the folder that IMAGIFY_HEIC names, or else
// in shared/heic beside the project. Where there is none the test is skipped.
func OpenHEIC(t testing.TB) (rows []HEICRow) {
	t.Helper()
	folder, records := table(t, "IMAGIFY_HEIC", "heic", "manifest.tsv")
	for _, text := range records {
		rows = append(rows, HEICRow{
			Row:  Row{Path: text("path"), Format: "HEIC", Expectation: "accept", folder: folder},
			Kind: text("kind"), Planes: text("planes"), Shown: text("shown_planes"), Size: text("shown"),
		})
	}
	return rows
}

// OpenBrokenHEIC returns the set's broken and unsupported files, as OpenHEIC does the valid ones.
func OpenBrokenHEIC(t testing.TB) (rows []Row) {
	t.Helper()
	folder, records := table(t, "IMAGIFY_HEIC", "heic", "malformed.tsv")
	for _, text := range records {
		rows = append(rows, Row{Path: text("path"), Format: "HEIC", Note: text("what"), folder: folder})
	}
	return rows
}

// table reads a table of a set of files and returns the set's folder and its rows, each of
// which tells its text by column.
func table(t testing.TB, variable, name, file string) (folder string, rows []func(column string) string) {
	t.Helper()
	folder = os.Getenv(variable)
	if folder == "" {
		folder = filepath.Join(root(t), "..", "shared", name)
	}
	f, err := os.Open(filepath.Join(folder, file))
	if os.IsNotExist(err) {
		t.Skipf("no files in %s: set %s to their folder to try this on them", folder, variable)
	}
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	records, err := r.ReadAll()
	require.NoError(t, err)
	for _, rec := range records[1:] {
		rows = append(rows, func(column string) string {
			i := slices.Index(records[0], column)
			require.GreaterOrEqual(t, i, 0, "column %s", column)
			return rec[i]
		})
	}
	return folder, rows
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

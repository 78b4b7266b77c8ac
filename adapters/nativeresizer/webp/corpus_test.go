package webp

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"image"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	stdwebp "golang.org/x/image/webp"
)

// corpusRow is a line of the corpus's manifest.
type corpusRow struct {
	path, format, expectation string
	width, height, frames     int
	data                      []byte
}

// corpus returns the WebP files of the corpus, a folder of valid and hostile images
// with a manifest, or skips the test.
func corpus(t testing.TB) (rows []corpusRow) {
	t.Helper()
	dir := os.Getenv("IMAWebPY_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "corpus")
	}
	f, err := os.Open(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		t.Skipf("no corpus (set IMAWebPY_CORPUS to its folder): %v", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	lines, err := r.ReadAll()
	require.NoError(t, err)
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	for _, l := range lines[1:] {
		row := corpusRow{path: l[column["path"]], format: l[column["format"]], expectation: l[column["expectation"]]}
		row.width, _ = strconv.Atoi(l[column["width"]])
		row.height, _ = strconv.Atoi(l[column["height"]])
		row.frames, _ = strconv.Atoi(l[column["frames"]])
		row.data, err = os.ReadFile(filepath.Join(dir, row.path))
		require.NoError(t, err)
		if row.format != "WEBP" {
			row.expectation = "reject" // it only has the name
		}
		if row.format == "WEBP" || filepath.Ext(row.path) == ".webp" {
			rows = append(rows, row)
		}
	}
	return rows
}

// typed reports whether an error is of those that the package documents for bad files.
func typed(err error) bool {
	var f FormatError
	var u UnsupportedError
	return errors.As(err, &f) || errors.As(err, &u) || errors.Is(err, ErrTruncated)
}

// TestCorpus decodes every WebP file of the corpus.
func TestCorpus(t *testing.T) {
	for _, row := range corpus(t) {
		t.Run(row.path, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d := NewDecoder(bytes.NewReader(row.data), Options{})
			defer d.Close()
			h, err := d.Header(ctx)
			if err == nil && int64(h.Width)*int64(h.Height) > 60e6 {
				require.NotEqual(t, "accept", row.expectation)
				return
			}
			p, err := d.Decode(ctx)
			runtime.ReadMemStats(&after)
			allowed := int64(128 << 10)
			if h != nil {
				allowed += MemoryNeeded(h) + 2*int64(len(h.ICC)+len(h.EXIF))
			}
			if p != nil {
				allowed += 2 * int64(len(p.EXIF))
			}
			require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), allowed, "memory")
			require.True(t, err == nil || typed(err), "%v", err)
			switch row.expectation {
			case "accept":
				require.NoError(t, err)
				assert.Equal(t, [2]int{row.width, row.height}, [2]int{h.Width, h.Height})
				assert.Equal(t, row.frames, p.Frames)
			case "reject":
				// A thousand frames are the most that is served.
				require.True(t, err != nil || p.Frames > 1000)
			default:
				if testing.Verbose() {
					t.Logf("%s: %v", row.expectation, err)
				}
			}
			if err != nil {
				return
			}
			assert.Equal(t, image.Rect(0, 0, h.Width, h.Height), p.Image.Bounds())
			if std, err := stdwebp.Decode(bytes.NewReader(row.data)); err == nil {
				assert.IsType(t, std, p.Image)
				if !h.Lossless {
					same(t, want(t, row.data), p.Image, image.Point{})
				}
			}
			_, err = NewDecoder(iotest.HalfReader(bytes.NewReader(row.data)), Options{}).Decode(ctx)
			require.NoError(t, err)
		})
	}
}

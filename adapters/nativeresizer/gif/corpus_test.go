package gif

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
)

// corpusRow is a line of the corpus's manifest.
type corpusRow struct {
	path, format, expectation string
	width, height, frames     int
	data                      []byte
}

// corpus returns the GIF files of the corpus, a folder of valid and hostile images
// with a manifest, or skips the test.
func corpus(t testing.TB) (rows []corpusRow) {
	t.Helper()
	dir := os.Getenv("IMAGIFY_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "corpus")
	}
	f, err := os.Open(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		t.Skipf("no corpus (set IMAGIFY_CORPUS to its folder): %v", err)
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
		if row.format != "GIF" {
			row.expectation = "reject" // it only has the name
		}
		if row.format == "GIF" || filepath.Ext(row.path) == ".gif" {
			rows = append(rows, row)
		}
	}
	return rows
}

// typed reports whether an error is of those that the package documents for bad files.
func typed(err error) bool {
	var f FormatError
	return errors.As(err, &f) || errors.Is(err, ErrTruncated)
}

// TestCorpus decodes every GIF file of the corpus at several factors.
func TestCorpus(t *testing.T) {
	for _, row := range corpus(t) {
		t.Run(row.path, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var whole error
			for _, f := range []int{1, 3, 8} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				d := NewDecoder(bytes.NewReader(row.data), Options{})
				defer d.Close()
				h, err := d.Header(ctx)
				if err == nil && h.Pixels() > 60e6 {
					require.NotEqual(t, "accept", row.expectation)
					return
				}
				p, err := d.Decode(ctx, f, f)
				runtime.ReadMemStats(&after)
				allowed := int64(workspaceSize + 64<<10)
				if h != nil {
					allowed += MemoryNeeded(h, f, f)
				}
				require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), allowed, "memory")
				require.True(t, err == nil || typed(err), "%v", err)
				if f == 1 {
					whole = err
					if row.expectation != "accept" && testing.Verbose() {
						t.Logf("%s: %v", row.expectation, err)
					}
				}
				require.Equal(t, whole, err, "at 1/%d", f)
				switch row.expectation {
				case "accept":
					require.NoError(t, err)
					assert.Equal(t, [2]int{row.width, row.height}, [2]int{h.Width, h.Height})
					assert.Equal(t, row.frames, p.Frames)
				case "reject":
					// A thousand frames are the most that is served.
					require.True(t, err != nil || p.Frames > 1000)
				}
				if err != nil {
					continue
				}
				assert.Equal(t, image.Pt(ceilDiv(h.Width, f), ceilDiv(h.Height, f)), p.Image.Bounds().Size())
				compareStd(t, row.data, h, p.Image, f, f)

				_, err = NewDecoder(iotest.HalfReader(bytes.NewReader(row.data)), Options{}).Decode(ctx, f, f)
				require.NoError(t, err)
			}
		})
	}
}

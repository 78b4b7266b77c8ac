package jpeg

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// corpusRow is a line of the corpus's manifest.
type corpusRow struct {
	path, format, expectation string
	width, height             int
	data                      []byte
}

// corpus returns the JPEG files of the corpus, a folder of valid and hostile
// images with a manifest, or skips the test.
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
		row.data, err = os.ReadFile(filepath.Join(dir, row.path))
		require.NoError(t, err)
		if row.format == "JPEG" || bytes.HasPrefix(row.data, []byte("\xff\xd8")) {
			rows = append(rows, row)
		}
	}
	return rows
}

// TestCorpus decodes every JPEG file of the corpus at every scale.
func TestCorpus(t *testing.T) {
	for _, row := range corpus(t) {
		t.Run(row.path, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var atFull error
			for _, s := range []Scale{Full, Half, Quarter, Eighth} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				d := NewDecoder(bytes.NewReader(row.data), Options{})
				h, err := d.Header(ctx)
				if err == nil && int64(h.Width)*int64(h.Height) > 60e6 {
					require.NotEqual(t, "accept", row.expectation)
					d.Close()
					return
				}
				start := time.Now()
				p, err := d.Decode(ctx, s)
				runtime.ReadMemStats(&after)
				if spent := time.Since(start); spent > 100*time.Millisecond {
					t.Logf("1/%d took %v: %v", s, spent.Round(time.Millisecond), err)
				}
				require.NoError(t, ctx.Err())
				allowed := int64(len(row.data)) + workspaceSize + 1<<20 // metadata, tables, noise
				if h != nil {
					allowed += MemoryNeeded(h, s)
				}
				require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), allowed, "memory")

				if s == Full {
					atFull = err
				}
				assert.Equal(t, atFull, err, "error at 1/%d", s)
				var unsupported UnsupportedError
				if row.expectation == "accept" && errors.As(err, &unsupported) && strings.Contains(row.path, "testimgari") {
					continue // arithmetic coding
				}
				if row.expectation == "accept" {
					require.NoError(t, err)
					assert.Equal(t, [2]int{row.width, row.height}, [2]int{h.Width, h.Height})
					assert.False(t, p.Truncated, "truncated at 1/%d", s)
					assert.False(t, p.Damaged, "damaged at 1/%d", s)
				}
				if err == nil {
					assert.Equal(t, [2]int{ceilDiv(h.Width, int(s)), ceilDiv(h.Height, int(s))}, [2]int{p.Width, p.Height})
					assert.Equal(t, p.Width, p.Image().Bounds().Dx())
				}
				if testing.Verbose() && s == Full && row.expectation != "accept" {
					result := "ok"
					switch {
					case err != nil:
						result = err.Error()
					case p.Truncated:
						result = "truncated"
					case p.Damaged:
						result = "damaged"
					}
					t.Logf("%s: %s", row.expectation, result)
				}
			}
		})
	}
}

package gif

import (
	"bytes"
	"context"
	"errors"
	"image"
	"path/filepath"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/corpustest"
)

// corpusRow is a file of the corpus, and its bytes.
type corpusRow struct {
	corpustest.Row
	data []byte
}

// corpus returns the GIF files of the corpus.
func corpus(t testing.TB) (rows []corpusRow) {
	t.Helper()
	for _, r := range corpustest.Open(t) {
		row := corpusRow{Row: r, data: r.Read(t)}
		if row.Format != "GIF" {
			row.Expectation = "reject" // it only has the name
		}
		if row.Format == "GIF" || filepath.Ext(row.Path) == ".gif" {
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
		t.Run(row.Path, func(t *testing.T) {
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
					require.NotEqual(t, "accept", row.Expectation)
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
					if row.Expectation != "accept" && testing.Verbose() {
						t.Logf("%s: %v", row.Expectation, err)
					}
				}
				require.Equal(t, whole, err, "at 1/%d", f)
				switch row.Expectation {
				case "accept":
					require.NoError(t, err)
					assert.Equal(t, [2]int{row.Width, row.Height}, [2]int{h.Width, h.Height})
					assert.Equal(t, row.Frames, p.Frames)
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

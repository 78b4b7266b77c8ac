package webp

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
	stdwebp "golang.org/x/image/webp"
)

// corpusRow is a file of the corpus, and its bytes.
type corpusRow struct {
	corpustest.Row
	data []byte
}

// corpus returns the WebP files of the corpus.
func corpus(t testing.TB) (rows []corpusRow) {
	t.Helper()
	for _, r := range corpustest.Open(t) {
		row := corpusRow{Row: r, data: r.Read(t)}
		if row.Format != "WEBP" {
			row.Expectation = "reject" // it only has the name
		}
		if row.Format == "WEBP" || filepath.Ext(row.Path) == ".webp" {
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
		t.Run(row.Path, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d := NewDecoder(bytes.NewReader(row.data), Options{})
			defer d.Close()
			h, err := d.Header(ctx)
			if err == nil && int64(h.Width)*int64(h.Height) > 60e6 {
				require.NotEqual(t, "accept", row.Expectation)
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
			switch row.Expectation {
			case "accept":
				require.NoError(t, err)
				assert.Equal(t, [2]int{row.Width, row.Height}, [2]int{h.Width, h.Height})
				assert.Equal(t, row.Frames, p.Frames)
			case "reject":
				// A thousand frames are the most that is served.
				require.True(t, err != nil || p.Frames > 1000)
			default:
				if testing.Verbose() {
					t.Logf("%s: %v", row.Expectation, err)
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

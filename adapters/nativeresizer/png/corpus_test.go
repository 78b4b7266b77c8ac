package png

import (
	"bytes"
	"context"
	"errors"
	"image"
	stdpng "image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
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

// corpus returns the PNG files of the corpus.
func corpus(t testing.TB) (rows []corpusRow) {
	t.Helper()
	for _, r := range corpustest.Open(t) {
		row := corpusRow{Row: r, data: r.Read(t)}
		if row.Format != "PNG" {
			row.Expectation = "reject" // it only has the name
		}
		if row.Width*row.Height > 500_000 && row.Expectation == "accept" && os.Getenv("IMAGIFY_FULL") != "1" {
			continue // takes long under the race detector
		}
		if row.Format == "PNG" || filepath.Ext(row.Path) == ".png" {
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

// TestCorpus decodes every PNG file of the corpus at several factors.
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
				if err == nil && int64(h.Width)*int64(h.Height) > 60e6 {
					require.NotEqual(t, "accept", row.Expectation)
					return
				}
				p, err := d.Decode(ctx, f, f)
				runtime.ReadMemStats(&after)
				allowed := int64(workspaceSize + 64<<10)
				if h != nil {
					// Growing slices of metadata are allocated more than once.
					allowed += MemoryNeeded(h, f, f) + 4*int64(len(h.EXIF)) + 4*DefaultMaxICC
				}
				require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), allowed, "memory")
				require.True(t, err == nil || typed(err), "%v", err)
				if f == 1 {
					whole = err
				}
				require.Equal(t, whole, err, "at 1/%d", f)
				switch row.Expectation {
				case "accept":
					require.NoError(t, err)
					assert.Equal(t, [2]int{row.Width, row.Height}, [2]int{h.Width, h.Height})
					assert.Equal(t, row.Frames, p.Frames)
				case "reject":
					require.Error(t, err)
				default:
					if f == 1 && testing.Verbose() {
						t.Logf("%s: %v", row.Expectation, err)
					}
				}
				if err != nil {
					continue
				}
				assert.Equal(t, image.Pt(ceilDiv(h.Width, f), ceilDiv(h.Height, f)), p.Image.Bounds().Size())
				if _, err := stdpng.Decode(bytes.NewReader(row.data)); err == nil && f != 8 {
					width, height, want := pixels(t, row.data)
					assert.True(t, near(boxes(width, height, want, f, f), rgba(t, p.Image), 1), "differs from the standard library")
				}
			}
		})
	}
}

// TestCorpusPieces gives every file in small pieces, and as other formats' parsers
// would pass it on: with an error where the file ends.
func TestCorpusPieces(t *testing.T) {
	broken := errors.New("broken")
	for _, row := range corpus(t) {
		if len(row.data) > 100_000 {
			continue
		}
		o := Options{MaxPixels: 10e6}
		_, want := NewDecoder(bytes.NewReader(row.data), o).Decode(t.Context(), 8, 8)
		_, got := NewDecoder(&pieces{row.data, io.EOF}, o).Decode(t.Context(), 8, 8)
		require.Equal(t, want, got, row.Path)
		_, got = NewDecoder(&pieces{row.data, broken}, o).Decode(t.Context(), 8, 8)
		if errors.Is(want, ErrTruncated) || want == nil && !bytes.Contains(row.data, chunk(chunkIEND, nil)) {
			want = broken // an end that is missing is forgiven, one that cannot be read is not
		}
		require.Equal(t, want, got, row.Path)
	}
}

// pieces gives 7 bytes at a time.
type pieces struct {
	data []byte
	err  error
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, p.err
	}
	n := copy(b[:min(len(b), 7)], p.data)
	p.data = p.data[n:]
	return n, nil
}

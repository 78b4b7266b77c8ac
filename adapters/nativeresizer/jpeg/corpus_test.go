package jpeg

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
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

// corpus returns the JPEG files of the corpus.
func corpus(t testing.TB) (rows []corpusRow) {
	t.Helper()
	for _, r := range corpustest.Open(t) {
		row := corpusRow{Row: r, data: r.Read(t)}
		if row.Format == "JPEG" || bytes.HasPrefix(row.data, []byte("\xff\xd8")) {
			rows = append(rows, row)
		}
	}
	return rows
}

// TestCorpus decodes every JPEG file of the corpus at every scale.
func TestCorpus(t *testing.T) {
	for _, row := range corpus(t) {
		t.Run(row.Path, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var atFull error
			for _, s := range []Scale{Full, Half, Quarter, Eighth} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				d := NewDecoder(bytes.NewReader(row.data), Options{})
				h, err := d.Header(ctx)
				if err == nil && int64(h.Width)*int64(h.Height) > 60e6 {
					require.NotEqual(t, "accept", row.Expectation)
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
				if row.Expectation == "accept" && errors.As(err, &unsupported) && strings.Contains(row.Path, "testimgari") {
					continue // arithmetic coding
				}
				if row.Expectation == "accept" {
					require.NoError(t, err)
					assert.Equal(t, [2]int{row.Width, row.Height}, [2]int{h.Width, h.Height})
					assert.False(t, p.Truncated, "truncated at 1/%d", s)
					assert.False(t, p.Damaged, "damaged at 1/%d", s)
				}
				if err == nil {
					assert.Equal(t, [2]int{ceilDiv(h.Width, int(s)), ceilDiv(h.Height, int(s))}, [2]int{p.Width, p.Height})
					assert.Equal(t, p.Width, p.Image().Bounds().Dx())
				}
				if testing.Verbose() && s == Full && row.Expectation != "accept" {
					result := "ok"
					switch {
					case err != nil:
						result = err.Error()
					case p.Truncated:
						result = "truncated"
					case p.Damaged:
						result = "damaged"
					}
					t.Logf("%s: %s", row.Expectation, result)
				}
			}
		})
	}
}

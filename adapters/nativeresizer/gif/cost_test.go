package gif

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// costly are files that cost as much as can be, each in a way of its own.
func costly(n int) map[string][]byte {
	clears := make([]int, n)
	for i := range clears {
		clears[i] = 4
	}
	clears = append(clears, 1, 2, 4, 3, 0, 5)
	noise, flat := frame{0, 0, 50, n / 50, 8, false, false, -1, true}, frame{0, 0, 50, n / 50, 8, true, false, -1, false}
	tiny := picture(2, codes(3, 4, 1, 2, 4, 3, 0, 5))
	surplus := bytes.Repeat([]byte{1, 0}, n)
	return map[string][]byte{
		"clear codes":     file(2, 2, picture(2, codes(3, clears...))),
		"noise":           file(50, n/50, noise.encode()),
		"interlaced":      file(50, n/50, flat.encode()),
		"frames":          file(2, 2, bytes.Repeat(tiny, n/10)),
		"sub-blocks":      file(2, 2, []byte{0x21, 0xfe}, surplus, []byte{0}, tiny),
		"extensions":      file(2, 2, bytes.Repeat([]byte{0x21, 0xfe, 0}, n), tiny),
		"surplus of data": file(2, 2, tiny[:len(tiny)-1], surplus, []byte{0}),
	}
}

// spent decodes a file, and returns its cost and time.
func spent(tb testing.TB, data []byte) (int64, time.Duration) {
	tb.Helper()
	b := work.New(1 << 60)
	start := time.Now()
	_, err := NewDecoder(bytes.NewReader(data), Options{Work: b}).Decode(tb.Context(), 2, 2)
	took := time.Since(start)
	require.NoError(tb, err)
	return b.Spent(), took
}

// BenchmarkCost shows the time of a unit in each of the costliest files.
func BenchmarkCost(b *testing.B) {
	for name, data := range costly(200_000) {
		b.Run(name, func(b *testing.B) {
			// The shortest of all runs: others are disturbed by what else the machine does.
			units, best := spent(b, data)
			for b.Loop() {
				_, took := spent(b, data)
				best = min(best, took)
			}
			b.ReportMetric(float64(best)/float64(units), "ns/unit")
			b.ReportMetric(float64(units)/float64(len(data)), "units/byte")
		})
	}
}

func TestEveryCostlyFileIsCounted(t *testing.T) {
	t.Parallel()
	for name, data := range costly(20_000) {
		units, _ := spent(t, data)
		assert.Greater(t, units, int64(10_000), name)
		_, err := NewDecoder(bytes.NewReader(data), Options{Work: work.New(units / 2)}).Decode(t.Context(), 2, 2)
		assert.ErrorIs(t, err, work.ErrExceeded, name)
	}
}

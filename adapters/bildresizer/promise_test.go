package bildresizer_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/adapters/internal/corpustest"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// TestPromise tries the promises about hostile and other images on the corpus.
// The quick form makes thumbnails of the smaller files only, and with the race
// detector of one file in eight; IMAGIFY_FULL=1 takes all.
func TestPromise(t *testing.T) {
	rows := corpustest.Open(t)
	full := os.Getenv("IMAGIFY_FULL") == "1"
	if raceEnabled && !full {
		i := 0
		rows = slices.DeleteFunc(rows, func(r corpustest.Row) bool {
			i++
			return i%8 != 0 && !strings.HasPrefix(r.Path, "hostile/bomb/")
		})
	}
	t.Run("H1", func(t *testing.T) { promiseNoFileHurts(t, rows) })
	t.Run("H2", func(t *testing.T) { promiseMemoryIsBounded(t, rows) })
	t.Run("H3", func(t *testing.T) { promiseBombsAreCheap(t, rows) })
	t.Run("H4", func(t *testing.T) { promiseBurnersAreCut(t, rows) })
	t.Run("H5", func(t *testing.T) { promiseAcceptedHasThumbnails(t, rows, full) })
}

// slack is how much longer than promised a deadline may take in a test.
const slack = 3

// wrongRows are the files of which the manifest expects what this resizer does not do, and what it does.
var wrongRows = map[string]struct {
	want   domain.Code
	reason string
}{
	"valid/jpeg/libjpeg-turbo-libjpeg-turbo__4672c7__testimgari.jpg": {
		domain.UnsupportedImage,
		"arithmetic coded: not of the JPEGs that imagify advertises, and the standard library's decoder has none of it",
	},
	"valid/gif/python-pillow-Pillow__1a5648__issue_2811.gif": {
		domain.CorruptImage,
		"its LZW codes begin at 11 bits, of at most 8 that GIF89a allows; the standard library's decoder holds it to that",
	},
}

// expected says which answers the manifest allows.
func expected(r corpustest.Row, code domain.Code) bool {
	refused := code == domain.UnsupportedImage || code == domain.CorruptImage || code == domain.TooLarge
	if w, ok := wrongRows[r.Path]; ok {
		return code == w.want
	}
	switch r.Expectation {
	case "accept":
		return code == ""
	case "reject":
		return refused
	case "accept-if-format-advertised": // and it is not
		return code == domain.UnsupportedImage
	}
	return code == "" || refused
}

func promiseNoFileHurts(t *testing.T, rows []corpustest.Row) {
	res := resizer(t, bildresizer.Options{})
	for _, r := range rows {
		file := r.Read(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second*slack)
		info, err := res.Inspect(ctx, bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		code := domain.CodeOf(err)
		assert.True(t, expected(r, code), "%s: expected %s, got %v", r.Path, r.Expectation, err)
		if err != nil {
			assert.NotContains(t, err.Error(), "panicked", r.Path)
			if code != domain.TooLarge { // which may be a tier's limit, of which Resize knows nothing
				_, err = res.Resize(ctx, bytes.NewReader(file), ports.ResizeRequest{Heights: []int{200}})
				assert.Equal(t, code, domain.CodeOf(err), "%s: Resize refuses what Inspect refuses: %v", r.Path, err)
			}
		} else if r.Expectation != "accept" && info.Width*info.Height < 1<<20 { // the others are H5's
			thumbs, err := res.Resize(ctx, bytes.NewReader(file), ports.ResizeRequest{Heights: []int{33}})
			if assert.NoError(t, err, r.Path) {
				check(t, info, 33, thumbs[0])
			}
		}
		cancel()
	}
}

func promiseMemoryIsBounded(t *testing.T, rows []corpustest.Row) {
	res := resizer(t, bildresizer.Options{})
	goroutines := runtime.NumGoroutine()
	done := make(chan struct{})
	peak := make(chan uint64)
	go func() {
		most := uint64(0)
		for {
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(2 * time.Millisecond):
				most = max(most, resident())
			}
		}
	}()
	var wg sync.WaitGroup
	queue := make(chan corpustest.Row)
	for range 8 {
		wg.Go(func() {
			for r := range queue {
				file, err := os.ReadFile(r.Name())
				if assert.NoError(t, err) {
					_, err = res.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
					assert.True(t, expected(r, domain.CodeOf(err)), "%s: expected %s, got %v", r.Path, r.Expectation, err)
				}
			}
		})
	}
	for _, r := range rows {
		queue <- r
	}
	close(queue)
	wg.Wait()
	close(done)
	most := <-peak
	t.Logf("peak with 8 in parallel: %d MiB", most>>20)
	assert.LessOrEqual(t, most, uint64(600<<20))
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+5 }, 5*time.Second, 10*time.Millisecond, "goroutines are left over")
}

// resident is what the Go runtime has of the system's memory, in bytes.
func resident() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

func promiseBombsAreCheap(t *testing.T, rows []corpustest.Row) {
	res := resizer(t, bildresizer.Options{})
	bombs := 0
	for _, r := range rows {
		if !strings.HasPrefix(r.Path, "hostile/bomb/") || r.Expectation != "reject" {
			continue
		}
		bombs++
		file := r.Read(t)
		allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(allocated)
		before, start := allocated[0].Value.Uint64(), time.Now()
		_, err := res.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		took := time.Since(start)
		metrics.Read(allocated)
		assert.True(t, expected(r, domain.CodeOf(err)), "%s: %v", r.Path, err)
		assert.Less(t, took, 100*time.Millisecond*slack, r.Path)
		assert.Less(t, allocated[0].Value.Uint64()-before, uint64(32<<20), r.Path)
	}
	assert.NotZero(t, bombs)
}

func promiseBurnersAreCut(t *testing.T, rows []corpustest.Row) {
	res := resizer(t, bildresizer.Options{})
	for _, r := range rows {
		if !strings.HasPrefix(r.Path, "hostile/bomb/") {
			continue
		}
		file := r.Read(t)
		start := time.Now()
		if _, err := res.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits}); err == nil {
			_, err = res.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{200}})
			assert.NoError(t, err, r.Path)
		}
		assert.Less(t, time.Since(start), 5*time.Second*slack, r.Path)
	}
}

func promiseAcceptedHasThumbnails(t *testing.T, rows []corpustest.Row, full bool) {
	res := resizer(t, bildresizer.Options{})
	for _, r := range rows {
		if _, wrong := wrongRows[r.Path]; wrong || r.Expectation != "accept" {
			continue
		}
		t.Run(r.Path, func(t *testing.T) {
			t.Parallel()
			file := r.Read(t)
			info, err := res.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
			require.NoError(t, err)
			w, h := r.Width, r.Height
			if r.Orientation >= 5 && r.Orientation <= 8 {
				w, h = h, w
			}
			assert.Equal(t, [3]int{w, h, r.Frames}, [3]int{info.Width, info.Height, info.Frames})
			assert.NotEmpty(t, info.Placeholder)

			heights := []int{1, 33, 200, 400, 4320}
			if pixels := r.Width * r.Height; !full && pixels > 50_000 {
				if heights = []int{200}; pixels > 300_000 {
					return
				}
			}
			thumbs, err := res.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: heights})
			require.NoError(t, err)
			for i, height := range heights {
				check(t, info, height, thumbs[i])
				assert.Empty(t, metadata(thumbs[i]))
			}
		})
	}
}

// metadata returns what a thumbnail has that is not picture.
func metadata(thumb ports.Thumbnail) (found []string) {
	for _, mark := range []string{"Exif\x00", "http://ns.adobe.com", "ICC_PROFILE", "JFIF", "eXIf", "iCCP", "tEXt", "zTXt", "iTXt"} {
		if bytes.Contains(thumb.Data, []byte(mark)) {
			found = append(found, mark)
		}
	}
	return found
}

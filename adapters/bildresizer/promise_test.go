package bildresizer_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/bildresizer"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// TestPromise tries the promises about hostile and other images on the corpus.
// The quick form makes thumbnails of the smaller files only, and with the race
// detector of one file in eight; IMAGIFY_FULL=1 takes all.
func TestPromise(t *testing.T) {
	folder, rows := corpus(t)
	full := os.Getenv("IMAGIFY_FULL") == "1"
	if raceEnabled && !full {
		i := 0
		rows = slices.DeleteFunc(rows, func(r row) bool {
			i++
			return i%8 != 0 && !strings.HasPrefix(r.path, "hostile/bomb/")
		})
	}
	t.Run("H1", func(t *testing.T) { promiseNoFileHurts(t, folder, rows) })
	t.Run("H2", func(t *testing.T) { promiseMemoryIsBounded(t, folder, rows) })
	t.Run("H3", func(t *testing.T) { promiseBombsAreCheap(t, folder, rows) })
	t.Run("H4", func(t *testing.T) { promiseBurnersAreCut(t, folder, rows) })
	t.Run("H5", func(t *testing.T) { promiseAcceptedHasThumbnails(t, folder, rows, full) })
}

// slack is how much longer than promised a deadline may take in a test.
const slack = 3

// row is a file of the corpus, by its manifest.
type row struct {
	path, expectation, note string
	width, height, frames   int // as coded; 0 where the manifest does not tell
	orientation             int
}

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

func corpus(t *testing.T) (folder string, rows []row) {
	t.Helper()
	folder = os.Getenv("IMAGIFY_CORPUS")
	if folder == "" {
		folder = filepath.FromSlash("../../../shared/corpus")
	}
	f, err := os.Open(filepath.Join(folder, "manifest.tsv"))
	if os.IsNotExist(err) {
		t.Skipf("no corpus in %s: set IMAGIFY_CORPUS to its folder to try the promises on it", folder)
	}
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	records, err := r.ReadAll()
	require.NoError(t, err)
	for _, rec := range records[1:] {
		text := func(column string) string { return rec[slices.Index(records[0], column)] }
		number := func(column string) int {
			n, err := strconv.Atoi(text(column))
			if err != nil {
				return 0 // the column is empty
			}
			return n
		}
		rows = append(rows, row{
			path: text("path"), expectation: text("expectation"), note: text("note"),
			width: number("width"), height: number("height"), frames: number("frames"), orientation: number("orientation"),
		})
	}
	return folder, rows
}

func read(t *testing.T, folder string, r row) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(r.path)))
	require.NoError(t, err)
	return file
}

// expected says which answers the manifest allows.
func expected(r row, code domain.Code) bool {
	refused := code == domain.UnsupportedImage || code == domain.CorruptImage || code == domain.TooLarge
	if w, ok := wrongRows[r.path]; ok {
		return code == w.want
	}
	switch r.expectation {
	case "accept":
		return code == ""
	case "reject":
		return refused
	case "accept-if-format-advertised": // and it is not
		return code == domain.UnsupportedImage
	}
	return code == "" || refused
}

func promiseNoFileHurts(t *testing.T, folder string, rows []row) {
	res := resizer(t, bildresizer.Options{})
	for _, r := range rows {
		file := read(t, folder, r)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second*slack)
		info, err := res.Inspect(ctx, bytes.NewReader(file), limits)
		code := domain.CodeOf(err)
		assert.True(t, expected(r, code), "%s: expected %s, got %v", r.path, r.expectation, err)
		if err != nil {
			assert.NotContains(t, err.Error(), "panicked", r.path)
			if code != domain.TooLarge { // which may be a tier's limit, of which Resize knows nothing
				_, err = res.Resize(ctx, bytes.NewReader(file), []int{200})
				assert.Equal(t, code, domain.CodeOf(err), "%s: Resize refuses what Inspect refuses: %v", r.path, err)
			}
		} else if r.expectation != "accept" && info.Width*info.Height < 1<<20 { // the others are H5's
			thumbs, err := res.Resize(ctx, bytes.NewReader(file), []int{33})
			if assert.NoError(t, err, r.path) {
				check(t, info, 33, thumbs[0])
			}
		}
		cancel()
	}
}

func promiseMemoryIsBounded(t *testing.T, folder string, rows []row) {
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
	queue := make(chan row)
	for range 8 {
		wg.Go(func() {
			for r := range queue {
				file, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(r.path)))
				if assert.NoError(t, err) {
					_, err = res.Inspect(t.Context(), bytes.NewReader(file), limits)
					assert.True(t, expected(r, domain.CodeOf(err)), "%s: expected %s, got %v", r.path, r.expectation, err)
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

func promiseBombsAreCheap(t *testing.T, folder string, rows []row) {
	res := resizer(t, bildresizer.Options{})
	bombs := 0
	for _, r := range rows {
		if !strings.HasPrefix(r.path, "hostile/bomb/") || r.expectation != "reject" {
			continue
		}
		bombs++
		file := read(t, folder, r)
		allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(allocated)
		before, start := allocated[0].Value.Uint64(), time.Now()
		_, err := res.Inspect(t.Context(), bytes.NewReader(file), limits)
		took := time.Since(start)
		metrics.Read(allocated)
		assert.True(t, expected(r, domain.CodeOf(err)), "%s: %v", r.path, err)
		assert.Less(t, took, 100*time.Millisecond*slack, r.path)
		assert.Less(t, allocated[0].Value.Uint64()-before, uint64(32<<20), r.path)
	}
	assert.NotZero(t, bombs)
}

func promiseBurnersAreCut(t *testing.T, folder string, rows []row) {
	res := resizer(t, bildresizer.Options{})
	for _, r := range rows {
		if !strings.HasPrefix(r.path, "hostile/bomb/") {
			continue
		}
		file := read(t, folder, r)
		start := time.Now()
		if _, err := res.Inspect(t.Context(), bytes.NewReader(file), limits); err == nil {
			_, err = res.Resize(t.Context(), bytes.NewReader(file), []int{200})
			assert.NoError(t, err, r.path)
		}
		assert.Less(t, time.Since(start), 5*time.Second*slack, r.path)
	}
}

func promiseAcceptedHasThumbnails(t *testing.T, folder string, rows []row, full bool) {
	res := resizer(t, bildresizer.Options{})
	for _, r := range rows {
		if _, wrong := wrongRows[r.path]; wrong || r.expectation != "accept" {
			continue
		}
		t.Run(r.path, func(t *testing.T) {
			t.Parallel()
			file := read(t, folder, r)
			info, err := res.Inspect(t.Context(), bytes.NewReader(file), limits)
			require.NoError(t, err)
			w, h := r.width, r.height
			if r.orientation >= 5 && r.orientation <= 8 {
				w, h = h, w
			}
			assert.Equal(t, [3]int{w, h, r.frames}, [3]int{info.Width, info.Height, info.Frames})
			assert.NotEmpty(t, info.Placeholder)

			heights := []int{1, 33, 200, 400, 4320}
			if pixels := r.width * r.height; !full && pixels > 50_000 {
				if heights = []int{200}; pixels > 300_000 {
					return
				}
			}
			thumbs, err := res.Resize(t.Context(), bytes.NewReader(file), heights)
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

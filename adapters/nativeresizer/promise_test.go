package nativeresizer_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/corpustest"
	"github.com/imagify-api/imagify/adapters/nativeresizer"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// slack is how much longer than promised a deadline may take in a test.
const slack = 3

// quickPixels is how large the pictures of the quick form are.
const quickPixels = 80_000

var limits = domain.ImageLimits{MaxPixels: 60_000_000, MaxFrames: 1000}

// TestPromise tries the promises about hostile and other images on the corpus.
// The quick form leaves out the larger pictures; IMAGIFY_FULL=1 takes all, at every
// height, and prints the files that took most.
func TestPromise(t *testing.T) {
	c := openCorpus(t)
	t.Run("H1", c.noFileHurts)
	t.Run("H2", c.memoryIsBounded)
	t.Run("H3", c.bombsAreCheap)
	t.Run("H4", c.burnersAreCut)
	t.Run("H5", c.acceptedHasThumbnails)
	t.Run("H6", panicsAreContained)
	t.Run("S3", c.noMetadata)
	t.Run("S4", c.rightWayUp)
	t.Run("S5", c.rightColours)
}

type corpus struct {
	rows []corpustest.Row
	full bool
}

// wrongRows are the files of which the manifest expects what this resizer does not do, and what it does.
var wrongRows = map[string]struct {
	want   domain.Code
	reason string
}{
	"valid/jpeg/libjpeg-turbo-libjpeg-turbo__4672c7__testimgari.jpg": {
		domain.UnsupportedImage,
		"arithmetic coded: not of the JPEGs that imagify advertises",
	},
}

func openCorpus(t *testing.T) *corpus {
	t.Helper()
	c := &corpus{full: os.Getenv("IMAGIFY_FULL") == "1"}
	for _, r := range corpustest.Open(t) {
		if c.full || r.Expectation == "reject" || r.Width*r.Height <= quickPixels {
			c.rows = append(c.rows, r)
		}
	}
	return c
}

// expected says whether the manifest allows an answer.
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
	case "accept-if-format-advertised":
		if advertised := slices.ContainsFunc(domain.Formats(), func(f domain.Format) bool { return f.Name() == r.Format }); advertised {
			return code == ""
		}
		return code == domain.UnsupportedImage
	}
	return code == "" || refused
}

func resizer(t testing.TB, o nativeresizer.Options) *nativeresizer.Resizer {
	t.Helper()
	r, err := nativeresizer.New(o)
	require.NoError(t, err)
	return r
}

// check checks a thumbnail against what Inspect said, and decodes it.
func check(t *testing.T, info domain.ImageInfo, height int, thumb ports.Thumbnail, name string) image.Image {
	t.Helper()
	w, h := domain.ThumbnailSize(info.Width, info.Height, height)
	assert.Equal(t, [2]int{w, h}, [2]int{thumb.Width, thumb.Height}, name)
	assert.Equal(t, info.ThumbnailFormat(), thumb.Format, name)
	m, format, err := image.Decode(bytes.NewReader(thumb.Data))
	if !assert.NoError(t, err, name) {
		return image.NewNRGBA(image.Rect(0, 0, w, h))
	}
	assert.Equal(t, string(thumb.Format), format, name)
	assert.Equal(t, image.Pt(w, h), m.Bounds().Size(), name)
	return m
}

// checkSize is check for large thumbnails: it does not decode all of it.
func checkSize(t *testing.T, info domain.ImageInfo, height int, thumb ports.Thumbnail, name string) {
	t.Helper()
	w, h := domain.ThumbnailSize(info.Width, info.Height, height)
	config, format, err := image.DecodeConfig(bytes.NewReader(thumb.Data))
	if assert.NoError(t, err, name) {
		assert.Equal(t, [2]int{w, h}, [2]int{config.Width, config.Height}, name)
		assert.Equal(t, string(info.ThumbnailFormat()), format, name)
	}
}

func (c *corpus) noFileHurts(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	for _, r := range c.rows {
		file := r.Read(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second*slack)
		info, err := res.Inspect(ctx, bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		code := domain.CodeOf(err)
		assert.True(t, expected(r, code), "%s: expected %s, got %v", r.Path, r.Expectation, err)
		if err != nil {
			assert.NotContains(t, err.Error(), "panic", r.Path)
			// Resize need not refuse what Inspect refuses, but it must not do worse.
			if _, err = res.Resize(ctx, bytes.NewReader(file), ports.ResizeRequest{Heights: []int{33}}); err != nil {
				assert.NotContains(t, err.Error(), "panic", r.Path)
				assert.Contains(t, []domain.Code{domain.UnsupportedImage, domain.CorruptImage, domain.TooLarge}, domain.CodeOf(err), "%s: %v", r.Path, err)
			}
		} else {
			thumbs, err := res.Resize(ctx, bytes.NewReader(file), ports.ResizeRequest{Heights: []int{33}})
			if assert.NoError(t, err, r.Path) {
				check(t, info, 33, thumbs[0], r.Path)
			}
		}
		cancel()
	}
}

// resident is what the Go runtime has of the system's memory, in bytes.
func resident() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// watch calls f and returns the greatest resident size meanwhile.
func watch(f func()) (peak int64) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			peak = max(peak, resident())
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return peak
}

func (c *corpus) memoryIsBounded(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	goroutines := runtime.NumGoroutine()
	peak := watch(func() {
		var wg sync.WaitGroup
		queue := make(chan corpustest.Row)
		for range 8 {
			wg.Go(func() {
				for r := range queue {
					f, err := os.Open(r.Name())
					if !assert.NoError(t, err) {
						continue
					}
					_, err = res.Inspect(t.Context(), f, ports.InspectRequest{Limits: limits})
					assert.True(t, expected(r, domain.CodeOf(err)), "%s: expected %s, got %v", r.Path, r.Expectation, err)
					if _, serr := f.Seek(0, io.SeekStart); err == nil && assert.NoError(t, serr) {
						_, err = res.Resize(t.Context(), f, ports.ResizeRequest{Heights: []int{200}})
						assert.NoError(t, err, r.Path)
					}
					assert.NoError(t, f.Close())
				}
			})
		}
		for _, r := range c.rows {
			queue <- r
		}
		close(queue)
		wg.Wait()
	})
	t.Logf("peak with 8 in parallel: %d MiB", peak>>20)
	assert.LessOrEqual(t, peak, int64(600<<20))
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+5 }, 5*time.Second, 10*time.Millisecond, "goroutines are left over")
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func (c *corpus) bombsAreCheap(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	bombs := 0
	for _, r := range c.rows {
		if !strings.HasPrefix(r.Path, "hostile/bomb/") || r.Expectation != "reject" {
			continue
		}
		bombs++
		file := r.Read(t)
		before, start := allocated(), time.Now()
		_, err := res.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		took := time.Since(start)
		assert.True(t, expected(r, domain.CodeOf(err)), "%s: %v", r.Path, err)
		if c.full { // the quick form says nothing about time
			assert.Less(t, took, 100*time.Millisecond*slack, r.Path)
		}
		assert.Less(t, allocated()-before, uint64(32<<20), r.Path)
	}
	assert.NotZero(t, bombs)
}

func (c *corpus) burnersAreCut(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	for _, r := range c.rows {
		if !strings.HasPrefix(r.Path, "hostile/bomb/") && !strings.Contains(r.Path, "scans") {
			continue
		}
		file := r.Read(t)
		start := time.Now()
		_, err := res.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		if took := time.Since(start); c.full && took > 50*time.Millisecond {
			t.Logf("%5d ms to inspect %s: %v", took.Milliseconds(), r.Path, err)
		}
		if err == nil {
			for _, height := range []int{200, 4320} {
				_, err = res.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{height}})
				assert.NoError(t, err, r.Path)
			}
		}
		if c.full {
			assert.Less(t, time.Since(start), 2*5*time.Second*slack, r.Path)
		}
	}
}

// cost is what a file took, for the report.
type cost struct {
	name string
	took time.Duration
	peak int64
}

func (c *corpus) acceptedHasThumbnails(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	heights := []int{1, 33, 200, 400, 4320}
	var costs []cost
	accepted, made := 0, 0
	for _, r := range c.rows {
		if _, wrong := wrongRows[r.Path]; wrong || r.Expectation != "accept" && !c.full {
			continue
		}
		pixels := r.Width * r.Height
		if !c.full && pixels > quickPixels/4 {
			continue
		}
		file := r.Read(t)
		var info domain.ImageInfo
		var err error
		if c.full {
			debug.FreeOSMemory()
		}
		start := time.Now()
		peak := watch(func() {
			info, err = res.Inspect(t.Context(), bytes.NewReader(file), ports.InspectRequest{Limits: limits})
		})
		costs = append(costs, cost{"inspect " + r.Path, time.Since(start), peak})
		if r.Expectation != "accept" && err != nil {
			continue
		}
		if !assert.NoError(t, err, r.Path) {
			continue
		}
		if r.Expectation == "accept" && r.Width > 0 {
			w, h := r.Width, r.Height
			if r.Orientation >= 5 && r.Orientation <= 8 {
				w, h = h, w
			}
			assert.Equal(t, [2]int{w, h}, [2]int{info.Width, info.Height}, r.Path)
			assert.Equal(t, max(r.Frames, 1), info.Frames, r.Path)
		}
		assert.NotEmpty(t, info.Placeholder, r.Path)
		if r.Expectation == "accept" {
			accepted++
		}
		var together []ports.Thumbnail
		for i, height := range heights {
			var thumbs []ports.Thumbnail
			if c.full { // so that the peak is this one's
				debug.FreeOSMemory()
			}
			start := time.Now()
			peak := watch(func() {
				thumbs, err = res.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{height}})
			})
			costs = append(costs, cost{fmt.Sprintf("resize %d %s", height, r.Path), time.Since(start), peak})
			if !assert.NoError(t, err, "%s at %d", r.Path, height) {
				continue
			}
			checkSize(t, info, height, thumbs[0], r.Path)
			made++
			if together == nil && pixels < 1_000_000 {
				if together, err = res.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: heights}); !assert.NoError(t, err, r.Path) {
					break
				}
			}
			if together != nil {
				assert.True(t, bytes.Equal(together[i].Data, thumbs[0].Data), "%s: the thumbnail of %d is another one beside other heights", r.Path, height)
			}
		}
	}
	t.Logf("%d rows of accept, %d thumbnails", accepted, made)
	if c.full {
		slices.SortFunc(costs, func(a, b cost) int { return int(b.took - a.took) })
		for _, x := range costs[:min(10, len(costs))] {
			t.Logf("slow: %6d ms, %4d MiB: %s", x.took.Milliseconds(), x.peak>>20, x.name)
		}
		slices.SortFunc(costs, func(a, b cost) int { return int((b.peak - a.peak) >> 10) })
		for _, x := range costs[:min(10, len(costs))] {
			t.Logf("large: %6d ms, %4d MiB: %s", x.took.Milliseconds(), x.peak>>20, x.name)
		}
	}
}

// panicking panics instead of reading, as a decoder with a bug might.
type panicking struct{ after io.Reader }

func (panicking) Seek(int64, int) (int64, error) { return 0, nil }

func (p panicking) Read(b []byte) (int, error) {
	if n, err := p.after.Read(b); err == nil {
		return n, nil
	}
	panic("a bug")
}

func panicsAreContained(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	src := func() io.ReadSeeker { return panicking{bytes.NewReader([]byte("\xff\xd8\xff\xe0\x00\x10JFIF"))} }
	_, err := res.Inspect(t.Context(), src(), ports.InspectRequest{Limits: limits})
	assert.Equal(t, domain.CorruptImage, domain.CodeOf(err))
	_, err = res.Resize(t.Context(), src(), ports.ResizeRequest{Heights: []int{200}})
	assert.Equal(t, domain.Internal, domain.CodeOf(err))
}

// canaries are in files of the corpus and must be in no thumbnail.
var canaries = []string{
	"Exif\x00", "http://ns.adobe.com", "ICC_PROFILE", "JFIF", "Photoshop", "GPS", "CANARY", "canary",
	"eXIf", "iCCP", "tEXt", "zTXt", "iTXt", "tIME", "pHYs", "gAMA",
}

func (c *corpus) noMetadata(t *testing.T) {
	res := resizer(t, nativeresizer.Options{})
	files := 0
	for _, r := range c.rows {
		if !strings.HasPrefix(r.Path, "metadata/") && !strings.HasPrefix(r.Path, "hostile/exif/") && !strings.HasPrefix(r.Path, "hostile/polyglot/") {
			continue
		}
		thumbs, err := res.Resize(t.Context(), bytes.NewReader(r.Read(t)), ports.ResizeRequest{Heights: []int{200}})
		if err != nil {
			continue // H1 knows whether it may
		}
		files++
		for _, mark := range canaries {
			assert.False(t, bytes.Contains(thumbs[0].Data, []byte(mark)), "%s: %q", r.Path, mark)
		}
		// Nothing but what a picture needs.
		if thumbs[0].Format == domain.JPEG {
			assert.Subset(t, []byte{0xd8, 0xdb, 0xc0, 0xc4, 0xda, 0xd9}, jpegMarkers(thumbs[0].Data), r.Path)
		} else {
			assert.Subset(t, []string{"IHDR", "IDAT", "IEND"}, pngChunks(thumbs[0].Data), r.Path)
		}
		assert.Less(t, len(thumbs[0].Data), 1<<20, r.Path)
	}
	assert.NotZero(t, files)
}

// jpegMarkers lists the markers of a JPEG of one scan.
func jpegMarkers(b []byte) (markers []byte) {
	for i := 0; i+1 < len(b); {
		m := b[i+1]
		markers = append(markers, m)
		switch m {
		case 0xd8:
			i += 2
		case 0xda:
			return append(markers, b[len(b)-1])
		default:
			i += 2 + int(b[i+2])<<8 + int(b[i+3])
		}
	}
	return markers
}

func pngChunks(b []byte) (names []string) {
	for i := 8; i+8 <= len(b); {
		names = append(names, string(b[i+4:i+8]))
		i += 12 + int(b[i])<<24 + int(b[i+1])<<16 + int(b[i+2])<<8 + int(b[i+3])
	}
	return names
}

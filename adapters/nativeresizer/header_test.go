package nativeresizer

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/internal/imagefile/imagefiletest"
	"github.com/imagify-api/imagify/adapters/nativeresizer/icc"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func grayJPEG(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 64)), nil))
	return b.Bytes()
}

// largeHeaders are files whose headers hold as much as a header may.
func largeHeaders(t *testing.T) map[string][]byte {
	t.Helper()
	var segments [][]byte
	profile := noise(icc.MaxProfile - 1000)
	const piece = 65_000
	count := (len(profile) + piece - 1) / piece
	for i := range count {
		at := profile[i*piece : min((i+1)*piece, len(profile))]
		segments = append(segments, imagefiletest.Segment(0xe2, append([]byte("ICC_PROFILE\x00"+string([]byte{byte(i + 1), byte(count)})), at...)))
	}
	var small bytes.Buffer
	require.NoError(t, png.Encode(&small, image.NewGray(image.Rect(0, 0, 8, 8))))
	return map[string][]byte{
		"JPEG profile":    imagefiletest.WithSegments(grayJPEG(t), segments...),
		"PNG profile":     imagefiletest.WithChunks(small.Bytes(), imagefiletest.PNGChunk("iCCP", append([]byte("p\x00\x00"), deflated(profile)...))),
		"PNG EXIF":        imagefiletest.WithChunks(small.Bytes(), imagefiletest.PNGChunk("eXIf", noise(1<<20))),
		"WebP profile":    imagefiletest.WebP(imagefiletest.VP8X(0x20, 16, 16), imagefiletest.RIFFChunk("ICCP", profile), imagefiletest.VP8(16, 16)),
		"WebP EXIF first": imagefiletest.WebP(imagefiletest.VP8X(0x08, 16, 16), imagefiletest.RIFFChunk("EXIF", noise(1<<20)), imagefiletest.VP8(16, 16)),
		"HEIC metadata": append([]byte("\x00\x00\x00\x14ftypheic\x00\x00\x00\x00heic"),
			append(binary.BigEndian.AppendUint32(nil, 8+7<<20), append([]byte("meta"), make([]byte, 7<<20)...)...)...),
	}
}

// deflated is data as a zlib stream.
func deflated(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// What a header holds beyond a little is admitted before it is held, in every format.
func TestHeadersAreAdmittedBeforeTheyAreHeld(t *testing.T) {
	errAsked := errors.New("asked")
	for name, file := range largeHeaders(t) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := open(t.Context(), bytes.NewReader(file), func() error { return errAsked })
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, errAsked, name)
		// A codec's own buffers are within it.
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(384<<10), name)
	}
}

// Alpha of a WebP comes before its picture, and is as long as the picture may be: it is not read
// before the memory of the decode was admitted, which counts it.
func TestAlphaWaitsForItsAdmission(t *testing.T) {
	alpha := imagefiletest.RIFFChunk("ALPH", append([]byte{0}, noise(4<<20)...))
	for name, file := range map[string][]byte{
		"still":     imagefiletest.WebP(imagefiletest.VP8X(0x10, 2048, 2048), alpha, imagefiletest.VP8(2048, 2048)),
		"animation": imagefiletest.WebP(imagefiletest.VP8X(0x12, 2048, 2048), imagefiletest.ANMF(0, 0, 2048, 2048, alpha, imagefiletest.VP8(2048, 2048))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := open(t.Context(), bytes.NewReader(file), func() error { return errors.New("asked") })
		runtime.ReadMemStats(&after)
		require.NoError(t, err, name)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(384<<10), name)
		assert.True(t, f.header().alpha, name)
		assert.Greater(t, f.memory(1), int64(4<<20), name)
		pictures, err := f.decode(t.Context(), 4)
		require.NoError(t, err, name)
		assert.True(t, pictures[0].alpha, name)
	}
}

// stalled is a file whose reading stops behind its first bytes until it is let go.
type stalled struct {
	*bytes.Reader
	free    int64
	reached chan struct{}
	once    sync.Once
	letGo   chan struct{}
}

func (s *stalled) Read(p []byte) (int, error) {
	at, _ := s.Seek(0, io.SeekCurrent)
	if at >= s.free {
		s.once.Do(func() { close(s.reached) })
		<-s.letGo
	}
	return s.Reader.Read(p[:min(len(p), 4<<10)])
}

// A large header counts in the memory that all work may take: another waits for it, and what
// needs little does not.
func TestLargeHeadersShareTheMemory(t *testing.T) {
	r, err := New(Options{Memory: 80 << 20, MaxWait: 100 * time.Millisecond})
	require.NoError(t, err)
	file := largeHeaders(t)["WebP profile"]
	s := &stalled{Reader: bytes.NewReader(file), free: 1 << 20, reached: make(chan struct{}), letGo: make(chan struct{})}
	q := func(share string) ports.InspectRequest {
		scan := r.Scan(domain.ImageLimits{MaxPixels: 1e6, MaxFrames: 1})
		_, err := scan.Write(file)
		require.NoError(t, err)
		return ports.InspectRequest{Share: share, Scanned: scan}
	}
	first := make(chan error)
	scanned := q("one")
	go func() {
		_, err := r.Inspect(t.Context(), s, scanned)
		first <- err
	}()
	<-s.reached
	_, err = r.Inspect(t.Context(), bytes.NewReader(file), q("two"))
	require.ErrorIs(t, err, domain.Unavailable)
	_, err = r.Resize(t.Context(), bytes.NewReader(grayJPEG(t)), ports.ResizeRequest{Heights: []int{10}, Share: "three"})
	require.NoError(t, err)
	close(s.letGo)
	require.NoError(t, <-first)
	_, err = r.Inspect(t.Context(), bytes.NewReader(file), q("two"))
	require.NoError(t, err)
}

// Those whose headers were admitted do not wait for one another's memory: each lets go what
// it holds before it asks for more.
func TestLargeHeadersDoNotLockEachOtherOut(t *testing.T) {
	r, err := New(Options{Memory: 100 << 20, MaxWait: time.Minute})
	require.NoError(t, err)
	file := largeHeaders(t)["JPEG profile"]
	var wg sync.WaitGroup
	errs := make([]error, 24)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = r.Resize(t.Context(), bytes.NewReader(file), ports.ResizeRequest{Heights: []int{8}, Share: string(rune('a' + i%3))})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

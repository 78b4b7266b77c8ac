package porttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Blobs is the suite of ports.Blobs, and of ports.BlobSweeper and
// ports.BlobWalker where the adapter has them.
func Blobs(t *testing.T, newBlobs func(t *testing.T) ports.Blobs) {
	t.Helper()
	run(t, "Blobs", newBlobs, []check[ports.Blobs]{
		{"RoundTrip", blobsRoundTrip},
		{"Replace", blobsReplace},
		{"ModTime", blobsModTime},
		{"Keys", blobsKeys},
		{"InvalidKeys", blobsInvalidKeys},
		{"IfAbsent", blobsIfAbsent},
		{"IfAbsentRacers", blobsIfAbsentRacers},
		{"ReaderFails", blobsReaderFails},
		{"SizeDiffers", blobsSizeDiffers},
		{"ContextEndsMidway", blobsContextMidway},
		{"UnderWay", blobsUnderWay},
		{"Seek", blobsSeek},
		{"OpenOutlivesDelete", blobsOpenOutlives},
		{"ReplaceRacers", blobsReplaceRacers},
		{"Delete", blobsDelete},
		{"List", blobsList},
		{"Move", blobsMove},
		{"MoveTime", blobsMoveTime},
		{"Copy", blobsCopy},
		{"MoveRacers", blobsMoveRacers},
		{"MoveSeen", blobsMoveSeen},
		{"Walk", blobsWalk},
		{"WalkMeanwhile", blobsWalkMeanwhile},
		{"Sweeper", blobsSweeper},
		{"EndedContext", blobsEnded},
	})
}

// noise returns n bytes that do not compress and differ by seed.
func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = src.Read(data) // never fails
	return data
}

// hooked is a body that calls do whenever it is read at an offset or behind it; an
// error of do is the body's.
type hooked struct {
	r  *bytes.Reader
	at int64
	do func() error
}

func (h *hooked) Read(p []byte) (int, error) {
	pos, err := h.r.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if pos < h.at {
		return h.r.Read(p[:min(int64(len(p)), h.at-pos)])
	}
	if err := h.do(); err != nil {
		return 0, err
	}
	return h.r.Read(p)
}

func (h *hooked) Seek(offset int64, whence int) (int64, error) { return h.r.Seek(offset, whence) }

// stingy gives its bytes in small pieces, the last together with io.EOF.
type stingy struct{ r *bytes.Reader }

func (s stingy) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), 1+len(p)/2)])
	if err == nil && s.r.Len() == 0 {
		err = io.EOF
	}
	return n, err
}

func (s stingy) Seek(offset int64, whence int) (int64, error) { return s.r.Seek(offset, whence) }

func put(t *testing.T, b ports.Blobs, key string, data []byte) {
	t.Helper()
	require.NoError(t, b.Put(t.Context(), key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data))}))
}

// read reads a blob whole; it fails if the blob's facts and bytes disagree.
func read(ctx context.Context, b ports.Blobs, key string) ([]byte, error) {
	blob, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer blob.Body.Close()
	data, err := io.ReadAll(blob.Body)
	if err == nil && int64(len(data)) != blob.Size {
		err = fmt.Errorf("the blob says %d bytes and gives %d", blob.Size, len(data))
	}
	return data, err
}

func wantBlob(t *testing.T, b ports.Blobs, key string, want []byte) {
	t.Helper()
	got, err := read(t.Context(), b, key)
	require.NoErrorf(t, err, "blob %q", key)
	require.Truef(t, bytes.Equal(want, got), "blob %q: %d bytes that are not the %d wanted", key, len(got), len(want))
}

func wantNoBlob(t *testing.T, b ports.Blobs, key string) {
	t.Helper()
	_, err := b.Open(t.Context(), key)
	wantCode(t, domain.NotFound, err, key)
	list, err := b.List(t.Context(), key, "", 10)
	require.NoError(t, err)
	for _, i := range list {
		require.NotEqual(t, key, i.Key, "in the listing")
	}
}

func blobsRoundTrip(t *testing.T, b ports.Blobs) {
	wantNoBlob(t, b, "none")
	for i, n := range []int{0, 1, 511, 512, 4096, 65535, 65536, 65537, 5 << 20} {
		for j, body := range []func(data []byte) io.ReadSeeker{
			func(data []byte) io.ReadSeeker { return bytes.NewReader(data) },
			func(data []byte) io.ReadSeeker { return stingy{bytes.NewReader(data)} },
			func(data []byte) io.ReadSeeker { // it is read from its beginning, wherever it stands
				r := bytes.NewReader(data)
				_, _ = r.Seek(int64(len(data)/2), io.SeekStart)
				return r
			},
		} {
			for _, digest := range []bool{false, true} {
				key := fmt.Sprintf("images/%d.%t/%d-original", n, digest, j)
				data := noise(uint64(i), n)
				given := bytes.Clone(data)
				before := time.Now()
				o := ports.PutOptions{Size: int64(n), ContentType: "image/jpeg"}
				if digest {
					o.SHA256 = sha256.Sum256(data)
				}
				require.NoError(t, b.Put(t.Context(), key, body(given), o))
				clear(given) // what was passed in is copied
				wantBlob(t, b, key, data)

				blob, err := b.Open(t.Context(), key)
				require.NoError(t, err)
				assert.EqualValues(t, n, blob.Size)
				assert.Equal(t, time.UTC, blob.ModTime.Location())
				assert.WithinDuration(t, before, blob.ModTime, clockTolerance)
				require.NoError(t, blob.Body.Close())
				list, err := b.List(t.Context(), key, "", 5)
				require.NoError(t, err)
				require.Len(t, list, 1)
				assert.Equal(t, key, list[0].Key)
				assert.EqualValues(t, n, list[0].Size)
				assert.Equal(t, time.UTC, list[0].ModTime.Location())
				assert.WithinDuration(t, blob.ModTime, list[0].ModTime, 2*time.Second, "some stores give one of the two in whole seconds")
			}
		}
	}
}

func blobsReplace(t *testing.T, b ports.Blobs) {
	// The last two are of one length: an overwrite that is lost does not show in the size.
	for i, n := range []int{1000, 10, 0, 100000, 100000} {
		put(t, b, "a/b", noise(uint64(i), n))
		wantBlob(t, b, "a/b", noise(uint64(i), n))
	}
	list, err := b.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// blobsModTime replaces a blob, by other bytes and by the same, after longer than the
// grain of any store's times: its age is the time since the last Put.
func blobsModTime(t *testing.T, b ports.Blobs) {
	times := func() (opened, listed time.Time) {
		blob, err := b.Open(t.Context(), "a")
		require.NoError(t, err)
		require.NoError(t, blob.Body.Close())
		list, err := b.List(t.Context(), "a", "", 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		return blob.ModTime, list[0].ModTime
	}
	for _, fresh := range [][]byte{noise(2, 5000), noise(1, 5000)} {
		put(t, b, "a", noise(1, 5000))
		opened, listed := times()
		time.Sleep(time.Second + 100*time.Millisecond)
		put(t, b, "a", fresh)
		again, relisted := times()
		require.Truef(t, again.After(opened), "a Put that replaces renews ModTime")
		require.Truef(t, relisted.After(listed), "a Put that replaces renews ModTime")
		require.Less(t, again.Sub(relisted).Abs(), 2*time.Second, "Open and List tell the same time")
	}
}

// validKeys are keys that obey the rule, and trip who maps them to paths without care.
var validKeys = []string{
	"a", "a/a", "a/a/a", "a-a", "a.a", "a_a", "a0", "aa", "0", "-", "_", ".a", "a.", "..a", "...", "a..b", "a/..b", "a/.../c", ".tmp", ".tmp/a",
	"tmp/a", "a.tmp", "a.partial", "con", "nul", "-rf", "a/-", "a/_/0.jpg",
	strings.Repeat("a", 255), strings.Repeat("b", ports.MaxKey), strings.Repeat("c/", ports.MaxKey/2-1) + "cc",
	strings.Repeat("d", 300) + "/" + strings.Repeat("e", 211),
	"019b7d2c-5a00-7000-8000-000000000001/019b7d2c-5a00-7000-8000-000000000002/thumb.bild1.200.jpeg",
}

func blobsKeys(t *testing.T, b ports.Blobs) {
	for i, key := range validKeys {
		require.NoError(t, b.Put(t.Context(), key, bytes.NewReader(noise(uint64(i), 100)), ports.PutOptions{Size: 100}), key)
	}
	for i, key := range validKeys {
		wantBlob(t, b, key, noise(uint64(i), 100))
	}
	wantListing(t, b, "", validKeys)
	for i, key := range validKeys {
		require.NoError(t, b.Delete(t.Context(), key))
		wantNoBlob(t, b, key)
		list, err := b.List(t.Context(), "", "", 100)
		require.NoError(t, err)
		require.Lenf(t, list, len(validKeys)-1-i, "after Delete of %q", key)
	}
}

func blobsInvalidKeys(t *testing.T, b ports.Blobs) {
	put(t, b, "a/b", []byte("kept"))
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "A", "aB", "ä", "a b", "a\x00", "a\n", "a\\b", "a:b",
		"a+b", "a%2fb", "a~", "*", strings.Repeat("a", ports.MaxKey+1), "a/\xff",
	} {
		wantCode(t, domain.Invalid, b.Put(t.Context(), key, strings.NewReader("x"), ports.PutOptions{Size: 1}), "Put", key)
		wantCode(t, domain.Invalid, b.Put(t.Context(), key, strings.NewReader("x"), ports.PutOptions{Size: 1, IfAbsent: true}), "Put", key)
		_, err := b.Open(t.Context(), key)
		wantCode(t, domain.Invalid, err, "Open", key)
		wantCode(t, domain.Invalid, b.Delete(t.Context(), key), "Delete", key)
	}
	wantListing(t, b, "", []string{"a/b"})
	wantBlob(t, b, "a/b", []byte("kept"))
}

func blobsIfAbsent(t *testing.T, b ports.Blobs) {
	first, second := noise(1, 5000), noise(2, 7000)
	o := ports.PutOptions{Size: 5000, IfAbsent: true}
	require.NoError(t, b.Put(t.Context(), "a/b", bytes.NewReader(first), o))
	wantCode(t, domain.Conflict, b.Put(t.Context(), "a/b", bytes.NewReader(second), ports.PutOptions{Size: 7000, IfAbsent: true}))
	wantBlob(t, b, "a/b", first)
	put(t, b, "a/b", second) // without the condition it is replaced
	wantBlob(t, b, "a/b", second)
	require.NoError(t, b.Delete(t.Context(), "a/b"))
	require.NoError(t, b.Put(t.Context(), "a/b", bytes.NewReader(first), o), "absent again")
	wantBlob(t, b, "a/b", first)

	// What fails takes no place.
	require.Error(t, b.Put(t.Context(), "c", failsAt(first, 4000, io.ErrUnexpectedEOF), o))
	wantNoBlob(t, b, "c")
	require.NoError(t, b.Put(t.Context(), "c", bytes.NewReader(first), o))
}

// blobsIfAbsentRacers has the racers meet in the middle of their Puts, when each
// has seen that there is nothing yet. An adapter need not let them in together:
// they do not wait for long.
func blobsIfAbsentRacers(t *testing.T, b ports.Blobs) {
	for round := range 5 {
		key := fmt.Sprintf("race/%d", round)
		errs := make([]error, racers)
		var arrived atomic.Int64
		meet := func() {
			arrived.Add(1)
			for deadline := time.Now().Add(short); arrived.Load() < racers && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		}
		race(racers, func(i int) {
			data := noise(uint64(i), 3000+i)
			var once sync.Once
			r := &hooked{bytes.NewReader(data), 1000, func() error { once.Do(meet); return nil }}
			errs[i] = b.Put(t.Context(), key, r, ports.PutOptions{Size: int64(len(data)), IfAbsent: true})
		})
		wantOneWinner(t, errs, domain.Conflict)
		for i, err := range errs {
			if err == nil {
				wantBlob(t, b, key, noise(uint64(i), 3000+i))
			}
		}
	}
}

// wantUntouched puts what must fail, over a blob and where there is none.
func wantUntouched(t *testing.T, b ports.Blobs, try func(key string) error) {
	t.Helper()
	old := noise(99, 3000)
	put(t, b, "dir/old", old)
	for _, key := range []string{"dir/old", "dir/new"} {
		err := try(key)
		require.Error(t, err, key)
		require.NotContains(t, []domain.Code{domain.NotFound, domain.Conflict}, domain.CodeOf(err), "%v", err)
	}
	wantBlob(t, b, "dir/old", old)
	wantNoBlob(t, b, "dir/new")
	wantListing(t, b, "", []string{"dir/old"})
	require.NoError(t, b.Delete(t.Context(), "dir/old"))
	wantListing(t, b, "", nil)
}

// failsAt is a body whose reader fails at an offset.
func failsAt(data []byte, n int, err error) io.ReadSeeker {
	return &hooked{bytes.NewReader(data), int64(n), func() error { return err }}
}

func blobsReaderFails(t *testing.T, b ports.Blobs) {
	boom := errors.New("boom")
	for _, n := range []int{0, 1, 1000, 1 << 20} {
		for _, size := range []int{n, n + 1000} {
			wantUntouched(t, b, func(key string) error {
				return b.Put(t.Context(), key, failsAt(noise(1, size), n, boom), ports.PutOptions{Size: int64(size)})
			})
		}
	}
}

func blobsSizeDiffers(t *testing.T, b ports.Blobs) {
	for _, c := range []struct{ n, size int }{{10, 11}, {11, 10}, {0, 1}, {1, 0}, {1 << 20, 1<<20 - 1}, {1 << 20, 1<<20 + 1}, {70000, 1 << 30}, {10, -1}} {
		wantUntouched(t, b, func(key string) error {
			return b.Put(t.Context(), key, bytes.NewReader(noise(1, c.n)), ports.PutOptions{Size: int64(c.size)})
		})
		wantUntouched(t, b, func(key string) error {
			return b.Put(t.Context(), key, stingy{bytes.NewReader(noise(1, c.n))}, ports.PutOptions{Size: int64(c.size)})
		})
	}
}

func blobsContextMidway(t *testing.T, b ports.Blobs) {
	const n = 1 << 20
	wantUntouched(t, b, func(key string) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &hooked{bytes.NewReader(noise(1, 2*n)), n, func() error { cancel(); return nil }}
		err := b.Put(ctx, key, r, ports.PutOptions{Size: 2 * n})
		wantEnded(t, err)
		return err
	})
}

// slowBody is a body that says when it is read up to an offset, and goes on when it is let.
type slowBody struct {
	hooked
	reached, leave chan struct{}
}

func newSlowBody(data []byte, at int) *slowBody {
	s := &slowBody{reached: make(chan struct{}), leave: make(chan struct{})}
	s.hooked = hooked{bytes.NewReader(data), int64(at), sync.OnceValue(func() error {
		close(s.reached)
		<-s.leave
		return nil
	})}
	return s
}

func blobsUnderWay(t *testing.T, b ports.Blobs) {
	old, fresh := noise(1, 3000), noise(2, 200000)
	put(t, b, "dir/old", old)
	for _, key := range []string{"dir/new", "dir/old"} {
		body := newSlowBody(fresh, 150000)
		done := make(chan error, 1)
		go func() { done <- b.Put(t.Context(), key, body, ports.PutOptions{Size: int64(len(fresh))}) }()
		<-body.reached
		wantListing(t, b, "", []string{"dir/old"})
		wantBlob(t, b, "dir/old", old)
		if key == "dir/new" {
			wantNoBlob(t, b, key)
		}
		close(body.leave)
		require.NoError(t, <-done)
		wantBlob(t, b, key, fresh)
		if key == "dir/new" {
			require.NoError(t, b.Delete(t.Context(), key))
		}
	}
}

func blobsSeek(t *testing.T, b ports.Blobs) {
	data := noise(1, 300000)
	put(t, b, "a", data)
	blob, err := b.Open(t.Context(), "a")
	require.NoError(t, err)
	defer blob.Body.Close()
	for _, c := range []struct {
		offset int64
		whence int
		want   int64
		read   int
	}{
		{0, io.SeekStart, 0, 10},
		{100, io.SeekCurrent, 110, 10},
		{-20, io.SeekCurrent, 100, 10},
		{-5, io.SeekEnd, 299995, 5},
		{250000, io.SeekStart, 250000, 50000},
		{0, io.SeekEnd, 300000, 0},
		{1, io.SeekStart, 1, 299999},
		{0, io.SeekStart, 0, 300000},
	} {
		at, err := blob.Body.Seek(c.offset, c.whence)
		require.NoError(t, err)
		require.Equal(t, c.want, at)
		got := make([]byte, c.read)
		_, err = io.ReadFull(blob.Body, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data[c.want:int(c.want)+c.read], got), "%+v", c)
		if int(c.want)+c.read == len(data) {
			n, err := blob.Body.Read(make([]byte, 1))
			require.Zero(t, n)
			require.ErrorIs(t, err, io.EOF)
		}
	}
	_, err = blob.Body.Seek(-1, io.SeekStart)
	require.Error(t, err)

	// Two that are open do not share a place.
	one, err := b.Open(t.Context(), "a")
	require.NoError(t, err)
	defer one.Body.Close()
	two, err := b.Open(t.Context(), "a")
	require.NoError(t, err)
	defer two.Body.Close()
	head := make([]byte, 1000)
	_, err = io.ReadFull(one.Body, head)
	require.NoError(t, err)
	got, err := io.ReadAll(two.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
}

// blobsOpenOutlives reads on from a blob that is deleted or replaced meanwhile:
// the old bytes, or an error, never others.
func blobsOpenOutlives(t *testing.T, b ports.Blobs) {
	data := noise(1, 2<<20)
	for _, end := range []func(){
		func() { require.NoError(t, b.Delete(t.Context(), "a")) },
		func() { put(t, b, "a", noise(2, 2<<20)) },
		func() { put(t, b, "a", noise(2, 100)) },
	} {
		put(t, b, "a", data)
		blob, err := b.Open(t.Context(), "a")
		require.NoError(t, err)
		head := make([]byte, 1000)
		_, err = io.ReadFull(blob.Body, head)
		require.NoError(t, err)
		end()
		rest, err := io.ReadAll(blob.Body)
		got := slices.Concat(head, rest)
		require.True(t, bytes.HasPrefix(data, got), "bytes that were not those of the blob that was opened")
		if err == nil {
			require.Len(t, got, len(data), "cut short without an error")
			// Whole also from its beginning, once more.
			if _, err = blob.Body.Seek(0, io.SeekStart); err == nil {
				got, err = io.ReadAll(blob.Body)
				require.True(t, bytes.HasPrefix(data, got))
				require.True(t, err != nil || len(got) == len(data))
			}
		}
		require.NoError(t, blob.Body.Close())
	}
}

// blobsReplaceRacers has writers replace one blob while readers read it: each
// sees one of the blobs, whole.
func blobsReplaceRacers(t *testing.T, b ports.Blobs) {
	const writers, rounds, size = 6, 5, 100000
	texts := make([][]byte, writers)
	for i := range texts {
		texts[i] = noise(uint64(i), size+i*1000)
	}
	put(t, b, "a", texts[0])
	errs := make([]error, 2*writers)
	race(2*writers, func(i int) {
		for range rounds {
			if i < writers {
				errs[i] = errors.Join(errs[i], b.Put(t.Context(), "a", bytes.NewReader(texts[i]), ports.PutOptions{Size: int64(len(texts[i]))}))
				continue
			}
			got, err := read(t.Context(), b, "a")
			if err != nil && domain.CodeOf(err) == domain.NotFound {
				errs[i] = errors.Join(errs[i], errors.New("a blob was away while it was replaced"))
			}
			if err == nil && !slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Equal(text, got) }) {
				errs[i] = errors.Join(errs[i], fmt.Errorf("%d bytes that nobody put", len(got)))
			}
		}
	})
	require.NoError(t, errors.Join(errs...))
	wantListing(t, b, "", []string{"a"})
	got, err := read(t.Context(), b, "a")
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Equal(text, got) }))
}

func blobsDelete(t *testing.T, b ports.Blobs) {
	for _, key := range []string{"a", "a/b", "a/c", "ab", "d/e"} {
		put(t, b, key, []byte(key))
	}
	require.NoError(t, b.Delete(t.Context()))
	require.NoError(t, b.Delete(t.Context(), "none", "a/none", "none/a"))
	wantListing(t, b, "", []string{"a", "a/b", "a/c", "ab", "d/e"})
	require.NoError(t, b.Delete(t.Context(), "a", "none", "d/e", "a"))
	wantListing(t, b, "", []string{"a/b", "a/c", "ab"})
	wantNoBlob(t, b, "a")
	wantBlob(t, b, "a/b", []byte("a/b"))

	// More than a store may take at once.
	keys := []string{"a/c"}
	for i := range 2100 {
		keys = append(keys, fmt.Sprintf("many/%d", i))
	}
	put(t, b, "many/7", []byte("x"))
	put(t, b, "many/2099", []byte("x"))
	require.NoError(t, b.Delete(t.Context(), keys...))
	wantListing(t, b, "", []string{"a/b", "ab"})
	put(t, b, "a", []byte("again"))
	wantBlob(t, b, "a", []byte("again"))
}

// wantListing requires exactly these keys under a prefix, in byte order, at pages of every size.
func wantListing(t *testing.T, b ports.Blobs, prefix string, keys []string) {
	t.Helper()
	want := slices.Clone(keys)
	slices.Sort(want)
	limits := []int{1, 3, len(want), len(want) + 1, 1000}
	if len(want) > 12 {
		limits = limits[1:]
	}
	for _, limit := range limits {
		if limit < 1 {
			continue
		}
		var got []string
		for after := ""; ; {
			list, err := b.List(t.Context(), prefix, after, limit)
			require.NoError(t, err)
			require.Lenf(t, list, min(limit, len(want)-len(got)), "prefix %q, after %q, limit %d", prefix, after, limit)
			for _, i := range list {
				got = append(got, i.Key)
			}
			if len(list) < limit {
				break
			}
			after = got[len(got)-1]
		}
		require.Equalf(t, append([]string{}, want...), append([]string{}, got...), "prefix %q, limit %d", prefix, limit)
	}
}

func blobsList(t *testing.T, b ports.Blobs) {
	wantListing(t, b, "", nil)
	wantListing(t, b, "a", nil)
	all := []string{
		"a", "a-b", "a-b/c", "a.b", "a/b", "a/b-c", "a/b.c", "a/b/c", "a/b/d", "a/b0", "a/b_c", "a/bb", "a0", "a0/b", "a_b", "aa", "ab/c", "b/a", "b/a/a", "c",
	}
	for _, key := range all {
		put(t, b, key, []byte(key))
	}
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "a-", "a-b", "ab/c", "b", "b/", "c", "cc", "d", "a/b/c/d", "a/b/cc", "-"} {
		var want []string
		for _, key := range all {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		wantListing(t, b, prefix, want)
		// From keys that are not there, below, within and beyond the prefix.
		for _, after := range []string{"-", "a", "a/", "a/b/cc", "a/b/c/", "a/zz", "a.", "a/b/c", "az", "b", "b/a", "zzz"} {
			list, err := b.List(t.Context(), prefix, after, 100)
			require.NoError(t, err)
			got, want := []string{}, []string{}
			for _, i := range list {
				got = append(got, i.Key)
				require.EqualValues(t, len(i.Key), i.Size)
			}
			for _, key := range all {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			require.Equal(t, want, got, "prefix %q, after %q", prefix, after)
		}
	}
	for _, limit := range []int{0, -1} {
		_, err := b.List(t.Context(), "", "", limit)
		wantCode(t, domain.Invalid, err, "limit")
	}
	// A prefix that no key can have finds nothing, least of all outside of the store.
	for _, prefix := range []string{"../", "/", "..", "a/../", "A"} {
		list, _ := b.List(t.Context(), prefix, "", 100)
		require.Empty(t, list, prefix)
	}
}

func blobsSweeper(t *testing.T, b ports.Blobs) {
	s, ok := b.(ports.BlobSweeper)
	if !ok {
		return // an optional ability
	}
	data := noise(1, 5000)
	put(t, b, "kept/a", data)
	put(t, b, ".tmp/kept", data)
	require.Error(t, b.Put(t.Context(), "kept/b", failsAt(data, 4000, io.ErrUnexpectedEOF), ports.PutOptions{Size: int64(len(data))}))

	sweep := func(before time.Time, dryRun bool) int {
		t.Helper()
		n, err := s.SweepPartial(t.Context(), before, dryRun)
		require.NoError(t, err)
		return n
	}
	// A Put under way survives a sweep of what is older.
	body := newSlowBody(data, 4000)
	done := make(chan error, 1)
	go func() { done <- b.Put(t.Context(), "slow", body, ports.PutOptions{Size: int64(len(data))}) }()
	<-body.reached
	require.Zero(t, sweep(time.Now().Add(-time.Hour), true))
	require.Zero(t, sweep(time.Now().Add(-time.Hour), false))
	close(body.leave)
	require.NoError(t, <-done)
	wantBlob(t, b, "slow", data)

	later := time.Now().Add(time.Hour)
	n := sweep(later, true)
	require.Equal(t, n, sweep(later, true), "a dry run removes nothing")
	require.Equal(t, n, sweep(later, false))
	require.Zero(t, sweep(later, true), "nothing is left")
	for _, key := range []string{"kept/a", ".tmp/kept", "slow"} {
		wantBlob(t, b, key, data)
	}
	wantListing(t, b, "", []string{"kept/a", ".tmp/kept", "slow"})

	wantAllEnded(t, []call{{"SweepPartial", func(ctx context.Context) error { _, err := s.SweepPartial(ctx, later, true); return err }}})
}

func blobsEnded(t *testing.T, b ports.Blobs) {
	put(t, b, "a", []byte("kept"))
	wantAllEnded(t, []call{
		{"Put", func(ctx context.Context) error {
			return b.Put(ctx, "b", strings.NewReader("x"), ports.PutOptions{Size: 1})
		}},
		{"Put over", func(ctx context.Context) error {
			return b.Put(ctx, "a", strings.NewReader("x"), ports.PutOptions{Size: 1})
		}},
		{"Put IfAbsent", func(ctx context.Context) error {
			return b.Put(ctx, "a", strings.NewReader("x"), ports.PutOptions{Size: 1, IfAbsent: true})
		}},
		{"Open", func(ctx context.Context) error { _, err := b.Open(ctx, "a"); return err }},
		{"Open none", func(ctx context.Context) error { _, err := b.Open(ctx, "none"); return err }},
		{"Delete", func(ctx context.Context) error { return b.Delete(ctx, "a") }},
		{"List", func(ctx context.Context) error { _, err := b.List(ctx, "", "", 1); return err }},
		{"Move", func(ctx context.Context) error { return b.Move(ctx, "a", "b") }},
		{"Copy", func(ctx context.Context) error { return b.Copy(ctx, "a", "b") }},
		{"Move none", func(ctx context.Context) error { return b.Move(ctx, "none", "b") }},
	})
	wantBlob(t, b, "a", []byte("kept"))
	wantNoBlob(t, b, "b")
}

package fileblob

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest"
)

// childFolder makes this test program a writer that is killed.
const childFolder = "IMAGIFY_FILEBLOB_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Fprintln(os.Stderr, putForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func fresh(t testing.TB) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data", "blobs")
	s, err := New(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s, dir
}

func put(t testing.TB, s *Store, keys ...string) {
	t.Helper()
	for _, k := range keys {
		require.NoError(t, s.Put(context.Background(), k, strings.NewReader(k), ports.PutOptions{Size: int64(len(k))}), k)
	}
}

func content(t testing.TB, s *Store, key string) string {
	t.Helper()
	b, err := s.Open(context.Background(), key)
	require.NoError(t, err, key)
	defer b.Body.Close()
	data, err := io.ReadAll(b.Body)
	require.NoError(t, err)
	return string(data)
}

// everything pages through a store and checks each page.
func everything(t testing.TB, s *Store, prefix string, limit int) []string {
	t.Helper()
	var keys []string
	after := ""
	for {
		page, err := s.List(context.Background(), prefix, after, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		for _, b := range page {
			require.Greater(t, b.Key, after)
			after = b.Key
			keys = append(keys, b.Key)
		}
		if len(page) < limit {
			return keys
		}
	}
}

// leftovers are the files in the folder of unfinished writes.
func leftovers(t testing.TB, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, partial))
	require.NoError(t, err)
	return entries
}

func TestBlobs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	porttest.Blobs(t, func(t *testing.T) ports.Blobs { s, _ := fresh(t); return s })
}

// Keys whose names on disk sort in another way than they do, that are prefixes of
// each other, and that no file system would take as they are.
func hostileKeys() []string {
	long := strings.Repeat("l", maxName)
	return []string{
		"a", "a/b", "a/b/c", "a-", "a-/b", "a.", "a./b", "a.b", "a0", "a0/b", "a_", "aa", "-", "-/-", "_/a", "0", ".a", ".a/b", "...", ".partial", ".partial/x",
		long, long + "/x", long + "-", long + "-/x", long + ".", long + "..", long + "../x", long + "./" + long, long + "0", long[1:], long[1:] + "/x", long[1:] + "0",
		long + long, long + long + "/" + strings.Repeat("z", 100), strings.Repeat("y", ports.MaxKey), strings.Repeat("y", maxName) + "/y",
		strings.Repeat("d/", 255) + "d",
	}
}

func TestHostileKeysInOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	s, _ := fresh(t)
	keys := hostileKeys()
	put(t, s, keys...)
	slices.Sort(keys)
	for _, limit := range []int{1, 2, 3, 7, 1000} {
		require.Equal(t, keys, everything(t, s, "", limit), "limit %d", limit)
	}
	for _, prefix := range append(hostileKeys(), "a/", "l", strings.Repeat("l", 300), "d/d/d", "nothing", "../", "~", "\x00", "A") {
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		require.Equal(t, want, everything(t, s, prefix, 2), "prefix %q", prefix)
	}
	for _, after := range append(slices.Clone(keys), "a/zzz", "b", strings.Repeat("l", maxName)+"/", "~", "a/\x00") {
		page, err := s.List(t.Context(), "", after, 1000)
		require.NoError(t, err)
		at, found := slices.BinarySearch(keys, after)
		if found {
			at++
		}
		require.Len(t, page, len(keys)-at, "after %q", after)
	}
	for _, k := range keys {
		require.Equal(t, k, content(t, s, k))
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for i, k := range keys {
		require.NoError(t, s.Delete(t.Context(), k))
		_, err := s.Open(t.Context(), k)
		require.ErrorIs(t, err, domain.NotFound)
		require.Len(t, everything(t, s, "", 1000), len(keys)-i-1)
	}
}

// More entries than are sorted at once, and folders that turn out to be empty.
func TestListOfLargeFolders(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	s, dir := fresh(t)
	var want []string
	for i := range 3 * minKept {
		name := fmt.Sprintf("k%04d", i)
		require.NoError(t, os.Mkdir(filepath.Join(dir, name+folderSign), 0o700))
		if i%3 == 2 {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			want = append(want, name)
		}
	}
	for _, limit := range []int{1, 10, 5000} {
		require.Equal(t, want, everything(t, s, "", limit))
	}
}

func FuzzKeys(f *testing.F) {
	for _, k := range append(hostileKeys(), "", "/", "..", "a/../b", "a//b", "A", "a\\b", "a\x00", "a+", "a~", "=", "a/", strings.Repeat("a", 513), "é") {
		f.Add(k)
	}
	s, dir := fresh(f)
	f.Fuzz(func(t *testing.T, key string) {
		ctx := t.Context()
		if !ports.ValidKey(key) {
			require.ErrorIs(t, s.Put(ctx, key, strings.NewReader("x"), ports.PutOptions{Size: 1}), domain.Invalid)
			_, err := s.Open(ctx, key)
			require.ErrorIs(t, err, domain.Invalid)
			require.ErrorIs(t, s.Delete(ctx, key), domain.Invalid)
			return
		}
		text, long := "", false
		p := pathOf(key)
		for i, name := range p {
			require.LessOrEqual(t, len(name), 255)
			require.True(t, filepath.IsLocal(name), name)
			part, ok := partOf(name, long)
			require.True(t, ok, name)
			require.Equal(t, i < len(p)-1, part.folder, name)
			text, long = text+part.text, part.long
		}
		require.Equal(t, key, text, "a path belongs to one key")
		put(t, s, key)
		require.Equal(t, key, content(t, s, key))
		require.Equal(t, []string{key}, everything(t, s, key, 1)[:1])
		require.NoError(t, s.Delete(ctx, key))
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1, "the folder is as it was")
	})
}

func TestNamesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	put(t, s, "a", "b/c", strings.Repeat("l", 250))
	for _, name := range []string{"UPPER", "lost+found", "a b", "=", "+", "~", "short~", "é", "x=", "a+~", "d", "..+", ".+"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	for _, name := range []string{"file+", "File", strings.Repeat("n", 250), strings.Repeat("n", maxName), strings.Repeat("l", maxName) + longSign + "/norest"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	assert.Equal(t, []string{"a", "b/c", strings.Repeat("l", 250)}, everything(t, s, "", 2))
	_, err := s.Open(t.Context(), "d")
	require.Error(t, err)
	assert.Equal(t, domain.Internal, domain.CodeOf(err), "a folder where a file should be")
}

func TestSymbolicLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("making symbolic links needs a privilege there")
	}
	s, dir := fresh(t)
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "out"+folderSign)))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "secret")))
	require.NoError(t, os.Symlink("../../..", filepath.Join(dir, "up"+folderSign)))
	ctx := t.Context()
	for _, key := range []string{"out/secret", "secret", "up/x"} {
		_, err := s.Open(ctx, key)
		require.Error(t, err, key)
		assert.NotErrorIs(t, err, domain.NotFound, key)
	}
	for _, key := range []string{"out/new", "out/secret", "up/x"} {
		require.Error(t, s.Put(ctx, key, strings.NewReader("x"), ports.PutOptions{Size: 1}), key)
		require.Error(t, s.Delete(ctx, key), key)
	}
	assert.Empty(t, everything(t, s, "", 10))
	// A link in a blob's place is replaced, not followed.
	put(t, s, "secret")
	assert.Equal(t, "secret", content(t, s, "secret"))
	require.ErrorIs(t, s.Put(ctx, "secret", strings.NewReader("y"), ports.PutOptions{Size: 1, IfAbsent: true}), domain.Conflict)
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, left, 1)
	data, err := os.ReadFile(filepath.Join(outside, "secret"))
	require.NoError(t, err)
	assert.Equal(t, "secret", string(data))
	assert.Empty(t, leftovers(t, dir))
}

func TestFilesArePrivateAndPlain(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	put(t, s, "images/x/original")
	b, err := s.Open(t.Context(), "images/x/original")
	require.NoError(t, err)
	defer b.Body.Close()
	assert.IsType(t, &os.File{}, b.Body, "what the kernel can send")
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits there")
	}
	for name, mode := range map[string]os.FileMode{
		"": 0o700, "..": 0o700, partial: 0o700, "images+": 0o700, "images+/x+": 0o700, "images+/x+/original": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), name)
	}
}

func TestFailedPutsLeaveNothing(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	put(t, s, "kept")
	broken := errors.New("broken")
	text := func() io.Reader { return strings.NewReader("abc") }
	cases := map[string]struct {
		read func(cancel context.CancelCauseFunc) func(p []byte) (int, error)
		size int64
		code domain.Code
		is   error
	}{
		"too short": {func(context.CancelCauseFunc) func(p []byte) (int, error) { return text().Read }, 4, domain.Invalid, domain.Invalid},
		"too long":  {func(context.CancelCauseFunc) func(p []byte) (int, error) { return text().Read }, 2, domain.Invalid, domain.Invalid},
		"no size":   {func(context.CancelCauseFunc) func(p []byte) (int, error) { return text().Read }, -1, domain.Invalid, domain.Invalid},
		"broken": {func(context.CancelCauseFunc) func(p []byte) (int, error) {
			return io.MultiReader(text(), iotest.ErrReader(broken)).Read
		}, 3, domain.Internal, broken},
		"coded": {func(context.CancelCauseFunc) func(p []byte) (int, error) {
			return iotest.ErrReader(domain.Errorf(domain.TooLarge, "too large")).Read
		}, 3, domain.TooLarge, domain.TooLarge},
		"cancelled": {func(cancel context.CancelCauseFunc) func(p []byte) (int, error) {
			return func(p []byte) (int, error) { cancel(broken); return len(p), nil }
		}, 1 << 40, domain.Unavailable, broken},
		"cancelled at the end": {func(cancel context.CancelCauseFunc) func(p []byte) (int, error) {
			return func([]byte) (int, error) { cancel(broken); return 0, io.EOF }
		}, 0, domain.Unavailable, broken},
	}
	for name, c := range cases {
		for _, key := range []string{"kept", "new/new"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			err := s.Put(ctx, key, readerFunc(c.read(cancel)), ports.PutOptions{Size: c.size})
			cancel(nil)
			require.Error(t, err, name)
			assert.Equal(t, c.code, domain.CodeOf(err), name)
			assert.ErrorIs(t, err, c.is, name)
		}
	}
	assert.Equal(t, "kept", content(t, s, "kept"))
	assert.Equal(t, []string{"kept"}, everything(t, s, "", 10))
	assert.Empty(t, leftovers(t, dir))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Seek is asked for the beginning, where it is.
func (readerFunc) Seek(int64, int) (int64, error) { return 0, nil }

// Deletes take away the folders that Puts have just made; no Put notices.
func TestPutBesideDelete(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	s, dir := fresh(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 60 {
				key := fmt.Sprintf("a/b/c/%d", w)
				if !assert.NoError(t, s.Put(t.Context(), key, strings.NewReader("x"), ports.PutOptions{Size: 1, IfAbsent: i%2 == 0})) {
					return
				}
				assert.NoError(t, s.Delete(t.Context(), key))
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "empty folders are gone")
	assert.Empty(t, leftovers(t, dir))
}

// A listing beside writes shows what was there all the while, whole and in order.
func TestListBesideWrites(t *testing.T) {
	t.Parallel()
	s, _ := fresh(t)
	put(t, s, "b/kept", "d/e/kept", "f")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				keys := []string{fmt.Sprintf("a/%d/x", w), fmt.Sprintf("c/%d/%d", w, i), "d/e/" + fmt.Sprint(w)}
				for _, k := range keys {
					assert.NoError(t, s.Put(context.Background(), k, strings.NewReader("x"), ports.PutOptions{Size: 1}))
				}
				assert.NoError(t, s.Delete(context.Background(), keys...))
			}
		})
	}
	for range 300 {
		keys := everything(t, s, "", 3)
		for _, k := range []string{"b/kept", "d/e/kept", "f"} {
			assert.Contains(t, keys, k)
		}
	}
	close(done)
	wg.Wait()
}

func TestIfAbsentWithoutLinks(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	s.link = func(string, string) error { return &os.LinkError{Op: "link", Err: syscall.EPERM} }
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 10 {
		wg.Go(func() {
			err := s.Put(t.Context(), "a/b", strings.NewReader("x"), ports.PutOptions{Size: 1, IfAbsent: true})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				won++
				return
			}
			assert.ErrorIs(t, err, domain.Conflict)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, won)
	assert.Empty(t, leftovers(t, dir))
}

func TestSweepPartial(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	put(t, s, "kept")
	now := time.Now()
	for i, age := range []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour} {
		name := filepath.Join(dir, partial, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(name, []byte("half"), 0o600))
		require.NoError(t, os.Chtimes(name, now.Add(-age), now.Add(-age)))
	}
	for _, dryRun := range []bool{true, false} {
		n, err := s.SweepPartial(t.Context(), now.Add(-90*time.Minute), dryRun)
		require.NoError(t, err)
		assert.Equal(t, 2, n)
	}
	assert.Len(t, leftovers(t, dir), 1)
	n, err := s.SweepPartial(t.Context(), now, false)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, []string{"kept"}, everything(t, s, "", 10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.SweepPartial(ctx, now, false)
	assert.ErrorIs(t, err, domain.Unavailable)
}

// A Put whose unfinished file is swept away fails and leaves nothing.
func TestSweptWhilePutting(t *testing.T) {
	t.Parallel()
	s, _ := fresh(t)
	sweeping := readerFunc(func([]byte) (int, error) {
		_, err := s.SweepPartial(context.Background(), time.Now().Add(time.Hour), false)
		assert.NoError(t, err)
		return 0, io.EOF
	})
	for _, ifAbsent := range []bool{true, false} {
		err := s.Put(t.Context(), "a/b", sweeping, ports.PutOptions{IfAbsent: ifAbsent})
		require.Error(t, err)
		assert.Equal(t, domain.Unavailable, domain.CodeOf(err))
	}
	assert.Empty(t, everything(t, s, "", 10))
}

// A folder that was taken away is an outage, not an empty store.
func TestFolderTakenAway(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open folder cannot be removed there")
	}
	s, dir := fresh(t)
	put(t, s, "a")
	require.NoError(t, os.RemoveAll(dir))
	ctx := t.Context()
	_, openErr := s.Open(ctx, "a")
	_, listErr := s.List(ctx, "", "", 1)
	_, sweepErr := s.SweepPartial(ctx, time.Now(), false)
	for name, err := range map[string]error{
		"open": openErr, "list": listErr, "sweep": sweepErr, "ping": s.Ping(ctx),
		"put": s.Put(ctx, "a", strings.NewReader("x"), ports.PutOptions{Size: 1}),
	} {
		require.Error(t, err, name)
		assert.Equal(t, domain.Unavailable, domain.CodeOf(err), name)
		assert.NotContains(t, domain.AsError(err).Msg, dir, name)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := New("")
	require.Error(t, err)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := New(dir)
		require.ErrorContains(t, err, "choose one that can be written")
		require.ErrorContains(t, err, dir)
	}
	s, err := New(t.TempDir()) // one that exists already
	require.NoError(t, err)
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Close())
}

// blobOf makes a blob whose key says what is in it.
func blobOf(r *rand.Rand) (key string, data []byte) {
	data = make([]byte, 1+r.IntN(3<<20))
	chacha := rand.NewChaCha8([32]byte{byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
	chacha.Read(data)
	sum := sha256.Sum256(data)
	return "images/" + hex.EncodeToString(sum[:1]) + "/" + hex.EncodeToString(sum[:]), data
}

func putForEver(dir string) error {
	s, err := New(dir)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var failed error
	for range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
			for i := 0; ; i++ {
				key, data := blobOf(r)
				if err := s.Put(context.Background(), key, bytes.NewReader(data), ports.PutOptions{Size: int64(len(data)), IfAbsent: i%2 == 0}); err != nil {
					failed = err
					return
				}
				fmt.Println(key)
			}
		})
	}
	wg.Wait()
	return failed
}

func TestPromise(t *testing.T) {
	t.Parallel()
	t.Run("D3", promiseD3)
}

// A writer is killed in the middle of Puts: every acknowledged blob is there, and none is half.
func promiseD3(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	self, err := os.Executable()
	require.NoError(t, err)
	rounds := 4
	if os.Getenv("IMAGIFY_FULL") != "" {
		rounds = 50
	}
	var acknowledged []string
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childFolder+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acknowledged = append(acknowledged, lines.Text())
			if n == 3+round {
				time.Sleep(rand.N(3 * time.Millisecond))
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")
	}
	keys := everything(t, s, "", 7)
	for _, key := range keys {
		sum := sha256.Sum256([]byte(content(t, s, key)))
		require.Equal(t, filepath.Base(key), hex.EncodeToString(sum[:]))
	}
	for _, key := range acknowledged {
		require.Contains(t, keys, key)
	}
	left := len(leftovers(t, dir))
	n, err := s.SweepPartial(t.Context(), time.Now().Add(time.Hour), false)
	require.NoError(t, err)
	assert.Equal(t, left, n)
	assert.Empty(t, leftovers(t, dir))
}

// What others have put into the folder under names that no key makes is not listed:
// it could not be deleted by a key.
func TestOthersFiles(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	put(t, s, "a/b")
	deep := dir
	for range ports.MaxKey/100 + 1 {
		deep = filepath.Join(deep, strings.Repeat("d", 99)+folderSign)
	}
	require.NoError(t, os.MkdirAll(deep, 0o700))
	for _, name := range []string{filepath.Join(deep, "x"), filepath.Join(dir, "A"), filepath.Join(dir, "x"+folderSign), filepath.Join(dir, restSign+"x")} {
		require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
	}
	require.Equal(t, []string{"a/b"}, everything(t, s, "", 10))
}

// movable is a file that its owner gives away.
type movable struct{ *os.File }

func (m *movable) Path() string { return m.Name() }
func (m *movable) Synced() bool { return false }

// A file on the same file system is renamed into place; what cannot be moved is copied, and what is
// not as long as was said is neither.
func TestTakesAFileOver(t *testing.T) {
	t.Parallel()
	s, dir := fresh(t)
	file := func(text string) *movable {
		f, err := os.CreateTemp(t.TempDir(), "upload-")
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		_, err = f.WriteString(text)
		require.NoError(t, err)
		return &movable{f}
	}
	given := file("moved")
	before, err := given.Stat()
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), "a/moved", given, ports.PutOptions{Size: 5, IfAbsent: true}))
	assert.Equal(t, "moved", content(t, s, "a/moved"))
	assert.NoFileExists(t, given.Name())
	b, err := s.Open(t.Context(), "a/moved")
	require.NoError(t, err)
	defer b.Body.Close()
	after, err := b.Body.(*os.File).Stat()
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "it was renamed, not copied")

	// There is one already: the file stays its owner's.
	second := file("again")
	require.ErrorIs(t, s.Put(t.Context(), "a/moved", second, ports.PutOptions{Size: 5, IfAbsent: true}), domain.Conflict)
	assert.Equal(t, "moved", content(t, s, "a/moved"))

	require.ErrorIs(t, s.Put(t.Context(), "b", file("longer than said"), ports.PutOptions{Size: 5}), domain.Invalid)
	unlinked := file("copied")
	require.NoError(t, os.Remove(unlinked.Name()))
	require.NoError(t, s.Put(t.Context(), "c", unlinked, ports.PutOptions{Size: 6}))
	assert.Equal(t, "copied", content(t, s, "c"))
	assert.Equal(t, []string{"a/moved", "c"}, everything(t, s, "", 10))
	assert.Empty(t, leftovers(t, dir))
}

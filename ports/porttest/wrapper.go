package porttest

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// BlobsWrapper is the suite of a ports.Blobs that hands its calls on to another, such
// as one that measures them: each call reaches the other once and as it came, its
// answer and its error come back as they are, and none of the optional abilities, of
// the store or of a body, is lost on the way.
func BlobsWrapper(t *testing.T, wrap func(b ports.Blobs) ports.Blobs) {
	t.Helper()
	run(t, "BlobsWrapper", func(*testing.T) *wrapped {
		w := &wrapped{inner: &innerBlobs{}}
		w.Blobs = wrap(w.inner)
		return w
	}, []check[*wrapped]{
		{"OneCall", wrapperOneCall},
		{"Errors", wrapperErrors},
		{"Bodies", wrapperBodies},
		{"Walk", wrapperWalk},
		{"Abilities", wrapperAbilities},
	})
}

type wrapped struct {
	ports.Blobs
	inner *innerBlobs
}

// innerBlobs notes what reaches it and answers as it is told. It is for one goroutine.
type innerBlobs struct {
	calls []any // a name and its arguments, one call after the other
	ctx   context.Context
	body  io.ReadSeeker
	err   error
	blob  ports.Blob
	infos []ports.BlobInfo
	gave  int // by Walk
}

func (b *innerBlobs) note(ctx context.Context, call ...any) error {
	b.calls, b.ctx = append(b.calls, call), ctx
	return b.err
}

func (b *innerBlobs) Put(ctx context.Context, key string, body io.ReadSeeker, o ports.PutOptions) error {
	b.body = body
	return b.note(ctx, "Put", key, o)
}

func (b *innerBlobs) Open(ctx context.Context, key string) (ports.Blob, error) {
	err := b.note(ctx, "Open", key)
	return b.blob, err
}

func (b *innerBlobs) Delete(ctx context.Context, keys ...string) error {
	return b.note(ctx, "Delete", keys)
}

func (b *innerBlobs) List(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
	err := b.note(ctx, "List", prefix, after, limit)
	return b.infos, err
}

func (b *innerBlobs) Move(ctx context.Context, from, to string) error {
	return b.note(ctx, "Move", from, to)
}

func (b *innerBlobs) Copy(ctx context.Context, from, to string) error {
	return b.note(ctx, "Copy", from, to)
}

func (b *innerBlobs) SweepPartial(ctx context.Context, before time.Time, dryRun bool) (int, error) {
	err := b.note(ctx, "SweepPartial", before, dryRun)
	return 7, err
}

func (b *innerBlobs) Ping(ctx context.Context) error { return b.note(ctx, "Ping") }

func (b *innerBlobs) Walk(ctx context.Context, prefix, after string, foreign func(string)) iter.Seq2[ports.BlobInfo, error] {
	err := b.note(ctx, "Walk", prefix, after)
	return func(yield func(ports.BlobInfo, error) bool) {
		if foreign != nil {
			foreign("Foreign Name")
		}
		for _, i := range b.infos {
			b.gave++
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(ports.BlobInfo{}, err)
		}
	}
}

// movable is a body that a store may take over.
type movable struct{ *strings.Reader }

func (movable) Path() string { return "/spool/1" }
func (movable) Synced() bool { return true }

type mark struct{}

var (
	wrapperInfos = []ports.BlobInfo{{Key: "p/a", Size: 1, ModTime: epoch}, {Key: "p/b", Size: 2, ModTime: epoch}, {Key: "p/c", Size: 3, ModTime: epoch}}
	wrapperPut   = ports.PutOptions{Size: 3, SHA256: [32]byte{1, 2}, IfAbsent: true, ContentType: "image/png"}
)

// wrapperCalls are calls with what must reach the other store.
func wrapperCalls(w *wrapped) []struct {
	do   func(ctx context.Context) error
	want []any
} {
	return []struct {
		do   func(ctx context.Context) error
		want []any
	}{
		{func(ctx context.Context) error { return w.Put(ctx, "a", movable{strings.NewReader("abc")}, wrapperPut) }, []any{"Put", "a", wrapperPut}},
		{func(ctx context.Context) error { _, err := w.Open(ctx, "a"); return err }, []any{"Open", "a"}},
		{func(ctx context.Context) error { return w.Delete(ctx, "a", "b") }, []any{"Delete", []string{"a", "b"}}},
		{func(ctx context.Context) error { _, err := w.List(ctx, "p", "p/a", 5); return err }, []any{"List", "p", "p/a", 5}},
		{func(ctx context.Context) error { return w.Move(ctx, "a", "b") }, []any{"Move", "a", "b"}},
		{func(ctx context.Context) error { return w.Copy(ctx, "a", "b") }, []any{"Copy", "a", "b"}},
		{func(ctx context.Context) error {
			for _, err := range ports.WalkBlobs(ctx, w.Blobs, "p", "p", nil) {
				if err != nil {
					return err
				}
			}
			return nil
		}, []any{"Walk", "p", "p"}},
		{func(ctx context.Context) error {
			s, ok := w.Blobs.(ports.BlobSweeper)
			if !ok {
				return errors.New("it is no ports.BlobSweeper any more")
			}
			_, err := s.SweepPartial(ctx, epoch, true)
			return err
		}, []any{"SweepPartial", epoch, true}},
		{func(ctx context.Context) error {
			p, ok := w.Blobs.(ports.Pinger)
			if !ok {
				return errors.New("it is no ports.Pinger any more")
			}
			return p.Ping(ctx)
		}, []any{"Ping"}},
	}
}

func wrapperOneCall(t *testing.T, w *wrapped) {
	for _, c := range wrapperCalls(w) {
		w.inner.calls, w.inner.ctx = nil, nil
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), mark{}, c.want[0]))
		require.NoError(t, c.do(ctx), c.want[0])
		require.Equal(t, []any{c.want}, w.inner.calls, "what reaches the other store, once")
		require.Equal(t, c.want[0], w.inner.ctx.Value(mark{}), "the context's values")
		require.NoError(t, w.inner.ctx.Err())
		cancel()
		require.Error(t, w.inner.ctx.Err(), "%s: the context's end", c.want[0])
	}
}

func wrapperErrors(t *testing.T, w *wrapped) {
	busy := domain.Errorf(domain.Unavailable, "busy")
	busy.RetryAfter = 3 * time.Second
	for _, given := range []error{busy, domain.Errorf(domain.NotFound, "none"), domain.Errorf(domain.Conflict, "taken"), domain.Errorf(domain.Invalid, "bad"), io.ErrUnexpectedEOF, context.Canceled} {
		for _, c := range wrapperCalls(w) {
			w.inner.calls, w.inner.err = nil, given
			got := c.do(t.Context())
			require.ErrorIs(t, got, given, c.want[0])
			require.Equal(t, domain.CodeOf(given), domain.CodeOf(got), c.want[0])
			require.Equal(t, domain.AsError(given).RetryAfter, domain.AsError(got).RetryAfter, c.want[0])
			require.Len(t, w.inner.calls, 1, "%s: a call that failed is not made again", c.want[0])
		}
	}
}

// closes is a body that counts how often it is closed.
type closes struct {
	*strings.Reader
	n int
}

func (c *closes) Close() error {
	c.n++
	return io.ErrClosedPipe
}

func wrapperBodies(t *testing.T, w *wrapped) {
	require.NoError(t, w.Put(t.Context(), "a", movable{strings.NewReader("abc")}, wrapperPut))
	m, ok := w.inner.body.(ports.Movable)
	require.True(t, ok, "a body that may be taken over reaches the store as one that cannot")
	require.Equal(t, "/spool/1", m.Path())
	require.True(t, m.Synced())

	body := &closes{Reader: strings.NewReader("abcdef")}
	w.inner.blob = ports.Blob{Body: body, Size: 6, ModTime: epoch}
	got, err := w.Open(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 6, got.Size)
	require.Equal(t, epoch, got.ModTime)
	at, err := got.Body.Seek(2, io.SeekStart)
	require.NoError(t, err)
	require.EqualValues(t, 2, at)
	rest, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.Equal(t, "cdef", string(rest))
	require.Zero(t, body.n, "closed before its reader closes it")
	require.ErrorIs(t, got.Body.Close(), io.ErrClosedPipe, "the error of Close")
	require.Equal(t, 1, body.n, "how often it is closed")

	w.inner.infos = wrapperInfos
	list, err := w.List(t.Context(), "p", "", 5)
	require.NoError(t, err)
	require.Equal(t, wrapperInfos, list)
}

func wrapperWalk(t *testing.T, w *wrapped) {
	w.inner.infos, w.inner.err = wrapperInfos, domain.Errorf(domain.Unavailable, "it broke off")
	var got []ports.BlobInfo
	var foreign []string
	var failed error
	for info, err := range ports.WalkBlobs(t.Context(), w.Blobs, "p", "", func(name string) { foreign = append(foreign, name) }) {
		if failed = err; err == nil {
			got = append(got, info)
		}
	}
	require.Equal(t, wrapperInfos, got, "what came before the error")
	require.ErrorIs(t, failed, domain.Unavailable, "a walk that broke off ends as if it were whole")
	require.Equal(t, []string{"Foreign Name"}, foreign)

	w.inner.gave = 0
	for _, err := range ports.WalkBlobs(t.Context(), w.Blobs, "p", "", nil) {
		require.NoError(t, err)
		break
	}
	require.Equal(t, 1, w.inner.gave, "read on though nobody wants more")
}

func wrapperAbilities(t *testing.T, w *wrapped) {
	_, walks := w.Blobs.(ports.BlobWalker)
	sweeper, sweeps := w.Blobs.(ports.BlobSweeper)
	_, pings := w.Blobs.(ports.Pinger)
	require.True(t, walks, "it is no ports.BlobWalker any more")
	require.True(t, sweeps, "it is no ports.BlobSweeper any more")
	require.True(t, pings, "it is no ports.Pinger any more")
	n, err := sweeper.SweepPartial(t.Context(), epoch, false)
	require.NoError(t, err)
	require.Equal(t, 7, n, "how many were swept")
	require.Equal(t, []any{[]any{"SweepPartial", epoch, false}}, w.inner.calls)
}

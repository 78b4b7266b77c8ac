package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

func blobsMove(t *testing.T, b ports.Blobs) {
	data := noise(1, 70000)
	put(t, b, "images/a/original", data)
	put(t, b, "images/a/thumbnails/1.png", []byte("small"))
	put(t, b, "empty", nil)
	old, err := b.List(t.Context(), "images/a/original", "", 1)
	require.NoError(t, err)

	wantCode(t, domain.NotFound, b.Move(t.Context(), "images/none/original", "images/a/original"))
	wantCode(t, domain.NotFound, b.Move(t.Context(), "images/a", "elsewhere"), "only the beginning of a key")
	wantBlob(t, b, "images/a/original", data)
	for _, bad := range []string{"", "../a", "A", "a//b"} {
		wantCode(t, domain.Invalid, b.Move(t.Context(), "images/a/original", bad))
		wantCode(t, domain.Invalid, b.Move(t.Context(), bad, "images/b"))
	}

	require.NoError(t, b.Move(t.Context(), "images/a/original", "trash/images/a/original"))
	wantNoBlob(t, b, "images/a/original")
	wantBlob(t, b, "trash/images/a/original", data)
	wantBlob(t, b, "images/a/thumbnails/1.png", []byte("small"))
	wantListing(t, b, "", []string{"empty", "images/a/thumbnails/1.png", "trash/images/a/original"})
	now, err := b.List(t.Context(), "trash/", "", 5)
	require.NoError(t, err)
	require.Len(t, now, 1)
	require.EqualValues(t, len(data), now[0].Size)
	require.False(t, now[0].ModTime.Before(old[0].ModTime), "its time is that of the move")
	wantCode(t, domain.NotFound, b.Move(t.Context(), "images/a/original", "trash/images/a/original"), "moved already")
	wantBlob(t, b, "trash/images/a/original", data)

	// Back, over what came there meanwhile.
	put(t, b, "images/a/original", noise(2, 100))
	require.NoError(t, b.Move(t.Context(), "trash/images/a/original", "images/a/original"))
	wantBlob(t, b, "images/a/original", data)
	wantNoBlob(t, b, "trash/images/a/original")
	require.NoError(t, b.Move(t.Context(), "empty", "empty2/a"))
	wantBlob(t, b, "empty2/a", nil)
	require.NoError(t, b.Move(t.Context(), "empty2/a", "empty2/a"), "to where it is")
	wantBlob(t, b, "empty2/a", nil)
	wantListing(t, b, "", []string{"empty2/a", "images/a/original", "images/a/thumbnails/1.png"})
}

// blobsMoveTime: the age of what lies in a trash is counted from the move.
func blobsMoveTime(t *testing.T, b ports.Blobs) {
	put(t, b, "a", []byte("x"))
	first, err := b.List(t.Context(), "a", "", 1)
	require.NoError(t, err)
	time.Sleep(1100 * time.Millisecond) // some stores tell whole seconds
	require.NoError(t, b.Move(t.Context(), "a", "b"))
	second, err := b.List(t.Context(), "b", "", 1)
	require.NoError(t, err)
	require.True(t, second[0].ModTime.After(first[0].ModTime), "%v is not after %v", second[0].ModTime, first[0].ModTime)
}

func blobsCopy(t *testing.T, b ports.Blobs) {
	data := noise(1, 70000)
	put(t, b, "trash/a", data)
	wantCode(t, domain.NotFound, b.Copy(t.Context(), "none", "a"))
	wantNoBlob(t, b, "a")
	wantCode(t, domain.Invalid, b.Copy(t.Context(), "trash/a", "../a"))
	wantCode(t, domain.Invalid, b.Copy(t.Context(), "A", "a"))
	for range 2 { // the second time the same bytes are there
		require.NoError(t, b.Copy(t.Context(), "trash/a", "live/x/a"))
		wantBlob(t, b, "trash/a", data)
		wantBlob(t, b, "live/x/a", data)
		wantListing(t, b, "", []string{"live/x/a", "trash/a"})
	}
	// Each is a blob of its own.
	require.NoError(t, b.Delete(t.Context(), "trash/a"))
	wantBlob(t, b, "live/x/a", data)
	require.NoError(t, b.Copy(t.Context(), "live/x/a", "trash/a"))
	put(t, b, "live/x/a", noise(2, 100))
	wantBlob(t, b, "trash/a", data)
	require.NoError(t, b.Copy(t.Context(), "trash/a", "trash/b"))
	require.NoError(t, b.Move(t.Context(), "trash/a", "trash/b"), "over its own copy")
	wantListing(t, b, "", []string{"live/x/a", "trash/b"})
	wantBlob(t, b, "trash/b", data)
}

// blobsMoveRacers has some move a blob away, as sweeps do, while others copy it back,
// as readers do: it is in the place that it was moved to, whichever move came last.
func blobsMoveRacers(t *testing.T, b ports.Blobs) {
	data := noise(7, 50000)
	put(t, b, "live/a", data)
	errs := make([]error, racers)
	race(racers, func(i int) {
		for range 3 {
			var err error
			if i%2 == 0 {
				err = b.Move(t.Context(), "live/a", "trash/a")
			} else {
				err = b.Copy(t.Context(), "trash/a", "live/a")
			}
			if err != nil && domain.CodeOf(err) != domain.NotFound && domain.CodeOf(err) != domain.Unavailable {
				errs[i] = errors.Join(errs[i], err)
			}
		}
	})
	require.NoError(t, errors.Join(errs...))
	wantBlob(t, b, "trash/a", data)
	if got, err := read(t.Context(), b, "live/a"); err == nil {
		require.Equal(t, data, got)
	} else {
		wantCode(t, domain.NotFound, err)
	}
}

// blobsMoveSeen looks at a blob while it is moved: it is under one key or the other,
// whole, at every moment.
func blobsMoveSeen(t *testing.T, b ports.Blobs) {
	data := noise(8, 30000)
	for range 10 {
		put(t, b, "live/a", data)
		moved := make(chan error, 1)
		go func() { moved <- b.Move(t.Context(), "live/a", "trash/a") }()
		for done := false; !done; {
			select {
			case err := <-moved:
				require.NoError(t, err)
				done = true
			default:
			}
			got, err := read(t.Context(), b, "live/a")
			if err != nil && domain.CodeOf(err) == domain.NotFound {
				got, err = read(t.Context(), b, "trash/a") // after it went from the first
				require.NoError(t, err, "the blob is under neither key")
			}
			if err == nil {
				require.True(t, bytes.Equal(data, got), "other bytes while it is moved")
			}
		}
		require.NoError(t, b.Delete(t.Context(), "trash/a"))
	}
}

// blobsWalkMeanwhile takes away what it meets, as the sweep does, among more blobs
// than a store gives at once: it meets every one of them.
func blobsWalkMeanwhile(t *testing.T, b ports.Blobs) {
	const n = 1100
	key := func(i int) string { return fmt.Sprintf("images/%02d/%04d", i%7, i) }
	errs := make([]error, racers)
	race(racers, func(r int) {
		for i := r; i < n; i += racers {
			errs[r] = errors.Join(errs[r], b.Put(t.Context(), key(i), strings.NewReader("x"), ports.PutOptions{Size: 1}))
		}
	})
	require.NoError(t, errors.Join(errs...))
	met, kept := map[string]bool{}, []string{}
	for info, err := range ports.WalkBlobs(t.Context(), b, "images/", "", nil) {
		require.NoError(t, err)
		met[info.Key] = true
		if len(met)%20 == 0 {
			kept = append(kept, info.Key)
			continue
		}
		if len(met)%2 == 0 || len(met) > 300 {
			require.NoError(t, b.Delete(t.Context(), info.Key))
		} else {
			require.NoError(t, b.Move(t.Context(), info.Key, "trash/"+info.Key))
		}
	}
	require.Len(t, met, n)
	wantListing(t, b, "images/", kept)
}

func blobsWalk(t *testing.T, b ports.Blobs) {
	keys := map[string]bool{}
	for i := range 60 {
		for _, key := range []string{fmt.Sprintf("images/%02d/original", i), fmt.Sprintf("images/%02d/thumbnails/%d.png", i, i%3), fmt.Sprintf("images/%02d-", i)} {
			put(t, b, key, []byte(key))
			keys[key] = true
		}
	}
	put(t, b, "installation", []byte("x"))
	keys["installation"] = true
	all := slices.Sorted(maps.Keys(keys))
	for _, prefix := range []string{"", "images/", "images/0", "images/07/", "in", "none"} {
		for _, after := range []string{"", "images/05/original", "images/05/original0", "images/99", "zzz"} {
			var want []string
			for _, key := range all {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			var got []string
			for info, err := range ports.WalkBlobs(t.Context(), b, prefix, after, nil) {
				require.NoError(t, err)
				if info.Key != "installation" {
					require.EqualValues(t, len(info.Key), info.Size, info.Key)
				}
				require.Equal(t, time.UTC, info.ModTime.Location())
				got = append(got, info.Key)
			}
			require.Equal(t, want, got, "prefix %q, after %q", prefix, after)
		}
	}
	n := 0
	for _, err := range ports.WalkBlobs(t.Context(), b, "", "", nil) {
		require.NoError(t, err)
		if n++; n == 7 {
			break // and nothing is called after that
		}
	}
	require.Equal(t, 7, n)
	wantAllEnded(t, []call{{"Walk", func(ctx context.Context) error {
		for _, err := range ports.WalkBlobs(ctx, b, "", "", nil) {
			if err != nil {
				return err
			}
		}
		return nil
	}}})
}

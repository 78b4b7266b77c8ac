package fileblob

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
)

// A folder of more names than are sorted in memory is walked in the order of its keys,
// whatever order the file system gives, and leaves no temporary file.
func TestWalkOfALargeFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: run it without -short")
	}
	t.Parallel()
	s, dir := fresh(t)
	const n = 2*runNames + 1234
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "images+", "o+"), folderMode))
	want := make([]string, 0, n)
	for i := range n {
		name := fmt.Sprintf("%05d", i*48271%99991) // a prime: no two are the same
		switch i % 4 {
		case 0: // as a folder "x+" sorts behind "x-y", which it must not
			require.NoError(t, os.Mkdir(filepath.Join(dir, "images+", "o+", name+"+"), folderMode))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "images+", "o+", name+"+", "original"), nil, fileMode))
			want = append(want, "images/o/"+name+"/original")
		case 1:
			name += "-y"
			fallthrough
		default:
			require.NoError(t, os.WriteFile(filepath.Join(dir, "images+", "o+", name), nil, fileMode))
			want = append(want, "images/o/"+name)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "images+", "o+", "Thumbs.db"), nil, fileMode))
	slices.Sort(want)
	for _, c := range []struct {
		prefix, after string
		want          []string
	}{{"images/", "", want}, {"images/o/", want[20000], want[20001:]}, {"", want[len(want)-1], nil}} {
		var got, foreign []string
		for b, err := range s.Walk(t.Context(), c.prefix, c.after, func(name string) { foreign = append(foreign, name) }) {
			require.NoError(t, err)
			got = append(got, b.Key)
		}
		require.True(t, slices.Equal(c.want, got), "prefix %q, after %q: %d of %d", c.prefix, c.after, len(got), len(c.want))
		if len(got) > 0 {
			assert.Equal(t, []string{"images/o/Thumbs.db"}, foreign)
		}
	}
	for range s.Walk(t.Context(), "images/", "", nil) {
		break
	}
	assert.Empty(t, leftovers(t, dir))
	var _ ports.BlobWalker = s
}

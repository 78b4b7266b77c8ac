package s3blob_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports"
)

// lister is an S3 service that lists and does nothing else.
type lister struct {
	names []string // in order
	calls int
	// again gives pages that begin at the beginning; stuck the same continuation for ever.
	again, stuck bool
}

func (l *lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l.calls++
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	limit, _ := strconv.Atoi(q.Get("max-keys"))
	at, found := slices.BinarySearch(l.names, after)
	if found {
		at++
	}
	if l.again {
		at = 0
	}
	type object struct {
		Key          string
		Size         int
		LastModified string
	}
	var answer struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Name                  string
		IsTruncated           bool
		NextContinuationToken string   `xml:",omitempty"`
		Contents              []object `xml:"Contents"`
	}
	answer.Name = strings.Trim(r.URL.Path, "/")
	for _, name := range l.names[at:] {
		if !strings.HasPrefix(name, q.Get("prefix")) {
			continue
		}
		if len(answer.Contents) == limit {
			answer.IsTruncated = true
			break
		}
		answer.Contents = append(answer.Contents, object{name, 1, "2026-01-02T03:04:05.000Z"})
		answer.NextContinuationToken = name
	}
	if l.stuck {
		answer.Contents, answer.IsTruncated, answer.NextContinuationToken = nil, true, "x"
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
}

func (l *lister) store(t *testing.T, query string) ports.Blobs {
	t.Helper()
	service(t) // for the account
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	slices.Sort(l.names)
	return open(t, server.URL, "pictures", query)
}

// An object is a blob only under the name that its key makes: others that map to a
// key are ignored, and told.
func TestForeignObjectsAreNoBlobs(t *testing.T) {
	l := &lister{names: []string{"images/a!", "images/a(/(b!", "images/a", "images/A!", "images/", "images/" + strings.Repeat("c", 120) + "!"}}
	b := l.store(t, "&file_keys=true")
	var keys, foreign []string
	for info, err := range ports.WalkBlobs(t.Context(), b, "images/", "", func(name string) { foreign = append(foreign, name) }) {
		require.NoError(t, err)
		keys = append(keys, info.Key)
	}
	assert.Equal(t, []string{"images/a"}, keys)
	assert.Len(t, foreign, 5)
	list, err := b.List(t.Context(), "images/", "", 10)
	require.NoError(t, err)
	assert.Len(t, list, 1)
}

// Ten times the objects are ten times the calls; and a listing that does not go on ends.
func TestWalkCountsCalls(t *testing.T) {
	for n, want := range map[int]int{10_000: 10, 100_000: 100} {
		l := &lister{}
		for i := range n {
			l.names = append(l.names, fmt.Sprintf("images/%07d", i))
		}
		b := l.store(t, "")
		seen := 0
		for _, err := range ports.WalkBlobs(t.Context(), b, "images/", "", nil) {
			require.NoError(t, err)
			seen++
		}
		assert.Equal(t, n, seen)
		assert.Equal(t, want, l.calls)
	}
	for name, l := range map[string]*lister{"again": {again: true}, "stuck": {stuck: true}} {
		for i := range 3000 {
			l.names = append(l.names, fmt.Sprintf("images/%07d", i))
		}
		b := l.store(t, "")
		var last error
		for _, err := range ports.WalkBlobs(t.Context(), b, "images/", "", nil) {
			last = err
		}
		require.Error(t, last, name)
		assert.LessOrEqual(t, l.calls, 3, name)
		_, err := b.List(t.Context(), "images/", "", 5000)
		require.Error(t, err, name)
	}
}

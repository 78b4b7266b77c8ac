package fileblob

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// fullChild makes this test one in a process that may write only short files.
const fullChild = "IMAGIFY_FILEBLOB_FULL"

// A disk without room is an outage that may pass: nothing half is left, and no path is shown.
func TestFullDisk(t *testing.T) {
	dir := os.Getenv(fullChild)
	if dir == "" {
		dir = t.TempDir()
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFullDisk$", "-test.count=1")
		cmd.Env = append(os.Environ(), fullChild+"="+dir)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	// A limit on the size of files stands in for a full disk: the kernel refuses the write in the middle.
	signal.Ignore(syscall.SIGXFSZ)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}))
	s, err := New(dir)
	require.NoError(t, err)
	put(t, s, "kept")
	for _, key := range []string{"kept", "new/new"} {
		err := s.Put(t.Context(), key, bytes.NewReader(make([]byte, 2<<20)), ports.PutOptions{Size: 2 << 20})
		require.Error(t, err)
		assert.Equal(t, domain.Unavailable, domain.CodeOf(err))
		assert.ErrorIs(t, err, syscall.EFBIG, "the cause is for the log")
		assert.False(t, strings.Contains(domain.AsError(err).Msg, dir), fmt.Sprint(domain.AsError(err).Msg))
		assert.Positive(t, domain.AsError(err).RetryAfter)
	}
	assert.Equal(t, []string{"kept"}, everything(t, s, "", 10))
	assert.Equal(t, "kept", content(t, s, "kept"))
	assert.Empty(t, leftovers(t, dir))
}

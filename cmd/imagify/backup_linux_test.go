package main

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shortFiles lets this process write no file longer than this: it stands in for a full disk,
// because the kernel refuses the write in the middle.
func shortFiles(t *testing.T, bytes uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}))
}

// fullChild makes TestBackupToFullDisk one in a process that may write only short files.
const fullChild = "IMAGIFY_TEST_FULL_DISK"

// A full disk is told, and leaves no backup and no installation that looks whole.
func TestBackupToFullDisk(t *testing.T) {
	if data := os.Getenv(fullChild); data != "" {
		shortFiles(t, 1<<20)
		s, dir := site{t, data}, t.TempDir()
		for _, name := range []string{"b", "b.tar"} {
			code, out, errs := s.run("", "backup", filepath.Join(dir, name))
			assert.Equal(t, 1, code, "%s%s", out, errs)
			assert.Contains(t, errs, "too large", "what the kernel says")
		}
		to := emptySite(t)
		code, _, errs := to.run("", "restore", filepath.Join(filepath.Dir(data), "good"))
		assert.Equal(t, 1, code)
		assert.Contains(t, errs, "nothing was restored")
		assert.NoDirExists(t, to.data)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
		return
	}
	s := newSite(t)
	anna := s.user("anna", "--tier", "EnterpriseTierUsers")
	srv := s.serve()
	status, _ := srv.upload(anna, append(photo(1, 100, 100), make([]byte, 3<<20)...))
	require.Equal(t, 201, status)
	srv.stop()
	s.must("backup", filepath.Join(filepath.Dir(s.data), "good"))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBackupToFullDisk$", "-test.count=1")
	cmd.Env = append(os.Environ(), fullChild+"="+s.data)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))

	// A pipe whose reader is full or gone; nothing is left in the temporary folder either.
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		defer full.Close()
		temp := t.TempDir()
		gone, end, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, gone.Close())
		for _, to := range []*os.File{full, end} {
			var errs bytes.Buffer
			cmd := exec.CommandContext(t.Context(), os.Args[0], "backup", "-")
			cmd.Env = append(os.Environ(), "IMAGIFY_TEST_MAIN=1", "IMAGIFY_DATA="+s.data, "TMPDIR="+temp)
			cmd.Stdout, cmd.Stderr = to, &errs
			assert.Error(t, cmd.Run())
			assert.Equal(t, 1, cmd.ProcessState.ExitCode(), errs.String())
			left, err := os.ReadDir(temp)
			require.NoError(t, err)
			assert.Empty(t, left)
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runProgram runs the real program to its end, or where it serves until it listens and is then told to stop.
func runProgram(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), "IMAGIFY_TEST_MAIN=1", "IMAGIFY_ADMIN_PASSWORD="+adminPassword), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var out strings.Builder
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		out.WriteString(line)
		if strings.Contains(line, "listening on ") {
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		}
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// A database and a storage of two installations are refused with what to do; --adopt-storage pairs
// them once, and the database that used the storage before is refused from then on. doctor says the same.
func TestAdoptStorage(t *testing.T) {
	storage := "IMAGIFY_STORAGE_URL=file:" + filepath.Join(t.TempDir(), "store")
	first := []string{storage, "IMAGIFY_DATA=" + filepath.Join(t.TempDir(), "first")}
	second := []string{storage, "IMAGIFY_DATA=" + filepath.Join(t.TempDir(), "second")}
	serve := []string{"serve", "--addr", "127.0.0.1:0"}
	adopt := append(append([]string{}, serve...), "--adopt-storage")
	const adopted = "belong together from now on"

	code, _, errs := runProgram(t, first, serve...)
	require.Equal(t, 0, code, errs)
	code, out, errs := runProgram(t, first, "doctor")
	require.Equal(t, 0, code, out+errs)
	assert.Regexp(t, `(?m)installation.*the database and the storage belong together \([0-9a-f-]{36}\)`, out)

	refused := func(env []string) {
		t.Helper()
		code, out, errs := runProgram(t, env, serve...)
		assert.Equal(t, 1, code)
		assert.NotContains(t, out, "listening on")
		assert.Contains(t, errs, "Nothing was changed")
		assert.Contains(t, errs, "imagify serve --adopt-storage")
		code, out, errs = runProgram(t, env, "doctor")
		assert.Equal(t, 1, code)
		assert.Regexp(t, `(?m)installation.*belongs? to installation|installation.*is of installation`, out+errs)
		assert.Contains(t, out+errs, "imagify serve --adopt-storage")
	}
	refused(second)

	code, out, errs = runProgram(t, second, adopt...)
	require.Equal(t, 0, code, errs)
	assert.Contains(t, out, "listening on")
	assert.Contains(t, errs, adopted)
	for _, args := range [][]string{serve, adopt} { // the flag may stay in a unit file
		code, out, errs = runProgram(t, second, args...)
		require.Equal(t, 0, code, errs)
		assert.Contains(t, out, "listening on")
		assert.NotContains(t, errs, adopted, "said once")
	}
	refused(first)
}

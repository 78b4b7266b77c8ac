package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// promiseIDs are the project's promises, as `go test -run Promise/A6 ./...` runs them.
const promiseIDs = "A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 L1 L2 L3 L4 L5 L6 L7 L8 H1 H2 H3 H4 H5 H6 H7 D1 D2 D3 D4 D5 " +
	"S1 S3 S4 S5 S6 S7 S8 S9 T1 T2 T3 T4 T5 T6 T7 T8 T9 R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12"

// named finds what makes a promise's test: a subtest's name in a TestPromise, or a test of its own.
var (
	tests = regexp.MustCompile(`func Test\w*Promise`)
	named = regexp.MustCompile(`func TestPromise([A-Z]\d+)[A-Z]|(?:t\.Run\(|^\s*|[{,] ?)"([A-Z]\d+(?:,[A-Z]\d+)*)"(?:,|:)`)
)

// Every promise has a test of its name.
func TestPromisesAreTried(t *testing.T) {
	tried := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || !tests.Match(b) {
			return err
		}
		for line := range strings.Lines(string(b)) {
			for _, m := range named.FindAllStringSubmatch(line, -1) {
				for id := range strings.SplitSeq(m[1]+m[2], ",") {
					tried[id] = true
				}
			}
		}
		return nil
	}))
	for id := range strings.FieldsSeq(promiseIDs) {
		assert.True(t, tried[id], "no test of promise %s", id)
	}
}

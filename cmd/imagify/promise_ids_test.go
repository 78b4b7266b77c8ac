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

// named finds what makes a promise's test: a subtest's name in a TestPromise, or a test of its own. An O is a known attack,
// no guarantee.
var (
	tests = regexp.MustCompile(`func Test\w*Promise`)
	named = regexp.MustCompile(`func TestPromise([A-NP-Z]\d+)[A-Z(]|(?:t\.Run\(|^\s*|[{,] ?)"([A-NP-Z]\d+(?:,[A-NP-Z]\d+)*)(?:"(?:,|:)|/)`)
)

// guarantee is a row of app/GUARANTEES.md: the id, and the packages that try it.
var guarantee = regexp.MustCompile(`(?m)^\| ([A-Z]\d+) \|[^|]*\|([^|]*)\|`)

// Every guarantee that the document states has a test of its name, and every test of a guarantee is stated there.
func TestPromisesAreTried(t *testing.T) {
	tried, within := map[string]bool{}, map[string]bool{}
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
					within[id+" in "+filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../")))] = true
				}
			}
		}
		return nil
	}))
	stated := map[string]bool{}
	doc, err := os.ReadFile("../../app/GUARANTEES.md")
	require.NoError(t, err)
	for _, m := range guarantee.FindAllStringSubmatch(string(doc), -1) {
		stated[m[1]] = true
		assert.True(t, tried[m[1]], "no test of guarantee %s", m[1])
		for folder := range strings.SplitSeq(m[2], ",") {
			folder = strings.Trim(folder, " `")
			assert.True(t, within[m[1]+" in "+folder], "app/GUARANTEES.md says that %s is tested in %s, and it is not", m[1], folder)
		}
	}
	assert.Greater(t, len(stated), 50)
	for id := range tried {
		assert.True(t, stated[id], "app/GUARANTEES.md does not state %s, which a test tries", id)
	}
}

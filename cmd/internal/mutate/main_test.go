package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module writes a module of its own with a package and its test, and works in it.
func module(t *testing.T, code, test string) options {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"go.mod": "module example.org/m\n\ngo 1.26\n", "m.go": code, "m_test.go": test} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	return options{packages: []string{"."}, parallel: 2, limit: 5 * time.Second, equivalents: "equivalents.txt"}
}

// tried runs all mutants and returns those that were noticed, that survived and that nothing reached.
func tried(t *testing.T, o options) result {
	t.Helper()
	dir := t.TempDir()
	pkgs, err := plant(t.Context(), o, dir)
	require.NoError(t, err)
	excused, err := readEquivalents(o.equivalents)
	require.NoError(t, err)
	r, err := try(t.Context(), o, pkgs[0], choose(pkgs, o, excused)[pkgs[0]], dir)
	require.NoError(t, err)
	return r
}

func described(ms []*mutant) (out []string) {
	for _, m := range ms {
		out = append(out, m.key())
	}
	return out
}

const code = `package m

import (
	"errors"
	"strings"
)

// Limit has a boundary that no test tries.
func Limit(n int) bool { return n < 10 }

// Sum goes on for ever if its step is dropped.
func Sum(n int) (s int) {
	for n > 0 {
		s += n
		n--
	}
	return s
}

func Check(name string) error {
	err := errors.New("bad")
	if strings.HasPrefix(name, "x") {
		return err
	}
	return nil
}

func Nobody() int { return 7 }
`

const test = `package m

import "testing"

func TestLimit(t *testing.T) {
	if !Limit(5) || Limit(50) {
		t.Fatal()
	}
}

func TestSum(t *testing.T) {
	if Sum(4) != 10 {
		t.Fatal()
	}
}

func TestCheck(t *testing.T) {
	if Check("xy") == nil || Check("a") != nil {
		t.Fatal()
	}
}
`

func TestMutantsAreToldApart(t *testing.T) {
	r := tried(t, module(t, code, test))
	assert.ElementsMatch(t, []string{"m.go Limit: n < 10 → n <= 10", "m.go Limit: 10 → 10 + 1", "m.go Sum: n > 0 → n >= 0"}, described(r.survived),
		"no test tries the boundary; adding 0 changes nothing")
	assert.ElementsMatch(t, []string{"m.go Nobody: 7 → 7 + 1"}, described(r.missed))
	assert.GreaterOrEqual(t, r.noticed, 8, "the endless loop among them")
	assert.False(t, report([]result{r}, 0.99))
	assert.True(t, report([]result{r}, 0.5))
}

func TestEquivalentsNeedAReason(t *testing.T) {
	o := module(t, code, test)
	require.NoError(t, os.WriteFile("equivalents.txt", []byte("# comment\nm.go Nobody: 7 → 7 + 1 — nobody calls it\n"), 0o600))
	assert.Empty(t, tried(t, o).missed)
	require.NoError(t, os.WriteFile("equivalents.txt", []byte("m.go Nobody: 7 → 7 + 1\n"), 0o600))
	_, err := readEquivalents("equivalents.txt")
	assert.ErrorContains(t, err, "no reason")
	require.NoError(t, os.WriteFile("equivalents.txt", []byte("m.go Gone: 1 → 2 — it was equivalent\n"), 0o600))
	e, err := readEquivalents("equivalents.txt")
	require.NoError(t, err)
	assert.Equal(t, []string{"m.go Gone: 1 → 2"}, e.unused())
}

func TestATestThatFailsWithoutAMutantIsAnError(t *testing.T) {
	o := module(t, code, strings.Replace(test, "Sum(4) != 10", "Sum(4) != 11", 1))
	_, err := run(t.Context(), o)
	assert.ErrorContains(t, err, "TestSum fails without a mutant")
}

func TestASampleIsTheSameForASeed(t *testing.T) {
	o := module(t, code, test)
	pkgs, err := plant(t.Context(), o, t.TempDir())
	require.NoError(t, err)
	o.sample, o.seed = 4, 7
	none := &equivalents{}
	first := choose(pkgs, o, none)[pkgs[0]]
	assert.Len(t, first, 4)
	assert.Equal(t, first, choose(pkgs, o, none)[pkgs[0]])
	o.seed = 8
	assert.NotEqual(t, first, choose(pkgs, o, none)[pkgs[0]])
}

// Whatever the project has is built with its mutants.
func TestTheProjectBuildsWithItsMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds packages")
	}
	t.Chdir(filepath.Join("..", "..", ".."))
	o := options{tags: "nomsgpack", packages: []string{"./domain"}, parallel: 1, limit: 20 * time.Second, only: "ParseHeight"}
	dir := t.TempDir()
	pkgs, err := plant(t.Context(), o, dir)
	require.NoError(t, err)
	assert.Greater(t, len(pkgs[0].mutants), 300)
	_, err = pkgs[0].baseline(t.Context(), o, dir)
	require.NoError(t, err)
}

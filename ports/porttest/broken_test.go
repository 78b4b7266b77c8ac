package porttest_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/ports/porttest"
)

// brokenEnv tells a subprocess which broken adapter to run the suite on.
const brokenEnv = "IMAGIFY_PORTTEST_BROKEN"

// broken is an adapter with one fault, and the suite's subtest that must find it.
type broken struct {
	fault string
	finds string // suite/subtest
	run   func(t *testing.T)
}

// control is an adapter without a fault: what passes with it and fails with a
// broken one fails because of the fault.
const control = "no fault at all"

func everyBroken() []broken {
	var all []broken
	for _, list := range [][]broken{brokenAccounts(), brokenImages(), brokenLinks(), brokenFeeds(), brokenBlobs(), brokenStates(), brokenSweeps(), brokenWrappers(), brokenResizers(), brokenStored()} {
		all = append(all, list...)
	}
	return all
}

// TestBrokenAdapter runs a suite on a broken adapter, in a subprocess of
// TestSuitesFindFaults: there a failure is what is wanted.
func TestBrokenAdapter(t *testing.T) {
	name := os.Getenv(brokenEnv)
	if name == "" {
		return
	}
	porttest.SetPatience(300 * time.Millisecond)
	fault, finds, _ := strings.Cut(name, " @ ")
	for _, b := range everyBroken() {
		if b.fault == fault && b.finds == finds {
			b.run(t)
		}
	}
}

func TestSuitesFindFaults(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, b := range everyBroken() {
		name := b.fault + " @ " + b.finds
		require.False(t, seen[name], "twice: %s", name)
		seen[name] = true
		t.Run(b.finds+"/"+b.fault, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			parts := strings.Split(b.finds, "/")
			pattern := "^TestBrokenAdapter$"
			for _, p := range parts {
				pattern += "/^" + p + "$"
			}
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=90s")
			cmd.Env = append(os.Environ(), brokenEnv+"="+name)
			out, err := cmd.CombinedOutput()
			line := "TestBrokenAdapter/" + b.finds
			if b.fault == control {
				require.NoError(t, err, "%s", out)
				assert.Contains(t, string(out), "--- PASS: "+line)
				return
			}
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the suite passes an adapter that is broken: %s\n%s", b.fault, out)
			assert.Contains(t, string(out), "--- FAIL: "+line+" ")
			assert.NotContains(t, string(out), "panic:", "a fault is found, not run into")
		})
	}
}

// Every suite is tried on several broken adapters, and so is each part of a suite that has parts.
func TestEverySuiteIsTried(t *testing.T) {
	faults, tried := map[string]int{}, map[string]bool{}
	for _, b := range everyBroken() {
		if parts := strings.Split(b.finds, "/"); b.fault != control {
			faults[parts[len(parts)-2]]++
			tried[parts[0]] = true
		}
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	suites := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.IsExported() && fn.Name.Name != "Records" { // Records runs the others
				assert.True(t, tried[fn.Name.Name], "%s is tried on no broken adapter", fn.Name.Name)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if suite, ok := suiteOf(t, n); ok {
				assert.False(t, suites[suite], "two suites are named %s", suite)
				suites[suite] = true
			}
			return true
		})
	}
	for suite := range suites {
		t.Logf("%s: %d faults", suite, faults[suite])
		assert.GreaterOrEqual(t, faults[suite], 3, suite)
	}
	assert.GreaterOrEqual(t, len(suites), 18)
}

// suiteOf returns the name of the suite that a call runs: the second argument of run or runStories.
func suiteOf(t *testing.T, n ast.Node) (string, bool) {
	t.Helper()
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	if fn, ok := call.Fun.(*ast.Ident); !ok || fn.Name != "run" && fn.Name != "runStories" {
		return "", false
	}
	name, ok := call.Args[1].(*ast.BasicLit)
	if !ok {
		return "", false // runStories itself, which hands its own on
	}
	suite, err := strconv.Unquote(name.Value)
	require.NoError(t, err)
	return suite, true
}

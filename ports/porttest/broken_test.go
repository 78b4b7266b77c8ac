package porttest_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
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
	for _, list := range [][]broken{brokenDirectories(), brokenImages(), brokenLinks(), brokenFeeds(), brokenBlobs(), brokenStates(), brokenSweeps(), brokenWrappers(), brokenResizers(), brokenStored()} {
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

// Every suite is tried on several broken adapters.
func TestEverySuiteIsTried(t *testing.T) {
	faults := map[string]int{}
	for _, b := range everyBroken() {
		if suite, _, _ := strings.Cut(b.finds, "/"); b.fault != control {
			faults[suite]++
		}
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	suites := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !fn.Name.IsExported() || fn.Name.Name == "Records" { // Records runs the others
				continue
			}
			suites++
			t.Logf("%s: %d faults", fn.Name.Name, faults[fn.Name.Name])
			assert.GreaterOrEqual(t, faults[fn.Name.Name], 3, fn.Name.Name)
		}
	}
	assert.GreaterOrEqual(t, suites, 18)
}
